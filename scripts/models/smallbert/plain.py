# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""plain17: the eager implementation as most files on the hub have it."""

import math
from types import SimpleNamespace

import numpy as np
from onnx import TensorProto

FLOAT_MIN = float(np.finfo(np.float32).min)


def _size(g, x, axis):
    """Dimension `axis` of x as a 1-element tensor."""
    size = g.op("Gather", g.op("Shape", x), g.int(axis), axis=0)
    return g.op("Unsqueeze", size, g.ints(0))


def start(g):
    return SimpleNamespace(sequence=_size(g, "input_ids", 1))


def mask(g, x, context):
    """(1 - mask) * min, added to the scores; min absorbs them, so a fully masked row is uniform."""
    keep = g.op("Unsqueeze", "attention_mask", g.ints(1, 2))
    keep = g.op("Cast", keep, to=TensorProto.FLOAT)
    context.bias = g.op("Mul", g.op("Sub", g.float(1), keep), g.float(FLOAT_MIN))


def enter_layer(g, x, context):
    context.x = x


def lead(g, context):
    return [_size(g, context.x, 0), _size(g, context.x, 1)]


def attention(g, project, config, context):
    def heads(y, perm):
        split = g.ints(config.num_attention_heads), g.ints(config.head_size)
        shape = g.op("Concat", _size(g, y, 0), _size(g, y, 1), *split, axis=0)
        return g.op("Transpose", g.op("Reshape", y, shape), perm=perm)

    query = heads(project("query"), [0, 2, 1, 3])
    key = heads(project("key"), [0, 2, 3, 1])
    value = heads(project("value"), [0, 2, 1, 3])
    scores = g.op("MatMul", query, key)
    scores = g.op("Mul", scores, g.float(1 / math.sqrt(config.head_size)))
    rows = g.op("Softmax", g.op("Add", scores, context.bias), axis=-1)
    merged = g.op("Transpose", g.op("MatMul", rows, value), perm=[0, 2, 1, 3])
    sizes = _size(g, merged, 0), _size(g, merged, 1), g.ints(config.hidden_size)
    return g.op("Reshape", merged, g.op("Concat", *sizes, axis=0))
