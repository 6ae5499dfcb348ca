# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Models for the tests of the Python package: one made without the compiler, one through it."""

import os
import stat
import subprocess
import textwrap
from pathlib import Path

import pytest

try:
    import permalloy
except ImportError:
    permalloy = None  # each test file then skips with the reason


def _build() -> Path:
    # The package in a build tree is <build>/python/permalloy.
    build = Path(permalloy.__file__).resolve().parent.parent.parent
    return Path(os.environ.get("PERMALLOY_BUILD_DIR", build))


def _make_tiny(folder: Path, *arguments: str) -> str:
    tool = _build() / "bin" / "permalloy-make-tiny"
    if not tool.exists():
        pytest.skip(f"{tool} is not built")
    path = folder / "tiny.alloy"
    subprocess.run([tool, path, *arguments], check=True)
    return str(path)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> str:
    """The runtime tests' model: y = (x * w + b) * m, s = row sums of x * w + b, c = x."""
    return _make_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def tiny_cache(tmp_path_factory) -> str:
    """The runtime tests' decoder: x [b, 2, s, 4] joins past.k and past.v [b, 2, p, 4], and y
    [b, 2, 4] is the sum over the rows of k + (row + 1) * v."""
    return _make_tiny(tmp_path_factory.mktemp("tiny"), "cache")


@pytest.fixture(scope="session")
def tiny_gpu(tmp_path_factory) -> str:
    """`tiny` with code for a GPU as well."""
    return _make_tiny(tmp_path_factory.mktemp("tiny"), "gpu")


@pytest.fixture(scope="session")
def tiny_gpu_cache(tmp_path_factory) -> str:
    """`tiny_cache` with code for a GPU as well."""
    return _make_tiny(tmp_path_factory.mktemp("tiny"), "cache", "gpu")


@pytest.fixture
def gpu(monkeypatch) -> str:
    """A machine with a GPU: the runtime tests' driver on the host's memory. Its path."""
    driver = _build() / "lib" / "libpermalloy_fake_cuda.so"
    if not driver.exists():
        pytest.skip(f"{driver} is not built")
    monkeypatch.setenv("PERMALLOY_LIBCUDA", str(driver))
    return str(driver)


@pytest.fixture
def no_gpu(monkeypatch):
    """A machine without one."""
    monkeypatch.setenv("PERMALLOY_LIBCUDA", "/nowhere/libcuda.so.1")


@pytest.fixture(scope="module")
def session(tiny):
    """On `tiny`, with two threads."""
    options = permalloy.SessionOptions()
    options.intra_op_num_threads = 2
    return permalloy.InferenceSession(tiny, options)


@pytest.fixture
def own_cache(tmp_path, monkeypatch) -> Path:
    """A cache of this test's own; gives the folder of models."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "permalloy" / "models"


@pytest.fixture
def fake_compiler(tiny, tmp_path, monkeypatch, own_cache):
    """A compiler that writes `tiny` whatever it is given; gives a function that reads its log."""
    log, script = tmp_path / "log", tmp_path / "fake-permalloy"
    script.write_text(
        textwrap.dedent(
            f"""\
            #!/bin/bash
            # compile MODEL -o OUT [flags]
            echo "$@" >> {log}
            case "$(head -c 5 "$2")" in
              BAD*) echo "error: $2: not an ONNX model" >&2; exit 1 ;;
              CRASH) kill -SEGV $$ ;;
              OLD*) case "$*" in
                *cuda*) echo "error: $(head -n 1 "$2" | cut -c 5-)" >&2; exit 1 ;;
              esac ;;
            esac
            cp {tiny} "$4.tmp.$$" && mv "$4.tmp.$$" "$4"
            """
        )
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PERMALLOY_COMPILER", str(script))
    return lambda: log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def compiler(own_cache) -> str:
    """The real compiler, or a skip."""
    try:
        return permalloy.compiler.find_compiler()
    except permalloy.CompileError as error:
        pytest.skip(str(error))
