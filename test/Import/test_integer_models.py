# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Quantized graphs against onnxruntime: integers exactly, floats within 1e-3 of the largest.

Weights are larger than what stays in the IR, so that they take the way of a real model's.
"""

import compiled
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

onnxruntime = pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.skipif(
    compiled.load() is None, reason="the Python package or the compiler is not built"
)
M, K, N = 21, 68, 50
RNG = np.random.default_rng(1)


def integers(dtype, *shape):
    info = np.iinfo(dtype)
    return RNG.integers(info.min, info.max + 1, shape).astype(dtype)


def number(value, dtype=np.float32):
    return np.array(value, dtype)


def model(nodes, inputs, constants, output):
    """`inputs`: arrays by name; `output`: the element type of `y`."""

    def info(name, array):
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        return helper.make_tensor_value_info(name, kind, ["m", *array.shape[1:]])

    graph = helper.make_graph(
        nodes,
        "g",
        [info(name, array) for name, array in inputs.items()],
        [helper.make_tensor_value_info("y", output, None)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def node(op, inputs, output="y", **attributes):
    domain = "com.microsoft" if op in MICROSOFT else ""
    return helper.make_node(op, inputs.split(" "), [output], domain=domain, **attributes)


MICROSOFT = {"MatMulIntegerToFloat", "DynamicQuantizeMatMul", "QGemm"}
X = {"x": RNG.standard_normal((M, K)).astype(np.float32)}
SCALES = (RNG.random(N).astype(np.float32) + 0.5) / 100


def matmul_integer(a, b, zero_b):
    inputs = {"a": integers(a, M, K)}
    constants = {"b": integers(b, K, N), "za": number(3, a), "zb": zero_b}
    nodes = [node("MatMulInteger", "a b za zb")]
    return model(nodes, inputs, constants, TensorProto.INT32), inputs


def dynamic(b):
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        node("MatMulInteger", "q b z", "sums"),
        node("Cast", "sums", "f", to=TensorProto.FLOAT),
        node("Mul", "s scales", "factor"),
        node("Mul", "f factor"),
    ]
    constants = {"b": integers(b, K, N), "scales": SCALES}
    return model(nodes, X, constants, TensorProto.FLOAT), X


def qlinear(a, b, y):
    inputs = {"a": integers(a, M, K)}
    constants = {
        "sa": number(0.02), "za": number(5, a), "b": integers(b, K, N), "sb": SCALES,
        "zb": np.zeros(N, b), "sy": number(0.4), "zy": number(7, y),
    }  # fmt: skip
    nodes = [node("QLinearMatMul", "a sa za b sb zb sy zy")]
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(y))
    return model(nodes, inputs, constants, kind), inputs


def to_float():
    inputs = {"a": integers(np.uint8, M, K)}
    constants = {
        "b": integers(np.int8, K, N), "sa": number(0.02), "sb": SCALES, "za": number(120, np.uint8),
        "zb": np.zeros(N, np.int8), "bias": RNG.standard_normal(N).astype(np.float32),
    }  # fmt: skip
    nodes = [node("MatMulIntegerToFloat", "a b sa sb za zb bias")]
    return model(nodes, inputs, constants, TensorProto.FLOAT), inputs


def dynamic_matmul():
    constants = {"b": integers(np.int8, K, N), "sb": SCALES}
    nodes = [node("DynamicQuantizeMatMul", "x b sb")]
    return model(nodes, X, constants, TensorProto.FLOAT), X


def qgemm(requantized, zero=5):
    inputs = {"a": integers(np.uint8, M, K)}
    constants = {
        "sa": number(0.02), "za": number(zero, np.uint8), "b": integers(np.int8, K, N), "sb": number(0.01),
        "zb": number(0, np.int8), "c": RNG.integers(-9000, 9000, N).astype(np.int32),
        "sy": number(0.4), "zy": number(7, np.uint8),
    }  # fmt: skip
    names = "a sa za b sb zb c" + (" sy zy" if requantized else "")
    kind = TensorProto.UINT8 if requantized else TensorProto.FLOAT
    return model([node("QGemm", names)], inputs, constants, kind), inputs


def qdq(quantized_result):
    """What static quantizers write: the weight and the input dequantized, multiplied, and the result quantized."""
    constants = {
        "sx": number(0.03), "zx": number(128, np.uint8), "b": integers(np.int8, K, N), "sb": number(0.01),
        "zb": number(0, np.int8), "sy": number(0.5), "zy": number(120, np.uint8),
    }  # fmt: skip
    nodes = [
        node("QuantizeLinear", "x sx zx", "q"),
        node("DequantizeLinear", "q sx zx", "d"),
        node("DequantizeLinear", "b sb zb", "w"),
        node("MatMul", "d w", "p" if quantized_result else "y"),
    ]
    if quantized_result:
        nodes.append(node("QuantizeLinear", "p sy zy"))
    kind = TensorProto.UINT8 if quantized_result else TensorProto.FLOAT
    return model(nodes, X, constants, kind), X


CASES = {
    **{
        f"matmul_integer_{a}_{b}_{zero.max()}": lambda a=a, b=b, zero=zero: matmul_integer(
            np.dtype(a), np.dtype(b), zero.astype(b)
        )
        for a in ("uint8", "int8")
        for b in ("uint8", "int8")
        for zero in (np.array(0), np.array(4), np.arange(N) % 7)
        if not (a == "int8" and b == "uint8")  # onnxruntime has no such kernel
    },
    "dynamic_int8": lambda: dynamic(np.int8),
    "dynamic_uint8": lambda: dynamic(np.uint8),
    "qlinear_u8": lambda: qlinear(np.uint8, np.int8, np.uint8),
    "qlinear_s8": lambda: qlinear(np.int8, np.int8, np.int8),
    "to_float": to_float,
    "dynamic_matmul": dynamic_matmul,
    "qgemm": lambda: qgemm(False),
    "qgemm_no_zero_points": lambda: qgemm(False, zero=0),
    "qgemm_requantized": lambda: qgemm(True),
    "qdq": lambda: qdq(False),
    "qdq_quantized": lambda: qdq(True),
}


@pytest.fixture(scope="module")
def results():
    """(onnxruntime's y, ours) by case; all cases are one model."""
    made = {name: build() for name, build in CASES.items()}
    ours = compiled.run(
        {name: graph for name, (graph, _) in made.items()},
        {name: feeds for name, (_, feeds) in made.items()},
    )
    pairs = {}
    for name, (graph, feeds) in made.items():
        session = onnxruntime.InferenceSession(
            graph.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        pairs[name] = session.run(None, feeds)[0], ours[name]
    return pairs


@pytest.mark.parametrize("name", CASES)
def test_equals_onnxruntime(name, results):
    theirs, ours = results[name]
    assert not isinstance(ours, str), ours
    assert ours["y"].dtype == theirs.dtype
    if theirs.dtype == np.float32:
        assert np.abs(ours["y"] - theirs).max() <= 1e-3 * np.abs(theirs).max()
    else:
        np.testing.assert_array_equal(ours["y"], theirs)
