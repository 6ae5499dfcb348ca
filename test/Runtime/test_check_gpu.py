# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""scripts/check-gpu: on the fake driver, whose kernels compute, and on a machine without a driver."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
SHAPES = {"x": (2, 3, 8), "m": (2, 3)}
BUILD = Path(os.environ.get("PERMALLOY_BUILD_DIR", "nowhere"))


def find(*patterns):
    found = [path for pattern in patterns for path in sorted(BUILD.glob(pattern))]
    if not found:
        pytest.skip(f"the build has no {patterns[0]}")
    return found[0]


@pytest.fixture
def pack(tmp_path):
    """A pack of the runtime's tiny model, with code for the fake GPU."""
    folder = tmp_path / "pack"
    folder.mkdir()
    shutil.copy2(find("bin/check_gpu"), folder)
    shutil.copy2(find("lib/libpermalloy_runtime.so.3"), folder / "libpermalloy_runtime.so.3")
    subprocess.run([find("bin/permalloy-make-tiny"), folder / "tiny.alloy", "gpu"], check=True)
    random = np.random.default_rng(0)
    values = {name: random.standard_normal(shape).astype(np.float32) for name, shape in SHAPES.items()}
    np.savez(tmp_path / "in.npz", **values)
    subprocess.run([find("bin/permalloy"), "run", folder / "tiny.alloy", "--inputs", tmp_path / "in.npz", "--outputs", tmp_path / "out.npz"], check=True)  # fmt: skip
    lines = [("permalloy-gpu-pack", 1), ("commit", "0123abc"), ("peak", 80, "f32", 19500, "hbm", 2039), ("case", "tiny", "tiny.alloy"),
             ("check", "relative", 2e-4)]  # fmt: skip
    for name, array in values.items():
        np.save(folder / f"{name}.npy", array)
        lines.append(("input", name, f"{name}.npy"))
    with np.load(tmp_path / "out.npz") as outputs:
        for name in outputs.files:
            np.save(folder / f"{name}.npy", outputs[name])
            lines.append(("output", name, f"{name}.npy"))
    write(folder, lines)
    return folder, lines


def write(folder, lines):
    (folder / "pack.txt").write_text("".join("\t".join(map(str, line)) + "\n" for line in lines))


def check_gpu(folder, *options, driver=None):
    environment = os.environ | {"PERMALLOY_LIBCUDA": str(driver or find("lib/libpermalloy_fake_cuda.so"))}
    return subprocess.run([ROOT / "scripts/check-gpu", folder, *options], capture_output=True, text=True, env=environment, check=False)


def test_numbers_and_leaks(pack, tmp_path):
    folder, _ = pack
    done = check_gpu(folder, "--runs", "20", "--json", tmp_path / "result.json")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "result.json").read_text())
    assert report["commit"] == "0123abc" and report["capability"] == "8.0" and report["driver"].startswith("CUDA 12")
    numbers, leaks = report["rows"]
    assert numbers["what"] == "relative" and numbers["ok"] and numbers["value"] < 1e-6
    assert numbers["graphs"] > 0 and numbers["nodes_set"] > 0
    assert leaks["what"] == "20 runs" and leaks["ok"]


def test_runs_that_are_no_graphs_are_wrong(pack, monkeypatch):
    folder, _ = pack
    monkeypatch.setenv("PERMALLOY_FAKE_CUDA", "graphs=0")
    done = check_gpu(folder, "--runs", "2")
    assert done.returncode == 1 and "WRONG no run was a graph" in done.stdout


def test_times(pack, tmp_path):
    folder, lines = pack
    write(folder, [*lines, ("time", "2 x 3", "f32", 1e6, 1e6), ("random", "x", "2,3,8"), ("fill", "m", "2,3", 1)])
    done = check_gpu(folder, "--json", tmp_path / "result.json")
    assert done.returncode == 0, done.stdout + done.stderr
    row = json.loads((tmp_path / "result.json").read_text())["rows"][1]
    assert row["what"] == "2 x 3" and row["run_us"] > 0


def test_wrong_numbers_are_wrong(pack):
    folder, _ = pack
    np.save(folder / "y.npy", np.load(folder / "y.npy") + 1)
    done = check_gpu(folder, "--runs", "2")
    assert done.returncode == 1 and "WRONG" in done.stdout


def test_an_archive(pack, tmp_path):
    folder, _ = pack
    subprocess.run(["tar", "-cJf", tmp_path / "pack.tar.xz", "-C", folder.parent, folder.name], check=True)
    assert check_gpu(tmp_path / "pack.tar.xz", "--runs", "2").returncode == 0


def test_no_driver_is_said(pack):
    folder, _ = pack
    done = check_gpu(folder, driver="/nonexistent/libcuda.so.1")
    assert done.returncode == 2 and "driver" in done.stderr and not done.stdout


def test_no_pack_is_said(pack, tmp_path):
    folder, lines = pack
    assert check_gpu(tmp_path).returncode == 2
    assert check_gpu("--help").returncode == 0
    write(folder, lines[:2])
    done = check_gpu(folder)
    assert done.returncode == 2 and "has no cases" in done.stderr
    write(folder, [*lines, ("nonsense", 1)])
    done = check_gpu(folder)
    assert done.returncode == 2 and "'nonsense' cannot stand here" in done.stderr


def test_packing_says_what_is_wrong(tmp_path):
    def pack_gpu(out, only):
        command = [sys.executable, ROOT / "scripts/pack-gpu", out, "--build", BUILD, "--only", only]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("kept")
    done = pack_gpu(mine, "gemm")
    assert done.returncode == 1 and "is no pack" in done.stderr and (mine / "thesis.txt").exists()
    find("bin/check_gpu"), find("bin/permalloy")
    for _ in range(2):  # what a pack left behind may be replaced
        done = pack_gpu(tmp_path / "pack", "no such model")
        assert done.returncode == 1 and "no model was packed" in done.stderr


def test_small_models_on_emulated_kernels(tmp_path):
    """What pack-gpu writes, with the kernels of sm_80 run on this CPU (test/Emulation)."""
    compiler, driver = find("bin/permalloy-emulated"), find("lib/libpermalloy_fake_gpu.so")
    command = [sys.executable, ROOT / "scripts/pack-gpu", tmp_path / "pack", "--build", BUILD, "--permalloy", compiler,
               "--target", "x86-64-v3,sm_80", "--only", "op23-decode-f32", "op23-decode-bf16"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 models" in done.stdout and "left out" not in done.stdout
    done = check_gpu(tmp_path / "pack.tar.xz", "--runs", "1", "--json", tmp_path / "result.json", driver=driver)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads((tmp_path / "result.json").read_text())["rows"]
    assert [row["ok"] for row in rows] == [True] * 4
    assert [row["what"] for row in rows[::2]] == ["relative", "cosine"]
