#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A small decoder with past keys and values in and out, grouped heads and random weights.

    small_decoder.py decoder.onnx [--spelling op23|plain17]

op23 uses ONNX's own operators (RMSNormalization, RotaryEmbedding, Attention of opset 23), plain17
spells attention with products and a softmax over keys that are repeated for their group.
Takes input_ids and position_ids [batch, sequence], op23 also attention_mask [batch, total], and
past_key_values.N.{key,value} [batch, 2, past, 8]; gives logits and present.N.{key,value}.
"""

from __future__ import annotations

import argparse

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SPELLINGS = ("op23", "plain17")
LAYERS, HEADS, GROUPS, SIZE, VOCABULARY, POSITIONS = 2, 4, 2, 8, 96, 512
WIDTH = HEADS * SIZE


class Graph:
    """Nodes and weights as they come; `op` gives the name of its result."""

    def __init__(self, seed: int):
        self.nodes, self.weights, self.count = [], [], 0
        self.random = np.random.default_rng(seed)

    def op(self, kind: str, *inputs: str, name: str | None = None, **attributes) -> str:
        self.count += 1
        name = name or f"{kind.lower()}_{self.count}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def weight(self, *shape: int, scale: float = 0.3) -> str:
        return self.constant((self.random.standard_normal(shape) * scale).astype(np.float32))

    def constant(self, value) -> str:
        name = f"constant_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def heads(self, x: str, count: int) -> str:
        """[b, s, count * size] to [b, count, s, size]."""
        split = self.op("Reshape", x, self.constant([0, 0, count, SIZE]))
        return self.op("Transpose", split, perm=[0, 2, 1, 3])


def _mask(g: Graph, spelling: str) -> str:
    """Whether a query [b, 1, s, 1] may see a key: not after it, and for op23 not padding."""
    queries = g.op("Unsqueeze", "position_ids", g.constant([1, 3]))
    if spelling == "op23":
        total = g.op("Gather", g.op("Shape", "attention_mask"), g.constant(1))
    else:
        past = g.op("Gather", g.op("Shape", "past_key_values.0.key"), g.constant(2))
        total = g.op("Add", past, g.op("Gather", g.op("Shape", "input_ids"), g.constant(1)))
    keys = g.op("Range", g.constant(0), total, g.constant(1))
    seen = g.op("LessOrEqual", keys, queries)
    if spelling != "op23":
        return seen
    padding = g.op("Unsqueeze", "attention_mask", g.constant([1, 2]))
    return g.op("And", seen, g.op("Cast", padding, to=TensorProto.BOOL))


def _repeated(g: Graph, x: str) -> str:
    """Each of the groups' heads once per head that shares it: Expand, as exporters write it."""
    shape = g.op("Shape", x)
    batch, rows = (g.op("Gather", shape, g.constant([i])) for i in (0, 2))
    wide = g.op(
        "Concat", batch, g.constant([GROUPS, HEADS // GROUPS]), rows, g.constant([SIZE]), axis=0
    )
    flat = g.op("Concat", batch, g.constant([HEADS]), rows, g.constant([SIZE]), axis=0)
    return g.op("Reshape", g.op("Expand", g.op("Unsqueeze", x, g.constant([2])), wide), flat)


def _attention(g: Graph, spelling: str, query: str, key: str, value: str, mask: str) -> str:
    if spelling == "op23":
        return g.op("Attention", query, key, value, mask)
    keys = g.op("Transpose", _repeated(g, key), perm=[0, 1, 3, 2])
    scores = g.op("MatMul", query, keys)
    scores = g.op("Mul", scores, g.constant(np.float32(SIZE**-0.5)))
    low = g.constant(np.float32(np.finfo(np.float32).min))
    scores = g.op("Add", scores, g.op("Where", mask, g.constant(np.float32(0)), low))
    return g.op("MatMul", g.op("Softmax", scores, axis=-1), _repeated(g, value))


def _norm(g: Graph, spelling: str, x: str) -> str:
    scale = g.weight(WIDTH, scale=1)
    if spelling == "op23":
        return g.op("RMSNormalization", x, scale, axis=-1, epsilon=1e-5)
    return g.op("LayerNormalization", x, scale, g.weight(WIDTH), axis=-1, epsilon=1e-5)


def _layer(g: Graph, spelling: str, i: int, x: str, mask: str, tables: tuple[str, ...]) -> str:
    normed = _norm(g, spelling, x)
    query = g.heads(g.op("MatMul", normed, g.weight(WIDTH, HEADS * SIZE)), HEADS)
    key, value = (
        g.heads(g.op("MatMul", normed, g.weight(WIDTH, GROUPS * SIZE)), GROUPS) for _ in range(2)
    )
    if spelling == "op23":
        query, key = (g.op("RotaryEmbedding", y, *tables, "position_ids") for y in (query, key))
    key, value = (
        g.op("Concat", f"past_key_values.{i}.{kind}", y, name=f"present.{i}.{kind}", axis=2)
        for kind, y in (("key", key), ("value", value))
    )
    y = _attention(g, spelling, query, key, value, mask)
    y = g.op("Transpose", y, perm=[0, 2, 1, 3])
    y = g.op("Reshape", y, g.constant([0, 0, WIDTH]))
    x = g.op("Add", x, g.op("MatMul", y, g.weight(WIDTH, WIDTH)))
    normed = _norm(g, spelling, x)
    gate = g.op("MatMul", normed, g.weight(WIDTH, 2 * WIDTH))
    up = g.op("MatMul", normed, g.weight(WIDTH, 2 * WIDTH))
    inner = g.op("Mul", g.op("Mul", gate, g.op("Sigmoid", gate)), up)
    return g.op("Add", x, g.op("MatMul", inner, g.weight(2 * WIDTH, WIDTH)))


def build(spelling: str, seed: int = 0) -> onnx.ModelProto:
    g = Graph(seed)
    x = g.op("Gather", g.weight(VOCABULARY, WIDTH, scale=1), "input_ids")
    tables: tuple[str, ...] = ()
    if spelling == "op23":
        angles = np.arange(POSITIONS)[:, None] / 100.0 ** (np.arange(SIZE // 2) / (SIZE // 2))
        tables = tuple(g.constant(f(angles).astype(np.float32)) for f in (np.cos, np.sin))
    else:
        x = g.op("Add", x, g.op("Gather", g.weight(POSITIONS, WIDTH, scale=1), "position_ids"))
    mask = _mask(g, spelling)
    for i in range(LAYERS):
        x = _layer(g, spelling, i, x, mask, tables)
    g.op("MatMul", _norm(g, spelling, x), g.weight(WIDTH, VOCABULARY, scale=1), name="logits")
    info = helper.make_tensor_value_info
    f32, i64 = TensorProto.FLOAT, TensorProto.INT64
    names = [f"{i}.{kind}" for i in range(LAYERS) for kind in ("key", "value")]
    inputs = [
        info("input_ids", i64, ["batch", "sequence"]),
        *([info("attention_mask", i64, ["batch", "total"])] if spelling == "op23" else []),
        info("position_ids", i64, ["batch", "sequence"]),
        *(info(f"past_key_values.{n}", f32, ["batch", GROUPS, "past", SIZE]) for n in names),
    ]
    outputs = [
        info("logits", f32, ["batch", "sequence", VOCABULARY]),
        *(info(f"present.{n}", f32, ["batch", GROUPS, "total", SIZE]) for n in names),
    ]
    graph = helper.make_graph(g.nodes, "decoder", inputs, outputs, g.weights)
    opset = helper.make_opsetid("", 23 if spelling == "op23" else 17)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=10)
    onnx.checker.check_model(model)
    return model


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output")
    parser.add_argument("--spelling", choices=SPELLINGS, default="op23")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    onnx.save(build(args.spelling, args.seed), args.output)


if __name__ == "__main__":
    main()
