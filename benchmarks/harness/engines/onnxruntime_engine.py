# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""onnxruntime: all graph optimisations; a bound past is an IOBinding with outputs in place. With the
option "quantize" its own quantizer makes the model first, once."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from . import Job, Runner, run_of


def load(job: Job) -> Runner:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = job.threads, 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3
    for name, value in job.options.get("session", {}).items():
        options.add_session_config_entry(name, str(value))
    providers = ["CPUExecutionProvider"]
    model = _quantized(job) if "quantize" in job.options else job.model
    session = onnxruntime.InferenceSession(str(model), options, providers=providers)
    names = [output.name for output in session.get_outputs()]
    feed = {arg.name: job.feeds[arg.name] for arg in session.get_inputs()}
    info = {"version": onnxruntime.__version__}
    if job.case.form == "bound":
        return _bound(onnxruntime, session, names, feed, info)
    return run_of(
        job, feed, lambda f: session.run(None, f), lambda results: dict(zip(names, results)), info
    )


def _quantized(job: Job) -> Path:
    """The file that onnxruntime's quantizer made, kept in the work folder."""
    how = job.options["quantize"]
    stamp = f"{job.model.stat().st_size}-{job.model.stat().st_mtime_ns}"
    path = job.work / f"{job.model.stem}-onnxruntime-{how}-{stamp}.onnx"
    if not path.exists():
        new = path.with_suffix(".new")
        {"int8": _int8, "int4": _int4}[how](job.model, new)
        new.rename(path)
    return path


def _int8(model: Path, to: Path):
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(str(model), str(to), per_channel=True, weight_type=QuantType.QInt8)


def _int4(model: Path, to: Path):
    """Blocks of 32, activations in int8 (accuracy_level 4), its fastest. It takes products with a constant only: transposed weights
    are folded, Gemm becomes MatMul and Add."""
    import onnx
    import onnxruntime
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
    from onnxruntime.quantization.onnx_model import ONNXModel

    folded = to.with_suffix(".folded")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(folded)
    onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    graph = ONNXModel(onnx.load(folded))
    folded.unlink()
    graph.replace_gemm_with_matmul()
    quantizer = MatMulNBitsQuantizer(
        graph.model, bits=4, block_size=32, is_symmetric=True, accuracy_level=4
    )
    quantizer.process()
    onnx.save(getattr(quantizer.model, "model", quantizer.model), to)


def _bound(onnxruntime, session, names, feed, info) -> Runner:
    """Inputs and outputs in memory that stays: nothing is allocated or converted by a run."""
    shapes = {name: value.shape for name, value in zip(names, session.run(None, feed))}
    value_of = onnxruntime.OrtValue.ortvalue_from_numpy
    binding = session.io_binding()
    for name, array in feed.items():
        binding.bind_ortvalue_input(name, value_of(array))
    results = {name: value_of(np.empty(shape, np.float32)) for name, shape in shapes.items()}
    for name, value in results.items():
        binding.bind_ortvalue_output(name, value)

    def call():
        session.run_with_iobinding(binding)
        return results

    return Runner(
        call=call,
        outputs=lambda values: {name: value.numpy() for name, value in values.items()},
        info=info,
    )
