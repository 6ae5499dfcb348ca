# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Turns round robin: a few for everybody, then on until all who may be the best peer have theirs.

So no earlier pass has to say who is worth timing, and whoever comes out best has all pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .intervals import median
from .process import Worker, WorkerError

#: A peer whose ratio is more than this many times the best one's is no contender.
NEAR = 1.1
#: Pairs of those who are no contenders.
FEW = 3
# Seconds of the fastest of a row, and the runs of a turn below that: untimed ones, which bring caches
# and branch predictors to their own state, and timed ones, whose median counts. Long runs warm themselves.
_RUNS = ((0.05, (1, 3)), (0.15, (1, 1)), (float("inf"), (0, 1)))


class Turns:
    """The turns of one row. `died` has the reason of each peer that died in one."""

    def __init__(self, ours: Worker, rivals: Sequence[Worker], pairs: int, settle: bool):
        self.ours, self.rivals, self.died = ours, list(rivals), {}
        self._pairs, self._settle, self._round = pairs, settle, 0

    def take(self, before_round: Callable[[int], None]):
        """Fills everybody's `seconds`; WorkerError when ours dies."""
        everybody = [self.ours, *self.rivals]
        first = [s[0] for worker in everybody if (s := self._turn(worker, 1, 1))]
        self._runs = runs_of(first)
        # Ours alone, too, has all its turns.
        while (wanted := self._wanted()) or len(self.ours.seconds) < self._pairs:
            before_round(self._round)
            live = [self.ours, *wanted]
            start = self._round % len(live)  # each round begins with another
            for worker in live[start:] + live[:start]:
                if seconds := self._turn(worker, *self._runs):
                    worker.seconds[self._round] = median(seconds)
            self._round += 1

    def _wanted(self) -> list[Worker]:
        """Who takes part in the next round."""
        few = min(FEW, self._pairs)
        if early := [w for w in self.rivals if len(w.seconds) < few]:
            return early
        middle = {w.name: median(ratios(self.ours, w)) for w in self.rivals if w.seconds}
        fastest: dict[str, float] = {}  # of each peer's files
        for name, ratio in middle.items():
            peer = name.split("@")[0]
            fastest[peer] = min(ratio, fastest.get(peer, ratio))
        limit = NEAR * min(middle.values(), default=0.0)
        return [
            worker
            for worker in self.rivals
            if len(worker.seconds) < self._pairs
            if middle[worker.name] <= min(limit, fastest[worker.name.split("@")[0]])
        ]

    def _turn(self, worker: Worker, untimed: int, timed: int) -> list[float]:
        """Seconds of the runs; a peer that dies leaves."""
        try:
            seconds = worker.turn(untimed, timed)
        except WorkerError as error:
            if worker is self.ours:
                raise
            self.died[worker.name] = str(error)
            self.rivals.remove(worker)
            return []
        if self._settle:
            worker.settle()
        return seconds


def runs_of(seconds: Sequence[float]) -> tuple[int, int]:
    """Untimed and timed runs of a turn: the same for all of a row, or who is just below a limit
    would meet warm caches and who is just above it would not."""
    return next(runs for limit, runs in _RUNS if min(seconds) < limit)


def ratios(ours: Worker, theirs: Worker) -> list[float]:
    """Their time by ours, of the rounds in which both had a turn."""
    return [s / ours.seconds[n] for n, s in theirs.seconds.items() if n in ours.seconds]
