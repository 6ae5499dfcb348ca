# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""--sparsify: which layers get a level at their rows, and what blocks of 8-bit integers compute."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from permalloy import InferenceSession


def weight_of(k):
    return np.random.default_rng(1).normal(size=(k, k)).astype(np.float32)


def write_layer(path, rows, k=256):
    """y = x + x W, so that the layer gives no logits."""
    shape = ["batch", rows, k]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["p"], name="layer"), helper.make_node("Add", ["x", "p"], ["y"])],
        "layer",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(weight_of(k), "w")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


def planned(permalloy, model, *options):
    path = model.with_suffix(".json")
    permalloy("compile", model, "-o", model.with_suffix(".alloy"), "--no-database", "--print-plan", path, *options)
    (layer,) = [c for c in json.loads(path.read_text())["plan"] if c["kind"] == "linear"]
    return layer


@pytest.mark.parametrize(
    ("level", "target", "rows", "expected"),
    [
        ("2:4", "x86-64-v4", 1, "2:4"),
        ("2:4", "x86-64-v4", 65, "f32"),
        ("1:4", "x86-64-v4", 65, "1:4"),
        ("block50w8a8", "sapphirerapids", 1, "block50w8a8"),
        ("block50w8a8", "sapphirerapids", 512, "w8a8"),
        ("block50w8a8", "icelake-server", 512, "block50w8a8"),
    ],
)
def test_rows_decide(permalloy, tmp_path, level, target, rows, expected):
    model = write_layer(tmp_path / "model.onnx", rows)
    layer = planned(permalloy, model, "--sparsify", level, "--target", target, "--cost-model", "prior")
    assert layer["level"] == expected, layer
    assert (expected == level) == ("times as long as a dense weight, by the cost model" not in layer.get("reason", ""))


def codes_of(values, axis):
    scale = np.abs(values).max(axis, keepdims=True)
    return np.rint(values * (np.float32(127) / scale)), scale / np.float32(127)


@pytest.mark.parametrize("rows", [1, 5, 40])
def test_blocks_of_codes(permalloy, tmp_path, rows):
    k = 256
    model = write_layer(tmp_path / "model.onnx", "rows", k)
    alloy = tmp_path / "model.alloy"
    permalloy("compile", model, "-o", alloy, "--sparsify", "block50w8a8", "--cost-model", "none", "--no-database")
    blocks = weight_of(k).reshape(k // 4, 4, k // 16, 16)
    order = np.argsort(-(blocks.astype(np.float64) ** 2).sum((1, 3)), axis=0)
    keep = np.zeros((k // 4, k // 16), bool)
    np.put_along_axis(keep, order[: k // 8], True, axis=0)
    codes, scales = codes_of((blocks * keep[:, None, :, None]).reshape(k, k), 0)
    x = np.random.default_rng(2).normal(size=(1, rows, k)).astype(np.float32)
    rows_codes, row_scales = codes_of(x, -1)
    expected = x + (rows_codes @ codes) * row_scales * scales
    (result,) = InferenceSession(alloy).run(None, {"x": x})
    assert np.abs(result - expected).max() < 1e-4 * np.abs(expected).max()
