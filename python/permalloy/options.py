# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""SessionOptions and RunOptions with onnxruntime's attribute names."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, ClassVar

from . import _native
from .errors import InvalidArgument
from .providers import check_known
from .unsupported import Listed, refuse


class GraphOptimizationLevel(IntEnum):
    ORT_DISABLE_ALL = 0
    ORT_ENABLE_BASIC = 1
    ORT_ENABLE_EXTENDED = 2
    ORT_ENABLE_LAYOUT = 3
    ORT_ENABLE_ALL = 99


class ExecutionMode(IntEnum):
    ORT_SEQUENTIAL = 0
    ORT_PARALLEL = 1


class ExecutionOrder(IntEnum):
    DEFAULT = 0
    PRIORITY_BASED = 1
    MEMORY_EFFICIENT = 2


def _integer(least: int):
    def convert(name, value):
        if isinstance(value, bool) or not hasattr(value, "__index__") or int(value) < least:
            accepted = (
                "0 (all CPUs) and up" if name == "intra_op_num_threads" else f"{least} and up"
            )
            raise InvalidArgument(f"{name} is {value!r}, accepted are {accepted}")
        return value.__index__()

    return convert


def _boolean(name, value):
    if value not in (True, False):
        raise InvalidArgument(f"{name} is {value!r}, accepted are True and False")
    return bool(value)


def _text(name, value):
    if not isinstance(value, str):
        raise InvalidArgument(f"{name} is {value!r}, expected a str")
    return value


def _one_of(kind):
    def convert(name, value):
        try:
            return kind(value)
        except (TypeError, ValueError):
            # Values of onnxruntime's own enums.
            member = getattr(kind, getattr(value, "name", ""), None)
            if member is None:
                raise InvalidArgument(
                    f"{name} is {value!r}, accepted are {', '.join(kind.__members__)}"
                ) from None
            return member

    return convert


def _only_true(name, value):
    if not _boolean(name, value):
        raise InvalidArgument(f"{name} is False, accepted is True")
    return True


def _alloy_path(name, value):
    if value and not str(value).endswith(".alloy"):
        raise InvalidArgument(
            f"{name} is '{value}', accepted is a name that ends in .alloy: the compiled model is "
            "written, not an ONNX model"
        )
    return str(value)


def _dict(name, value):
    if not hasattr(value, "items"):
        raise InvalidArgument(f"{name} is {value!r}, expected a dict")
    return dict(value)


class _Options(Listed):
    """Attributes from a table: name, default, and the function that checks a value."""

    _TABLE: ClassVar[dict[str, tuple[Any, Any]]] = {}

    def __init__(self):
        values = {name: check(name, value) for name, (value, check) in self._TABLE.items()}
        object.__setattr__(self, "_values", values)
        object.__setattr__(self, "_entries", {})

    def __getattr__(self, name: str) -> Any:
        values = self.__dict__.get("_values", {})
        if name in values:
            return values[name]
        return super().__getattr__(name)

    def __setattr__(self, name: str, value: Any):
        if name not in self._values:
            owner = type(self).__name__
            raise refuse(owner, name) or AttributeError(
                f"{owner}.{name} is unsupported; supported are {', '.join(sorted(self._TABLE))}"
            )
        self._values[name] = self._TABLE[name][1](name, value)

    def __dir__(self):
        return sorted([*super().__dir__(), *self._TABLE])

    def __repr__(self):
        changed = {
            name: value
            for name, value in self._values.items()
            if value != self._TABLE[name][1](name, self._TABLE[name][0])
        }
        text = ", ".join(f"{name}={value!r}" for name, value in changed.items())
        return f"{type(self).__name__}({text})"

    def _add_entry(self, key: str, value: str) -> None:
        self._entries[_text("the key", key)] = _text(f"the value of '{key}'", value)

    def _get_entry(self, key: str) -> str:
        if key not in self._entries:
            raise InvalidArgument(f"{type(self).__name__} has no entry '{key}'")
        return self._entries[key]


class SessionOptions(_Options):
    """How to open a model.

    intra_op_num_threads     threads of a run, the calling one included; 0: as many as this process
                             may use (cpuset and cgroup quota)
    compile_options          keyword arguments of permalloy.compile, for ONNX models
    enable_profiling         `InferenceSession.end_profiling` writes a trace of all runs
    profile_file_prefix      start of the trace's name
    optimized_model_filepath where to write the compiled model as well, a name that ends in .alloy

    onnxruntime's other attributes are accepted without effect or raise, each with the reason:
    docs/onnxruntime.md.
    """

    _TABLE: ClassVar = {
        "compile_options": ({}, _dict),
        "enable_cpu_mem_arena": (True, _boolean),
        "enable_mem_pattern": (True, _boolean),
        "enable_mem_reuse": (True, _boolean),
        "enable_profiling": (False, _boolean),
        "execution_mode": (0, _one_of(ExecutionMode)),
        "execution_order": (0, _one_of(ExecutionOrder)),
        "graph_optimization_level": (99, _one_of(GraphOptimizationLevel)),
        "inter_op_num_threads": (0, _integer(0)),
        "intra_op_num_threads": (0, _integer(0)),
        "log_severity_level": (-1, _integer(-1)),
        "log_verbosity_level": (0, _integer(0)),
        "logid": ("", _text),
        "optimized_model_filepath": ("", _alloy_path),
        "profile_file_prefix": ("onnxruntime_profile_", _text),
        "use_deterministic_compute": (False, _boolean),
        "use_per_session_threads": (True, _only_true),
    }

    def __init__(self):
        super().__init__()
        object.__setattr__(self, "_dims", {})
        object.__setattr__(self, "_providers", [])

    def add_free_dimension_override_by_name(self, dim_name: str, dim_value: int) -> None:
        """Compiles the model for this size of a named dimension."""
        self._dims[_text("the dimension's name", dim_name)] = _integer(0)(dim_name, dim_value)

    def add_session_config_entry(self, key: str, value: str) -> None:
        """Kept and given back. `permalloy.NAME` is an option of permalloy.compile, for example
        "permalloy.precision": "bf16", "permalloy.quantize": "w4g32", "permalloy.pack_padding": "true". Asking for an ORT format model is refused."""
        if key in ("session.load_model_format", "session.save_model_format") and value != "ONNX":
            raise InvalidArgument(f"{key} is '{value}', accepted is 'ONNX'")
        self._add_entry(key, value)

    def get_session_config_entry(self, key: str) -> str:
        return self._get_entry(key)

    def add_provider(self, name: str, options: dict[str, str] | None = None) -> None:
        """A provider of sessions that are opened without a list of their own."""
        check_known(name)
        self._providers.append((name, dict(options or {})))

    def has_providers(self) -> bool:
        return bool(self._providers)

    def _compile_options(self) -> dict[str, Any]:
        """What permalloy.compile takes, the overridden dimensions included."""
        options = dict(self.compile_options)
        prefix = "permalloy."
        for key, value in self._entries.items():
            if key.startswith(prefix):
                # Entries are text; True and False are for flags without a value.
                flag = {"true": True, "false": False}.get(value.lower(), value)
                options[key.removeprefix(prefix)] = flag
        if self._dims:
            options["dims"] = {**options.get("dims", {}), **self._dims}
        return options


class RunOptions(_Options):
    """How to run.

    terminate   set from another thread, it ends the runs that were given these options before
                their next kernel with the exception Fail
    """

    _TABLE: ClassVar = {
        "log_severity_level": (-1, _integer(-1)),
        "log_verbosity_level": (0, _integer(0)),
        "logid": ("", _text),
        "only_execute_path_to_fetches": (False, _boolean),
    }

    def __init__(self):
        super().__init__()
        object.__setattr__(self, "_flag", _native.Flag())

    @property
    def terminate(self) -> bool:
        return self._flag.value

    def __setattr__(self, name: str, value: Any):
        if name == "terminate":
            self._flag.value = _boolean(name, value)
        else:
            super().__setattr__(name, value)

    def add_run_config_entry(self, key: str, value: str) -> None:
        """Kept and given back."""
        self._add_entry(key, value)

    def get_run_config_entry(self, key: str) -> str:
        return self._get_entry(key)
