# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""f16 and bf16 arrays in and out; numpy itself has no bfloat16, ml_dtypes or the bits as uint16 stand for it."""

import numpy as np
import pytest

permalloy = pytest.importorskip("permalloy", reason="the Python package is not built")
onnx = pytest.importorskip("onnx", reason="onnx makes the models")
ml_dtypes = pytest.importorskip("ml_dtypes", reason="bfloat16 of numpy")

TYPES = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16}


def product(path, name, weight):
    """relu(x w), all of one type."""
    helper = onnx.helper
    element = getattr(onnx.TensorProto, name.upper())
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Relu", ["h"], ["y"])]
    ends = [
        [helper.make_tensor_value_info(end, element, ["n", size])]
        for end, size in zip("xy", weight.shape)
    ]
    initializer = onnx.numpy_helper.from_array(weight.astype(TYPES[name]), "w")
    graph = helper.make_graph(nodes, "product", *ends, [initializer])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)


@pytest.mark.parametrize("name", TYPES)
def test_arrays_of_the_type(compiler, tmp_path, name):
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((33, 50)).astype(np.float32)
    product(tmp_path / "m.onnx", name, weight)
    session = permalloy.InferenceSession(str(tmp_path / "m.onnx"))
    assert session.get_inputs()[0].type == f"tensor({name})"
    x = rng.standard_normal((7, 33)).astype(TYPES[name])
    y = session.run(None, {"x": x})[0]
    assert y.dtype == TYPES[name]
    rounded = weight.astype(TYPES[name]).astype(np.float32)
    expected = np.maximum(x.astype(np.float32) @ rounded, 0)
    # Sums in f32, one rounding of the result.
    unit = 2.0**-11 if name == "float16" else 2.0**-8
    assert np.abs(y.astype(np.float32) - expected).max() <= 1.01 * unit * np.abs(expected).max()


def test_bits_of_bfloat16(compiler, tmp_path):
    """uint16 is taken as the bits of a bfloat16, and of nothing else."""
    for name in TYPES:
        product(tmp_path / f"{name}.onnx", name, np.eye(4, dtype=np.float32))
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    session = permalloy.InferenceSession(str(tmp_path / "bfloat16.onnx"))
    y = session.run(None, {"x": x.astype(ml_dtypes.bfloat16).view(np.uint16)})[0]
    np.testing.assert_array_equal(y.astype(np.float32), x)
    session = permalloy.InferenceSession(str(tmp_path / "float16.onnx"))
    with pytest.raises(Exception, match="uint16, expected float16"):
        session.run(None, {"x": x.astype(np.float16).view(np.uint16)})
