# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Layer norm, linear, GELU and embeddings, each in the forms that Options selects."""

import math

import numpy as np
from onnx import AttributeProto, helper

from .graph import Graph

FUNCTION_DOMAIN = "permalloy.test"


def _is_dyn(g):
    return g.options.spelling.startswith("dyn")


def layer_norm(g, x, weights, name, eps):
    scale = g.weight(name + ".weight", weights[name + ".weight"])
    bias = g.weight(name + ".bias", weights[name + ".bias"])
    if g.options.layer_norm == "op":
        stash = {"stash_type": 1} if _is_dyn(g) else {}
        return g.op("LayerNormalization", x, scale, bias, axis=-1, epsilon=eps, **stash)
    if g.options.layer_norm == "decomposed":
        return _layer_norm_nodes(g, x, scale, bias, g.float(eps))
    key = (FUNCTION_DOMAIN, "LayerNorm")
    if key not in g.functions:
        g.functions[key] = _layer_norm_function(g.options)
    return g.op("LayerNorm", x, scale, bias, domain=FUNCTION_DOMAIN, epsilon=eps)


def _mean(g, x):
    """ReduceMean over the last axis: an attribute up to opset 17, an input from 18 on."""
    if g.options.opset < 18:
        return g.op("ReduceMean", x, axes=[-1], keepdims=1)
    return g.op("ReduceMean", x, g.ints(-1), keepdims=1)


def _layer_norm_nodes(g, x, scale, bias, eps):
    centred = g.op("Sub", x, _mean(g, x))
    variance = _mean(g, g.op("Pow", centred, g.float(2)))
    deviation = g.op("Sqrt", g.op("Add", variance, eps))
    return g.op("Add", g.op("Mul", g.op("Div", centred, deviation), scale), bias)


def _layer_norm_function(options):
    """The decomposed form as a model-local function whose epsilon is an attribute."""
    body = Graph(options)
    body.constant_nodes = True  # a function has no initializers
    epsilon = helper.make_node("Constant", [], ["eps"], name="node_eps")
    reference = epsilon.attribute.add()
    reference.name, reference.ref_attr_name = "value_float", "epsilon"
    reference.type = AttributeProto.FLOAT
    body.nodes.append(epsilon)
    result = _layer_norm_nodes(body, "x", "scale", "bias", "eps")
    return helper.make_function(
        FUNCTION_DOMAIN,
        "LayerNorm",
        ["x", "scale", "bias"],
        [result],
        body.nodes,
        [helper.make_opsetid("", options.opset)],
        ["epsilon"],
    )


def linear(g, x, weights, name, lead=None):
    """x @ W^T + b. `lead` makes batch and sequence, as 1-element tensors, for the Gemm form."""
    weight, bias = weights[name + ".weight"], weights[name + ".bias"]
    if g.options.linear == "gemm":
        w, b = g.weight(name + ".weight", weight), g.weight(name + ".bias", bias)
        flat = g.op("Reshape", x, g.ints(-1, weight.shape[1]))
        flat = g.op("Gemm", flat, w, b, alpha=1.0, beta=1.0, transB=1)
        return g.op("Reshape", flat, g.op("Concat", *lead(), g.ints(weight.shape[0]), axis=0))
    # Exporters fold the transpose, and the weight loses its name with it.
    product = g.op("MatMul", x, g.weight(name + ".weight_t", weight.T))
    b = g.weight(name + ".bias", bias)
    return g.op("Add", product, b) if _is_dyn(g) else g.op("Add", b, product)


def gelu(g, x):
    if g.options.spelling == "dyn23":
        return g.op("Gelu", x, approximate="tanh" if g.options.gelu == "tanh" else "none")
    return _gelu_tanh(g, x) if g.options.gelu == "tanh" else _gelu_erf(g, x)


def _gelu_erf(g, x):
    erf = g.op("Erf", g.op("Div", x, g.float(math.sqrt(2))))
    one_plus = g.op("Add", erf, g.float(1))
    if _is_dyn(g):
        return g.op("Mul", x, g.op("Mul", g.float(0.5), one_plus))
    return g.op("Mul", g.op("Mul", x, one_plus), g.float(0.5))


def _gelu_tanh(g, x):
    """ts17 and dyn18: torch's gelu(approximate="tanh"); plain17: written out as in GPT-2."""
    kappa, beta = g.float(0.044715), g.float(math.sqrt(2 / math.pi))
    if g.options.spelling == "ts17":
        cube = g.op("Mul", x, g.op("Mul", x, x))
        inner = g.op("Mul", beta, g.op("Add", x, g.op("Mul", kappa, cube)))
        outer = g.op("Mul", x, g.op("Add", g.float(1), g.op("Tanh", inner)))
        return g.op("Mul", g.float(0.5), outer)
    cube = g.op("Pow", x, g.float(3))
    if g.options.spelling == "dyn18":
        inner = g.op("Mul", beta, g.op("Add", x, g.op("Mul", kappa, cube)))
        outer = g.op("Add", g.op("Tanh", inner), g.float(1))
        return g.op("Mul", x, g.op("Mul", g.float(0.5), outer))
    half = g.op("Mul", x, g.float(0.5))
    inner = g.op("Mul", g.op("Add", x, g.op("Mul", cube, kappa)), beta)
    return g.op("Mul", half, g.op("Add", g.op("Tanh", inner), g.float(1)))


def embeddings(g, config, weights, sequence):
    """Word + type + position, normalized. `sequence` makes the 1-element tensor with its length."""
    axis = {"axis": 0} if _is_dyn(g) else {}
    names = {n: f"embeddings.{n}_embeddings.weight" for n in ("word", "token_type", "position")}
    table = {short: g.weight(name, weights[name]) for short, name in names.items()}
    ids = np.arange(config.max_position_embeddings, dtype=np.int64)[None]
    ids = g.constant(ids) if g.constant_nodes else g.weight("embeddings.position_ids", ids)
    # The step and the axis are both 1: one shared initializer or two Constant nodes.
    positions = g.op("Slice", ids, g.ints(0), sequence, g.ints(1), g.ints(1))
    x = g.op("Gather", table["word"], "input_ids", **axis)
    x = g.op("Add", x, g.op("Gather", table["token_type"], "token_type_ids", **axis))
    x = g.op("Add", x, g.op("Gather", table["position"], positions, **axis))
    return layer_norm(g, x, weights, "embeddings.LayerNorm", config.layer_norm_eps)
