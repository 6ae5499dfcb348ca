#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes models of the layers of a transformer of some width, whose kernels `permalloy tune` measures in every format.

    benchmarks/cost_model/make_layers.py FOLDER [--widths 320:1280 896:2432]

The families' models have two or three sizes of weights each; these have as many as one asks for. Each is x [batch, sequence, width] through a
projection with its residual, a GELU MLP and a gated one. The weights are random.
"""

import argparse
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WIDTHS = "192:768 256:1024 320:1280 512:1408 640:2560 896:2432 1024:2816 1280:3456 1536:4096 2048:5504".split()


class Layers:
    """A graph under construction; methods take and return names of values."""

    def __init__(self, seed):
        self.nodes, self.weights, self.random = [], [], np.random.RandomState(seed)

    def node(self, op, *inputs, **attributes):
        name = f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def weight(self, *shape):
        name = f"w_{len(self.weights)}"
        values = self.random.standard_normal(shape).astype(np.float32) * shape[0] ** -0.5
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def linear(self, x, k, n, bias=True):
        y = self.node("MatMul", x, self.weight(k, n))
        return self.node("Add", y, self.weight(n)) if bias else y

    def norm(self, x, width):
        return self.node("LayerNormalization", x, self.weight(width), self.weight(width), axis=-1)


def model(width, inner):
    g = Layers(width)
    y = g.linear(g.linear(g.norm("x", width), width, width), width, width)
    y = g.node("Add", y, "x")
    h = g.node("Gelu", g.linear(g.norm(y, width), width, inner))
    y = g.node("Add", g.linear(h, inner, width), y)
    z = g.norm(y, width)
    gate = g.linear(z, width, inner, bias=False)
    h = g.node("Mul", g.node("Mul", gate, g.node("Sigmoid", gate)), g.linear(z, width, inner, bias=False))
    y = g.node("Add", g.linear(h, inner, width, bias=False), y)
    few = g.linear(z, width, width // 4 // 16 * 16, bias=False)  # keys of grouped heads
    value = lambda name, size: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", "sequence", size])
    graph = helper.make_graph(g.nodes, "layers", [value("x", width)], [value(y, width), value(few, width // 4 // 16 * 16)], g.weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--widths", nargs="+", default=WIDTHS, help="WIDTH:INNER ...")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for text in options.widths:
        width, inner = map(int, text.split(":"))
        onnx.save(model(width, inner), options.folder / f"layers-{width}.onnx")


if __name__ == "__main__":
    main()
