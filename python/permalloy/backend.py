# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Permalloy as an onnx.backend.base.Backend; needs the package onnx.

import permalloy.backend
outputs = permalloy.backend.run_model(model, [x, y])

A model that is refused raises permalloy.UnsupportedModel with the reasons.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, shape_inference
from onnx.backend.base import Backend, BackendRep

from . import _native
from .errors import CompileError, InvalidArgument
from .options import SessionOptions
from .providers import CPU, CUDA, get_available_providers
from .session import InferenceSession


class PermalloyBackendRep(BackendRep):
    """A compiled model."""

    def __init__(self, session: InferenceSession):
        self._session = session

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Outputs for a list of inputs in the model's order, a dict by name, or the one input."""
        _refuse_options(kwargs)
        return tuple(self._session.run(None, self._feed(inputs)))

    def _feed(self, inputs: Any) -> dict[str, Any]:
        names = [arg.name for arg in self._session.get_inputs()]
        if hasattr(inputs, "items"):
            return dict(inputs)
        if not isinstance(inputs, (list, tuple)):
            inputs = [inputs]
        if len(inputs) != len(names):
            raise InvalidArgument(f"{len(inputs)} inputs given, the model has {len(names)}")
        return dict(zip(names, inputs))


class PermalloyBackend(Backend):
    """The class that onnx.backend.test.BackendTest takes."""

    @classmethod
    def is_compatible(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> bool:
        """Whether the model compiles; the result is kept in the cache."""
        try:
            cls.prepare(model, device, **kwargs)
        except CompileError:
            return False
        return True

    @classmethod
    def prepare(
        cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any
    ) -> PermalloyBackendRep:
        """Compiles a model. Keyword argument: intra_op_num_threads."""
        _check_device(device)
        options = SessionOptions()
        options.intra_op_num_threads = kwargs.pop("intra_op_num_threads", 0)
        _refuse_options(kwargs)
        return PermalloyBackendRep(InferenceSession(model, options, _providers(device)))

    @classmethod
    def run_model(
        cls, model: onnx.ModelProto, inputs: Any, device: str = "CPU", **kwargs: Any
    ) -> tuple[Any, ...]:
        return cls.prepare(model, device, **kwargs).run(inputs)

    @classmethod
    def run_node(
        cls,
        node: onnx.NodeProto,
        inputs: Any,
        device: str = "CPU",
        outputs_info: Sequence[tuple[np.dtype, tuple[int, ...]]] | None = None,
        **kwargs: Any,
    ) -> tuple[Any, ...]:
        """Runs a model of one node. Keyword arguments: opset_version, those of prepare."""
        opset = kwargs.pop("opset_version", onnx.defs.onnx_opset_version())
        if not isinstance(inputs, (list, tuple)):
            inputs = [inputs]
        model = _model_of(node, [np.asarray(value) for value in inputs], outputs_info, opset)
        return cls.run_model(model, inputs, device, **kwargs)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        kind, _, number = device.partition(":")
        if kind == "CUDA":
            return (number or "0").isdecimal() and int(number or "0") < _gpu_count()
        return kind == "CPU"


def _check_device(device: str) -> None:
    if not PermalloyBackend.supports_device(device):
        there = ["CPU", *(f"CUDA:{i}" for i in range(_gpu_count()))]
        raise InvalidArgument(
            f"device '{device}' is unsupported; supported are {', '.join(map(repr, there))}"
        )


def _gpu_count() -> int:
    return len(_native.gpus()) if CUDA in get_available_providers() else 0


def _providers(device: str) -> list:
    kind, _, number = device.partition(":")
    return [(CUDA, {"device_id": number or "0"})] if kind == "CUDA" else [CPU]


def _refuse_options(options: dict[str, Any]) -> None:
    if options:
        raise InvalidArgument(
            f"{', '.join(options)} is no option; supported is intra_op_num_threads, in prepare"
        )


def _value(name: str, array: np.ndarray) -> onnx.ValueInfoProto:
    element_type = helper.np_dtype_to_tensor_dtype(array.dtype)
    return helper.make_tensor_value_info(name, element_type, array.shape)


def _model_of(node, arrays, outputs_info, opset) -> onnx.ModelProto:
    """A model of one node, for inputs like these."""
    names = [name for name in node.input if name]
    if len(names) != len(arrays):
        raise InvalidArgument(f"{len(arrays)} inputs given, {node.op_type} reads {len(names)}")
    inputs = [_value(name, array) for name, array in zip(names, arrays)]
    outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
    if outputs_info is not None:
        outputs = [
            _value(value.name, np.empty(shape, dtype))
            for value, (dtype, shape) in zip(outputs, outputs_info)
        ]
    graph = helper.make_graph([node], "node", inputs, outputs)
    opsets = [helper.make_opsetid(node.domain, opset)]
    if node.domain not in ("", "ai.onnx"):
        opsets = [helper.make_opsetid(node.domain, 1), helper.make_opsetid("", opset)]
    model = helper.make_model(graph, opset_imports=opsets)
    return shape_inference.infer_shapes(model, data_prop=True) if outputs_info is None else model


is_compatible = PermalloyBackend.is_compatible
prepare = PermalloyBackend.prepare
run_model = PermalloyBackend.run_model
run_node = PermalloyBackend.run_node
supports_device = PermalloyBackend.supports_device
