# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Models of one kernel each, at sizes that say how fast it is, and models of experts: for scripts/pack-gpu.

Their weights repeat every 31 rows and columns: hundreds of megabytes that compress to almost nothing. All are small multiples of a
power of two, exact in f16 and bf16.
"""

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

PERIOD = 31


def periodic(rows, columns, unit, shift=0):
    """[rows, columns] of f32, whole multiples of `unit` between -15 and 15 times it."""
    cell = (np.arange(PERIOD)[:, None] * 7 + np.arange(PERIOD)[None, :] * 13 + shift * 5) % PERIOD - PERIOD // 2
    repeats = -(-rows // PERIOD), -(-columns // PERIOD)
    return (np.tile(cell, repeats)[:rows, :columns] * unit).astype(np.float32)


def _save(path, nodes, inputs, outputs, weights, opset=23, domains=()):
    initializers = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "g", inputs, outputs, initializers)
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    model = helper.make_model(graph, ir_version=10, opset_imports=opsets)
    onnx.save(model, path, save_as_external_data=True, location=path.name + ".data", size_threshold=1 << 20)


def linear_chain(path, width, layers, dtype=np.float32):
    """x [rows, width] through `layers` different square weights."""
    kind = TensorProto.BFLOAT16 if dtype == ml_dtypes.bfloat16 else TensorProto.FLOAT
    weights = {f"w{i}": periodic(width, width, 2.0**-10, i).astype(dtype) for i in range(layers)}
    names = ["x", *(f"h{i}" for i in range(1, layers)), "y"]
    nodes = [helper.make_node("MatMul", [names[i], f"w{i}"], [names[i + 1]], name=f"layer_{i}") for i in range(layers)]
    info = helper.make_tensor_value_info
    _save(path, nodes, [info("x", kind, ["rows", width])], [info("y", kind, ["rows", width])], weights)


def attention(path, heads, size):
    """q, k, v [1, heads, sequence, size] in bf16."""
    info = helper.make_tensor_value_info
    tensors = {name: info(name, TensorProto.BFLOAT16, [1, heads, "sequence", size]) for name in ("q", "k", "v", "y")}
    node = helper.make_node("Attention", ["q", "k", "v"], ["y"], name="attention")
    _save(path, [node], [tensors[name] for name in "qkv"], [tensors["y"]], {})


def experts(path, width=64, hidden=96, count=4, chosen=2, seed=0):
    """x [batch, sequence, width] through a mixture of experts of com.microsoft."""
    random = np.random.default_rng(seed)
    shapes = {"router": (width, count), "up": (count, hidden, width), "down": (count, width, hidden)}
    weights = {name: (random.standard_normal(shape) * 0.2).astype(np.float32) for name, shape in shapes.items()}
    weights["flat"] = np.array([-1, width], np.int64)
    nodes = [
        helper.make_node("Reshape", ["x", "flat"], ["rows"], name="rows"),
        helper.make_node("MatMul", ["rows", "router"], ["logits"], name="route"),
        helper.make_node("MoE", ["x", "logits", "up", "", "down"], ["y"], name="experts", domain="com.microsoft", k=chosen,
                         activation_type="gelu", normalize_routing_weights=1),
    ]  # fmt: skip
    info = helper.make_tensor_value_info
    dims = ["batch", "sequence", width]
    _save(path, nodes, [info("x", TensorProto.FLOAT, dims)], [info("y", TensorProto.FLOAT, dims)], weights, 18, ["com.microsoft"])


def attention_reference(q, k, v):
    """In f64: [heads, sequence, size] each."""
    q, k, v = (array.astype(np.float64) for array in (q, k, v))
    scores = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1])
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights @ v / weights.sum(-1, keepdims=True)
