# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""`cmake --install` of the runtime, moved, and used by a CMake project and through pkg-config."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(
    "ASAN_OPTIONS" in os.environ, reason="a library with AddressSanitizer links with programs that have it"
)


def run(*command, **options):
    result = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert result.returncode == 0, f"{command}\n{result.stdout[-3000:]}{result.stderr[-3000:]}"
    return result.stdout


@pytest.fixture(scope="module")
def build():
    path = os.environ.get("PERMALLOY_BUILD_DIR")
    if not path or not (Path(path) / "bin/permalloy-make-tiny").exists():
        pytest.skip("PERMALLOY_BUILD_DIR names no build with the runtime's tests")
    return Path(path)


@pytest.fixture(scope="module")
def installed(build, tmp_path_factory):
    """Installed in one folder, then moved to another."""
    first, second = tmp_path_factory.mktemp("install") / "a", tmp_path_factory.mktemp("moved") / "b"
    for component in ("runtime", "development"):
        run("cmake", "--install", build, "--prefix", first, "--component", component)
    shutil.move(first, second)
    return second


@pytest.fixture(scope="module")
def tiny(build, tmp_path_factory):
    path = tmp_path_factory.mktemp("tiny") / "tiny.alloy"
    run(build / "bin/permalloy-make-tiny", path)
    return path


def expect_shapes(program, tiny, installed):
    (library,) = installed.glob("lib*/**/libpermalloy_runtime.so.3")
    text = run(program, tiny, env=os.environ | {"LD_LIBRARY_PATH": str(library.parent)})
    assert "input x float32 [batch, seq, 8]" in text and "output s float32 [batch, seq]" in text


def test_find_package(installed, tiny, tmp_path):
    source = ROOT / "examples/cmake"
    run("cmake", "-S", source, "-B", tmp_path, f"-DCMAKE_PREFIX_PATH={installed}")
    run("cmake", "--build", tmp_path)
    expect_shapes(tmp_path / "shapes", tiny, installed)


def test_find_package_holds_to_the_version(installed, tmp_path):
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16)\nproject(x LANGUAGES C)\n"
        "find_package(Permalloy 9.1 REQUIRED)\n"
    )
    command = ("cmake", "-S", tmp_path, "-B", tmp_path / "b", f"-DCMAKE_PREFIX_PATH={installed}")
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode != 0 and "version: 0.1.0" in result.stderr


@pytest.mark.skipif(not shutil.which("pkg-config"), reason="pkg-config is not installed")
def test_pkg_config(installed, tiny, tmp_path):
    (folder,) = installed.glob("lib*/**/pkgconfig")
    flags = run("pkg-config", "--cflags", "--libs", "permalloy",
                env=os.environ | {"PKG_CONFIG_PATH": str(folder)}).split()  # fmt: skip
    program = tmp_path / "shapes"
    run("cc", "-std=c11", ROOT / "examples/cmake/shapes.c", "-o", program, *flags)
    expect_shapes(program, tiny, installed)
