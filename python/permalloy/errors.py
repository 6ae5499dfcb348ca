# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Exceptions: onnxruntime's names where it has one, and Python's own classes as second base."""


class Error(RuntimeError):
    """Base of all exceptions that Permalloy raises itself."""


class Fail(Error):
    """Something failed that no narrower class names."""


class InvalidArgument(Error, ValueError):
    """A wrong input, shape, dtype, name or option."""


class NoSuchFile(Error, FileNotFoundError):
    """A model file that does not exist."""


class InvalidModel(Error):
    """A .alloy file that is foreign, truncated, altered, or of another version."""


class UnsupportedCpu(Error):
    """A .alloy file without code for this CPU."""


class OutOfMemory(Error, MemoryError):
    """Memory could not be reserved."""


class CompileError(Error):
    """The compiler refused a model or failed; the text is what it said."""


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
}


def from_status(code: int, message: str) -> Error:
    """The exception for a failed permalloy_status."""
    return _BY_CODE.get(code, Fail)(message)
