# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compiled transformers with onnxruntime's interface.

import permalloy
session = permalloy.InferenceSession("model.onnx")     # or model.alloy
outputs = session.run(None, {"input_ids": ids, "attention_mask": mask})

docs/onnxruntime.md lists what of onnxruntime's interface is here.
"""

from typing import Any

from ._native import available_cpus, cpu_features
from ._native import version as _version
from .compiler import compile
from .describe import ModelMetadata, NodeArg
from .errors import (
    CompileError,
    Error,
    Fail,
    InvalidArgument,
    InvalidGraph,
    InvalidModel,
    InvalidProtobuf,
    NoSuchFile,
    NotImplemented,
    OutOfMemory,
    UnsupportedCpu,
    UnsupportedModel,
)
from .iobinding import IOBinding
from .options import (
    ExecutionMode,
    ExecutionOrder,
    GraphOptimizationLevel,
    RunOptions,
    SessionOptions,
)
from .ortvalue import OrtDevice, OrtValue, copy_tensors
from .providers import (
    disable_telemetry_events,
    enable_telemetry_events,
    get_all_providers,
    get_available_providers,
    get_build_info,
    get_device,
    get_version_string,
    has_collective_ops,
    print_debug_info,
    set_default_logger_severity,
    set_default_logger_verbosity,
    set_seed,
)
from .session import InferenceSession
from .state import State
from .unsupported import refuse as _refuse

__version__ = _version()

__all__ = [
    "CompileError",
    "Error",
    "ExecutionMode",
    "ExecutionOrder",
    "Fail",
    "GraphOptimizationLevel",
    "IOBinding",
    "InferenceSession",
    "InvalidArgument",
    "InvalidGraph",
    "InvalidModel",
    "InvalidProtobuf",
    "ModelMetadata",
    "NoSuchFile",
    "NodeArg",
    "NotImplemented",
    "OrtDevice",
    "OrtValue",
    "OutOfMemory",
    "RunOptions",
    "SessionOptions",
    "State",
    "UnsupportedCpu",
    "UnsupportedModel",
    "available_cpus",
    "compile",
    "copy_tensors",
    "cpu_features",
    "disable_telemetry_events",
    "enable_telemetry_events",
    "get_all_providers",
    "get_available_providers",
    "get_build_info",
    "get_device",
    "get_version_string",
    "has_collective_ops",
    "print_debug_info",
    "set_default_logger_severity",
    "set_default_logger_verbosity",
    "set_seed",
]


def __getattr__(name: str) -> Any:
    raise _refuse("", name) or AttributeError(f"module 'permalloy' has no attribute '{name}'")
