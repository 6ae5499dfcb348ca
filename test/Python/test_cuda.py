# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Providers, and tensors in the memory of a GPU: on the runtime tests' driver, which needs none."""

import contextlib
import ctypes
import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from tiny_model import expected, feed

permalloy = pytest.importorskip("permalloy", reason="the Python package is not built")
CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
EPFail = permalloy.errors.EPFail


@pytest.fixture
def session(gpu, tiny_gpu):
    return permalloy.InferenceSession(tiny_gpu, providers=[CUDA, CPU])


def test_runs_on_the_gpu(session):
    assert session.get_providers() == [CUDA, CPU]
    assert session.get_provider_options() == {CUDA: {"device_id": "0"}, CPU: {}}
    assert session.target == "sm_80"
    assert permalloy.get_available_providers() == [CUDA, CPU]
    assert permalloy.get_device() == "GPU"
    for batch, seq in ((2, 3), (1, 1), (8, 100), (2, 3)):
        inputs = feed(batch, seq, seq)
        for ours, want in zip(session.run(None, inputs), expected(inputs)):
            np.testing.assert_array_equal(ours, want)


def test_order_decides(gpu, tiny_gpu):
    assert permalloy.InferenceSession(tiny_gpu).get_providers() == [CPU]
    assert permalloy.InferenceSession(tiny_gpu, providers=[CPU, CUDA]).target == "x86-64"
    with pytest.warns(UserWarning, match="'TensorrtExecutionProvider' is not in available"):
        session = permalloy.InferenceSession(
            tiny_gpu, providers=["TensorrtExecutionProvider", (CUDA, {"device_id": 0}), CPU]
        )
    assert session.get_providers() == [CUDA, CPU]
    session.set_providers([CPU])
    assert session.get_providers() == [CPU] and session.target == "x86-64"
    options = permalloy.SessionOptions()
    options.add_provider(CUDA, {"device_id": "0"})
    assert permalloy.InferenceSession(tiny_gpu, options).target == "sm_80"


def test_falls_back_when_the_list_says_so(no_gpu, tiny_gpu):
    reason = (
        "CUDAExecutionProvider .cuda:0. is not used: there is no NVIDIA driver: .*; falling back"
    )
    with pytest.warns(UserWarning, match=reason):
        session = permalloy.InferenceSession(tiny_gpu, providers=[CUDA, CPU])
    assert session.get_providers() == [CPU]
    inputs = feed(2, 3)
    np.testing.assert_array_equal(session.run(["y"], inputs)[0], expected(inputs)[0])
    with pytest.raises(EPFail, match="there is no NVIDIA driver"):
        permalloy.InferenceSession(tiny_gpu, providers=[CUDA])
    assert permalloy.get_available_providers() == [CPU]
    assert permalloy.get_device() == "CPU"


@pytest.fixture
def small_gpu(gpu, tmp_path, monkeypatch):
    """A machine whose GPU holds no weights. The driver reads its variable when it is opened."""
    driver = shutil.copy(gpu, tmp_path / "libsmall.so")
    monkeypatch.setenv("PERMALLOY_LIBCUDA", str(driver))
    monkeypatch.setenv("PERMALLOY_FAKE_CUDA", "memory=100")


def test_weights_that_do_not_fit(small_gpu, tiny_gpu):
    said = (
        r"cannot reserve \d+ bytes on cuda:0 .* for the weights of .*: 100 bytes of its 100 bytes"
    )
    with pytest.warns(UserWarning, match=f"is not used: {said} are free; falling back to CPU"):
        session = permalloy.InferenceSession(tiny_gpu, providers=[CUDA, CPU])
    assert session.get_providers() == [CPU]
    inputs = feed(2, 3)
    np.testing.assert_array_equal(session.run(["y"], inputs)[0], expected(inputs)[0])
    with pytest.raises(permalloy.errors.OutOfMemory, match=said):
        permalloy.InferenceSession(tiny_gpu, providers=[CUDA])


def test_options(gpu, tiny_gpu):
    """onnxruntime's own names are known; what would be missed is said."""

    def open_with(**options):
        return permalloy.InferenceSession(tiny_gpu, providers=[(CUDA, options)])

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        session = open_with(cudnn_conv_algo_search="HEURISTIC", enable_cuda_graph="1", use_tf32=0)
        assert session.get_provider_options()[CUDA] == {"device_id": "0"}
        assert open_with(user_compute_stream="0").get_provider_options() == {
            CUDA: {"device_id": "0"}
        }
        unset = {f"gpu_external_{what}": "0" for what in ("alloc", "free", "empty_cache")}
        open_with(**unset, gpu_mem_limit="18446744073709551615")  # as onnxruntime gives them back
    with pytest.warns(UserWarning, match="'gpu_mem_limit' has no effect: memory is planned"):
        open_with(gpu_mem_limit=2 << 30)
    with pytest.raises(permalloy.InvalidArgument, match="'gpu_external_alloc' is unsupported: dev"):
        open_with(gpu_external_alloc="1")
    with pytest.raises(permalloy.InvalidArgument, match="option 'device' is unknown; accepted are"):
        open_with(device=0)
    with pytest.raises(permalloy.InvalidArgument, match="user_compute_stream is '-1', expected"):
        open_with(user_compute_stream=-1)


@pytest.fixture
def stream(gpu):
    """(driver, handle) of a stream of the caller's."""
    driver, context, handle = ctypes.CDLL(gpu), ctypes.c_void_p(), ctypes.c_void_p()
    assert driver.cuInit(0) == 0
    assert driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0) == 0
    assert driver.cuCtxPushCurrent_v2(context) == 0
    assert driver.cuStreamCreate(ctypes.byref(handle), 1) == 0
    yield driver, handle
    assert driver.cuStreamDestroy_v2(handle) == 0
    assert driver.cuCtxPopCurrent_v2(ctypes.byref(context)) == 0
    assert driver.cuDevicePrimaryCtxRelease_v2(0) == 0


def test_streams_of_the_caller(stream, tiny_gpu):
    """Runs come behind what is in the stream, and tensors of other packages are asked for there."""
    driver, handle = stream
    options = {"user_compute_stream": str(handle.value)}
    session = permalloy.InferenceSession(tiny_gpu, providers=[(CUDA, options)])
    assert session.get_provider_options() == {CUDA: {"device_id": "0", **options}}
    inputs = feed(2, 3)
    x = permalloy.OrtValue.ortvalue_from_numpy(inputs["x"], "cuda")
    place = permalloy.OrtValue.ortvalue_from_shape_and_type(x.shape(), np.float32, "cuda")
    size = ctypes.c_size_t(inputs["x"].nbytes)
    addresses = (ctypes.c_uint64(value.data_ptr()) for value in (place, x))
    assert driver.cuMemcpyDtoDAsync_v2(*addresses, size, handle) == 0  # nobody waits for it
    asked = []

    class Foreign:
        def __dlpack_device__(self):
            return place.__dlpack_device__()

        def __dlpack__(self, *, stream=None, **arguments):
            asked.append(stream)
            return place.__dlpack__(**arguments)

    (ours,) = session.run(["y"], {"x": Foreign(), "m": inputs["m"]})
    np.testing.assert_array_equal(ours, expected(inputs)[0])
    binding = session.io_binding()
    binding.bind_cpu_input("x", Foreign())
    assert asked == [handle.value] * 2


def test_values_are_complete_when_they_are_made(stream, tiny_gpu):
    """Another package's tensor comes behind the legacy stream, which the session's does not wait for."""
    driver, handle = stream
    inputs = feed(2, 3)
    x = permalloy.OrtValue.ortvalue_from_numpy(inputs["x"], "cuda")
    options = {"user_compute_stream": str(handle.value)}
    session = permalloy.InferenceSession(tiny_gpu, providers=[(CUDA, options)])

    class Foreign:
        def __init__(self):
            self.place = permalloy.OrtValue.ortvalue_from_shape_and_type(
                x.shape(), np.float32, "cuda"
            )

        def __dlpack_device__(self):
            return self.place.__dlpack_device__()

        def __dlpack__(self, *, stream=None, **arguments):
            addresses = (ctypes.c_uint64(value.data_ptr()) for value in (self.place, x))
            size = ctypes.c_size_t(inputs["x"].nbytes)
            assert driver.cuMemcpyDtoDAsync_v2(*addresses, size, ctypes.c_void_p(stream)) == 0
            return self.place.__dlpack__(**arguments)

    for make in (permalloy.OrtValue, permalloy.OrtValue.from_dlpack):
        binding = session.io_binding()
        binding.bind_ortvalue_input("x", make(Foreign()))
        binding.bind_cpu_input("m", inputs["m"])
        binding.bind_output("y")
        session.run_with_iobinding(binding)
        np.testing.assert_array_equal(binding.copy_outputs_to_cpu()[0], expected(inputs)[0])


def test_says_what_is_missing(gpu, tiny, tiny_gpu):
    with pytest.raises(EPFail, match="has no code for GPUs; compile the model with --target host,"):
        permalloy.InferenceSession(tiny, providers=[CUDA])
    with pytest.warns(UserWarning, match="has no code for GPUs"):
        assert permalloy.InferenceSession(tiny, providers=[CUDA, CPU]).get_providers() == [CPU]
    with pytest.raises(EPFail, match="there is no cuda:3; this machine has cuda:0 .Fake GPU"):
        permalloy.InferenceSession(tiny_gpu, providers=[CUDA], provider_options=[{"device_id": 3}])
    with pytest.raises(permalloy.InvalidArgument, match="device_id is 'x', expected the number"):
        permalloy.InferenceSession(tiny_gpu, providers=[(CUDA, {"device_id": "x"})])


@pytest.mark.parametrize(
    "said",
    [
        "cuda:0 (Old, compute capability 7.5) is older than what models are compiled for: sm_80",
        "there is no cuda:0; this machine has cuda:1 (Fake GPU, compute capability 8.0)",
    ],
)
def test_gpus_that_nothing_is_compiled_for(gpu, fake_compiler, tmp_path, said):
    model = tmp_path / "model.onnx"
    model.write_text(f"OLD {said}\n")
    with pytest.warns(UserWarning, match="is not used: error: .*cuda:0.*; falling back to CPU"):
        session = permalloy.InferenceSession(model, providers=[CUDA, CPU])
    assert session.get_providers() == [CPU]
    with pytest.raises(EPFail, match="cuda:0") as error:
        permalloy.InferenceSession(model, providers=[CUDA])
    assert isinstance(error.value, permalloy.CompileError)


def test_gpus_count_in_the_cache(gpu, fake_compiler, tmp_path, monkeypatch):
    model = tmp_path / "model.onnx"
    model.write_text("a model")
    for targets in ("host,cuda:0", "host, cuda:0", ["host", "cuda:0"]):
        first = permalloy.compile(model, target=targets)
        with monkeypatch.context() as other:
            other.setattr(permalloy._native, "gpus", lambda: [("another", 9, 0)])
            assert permalloy.compile(model, target=targets) != first
        assert permalloy.compile(model, target=targets) == first


def test_set_providers_that_fail_change_nothing(session, tmp_path):
    with pytest.raises(EPFail, match="there is no cuda:3"):
        session.set_providers([(CUDA, {"device_id": 3})])
    assert session.get_providers() == [CUDA, CPU]
    inputs = feed(2, 3)
    np.testing.assert_array_equal(session.run(["y"], inputs)[0], expected(inputs)[0])


def test_profiles_go_on_with_other_providers(gpu, tiny_gpu, tmp_path):
    options = permalloy.SessionOptions()
    options.enable_profiling, options.profile_file_prefix = True, str(tmp_path / "trace")
    session = permalloy.InferenceSession(tiny_gpu, options, providers=[CUDA, CPU])
    session.run(None, feed(2, 3))
    session.set_providers([CPU])
    session.run(None, feed(2, 3))
    events = json.loads(Path(session.end_profiling()).read_text())
    assert events


def test_values_without_dimensions(gpu):
    value = permalloy.OrtValue.ortvalue_from_numpy(np.array(3, np.float32), "cuda")
    assert value.shape() == [] and value.numpy() == 3
    turned = np.arange(6, dtype=np.float32).reshape(2, 3).T
    value = permalloy.OrtValue.ortvalue_from_numpy(turned, "cuda")
    np.testing.assert_array_equal(value.numpy(), turned)


def test_values_on_the_gpu(gpu):
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    value = permalloy.OrtValue.ortvalue_from_numpy(array, "cuda", 0)
    assert value.device_name() == "cuda" and value.__dlpack_device__() == (2, 0)
    np.testing.assert_array_equal(value.numpy(), array)
    value.update_inplace(array + 1)
    np.testing.assert_array_equal(value.numpy(), array + 1)
    again = permalloy.OrtValue.from_dlpack(value)
    assert again.data_ptr() == value.data_ptr() and again.device_name() == "cuda"
    np.testing.assert_array_equal(np.asarray(again), array + 1)
    zeros = permalloy.OrtValue.ortvalue_from_shape_and_type([2, 2], np.int64, "cuda")
    np.testing.assert_array_equal(zeros.numpy(), np.zeros((2, 2), np.int64))
    device = permalloy.OrtDevice.make("cuda", 0)
    assert (device.device_type(), device.device_id()) == (1, 0)


def test_binding(session):
    inputs = feed(2, 3)
    values = {
        name: permalloy.OrtValue.ortvalue_from_numpy(array, "cuda")
        for name, array in inputs.items()
    }
    y = permalloy.OrtValue.ortvalue_from_shape_and_type([2, 3, 8], np.float32, "cuda")
    binding = session.io_binding()
    binding.bind_ortvalue_input("x", values["x"])
    m = values["m"]
    binding.bind_input("m", "cuda", 0, np.float32, m.shape(), m.data_ptr())
    binding.bind_ortvalue_output("y", y)
    binding.bind_output("s", "cuda")
    binding.bind_output("c")
    for _ in range(3):
        session.run_with_iobinding(binding)
    results = binding.get_outputs()
    assert [value.device_name() for value in results] == ["cuda", "cuda", "cpu"]
    assert results[0].data_ptr() == y.data_ptr()
    for ours, want in zip(binding.copy_outputs_to_cpu(), expected(inputs)):
        np.testing.assert_array_equal(ours, want)


def test_tensors_of_other_packages(session):
    inputs = feed(2, 3)
    streams = []

    class Foreign:
        def __init__(self, array):
            self.value = permalloy.OrtValue.ortvalue_from_numpy(array, "cuda")

        def __dlpack_device__(self):
            return self.value.__dlpack_device__()

        def __dlpack__(self, *, stream=None, **arguments):
            streams.append(stream)
            return self.value.__dlpack__(**arguments)

    feeds = {name: Foreign(array) for name, array in inputs.items()}
    np.testing.assert_array_equal(session.run(["y"], feeds)[0], expected(inputs)[0])
    assert streams == [1, 1]  # the legacy default stream, which the run waits for


def test_tensors_of_the_gpu_are_refused_on_the_cpu(gpu, tiny):
    session = permalloy.InferenceSession(tiny)
    inputs = feed(2, 3)
    inputs["x"] = permalloy.OrtValue.ortvalue_from_numpy(inputs["x"], "cuda")
    with pytest.raises(permalloy.InvalidArgument, match="input 'x' lies in the memory of cuda:0"):
        session.run(None, inputs)


@pytest.mark.parametrize("form", ["arrays", "binding", "state"])
def test_caches(gpu, tiny_gpu_cache, form):
    """Past keys and values through all three forms, against the CPU."""
    session = permalloy.InferenceSession(tiny_gpu_cache, providers=[CUDA])
    reference = permalloy.InferenceSession(tiny_gpu_cache)
    rng = np.random.default_rng(1)
    names = ("k", "v")
    past = {f"past.{n}": np.zeros((1, 2, 0, 4), np.float32) for n in names}
    own = {name: permalloy.OrtValue.ortvalue_from_numpy(a, "cuda") for name, a in past.items()}
    state = session.create_state(1)
    for step in range(6):
        x = rng.integers(0, 9, (1, 2, 1 + step % 2, 4)).astype(np.float32)
        y, *present = reference.run(None, {"x": x, **past})
        if form == "arrays":
            ours, *own_present = session.run(None, {"x": x, **own})
            own = {f"past.{n}": array for n, array in zip(names, own_present)}
        elif form == "state":
            (ours,) = session.run(None, {"x": x}, state=state)
        else:
            binding = session.io_binding()
            binding.bind_cpu_input("x", x)
            for name, value in own.items():
                binding.bind_ortvalue_input(name, value)
            binding.bind_output("y")
            for n in names:
                binding.bind_output(f"present.{n}", "cuda")
            session.run_with_iobinding(binding)
            y_value, *values = binding.get_outputs()
            ours = y_value.numpy()
            own = {f"past.{n}": value for n, value in zip(names, values)}
            np.testing.assert_array_equal(values[0].numpy(), present[0])
        np.testing.assert_array_equal(ours, y)
        past = {f"past.{n}": array for n, array in zip(names, present)}


def test_targets_follow_the_providers(gpu, tiny_gpu, fake_compiler, tmp_path):
    model = tmp_path / "model.onnx"
    model.write_bytes(b"no model, but the compiler is none either")
    for providers, targets in (
        ([CPU], []),
        ([CUDA, CPU], ["host", "cuda:0"]),
        ([CUDA], ["cuda:0"]),
    ):
        before = len(fake_compiler())
        with contextlib.suppress(EPFail), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what this compiler writes is for CPUs alone
            permalloy.InferenceSession(model, providers=providers)
        words = fake_compiler()[before].split()
        assert [b for a, b in zip(words, words[1:]) if a == "--target"] == targets
