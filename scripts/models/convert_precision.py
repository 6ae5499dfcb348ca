#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Rewrites an f32 ONNX model to f16 or bf16: weights, inputs, outputs and all arithmetic.

    scripts/models/convert_precision.py --to bf16 model.onnx model.bf16.onnx
    scripts/models/convert_precision.py --to f32 model.bf16.onnx widened.onnx

Ids and masks of integers or bools stay as they are. Numbers that the type cannot hold, such as the
-3.4e38 of a mask, become its lowest or highest finite value, as torch.finfo gives exporters; infinities
stay. What needs more precision than the type has stays in f32 between two Casts: the operators that
ONNX does not define for it at the model's opset, and the angles of rotary and sinusoidal positions
(everything before Sin and Cos). `--to f32` is the way back: the same weights in f32 arithmetic, which is
what an f16 or bf16 result is compared with. Models with operators outside ai.onnx: those take the type
as it is. Same arguments, same bytes.
"""

import argparse
import sys

import ml_dtypes
import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

TYPES = {
    "f16": (TensorProto.FLOAT16, numpy.float16, "tensor(float16)"),
    "bf16": (TensorProto.BFLOAT16, ml_dtypes.bfloat16, "tensor(bfloat16)"),
    "f32": (TensorProto.FLOAT, numpy.float32, "tensor(float)"),
}
HALVES = (TensorProto.FLOAT16, TensorProto.BFLOAT16)


def round_to(array, dtype):
    """`array` in `dtype`, finite numbers kept finite."""
    limit = float(ml_dtypes.finfo(dtype).max)
    with numpy.errstate(over="ignore"):
        rounded = array.astype(dtype)
        clamped = numpy.clip(array, -limit, limit).astype(dtype)
    return numpy.where(numpy.isinf(array), rounded, clamped)


class Converter:
    """Converts one model in place from the element types `sources` to `target`."""

    def __init__(self, model, target):
        self.model = model
        self.target, self.dtype, self.type_name = TYPES[target]
        self.sources = HALVES if target == "f32" else (TensorProto.FLOAT,)
        self.opsets = {entry.domain: entry.version for entry in model.opset_import}
        self.wide = {}  # the names under which values exist in f32

    def convert(self):
        if self.target == TensorProto.FLOAT:
            inferred = self.model  # every operator has f32
        else:
            inferred = onnx.shape_inference.infer_shapes(self.model, data_prop=False)
        self.convert_graph(self.model.graph, inferred.graph, {})
        for function in self.model.functions:
            for node in function.node:
                self.convert_attributes(node)
        return self.model

    def is_source(self, element):
        return element in self.sources

    def convert_tensor(self, tensor):
        if self.is_source(tensor.data_type):
            array = round_to(numpy_helper.to_array(tensor), self.dtype)
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))

    def convert_graph(self, graph, inferred, outer):
        types = dict(outer)
        for item in (*inferred.input, *inferred.value_info, *inferred.output):
            types[item.name] = item.type.tensor_type.elem_type
        for tensor in graph.initializer:
            types[tensor.name] = tensor.data_type
        kept = self.kept_nodes(graph, types)
        bodies = {node.output[0]: node for node in inferred.node if node.output}
        precise = {name for node in graph.node if node.output[0] in kept for name in node.input}
        for tensor in list(graph.initializer):
            if tensor.name in precise and self.is_source(tensor.data_type):
                self.wide[tensor.name] = f"{tensor.name}.f32"
                graph.initializer.add().CopyFrom(tensor)
                graph.initializer[-1].name = self.wide[tensor.name]
            self.convert_tensor(tensor)
        for item in (*graph.input, *graph.output):
            if self.is_source(item.type.tensor_type.elem_type):
                item.type.tensor_type.elem_type = self.target
        del graph.value_info[:]
        nodes = []
        for node in list(graph.node):
            twin = bodies[node.output[0]]
            for own, other in zip(node.attribute, twin.attribute):
                if own.HasField("g"):
                    self.convert_graph(own.g, other.g, types)
            if node.output[0] in kept or not self.is_defined(node, types):
                nodes += self.in_f32(node, types)
            else:
                self.convert_attributes(node)
                nodes.append(node)
        del graph.node[:]
        graph.node.extend(nodes)

    def kept_nodes(self, graph, types):
        """First outputs of Sin, Cos and of all f32 arithmetic before them."""
        if self.target == TensorProto.FLOAT:
            return set()
        makers = {name: node for node in graph.node for name in node.output}
        pending = [node for node in graph.node if node.op_type in ("Sin", "Cos")]
        kept = set()
        while pending:
            node = pending.pop()
            if node.output[0] in kept or any(a.HasField("g") for a in node.attribute):
                continue
            if types.get(node.output[0]) != TensorProto.FLOAT:
                continue
            kept.add(node.output[0])
            pending += [makers[name] for name in node.input if name in makers]
        return kept

    def is_defined(self, node, types):
        """Whether ONNX has the operator for the target type wherever it has f32 here."""
        version = self.opsets.get(node.domain or "", 0)
        if node.domain not in ("", "ai.onnx") or any(a.HasField("g") for a in node.attribute):
            return True
        schema = onnx.defs.get_schema(node.op_type, version, "")
        allowed = {c.type_param_str: c.allowed_type_strs for c in schema.type_constraints}
        for names, formals in ((node.input, schema.inputs), (node.output, schema.outputs)):
            for index, name in enumerate(names):
                formal = formals[min(index, len(formals) - 1)]
                strings = allowed.get(formal.type_str, [formal.type_str])
                if self.is_source(types.get(name, 0)) and self.type_name not in strings:
                    return False
        return True

    def in_f32(self, node, types):
        """The node as it is, its f32 operands and results through Casts."""
        before, after = [], []

        def cast(source, result, element, name):
            return helper.make_node("Cast", [source], [result], f"Cast.{name}", to=element)

        for index, name in enumerate(node.input):
            if name and types.get(name) == TensorProto.FLOAT:
                if name not in self.wide:
                    self.wide[name] = f"{name}.f32"
                    before.append(cast(name, self.wide[name], TensorProto.FLOAT, self.wide[name]))
                node.input[index] = self.wide[name]
        for index, name in enumerate(node.output):
            if name and types.get(name) == TensorProto.FLOAT:
                self.wide[name] = node.output[index] = f"{name}.f32"
                after.append(cast(self.wide[name], name, self.target, name))
        return [*before, node, *after]

    def convert_attributes(self, node):
        for attribute in node.attribute:
            if attribute.HasField("t"):
                self.convert_tensor(attribute.t)
            takes_type = attribute.name == "to" or attribute.name == "dtype"
            if takes_type and self.is_source(attribute.i):
                attribute.i = self.target
            if attribute.name in ("value_float", "value_floats") and node.op_type == "Constant":
                is_scalar = attribute.name == "value_float"
                value = numpy.array(attribute.f if is_scalar else attribute.floats, numpy.float32)
                tensor = numpy_helper.from_array(round_to(value, self.dtype))
                attribute.CopyFrom(helper.make_attribute("value", tensor))


def convert(model, target):
    """`model` (an onnx.ModelProto, changed in place) in "f16", "bf16" or "f32"."""
    return Converter(model, target).convert()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="the model to read")
    parser.add_argument("output", help="file to write")
    parser.add_argument("--to", choices=TYPES, required=True, help="element type of the result")
    arguments = parser.parse_args()
    model = convert(onnx.load(arguments.model), arguments.to)
    large = model.ByteSize() > 1 << 30
    location = arguments.output.rsplit("/", 1)[-1] + ".data"
    onnx.save(model, arguments.output, save_as_external_data=large, location=location if large else None)
    return 0


if __name__ == "__main__":
    sys.exit(main())
