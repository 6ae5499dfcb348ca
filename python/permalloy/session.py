# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""InferenceSession: onnxruntime's interface on compiled models."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from . import _native
from .compiler import ALLOY_MAGIC, compile_cached
from .errors import InvalidArgument
from .options import RunOptions, SessionOptions

# ONNX's type number: (onnxruntime's spelling, numpy's name).
_TYPES = {
    1: ("tensor(float)", "float32"),
    2: ("tensor(uint8)", "uint8"),
    3: ("tensor(int8)", "int8"),
    4: ("tensor(uint16)", "uint16"),
    5: ("tensor(int16)", "int16"),
    6: ("tensor(int32)", "int32"),
    7: ("tensor(int64)", "int64"),
    9: ("tensor(bool)", "bool"),
    10: ("tensor(float16)", "float16"),
    11: ("tensor(double)", "float64"),
    12: ("tensor(uint32)", "uint32"),
    13: ("tensor(uint64)", "uint64"),
    16: ("tensor(bfloat16)", "bfloat16"),
}
_NUMBERS = {name: number for number, (_, name) in _TYPES.items()}
_BFLOAT16 = 16
_KNOWN_DTYPES = {np.dtype(name): number for name, number in _NUMBERS.items() if number != _BFLOAT16}


class NodeArg:
    """An input or output: `name`, `type` ("tensor(float)"), `shape` (sizes, or symbols as text)."""

    def __init__(self, name: str, number: int, shape: list[int | str]):
        self.name = name
        self.type = _TYPES[number][0]
        self.shape = shape
        self._number = number

    def __repr__(self):
        return f"NodeArg(name='{self.name}', type='{self.type}', shape={self.shape})"


class ModelMetadata:
    """What the .onnx file says of itself."""

    def __init__(self, values: dict[str, str]):
        self.producer_name = values["producer_name"]
        self.graph_name = values["graph_name"]
        self.graph_description = values["graph_description"]
        self.domain = values["domain"]
        self.description = values["description"]
        self.version = int(values["version"])
        prefix = "custom."
        self.custom_metadata_map = {
            key[len(prefix) :]: value for key, value in values.items() if key.startswith(prefix)
        }


class InferenceSession:
    """A model that is ready to run.

    path_or_bytes  a .alloy file, or an ONNX model, which is compiled first (the result is cached);
                   a path, the file's bytes, or an onnx.ModelProto
    sess_options   SessionOptions
    providers      as for onnxruntime; must contain "CPUExecutionProvider" when given

    One session may be used by several threads at once; `run` releases the GIL.
    """

    def __init__(
        self,
        path_or_bytes: Any,
        sess_options: SessionOptions | None = None,
        providers: Sequence | None = None,
        provider_options: Sequence[dict] | None = None,
    ):
        self._options = sess_options if sess_options is not None else SessionOptions()
        if not isinstance(self._options, SessionOptions):
            raise InvalidArgument(
                f"sess_options is a {type(sess_options).__name__}, expected permalloy.SessionOptions"
            )
        _check_providers(providers)
        self._native = _open(path_or_bytes, self._options)
        self._inputs = [NodeArg(*info) for info in self._native.inputs()]
        self._outputs = [NodeArg(*info) for info in self._native.outputs()]
        self._output_numbers = {arg.name: arg._number for arg in self._outputs}

    def run(
        self,
        output_names: Sequence[str] | None,
        input_feed: dict[str, Any],
        run_options: RunOptions | None = None,
    ) -> list[np.ndarray]:
        """Outputs in the order of `output_names`, or all of them for None.

        Arrays that are C-contiguous and aligned are read in place, others are copied. Shapes and
        dtypes must be those of `get_inputs`; nothing is converted.
        """
        return self._run(output_names, input_feed, profile=False)[0]

    def profile(self, input_feed: dict[str, Any]) -> list[tuple]:
        """One run: (node names, kernel, nanoseconds) of each step."""
        _, times = self._run(None, input_feed, profile=True)
        return [(*step, time) for step, time in zip(self._native.steps(), times)]

    def get_inputs(self) -> list[NodeArg]:
        return list(self._inputs)

    def get_outputs(self) -> list[NodeArg]:
        return list(self._outputs)

    def get_providers(self) -> list[str]:
        return ["CPUExecutionProvider"]

    def get_provider_options(self) -> dict[str, dict]:
        return {"CPUExecutionProvider": {}}

    def get_modelmeta(self) -> ModelMetadata:
        return ModelMetadata(self._native.metadata())

    def get_session_options(self) -> SessionOptions:
        return self._options

    @property
    def target(self) -> str:
        """The instruction set whose code runs, "x86-64-v3"."""
        return self._native.metadata()["target"]

    @property
    def threads(self) -> int:
        """Threads of a run."""
        return self._native.threads()

    def _run(self, output_names, input_feed, profile):
        if output_names is None or len(output_names) == 0:
            output_names = [arg.name for arg in self._outputs]
        if not hasattr(input_feed, "items"):
            raise InvalidArgument(
                f"input_feed is a {type(input_feed).__name__}, expected a dict of arrays by name"
            )
        # The list keeps converted arrays alive until the run is over.
        arrays = [(name, _to_array(name, value)) for name, value in input_feed.items()]
        feeds = [(name, number, a.shape, a.ctypes.data) for name, (a, number) in arrays]
        results, times = self._native.run(feeds, list(output_names), profile)
        numbers = [self._output_numbers[name] for name in output_names]
        return [_from_native(*pair) for pair in zip(results, numbers)], times


def _check_providers(providers):
    if providers is None:
        return
    names = [entry[0] if isinstance(entry, (tuple, list)) else entry for entry in providers]
    others = [name for name in names if name != "CPUExecutionProvider"]
    if others and "CPUExecutionProvider" not in names:
        raise InvalidArgument(
            f"providers {', '.join(map(repr, others))} are unsupported; supported is "
            "'CPUExecutionProvider'"
        )
    if others:
        warnings.warn(
            f"providers {', '.join(map(repr, others))} are unsupported and ignored", stacklevel=3
        )


def _open(model, options: SessionOptions):
    threads = options.intra_op_num_threads
    if hasattr(model, "SerializeToString"):
        model = model.SerializeToString()
    if isinstance(model, (bytes, bytearray, memoryview)):
        data = bytes(model)
        if data.startswith(ALLOY_MAGIC):
            return _native.Session(data, threads)
        path = None
    else:
        data, path = None, os.fspath(model)
        if not os.path.exists(path) or _is_alloy(path):
            return _native.Session(os.fsdecode(path), threads)
    return compile_cached(
        path, data, options.compile_options, lambda alloy: _native.Session(alloy, threads)
    )


def _is_alloy(path) -> bool:
    if os.fsdecode(path).endswith(".alloy") or os.path.isdir(path):
        return True  # opening says what is wrong with it
    with open(path, "rb") as file:
        return file.read(len(ALLOY_MAGIC)) == ALLOY_MAGIC


def _to_array(name, value):
    """The value as a C-contiguous, aligned, native-endian array, and its type number."""
    array = np.asarray(value)
    number = _KNOWN_DTYPES.get(array.dtype)
    if number is None:  # another byte order, or a package's bfloat16
        number = _NUMBERS.get(array.dtype.name)
    if number is None:
        raise InvalidArgument(
            f"input '{name}' has dtype {array.dtype}, which no model takes; supported are "
            f"{', '.join(_NUMBERS)}"
        )
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if not (array.flags.c_contiguous and array.flags.aligned):
        array = np.array(array, order="C", copy=True)
    return array, number


def _from_native(array, number):
    if number == _BFLOAT16:
        try:
            import ml_dtypes
        except ImportError:
            return array  # the bits, as uint16: numpy itself has no bfloat16
        return array.view(ml_dtypes.bfloat16)
    return array
