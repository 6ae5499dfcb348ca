# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Models compiled at a level, kept in the work folder, and sessions of them."""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .levels import Level
from .tasks import Feed, Task

_LONGEST = 1800  # seconds of a compilation: a search may take minutes
_LOG = 10000  # characters of its standard error that are kept


class Refused(RuntimeError):
    """The compiler's words."""


@dataclass
class Compiled:
    alloy: Path
    seconds: float
    #: What the compiler says of its plan, as JSON; None where it says nothing.
    plan: dict | None


def compile_at(
    task: Task, model: Path, level: Level, work: Path, plan: Path | None = None
) -> Compiled:
    """`model` (the task's, or another form of it) at a level; Refused when the compiler refuses.

    plan  carry this plan out instead of what the level asks for: the other forms of a model have no
          calibration inputs of their own, but layers of the same names
    """
    from permalloy import compiler

    binary = Path(compiler.find_compiler())
    flags = [flag.format(calibration=calibration(task, work)) for flag in level.flags]
    if "--solver" in flags and "--calibrate" in flags:
        if model != task.model:  # its layers have the names of the task's model, which was first
            at = flags.index("--calibrate")
            del flags[at : at + 2]
        flags += ["--statistics", str(work / f"{task.name}.safetensors")]
    if plan:
        at = flags.index("--statistics") if "--statistics" in flags else len(flags)
        flags = ["--plan", str(plan), *flags[at : at + 2]]
    stamps = [_stamp(model), _stamp(binary), *([plan.read_text()] if plan else [])]
    key = hashlib.sha256(repr((flags, stamps)).encode()).hexdigest()[:16]
    alloy = work / f"{model.stem}-{level.name.replace('/', '_')}-{key}.alloy"
    notes = alloy.with_suffix(".json")
    if not (alloy.exists() and notes.exists()):
        start = time.monotonic()
        plan_file = alloy.with_suffix(".plan.json")
        command = [binary, "compile", model, "-o", alloy, "--print-plan", plan_file, *flags]
        done = subprocess.run(
            list(map(str, command)), capture_output=True, text=True, timeout=_LONGEST, check=False
        )
        if done.returncode:
            raise Refused(_first_error(done.stderr))
        text = plan_file.read_text() if plan_file.exists() else "null"
        notes.write_text(
            json.dumps(
                {
                    "seconds": time.monotonic() - start,
                    "plan": json.loads(text),
                    "log": done.stderr[-_LOG:],
                }
            )
        )
    found = json.loads(notes.read_text())
    return Compiled(alloy, found["seconds"], found["plan"])


def log_of(alloy: Path) -> str:
    """What the compiler wrote to its standard error for a form in the work folder, the end of it."""
    return json.loads(alloy.with_suffix(".json").read_text())["log"]


def session(alloy: Path, threads: int):
    import permalloy

    options = permalloy.SessionOptions()
    options.intra_op_num_threads = threads
    return permalloy.InferenceSession(str(alloy), options)


def runner(alloy: Path, threads: int):
    """A feed to the first output: the logits, or the hidden states."""
    opened = session(alloy, threads)
    name = opened.get_outputs()[0].name
    return lambda feed: opened.run([name], feed)[0]


def calibration(task: Task, work: Path) -> Path:
    path = work / f"{task.name}-calibration.npz"
    if not path.exists() or path.stat().st_mtime < task.model.stat().st_mtime:
        write_inputs(path, task.calibration)
    return path


def write_inputs(path: Path, feed: Feed):
    new = path.with_suffix(".new.npz")
    np.savez_compressed(new, **feed)
    new.rename(path)


def _first_error(text: str) -> str:
    lines = [line for line in text.splitlines() if "error" in line] or text.splitlines()[-1:]
    return (lines or ["it said nothing"])[0].strip()[:300]


def _stamp(path: Path) -> str:
    stat = path.stat()
    return f"{path} {stat.st_size} {stat.st_mtime_ns}"
