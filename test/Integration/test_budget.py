# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""--budget and --max-drop: plans that are found, gone on with and edited, and what is refused."""

import json
import os
import re
import signal
import subprocess
import time

import numpy as np
import onnx
import pytest
import small_bert
import small_vit
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


def measured(result):
    """The plan's share of f32's latency, as the command says."""
    return float(re.search(r", measured ([\d.e-]+)x \([\d.e-]+x to ", result.err)[1])


def predict(state, level, share):
    """Makes a search believe that linear layers at `level` take that share of f32's latency, whatever this CPU says."""
    known = json.loads(state.read_text())
    for site in known["sites"]:
        if site["kind"] == "linear":
            us = [share * time for time in site["levels"][0]["us"]]
            site["levels"][1:] = [
                {"level": level, "from": level, "us": us, "error": None, "solver": ""}
            ]
    state.write_text(json.dumps(known))


def test_max_drop_is_kept_and_the_state_goes_on(permalloy, model):
    state = model.with_name("state.json")
    options = ("--max-drop", "0.1%", "--levels", "bf16", "--search-state", state)
    plan, result = search(permalloy, model, *options)
    assert plan["error"] <= 1e-3
    assert "levels for the whole model" in result.err and "1 - cosine" in result.err
    # The cost model's name, its own prediction, the scaled one, and what was measured.
    assert (
        "as 'trees' predicts it" in result.err
        and "before scaling by what was measured" in result.err
    )
    assert re.search(r"plan: predicted [\d.]+x .*, measured [\d.]+x", result.err)
    known = json.loads(state.read_text())
    # Which levels are worth a measurement depends on the machine; each that is has one.
    for site in known["sites"]:
        errors = {level["level"]: level["error"] for level in site["levels"]}
        assert errors.pop("f32") == 0 and all(error > 0 for error in errors.values())
    uniform = {entry["level"]: entry["error"] for entry in known["uniform"]}
    assert uniform["f32"] == 0 < uniform["bf16"] < 1e-2
    assert known["factors"]["bf16"]["linear"] > 0
    again, _ = search(permalloy, model, *options)
    assert json.loads(state.read_text())["sites"] == known["sites"], "measured again"
    assert [line["op"] for line in again["plan"]] == [line["op"] for line in plan["plan"]]


def test_a_budget_is_held(permalloy, model):
    """One that every machine can meet; and the plan compiles again to what it says."""
    options = ("--budget", "latency=1.5x", "--levels", "bf16,w8", "--search-minutes", "0.02")
    plan, result = search(permalloy, model, *options)
    assert measured(result) <= 1.5
    again = model.with_name("again.json")
    permalloy(
        "compile", model, "-o", model.with_name("again.alloy"), "--plan", model.with_name("plan.json"),
        "--print-plan", again,
    )  # fmt: skip
    levels = {line["op"]: line["level"] for line in plan["plan"]}
    assert {line["op"]: line["level"] for line in json.loads(again.read_text())["plan"]} == levels


def test_merges_are_refused_where_a_mask_forbids_them(permalloy, model):
    _, result = search(permalloy, model, "--max-drop", "1%", "--levels", "bf16,merge2,merge3")
    for level in ("merge2", "merge3"):
        assert f"{level}: no block can give up tokens" in result.err


def test_a_merge_that_changes_nothing_hides_no_other(permalloy, tmp_path):
    """And a state of merges alone is gone on with."""
    config, model, state = small_vit.Config(), tmp_path / "model.onnx", tmp_path / "state.json"
    onnx.save(small_vit.model(config, small_vit.weights(config)), model)
    patches = np.random.default_rng(5).standard_normal((4, config.patches, config.patch))
    np.savez(tmp_path / "in.npz", patches=patches.astype(np.float32))
    levels = ("--levels", "merge0,merge2..x,merge5")
    options = ("--max-drop", "100%", *levels, "--search-state", state)
    _, result = search(permalloy, model, *options)
    assert "merge0: no block gives up tokens" in result.err
    assert "merge2..x: the model does not compile at it" in result.err
    known = json.loads(state.read_text())
    assert [merge["level"] for merge in known["merges"]] == ["merge0", "merge5"]
    assert [entry["level"] for entry in known["uniform"]] == ["f32", "merge5"]
    search(permalloy, model, *options)
    again = json.loads(state.read_text())
    assert [again[key] for key in ("uniform", "refused")] == [known["uniform"], known["refused"]]


def test_an_interrupt_keeps_the_best_so_far(permalloy, tool, model, heed_interrupts):
    """Ctrl-C while whole plans are tried: the artifact is written, and the state goes on."""
    alloy, state = model.with_name("model.alloy"), model.with_name("state.json")
    options = ("--budget", "latency=1.5x", "--levels", "bf16", "--search-state", state)
    home = {"XDG_DATA_HOME": str(model.parent)}  # of machine rates, which belong to the state
    search(permalloy, model, *options, "--search-minutes", "0", env=home)
    predict(state, "bf16", 0.5)  # else there may be no other plan than f32
    command = [tool, "compile", model, "-o", alloy, "--calibrate", model.with_name("in.npz"), *options,
               "--search-minutes", "30"]  # fmt: skip
    alloy.unlink()
    how = {
        "stderr": subprocess.PIPE,
        "text": True,
        "preexec_fn": heed_interrupts,
        "env": os.environ | home,
    }
    process = subprocess.Popen(list(map(str, command)), **how)
    deadline = time.monotonic() + 240
    while not json.loads(state.read_text())["generation"]:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert "plan: predicted" in said and alloy.stat().st_size > 0
    assert len(json.loads(state.read_text())["parent"]) > 1


def test_a_plan_that_gains_nothing_is_f32(permalloy, model):
    """Codes of 4 bits, believed to be ten times as fast: where they are not measured so, f32 stays."""
    state = model.with_name("state.json")
    options = ("--max-drop", "100%", "--levels", "w4g32", "--search-state", state)
    search(permalloy, model, *options)
    predict(state, "w4g32", 0.1)
    plan, result = search(permalloy, model, *options)
    if "f32 stays: no plan that loses at most 100% is measured more than 2% faster" in result.err:
        assert {line["level"] for line in plan["plan"]} == {"f32"}
    else:
        assert measured(result) <= 0.98


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
    solvers = {(line["kind"], line["solver"]) for line in plan["plan"] if line["level"] == "w4g32"}
    # Tables have no inputs to calibrate on.
    assert solvers <= {("linear", "gptq"), ("gather", "rtn")}


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
            "--levels: level 'w99' is unknown; there are f32, bf16, bf16x3, tf32, ",
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
