# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compiled transformers with onnxruntime's interface.

import permalloy
session = permalloy.InferenceSession("model.onnx")     # or model.alloy
outputs = session.run(None, {"input_ids": ids, "attention_mask": mask})
"""

from ._native import available_cpus, cpu_features
from ._native import version as _version
from .compiler import compile
from .errors import (
    CompileError,
    Error,
    Fail,
    InvalidArgument,
    InvalidModel,
    NoSuchFile,
    OutOfMemory,
    UnsupportedCpu,
)
from .options import RunOptions, SessionOptions
from .session import InferenceSession, ModelMetadata, NodeArg

__version__ = _version()

__all__ = [
    "CompileError",
    "Error",
    "Fail",
    "InferenceSession",
    "InvalidArgument",
    "InvalidModel",
    "ModelMetadata",
    "NoSuchFile",
    "NodeArg",
    "OutOfMemory",
    "RunOptions",
    "SessionOptions",
    "UnsupportedCpu",
    "available_cpus",
    "compile",
    "cpu_features",
    "get_available_providers",
]


def get_available_providers():
    """onnxruntime's function of this name."""
    return ["CPUExecutionProvider"]
