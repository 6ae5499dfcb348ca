#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes the modulated residuals of a diffusion transformer as ONNX: gates of a batch that scale all of its tokens.

    benchmarks/cost_model/gated_block.py gated.onnx [--width 1152] [--layers 8]

x + tanh(gate) * norm(y) with gates [batch, 1, width] cut from one linear layer of the condition, as Lumina-Next has them. Fused into
the sum the tanh is computed for every token, apart once (docs/cost-model.md, "What passes ask").
"""

import argparse

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def block(width, layers):
    random = np.random.RandomState(0)
    weights, nodes = [], []

    def constant(name, value):
        weights.append(numpy_helper.from_array(value, name))
        return name

    def node(op, inputs, outputs, **attributes):
        nodes.append(helper.make_node(op, inputs, outputs, **attributes))
        return outputs[0]

    axes, norm = constant("axes", np.array([1])), constant("norm", np.ones(width, np.float32))
    bias = constant("bias", np.zeros(width, np.float32))
    x = "x"
    for layer in range(layers):
        w = constant(f"w{layer}", random.uniform(-0.1, 0.1, (256, 2 * width)).astype(np.float32))
        node("MatMul", ["condition", w], [f"m{layer}"])
        node("Split", [f"m{layer}"], [f"g{layer}", f"s{layer}"], axis=1, num_outputs=2)
        gate = node("Tanh", [node("Unsqueeze", [f"g{layer}", axes], [f"u{layer}"])], [f"t{layer}"])
        scale = node("Sigmoid", [node("Unsqueeze", [f"s{layer}", axes], [f"v{layer}"])], [f"q{layer}"])
        y = node("LayerNormalization", [x, norm, bias], [f"n{layer}"], axis=-1)
        scaled = node("Mul", [node("Mul", [y, scale], [f"a{layer}"]), gate], [f"b{layer}"])
        x = node("Add", [x, scaled], [f"x{layer + 1}" if layer + 1 < layers else "out"])
    value = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    graph = helper.make_graph(
        nodes, "gated", [value("x", ["batch", "sequence", width]), value("condition", ["batch", 256])],
        [value("out", ["batch", "sequence", width])], weights,
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output")
    parser.add_argument("--width", type=int, default=1152)
    parser.add_argument("--layers", type=int, default=8)
    options = parser.parse_args()
    onnx.save(block(options.width, options.layers), options.output)


if __name__ == "__main__":
    main()
