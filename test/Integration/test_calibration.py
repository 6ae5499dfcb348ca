# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""--calibrate: statistics of what layers read, and the solvers that use them."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

K = 256


@pytest.fixture(scope="module")
def weights():
    rng = np.random.default_rng(0)
    return [(rng.standard_normal((K, K)) / 16).astype(np.float32) for _ in range(3)]


@pytest.fixture
def model(tmp_path, weights):
    """y = relu(x A) C, z = x B: two layers read x."""
    nodes = [
        helper.make_node("MatMul", ["x", "A"], ["a"], name="first"),
        helper.make_node("Relu", ["a"], ["r"], name="relu"),
        helper.make_node("MatMul", ["x", "B"], ["z"], name="second"),
        helper.make_node("MatMul", ["r", "C"], ["y"], name="third"),
    ]
    shape = ["batch", "seq", K]
    graph = helper.make_graph(
        nodes,
        "layers",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "yz"],
        [numpy_helper.from_array(w, name) for w, name in zip(weights, "ABC", strict=True)],
    )
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), path)
    return path


def samples(count, length=8, seed=1):
    """Mixtures of few sources, as the inputs of layers are."""
    rng = np.random.default_rng(seed)
    mix = np.random.default_rng(2).standard_normal((K // 8, K))
    sources = rng.standard_normal((count, length, K // 8))
    return (sources @ mix + 0.3 * rng.standard_normal((count, length, K))).astype(np.float32)


def spoiled(array, sample, number):
    array[sample, -1, 3] = number
    return array


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "data.npz"
    np.savez(path, x=samples(100))
    return path


def read(path):
    """The arrays of a safetensors file, and its metadata."""
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    metadata = header.pop("__metadata__")
    arrays = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        dtype = {"F32": "<f4", "I64": "<i8"}[entry["dtype"]]
        arrays[name] = np.frombuffer(content[start + begin : start + end], dtype).reshape(
            entry["shape"]
        )
        assert (start + begin) % 64 == 0
    return arrays, metadata


def test_statistics_are_numpys(permalloy, model, data, weights, tmp_path):
    path = tmp_path / "s.safetensors"
    permalloy("compile", model, "--calibrate", data, "--statistics", path, "-o", tmp_path / "x.alloy")
    arrays, metadata = read(path)
    # The first layer is one operation with its activation, whose name it bears.
    assert json.loads(metadata["layers"]) == {"relu": "relu", "second": "relu", "third": "third"}
    x = samples(100).reshape(-1, K).astype(np.float64)
    values = {"relu": x, "third": np.maximum(x @ weights[0], 0)}
    for name, value in values.items():
        assert arrays[f"{name}.rows"] == 800
        gram = value.T @ value
        np.testing.assert_allclose(arrays[f"{name}.gram"], gram, atol=1e-4 * np.abs(gram).max())
        np.testing.assert_allclose(arrays[f"{name}.mean"], value.mean(0), atol=1e-4)
        np.testing.assert_allclose(arrays[f"{name}.second"], (value**2).mean(0), rtol=1e-4)
        np.testing.assert_allclose(arrays[f"{name}.absmax"], np.abs(value).max(0), rtol=1e-4)


def compiled_error(permalloy, model, tmp_path, *arguments):
    """Of y and z on other samples, relative to the model's own."""
    alloy, held_out = tmp_path / "x.alloy", tmp_path / "held-out.npz"
    np.savez(held_out, x=samples(4, seed=9))
    results = []
    for flags in ((), arguments):
        said = permalloy("compile", model, "-o", alloy, *flags).err
        permalloy("run", alloy, "--inputs", held_out, "--outputs", tmp_path / "y.npz")
        results.append(np.load(tmp_path / "y.npz"))
    exact, mine = results
    error = max(np.linalg.norm(mine[n] - exact[n]) / np.linalg.norm(exact[n]) for n in "yz")
    return error, said


@pytest.mark.parametrize("level", ("w4g32", "w4g64asym", "w4"))
def test_gptq_halves_the_error_of_rounding(permalloy, model, data, tmp_path, level):
    level += f",head={level}"
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}

    def run(*arguments, **options):
        return permalloy(*arguments, **options, env=cache)

    rounded, _ = compiled_error(run, model, tmp_path, "--quantize", level)
    flags = ("--quantize", level, "--solver", "gptq", "--calibrate", data)
    solved, _ = compiled_error(run, model, tmp_path, *flags)
    assert solved < 0.6 * rounded
    kept = list((tmp_path / "cache/permalloy/statistics").iterdir())
    assert len(kept) == 1
    # Found again, and the same file for the same model and samples; -v says what the solver did.
    before = kept[0].read_bytes()
    again, said = compiled_error(run, model, tmp_path, *flags, "-v")
    assert again == solved
    assert kept[0].read_bytes() == before
    errors = re.findall(r"^  (\w+) +([\d.e-]+)% +gptq$", said, re.MULTILINE)
    assert sorted(name for name, _ in errors) == ["relu", "second", "third"]
    assert all(0 < float(error) < 100 * rounded for _, error in errors)


def test_kept_statistics_serve_without_samples(permalloy, model, data, tmp_path):
    path, out = tmp_path / "s.safetensors", ("-o", tmp_path / "x.alloy")
    permalloy("compile", model, "--calibrate", data, "--statistics", path, *out)
    solve = ("--quantize", "w4g32,head=w4g32", "--solver", "gptq")
    first = permalloy("compile", model, *solve, "--statistics", path, *out)
    content = (tmp_path / "x.alloy").read_bytes()
    permalloy("compile", model, *solve, "--calibrate", data, "--no-cache", *out)
    assert (tmp_path / "x.alloy").read_bytes() == content
    assert "3 linear" in first.err


def peak(tool, *arguments):
    """Peak of resident memory, in bytes: of a child of a small process, since a child's begins with its parent's."""
    script = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tool, *map(str, arguments)],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"XDG_DATA_HOME": "/dev/null"},
    )
    return int(done.stdout) * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kilobytes on Linux")
def test_memory_does_not_grow_with_samples(tool, model, tmp_path):
    peaks = []
    for count in (64, 16384):  # 0.5 and 134 MB of samples
        np.savez(tmp_path / "data.npz", x=samples(count))
        arguments = ("--calibrate", tmp_path / "data.npz", "--statistics", tmp_path / "s")
        peaks.append(peak(tool, "compile", model, *arguments, "-o", tmp_path / "x.alloy"))
    assert peaks[1] < peaks[0] + 24e6, peaks


def test_what_is_missing(permalloy, refused, model, data, tmp_path):
    out = ("-o", tmp_path / "work/x.alloy")
    gptq = ("--quantize", "w4g32", "--solver", "gptq")
    refused("compile", model, *out, *gptq, words=["'gptq'", "--calibrate FILE.npz", "--statistics"])
    refused("compile", model, *out, "--calibrate", data, code=2, words=["--quantize"])
    none = tmp_path / "none.npz"
    refused("compile", model, *out, *gptq, "--calibrate", none, words=["none.npz"])
    for arrays, words in (
        ({}, ["input 'x' is missing"]),
        ({"x": samples(2), "w": samples(1)}, ["the model has no input 'w'"]),
        ({"x": samples(2)[:, :, :9]}, ["[2, 8, 9]", "[batch, seq, 256]"]),
        ({"x": samples(2).astype(np.float64)}, ["is float64", "takes float32"]),
        ({"x": np.asfortranarray(samples(2))}, ["Fortran order"]),
        ({"x": spoiled(samples(100), 97, np.nan)}, ["input 'x' has a NaN in sample 97"]),
        ({"x": spoiled(samples(2), 1, np.inf)}, ["reads is not finite in run 0"]),
    ):
        np.savez(none, **arrays)
        refused("compile", model, *out, *gptq, "--calibrate", none, words=words)


def test_statistics_of_another_model(permalloy, refused, model, data, tmp_path):
    path = tmp_path / "s"
    permalloy("compile", model, "--calibrate", data, "--statistics", path, "-o", tmp_path / "y.alloy")
    out = ("-o", tmp_path / "work/x.alloy")
    gptq = ("--quantize", "w4g32", "--solver", "gptq", "--statistics")
    other = onnx.load(model)
    for node in other.graph.node:
        node.name += "_other"
    onnx.save(other, tmp_path / "other.onnx")
    refused("compile", tmp_path / "other.onnx", *out, *gptq, path, words=["of another model"])
    path.write_bytes(path.read_bytes()[:-100])
    refused("compile", model, *out, *gptq, path, words=["damaged or cut off"])
