# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""One peer in a process of its own: loads a model, checks its outputs, then runs when it is told.

Reads JSON lines: first the job, then {"warm": w, "runs": n} for each turn. Writes a JSON line for
each: what loading gave, or the seconds of the turn's n runs. Ends when its input ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness import compare, engines, inputs
from harness.cases import Case


def main():
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    job = json.loads(sys.stdin.readline())
    try:
        runner, info = _load(job)
    except Exception as error:  # the parent reports it, whatever it is
        _say(answers, {"error": f"{type(error).__name__}: {error}"[:600]})
        raise
    _say(answers, info)
    for line in sys.stdin:
        _say(answers, {"seconds": _turn(runner, **json.loads(line))})


def _say(answers, message: dict):
    print(json.dumps(message), file=answers, flush=True)


def _load(job: dict):
    case = Case.of(job["case"])
    feeds = inputs.make(case)
    start = time.perf_counter()
    runner = engines.load(
        engines.Job(
            job["engine"],
            Path(job["model"]),
            case,
            job["precision"],
            job["threads"],
            job["options"],
            feeds,
            Path(job["work"]),
        )
    )
    info = dict(runner.info, load_s=time.perf_counter() - start)
    _bind(job["cores"])
    runner.before_turn()
    runner.before()
    start = time.perf_counter()
    outputs = runner.outputs(runner.call())
    info["first_s"] = time.perf_counter() - start
    info["rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    info |= _check(job, case, outputs)
    del outputs
    return runner, info


def _bind(cores: list[int]):
    """All threads that there are, and those that they start. Only now: while models load, nobody is
    timed, and compilers may use all CPUs."""
    for thread in os.listdir("/proc/self/task"):
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread), cores)


def _check(job: dict, case: Case, outputs) -> dict:
    """Compares with the reference; where there is none, the outputs become it."""
    outputs = {name: inputs.compared(case, name, value) for name, value in outputs.items()}
    path = Path(job["reference"])
    if job.get("make_reference"):
        compare.write(path, outputs)
        return {"outputs": len(outputs)}
    return compare.against(path, outputs).plain()


def _turn(runner, warm: int, runs: int) -> list[float]:
    """Seconds of `runs` runs after `warm` others."""
    runner.before_turn()
    seconds = []
    for _ in range(warm + runs):
        runner.before()
        start = time.perf_counter()
        result = runner.call()
        seconds.append(time.perf_counter() - start)
        del result
    return seconds[warm:]


if __name__ == "__main__":
    main()
