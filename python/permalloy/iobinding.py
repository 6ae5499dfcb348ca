# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""IOBinding: inputs and outputs in memory that the caller keeps from run to run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import tensors
from .dtypes import number_from, type_text
from .errors import InvalidArgument
from .ortvalue import OrtValue, check_device
from .tensors import Tensor
from .unsupported import Listed

if TYPE_CHECKING:
    from .session import InferenceSession


class IOBinding(Listed):
    """What `InferenceSession.run_with_iobinding` reads and writes.

    An array that is bound is read in place, each time the session runs. An output that is bound
    without memory is allocated by each run. Where the session runs on a GPU, memory of that GPU is
    used as it is, and outputs bound to "cuda" stay there; runs wait for work of CUDA's legacy default
    stream, or of the provider's user_compute_stream, and are complete when they return.
    """

    def __init__(self, session: InferenceSession):
        self._session = session
        self._inputs: dict[str, Tensor] = {}
        self._outputs: dict[str, Tensor | int] = {}  #: memory, or a device to allocate on
        self._results: list[OrtValue] = []

    def bind_cpu_input(self, name: str, arr_on_cpu: Any) -> None:
        number = self._number("input", name)
        self._inputs[name] = tensors.from_any(
            f"input '{name}'", arr_on_cpu, number, self._session._stream()
        )

    def bind_input(
        self,
        name: str,
        device_type: str,
        device_id: int,
        element_type: Any,
        shape: Sequence[int],
        buffer_ptr: int,
    ) -> None:
        """Binds memory of the caller's, dense and row-major, that must outlive its use."""
        device = check_device(device_type, device_id)
        self._number("input", name)
        self._inputs[name] = _pointer(element_type, shape, buffer_ptr, device)

    def bind_ortvalue_input(self, name: str, ortvalue: OrtValue) -> None:
        self._number("input", name)
        self._inputs[name] = ortvalue._tensor

    def bind_output(
        self,
        name: str,
        device_type: str = "cpu",
        device_id: int = 0,
        element_type: Any = None,
        shape: Sequence[int] | None = None,
        buffer_ptr: int | None = None,
    ) -> None:
        """Binds memory of the caller's, or lets each run allocate when there is no `buffer_ptr`."""
        device = check_device(device_type, device_id)
        self._number("output", name)
        if buffer_ptr is None:
            self._outputs[name] = device
            return
        if element_type is None or shape is None:
            raise InvalidArgument(
                f"output '{name}': element_type and shape are needed with buffer_ptr"
            )
        self._bind_memory(name, _pointer(element_type, shape, buffer_ptr, device))

    def bind_ortvalue_output(self, name: str, ortvalue: OrtValue) -> None:
        self._number("output", name)
        self._bind_memory(name, ortvalue._tensor)

    def synchronize_inputs(self) -> None:
        """Nothing to do: a run waits for what it needs."""

    def synchronize_outputs(self) -> None:
        """Nothing to do: outputs are complete when a run returns."""

    def get_outputs(self) -> list[OrtValue]:
        """Of the last run, in the order in which outputs were bound."""
        return list(self._results)

    def copy_outputs_to_cpu(self) -> list[np.ndarray]:
        """The outputs of the last run, as arrays of their own."""
        return [value.numpy().copy() for value in self._results]

    def clear_binding_inputs(self) -> None:
        self._inputs.clear()

    def clear_binding_outputs(self) -> None:
        self._outputs.clear()
        self._results.clear()

    def _number(self, role: str, name: str) -> int:
        return self._session._element_type(role, name)

    def _bind_memory(self, name: str, tensor: Tensor) -> None:
        number = self._number("output", name)
        if tensor.number != number:
            raise InvalidArgument(
                f"the buffer given for output '{name}' is {type_text(tensor.number)}, expected "
                f"{type_text(number)}"
            )
        if tensor.strides:
            raise InvalidArgument(f"the buffer given for output '{name}' is not dense")
        if isinstance(tensor.owner, np.ndarray) and not tensor.owner.flags.writeable:
            raise InvalidArgument(f"the buffer given for output '{name}' is read-only")
        self._outputs[name] = tensor

    # What run_with_iobinding uses.

    def _feeds(self) -> tensors.Feeds:
        return tensors.Feeds(self._inputs.items())

    def _bound_outputs(self) -> dict[str, Tensor | int]:
        if not self._outputs:
            raise InvalidArgument("no output is bound; bind_output('name') lets the run allocate")
        return dict(self._outputs)

    def _take(self, bound: dict[str, Tensor | int], results: list) -> None:
        self._results = [
            _result(name, tensor, result, self._number("output", name))
            for (name, tensor), result in zip(bound.items(), results)
        ]


def _pointer(element_type, shape, address, device) -> Tensor:
    shape = tuple(map(int, shape))
    return Tensor(number_from(element_type), shape, (), int(address), None, device)


def _result(name: str, tensor: Tensor | int, result: Any, number: int) -> OrtValue:
    if isinstance(result, tuple):  # allocated on a GPU
        shape, strides, address, owner = result
        return OrtValue(Tensor(number, tuple(shape), tuple(strides), address, owner, tensor))
    if not isinstance(tensor, Tensor):
        return OrtValue(tensors.from_array(f"output '{name}'", result, number))
    if list(tensor.shape) != list(result):
        raise InvalidArgument(
            f"the buffer given for output '{name}' has shape {list(tensor.shape)}, this run gives "
            f"{list(result)}"
        )
    return OrtValue(tensor)
