# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A small encoder, a case file for it, and `benchmarks/run` on both with onnxruntime alone."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "scripts/models")]

CASES = """
[defaults]
precisions = ["f32"]
threads = [1]
forms = ["plain"]
flavour = "dyn18"

[models.small]
inputs = "text"
layers = 2
hidden = 64
feed_forward = 128
heads = 4

[[case]]
name = "small b2 s16"
group = "encoders"
model = "small"
batch = 2
sequence = 16
why = "a test"

[[case]]
name = "small b1 s7"
group = "encoders"
model = "small"
batch = 1
sequence = 7
why = "a test"
"""


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """A folder with small.dyn18.onnx."""
    import small_bert
    import smallbert

    folder = tmp_path_factory.mktemp("models")
    small_bert.write(folder / "small.dyn18.onnx", smallbert.Config(vocab_size=1000))
    return folder


@pytest.fixture
def bench(models, tmp_path):
    """bench("--pairs", 3) -> the finished process; the results are in bench.results."""
    pytest.importorskip("onnxruntime")
    permalloy = pytest.importorskip("permalloy")
    try:
        permalloy.compiler.find_compiler()
    except permalloy.CompileError as error:
        pytest.skip(str(error))
    case_file = tmp_path / "cases.toml"
    case_file.write_text(CASES)

    def run(*arguments, folder=models):
        command = [sys.executable, ROOT / "benchmarks/run", "--models", folder]
        command += ["--case-file", case_file, "--peers", "onnxruntime", "--out", run.results]
        command += ["--work", tmp_path / "work", *map(str, arguments)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        result.all = result.stdout + result.stderr
        return result

    run.results, run.cases, run.work = tmp_path / "out/results.json", case_file, tmp_path / "work"
    return run
