# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Exceptions: onnxruntime's names where it has one, and Python's own classes as second base.

Those of onnxruntime that nothing here raises exist all the same, so that `except` clauses work.
"""

from __future__ import annotations


class Error(RuntimeError):
    """Base of all exceptions that Permalloy raises itself."""


class Fail(Error):
    """Something failed that no narrower class names; a run that was terminated."""


class InvalidArgument(Error, ValueError):
    """A wrong input, shape, dtype, name or option."""


class NoSuchFile(Error, FileNotFoundError):
    """A model file that does not exist."""


class NotImplemented(Error, NotImplementedError):
    """Something that Permalloy does not do."""


class InvalidModel(Error):
    """A .alloy file that is foreign, truncated, altered, or of another version."""


class UnsupportedCpu(Error):
    """A .alloy file without code for this CPU."""


class EPFail(Error):
    """A GPU that is not there, that the model has no code for, or that failed."""


class OutOfMemory(Error, MemoryError):
    """Memory could not be reserved."""


class CompileError(Error):
    """The compiler refused a model or failed; the text is what it said."""


class InvalidProtobuf(CompileError):
    """A model that is no ONNX file."""


class InvalidGraph(CompileError):
    """An ONNX model that contradicts itself or ONNX."""


class UnsupportedModel(CompileError, NotImplemented):
    """An ONNX model with operators or types that are not supported."""


class UnusableGpu(CompileError, EPFail):
    """A GPU that models cannot be compiled for: it is not there, or too old."""


# Names of onnxruntime's that nothing raises.


class DeviceReset(Error):
    pass


class EngineError(Error):
    pass


class ModelLoadCanceled(Error):
    pass


class ModelLoaded(Error):
    pass


class ModelRequiresCompilation(Error):
    pass


class NoModel(Error):
    pass


class NotFound(Error):
    pass


class RuntimeException(Error):
    pass


# Numbers of permalloy_status_code.
_BY_CODE = {
    1: InvalidArgument,
    2: NoSuchFile,
    3: Fail,
    4: InvalidModel,
    5: InvalidModel,
    6: UnsupportedCpu,
    7: OutOfMemory,
    8: InvalidArgument,
    9: RuntimeException,
    10: Fail,
    11: EPFail,
    12: EPFail,
}


def from_status(code: int, message: str) -> Error:
    """The exception for a failed permalloy_status."""
    return _BY_CODE.get(code, Fail)(message)
