# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What earlier rows found of the peers, kept with the results: it spares what cannot win.

contenders.json holds, for each row, the time of every peer with every model file, in milliseconds
and as a ratio to ours in the same turns, or its error. A file that was never tried is tried; of the
others each peer is taken with its fastest, unless it was far from the best.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from .cases import Row
from .peers import Candidate
from .results import Results
from .turns import FEW, NEAR, runs_of

#: A peer whose time was more than this many times the best one's is not loaded again.
FAR = 1.3
_FAILED = float("inf")
# Guesses for a file that was never tried: seconds to load, times the fastest known (or milliseconds).
_LOAD_S, _TIMES, _MS = 6.0, 1.3, 50.0
_ROUND_SECONDS = 0.15  # peaks, and waiting for threads to be idle


class Calibration:
    """The earlier rows."""

    def __init__(self, path: Path):
        self._results = Results(path)

    def record(self, row: Row, result: dict):
        """Takes over the peers of a row that was measured."""
        known = self._results.rows.setdefault(row.key, {})
        for name, peer in result["peers"].items():
            if "milliseconds" in peer:
                known[name] = {
                    "ms": round(peer["milliseconds"]["median"], 3),
                    "ratio": round(peer["ratio"]["median"], 4),
                    "load_s": round(peer["load_s"], 1),
                }
            elif "error" in peer:
                known[name] = {"error": peer["error"][:200]}
        self._results.write()

    def found(self, row: Row) -> dict[str, dict]:
        """What was found for exactly this row."""
        return self._results.rows.get(row.key, {})

    def known(self, row: Row) -> dict[str, dict]:
        """What was found for a row, or for the same with one thread."""
        single = self.found(dataclasses.replace(row, threads=1))
        return {
            name: {**entry, "threads": threads}
            for threads, entries in ((1, single), (row.threads, self.found(row)))
            for name, entry in entries.items()
        }

    def choose(
        self, row: Row, candidates: Sequence[Candidate], far: float = FAR
    ) -> tuple[list[Candidate], dict[str, dict]]:
        """Who takes part, and what is known of the peers that do not."""
        known = self.known(row)
        names = {who.name for who in candidates}
        limit = far * min((_ratio(e) for n, e in known.items() if n in names), default=_FAILED)
        by_peer: dict[str, list[Candidate]] = {}
        for who in candidates:
            by_peer.setdefault(who.peer.name, []).append(who)
        chosen, left_out = [], {}
        for group in by_peer.values():
            new = [who for who in group if who.name not in known]
            tried = [who for who in group if who.name in known]
            best = min(tried, key=lambda who: _ratio(known[who.name]), default=None)
            if best and (best.peer.always or _ratio(known[best.name]) <= limit < _FAILED):
                new.append(best)
            if not new:
                left_out[best.name] = known[best.name]
            chosen += new
        return chosen, left_out

    def seconds(self, row: Row, chosen: Sequence[Candidate], pairs: int) -> float:
        """About how long the row takes: loading, then the turns; ours is taken as the fastest."""
        known = self.known(row)
        entries = [known.get(who.name, {}) for who in chosen]
        if not entries:
            return 0.0
        best = min(_ratio(entry) for entry in entries)
        fastest = min((entry["ms"] for entry in entries if "ms" in entry), default=_MS)
        turns = [(fastest, pairs)]
        for entry in entries:
            near = _ratio(entry) <= NEAR * best < _FAILED
            turns.append((entry.get("ms", _TIMES * fastest), pairs if near else FEW))
        runs = sum(runs_of([1e-3 * fastest]))
        loading = sum(entry.get("load_s", _LOAD_S) for entry in entries) / 2  # side by side
        return loading + pairs * _ROUND_SECONDS + sum(1e-3 * ms * n * runs for ms, n in turns)


def _ratio(entry: dict) -> float:
    return entry.get("ratio", _FAILED)


def path_of(folder: Path) -> Path:
    return folder / "contenders.json"
