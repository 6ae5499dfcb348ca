# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""IOBinding: memory that the caller keeps from run to run; fork, threads, termination."""

import multiprocessing
import os
import threading

import numpy as np
import pytest
from tiny_model import expected, feed

permalloy = pytest.importorskip("permalloy", reason="the Python package is not built")
OrtValue = permalloy.OrtValue


def bind(session, inputs, outputs=("y",)):
    binding = session.io_binding()
    for name, array in inputs.items():
        binding.bind_cpu_input(name, array)
    for name in outputs:
        binding.bind_output(name)
    return binding


def test_reads_bound_arrays_at_each_run(session):
    inputs = feed(2, 3)
    binding = bind(session, inputs, ["s", "y"])
    for seed in range(3):
        for name, array in feed(2, 3, seed).items():
            inputs[name][...] = array
        session.run_with_iobinding(binding)
        binding.synchronize_inputs()
        binding.synchronize_outputs()
        s, y = binding.copy_outputs_to_cpu()
        np.testing.assert_array_equal(y, expected(inputs)[0])
        np.testing.assert_array_equal(s, expected(inputs)[1])
    assert [value.shape() for value in binding.get_outputs()] == [[2, 3], [2, 3, 8]]


def test_writes_to_bound_memory(session):
    inputs = feed(2, 3)
    want = expected(inputs)[0]
    binding = bind(session, inputs, [])
    y = np.zeros((2, 3, 8), np.float32)
    binding.bind_output("y", "cpu", 0, np.float32, y.shape, y.ctypes.data)
    session.run_with_iobinding(binding)
    np.testing.assert_array_equal(y, want)
    assert binding.get_outputs()[0].data_ptr() == y.ctypes.data

    value = OrtValue.ortvalue_from_shape_and_type([2, 3, 8], np.float32)
    binding.bind_ortvalue_output("y", value)
    session.run_with_iobinding(binding)
    np.testing.assert_array_equal(value.numpy(), want)


def test_reads_raw_pointers_and_values(session):
    inputs = feed(2, 3)
    binding = session.io_binding()
    x, m = inputs["x"], inputs["m"]
    binding.bind_input("x", "cpu", 0, np.float32, x.shape, x.ctypes.data)
    binding.bind_ortvalue_input("m", OrtValue.ortvalue_from_numpy(m))
    binding.bind_output("y")
    session.run_with_iobinding(binding)
    np.testing.assert_array_equal(binding.get_outputs()[0].numpy(), expected(inputs)[0])


def test_outputs_can_be_bound_as_inputs(session):
    inputs = feed(2, 3)
    first = bind(session, inputs, ["c"])
    session.run_with_iobinding(first)
    second = bind(session, {"m": inputs["m"]})
    second.bind_ortvalue_input("x", first.get_outputs()[0])
    session.run_with_iobinding(second)
    np.testing.assert_array_equal(second.get_outputs()[0].numpy(), expected(inputs)[0])


def test_refusals_name_the_culprit(session, tiny):
    inputs = feed(2, 3)
    binding = bind(session, inputs, [])
    with pytest.raises(permalloy.InvalidArgument, match="no output is bound"):
        session.run_with_iobinding(binding)
    with pytest.raises(permalloy.InvalidArgument, match="no input 'q'; its inputs are 'x', 'm'"):
        binding.bind_cpu_input("q", inputs["x"])
    with pytest.raises(permalloy.InvalidArgument, match="no output 'q'; its outputs are 'y'"):
        binding.bind_output("q")
    with pytest.raises(permalloy.InvalidArgument, match="device 'dml' is unsupported"):
        binding.bind_output("y", "dml")
    with pytest.raises(permalloy.InvalidArgument, match="element_type and shape are needed"):
        binding.bind_output("y", buffer_ptr=64)
    with pytest.raises(
        permalloy.InvalidArgument, match="'y' is tensor.double., expected tensor.fl"
    ):
        binding.bind_ortvalue_output("y", OrtValue.ortvalue_from_shape_and_type([1], np.float64))
    with pytest.raises(permalloy.InvalidArgument, match="one of this session's"):
        session.run_with_iobinding(permalloy.InferenceSession(tiny).io_binding())
    with pytest.raises(AttributeError, match="IOBinding.get_outputs_as_ortvaluevector is unsupp"):
        binding.get_outputs_as_ortvaluevector()


@pytest.mark.parametrize(
    "shape, message",
    [
        ((1, 3, 8), r"needs 192 bytes, the buffer given has 96"),
        ((3, 2, 8), r"this run gives \[2, 3"),
    ],
)
def test_bound_memory_must_have_the_outputs_shape(session, shape, message):
    binding = bind(session, feed(2, 3), [])
    binding.bind_ortvalue_output("y", OrtValue.ortvalue_from_shape_and_type(shape, np.float32))
    with pytest.raises(permalloy.InvalidArgument, match=message):
        session.run_with_iobinding(binding)


def test_clearing(session):
    binding = bind(session, feed(2, 3))
    session.run_with_iobinding(binding)
    binding.clear_binding_outputs()
    assert binding.get_outputs() == []
    binding.bind_output("s")
    binding.clear_binding_inputs()
    with pytest.raises(permalloy.InvalidArgument, match="input 'x' is missing"):
        session.run_with_iobinding(binding)


def test_a_forked_child_runs_a_binding(session):
    inputs = feed(4, 50)
    binding = bind(session, inputs)
    session.run_with_iobinding(binding)
    child = os.fork()
    if child == 0:
        ok = False
        try:
            inputs["x"] += 1
            session.run_with_iobinding(binding)
            ok = np.array_equal(binding.get_outputs()[0].numpy(), expected(inputs)[0])
        finally:
            os._exit(0 if ok else 1)
    assert os.waitpid(child, 0)[1] == 0


SESSION = None


def run_in_child(seed):
    inputs = feed(2, 7, seed)
    binding = bind(SESSION, inputs)
    SESSION.run_with_iobinding(binding)
    return np.array_equal(binding.copy_outputs_to_cpu()[0], expected(inputs)[0])


def test_multiprocessing_children_use_the_parents_session(session):
    global SESSION
    SESSION = session
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(run_in_child, range(8)) == [True] * 8
    SESSION = None


def test_runs_on_a_thread_of_its_own(session):
    inputs, done, got = feed(2, 3), threading.Event(), []

    def callback(results, user_data, error):
        got.extend([results, user_data, error])
        done.set()

    session.run_async(["y"], inputs, callback, "data")
    assert done.wait(60)
    np.testing.assert_array_equal(got[0][0], expected(inputs)[0])
    assert got[1:] == ["data", ""]
    done.clear()
    got.clear()
    session.run_async(None, dict(inputs, m=inputs["m"][:1]), callback, None)
    assert done.wait(60)
    assert got[0] == [] and "input 'm' has shape [1, 3]: axis 0 is 1" in got[2]


def test_terminate_ends_a_run(session):
    options = permalloy.RunOptions()
    assert options.terminate is False
    options.terminate = True
    with pytest.raises(permalloy.Fail, match="terminated before step 0 of 4"):
        session.run(None, feed(2, 3), options)
    with pytest.raises(permalloy.Fail, match="terminated"):
        session.run_with_iobinding(bind(session, feed(2, 3)), options)
    options.terminate = False
    assert len(session.run(None, feed(2, 3), options)) == 3
    with pytest.raises(permalloy.InvalidArgument, match="run_options is a dict"):
        session.run(None, feed(2, 3), {})
