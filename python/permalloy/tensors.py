# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What a caller may give as a tensor, and the one conversion from it to the native layer.

Taken are OrtValue, numpy arrays, whatever has `__dlpack__` on the CPU or an NVIDIA GPU (torch, jax,
cupy ...) or `__array__`, and nested lists of numbers. None of those packages is imported.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from . import _native
from .dtypes import BFLOAT16, NAMES, item_bytes, number_of, numpy_dtype, type_text
from .errors import InvalidArgument

_DLPACK_CPU = 1
_DLPACK_CUDA = 2
#: CUDA's legacy default stream, which runs without a stream of the caller's wait for.
LEGACY_STREAM = 1
#: In place of a GPU's number: the memory of this process.
HOST = -1


class Tensor(NamedTuple):
    """Elements in memory that `owner` keeps."""

    number: int  #: ONNX's element type
    shape: tuple[int, ...]
    strides: tuple[int, ...]  #: in elements; empty: dense and row-major
    address: int
    owner: Any
    device: int = HOST  #: or the number of the GPU whose memory it is

    def bytes(self) -> int:
        """Size of a dense tensor of this shape."""
        size = item_bytes(self.number)
        for extent in self.shape:
            size *= extent
        return size

    def feed(self, name: str) -> tuple:
        """What _native.Session.run takes for an input."""
        return name, self.number, self.shape, self.strides, self.address, self.device

    def target(self, name: str) -> tuple:
        """What _native.Session.run takes for an output in this memory."""
        return name, self.address, self.bytes(), self.device


class Feeds(list):
    """Inputs as _native.Session.run takes them, together with what keeps their memory."""

    def __init__(self, items: Iterable[tuple[str, Tensor]]):
        self._items = list(items)
        super().__init__(tensor.feed(name) for name, tensor in self._items)


def from_any(
    what: str, value: Any, expected: int | None = None, stream: int | None = None
) -> Tensor:
    """The value as the native layer takes it, in place where that is possible.

    what      "input 'x'", for messages
    expected  the element type that is wanted: gives lists of numbers their type, and uint16 arrays
              for a bfloat16 input their meaning. Nothing else is converted: a wrong type is an
              error of the run.
    stream    what is in it later comes behind the work that the value is the result of; None: that
              work is done when it returns, whatever stream the value is used in
    """
    if isinstance(value, Tensor):
        return value
    if isinstance(getattr(value, "_tensor", None), Tensor):  # an OrtValue
        return value._tensor
    if isinstance(value, (list, tuple, int, float, bool)):
        return _from_numbers(what, value, expected)
    if not isinstance(value, (np.ndarray, np.generic)) and hasattr(value, "__dlpack_device__"):
        return _from_dlpack(what, value, stream)
    return from_array(what, np.asarray(value), expected)


def from_array(what: str, array: np.ndarray, expected: int | None = None) -> Tensor:
    """The array in place when it has its elements' alignment and byte order, or a copy."""
    number = number_of(array.dtype)
    if number is None:
        raise InvalidArgument(
            f"{what} has dtype {array.dtype}, which no model takes; supported are {NAMES}"
        )
    if expected == BFLOAT16 and array.dtype == np.uint16:
        number = BFLOAT16
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if not array.flags.aligned:
        array = np.array(array, order="C", copy=True)
    strides: tuple[int, ...] = ()
    if not array.flags.c_contiguous:
        array, strides = _strided(array)
    return Tensor(number, array.shape, strides, array.ctypes.data, array)


def _strided(array: np.ndarray) -> tuple[np.ndarray, tuple[int, ...]]:
    """An array that is not dense as the runtime takes it, and its strides in elements.

    The runtime copies what is no view of a cache; only strides that are no whole elements are
    copied here.
    """
    if any(stride % array.itemsize for stride in array.strides):
        return np.array(array, order="C", copy=True), ()
    return array, tuple(stride // array.itemsize for stride in array.strides)


def _from_numbers(what, value, expected) -> Tensor:
    if expected is None:
        return from_array(what, np.asarray(value))
    try:
        return from_array(what, np.asarray(value, dtype=numpy_dtype(expected)), expected)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidArgument(
            f"{what} is a {type(value).__name__} that is no {type_text(expected)}: {error}"
        ) from error


def _from_dlpack(what, value, stream) -> Tensor:
    device, index = value.__dlpack_device__()
    if device not in (_DLPACK_CPU, _DLPACK_CUDA):
        raise InvalidArgument(
            f"{what} is on the device {int(device)}:{int(index)} (DLPack's numbers), expected the "
            "CPU's memory (1) or an NVIDIA GPU's (2)"
        )
    return from_dlpack(what, value, stream)


def from_dlpack(what: str, value: Any, stream: int | None = None) -> Tensor:
    """The memory behind an object with `__dlpack__`, or a capsule; `stream` as in from_any."""
    try:
        tensor = value
        if getattr(value, "__dlpack_device__", lambda: (0, 0))()[0] == _DLPACK_CUDA:
            tensor = value.__dlpack__(stream=LEGACY_STREAM if stream is None else stream)
        number, shape, strides, address, owner, device = _native.import_dlpack(tensor)
    except TypeError as error:
        raise InvalidArgument(
            f"{what} is a {type(value).__name__}, whose DLPack form is not in the CPU's or an NVIDIA "
            "GPU's memory or cannot be read"
        ) from error
    if device != HOST and stream is None:
        _native.wait_for_gpu(device)
    if number == 0:
        raise InvalidArgument(f"{what} has a dtype that no model takes; supported are {NAMES}")
    if _is_dense(shape, strides):
        return Tensor(number, tuple(shape), (), address, (owner, value), device)
    if device != HOST:
        return Tensor(number, tuple(shape), tuple(strides), address, (owner, value), device)
    view = _view(number, shape, strides, address, (owner, value))
    array, strides = _strided(view)
    return Tensor(number, array.shape, strides, array.ctypes.data, array)


def _is_dense(shape, strides) -> bool:
    expected = 1
    for extent, stride in zip(reversed(shape), reversed(strides)):
        if extent != 1 and stride != expected:
            return 0 in shape
        expected *= extent
    return True


class _Memory:
    """Foreign memory as numpy sees it."""

    def __init__(self, interface, owner):
        self.__array_interface__ = interface
        self._owner = owner


def _view(number, shape, strides, address, owner) -> np.ndarray:
    dtype = np.dtype(np.uint16) if number == BFLOAT16 else numpy_dtype(number)
    interface = {
        "version": 3,
        "typestr": dtype.str,
        "shape": tuple(shape),
        "strides": tuple(stride * dtype.itemsize for stride in strides),
        "data": (address, False),
    }
    return np.asarray(_Memory(interface, owner))


def to_numpy(tensor: Tensor) -> np.ndarray:
    """An array on the tensor's memory; of a tensor on a GPU, a copy."""
    if tensor.device != HOST:
        return _from_gpu(tensor)
    if isinstance(tensor.owner, np.ndarray) and tensor.owner.shape == tensor.shape:
        array = tensor.owner
    else:
        strides = tensor.strides or _dense_strides(tensor.shape)
        array = _view(tensor.number, tensor.shape, strides, tensor.address, tensor.owner)
    return array.view(numpy_dtype(tensor.number)) if tensor.number == BFLOAT16 else array


def on_gpu(tensor: Tensor, device: int) -> Tensor:
    """A copy of a dense tensor of the host in the memory of a GPU."""
    address, owner = _native.allocate_on_gpu(device, tensor.bytes())
    _native.copy_bytes(address, device, tensor.address, HOST, tensor.bytes())
    return Tensor(tensor.number, tensor.shape, (), address, owner, device)


def _from_gpu(tensor: Tensor) -> np.ndarray:
    array = np.empty(tensor.shape, numpy_dtype(tensor.number))
    _copy_blocks(tensor, array.ctypes.data, HOST, to_host=True)
    return array


def into_gpu(tensor: Tensor, array: np.ndarray) -> None:
    """Copies a C-contiguous array of the same elements into a tensor on a GPU."""
    _copy_blocks(tensor, array.ctypes.data, HOST, to_host=False)


def _copy_blocks(tensor: Tensor, dense: int, device: int, to_host: bool) -> None:
    """Between a tensor and dense memory, as many elements at once as are neighbours in both."""
    strides = tensor.strides or tuple(_dense_strides(tensor.shape))
    inner, axis = 1, len(tensor.shape)
    while axis and (tensor.shape[axis - 1] == 1 or strides[axis - 1] == inner):
        axis -= 1
        inner *= tensor.shape[axis]
    size = item_bytes(tensor.number)
    for index in np.ndindex(*tensor.shape[:axis]) if inner else ():
        there = tensor.address + size * sum(i * stride for i, stride in zip(index, strides))
        places = ((dense, device), (there, tensor.device))
        to, source = places if to_host else places[::-1]
        _native.copy_bytes(*to, *source, inner * size)
        dense += inner * size


def _dense_strides(shape) -> list[int]:
    strides, size = [], 1
    for extent in reversed(shape):
        strides.append(size)
        size *= extent
    return strides[::-1]


def to_dlpack(tensor: Tensor):
    """An object with `__dlpack__` on the tensor's memory."""
    strides = list(tensor.strides) or _dense_strides(tensor.shape)
    return _native.export_dlpack(
        tensor.address, list(tensor.shape), strides, tensor.number, tensor, tensor.device
    )
