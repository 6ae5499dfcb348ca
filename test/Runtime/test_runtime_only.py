# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The runtime-only preset on a machine without LLVM."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_builds_and_passes_without_llvm(tmp_path):
    if os.environ.get("PERMALLOY_TEST_FULL") != "1":
        pytest.skip("builds for a minute: scripts/check --full only")
    build = tmp_path / "build"
    hidden = [f"-DCMAKE_DISABLE_FIND_PACKAGE_{name}=ON" for name in ("LLVM", "MLIR", "LLD")]
    # Compilers of LLVM 22 are hidden too: the system's own must do.
    environment = {k: v for k, v in os.environ.items() if k not in ("CC", "CXX")}

    def run(*command):
        result = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]

    run("cmake", "--preset", "runtime-only", "-B", build, "-DCMAKE_CXX_COMPILER=g++",
        "-DCMAKE_C_COMPILER=gcc", *hidden)  # fmt: skip
    run("cmake", "--build", build)
    run("ctest", "--test-dir", build, "-R", "^runtime")
