# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What the subcommands print and write."""

import json
import os

import numpy as np
import onnx
import pytest
import small_bert
from onnx import TensorProto, helper, numpy_helper
from smallbert import Config, Options
from whole_models import bert_feed


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.onnx"
    small_bert.write(path, Config(), Options("dyn18"))
    return path


@pytest.fixture
def alloy(permalloy, model):
    permalloy("compile", model, "-o", model.with_suffix(".alloy"))
    return model.with_suffix(".alloy")


def test_help_and_version(permalloy):
    text = permalloy("--help").out
    for command in ("compile", "import", "run", "bench", "verify", "inspect"):
        assert command in text
        assert "Usage: permalloy " + command in permalloy(command, "--help").out
    assert "LLVM 22" in permalloy("--version").out


def test_default_output(permalloy, model, tmp_path):
    result = permalloy("compile", model, "-v", cwd=tmp_path)
    assert (tmp_path / "model.alloy").exists()
    assert "kernels" in result.err and "generate code" in result.err and " ms" in result.err


@pytest.mark.parametrize(
    "stage, words",
    (
        ("tfm", ["func.func @main", "tfm.attention", "tfm.layer_norm"]),
        ("kern", ["kern.kernel", "kern.launch", "slots"]),
        ("llvm", ["define ", "target datalayout"]),
        ("asm", ["vfmadd"]),
    ),
)
def test_emit(permalloy, model, stage, words):
    text = permalloy("compile", model, "--emit", stage).out
    for word in words:
        assert word in text


def test_print_ir_after(permalloy, model, tmp_path):
    out = ("-o", tmp_path / "x.alloy")
    some = permalloy("compile", model, *out, "--print-ir-after", "raise-attention").err
    assert "IR Dump After RaiseAttention" in some and "RaiseGelu" not in some
    assert "RaiseGelu" in permalloy("compile", model, *out, "--print-ir-after-all").err


def test_import_round_trip(permalloy, model, tmp_path):
    """The printed module compiles to the same program as the model."""
    text = tmp_path / "model.mlir"
    permalloy("import", model, "-o", text)
    assert 'tfm.name = "input_ids"' in text.read_text()
    assert "tfm.weight" in text.read_text()
    first = permalloy("compile", model, "--emit", "kern").out
    assert permalloy("compile", text, "--emit", "kern").out == first


def test_run_from_and_to_files(permalloy, alloy, tmp_path):
    feed = bert_feed(2, 6, 67)
    for name, array in feed.items():
        # Fortran order and .npy one by one; the third way is --inputs.
        np.save(tmp_path / f"{name}.npy", np.asfortranarray(array))
    files = [f"--input={name}={tmp_path}/{name}.npy" for name in feed]
    result = permalloy("run", alloy, *files, "--output-dir", tmp_path / "out")
    assert result.out.split() == ["last_hidden_state", "float32", "[2,", "6,", "32]"]
    np.savez(tmp_path / "in.npz", **feed)
    permalloy("run", alloy, "--inputs", tmp_path / "in.npz", "--outputs", tmp_path / "out.npz")
    one = np.load(tmp_path / "out/last_hidden_state.npy")
    assert np.array_equal(one, np.load(tmp_path / "out.npz")["last_hidden_state"])


def test_run_compiles_first(permalloy, model):
    result = permalloy("run", model, "--random", "--dim", "batch=3", "--profile")
    assert "[3, 16, 32]" in result.out
    assert "all steps: " in result.out and "%" in result.out


def test_trace_adds_up(permalloy, alloy, tmp_path):
    """A Chrome trace: each run's steps fill its time, name the model's nodes and count operations."""
    trace = tmp_path / "trace.json"
    sizes = ("--dim", "batch=40", "--dim", "sequence=40")
    permalloy("run", alloy, "--random", *sizes, "--threads", "2", "--trace", trace)
    events = json.loads(trace.read_text())
    runs = [event for event in events if event.get("cat") == "Session"]
    steps = [event for event in events if event.get("cat") == "Node"]
    assert len(runs) == 5 and len(steps) % 5 == 0
    shares = []
    for run in runs:
        end = run["ts"] + run["dur"]
        inside = [step for step in steps if run["ts"] <= step["ts"] < end]
        assert len(inside) == len(steps) // 5
        shares.append(sum(step["dur"] for step in inside) / run["dur"])
    # A runtime with AddressSanitizer takes longer between its steps.
    assert (0.5 if "ASAN_OPTIONS" in os.environ else 0.95) < max(shares) <= 1
    config = Config()
    tokens, width = 40 * 40, config.hidden_size
    for step in steps:
        arguments = step["args"]
        assert arguments["batch"] == 40 and arguments["bytes"] > 0 and arguments["GB/s"] > 0
        if arguments["kernel"].startswith("attention"):
            assert arguments["flops"] == 4 * tokens * 40 * width and arguments["GFLOP/s"] > 0
        if "query" in step["name"]:
            assert arguments["flops"] == 2 * tokens * width * width


def test_inspect(permalloy, alloy, tmp_path):
    text = permalloy("inspect", alloy, "--kernels", "--steps", "--weights", "--verify").out
    for word in ("input_ids", "[batch, sequence]", "weights are intact", "attention", "slot 0"):
        assert word in text
    content = json.loads(permalloy("inspect", alloy, "--json").out)
    assert content["outputs"][0]["dims"] == ["batch", "sequence", "32"]
    target = content["targets"][0]["name"]
    elf = tmp_path / "code.elf"
    permalloy("inspect", alloy, "--emit", "elf", "--target", target, "-o", elf)
    assert elf.read_bytes()[:4] == b"\x7fELF"
    text = permalloy("inspect", alloy, "--emit", "asm").out
    assert "attention" in text and "vfmadd" in text
    assert target in permalloy("inspect", alloy, "--emit", "asm", "--target", "z80", code=1).err


def test_bench(permalloy, model, alloy):
    command = ("bench", model, alloy, "--against", "onnxruntime", "--repeats", "12", "--json")
    result = json.loads(permalloy(*command, "--dim", "batch=1,2", "--dim", "sequence=8").out)
    assert [row["dimensions"]["batch"] for row in result["results"]] == [1, 2]
    for row in result["results"]:
        assert row["permalloy"]["runs"] == row["peer"]["runs"] == 12
        assert 0 < row["ratio"]["low_95"] <= row["ratio"]["median"] <= row["ratio"]["high_95"]
        assert row["relative_error"] < 2e-4
        times = row["permalloy"]
        assert times["min_s"] <= times["median_s"] <= times["p90_s"] <= times["p99_s"]
        assert times["coefficient_of_variation"] >= 0
    assert "onnxruntime" in result["peer"] and result["threads"] == 1
    text = permalloy("bench", alloy, "--repeats", "10", "--threads", "2").out
    assert "2 threads" in text and "median" in text


def test_bench_several_models(permalloy, model, alloy):
    command = ("bench", model, alloy, alloy, model, "--repeats", "10", "--json")
    result = json.loads(permalloy(*command, "--dim", "sequence=4,8").out)
    models = [str(model)] * 2 + [str(alloy)] * 2 + [str(model)] * 2
    assert [row["model"] for row in result["results"]] == models
    assert [row["compile_s"] > 0 for row in result["results"]] == [False] * 4 + [True] * 2


def test_verify(permalloy, model, alloy):
    result = permalloy("verify", model, alloy, "--dim", "batch=1,3", "--dim", "sequence=5")
    assert result.out.count("ok  onnxruntime") == result.out.count("ok  interpreter") == 2


def test_verify_as_json(permalloy, model, alloy):
    command = ("verify", model, alloy, "--json", "--dim", "batch=1,3", "--dim", "sequence=5")
    rows = [json.loads(line) for line in permalloy(*command).out.splitlines()]
    assert [row["dimensions"] for row in rows] == [
        {"batch": 1, "sequence": 5},
        {"batch": 3, "sequence": 5},
    ]
    for row in rows:
        assert row["status"] == "ok" and row["seconds"] > 0 and row["onnxruntime_seconds"] > 0
        assert {output["oracle"] for output in row["outputs"]} == {"onnxruntime", "interpreter"}
        assert all(0 < output["relative_error"] < 2e-4 for output in row["outputs"])


def test_verify_goes_on_after_sizes_that_do_not_run(permalloy, model, alloy):
    """A sequence beyond the position table: said for that combination, the others are compared."""
    command = ("verify", model, alloy, "--no-interpreter", "--dim", "sequence=4000,5")
    result = permalloy(*command, code=1)
    assert "FAILED" in result.out and "4000" in result.out and "ok  onnxruntime" in result.out
    assert "1 combination of sizes did not run" in result.err


def test_unknown_dimensions_are_refused(refused, model):
    refused("verify", model, "--dim", "past=3", words=("no dimension 'past'", "batch, sequence"))


def test_verify_without_onnxruntime(permalloy, model, alloy):
    absent = {"PERMALLOY_PYTHON": "/nowhere/python"}
    result = permalloy("verify", model, alloy, env=absent)
    assert "not compared with onnxruntime" in result.err and "ok  interpreter" in result.out
    result = permalloy("bench", model, alloy, "--against", "onnxruntime", env=absent, code=1)
    assert "PERMALLOY_PYTHON" in result.err


def test_bisect_finds_a_wrong_model(permalloy, model, alloy, tmp_path):
    """An artifact of another model differs; each node of this one is right, which is said."""
    other = tmp_path / "other.onnx"
    small_bert.write(other, Config(), Options("dyn18"), seed=9)
    result = permalloy("verify", other, alloy, "--bisect", "--no-interpreter", code=1)
    assert "DIFFERS" in result.out and "every node is right" in result.out


def test_bisect_names_the_node(permalloy, tmp_path):
    """f32 sums that cancel: with a tolerance of nothing at all, the product is the first to differ."""
    random = np.random.default_rng(0)
    weight = random.standard_normal((512, 8)).astype(np.float32)
    nodes = [
        helper.make_node("Abs", ["x"], ["a"], name="first"),
        helper.make_node("MatMul", ["a", "w"], ["b"], name="product"),
        helper.make_node("Neg", ["b"], ["y"], name="last"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 512])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 8])],
        [numpy_helper.from_array(weight, "w")],
    )
    path = tmp_path / "sum.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    command = ("verify", path, "--bisect", "--no-interpreter", "--dim", "n=64", "--tolerance", "0")
    result = permalloy(*command, code=1)
    assert "first node that differs: 'product' (MatMul)" in result.out
