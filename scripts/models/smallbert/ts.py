# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""ts17: what the TorchScript exporter makes of scaled_dot_product_attention and its mask."""

import math
from types import SimpleNamespace

import numpy as np
from onnx import TensorProto, numpy_helper


def _size(g, x, axis):
    """Dimension `axis` of x as a 0-D tensor."""
    return g.op("Gather", g.op("Shape", x), g.int(axis), axis=0)


def _vector(g, size):
    return g.op("Unsqueeze", size, g.ints(0))


def _filled(g, shape, value):
    return g.op("ConstantOfShape", shape, value=numpy_helper.from_array(value))


def _range(g, size):
    size = g.op("Cast", size, to=TensorProto.INT64)
    return g.op("Range", g.int(0), size, g.int(1))


def _unsqueeze(g, x, *axes):
    """One node per axis."""
    for axis in axes:
        x = g.op("Unsqueeze", x, g.ints(axis))
    return x


def _reshape(g, x, shape):
    return g.op("Reshape", x, shape, allowzero=0)


def _bool(g, x):
    return g.op("Cast", x, to=TensorProto.BOOL)


def start(g):
    context = SimpleNamespace(layer=0)
    context.sequence = _vector(g, _size(g, "input_ids", 1))
    return context


def mask(g, x, context):
    """[batch, 1, query, key] booleans: (0 <= query) and attention_mask[batch, key]."""
    keep = _bool(g, "attention_mask")
    context.query_size = _size(g, x, 1)
    key_size = _size(g, keep, 1)
    context.batch_size = _size(g, x, 0)
    batch, query, key = (
        _range(g, size) for size in (context.batch_size, context.query_size, key_size)
    )
    batch = _unsqueeze(g, batch, 1, 2, 3)
    query = _unsqueeze(g, query, 0, 1, 3)
    key = _unsqueeze(g, key, 0, 1, 2)
    always = _filled(g, g.constant(np.zeros(0, np.int64)), np.array([True]))
    allowed = g.op("And", always, _bool(g, g.op("GreaterOrEqual", query, g.int(0))))
    picked = _pick(g, keep, batch, key)
    allowed = g.op("And", allowed, _bool(g, picked))
    context.mask = _expand(g, allowed, context, key_size)


def _pick(g, keep, batch, key):
    """keep[batch, key] through one flat Gather at batch * key_size + key."""
    stride = g.op("Gather", g.op("Shape", keep), g.ints(1), axis=0)
    flat = g.op("Flatten", keep, axis=2)
    index = g.op("Add", key, g.op("Mul", batch, stride))
    picked = g.op("Gather", flat, index, axis=0)
    shape = g.op("Shape", index)
    picked = _reshape(g, picked, g.ints(-1))
    return _reshape(g, picked, g.op("Concat", shape, axis=0))


def _expand(g, allowed, context, key_size):
    """expand(batch, -1, query, key): the exporter replaces -1 by 1 at run time."""
    sizes = _vector(g, context.batch_size), g.ints(-1), _vector(g, context.query_size)
    wanted = _reshape(g, g.op("Concat", *sizes, _vector(g, key_size), axis=0), g.ints(-1))
    ones = _filled(g, g.op("Shape", wanted), np.array([1], np.int64))
    unknown = g.op("Equal", wanted, g.op("Mul", ones, g.int(-1)))
    return g.op("Expand", allowed, g.op("Where", unknown, ones, wanted))


def enter_layer(g, x, context):
    """The first layer reuses the mask's sizes, later ones take them from their input."""
    if context.layer > 0:
        context.batch_size, context.query_size = _size(g, x, 0), _size(g, x, 1)
    context.layer += 1


def lead(g, context):
    return [_vector(g, context.batch_size), _vector(g, context.query_size)]


def attention(g, project, config, context):
    query = project("query")
    split = [
        g.op("Concat", *lead(g, context), g.ints(-1), g.ints(config.head_size), axis=0)
        for _ in range(3)
    ]
    query = g.op("Transpose", _reshape(g, query, split[0]), perm=[0, 2, 1, 3])
    key = _reshape(g, project("key"), split[1])
    value = g.op("Transpose", _reshape(g, project("value"), split[2]), perm=[0, 2, 1, 3])
    query_size = _size(g, query, 2)
    key = g.op("Transpose", key, perm=[0, 2, 3, 1])
    context_heads = g.op("MatMul", _probabilities(g, query, key, config, context.mask), value)
    return _merge(g, context_heads, value, query_size, context)


def _probabilities(g, query, key, config, allowed):
    """softmax of the masked scores; the square root of the scale is on each side."""
    scale = config.head_size**-0.25
    scores = g.op("MatMul", g.op("Mul", query, g.float(scale)), g.op("Mul", key, g.float(scale)))
    zero, infinity = np.array([0], np.float32), np.array([-math.inf], np.float32)
    bias = g.op("Where", allowed, g.constant(zero), g.constant(infinity))
    rows = g.op("Softmax", g.op("Add", scores, bias), axis=-1)
    return g.op("Where", g.op("IsNaN", rows), g.constant(zero), rows)


def _merge(g, heads, value, query_size, context):
    """A reshape to the shape it already has, then [batch, query, hidden]."""
    batch_size, head_size = _size(g, heads, 0), _size(g, value, 3)
    sizes = _vector(g, batch_size), g.ints(-1), _vector(g, query_size), _vector(g, head_size)
    heads = _reshape(g, heads, g.op("Concat", *sizes, axis=0))
    merged = g.op("Transpose", heads, perm=[0, 2, 1, 3])
    return _reshape(g, merged, g.op("Concat", *lead(g, context), g.ints(-1), axis=0))
