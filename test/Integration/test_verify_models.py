# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""scripts/verify-models: the command behind docs/accuracy.md."""

import json
import subprocess
import sys

import pytest
import small_bert
from smallbert import Config, Options
from whole_models import ROOT


@pytest.fixture
def verify_models(tool, tmp_path):
    """Runs the script on the models of `models`; its results go to `results`."""

    def run(*arguments, code=0):
        command = [sys.executable, ROOT / "scripts/verify-models", *arguments]
        command += ["--results", tmp_path / "results", "--permalloy", tool]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == code, result.stdout + result.stderr
        return result.stdout

    return run


@pytest.fixture
def models(tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    for spelling in ("ts17", "dyn23"):
        small_bert.write(folder / f"small.{spelling}.onnx", Config(), Options(spelling))
    return folder


SIZES = ("--batch", "1", "3", "--sequence", "2", "9", "--label")


def test_resumes_replaces_and_prints(verify_models, models, tmp_path):
    text = verify_models(models, "--only", "ts17", *SIZES, "one")
    assert "4 of 4 to do" in text and "4 ok" in text
    text = verify_models(models, *SIZES, "one")
    assert "0 of 4 to do" in text and "4 of 4 to do" in text and "8 ok" in text
    assert "2 of 6 to do" in verify_models(
        models, *SIZES, "one", "--only", "ts17", "--sequence", "2", "5", "9"
    )
    verify_models(models, *SIZES, "two")
    (path,) = (tmp_path / "results").iterdir()
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(rows) == 10 and sum(row["version"] == "two" for row in rows) == 8
    page = verify_models("--table")
    assert "| `small.dyn23.onnx` | 1, 3 | 2, 9 |  | 4 of 4 |" in page


def test_says_what_does_not_compile_or_agree(verify_models, models):
    (models / "broken.onnx").write_bytes(b"nonsense")
    text = verify_models(models, *SIZES, "one", "--tolerance", "0", code=1)
    assert "not compiled: " in text and "8 differs" in text
    page = verify_models("--table")
    assert "`broken.onnx`: not compiled" in page and "0 of 4" in page


def test_converts_to_other_precisions(verify_models, models, tmp_path):
    text = verify_models(models, "--only", "ts17", *SIZES, "one", "--precision", "f32", "bf16")
    assert "small.ts17.bf16.onnx" in text and "8 ok" in text
    (path,) = (tmp_path / "results").iterdir()
    worst = [json.loads(line)["worst"] for line in path.read_text().splitlines()]
    assert sum(error > 2e-4 for error in worst) == 4  # those of bf16, by rounding
