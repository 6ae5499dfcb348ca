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


_PLANNED = "memory is planned when the model is compiled"
_KERNELS = "kernels are chosen when the model is compiled"
_ALLOCATOR = "device memory is the driver's; a session keeps what its runs need"

#: onnxruntime's options of the CUDA provider that change nothing here.
_NO_EFFECT = {
    "arena_extend_strategy": _PLANNED,
    "cudnn_conv1d_pad_to_nc1d": _KERNELS,
    "cudnn_conv_algo_search": _KERNELS,
    "cudnn_conv_use_max_workspace": _KERNELS,
    "do_copy_in_default_stream": "copies and kernels of a run are in one stream",
    "enable_cuda_graph": "runs become graphs by themselves",
    "enable_skip_layer_norm_strict_mode": _KERNELS,
    "fuse_conv_bias": _KERNELS,
    "has_user_compute_stream": "user_compute_stream says so",
    "prefer_nhwc": _KERNELS,
    "sdpa_kernel": _KERNELS,
    "tunable_op_enable": _KERNELS,
    "tunable_op_max_tuning_duration_ms": _KERNELS,
    "tunable_op_tuning_enable": _KERNELS,
    "use_ep_level_unified_stream": "copies and kernels of a run are in one stream",
    "use_tf32": "the compile option precision says what products compute in",
}
#: Those that would be expected to.
_REFUSED = {
    "gpu_external_alloc": _ALLOCATOR,
    "gpu_external_empty_cache": _ALLOCATOR,
    "gpu_external_free": _ALLOCATOR,
}
#: What onnxruntime's get_provider_options() gives for options that were not set: no such thing.
_DEFAULTS = {**dict.fromkeys(_REFUSED, ("0", "")), "gpu_mem_limit": (str(2**64 - 1),)}


def check_known(name: Any) -> None:
    """Refuses names that onnxruntime does not know either."""
    if name not in _ALL:
        raise InvalidArgument(f"provider {name!r} is unknown; available are '{CUDA}' and '{CPU}'")


class Provider(NamedTuple):
    """One that a session may run on."""

    name: str
    device: str  #: as the runtime names it: "cpu", "cuda:0"
    stream: int = 0  #: CUDA's handle of the caller's stream; 0: there is none

    def options(self) -> dict[str, str]:
        if self.name != CUDA:
            return {}
        stream = {"user_compute_stream": str(self.stream)} if self.stream else {}
        return {"device_id": self.device[5:], **stream}


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
            chosen.append(_cuda(options))
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


def _cuda(options: dict) -> Provider:
    for name, value in options.items():
        if str(value) in _DEFAULTS.get(name, ()):
            continue
        if name in _REFUSED:
            raise InvalidArgument(f"{CUDA}'s option '{name}' is unsupported: {_REFUSED[name]}")
        if name == "gpu_mem_limit":
            warnings.warn(
                f"{CUDA}'s option 'gpu_mem_limit' has no effect: {_PLANNED}, and takes what it takes",
                stacklevel=6,
            )
        elif name not in ("device_id", "user_compute_stream", *_NO_EFFECT):
            raise InvalidArgument(
                f"{CUDA}'s option {name!r} is unknown; accepted are 'device_id', "
                "'user_compute_stream' and onnxruntime's others"
            )
    number = _number(options, "device_id", "the number of a GPU")
    stream = _number(options, "user_compute_stream", "the address of a stream as a number")
    return Provider(CUDA, f"cuda:{number}", stream)


def _number(options: dict, name: str, expected: str) -> int:
    text = str(options.get(name, 0))
    if not text.isdecimal():
        raise InvalidArgument(f"{name} is {text!r}, expected {expected}")
    return int(text)
