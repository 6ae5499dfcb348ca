# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Whole models on a GPU that is not there: kernels that were emitted for sm_80 run on this CPU, through the artifact's
tables and the runtime's device, on a driver of the host's memory (test/Emulation, test/Runtime/Cuda/FakeCuda.h)."""

import sys

import numpy as np
import onnx
import pytest
import small_bert
import small_decoder
from smallbert import Config, Options
from whole_models import EMULATED_TOOL, FAKE_DRIVER, ROOT

permalloy_package = pytest.importorskip("permalloy")
sys.path.insert(0, str(ROOT / "examples/generate"))
from decoders import FORMS

TOLERANCE = 2e-4


def compile_model(emulated, model, folder, *options):
    path = folder / "model.alloy"
    emulated("compile", model, "-o", path, "--target", "x86-64-v3,sm_80", *options)
    return path


def outputs_on(emulated, device, alloy, folder, *arguments):
    """The outputs of a run on random inputs."""
    path = folder / f"{device.replace(':', '')}.npz"
    emulated("run", alloy, "--random", "--device", device, "--outputs", path, *arguments)
    with np.load(path) as arrays:
        return {name: arrays[name] for name in arrays.files}


def assert_same(emulated, alloy, folder, *arguments, tolerance=TOLERANCE):
    """The GPU's outputs are the CPU's."""
    ours = outputs_on(emulated, "cuda:0", alloy, folder, *arguments)
    for name, expected in outputs_on(emulated, "cpu", alloy, folder, *arguments).items():
        assert ours[name].shape == expected.shape
        error = np.abs(ours[name] - expected).max() / np.abs(expected).max()
        assert error <= tolerance, f"{name} is {error:.1e} off"


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    path = tmp_path_factory.mktemp("bert") / "model.onnx"
    small_bert.write(path, Config(hidden_size=64), Options("dyn18"))
    return path


@pytest.fixture(scope="module")
def wide_bert(tmp_path_factory):
    """One layer whose weights are large enough to become codes."""
    path = tmp_path_factory.mktemp("wide") / "model.onnx"
    config = Config(256, num_hidden_layers=1, num_attention_heads=4, intermediate_size=512)
    small_bert.write(path, config, Options("dyn18"))
    return path


@pytest.mark.parametrize(("precision", "tolerance"), [("f32", TOLERANCE), ("tf32", 4e-3), ("bf16", 2e-2)])
def test_encoder(emulated, bert, tmp_path, precision, tolerance):
    alloy = compile_model(emulated, bert, tmp_path, "--precision", precision)
    for batch, sequence in ((1, 8), (2, 21)):
        sizes = "--dim", f"batch={batch}", "--dim", f"sequence={sequence}"
        assert_same(emulated, alloy, tmp_path, *sizes, tolerance=tolerance)


def test_tf32_rounds_on_the_gpu_alone(emulated, bert, tmp_path):
    """CPUs compute the same with the permission and without; the GPU's results show that it was used."""
    sizes = "--dim", "batch=2", "--dim", "sequence=21"
    strict, rounded = tmp_path / "strict", tmp_path / "rounded"
    for folder, *options in ((strict,), (rounded, "--precision", "tf32")):
        folder.mkdir()
        compile_model(emulated, bert, folder, *options)
    outputs = {
        (device, folder): outputs_on(emulated, device, folder / "model.alloy", folder, *sizes)
        for device in ("cpu", "cuda:0")
        for folder in (strict, rounded)
    }
    for name, expected in outputs["cpu", strict].items():
        assert np.array_equal(outputs["cpu", rounded][name], expected)
        error = np.abs(outputs["cuda:0", rounded][name] - expected).max() / np.abs(expected).max()
        assert 1e-5 < error <= 4e-3


@pytest.mark.parametrize("level", ["w4g32", "w8", "w8a8o0"])
def test_quantized_encoder(emulated, wide_bert, tmp_path, level):
    alloy = compile_model(emulated, wide_bert, tmp_path, "--quantize", level)
    sizes = "--dim", "batch=1", "--dim", "sequence=5"
    assert_same(emulated, alloy, tmp_path, *sizes, tolerance=2e-2)


@pytest.mark.parametrize("spelling", small_decoder.SPELLINGS)
def test_decoder(emulated, tmp_path, monkeypatch, spelling):
    """Steps of a decoder whose past stays on the GPU, in each form, against the CPU."""
    model = tmp_path / "decoder.onnx"
    onnx.save(small_decoder.build(spelling), model)
    alloy = str(compile_model(emulated, model, tmp_path))
    monkeypatch.setenv("PERMALLOY_LIBCUDA", str(FAKE_DRIVER))
    gpu = permalloy_package.InferenceSession(alloy, providers=["CUDAExecutionProvider"])
    cpu = permalloy_package.InferenceSession(alloy)
    assert gpu.get_providers() == ["CUDAExecutionProvider"]
    for form in FORMS.values():
        ours, theirs = form(gpu, 2), form(cpu, 2)
        ids = np.random.default_rng(0).integers(0, small_decoder.VOCABULARY, (2, 5))
        for _ in range(6):
            actual, expected = ours.step(ids), theirs.step(ids)
            assert np.abs(actual - expected).max() <= TOLERANCE * np.abs(expected).max()
            ids = expected.argmax(1)[:, None]


# No softmax: nothing makes it one operation, so its products are kernels of their own.
RELU_ATTENTION = """<ir_version: 8, opset_import: ["" : 18]>
layer (T[batch, 4, sequence, 16] q, T[batch, 4, sequence, 16] k, T[batch, 4, sequence, 16] v, T[batch, 1, 1, sequence] mask)
  => (T[batch, 4, sequence, 16] y) {
  turned = Transpose <perm = [0, 1, 3, 2]> (k)
  scores = MatMul (q, turned)
  masked = Add (scores, mask)
  weights = Relu (masked)
  y = MatMul (weights, v)
}"""


@pytest.mark.parametrize(("element", "form", "tolerance"), [("float", "matmul_fma", TOLERANCE), ("float16", "matmul", 1e-2)])
def test_products_of_activations(emulated, tmp_path, element, form, tolerance):
    model = tmp_path / "model.onnx"
    onnx.save(onnx.parser.parse_model(RELU_ATTENTION.replace("T[", f"{element}[")), model)
    alloy = compile_model(emulated, model, tmp_path)
    assert emulated("inspect", alloy, "--kernels").stdout.count(f" {form}") >= 2
    for batch, sequence in ((1, 16), (2, 21)):
        sizes = "--dim", f"batch={batch}", "--dim", f"sequence={sequence}"
        assert_same(emulated, alloy, tmp_path, *sizes, tolerance=tolerance)


def test_python_compiles_for_the_gpu(emulated, bert, tmp_path, monkeypatch):
    """An .onnx opened on a GPU is compiled for it and, where the list names the CPU, for that."""
    monkeypatch.setenv("PERMALLOY_LIBCUDA", str(FAKE_DRIVER))
    monkeypatch.setenv("PERMALLOY_COMPILER", str(EMULATED_TOOL))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    providers = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    gpu = permalloy_package.InferenceSession(str(bert), providers=providers)
    assert gpu.get_providers() == providers and gpu.target == "sm_80"
    cpu = permalloy_package.InferenceSession(str(bert))
    ids = np.random.default_rng(0).integers(0, 67, (2, 9))
    feed = {"input_ids": ids, "attention_mask": ids | 1, "token_type_ids": ids % 2}
    for _ in range(3):  # the second run becomes a graph
        (actual,), (expected,) = gpu.run(None, feed), cpu.run(None, feed)
        assert np.abs(actual - expected).max() <= TOLERANCE * np.abs(expected).max()
    assert len(list(tmp_path.rglob("*.alloy"))) == 2


def test_commands(emulated, bert):
    """An .onnx is compiled for the machine's GPU where --device names it."""
    sizes = "--dim", "batch=1", "--dim", "sequence=8"
    verified = emulated("verify", bert, "--device", "cuda:0", "--no-interpreter", "--json", *sizes)
    assert '"target":"sm_80"' in verified.stdout and '"status":"ok"' in verified.stdout
    bench = emulated("bench", bert, "--device", "cuda:0", "--repeats", "2", *sizes)
    assert "sm_80" in bench.stdout
    profile = emulated("run", bert, "--device", "cuda:0", "--random", "--profile", *sizes)
    assert "steps (median of" in profile.stdout


def test_machines_without(emulated, bert):
    none = {"PERMALLOY_LIBCUDA": "/nowhere/libcuda.so.1"}
    for command in ("run", "bench", "verify"):
        said = emulated(command, bert, "--device", "cuda:0", code=1, **none).stderr
        assert "--device cuda:0: there is no NVIDIA driver: /nowhere/libcuda.so.1" in said
    said = emulated("run", bert, "--device", "cuda:7", code=1).stderr
    assert "--device cuda:7: there is no cuda:7; this machine has cuda:0 (Fake GPU" in said
    assert "device 'tpu' is unknown" in emulated("run", bert, "--device", "tpu", code=1).stderr
    said = emulated(
        "compile", bert, "--target", "cuda:0", code=1, PERMALLOY_FAKE_CUDA="capability=75"
    ).stderr
    assert "is older than what models are compiled for: sm_80 and later" in said
