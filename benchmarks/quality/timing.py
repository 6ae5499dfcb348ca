# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Times of forms of a model by turns in one process, f32 among them: drift meets all alike."""

from __future__ import annotations

import time
from collections.abc import Callable

from harness.intervals import interval, median
from harness.turns import runs_of

_REFERENCE = "f32"


def by_turns(calls: dict[str, Callable[[], object]], pairs: int) -> dict[str, dict]:
    """Milliseconds of each and the ratio f32 / it, medians with intervals from order statistics.

    `calls` has "f32"; each round begins with another one.
    """
    runs = runs_of([_seconds(call) for call in calls.values()])
    times: dict[str, list[float]] = {name: [] for name in calls}
    order = list(calls)
    for number in range(pairs):
        start = number % len(order)
        for name in order[start:] + order[:start]:
            for _ in range(runs[0]):
                calls[name]()
            times[name].append(median([_seconds(calls[name]) for _ in range(runs[1])]))
    return {name: _figures(mine, times[_REFERENCE]) for name, mine in times.items()}


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _figures(mine: list[float], reference: list[float]) -> dict:
    return {
        "milliseconds": interval([1e3 * seconds for seconds in mine]).plain(),
        "speedup": interval([theirs / own for own, theirs in zip(mine, reference)]).plain(),
    }
