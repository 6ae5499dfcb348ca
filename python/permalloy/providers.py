# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Execution providers: the CPU and NVIDIA GPUs; and onnxruntime's functions about the machine."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

from . import _native
from .errors import EPFail, InvalidArgument

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"

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
    """What sessions can run on here: the CPU, and GPUs where NVIDIA's driver shows some."""
    try:
        _native.gpus()
    except EPFail:
        return [CPU]
    return [CUDA, CPU]


def get_device() -> str:
    return "GPU" if CUDA in get_available_providers() else "CPU"


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
        raise InvalidArgument(f"provider {name!r} is unknown; available are '{CUDA}' and '{CPU}'")


class Provider(NamedTuple):
    """One that a session may run on."""

    name: str
    device: str  #: as the runtime names it: "cpu", "cuda:0"

    def options(self) -> dict[str, str]:
        return {"device_id": self.device[5:]} if self.name == CUDA else {}


def choose(providers: Sequence | None, provider_options: Sequence[dict] | None) -> list[Provider]:
    """Those of the list that there are, in its order; the CPU where the list names none of them.

    Warns of others, as onnxruntime does.
    """
    chosen: list[Provider] = []
    for name, options in _pairs(providers, provider_options):
        check_known(name)
        if name == CPU:
            chosen.append(Provider(CPU, "cpu"))
        elif name == CUDA:
            chosen.append(Provider(CUDA, f"cuda:{_device_id(options)}"))
        else:
            warnings.warn(
                f"Specified provider '{name}' is not in available provider names. "
                f"Available providers: '{', '.join(get_available_providers())}'",
                stacklevel=4,
            )
    return chosen or [Provider(CPU, "cpu")]


def _pairs(providers, provider_options):
    """(name, options) of each entry of onnxruntime's two forms."""
    if providers is None:
        return []
    if isinstance(providers, str) or not isinstance(providers, Sequence):
        raise InvalidArgument(f"providers is {providers!r}, expected a sequence of names")
    if provider_options is not None and len(provider_options) != len(providers):
        raise InvalidArgument(
            f"{len(provider_options)} provider_options given for {len(providers)} providers"
        )
    pairs = []
    for i, entry in enumerate(providers):
        is_pair = isinstance(entry, (tuple, list)) and entry
        name = entry[0] if is_pair else entry
        options = entry[1] if is_pair and len(entry) > 1 else {}
        pairs.append((name, {**options, **(provider_options[i] if provider_options else {})}))
    return pairs


def _device_id(options: dict) -> int:
    """onnxruntime's other options of the provider choose among its kernels and allocators."""
    text = str(options.get("device_id", 0))
    if not text.isdecimal():
        raise InvalidArgument(f"device_id is {text!r}, expected the number of a GPU")
    return int(text)
