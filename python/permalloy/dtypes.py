# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Element types: ONNX's numbers, onnxruntime's spelling, numpy's dtypes.

numpy has no bfloat16: with the package ml_dtypes such arrays have its dtype, without it they are
uint16 with the same bits. Both are taken for inputs.
"""

from __future__ import annotations

import numpy as np

from .errors import InvalidArgument

#: ONNX's number of bfloat16.
BFLOAT16 = 16

# Number: (onnxruntime's spelling, numpy's name).
_TYPES = {
    1: ("tensor(float)", "float32"),
    2: ("tensor(uint8)", "uint8"),
    3: ("tensor(int8)", "int8"),
    4: ("tensor(uint16)", "uint16"),
    5: ("tensor(int16)", "int16"),
    6: ("tensor(int32)", "int32"),
    7: ("tensor(int64)", "int64"),
    9: ("tensor(bool)", "bool"),
    10: ("tensor(float16)", "float16"),
    11: ("tensor(double)", "float64"),
    12: ("tensor(uint32)", "uint32"),
    13: ("tensor(uint64)", "uint64"),
    BFLOAT16: ("tensor(bfloat16)", "bfloat16"),
}
_NUMBERS = {name: number for number, (_, name) in _TYPES.items()}
_DTYPES = {number: np.dtype(name) for number, (_, name) in _TYPES.items() if number != BFLOAT16}
_BY_DTYPE = {dtype: number for number, dtype in _DTYPES.items()}
#: numpy's names of all types, for messages.
NAMES = ", ".join(_NUMBERS)


def type_text(number: int) -> str:
    """onnxruntime's spelling, "tensor(float)"."""
    return _TYPES[number][0]


def item_bytes(number: int) -> int:
    """Bytes of one element."""
    return 2 if number == BFLOAT16 else _DTYPES[number].itemsize


def number_of(dtype: np.dtype) -> int | None:
    """ONNX's number of an array's dtype; None for one that no model takes."""
    number = _BY_DTYPE.get(dtype)
    # By name: another byte order, or a package's bfloat16.
    return _NUMBERS.get(dtype.name) if number is None else number


def number_from(element_type) -> int:
    """The number for what onnxruntime's functions take: a numpy dtype or type, or ONNX's number."""
    if isinstance(element_type, int) and not isinstance(element_type, bool):
        if element_type not in _TYPES:
            raise InvalidArgument(
                f"element type {element_type} is unsupported; supported are "
                f"{', '.join(f'{number} ({name})' for number, (_, name) in _TYPES.items())}"
            )
        return element_type
    try:
        number = number_of(np.dtype(element_type))
    except TypeError:
        number = None
    if number is None:
        raise InvalidArgument(
            f"element type {element_type!r} is unsupported; supported are {NAMES}"
        )
    return number


def numpy_dtype(number: int) -> np.dtype:
    """The dtype that arrays of this type have in Python."""
    if number != BFLOAT16:
        return _DTYPES[number]
    try:
        import ml_dtypes
    except ImportError:
        return np.dtype(np.uint16)
    return np.dtype(ml_dtypes.bfloat16)


def as_numpy(array: np.ndarray, number: int) -> np.ndarray:
    """The view of a bfloat16 array's bits that numpy_dtype promises; other arrays as they are."""
    return array.view(numpy_dtype(number)) if number == BFLOAT16 else array
