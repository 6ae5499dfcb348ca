# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A small encoder, a case file for it, and `benchmarks/run` on both with onnxruntime alone."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from small_cases import CASES

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "scripts/models")]


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

    def command(arguments, folder):
        command = [sys.executable, ROOT / "benchmarks/run", "--models", folder]
        command += ["--case-file", case_file, "--peers", "onnxruntime", "--out", run.results]
        return [*command, "--work", tmp_path / "work", *map(str, arguments)]

    def run(*arguments, folder=models):
        result = subprocess.run(
            command(arguments, folder), capture_output=True, text=True, check=False
        )
        result.all = result.stdout + result.stderr
        return result

    def start(*arguments):
        return subprocess.Popen(
            command(arguments, models),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    run.start = start
    run.results, run.cases, run.work = tmp_path / "out/results.json", case_file, tmp_path / "work"
    return run
