# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""One operator with its inputs, as an ONNX model, and many of them in one model.

Compiling a model costs far more than running a tiny one, so `merge` puts the graphs of many cases side by side: value and
dimension names get the case's name in front.
"""

from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


@dataclass
class Arg:
    """An input: its elements, and a symbol for each dynamic dimension (None: static). `inline`: an initializer."""

    array: np.ndarray
    dims: tuple = ()
    inline: bool = False

    def shape(self) -> list:
        dims = self.dims or (None,) * self.array.ndim
        return [name or size for name, size in zip(dims, self.array.shape, strict=True)]


@dataclass
class Case:
    """`outputs`: element types; None is an output that the node does not ask for. `keep[i]` tells the elements of output i
    that are defined; without it all are."""

    op: str
    inputs: list  # of Arg or None
    attributes: dict = field(default_factory=dict)
    outputs: tuple = (TensorProto.FLOAT,)
    domain: str = "com.microsoft"
    opset: int = 17
    keep: dict = field(default_factory=dict)

    def __post_init__(self):
        while self.inputs[-1] is None:
            self.inputs.pop()

    def names(self) -> list[str]:
        return [f"in{i}" if arg is not None else "" for i, arg in enumerate(self.inputs)]

    def feeds(self) -> dict[str, np.ndarray]:
        pairs = zip(self.names(), self.inputs, strict=True)
        return {name: arg.array for name, arg in pairs if arg is not None and not arg.inline}

    def output_names(self) -> list[str]:
        return [f"out{i}" for i, kind in enumerate(self.outputs) if kind is not None]

    def model(self) -> onnx.ModelProto:
        names = self.names()
        asked = [f"out{i}" if kind is not None else "" for i, kind in enumerate(self.outputs)]
        node = helper.make_node(self.op, names, asked, domain=self.domain, **self.attributes)
        given = [
            (name, arg) for name, arg in zip(names, self.inputs, strict=True) if arg is not None
        ]
        graph = helper.make_graph(
            [node],
            self.op,
            [
                helper.make_tensor_value_info(
                    name, helper.np_dtype_to_tensor_dtype(arg.array.dtype), arg.shape()
                )
                for name, arg in given
                if not arg.inline
            ],
            [
                helper.make_tensor_value_info(f"out{i}", kind, None)
                for i, kind in enumerate(self.outputs)
                if kind is not None
            ],
            [numpy_helper.from_array(arg.array, name) for name, arg in given if arg.inline],
        )
        opsets = [helper.make_opsetid("", self.opset), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, ir_version=10, opset_imports=opsets)

    def __str__(self):
        shapes = [None if arg is None else arg.array.shape for arg in self.inputs]
        return f"{self.op} {self.attributes} on {shapes}"


def rename(model: onnx.ModelProto, prefix: str) -> onnx.GraphProto:
    """The graph of a copy of `model`, each value, node and dimension with `prefix` in front of its name."""
    graph = onnx.ModelProto.FromString(model.SerializeToString()).graph
    for i, node in enumerate(graph.node):
        assert not any(a.HasField("g") or a.graphs for a in node.attribute), "no graphs inside"
        node.name = f"{prefix}{node.name or i}"
        node.input[:] = [prefix + name if name else "" for name in node.input]
        node.output[:] = [prefix + name if name else "" for name in node.output]
    for tensor in graph.initializer:
        tensor.name = prefix + tensor.name
    for value in [*graph.input, *graph.output]:
        value.name = prefix + value.name
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_param = prefix + dim.dim_param
    return graph


def merge(models: dict[str, onnx.ModelProto]) -> onnx.ModelProto:
    """All models, which must import the same opsets, in one; values of model `m` are called `m/value`."""
    first = next(iter(models.values()))
    graph = onnx.GraphProto(name="cases")
    for name, model in models.items():
        assert list(model.opset_import) == list(first.opset_import)
        part = rename(model, f"{name}/")
        graph.node.extend(part.node)
        graph.initializer.extend(part.initializer)
        graph.input.extend(part.input)
        graph.output.extend(part.output)
    merged = helper.make_model(graph, ir_version=first.ir_version, opset_imports=first.opset_import)
    merged.functions.extend(first.functions)
    return merged


def difference(ours, theirs, rtol: float, atol: float, keep=None) -> str:
    """Empty when both agree; NaN agrees with NaN."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return f"{ours.dtype}{ours.shape} instead of {theirs.dtype}{theirs.shape}"
    if keep is not None:
        keep = np.broadcast_to(keep, ours.shape)
        ours, theirs = ours[keep], theirs[keep]
    if ours.dtype.kind not in "fV":
        wrong = int((ours != theirs).sum())
        return f"{wrong} of {ours.size} elements differ" if wrong else ""
    ours, theirs = ours.astype(np.float64), theirs.astype(np.float64)
    same = np.isclose(ours, theirs, rtol, atol, equal_nan=True)
    if same.all():
        return ""
    at = np.unravel_index(np.argmin(same), same.shape)
    return f"{int((~same).sum())} of {same.size} elements differ, first {ours[at]} instead of {theirs[at]} at {at}"
