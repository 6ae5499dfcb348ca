# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The runtime-only preset on a machine without LLVM, and the runtime under ThreadSanitizer."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(*command, environment=None):
    result = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]


@pytest.mark.slow
def test_no_races(tmp_path):
    """All tests of the runtime, 8 threads x 1,000 calls among them, under ThreadSanitizer."""
    if os.environ.get("PERMALLOY_TEST_FULL") != "1":
        pytest.skip("builds for a minute: scripts/check --full only")
    if not shutil.which("clang++-22"):
        pytest.skip("clang++-22 is not installed")
    build = tmp_path / "build"
    run("cmake", "--preset", "tsan", "-B", build)
    run("cmake", "--build", build)
    run("ctest", "--test-dir", build, "-R", "^runtime", "--output-on-failure")


@pytest.mark.slow
def test_builds_and_passes_without_llvm(tmp_path):
    if os.environ.get("PERMALLOY_TEST_FULL") != "1":
        pytest.skip("builds for a minute: scripts/check --full only")
    build = tmp_path / "build"
    hidden = [f"-DCMAKE_DISABLE_FIND_PACKAGE_{name}=ON" for name in ("LLVM", "MLIR", "LLD")]
    # Compilers of LLVM 22 are hidden too: the system's own must do.
    environment = {k: v for k, v in os.environ.items() if k not in ("CC", "CXX")}

    run("cmake", "--preset", "runtime-only", "-B", build, "-DCMAKE_CXX_COMPILER=g++",
        "-DCMAKE_C_COMPILER=gcc", *hidden, environment=environment)  # fmt: skip
    run("cmake", "--build", build, environment=environment)
    run("ctest", "--test-dir", build, "-R", "^runtime")
