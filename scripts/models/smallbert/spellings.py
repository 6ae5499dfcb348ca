# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Puts an encoder together; what differs between exporters is one module each."""

from . import dyn, plain, ts
from .blocks import embeddings, gelu, layer_norm, linear
from .graph import Graph

# Each module has, in order of use:
#   start(g)                    returns the context: what layers share; has `sequence`, the length
#                               as a 1-element tensor
#   mask(g, x, context)         adds the mask to the context; x is the first layer's input
#   enter_layer(g, x, context)  sees each layer's input
#   lead(g, context)            returns batch and sequence as 1-element tensors
#   attention(g, project, config, context)
#                               returns the merged heads [batch, sequence, hidden]; project("query")
#                               makes that linear
MODULES = {"plain17": plain, "ts17": ts, "dyn18": dyn, "dyn23": dyn}


def spell(config, weights, options):
    """The encoder as a checked ModelProto."""
    g = Graph(options)
    exporter = MODULES[options.spelling]
    context = exporter.start(g)
    x = embeddings(g, config, weights, context.sequence)
    exporter.mask(g, x, context)
    for index in range(config.num_hidden_layers):
        x = _layer(g, x, config, weights, f"encoder.layer.{index}", exporter, context)
    return g.model(x, config.hidden_size)


def _layer(g, x, config, weights, layer, exporter, context):
    eps = config.layer_norm_eps
    exporter.enter_layer(g, x, context)

    def dense(y, name):
        return linear(g, y, weights, f"{layer}.{name}", lambda: exporter.lead(g, context))

    def project(name):
        return dense(x, f"attention.self.{name}")

    y = exporter.attention(g, project, config, context)
    y = g.op("Add", dense(y, "attention.output.dense"), x)
    x = layer_norm(g, y, weights, f"{layer}.attention.output.LayerNorm", eps)
    y = gelu(g, dense(x, "intermediate.dense"))
    y = g.op("Add", dense(y, "output.dense"), x)
    return layer_norm(g, y, weights, f"{layer}.output.LayerNorm", eps)
