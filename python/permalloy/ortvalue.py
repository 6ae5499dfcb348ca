# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""OrtValue: a tensor with onnxruntime's interface, in the memory of the CPU or of an NVIDIA GPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import tensors
from .dtypes import item_bytes, number_from, numpy_dtype, type_text
from .errors import InvalidArgument
from .tensors import HOST, Tensor
from .unsupported import Listed


class OrtDevice(Listed):
    """A device: the CPU or an NVIDIA GPU."""

    def __init__(self, device_id: int = 0, device_type: int = 0):
        self._device_id, self._device_type = device_id, device_type

    @staticmethod
    def make(ort_device_name: str, device_id: int = 0, vendor_id: int = -1) -> OrtDevice:
        is_gpu = check_device(ort_device_name, device_id) != HOST
        return OrtDevice(device_id, 1 if is_gpu else 0)

    def device_id(self) -> int:
        return self._device_id

    def device_type(self) -> int:
        return self._device_type  # onnxruntime's numbers: the CPU is 0, a GPU 1

    def device_vendor_id(self) -> int:
        return 0

    def device_mem_type(self) -> int:
        return 0


def check_device(device_type: str, device_id: int = 0) -> int:
    """The number of a GPU, or HOST for the CPU; refuses every other device."""
    name = device_type.lower() if isinstance(device_type, str) else None
    if name == "cpu":
        return HOST
    if name in ("cuda", "gpu"):
        return int(device_id)
    raise InvalidArgument(f"device {device_type!r} is unsupported; supported are 'cpu' and 'cuda'")


class OrtValue(Listed):
    """A tensor. It shares memory with what it was made from, and with the arrays it gives.

    One on a GPU that another package gives is complete when the value is made.
    """

    def __init__(self, value: Any):
        self._tensor: Tensor = tensors.from_any("the value", value)

    @classmethod
    def ortvalue_from_numpy(
        cls,
        numpy_obj: np.ndarray,
        device_type: str = "cpu",
        device_id: int = 0,
        vendor_id: int = -1,
    ) -> OrtValue:
        """On the array's memory; arrays that are not C-contiguous are copied. On a GPU: a copy there."""
        device = check_device(device_type, device_id)
        if device == HOST:
            return cls(tensors.from_array("the array", np.asarray(numpy_obj)))
        dense = tensors.from_array("the array", np.asarray(numpy_obj, order="C"))
        return cls(tensors.on_gpu(dense, device))

    @classmethod
    def ortvalue_from_numpy_with_onnx_type(
        cls, data: np.ndarray, onnx_element_type: int
    ) -> OrtValue:
        """On the array's memory, its bits read as another type of the same size."""
        number = number_from(onnx_element_type)
        if data.dtype.itemsize != item_bytes(number) or not data.flags.c_contiguous:
            raise InvalidArgument(
                f"an array of dtype {data.dtype} cannot be read as {type_text(number)}: expected a "
                f"C-contiguous array of {item_bytes(number)}-byte elements"
            )
        return cls(Tensor(number, data.shape, (), data.ctypes.data, data))

    @classmethod
    def ortvalue_from_shape_and_type(
        cls,
        shape: Sequence[int],
        element_type: Any,
        device_type: str = "cpu",
        device_id: int = 0,
        vendor_id: int = -1,
    ) -> OrtValue:
        """Zeros. `element_type` is a numpy dtype or type, or ONNX's number."""
        device = check_device(device_type, device_id)
        number = number_from(element_type)
        array = np.zeros(tuple(shape), numpy_dtype(number))
        tensor = Tensor(number, array.shape, (), array.ctypes.data, array)
        return cls(tensor if device == HOST else tensors.on_gpu(tensor, device))

    @classmethod
    def from_dlpack(cls, data: Any) -> OrtValue:
        """On the memory of an object with `__dlpack__`, or of a DLPack capsule."""
        return cls(tensors.from_dlpack("the tensor", data))

    def __dlpack_device__(self) -> tuple[int, int]:
        on_host = self._tensor.device == HOST
        return (1, 0) if on_host else (2, self._tensor.device)

    def __dlpack__(self, **arguments: Any) -> Any:
        return tensors.to_dlpack(self._tensor).__dlpack__(**arguments)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self.numpy()
        if copy:
            return np.array(array, dtype=dtype, copy=True)
        if copy is not None and dtype is not None and np.dtype(dtype) != array.dtype:
            raise ValueError(f"a copy is needed to make {array.dtype} an array of {dtype}")
        return array if dtype is None else array.astype(dtype, copy=False)

    def numpy(self) -> np.ndarray:
        """An array on this value's memory; of a value on a GPU, a copy."""
        return tensors.to_numpy(self._tensor)

    def shape(self) -> list[int]:
        return list(self._tensor.shape)

    def data_type(self) -> str:
        """ "tensor(float)"."""
        return type_text(self._tensor.number)

    def element_type(self) -> int:
        """ONNX's number."""
        return self._tensor.number

    def device_name(self) -> str:
        return "cpu" if self._tensor.device == HOST else "cuda"

    def data_ptr(self) -> int:
        return self._tensor.address

    def tensor_size_in_bytes(self) -> int:
        return self._tensor.bytes()

    def has_value(self) -> bool:
        return True

    def is_tensor(self) -> bool:
        return True

    def is_sparse_tensor(self) -> bool:
        return False

    def is_tensor_sequence(self) -> bool:
        return False

    def update_inplace(self, data: np.ndarray | OrtValue) -> None:
        """Copies `data`, of the same type and number of elements, into this value's memory."""
        on_host = self._tensor.device == HOST
        array = (
            self.numpy() if on_host else np.empty(self.shape(), numpy_dtype(self.element_type()))
        )
        new = tensors.to_numpy(tensors.from_any("the data", data, self._tensor.number))
        if new.dtype != array.dtype or new.size != array.size:
            raise InvalidArgument(
                f"the data has shape {list(new.shape)} and dtype {new.dtype}, expected "
                f"{array.size} elements of {array.dtype}"
            )
        if not array.flags.writeable:
            raise InvalidArgument("the value was made from a read-only array")
        array[...] = new.reshape(array.shape)
        if not on_host:
            tensors.into_gpu(self._tensor, array)

    def __repr__(self):
        return f"OrtValue(data_type='{self.data_type()}', shape={self.shape()})"


def copy_tensors(src: Sequence[OrtValue], dst: Sequence[OrtValue], stream: Any = None) -> None:
    """Copies each value of `src` into that of `dst`."""
    if len(src) != len(dst):
        raise InvalidArgument(f"{len(src)} values cannot be copied into {len(dst)}")
    for source, destination in zip(src, dst):
        destination.update_inplace(source)
