# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What runs a model: one module an engine, each with load(job) -> Runner.

A module imports its package inside of load, so that a peer that is not installed is told by name.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .. import inputs
from ..cases import Case

ENGINES = ("permalloy", "onnxruntime", "openvino", "iree", "torch")


@dataclass
class Job:
    """What a worker is asked to load."""

    engine: str
    model: Path  # .onnx, for permalloy the .alloy that was compiled from it
    case: Case
    precision: str
    threads: int
    options: dict  # of the peer, peers.toml
    feeds: dict[str, np.ndarray]
    work: Path  # folder for files that are worth keeping


@dataclass
class Runner:
    """A loaded model. `call` is what is timed; `before_turn` and `before` (each run) are not."""

    call: Callable[[], Any]
    outputs: Callable[[Any], dict[str, np.ndarray]]  # of what call returned
    before_turn: Callable[[], None] = lambda: None
    before: Callable[[], None] = lambda: None
    info: dict = field(default_factory=dict)


def run_of(job: Job, feeds, run, named, info: dict, converted=lambda feeds: feeds) -> Runner:
    """A Runner of plain calls: run(converted(feeds)) as one batch or, with the option "batches", as that
    many batches of texts of similar length, one after another. Converting is not timed. named(what
    run returned) are the outputs."""
    count = job.options.get("batches", 0)
    if not count:
        whole = converted(feeds)
        return Runner(call=lambda: run(whole), outputs=named, info=info)
    cut = inputs.parts(job.case, feeds, count)
    pieces = [converted(part.feeds) for part in cut]
    return Runner(
        call=lambda: [run(piece) for piece in pieces],
        outputs=lambda results: inputs.joined(job.case, cut, list(map(named, results))),
        info=info,
    )


def load(job: Job) -> Runner:
    if job.engine not in ENGINES:
        raise ValueError(f"unknown engine '{job.engine}', known: {', '.join(ENGINES)}")
    return importlib.import_module(f".{job.engine}_engine", __package__).load(job)
