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


def load(job: Job) -> Runner:
    if job.engine not in ENGINES:
        raise ValueError(f"unknown engine '{job.engine}', known: {', '.join(ENGINES)}")
    return importlib.import_module(f".{job.engine}_engine", __package__).load(job)
