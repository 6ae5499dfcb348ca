# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Permalloy, from a .alloy that was compiled before.

Plain runs of a decoder give each run's presents back as the next run's past, as a caller does: the
first run of a turn, which is not timed, copies the past. A bound past lies in a state.
"""

from __future__ import annotations

import numpy as np

from .. import inputs
from . import Job, Runner


def load(job: Job) -> Runner:
    import permalloy

    options = permalloy.SessionOptions()
    options.intra_op_num_threads = job.threads
    session = permalloy.InferenceSession(str(job.model), options)
    feed = {arg.name: job.feeds[arg.name] for arg in session.get_inputs()}
    info = {"version": permalloy.__version__, "target": session.target}
    if job.case.form == "bound":
        return _state(job, session, feed, info)
    if job.case.past:
        return _drop_in(job, session, feed, info)
    names = [output.name for output in session.get_outputs()]
    return Runner(
        call=lambda: session.run(None, feed),
        outputs=lambda results: dict(zip(names, results)),
        info=info,
    )


def _state(job: Job, session, feed, info) -> Runner:
    pasts = {name: array for name, array in feed.items() if inputs.is_past(name)}
    small = {name: array for name, array in feed.items() if name not in pasts}
    state = session.create_state(job.case.batch, capacity=job.case.past + 64)
    state.load(pasts)
    names = session._output_names(None, state)
    return Runner(
        call=lambda: session.run(None, small, state=state),
        outputs=lambda results: dict(zip(names, results)),
        before=lambda: state.truncate(job.case.past),
        info=info,
    )


def _drop_in(job: Job, session, feed, info) -> Runner:
    names = [output.name for output in session.get_outputs()]
    at = {name: names.index(inputs.present_of(name)) for name in feed if inputs.is_past(name)}
    current, last = dict(feed), []

    def before_turn():
        current.update(feed)
        last.clear()

    def before():
        if not last:
            return
        current.update({name: last[0][index] for name, index in at.items()})
        length = current[next(iter(at))].shape[2]
        width = length + job.case.sequence
        current["attention_mask"] = np.ones((job.case.batch, width), np.int64)
        if "position_ids" in current:
            current["position_ids"] = inputs.positions(job.case, length)

    def call():
        last[:] = [session.run(None, current)]
        return last[0]

    return Runner(
        call=call,
        outputs=lambda results: dict(zip(names, results)),
        before_turn=before_turn,
        before=before,
        info=info,
    )
