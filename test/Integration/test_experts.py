# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Mixtures of experts in both export forms, and com.microsoft.MoE, against onnxruntime."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

SIZES = ((1, 1), (1, 2), (3, 7), (2, 40), (1, 300))


class Graph:
    """Nodes and initializers of a model with hidden states x[batch, sequence, width]."""

    def __init__(self, width, seed=0):
        self.nodes, self.initializers = [], {}
        self.width, self.random = width, np.random.default_rng(seed)

    def node(self, op, *inputs, domain="", outputs=1, **attributes):
        names = [f"{op}_{len(self.nodes)}_{i}" for i in range(outputs)]
        inputs = [i if isinstance(i, str) else self.constant(np.asarray(i)) for i in inputs]
        self.nodes.append(helper.make_node(op, inputs, names, domain=domain, **attributes))
        return names[0] if outputs == 1 else names

    def constant(self, array):
        name = f"c{len(self.initializers)}"
        self.initializers[name] = numpy_helper.from_array(array, name)
        return name

    def floats(self, *shape):
        return self.constant(self.random.standard_normal(shape).astype(np.float32) * np.float32(0.5))

    def save(self, path, output):
        dims = ["batch", "sequence", self.width]
        x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, dims) for n in ("x", output))
        graph = helper.make_graph(self.nodes, "g", [x], [y], list(self.initializers.values()))
        opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
        onnx.save(helper.make_model(graph, ir_version=8, opset_imports=opsets), path)


def ints(*values):
    return np.array(values, np.int64)


def route(g, experts, k):
    """Rows, chosen experts and their weights, as Mixtral has them."""
    rows = g.node("Reshape", "x", ints(-1, g.width))
    logits = g.node("MatMul", rows, g.floats(g.width, experts))
    probabilities = g.node("Softmax", logits, axis=-1)
    best, chosen = g.node("TopK", probabilities, ints(k), outputs=2, axis=-1)
    total = g.node("ReduceSum", best, ints(-1), keepdims=1)
    return rows, chosen, g.node("Div", best, total)


def gated(g, both, activation):
    gate, up = g.node("Split", both, outputs=2, axis=1, num_outputs=2)
    if activation == "silu":
        return g.node("Mul", g.node("Mul", gate, g.node("Sigmoid", gate)), up)
    return g.node("Mul", g.node("Relu", gate), up)


def loop(g, experts, k, hidden, activation):
    rows, chosen, weights = route(g, experts, k)
    up, down = g.floats(experts, 2 * hidden, g.width), g.floats(experts, g.width, hidden)
    total = g.node("Expand", np.float32(0), g.node("Shape", rows))
    for e in range(experts):
        hits = g.node("NonZero", g.node("Equal", chosen, np.int64(e)))
        pairs = g.node("Transpose", hits, perm=[1, 0])
        token = g.node("Slice", pairs, ints(0), ints(1), ints(1))
        slot = g.node("Slice", pairs, ints(1), ints(2), ints(1))
        x = g.node("GatherND", rows, token)
        both = g.node("Gemm", x, g.node("Gather", up, np.int64(e)), transB=1)
        y = g.node("Gemm", gated(g, both, activation), g.node("Gather", down, np.int64(e)), transB=1)
        scale = g.node("GatherND", weights, g.node("Concat", token, slot, axis=-1))
        y = g.node("Mul", y, g.node("Unsqueeze", scale, ints(-1)))
        total = g.node("ScatterND", total, token, y, reduction="add")
    return total


def batched(g, experts, k, hidden, activation):
    rows, chosen, weights = route(g, experts, k)
    up, down = g.floats(experts, 2 * hidden, g.width), g.floats(experts, g.width, hidden)
    copies = g.node("Expand", g.node("Unsqueeze", rows, ints(1)), ints(1, k, 1))
    copies = g.node("Unsqueeze", g.node("Reshape", copies, ints(-1, g.width)), ints(-1))
    picked = g.node("Reshape", chosen, ints(-1))
    both = g.node("MatMul", g.node("Gather", up, picked), copies)
    inner = gated(g, g.node("Squeeze", both, ints(-1)), activation)
    y = g.node("MatMul", g.node("Gather", down, picked), g.node("Unsqueeze", inner, ints(-1)))
    scale = g.node("Unsqueeze", g.node("Reshape", weights, ints(-1)), ints(-1))
    y = g.node("Mul", g.node("Squeeze", y, ints(-1)), scale)
    y = g.node("Reshape", y, ints(-1, k, g.width))
    return g.node("ReduceSum", y, ints(1), keepdims=0)


def finish(g, y):
    return g.node("Add", "x", g.node("Reshape", y, g.node("Shape", "x")))


def feed(batch, sequence, width):
    values = np.random.default_rng(sequence).standard_normal((batch, sequence, width))
    return {"x": values.astype(np.float32)}


# experts, k, width, hidden: whole panels, halves inside of a panel, one expert each, all experts
SHAPES = [(4, 2, 48, 64), (5, 2, 30, 21), (3, 1, 16, 32), (3, 3, 20, 16)]


@pytest.mark.parametrize("form", [loop, batched])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_forms(engines, tmp_path, form, shape):
    experts, k, width, hidden = shape
    g, path = Graph(width), tmp_path / "m.onnx"
    g.save(path, finish(g, form(g, experts, k, hidden, "silu" if k > 1 else "relu")))
    both = engines(path)
    for batch, sequence in SIZES:
        both.check(feed(batch, sequence, width))


def test_both_forms_are_one(permalloy, tmp_path):
    """The same kernels, launches and bytes, one mixture, no copy of the experts."""
    contents = []
    for form in (loop, batched):
        g, path = Graph(64), tmp_path / f"{form.__name__}.onnx"
        g.save(path, finish(g, form(g, 4, 2, 128, "silu")))
        alloy = path.with_suffix(".alloy")
        report = permalloy("compile", path, "-o", alloy, "--fusion-report").err
        assert "1 moe" in report
        contents.append(json.loads(permalloy("inspect", alloy, "--json").out))
        stacks = 4 * (64 * 256 + 128 * 64) * 4
        assert stacks < alloy.stat().st_size < stacks + (1 << 17)
    first, second = ([step["kernel"] for step in c["steps"]] for c in contents)
    assert first == second
    assert contents[0]["slots"] == contents[1]["slots"]


def random_case(seed):
    """Attributes and optional inputs that onnxruntime's kernel for CPUs takes."""
    random = np.random.default_rng(seed)
    activation = ["relu", "gelu", "silu", "identity", "swiglu"][seed % 5]
    experts = int(random.integers(2, 9))
    return {
        "activation": activation,
        "experts": experts,
        "k": int(random.integers(1, min(experts, 4) + 1)),
        "normalize": int(random.integers(2)),
        "biases": random.integers(2, size=2).astype(bool),
        "wide": bool(random.integers(2)),
        "hidden": int(random.choice([8, 21, 32])),
        "width": int(random.choice([8, 24, 37])),
    }


@pytest.mark.parametrize("seed", range(30))
def test_microsoft_moe(engines, tmp_path, seed):
    case = random_case(seed)
    experts, hidden, width = case["experts"], case["hidden"], case["width"]
    g, path = Graph(width, seed), tmp_path / "m.onnx"
    rows = g.node("Reshape", "x", ints(-1, width))
    logits = g.node("MatMul", rows, g.floats(width, experts))
    swiglu = case["activation"] == "swiglu"
    inner = 2 * hidden if swiglu else hidden
    inputs = ["x" if case["wide"] else rows, logits, g.floats(experts, inner, width)]
    inputs.append(g.floats(experts, inner) if case["biases"][0] else "")
    inputs.append(g.floats(experts, width, hidden))
    inputs.append(g.floats(experts, width) if case["biases"][1] else "")
    attributes = {"swiglu_fusion": 1} if swiglu else {}
    y = g.node(
        "MoE",
        *inputs,
        domain="com.microsoft",
        k=case["k"],
        activation_type=case["activation"],
        normalize_routing_weights=case["normalize"],
        **attributes,
    )
    g.save(path, finish(g, y))
    both = engines(path)
    for batch, sequence in ((1, 1), (2, 9)):
        both.check(feed(batch, sequence, width))


def test_quantized_experts_are_refused(permalloy, tmp_path):
    g, path = Graph(16), tmp_path / "m.onnx"
    rows = g.node("Reshape", "x", ints(-1, 16))
    weights = [g.constant(np.zeros(s, np.uint8)) for s in ((2, 32, 8), (2, 16, 16))]
    scales = [g.floats(2, 32), g.floats(2, 16)]
    logits = g.node("MatMul", rows, g.floats(16, 2))
    inputs = [rows, logits, weights[0], scales[0], "", weights[1], scales[1]]
    y = g.node("QMoE", *inputs, domain="com.microsoft", k=1)
    g.save(path, finish(g, y))
    result = permalloy("compile", path, "-o", tmp_path / "m.alloy", code=1)
    assert "QMoE" in result.err and "not supported" in result.err
