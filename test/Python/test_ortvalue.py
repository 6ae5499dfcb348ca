# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""OrtValue, and what else is taken for a tensor."""

import numpy as np
import pytest
from tiny_model import expected, feed

permalloy = pytest.importorskip("permalloy", reason="the Python package is not built")
OrtValue = permalloy.OrtValue


def test_shares_the_arrays_memory():
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    value = OrtValue.ortvalue_from_numpy(array)
    assert (value.shape(), value.data_type(), value.element_type()) == ([2, 3], "tensor(float)", 1)
    assert value.data_ptr() == array.ctypes.data
    assert value.tensor_size_in_bytes() == 24
    assert value.device_name() == "cpu"
    assert value.has_value() and value.is_tensor()
    assert not value.is_sparse_tensor() and not value.is_tensor_sequence()
    array[0, 0] = 7
    assert value.numpy()[0, 0] == 7
    value.numpy()[1, 1] = 9
    assert array[1, 1] == 9
    assert repr(value) == "OrtValue(data_type='tensor(float)', shape=[2, 3])"


@pytest.mark.parametrize(
    "element_type, text",
    [
        (np.float32, "tensor(float)"),
        (np.dtype("int64"), "tensor(int64)"),
        ("uint8", "tensor(uint8)"),
        (bool, "tensor(bool)"),
        (10, "tensor(float16)"),
        (16, "tensor(bfloat16)"),
    ],
)
def test_makes_zeros_of_a_type(element_type, text):
    value = OrtValue.ortvalue_from_shape_and_type([2, 0, 3], element_type)
    assert (value.data_type(), value.shape()) == (text, [2, 0, 3])
    assert not OrtValue.ortvalue_from_shape_and_type([4], element_type).numpy().astype("f4").any()


def test_refuses_other_types_and_devices():
    with pytest.raises(permalloy.InvalidArgument, match="element type 8 is unsupported"):
        OrtValue.ortvalue_from_shape_and_type([2], 8)
    with pytest.raises(permalloy.InvalidArgument, match="complex64.* is unsupported"):
        OrtValue.ortvalue_from_shape_and_type([2], np.complex64)
    with pytest.raises(permalloy.InvalidArgument, match="device 'dml' is unsupported"):
        OrtValue.ortvalue_from_shape_and_type([2], np.float32, "dml", 0)
    with pytest.raises(permalloy.InvalidArgument, match="dtype <U1, which no model takes"):
        OrtValue.ortvalue_from_numpy(np.array(["a"]))
    with pytest.raises(AttributeError, match="OrtValue.as_sparse_tensor is unsupported: sparse"):
        OrtValue.ortvalue_from_numpy(np.zeros(2)).as_sparse_tensor()


def test_numpy_reads_it_through_its_protocols():
    value = OrtValue.ortvalue_from_numpy(np.arange(4, dtype=np.int32))
    assert np.asarray(value).ctypes.data == value.data_ptr()
    assert np.array(value, copy=True).ctypes.data != value.data_ptr()
    assert np.asarray(value, dtype=np.float64).dtype == np.float64
    assert np.from_dlpack(value).ctypes.data == value.data_ptr()
    assert value.__dlpack_device__() == (1, 0)


def test_updates_in_place():
    array = np.zeros((2, 3), np.float32)
    value = OrtValue.ortvalue_from_numpy(array)
    value.update_inplace(np.ones((3, 2), np.float32).T)
    assert array.all()
    value.update_inplace(OrtValue.ortvalue_from_numpy(np.full(6, 2, np.float32)))
    assert (array == 2).all()
    for wrong in (np.ones((2, 4), np.float32), np.ones((2, 3))):
        with pytest.raises(permalloy.InvalidArgument, match="expected 6 elements of float32"):
            value.update_inplace(wrong)
    array.flags.writeable = False
    with pytest.raises(permalloy.InvalidArgument, match="read-only"):
        value.update_inplace(np.ones((2, 3), np.float32))


def test_copies_between_values():
    source, target = (OrtValue.ortvalue_from_numpy(np.full(3, i)) for i in range(2))
    permalloy.copy_tensors([source], [target])
    assert target.numpy().tolist() == [0, 0, 0]
    with pytest.raises(permalloy.InvalidArgument, match="2 values cannot be copied into 1"):
        permalloy.copy_tensors([source, source], [target])


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u8", "?"])
def test_dlpack_round_trip_shares_memory(dtype):
    array = np.arange(12).reshape(3, 4).astype(dtype)
    there = OrtValue.from_dlpack(array)
    back = OrtValue.from_dlpack(there)
    assert there.data_ptr() == back.data_ptr() == array.ctypes.data
    assert back.numpy().dtype == array.dtype
    np.testing.assert_array_equal(back.numpy(), array)


class Foreign:
    """A tensor of some package that numpy does not know."""

    def __init__(self, array, device=(1, 0)):
        self.array, self.device = array, device

    def __dlpack_device__(self):
        return self.device

    def __dlpack__(self, **arguments):
        return self.array.__dlpack__(**arguments)


class Array:
    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array


def test_runs_on_anything_like_a_tensor(session):
    inputs = feed(2, 3)
    want = expected(inputs)[0]
    kinds = [
        OrtValue.ortvalue_from_numpy,
        Foreign,
        Array,
        lambda a: a.tolist(),
        lambda a: Foreign(np.asfortranarray(a)),
        lambda a: Foreign(np.repeat(a, 2, axis=1)[:, ::2]),
    ]
    for kind in kinds:
        feeds = {name: kind(array) for name, array in inputs.items()}
        np.testing.assert_array_equal(session.run(["y"], feeds)[0], want)


def test_refuses_other_devices_and_ragged_lists(session):
    inputs = feed(1, 1)
    with pytest.raises(permalloy.InvalidArgument, match="input 'x' is on the device 10:1"):
        session.run(None, dict(inputs, x=Foreign(inputs["x"], device=(10, 1))))
    with pytest.raises(permalloy.InvalidArgument, match=r"input 'm' is a list that is no tensor\("):
        session.run(None, dict(inputs, m=[[1.0], [2.0, 3.0]]))
    with pytest.raises(permalloy.InvalidArgument, match="has dtype float64, expected float32"):
        session.run(None, dict(inputs, x=Foreign(inputs["x"].astype("f8"))))


def test_runs_from_values_to_values(session):
    inputs = feed(3, 2)
    values = {name: OrtValue.ortvalue_from_numpy(array) for name, array in inputs.items()}
    s, y = session.run_with_ort_values(["s", "y"], values)
    np.testing.assert_array_equal(y.numpy(), expected(inputs)[0])
    np.testing.assert_array_equal(s.numpy(), expected(inputs)[1])
    assert len(session.run_with_ort_values(None, values)) == 3


def test_bfloat16_is_ml_dtypes_or_bits():
    bits = np.array([0x3F80, 0xC000], np.uint16)  # 1, -2
    value = OrtValue.ortvalue_from_numpy_with_onnx_type(bits, 16)
    assert (value.data_type(), value.shape()) == ("tensor(bfloat16)", [2])
    back = OrtValue.from_dlpack(value)
    assert (back.element_type(), back.data_ptr()) == (16, bits.ctypes.data)
    ml_dtypes = pytest.importorskip("ml_dtypes")
    assert value.numpy().dtype == ml_dtypes.bfloat16
    assert value.numpy().astype(np.float32).tolist() == [1, -2]
    with pytest.raises(permalloy.InvalidArgument, match="float32 cannot be read as tensor.bfloat"):
        OrtValue.ortvalue_from_numpy_with_onnx_type(np.zeros(2, np.float32), 16)


def test_torch_tensors(session):
    torch = pytest.importorskip("torch")
    inputs = feed(2, 5)
    feeds = {name: torch.from_numpy(array) for name, array in inputs.items()}
    np.testing.assert_array_equal(session.run(["y"], feeds)[0], expected(inputs)[0])
    value = OrtValue.from_dlpack(torch.ones(3, dtype=torch.bfloat16))
    assert value.data_type() == "tensor(bfloat16)"
    assert torch.from_dlpack(value).sum() == 3
