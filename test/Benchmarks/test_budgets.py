# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Searched plans beside uniform ones: who is held against whom, verdicts, and a run on a few samples."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

from quality import budgets, losses, tasks

LANGUAGE = SimpleNamespace(name="language")


def form(name, latency, nats, divergence):
    """A form whose losses differ from sample to sample as every form's do."""
    base = np.random.default_rng(0).uniform(0.8, 1.0, 64)
    noise = np.random.default_rng(len(name)).uniform(0.99, 1.01, 64)
    columns = {"nats": base + nats * noise, "KL": divergence * noise}
    times = {"median": latency, "low": latency, "high": latency, "milliseconds": 10 * latency}
    return budgets.Form(name, Path(name), latency=times, losses=columns)


def test_the_best_uniform_plan_within_the_budget_is_the_one():
    uniform = [form("f32", 1, 0, 0), form("w8", 0.9, 0, 1e-5), form("w4", 0.5, 0.02, 0.02),
               form("block", 0.3, 1, 1)]  # fmt: skip
    plan = form("plan", 0.49, 0.01, 0.01)
    plan.predicted = 0.5
    row = budgets.compare(LANGUAGE, 0.5, plan, uniform)
    assert row["uniform"]["name"] == "w4" and row["verdict"] == "better" and row["within"]
    assert row["prediction_off"] == pytest.approx(0.5 / 0.49 - 1)
    assert row["difference"]["nats"]["high"] < 0
    assert budgets.compare(LANGUAGE, 0.95, plan, uniform)["verdict"] == "worse"
    assert budgets.compare(LANGUAGE, 0.2, plan, uniform)["verdict"] == "no uniform plan"
    assert not budgets.compare(LANGUAGE, 0.2, plan, uniform)["within"]


def test_equal_is_said_with_what_differs():
    zero = {"value": 0, "low": 0, "high": 0}
    lower = {"value": -2, "low": -3, "high": -1}
    words = budgets.verdict({"errors": zero, "KL": lower}, zero)
    assert words == "equal, the uniform plan is lossless; KL lower"
    assert (
        budgets.verdict({"errors": zero, "KL": zero}, {"value": 1, "low": 0.5, "high": 2})
        == "equal"
    )


def test_losses_of_known_outputs():
    task = tasks.Language(windows=3)
    even = np.full((256, 256), -np.log(256.0), np.float32)
    columns = losses.of(task, [even] * 3, [even] * 3)
    assert columns["nats"] == pytest.approx(np.log(256), rel=1e-5)
    assert columns["KL"] == pytest.approx(0, abs=1e-9)
    assert next(iter(columns)) == losses.MAIN["language"]


def test_run(tmp_path):
    permalloy = pytest.importorskip("permalloy")
    try:
        permalloy.compiler.find_compiler()
    except permalloy.CompileError as error:
        pytest.skip(str(error))
    command = [
        sys.executable,
        ROOT / "benchmarks/quality/budgets",
        "--models",
        "digits",
        "--budgets",
        "1.4",
    ]
    command += ["--levels", "bf16", "--samples", "24", "--pairs", "3", "--minutes", "0.01"]
    command += ["--work", tmp_path, "--out", tmp_path / "budgets.json"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (row,) = json.loads((tmp_path / "budgets.json").read_text())["rows"].values()
    assert row["plan"]["losses"]["errors"] <= 0.25 and row["plan"]["predicted"] > 0
    assert row["uniform"]["name"] in ("f32", "bf16") and "verdict" in row
    assert "budget 1.4x: predicted" in done.stdout and "best uniform" in done.stdout
