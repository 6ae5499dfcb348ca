# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""OpenVINO: latency hint, one stream; its precision hint is the row's. A bound past is either plain
runs on shared memory or a stateful model (option "stateful"), whichever was faster in earlier rows. The option
"compress" has NNCF quantize the model; "hint" is then the precision of the rest."""

from __future__ import annotations

import numpy as np

from .. import inputs
from . import Job, Runner, run_of


def load(job: Job) -> Runner:
    import openvino

    core = openvino.Core()
    model = core.read_model(str(job.model))
    stateful = job.options.get("stateful", False)
    if stateful and job.case.form != "bound":
        raise ValueError("a stateful model has no plain form")
    if "compress" in job.options:
        model = _compressed(job, model)
    if stateful:
        _make_stateful(model)
    if job.options.get("static", False):
        model.reshape({i.any_name: list(job.feeds[i.any_name].shape) for i in model.inputs})
    compiled = core.compile_model(
        model,
        "CPU",
        {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": job.threads,
            "ENABLE_CPU_PINNING": False,
            "INFERENCE_PRECISION_HINT": job.options.get("hint", job.precision),
        },
    )
    request = compiled.create_infer_request()
    feed = {i.any_name: job.feeds[i.any_name] for i in compiled.inputs}
    names = [output.any_name for output in compiled.outputs]
    info = {
        "version": openvino.__version__,
        "precision": str(compiled.get_property("INFERENCE_PRECISION_HINT")),
    }
    # In several batches a run's outputs would be overwritten by the next one's: they are copied, as a caller must.
    shared = not job.options.get("batches")
    runner = run_of(
        job,
        feed,
        lambda f: request.infer(f, share_inputs=True, share_outputs=shared),
        lambda results: {name: np.array(results[i]) for i, name in enumerate(names)},
        info,
    )
    if stateful:
        _keep_past(openvino, job, request, feed, runner)
    return runner


def _compressed(job: Job, model):
    """int8: all weights, asymmetric, of a channel one scale; int4: all weights, symmetric, groups of 64 (the fastest of its sizes);
    w8a8: weights and activations, calibrated on the case's own inputs, which is its best case."""
    import nncf

    how = job.options["compress"]
    if how == "w8a8":
        data = nncf.Dataset([{i.any_name: job.feeds[i.any_name] for i in model.inputs}])
        mixed, transformer = nncf.QuantizationPreset.MIXED, nncf.ModelType.TRANSFORMER
        return nncf.quantize(model, data, model_type=transformer, subset_size=1, preset=mixed)
    mode = nncf.CompressWeightsMode
    if how == "int8":
        return nncf.compress_weights(model, mode=mode.INT8_ASYM)
    return nncf.compress_weights(
        model, mode=mode.INT4_SYM, group_size=64, all_layers=True, ratio=1.0
    )


def _make_stateful(model):
    from openvino._offline_transformations import apply_make_stateful_transformation

    pasts = [i.any_name for i in model.inputs if inputs.is_past(i.any_name)]
    apply_make_stateful_transformation(model, {name: inputs.present_of(name) for name in pasts})


def _keep_past(openvino, job: Job, request, feed, runner: Runner):
    """The past is set before each turn; the runs of a turn continue it."""
    length = [0]

    def before_turn():
        length[0] = job.case.past
        for state in request.query_state():
            name = next(name for name in job.feeds if inputs.is_past(name) and name in state.name)
            state.state = openvino.Tensor(job.feeds[name])

    def before():
        width = length[0] + job.case.sequence
        feed["attention_mask"] = np.ones((job.case.batch, width), np.int64)
        if "position_ids" in feed:
            feed["position_ids"] = inputs.positions(job.case, length[0])
        length[0] += job.case.sequence

    runner.before_turn, runner.before = before_turn, before
