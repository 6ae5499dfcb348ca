# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""InferenceSession: onnxruntime's interface on compiled models."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import providers, tensors
from .describe import ModelMetadata, NodeArg
from .dtypes import as_numpy
from .errors import InvalidArgument
from .iobinding import IOBinding
from .opening import open_model
from .options import RunOptions, SessionOptions
from .ortvalue import OrtValue
from .profiling import Trace
from .state import State
from .unsupported import Listed


class InferenceSession(Listed):
    """A model that is ready to run.

    path_or_bytes  a .alloy file, or an ONNX model, which is compiled first (the result is cached);
                   a path, the file's bytes, or an onnx.ModelProto
    sess_options   SessionOptions
    providers      as for onnxruntime: "CUDAExecutionProvider" (options device_id: an NVIDIA GPU;
                   user_compute_stream: runs come behind what is in this stream) and
                   "CPUExecutionProvider", the default. The first that can run the model does;
                   those passed over are named in a warning, with the reason. Others are skipped with
                   a warning. Nothing that the list does not name is used instead of a GPU
    arguments      onnxruntime's enable_fallback, read_config_from_model and disabled_optimizers,
                   which mean nothing here

    One session may be used by several threads at once; `run` releases the GIL. A session works in
    children of fork().
    """

    def __init__(
        self,
        path_or_bytes: Any,
        sess_options: SessionOptions | None = None,
        providers: Sequence | None = None,
        provider_options: Sequence[dict] | None = None,
        **arguments: Any,
    ):
        for name in arguments:
            if name not in ("enable_fallback", "read_config_from_model", "disabled_optimizers"):
                raise TypeError(f"InferenceSession got an unexpected argument '{name}'")
        self._options = sess_options if sess_options is not None else SessionOptions()
        if not isinstance(self._options, SessionOptions):
            raise InvalidArgument(
                f"sess_options is a {type(sess_options).__name__}, expected SessionOptions"
            )
        self._model = path_or_bytes
        self._candidates, self._native, self._provider = self._open(providers, provider_options)
        self._inputs = [NodeArg(*info) for info in self._native.inputs()]
        self._outputs = [NodeArg(*info) for info in self._native.outputs()]
        self._numbers = {
            "input": {arg.name: arg._number for arg in self._inputs},
            "output": {arg.name: arg._number for arg in self._outputs},
        }
        self._trace: Trace | None = None
        if self._options.enable_profiling:
            self._trace = Trace(self._options.profile_file_prefix, self._native)

    def _open(self, providers, provider_options) -> tuple:
        """The providers of the list, a native session, and which of them it is on."""
        listed = self._options._providers if providers is None else providers
        candidates = _choose_providers(listed, provider_options)
        return candidates, *open_model(self._model, self._options, candidates)

    def run(
        self,
        output_names: Sequence[str] | None,
        input_feed: dict[str, Any],
        run_options: RunOptions | None = None,
        *,
        state: State | None = None,
    ) -> list[np.ndarray]:
        """Outputs in the order of `output_names`, or all of them for None.

        Inputs are arrays, OrtValues, tensors of other packages (through DLPack or `__array__`) or
        nested lists. Arrays that are C-contiguous and aligned are read in place, others are copied.
        Shapes and dtypes must be those of `get_inputs`; only lists are converted.

        The past keys and values of a decoder, where `caches` has them: an output that is a cache is
        a view of memory with room to spare. Given back as input of the next run, unchanged and with
        all others of its run, the new rows are appended to it in place; anything else is copied.
        With a `state` of `create_state` the session keeps them: such inputs and outputs are left
        out, and None means the other outputs.
        """
        names = self._output_names(output_names, state)
        results, _ = self._run(self._feeds(input_feed), _new(names), run_options, state=state)
        return self._arrays(names, results)

    @property
    def caches(self) -> list[tuple[str, str]]:
        """Input and output of each pair of past and present that grows in place."""
        return self._native.caches()

    def create_state(self, batch: int = 1, capacity: int | None = None) -> State:
        """Memory for the past of `batch` sequences, with room for `capacity` rows at first."""
        return State(self, batch, capacity)

    def run_with_ort_values(
        self,
        output_names: Sequence[str] | None,
        input_dict_ort_values: dict[str, OrtValue],
        run_options: RunOptions | None = None,
    ) -> list[OrtValue]:
        """As `run`, from OrtValues to OrtValues."""
        names = self._output_names(output_names)
        results, _ = self._run(self._feeds(input_dict_ort_values), _new(names), run_options)
        return [
            OrtValue(tensors.from_array(name, array, self._numbers["output"][name]))
            for name, array in zip(names, results)
        ]

    def run_with_iobinding(
        self, iobinding: IOBinding, run_options: RunOptions | None = None
    ) -> None:
        """Runs on what is bound; `iobinding.get_outputs` gives the results."""
        if not isinstance(iobinding, IOBinding) or iobinding._session is not self:
            raise InvalidArgument("the IOBinding must be one of this session's io_binding()")
        bound = iobinding._bound_outputs()  # kept while the run writes to it
        targets = [
            t.target(name) if isinstance(t, tensors.Tensor) else (name, 0, 0, t)
            for name, t in bound.items()
        ]
        results, _ = self._run(iobinding._feeds(), targets, run_options)
        iobinding._take(bound, results)

    def run_async(
        self,
        output_names: Sequence[str] | None,
        input_feed: dict[str, Any],
        callback: Callable[[list[np.ndarray], Any, str], None],
        user_data: Any,
        run_options: RunOptions | None = None,
    ) -> None:
        """Runs on a thread of its own, then calls `callback(results, user_data, error)` there.

        `error` is "" or the message, and then there are no results. Inputs are checked for names
        and dtypes at once.
        """
        names, feeds = self._output_names(output_names), self._feeds(input_feed)

        def work():
            try:
                results, _ = self._run(feeds, _new(names), run_options)
                results, error = self._arrays(names, results), ""
            except Exception as failure:  # noqa: BLE001 (handed on)
                results, error = [], str(failure)
            callback(results, user_data, error)

        threading.Thread(target=work, name="permalloy-run").start()

    def profile(self, input_feed: dict[str, Any]) -> list[tuple]:
        """One run: (node names, kernel, nanoseconds) of each step."""
        names = self._output_names(None)
        _, times = self._run(self._feeds(input_feed), _new(names), None, timed=True)
        return [(*step, time) for step, time in zip(self._native.steps(), times)]

    def io_binding(self) -> IOBinding:
        return IOBinding(self)

    def create_ortvalue_from_shape_and_type(
        self, shape: Sequence[int], element_type: Any, device_type: str = "cpu", device_id: int = 0
    ) -> OrtValue:
        """OrtValue.ortvalue_from_shape_and_type."""
        return OrtValue.ortvalue_from_shape_and_type(shape, element_type, device_type, device_id)

    def get_inputs(self) -> list[NodeArg]:
        return list(self._inputs)

    def get_outputs(self) -> list[NodeArg]:
        return list(self._outputs)

    def get_overridable_initializers(self) -> list[NodeArg]:
        """None: weights are compiled in."""
        return []

    def get_providers(self) -> list[str]:
        """The provider that the session runs on, and those of the list behind it."""
        at = self._candidates.index(self._provider)
        return list(dict.fromkeys(provider.name for provider in self._candidates[at:]))

    def get_provider_options(self) -> dict[str, dict]:
        return {
            provider.name: provider.options()
            for provider in reversed(self._candidates)
            if provider.name in self.get_providers()
        }

    def set_providers(
        self,
        providers: Sequence | None = None,
        provider_options: Sequence[dict] | None = None,
    ) -> None:
        """Opens the model anew on these providers; states and profiles of before are gone.

        Where that fails the session stays as it was.
        """
        opened = self._open(providers, provider_options)
        trace = self._trace and Trace(self._options.profile_file_prefix, opened[1])
        self._candidates, self._native, self._provider = opened
        self._trace = trace

    def enable_fallback(self) -> None:
        """What a session falls back to stands in its list of providers."""

    def disable_fallback(self) -> None:
        """What a session falls back to stands in its list of providers."""

    def get_modelmeta(self) -> ModelMetadata:
        return ModelMetadata(self._native.metadata())

    def get_session_options(self) -> SessionOptions:
        return self._options

    def get_profiling_start_time_ns(self) -> int:
        """time.monotonic_ns() when profiling began; 0 without SessionOptions.enable_profiling."""
        return self._trace.start_ns if self._trace else 0

    def end_profiling(self) -> str:
        """Writes the trace of the runs so far and stops tracing.

        The file's name; "" without SessionOptions.enable_profiling.
        """
        trace, self._trace = self._trace, None
        return trace.write() if trace else ""

    @property
    def target(self) -> str:
        """The instruction set whose code runs, "x86-64-v3"."""
        return self._native.metadata()["target"]

    @property
    def threads(self) -> int:
        """Threads of a run."""
        return self._native.threads()

    def _element_type(self, role: str, name: str) -> int:
        """ONNX's number of the type of an input or output."""
        numbers = self._numbers[role]
        if name not in numbers:
            known = ", ".join(f"'{other}'" for other in numbers)
            raise InvalidArgument(f"the model has no {role} '{name}'; its {role}s are {known}")
        return numbers[name]

    def _output_names(self, names, state=None) -> list[str]:
        if names:
            return list(names)
        kept = {present for _, present in self.caches} if state is not None else ()
        return [arg.name for arg in self._outputs if arg.name not in kept]

    def _stream(self) -> int:
        """What runs come behind."""
        return self._provider.stream or tensors.LEGACY_STREAM

    def _feeds(self, input_feed) -> tensors.Feeds:
        if not hasattr(input_feed, "items"):
            raise InvalidArgument(
                f"input_feed is a {type(input_feed).__name__}, expected a dict of arrays by name"
            )
        known = self._numbers["input"]
        return tensors.Feeds(
            (name, tensors.from_any(f"input '{name}'", value, known.get(name), self._stream()))
            for name, value in input_feed.items()
        )

    def _run(self, feeds, targets, run_options, timed=False, state=None):
        """Results as _native.Session.run gives them, and the times of the steps."""
        flag = None if run_options is None else _flag_of(run_options)
        native_state = None if state is None else state._of(self)
        trace = self._trace
        profile = None if trace is None else trace.profile
        return self._native.run(feeds, targets, timed, flag, native_state, profile)

    def _arrays(self, names, results) -> list[np.ndarray]:
        numbers = self._numbers["output"]
        return [as_numpy(array, numbers[name]) for name, array in zip(names, results)]


# InferenceSession's parameter of the same name hides the module.
_choose_providers = providers.choose


def _new(names) -> list[tuple]:
    """Targets that the run allocates."""
    return [(name, 0, 0, tensors.HOST) for name in names]


def _flag_of(run_options):
    if not isinstance(run_options, RunOptions):
        raise InvalidArgument(
            f"run_options is a {type(run_options).__name__}, expected permalloy.RunOptions"
        )
    return run_options._flag
