# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Runs a model as a peer quantizes it, in the Python that has the peers: peers.py starts it.

    peer_server.py ENGINE MODEL CALIBRATION.npz THREADS

Requests on stdin and answers on stdout are npz archives, each behind its length in 8 bytes; the answer
to the inputs is the first output.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
from pathlib import Path

import numpy as np


def onnxruntime_int8(model: Path, calibration: dict, threads: int):
    """Its dynamic quantizer, a scale for each column of a weight."""
    import onnxruntime
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        to = Path(folder) / "int8.onnx"
        quantize_dynamic(str(model), str(to), per_channel=True, weight_type=QuantType.QInt8)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(str(to), options, ["CPUExecutionProvider"])
    names = [arg.name for arg in session.get_inputs()]
    return lambda feed: session.run(None, {name: feed[name] for name in names})[0]


def openvino_w8a8(model: Path, calibration: dict, threads: int):
    """NNCF's post-training quantization for transformers, calibrated sample by sample; the rest in bf16."""
    import nncf
    import openvino

    core = openvino.Core()
    graph = core.read_model(str(model))
    names = [i.any_name for i in graph.inputs]
    count = len(next(iter(calibration.values())))
    samples = [{n: calibration[n][i : i + 1] for n in names} for i in range(count)]
    quantized = nncf.quantize(
        graph,
        nncf.Dataset(samples),
        model_type=nncf.ModelType.TRANSFORMER,
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=count,
    )
    settings = {"INFERENCE_PRECISION_HINT": "bf16", "INFERENCE_NUM_THREADS": threads}
    compiled = core.compile_model(quantized, "CPU", settings)
    return lambda feed: np.array(compiled({n: feed[n] for n in names})[compiled.output(0)])


ENGINES = {"onnxruntime int8": onnxruntime_int8, "openvino w8a8": openvino_w8a8}


def main(engine: str, model: str, calibration: str, threads: str):
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no answer
    with np.load(calibration) as file:
        run = ENGINES[engine](Path(model), dict(file), int(threads))
    while length := sys.stdin.buffer.read(8):
        with np.load(io.BytesIO(sys.stdin.buffer.read(int.from_bytes(length, "little")))) as file:
            feed = dict(file)
        answer = io.BytesIO()
        np.savez(answer, output=run(feed))
        answers.write(len(answer.getvalue()).to_bytes(8, "little") + answer.getvalue())
        answers.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
