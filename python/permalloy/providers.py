# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Execution providers, of which there is one, and onnxruntime's functions about the machine."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from . import _native
from .errors import InvalidArgument

CPU = "CPUExecutionProvider"

# onnxruntime's names: skipped with a warning, as by an onnxruntime that was built without them.
_ALL = [
    "NvTensorRTRTXExecutionProvider",
    "TensorrtExecutionProvider",
    "CUDAExecutionProvider",
    "MIGraphXExecutionProvider",
    "ROCMExecutionProvider",
    "OpenVINOExecutionProvider",
    "DnnlExecutionProvider",
    "VitisAIExecutionProvider",
    "QNNExecutionProvider",
    "NnapiExecutionProvider",
    "VSINPUExecutionProvider",
    "JsExecutionProvider",
    "CoreMLExecutionProvider",
    "ArmNNExecutionProvider",
    "ACLExecutionProvider",
    "DmlExecutionProvider",
    "RknpuExecutionProvider",
    "WebNNExecutionProvider",
    "WebGpuExecutionProvider",
    "XnnpackExecutionProvider",
    "CANNExecutionProvider",
    "AzureExecutionProvider",
    "TvmExecutionProvider",
    CPU,
]


def get_all_providers() -> list[str]:
    """All names of providers that are known, most of them unavailable."""
    return list(_ALL)


def get_available_providers() -> list[str]:
    return [CPU]


def get_device() -> str:
    return "CPU"


def get_build_info() -> str:
    return f"Permalloy {_native.version()}, CPU: {_native.cpu_features()}"


def get_version_string() -> str:
    return _native.version()


def print_debug_info() -> None:
    print(get_build_info())
    print(f"CPUs that this process may use: {_native.available_cpus()}")


def has_collective_ops() -> bool:
    return False


def set_default_logger_severity(severity: int) -> None:
    """The runtime logs nothing."""


def set_default_logger_verbosity(verbosity: int) -> None:
    """The runtime logs nothing."""


def set_seed(seed: int) -> None:
    """No supported operator is random."""


def enable_telemetry_events() -> None:
    """There is no telemetry."""


def disable_telemetry_events() -> None:
    """There is no telemetry."""


def check_known(name: Any) -> None:
    """Refuses names that onnxruntime does not know either."""
    if name not in _ALL:
        raise InvalidArgument(f"provider {name!r} is unknown; available is '{CPU}'")


def check(providers: Sequence | None, provider_options: Sequence[dict] | None) -> None:
    """Warns of providers that are unavailable, as onnxruntime does; models run on the CPU."""
    if providers is None:
        return
    if isinstance(providers, str) or not isinstance(providers, Sequence):
        raise InvalidArgument(f"providers is {providers!r}, expected a sequence of names")
    if provider_options is not None and len(provider_options) != len(providers):
        raise InvalidArgument(
            f"{len(provider_options)} provider_options given for {len(providers)} providers"
        )
    for entry in providers:
        name = entry[0] if isinstance(entry, (tuple, list)) and entry else entry
        check_known(name)
        if name != CPU:
            warnings.warn(
                f"Specified provider '{name}' is not in available provider names. "
                f"Available providers: '{CPU}'",
                stacklevel=4,
            )
