# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""--budget and --max-drop: plans that are found, gone on with and edited, and what is refused."""

import json

import numpy as np
import pytest
import small_bert
from smallbert import Config, Options
from whole_models import bert_feed

CONFIG = Config(hidden_size=128, num_attention_heads=4, intermediate_size=256, num_hidden_layers=1)


@pytest.fixture
def model(tmp_path):
    small_bert.write(tmp_path / "model.onnx", CONFIG, Options("dyn18"))
    np.savez(tmp_path / "in.npz", **bert_feed(4, 12, CONFIG.vocab_size, True, seed=3))
    return tmp_path / "model.onnx"


def search(permalloy, model, *options, **arguments):
    """-> (the plan, the finished process)."""
    folder = model.parent
    command = ["compile", model, "-o", folder / "model.alloy", "--calibrate", folder / "in.npz"]
    command += ["--print-plan", folder / "plan.json", *options]
    result = permalloy(*command, **arguments)
    plan = json.loads((folder / "plan.json").read_text()) if result.returncode == 0 else None
    return plan, result


def test_max_drop_is_kept_and_the_state_goes_on(permalloy, model):
    state = model.with_name("state.json")
    options = ("--max-drop", "0.1%", "--levels", "bf16", "--search-state", state)
    plan, result = search(permalloy, model, *options)
    assert plan["error"] <= 1e-3
    assert "levels for the whole model" in result.err and "1 - cosine" in result.err
    assert "measured" in result.err and "predicted" in result.err
    known = json.loads(state.read_text())
    # Which levels are worth a measurement depends on the machine; each that is has one.
    for site in known["sites"]:
        errors = {level["level"]: level["error"] for level in site["levels"]}
        assert errors.pop("f32") == 0 and all(error > 0 for error in errors.values())
    uniform = {entry["level"]: entry["error"] for entry in known["uniform"]}
    assert uniform["f32"] == 0 < uniform["bf16"] < 1e-2
    again, _ = search(permalloy, model, *options)
    assert json.loads(state.read_text())["sites"] == known["sites"], "measured again"
    assert [line["op"] for line in again["plan"]] == [line["op"] for line in plan["plan"]]


def test_solvers_have_their_statistics(permalloy, model):
    options = (
        "--max-drop",
        "100%",
        "--levels",
        "w4g32",
        "--solver",
        "gptq",
        "--search-minutes",
        "0",
    )
    plan, result = search(permalloy, model, *options)
    assert "w4g32" in result.err
    solvers = {line.get("solver") for line in plan["plan"] if line["level"] == "w4g32"}
    assert solvers <= {"gptq"}


def test_no_loss_is_f32(permalloy, model):
    plan, _ = search(permalloy, model, "--max-drop", "0%", "--levels", "bf16")
    assert {line["level"] for line in plan["plan"]} == {"f32"}


def test_an_edited_line_changes_the_result(permalloy, model):
    plan, _ = search(permalloy, model, "--max-drop", "100%", "--levels", "bf16")
    file, alloy = model.with_name("edited.json"), model.with_name("edited.alloy")
    sizes = []
    for level in ("f32", "bf16"):
        for line in plan["plan"]:
            line["level"] = level if line["kind"] == "linear" else "f32"
        file.write_text(json.dumps(plan))
        permalloy("compile", model, "-o", alloy, "--plan", file)
        sizes.append(alloy.stat().st_size)
    assert sizes[1] < 0.9 * sizes[0]


def test_an_impossible_budget_names_the_smallest(permalloy, model):
    options = ("--budget", "latency=0.001x", "--levels", "bf16", "--search-minutes", "0")
    _, result = search(permalloy, model, *options, code=None)
    assert "no plan is predicted to be that fast; the smallest feasible is latency=" in result.err


@pytest.mark.parametrize(
    "options, message",
    [
        (["--budget", "0.6"], "'0.6' is no budget, expected latency=0.6x"),
        (["--max-drop", "200%"], "'200%' is no share, expected one like 1% or 0.01"),
        (
            ["--max-drop", "1%", "--levels", "w99"],
            "no operation of the model can have any of the levels w99",
        ),
        (["--budget", "latency=1x", "--precision", "bf16"], "excludes"),
        (["--max-drop", "1%", "--quantize", "w8"], "excludes"),
        (["--max-drop", "1%", "--merge-tokens", "2"], "excludes"),
        (["--quantize", "w8", "--levels", "w8"], "counts with --budget or --max-drop only"),
        (["--precision", "auto", "--quantize", "w8"], "bounds no error of --quantize"),
    ],
)
def test_refused(permalloy, model, options, message):
    _, result = search(permalloy, model, *options, code=None)
    assert result.returncode and message in result.err


def test_inputs_are_needed(permalloy, model):
    result = permalloy("compile", model, "--max-drop", "1%", code=None)
    assert "--calibrate FILE.npz names them" in result.err
