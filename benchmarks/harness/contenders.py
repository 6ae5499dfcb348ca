# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Which peers a row is about: found by an earlier pass over all of them, kept with the results.

contenders.json holds, for each row, the time of every peer with every model file, in milliseconds
and as a ratio to ours in the same turns, or its error. A later run takes each peer with its fastest
file; those near the fastest get all pairs. Ratios, so that passes over some peers at a time agree.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from .cases import Row
from .peers import Candidate
from .results import Results

#: A peer whose time was more than this many times the best one's is no contender.
NEAR = 1.15
_FAILED = float("inf")
# Of a peer that was never tried: some compile for minutes.
_UNKNOWN = {"load_s": 120.0}


class Calibration:
    """The earlier pass."""

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
            else:
                known[name] = {"error": peer["error"][:200]}
        self._results.write()

    def found(self, row: Row) -> dict[str, dict]:
        """What was found for exactly this row."""
        return self._results.rows.get(row.key, {})

    def known(self, row: Row) -> dict[str, dict]:
        """What was found for a row, or for the same with one thread."""
        return self.found(row) or self.found(dataclasses.replace(row, threads=1))

    def split(
        self, row: Row, candidates: Sequence[Candidate]
    ) -> tuple[list[Candidate], list[Candidate]]:
        """Contenders and others, each peer once, with its fastest file. All are contenders in a row
        that was never tried; one that failed with all its files is left out."""
        known = self.known(row)
        by_peer: dict[str, list[Candidate]] = {}
        for who in candidates:
            by_peer.setdefault(who.peer.name, []).append(who)
        chosen = []
        # In a row of another precision that was never tried, the file that was best in f32.
        by_file = known or self.known(dataclasses.replace(row, precision="f32"))
        for group in by_peer.values():
            best = min(group, key=lambda who: _ratio(by_file.get(who.name, {})))
            chosen.append((known.get(best.name), best))
        limit = NEAR * min((_ratio(entry) for entry, _ in chosen if entry), default=_FAILED)
        contenders = [
            who
            for entry, who in chosen
            if (entry is None and not known) or (entry and _ratio(entry) <= limit)
        ]
        others = [
            who for entry, who in chosen if who not in contenders and "error" not in (entry or {})
        ]
        return contenders, others

    def seconds(self, row: Row, contenders, others, pairs: int, other_pairs: int) -> float:
        """About how long the row takes: loading, then the turns; ours is taken as the fastest."""
        known = self.known(row)

        def of(who: Candidate, key: str) -> float:
            return known.get(who.name, _UNKNOWN).get(key, 0.0)

        chosen = [*contenders, *others]
        loading = 2.0 + sum(of(who, "load_s") + 2e-3 * of(who, "ms") for who in chosen)
        fastest = min((of(who, "ms") for who in contenders), default=0.0)
        turns = [(fastest, pairs), *((of(who, "ms"), pairs) for who in contenders)]
        turns += [(of(who, "ms"), other_pairs) for who in others]
        return loading + sum(1e-3 * ms * count * (4 if ms < 150 else 1) for ms, count in turns)


def _ratio(entry: dict) -> float:
    return entry.get("ratio", _FAILED)


def path_of(folder: Path) -> Path:
    return folder / "contenders.json"
