# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""onnxruntime: all graph optimisations; a bound past is an IOBinding with outputs in place."""

from __future__ import annotations

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
    session = onnxruntime.InferenceSession(str(job.model), options, providers=providers)
    names = [output.name for output in session.get_outputs()]
    feed = {arg.name: job.feeds[arg.name] for arg in session.get_inputs()}
    info = {"version": onnxruntime.__version__}
    if job.case.form == "bound":
        return _bound(onnxruntime, session, names, feed, info)
    return run_of(
        job, feed, lambda f: session.run(None, f), lambda results: dict(zip(names, results)), info
    )


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
