# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What of onnxruntime's interface is refused, and what is accepted without effect, with the reason.

docs/onnxruntime.md is made from these tables and from onnxruntime itself
(scripts/docs/onnxruntime_api.py); a test holds every public name of onnxruntime against them.
"""

from __future__ import annotations

from typing import Any

from .errors import NotImplemented

_PROVIDERS = "a session runs on one provider, chosen from the list that it is opened with"
_SPARSE = "sparse tensors are unsupported; give dense ones"
_ALLOCATORS = "memory is planned by the compiler; there are no allocators to configure"
_LORA = "adapters are unsupported; merge them into the model"
_WEIGHTS = "weights are compiled in; put them into the model and compile it again"
_VECTOR = "use run_with_ort_values or run_with_iobinding"
_COMPILE = "use permalloy.compile(model, output)"
_TUNING = "nothing is tuned at run time"
_GPU = "the driver is opened where it is needed, and graphs are the session's own"
_STREAM = "give your stream as the provider's option user_compute_stream"

#: Names that raise, by class; "" is the module.
REFUSED: dict[str, dict[str, str]] = {
    "": {
        "AdapterFormat": _LORA,
        "LoraAdapter": _LORA,
        "ModelCompiler": _COMPILE,
        "OrtAllocatorType": _ALLOCATORS,
        "OrtArenaCfg": _ALLOCATORS,
        "OrtCompileApiFlags": _COMPILE,
        "OrtDeviceMemoryType": _ALLOCATORS,
        "OrtDeviceVendorId": _PROVIDERS,
        "OrtEpAssignedNode": _PROVIDERS,
        "OrtEpAssignedSubgraph": _PROVIDERS,
        "OrtEpContextData": _PROVIDERS,
        "OrtEpContextDataBuffer": _PROVIDERS,
        "OrtEpDevice": _PROVIDERS,
        "OrtExecutionProviderDevicePolicy": _PROVIDERS,
        "OrtExternalInitializerInfo": _WEIGHTS,
        "OrtHardwareDevice": _PROVIDERS,
        "OrtHardwareDeviceType": _PROVIDERS,
        "OrtMemType": _ALLOCATORS,
        "OrtMemoryInfo": _ALLOCATORS,
        "OrtMemoryInfoDeviceType": _ALLOCATORS,
        "OrtSparseFormat": _SPARSE,
        "OrtSyncStream": _STREAM,
        "SessionIOBinding": "use IOBinding",
        "SparseTensor": _SPARSE,
        "create_and_register_allocator": _ALLOCATORS,
        "create_and_register_allocator_v2": _ALLOCATORS,
        "get_ep_devices": _PROVIDERS,
        "preload_dlls": _GPU,
        "register_execution_provider_library": _PROVIDERS,
        "set_global_thread_pool_sizes": "sessions share no threads; set intra_op_num_threads",
        "unregister_execution_provider_library": _PROVIDERS,
    },
    "InferenceSession": {
        "get_input_epdevices": _PROVIDERS,
        "get_input_memory_infos": _ALLOCATORS,
        "get_output_memory_infos": _ALLOCATORS,
        "get_provider_graph_assignment_info": _PROVIDERS,
        "get_tuning_results": _TUNING,
        "release_captured_graph": _GPU,
        "run_with_ortvaluevector": _VECTOR,
        "set_ep_dynamic_options": _PROVIDERS,
        "set_tuning_results": _TUNING,
    },
    "SessionOptions": {
        "add_external_initializers": _WEIGHTS,
        "add_external_initializers_from_files_in_memory": _WEIGHTS,
        "add_free_dimension_override_by_denotation": (
            "dimensions have names only; use add_free_dimension_override_by_name"
        ),
        "add_initializer": _WEIGHTS,
        "add_provider_for_devices": _PROVIDERS,
        "clear_ep_context_data_read_func": _PROVIDERS,
        "register_custom_ops_library": "operators of other libraries cannot be compiled",
        "set_ep_context_data_read_func": _PROVIDERS,
        "set_load_cancellation_flag": "opening cannot be cancelled",
        "set_provider_selection_policy": _PROVIDERS,
        "set_provider_selection_policy_delegate": _PROVIDERS,
    },
    "RunOptions": {"add_active_adapter": _LORA},
    "IOBinding": {"get_outputs_as_ortvaluevector": _VECTOR},
    "OrtValue": {
        "as_sparse_tensor": _SPARSE,
        "ort_value_from_sparse_tensor": _SPARSE,
    },
    "ModelMetadata": {},
    "NodeArg": {},
    "OrtDevice": {},
}

_ORDER = "the program is compiled as one sequence of launches"
_LOG = "the runtime logs nothing"
_PLANNED = "memory is planned when the model is compiled"

#: Names that are accepted and change nothing, by class.
NO_EFFECT: dict[str, dict[str, str]] = {
    "": {
        "disable_telemetry_events": "there is no telemetry",
        "enable_telemetry_events": "there is no telemetry",
        "set_default_logger_severity": _LOG,
        "set_default_logger_verbosity": _LOG,
        "set_seed": "no supported operator is random",
    },
    "InferenceSession": {
        "disable_fallback": _PROVIDERS,
        "enable_fallback": _PROVIDERS,
    },
    "SessionOptions": {
        "enable_cpu_mem_arena": _PLANNED,
        "enable_mem_pattern": _PLANNED,
        "enable_mem_reuse": _PLANNED,
        "execution_mode": _ORDER,
        "execution_order": _ORDER,
        "graph_optimization_level": "the compiler always optimises",
        "inter_op_num_threads": _ORDER,
        "log_severity_level": _LOG,
        "log_verbosity_level": _LOG,
        "logid": _LOG,
        "use_deterministic_compute": "equal runs always give equal bits",
        "use_per_session_threads": "a session always has threads of its own; False is refused",
    },
    "RunOptions": {
        "add_run_config_entry": "kept and given back",
        "log_severity_level": _LOG,
        "log_verbosity_level": _LOG,
        "logid": _LOG,
        "only_execute_path_to_fetches": "all outputs are computed",
    },
    "IOBinding": {
        "synchronize_inputs": "a run waits for what it needs",
        "synchronize_outputs": "outputs are complete when a run returns",
    },
}


class UnsupportedName(NotImplemented, AttributeError):
    """A name of onnxruntime's that Permalloy does not have. hasattr() is False for it."""


def refuse(owner: str, name: str) -> UnsupportedName | None:
    """The exception for a refused name, or None for a name that onnxruntime lacks as well."""
    reason = REFUSED.get(owner, {}).get(name)
    if reason is None:
        return None
    return UnsupportedName(f"{owner or 'permalloy'}.{name} is unsupported: {reason}")


class Listed:
    """Base of classes whose missing names say why they are missing."""

    def __getattr__(self, name: str) -> Any:
        for owner in type(self).__mro__:
            if error := refuse(owner.__name__, name):
                raise error
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
