# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compiling for GPUs: PTX always, cubins where ptxas is, and CPUs beside them undisturbed."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import onnx
import pytest
import small_bert
import small_decoder
from smallbert import Config, Options
from tuning_files import favour

NO_TOOLKIT = {"PERMALLOY_PTXAS": ""}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("gpu") / "model.onnx"
    small_bert.write(path, Config(), Options("dyn18"))
    return path


@pytest.fixture(scope="module")
def both(permalloy, model):
    path = model.with_name("both.alloy")
    permalloy("compile", model, "-o", path, "--target", "x86-64-v3,sm_90a,sm_80", env=NO_TOOLKIT)
    return path


def inspect(permalloy, path):
    return json.loads(permalloy("inspect", path, "--json").out)


def test_ptx_without_toolkit(permalloy, both):
    facts = inspect(permalloy, both)
    assert [target["name"] for target in facts["targets"]] == ["x86-64-v3"]
    assert [target["name"] for target in facts["gpu_targets"]] == ["sm_80", "sm_90a"]
    for target in facts["gpu_targets"]:
        assert len(target["kernels"]) == len(facts["kernels"])
        assert all(kernel["ptx_bytes"] > 0 for kernel in target["kernels"])
        assert all(kernel["cubin_bytes"] == 0 for kernel in target["kernels"])
        assert all(kernel["form"].startswith("form ") for kernel in target["kernels"])
    text = permalloy("inspect", both, "--emit", "ptx", "--target", "sm_80").out
    assert text.count(".visible .entry") == len(facts["kernels"])
    assert ".target sm_80" in text and ".target sm_90a" not in text
    assert ".target sm_90a" in permalloy("inspect", both, "--emit", "ptx").out
    assert "PTX, which the driver compiles" in permalloy("inspect", both).out
    listed = permalloy("inspect", both, "--kernels").out
    assert "kernels for sm_90a:" in listed and listed.count("registers unknown") == 2 * len(facts["kernels"])


def test_cpu_code_is_the_same(permalloy, model, both):
    alone = model.with_name("alone.alloy")
    permalloy("compile", model, "-o", alone, "--target", "x86-64-v3")
    code = [permalloy("inspect", path, "--emit", "elf").stdout for path in (alone, both)]
    assert code[0] == code[1]
    assert "gpu_targets" not in inspect(permalloy, alone)
    permalloy("run", both, "--random", "--dim", "batch=1", "--dim", "sequence=8")


def test_tf32_is_for_gpus(permalloy, refused, model, both, tmp_path):
    """Code for CPUs has the same bytes, weights too; a GPU's has the products; without a GPU it is refused."""
    path, plan = tmp_path / "tf32.alloy", tmp_path / "plan.json"
    said = permalloy("compile", model, "-o", path, "--target", "x86-64-v3,sm_90a,sm_80", "--precision", "tf32", "--print-plan", plan, env=NO_TOOLKIT).err
    assert re.search(r"^tf32 \(GPUs; CPUs f32\): \d+ attention, \d+ linear$", said, re.MULTILINE)
    assert {line["level"] for line in json.loads(plan.read_text())["plan"]} == {"tf32"}
    code = [permalloy("inspect", each, "--emit", "elf").stdout for each in (path, both)]
    assert code[0] == code[1]
    assert inspect(permalloy, path)["weights"] == inspect(permalloy, both)["weights"]
    mma = "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32"
    assert mma in permalloy("inspect", path, "--emit", "ptx", "--target", "sm_80").out
    assert mma not in permalloy("inspect", both, "--emit", "ptx", "--target", "sm_80").out
    words = ["precision tf32 is for GPUs, and none is among the targets (x86-64-v3)", "it accepts sm_80, sm_89", "f32 or bf16"]
    refused("compile", model, "--target", "x86-64-v3", "--precision", "tf32", words=words)
    refused("compile", model, "--target", "x86-64-v3", "--plan", plan, words=words)


def test_tf32_leaves_measured_schedules_to_cpus(permalloy, model, tmp_path):
    """A database's rows are those of kernels that know of no tf32: the same code, in the schedules that were measured."""
    database, measured = tmp_path / "tuning.jsonl", tmp_path / "measured.jsonl"
    permalloy("tune", model, "--minutes", 5, "--dim", "batch=1", "--dim", "sequence=16", "--rows", 12, "--database", measured)
    favour(measured, database)
    code = []
    for options in ((), ("--precision", "tf32")):
        path = tmp_path / f"{len(options)}.alloy"
        said = permalloy("compile", model, "-o", path, "--target", "host,sm_80", "--database", database, "-v", *options, env=NO_TOOLKIT).err
        assert said.count("measured") > 2, said
        code.append(permalloy("inspect", path, "--emit", "elf").stdout)
    assert code[0] == code[1]


def test_tf32_leaves_integers_to_themselves(permalloy, tmp_path):
    """Layers in 8-bit integers say why they have no tf32; attention, and layers too small for codes, have it."""
    model, path, plan = tmp_path / "model.onnx", tmp_path / "m.alloy", tmp_path / "plan.json"
    small_bert.write(model, Config(vocab_size=64, hidden_size=256, intermediate_size=64, num_hidden_layers=1), Options("dyn18"))
    options = "--precision", "tf32", "--quantize", "w8a8", "--print-plan", plan
    said = permalloy("compile", model, "-o", path, "--target", "x86-64-v3,sm_80", *options, env=NO_TOOLKIT).err
    why = "layers of 'w8a8' multiply in their own way, not in tf32"
    levels = {}
    for choice in json.loads(plan.read_text())["plan"]:
        levels.setdefault((choice["kind"], choice["level"]), []).append(choice)
        assert (choice["level"] == "w8a8") == (choice.get("reason") == why), choice
    layers = levels["linear", "w8a8"]
    assert len(layers) == 4 and levels["linear", "tf32"] and levels["attention", "tf32"], levels
    assert f'  4 linear in w8a8, first "{layers[0]["op"]}": {why}\n' in said
    assert not re.search(r"tf32\+w8a8", said), said


def test_same_bytes_again(permalloy, model, both):
    again, other = model.with_name("again.alloy"), model.with_name("other.alloy")
    permalloy("compile", model, "-o", again, "--target", "x86-64-v3,sm_90a,sm_80", env=NO_TOOLKIT)
    assert again.read_bytes() == both.read_bytes()
    # In another order the options' text differs, and no code does.
    permalloy("compile", model, "-o", other, "--target", "sm_80,x86-64-v3,sm_90a", env=NO_TOOLKIT)
    for emit in (["elf"], ["ptx", "--target", "sm_80"], ["ptx", "--target", "sm_90a"]):
        code = [permalloy("inspect", path, "--emit", *emit).stdout for path in (both, other)]
        assert code[0] == code[1]


def test_searches_are_refused(refused, model):
    remedy = "search for a CPU target with --print-plan, then compile for sm_80 with --plan"
    for option in ("--budget latency=0.6x", "--max-drop 1%", "--precision auto"):
        name = option.removesuffix(" latency=0.6x").removesuffix(" 1%")
        words = [f"{name} is unsupported with target 'sm_80'", remedy]
        refused("compile", model, "--target", "x86-64-v3,sm_80", *option.split(), words=words)


def test_the_remedy_for_ptxas_is_named_once(refused, model):
    ptxas = model.with_name("ptxas")
    ptxas.write_text(
        "#!/bin/sh\necho \"Value 'sm_80' is not defined for option 'gpu-name'\"\nexit 1\n"
    )
    ptxas.chmod(0o755)
    words = ["failed for sm_80", "PERMALLOY_PTXAS= in the environment"]
    refused("compile", model, "--target", "sm_80", words=words, env={"PERMALLOY_PTXAS": str(ptxas)})


def counting_ptxas(path, version):
    """An assembler that writes a line for each kernel to the file beside it."""
    path.write_text(
        "#!/bin/sh\n"
        f"[ $1 = --version ] && echo {version} && exit 0\n"
        f"echo kernel >> {path}.log\n"
        "echo 'Used 17 registers, 0 bytes spill stores, 0 bytes spill loads'\n"
        'while [ "$1" != -o ]; do shift; done\n'
        'printf machine-code > "$2"\n'
    )
    path.chmod(0o755)
    path.with_suffix(".log").write_text("")
    return {"PERMALLOY_PTXAS": str(path)}


def test_nothing_is_assembled_twice(permalloy, model, tmp_path):
    ptxas, log = tmp_path / "ptxas", tmp_path / "ptxas.log"
    cached = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    first, second = tmp_path / "first.alloy", tmp_path / "second.alloy"

    def compile(path, env, *options):
        said = permalloy("compile", model, "-o", path, "--target", "sm_80", *options, env=cached | env)
        done = len(log.read_text().splitlines())
        log.write_text("")
        return done, said.err

    one = counting_ptxas(ptxas, "release 1")
    kernels, _ = compile(first, one)
    assert kernels > 3
    again, said = compile(second, one)
    assert again == 0 and f"{kernels} kernels ({kernels} from the cache)" in said
    assert first.read_bytes() == second.read_bytes()
    assert [k["registers"] for k in inspect(permalloy, second)["gpu_targets"][0]["kernels"]] == [17] * kernels
    assert compile(second, one, "--no-cache")[0] == kernels
    assert compile(second, counting_ptxas(ptxas, "release 2"))[0] == kernels
    # PTX alone is another matter, and is kept, too.
    assert "(0 from the cache)" in compile(second, NO_TOOLKIT)[1]
    assert f"({kernels} from the cache)" in compile(second, NO_TOOLKIT)[1]


def test_emit_asm_is_ptx(permalloy, model):
    assert (
        ".visible .entry" in permalloy("compile", model, "--target", "sm_80", "--emit", "asm").out
    )


def test_cubins(permalloy, model):
    if not shutil.which("ptxas") and not Path("/usr/local/cuda/bin/ptxas").exists():
        pytest.skip("this machine has no ptxas")
    path = model.with_name("cubin.alloy")
    permalloy("compile", model, "-o", path, "--target", "sm_80")
    kernels = inspect(permalloy, path)["gpu_targets"][0]["kernels"]
    assert all(kernel["cubin_bytes"] > 0 and kernel["registers"] > 0 for kernel in kernels)
    assert "PTX and cubins" in permalloy("inspect", path).out


@pytest.mark.parametrize("level", ["w8", "w4g32"])
def test_tables_of_codes(permalloy, tmp_path, level):
    """An embedding large enough to be quantized, in the kernel that normalizes its rows."""
    path = tmp_path / "table.onnx"
    small_bert.write(path, Config(vocab_size=3000), Options("dyn18"))
    text = permalloy("compile", path, "--target", "sm_80", "--quantize", level, "--emit", "asm").out
    assert ".visible .entry" in text


def test_refusals(refused, permalloy, model, both):
    refused("compile", model, "--target", "sm_70", words=["unknown GPU target 'sm_70'", "sm_90a"])
    refused(
        "inspect", both, "--emit", "ptx", "--target", "sm_100", words=["sm_100", "sm_80, sm_90a"]
    )
    refused("inspect", both, "--emit", "sass", words=["no machine code for sm_90a", "no ptxas"])
    alone = model.with_name("gpu.alloy")
    permalloy("compile", model, "-o", alone, "--target", "sm_80", env=NO_TOOLKIT)
    refused("run", alone, "--random", words=["no code for CPUs, only for sm_80", "--target host"])
    refused("inspect", alone, "--emit", "asm", words=["no code for CPUs", "sm_80"])
    nothing = {"PERMALLOY_PTXAS": "/nonexistent/ptxas"}
    refused(
        "compile",
        model,
        "--target",
        "sm_80",
        "--jobs",
        "1",
        words=["/nonexistent/ptxas"],
        env=nothing,
    )


CHECK_PTXAS = Path(__file__).resolve().parents[2] / "scripts/check-ptxas"


def check_ptxas(tool, *models, ptxas, options=()):
    command = [CHECK_PTXAS, *models, "--permalloy", tool, *options]
    environment = os.environ | {"PERMALLOY_PTXAS": str(ptxas)}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_a_spill_fails(tool, model, tmp_path):
    ptxas = tmp_path / "ptxas"

    def report(spilled):
        ptxas.write_text(f"#!/bin/sh\necho 'Used 17 registers, 32 bytes smem, {spilled} bytes spill stores, 0 bytes spill loads'\n")
        ptxas.chmod(0o755)
        return check_ptxas(tool, model, ptxas=ptxas, options=("--target", "sm_80"))

    clean = report(0)
    assert clean.returncode == 0 and re.search(r"\b17 +0 +0 +32  \w+, \d+ threads", clean.stdout), clean.stdout
    assert report(4).returncode == 1
    none = check_ptxas(tool, model, ptxas="")
    assert none.returncode == 77 and "no ptxas" in none.stderr


@pytest.mark.slow
def test_no_kernel_of_small_models_spills(tool, model, tmp_path):
    decoder = tmp_path / "decoder.onnx"
    onnx.save(small_decoder.build("op23"), decoder)
    done = subprocess.run([CHECK_PTXAS, model, decoder, "--permalloy", tool, "--precision", "f32", "bf16", "w8"],
                          capture_output=True, text=True, check=False)  # fmt: skip
    if done.returncode == 77:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stdout + done.stderr
