# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""`permalloy tune --device cuda:0` on a GPU that is not there, and what `compile` makes of its rows."""

import json
import re

import pytest
import small_bert
from smallbert import Config, Options
from tuning_files import favour, lines_of, rows

SIZES = ("--dim", "batch=1", "--dim", "sequence=8")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("tune_gpu") / "model.onnx"
    small_bert.write(path, Config(hidden_size=64), Options("dyn18"))
    return path


def tune(emulated, model, path, rows, *options, **arguments):
    options = (*SIZES, "--minutes", 5, "--rows", rows, "--database", path, *options)
    return emulated("tune", model, "--device", "cuda:0", *options, **arguments)


@pytest.fixture(scope="module")
def tuned(emulated, model):
    """A database of a few schedules."""
    path = model.with_name("tuning.jsonl")
    assert "10 rows added" in tune(emulated, model, path, 10).stderr
    return path


def test_rows_are_complete(tuned):
    measured = rows(tuned)
    assert any(row["default"] for row in measured) and not all(row["default"] for row in measured)
    for row in measured:
        assert row["cpu"] == "Fake GPU" and row["target"] == "sm_80"
        assert row["form"] in ("fma", "row", "vector", "attention_fma", "fold", "select")
        assert 0 < row["min_ns"] <= row["median_ns"] and row["repeats"] >= 3
        assert row["schedule"] and "threads" not in row and row["code_bytes"] > 0
        assert row["estimate_ns"] > 0 and row["code"]
        assert ("weight_span" in row) == (row["weights"] == "cold")
    assert not any("cpu" in line and "row" not in line for line in lines_of(tuned))


def test_resumes(emulated, model, tuned):
    before = rows(tuned)
    assert "known before" in tune(emulated, model, tuned, 1).stderr
    assert rows(tuned)[: len(before)] == before


def test_compile_takes_what_is_faster(emulated, model, tuned, tmp_path):
    best = favour(tuned, tmp_path / "favoured.jsonl")
    assert best
    database = "--database", tmp_path / "favoured.jsonl"
    alloy = tmp_path / "model.alloy"
    compiled = emulated("compile", model, "-o", alloy, "--target", "x86-64-v3,sm_80", *database, "-v")
    assert re.search(r"\d+ measured schedules?", compiled.stderr), compiled.stderr
    kernels = emulated("inspect", alloy, "--kernels").stdout
    wanted = [" ".join(f"{k}={v}" for k, v in sorted(s.items())) + "; measured" for s in best.values()]
    assert any(schedule in kernels for schedule in wanted), kernels
    explained = emulated("explain", model, "--target", "sm_80", *SIZES, *database, "--json", "-", PERMALLOY_PTXAS="")
    launches = json.loads(explained.stdout)["launches"]
    origins = {json.dumps(l["schedule"]): l["schedule_origin"] for l in launches}
    assert "measured" in origins.values()
    emulated("run", alloy, "--random", "--device", "cuda:0", "--dim", "batch=1", "--dim", "sequence=4")
    # Rows of a GPU say nothing to CPUs, nor to other targets.
    plain = emulated("compile", model, "-o", tmp_path / "plain.alloy", "--target", "x86-64-v3,sm_90a", *database)
    assert "measured" not in plain.stderr


@pytest.mark.parametrize(("sequence", "takes"), [(16, True), (4, False)])
def test_rows_count_at_fixed_sizes(emulated, model, tmp_path, sequence, takes):
    """A linear layer with more than 8 rows has fewer parameters than one with any number; few rows go another way than was measured."""
    path = tmp_path / "tuning.jsonl"
    sizes = "--dim", "batch=1", "--dim", "sequence=16"
    emulated("tune", model, "--device", "cuda:0", *sizes, "--minutes", 5, "--rows", 20, "--database", path)
    best = favour(path, tmp_path / "favoured.jsonl")
    assert any("skinny_panels" in schedule for schedule in best.values())
    target = "--target", "x86-64-v3,sm_80", "--database", tmp_path / "favoured.jsonl"
    fixed = "--dim", "batch=1", "--dim", f"sequence={sequence}"
    alloy = tmp_path / "model.alloy"
    emulated("compile", model, "-o", alloy, *target, *fixed)
    kernels = emulated("inspect", alloy, "--kernels").stdout
    measured = [line for line in kernels.splitlines() if "block_rows=" in line and "; measured" in line]
    assert bool(measured) == takes, kernels
    assert not any("skinny_" in line for line in measured)


def test_of_several_devices_each_kernel_takes_one(emulated, model, tuned, tmp_path):
    favour(tuned, tmp_path / "two.jsonl")
    lines = lines_of(tmp_path / "two.jsonl")
    other = next(line for line in lines if "row" in line) | {"cpu": "Other GPU", "date": "2099-01-01T00:00:00Z"}
    with open(tmp_path / "two.jsonl", "a") as file:
        file.write(json.dumps(other, separators=(",", ":")) + "\n")
    target = "--target", "x86-64-v3,sm_80", "--database", tmp_path / "two.jsonl", "-v"
    said = emulated("compile", model, "-o", tmp_path / "m.alloy", *target).stderr
    assert "rows of several devices for sm_80 (Fake GPU, Other GPU)" in said
    assert re.search(r"\d+ measured schedules?", said), said


def test_rows_of_other_code_are_not_used(emulated, model, tuned, tmp_path):
    favour(tuned, tmp_path / "old.jsonl")
    text = re.sub(r'"code":"[0-9a-f]+"', '"code":"0"', (tmp_path / "old.jsonl").read_text())
    (tmp_path / "old.jsonl").write_text(text)
    target = "--target", "x86-64-v3,sm_80", "--database", tmp_path / "old.jsonl", "-v"
    said = emulated("compile", model, "-o", tmp_path / "m.alloy", *target).stderr
    assert "measured with other code than this compiler generates" in said


def test_features_leave_gpus_out(emulated, tuned):
    said = emulated("tune", "--features", "-", "--database", tuned).stderr
    assert "0 rows" in said and "left out" not in said


def test_what_cannot_be_measured(emulated, model, tmp_path):
    def said(*arguments, **environment):
        path = tmp_path / "none.jsonl"
        message = emulated("tune", *arguments, "--database", path, code=1, **environment).stderr
        assert not path.exists()
        return message

    missing = said(model, "--device", "cuda:0", PERMALLOY_LIBCUDA="/nonexistent/libcuda.so")
    assert "--device cuda:0: " in missing and "/nonexistent/libcuda.so" in missing
    assert "there is no cuda:7; this machine has cuda:0 (Fake GPU" in said(model, "--device", "cuda:7")
    assert "--device" in said(model, "--device", "gpu")
    hopper = said(model, "--device", "cuda:0", "--target", "sm_90a")
    assert "--target sm_90a: cuda:0 (Fake GPU, compute capability 8.0) cannot run it" in hopper
    assert "unknown GPU target 'sm_70'" in said(model, "--device", "cuda:0", "--target", "sm_70")
    assert "name one with --device cuda:0" in said(model, "--target", "sm_80")
    assert "name the models" in said("--device", "cuda:0")


def test_spaces_are_listed_without_a_device(emulated, model):
    listed = emulated("tune", model, "--target", "sm_90a", "--list-space", PERMALLOY_LIBCUDA="/nonexistent").stdout
    assert re.search(r"^\w{12}  form fma, f32, sm_90a$", listed, re.MULTILINE)
    assert "  stages: 2 3 4  (tiles of K in shared memory)" in listed and "legal schedules" in listed


def test_spaces_are_listed_with_a_device(emulated, model, tmp_path):
    path = tmp_path / "none.jsonl"
    listed = emulated("tune", model, "--device", "cuda:0", "--list-space", "--database", path).stdout
    assert "form fma, f32, sm_80" in listed and "legal schedules" in listed
    assert not path.exists()


def test_kernels_that_may_be_rounded_to_tf32(emulated, model, tmp_path):
    path = tmp_path / "tf32.jsonl"
    assert "2 rows added" in tune(emulated, model, path, 2, "--precision", "tf32").stderr
    listed = emulated("tune", model, "--device", "cuda:0", "--precision", "tf32", "--list-space").stdout
    assert "form tensor, f32, sm_80" in listed
    refused = emulated("tune", model, "--precision", "tf32", "--database", path, code=1).stderr
    assert "precision tf32 is for GPUs" in refused


def test_rules_are_in_the_options(emulated, model, tmp_path):
    def options(*arguments):
        alloy = tmp_path / "rules.alloy"
        emulated("compile", model, "-o", alloy, "--no-database", *arguments)
        return emulated("inspect", alloy).stdout

    assert "--cost-model none" in options("--target", "x86-64-v3,sm_80", "--cost-model", "none")
    assert "--cost-model" not in options("--target", "x86-64-v3,sm_80")
    assert "--cost-model" not in options("--target", "x86-64-v3", "--cost-model", "none")
