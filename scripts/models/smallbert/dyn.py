# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""dyn18, dyn23: what the torch.export based exporter makes of scaled_dot_product_attention."""

import math
from types import SimpleNamespace

import numpy as np
from onnx import TensorProto

FLOAT_MIN = float(np.finfo(np.float32).min)
INT64 = np.iinfo(np.int64)


def start(g):
    batch = g.op("Shape", "token_type_ids", start=0, end=1)
    batch_size = g.op("Squeeze", batch)
    sequence = g.op("Shape", "token_type_ids", start=1, end=2)
    sequence_size = g.op("Squeeze", sequence)
    return SimpleNamespace(
        batch=batch, sequence=sequence, batch_size=batch_size, sequence_size=sequence_size
    )


def mask(g, x, context):
    """[batch, 1, query, key] booleans: (0 <= query) and attention_mask[batch, key]."""
    keep = g.op("Cast", "attention_mask", to=TensorProto.BOOL)
    batch = g.op("Range", g.int(0), context.batch_size, g.int(1))
    position = g.op("Range", g.int(0), context.sequence_size, g.int(1))
    batch = g.op("Unsqueeze", g.op("Unsqueeze", batch, g.ints(1, 2)), g.ints(3))
    position = g.op("Unsqueeze", position, g.ints(0, 1))
    query = g.op("Unsqueeze", position, g.ints(3))
    key = g.op("Unsqueeze", position, g.ints(2))
    allowed = g.op("GreaterOrEqual", query, g.int(0))
    allowed = g.op("And", g.weight("new_ones", np.array(True)), allowed)
    context.mask = g.op("And", allowed, _pick(g, keep, batch, key))
    context.merged_shape = context.split_shape = context.bias = None


def _pick(g, keep, batch, key):
    """keep[batch, key] through GatherND; Max only finds the broadcast shape of the two."""
    shape = g.op("Shape", g.op("Max", batch, key), start=0)
    index = [g.op("Unsqueeze", g.op("Expand", x, shape), g.ints(-1)) for x in (batch, key)]
    return g.op("GatherND", keep, g.op("Concat", *index, axis=-1), batch_dims=0)


def enter_layer(g, x, context):
    pass


def lead(g, context):
    return [context.batch, context.sequence]


def attention(g, project, config, context):
    def heads(name):
        y = project(name)
        if context.split_shape is None:
            sizes = g.ints(-1), g.ints(config.head_size)
            context.split_shape = g.op("Concat", *lead(g, context), *sizes, axis=0)
        y = g.op("Reshape", y, context.split_shape, allowzero=1)
        return g.op("Transpose", y, perm=[0, 2, 1, 3])

    query, key, value = heads("query"), heads("key"), heads("value")
    if g.options.spelling == "dyn23":
        result = _attention_op(g, query, key, value, config, context)
    else:
        rows = _probabilities(g, query, key, config, context)
        result = g.op("MatMul", rows, value)
    merged = g.op("Transpose", result, perm=[0, 2, 1, 3])
    if context.merged_shape is None:
        context.merged_shape = g.op("Concat", *lead(g, context), g.ints(-1), axis=0)
    return g.op("Reshape", merged, context.merged_shape, allowzero=1)


def _attention_op(g, query, key, value, config, context):
    settings = {"is_causal": 0, "qk_matmul_output_mode": 0, "softcap": 0.0}
    scale = 1 / math.sqrt(config.head_size)
    return g.op("Attention", query, key, value, context.mask, scale=scale, **settings)


def _transpose_key(g, key):
    """Swaps the last two dimensions of a tensor of any rank: to 3-D, transpose, and back."""
    shape, last = g.op("Shape", key, start=0), g.ints(-1)
    size = g.op("Slice", shape, last, g.ints(INT64.max))
    length = g.op("Slice", shape, g.ints(-2), last)
    outer = g.op("Slice", shape, g.ints(INT64.min), g.ints(-2))
    flat = g.op("Reshape", key, g.op("Concat", last, length, size, axis=0), allowzero=0)
    flat = g.op("Transpose", flat, perm=[0, 2, 1])
    return g.op("Reshape", flat, g.op("Concat", outer, size, length, axis=0), allowzero=0)


def _probabilities(g, query, key, config, context):
    """softmax of the masked scores; the mask is finite, so the guard never finds a NaN."""
    scale = g.float(config.head_size**-0.25)
    key = _transpose_key(g, key)
    query, key = g.op("Mul", query, scale), g.op("Mul", key, scale)
    zero = g.float(0)
    if context.bias is None:  # once, in the first layer
        context.bias = g.op("Where", context.mask, zero, g.float(FLOAT_MIN))
    scores = g.op("MatMul", query, key)
    rows = g.op("Softmax", g.op("Add", scores, context.bias), axis=-1)
    return g.op("Where", g.op("IsNaN", rows), zero, rows)
