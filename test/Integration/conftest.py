# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Runs the `permalloy` of the build under test, and onnxruntime beside it."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from whole_models import EMULATED_TOOL, FAKE_DRIVER, ROOT, TOLERANCE

sys.path.insert(0, str(ROOT / "scripts/models"))

def find_tool():
    build = os.environ.get("PERMALLOY_BUILD_DIR")
    place = Path(build) / "bin/permalloy" if build else None
    return str(place) if place and place.exists() else shutil.which("permalloy")


def pytest_collection_modifyitems(items):
    """Tests marked slow run with scripts/check --full only, and are counted as skipped otherwise."""
    if os.environ.get("PERMALLOY_TEST_FULL") == "1":
        return
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="slow: run with scripts/check --full"))


@pytest.fixture(scope="session")
def tool():
    path = find_tool()
    if not path:
        pytest.skip("the compiler is not built (PERMALLOY_BUILD_DIR names no build with it)")
    return path


@pytest.fixture(scope="session")
def emulated():
    """emulated("run", ...) -> the finished process of `permalloy` on a machine with such a GPU."""
    if not EMULATED_TOOL.exists() or not FAKE_DRIVER.exists():
        pytest.skip("permalloy-emulated is not built (PERMALLOY_BUILD_DIR names no build with it)")

    def run(*arguments, code=0, **environment):
        own = {"PERMALLOY_LIBCUDA": str(FAKE_DRIVER), "PERMALLOY_PYTHON": sys.executable}
        command = [str(EMULATED_TOOL), *map(str, arguments)]
        environment = os.environ | own | {"XDG_DATA_HOME": "/dev/null"} | environment
        result = subprocess.run(
            command, capture_output=True, text=True, env=environment, check=False
        )
        assert result.returncode == code, f"{command}: {result.returncode}\n{result.stderr}"
        return result

    return run


@pytest.fixture(scope="session")
def permalloy(tool):
    """permalloy("compile", ...) -> the finished process; fails the test on an unexpected exit code."""

    def run(*arguments, code=0, cwd=None, env=None, **options):
        # What was measured on this machine must not change what tests see.
        own = {"PERMALLOY_PYTHON": sys.executable, "XDG_DATA_HOME": "/dev/null"}
        environment = os.environ | own | (env or {})
        command = [tool, *map(str, arguments)]
        result = subprocess.run(
            command, capture_output=True, cwd=cwd, env=environment, check=False, **options
        )
        result.out = result.stdout.decode(errors="replace")
        result.err = result.stderr.decode(errors="replace")
        if code is not None:
            assert result.returncode == code, f"{command}: {result.returncode}\n{result.err}"
        return result

    return run


@pytest.fixture
def refused(permalloy, tmp_path):
    """Expects one clear error that names all of `words`, and nothing left in the folder."""

    def run(*arguments, words=(), code=1, **options):
        folder = tmp_path / "work"
        folder.mkdir(exist_ok=True)
        before = sorted(folder.iterdir())
        result = permalloy(*arguments, code=code, cwd=folder, **options)
        errors = [line for line in result.err.splitlines() if line.startswith("permalloy: error: ")]
        assert len(errors) == 1, f"expected one error line:\n{result.err}"
        for word in words:
            assert str(word) in result.err, f"'{word}' is not in:\n{result.err}"
        assert sorted(folder.iterdir()) == before, "a file was left behind"
        return result

    return run


class Engines:
    """One model in both engines."""

    def __init__(self, permalloy, onnx, alloy, folder):
        import onnxruntime

        self.permalloy, self.alloy, self.folder = permalloy, alloy, folder
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        self.peer = onnxruntime.InferenceSession(
            str(onnx), options, providers=["CPUExecutionProvider"]
        )

    def ours(self, feed, threads=1):
        source, target = self.folder / "in.npz", self.folder / f"out{threads}.npz"
        np.savez(source, **feed)
        self.permalloy(
            *("run", self.alloy, "--inputs", source, "--outputs", target, "--threads", threads)
        )
        with np.load(target) as outputs:
            return {name: outputs[name] for name in outputs.files}

    def theirs(self, feed):
        names = [output.name for output in self.peer.get_outputs()]
        return dict(zip(names, self.peer.run(None, feed)))

    def check(self, feed, tolerance=TOLERANCE):
        """Compares with onnxruntime, and 1 with 2 threads bit by bit; the largest relative error."""
        ours, theirs, worst = self.ours(feed), self.theirs(feed), 0.0
        assert ours.keys() == theirs.keys()
        for name, two in self.ours(feed, threads=2).items():
            assert two.tobytes() == ours[name].tobytes(), "2 threads give other bits than 1"
        for name, expected in theirs.items():
            assert ours[name].shape == expected.shape and ours[name].dtype == expected.dtype
            assert np.array_equal(np.isnan(ours[name]), np.isnan(expected))
            error = np.nanmax(np.abs(ours[name] - expected)) / np.nanmax(np.abs(expected))
            shapes = {key: value.shape for key, value in feed.items()}
            assert error <= tolerance, f"{name} is {error:.1e} off for {shapes}"
            worst = max(worst, float(error))
        return worst


@pytest.fixture
def engines(permalloy, tmp_path):
    """engines(onnx) compiles a model and opens it in both engines."""

    def make(onnx, *options):
        alloy = tmp_path / "model.alloy"
        permalloy("compile", onnx, "-o", alloy, *options)
        return Engines(permalloy, onnx, alloy, tmp_path)

    return make


@pytest.fixture
def heed_interrupts():
    """A preexec_fn: a shell starts what it runs in the background with SIGINT ignored, and that is
    inherited."""
    return lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
