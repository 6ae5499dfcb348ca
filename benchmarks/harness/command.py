# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""`benchmarks/run`: its options, and the rows one after another."""

from __future__ import annotations

import argparse
import datetime
import os
import sys
import time
from pathlib import Path

from . import cases, machine, measure, peers, prepare
from .contenders import FAR, Calibration, path_of
from .results import Results
from .turns import NEAR

HERE = Path(__file__).resolve().parents[1]


def main(description: str, arguments=None) -> int:
    options = _parse(description, arguments)
    try:
        return Session(options).run()
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from here", file=sys.stderr)
        return 130
    except (cases.CaseError, ValueError, RuntimeError) as error:
        print(f"run: error: {error}", file=sys.stderr)
        return 1


def _parse(description, arguments):
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--models", type=Path, required=True, help="folder of the .onnx files")
    add("--cases", nargs="+", default=[], help="parts of names or groups; default: all")
    add("--peers", nargs="+", help="names of peers.toml; default: all")
    add(
        "--threads", type=int, nargs="+", help="default: as the cases say, up to the CPUs there are"
    )
    add("--precision", nargs="+", choices=cases.PRECISIONS, default=list(cases.PRECISIONS))
    add("--pairs", type=int, default=20, help="turns of each that may be best (default: 20)")
    add("--time-budget", type=float, metavar="MINUTES", help="when the rest would take longer, "
        "leave out peers that an earlier row of the same case says are no contenders")  # fmt: skip
    add(
        "--plan", action="store_true", help="say what would be measured and about how long it takes"
    )
    add("--out", type=Path, help="default: benchmarks/results/CPU/results.json")
    add("--again", action="store_true", help="also rows that this version has measured already")
    add("--case-file", type=Path, default=HERE / "cases.toml")
    add("--peer-file", type=Path, default=HERE / "peers.toml")
    add("--work", type=Path, help="folder for compiled models and reference outputs "
        "(default: the cache, $XDG_CACHE_HOME/permalloy/benchmarks)")  # fmt: skip
    return parser.parse_args(arguments)


class Session:
    """One run of the command."""

    def __init__(self, options):
        self.options = options
        folder = HERE / "results" / machine.kind()
        self.results = Results(options.out or folder / "results.json")
        self.calibration = Calibration(path_of(options.out.parent if options.out else folder))
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        work = options.work or cache / "permalloy" / "benchmarks"
        work.mkdir(parents=True, exist_ok=True)
        self.place = prepare.Workplace(options.models.resolve(), work.resolve())
        self.all_cases = cases.load(options.case_file)
        self.version = prepare.version()
        self.peers = self._peers()
        self.start = time.monotonic()

    def run(self) -> int:
        rows = self._rows()
        self.results.data |= self._header()
        plan = [row for row in rows if self._wanted(row)]
        print(f"{len(rows)} rows, {len(rows) - len(plan)} of them measured before")
        print(f"about {self._estimate(plan) / 60:.0f} minutes")
        if self.options.plan:
            return 0
        failed = 0
        for number, row in enumerate(plan):
            start = time.monotonic()
            result = self._measure(row, plan[number:])
            result["seconds"] = time.monotonic() - start
            self._keep(row, result)
            print(f"[{number + 1}/{len(plan)}, {self._minutes():.1f} min] {summary(result)}")
            failed += "error" in result
        return 1 if failed else 0

    def _rows(self) -> list[cases.Row]:
        chosen = cases.select(self.all_cases, self.options.cases)
        if not chosen:
            raise cases.CaseError(f"no case is named like {' or '.join(self.options.cases)}")
        cpus = len(os.sched_getaffinity(0))
        threads = self.options.threads or range(1, cpus + 1)
        rows = []
        for row in cases.rows(chosen, self.options.precision, threads):
            if self.place.file(row.case).exists():
                rows.append(row)
            else:
                print(f"left out: {row.key}: no {self.place.file(row.case)}")
        return rows

    def _peers(self) -> list[peers.Peer]:
        known = peers.load(self.options.peer_file)
        wanted = self.options.peers or [peer.name for peer in known]
        if unknown := set(wanted) - {peer.name for peer in known}:
            raise cases.CaseError(
                f"no peer is named {', '.join(sorted(unknown))}; known: "
                f"{', '.join(peer.name for peer in known)}"
            )
        known = [peer for peer in known if peer.name in wanted]
        absent = peers.missing(known)
        for name, reason in absent.items():
            print(f"left out: {name}: {reason}")
        self.results.data["left_out"] = absent
        return [peer for peer in known if peer.name not in absent]

    def _header(self) -> dict:
        return {
            "machine": machine.cpu_name(),
            "kind": machine.kind(),
            "cpus": len(os.sched_getaffinity(0)),
            "permalloy": self.version,
            "peers": {peer.name: peers.described(peer) for peer in self.peers},
        }

    def _wanted(self, row) -> bool:
        if self.options.again:
            return True
        names = [] if row.case.against else [who.name for who in self._chosen(row)[0]]
        return not self.results.has(row.key, self.version, self.options.pairs, names)

    def _chosen(self, row, far: float = FAR):
        found = peers.candidates(self.peers, row, self.place.models)
        return self.calibration.choose(row, found, far)

    def _measure(self, row, remaining) -> dict:
        try:
            if row.case.against:
                other = next(case for case in self.all_cases if case.name == row.case.against)
                other_row = cases.Row(other, row.precision, row.threads)
                return measure.yardstick(self.place, row, other_row, self.options.pairs)
            chosen, left_out = self._chosen(row, NEAR if self._hurry(remaining) else FAR)
            result = measure.measure(self.place, row, chosen, self.options.pairs)
        except (OSError, ValueError, RuntimeError) as error:
            # Whatever it is, the other rows can be measured.
            return measure.header(row) | {"error": f"{type(error).__name__}: {error}"}
        for name, earlier in left_out.items():
            result["peers"][name] = {"earlier": earlier}
        return result

    def _hurry(self, remaining) -> bool:
        """Whether the rows that remain would take more than what is left."""
        if not self.options.time_budget:
            return False
        return self._estimate(remaining) > 60 * (self.options.time_budget - self._minutes())

    def _estimate(self, rows) -> float:
        """Seconds, about."""
        return sum(
            self.calibration.seconds(
                row, [] if row.case.against else self._chosen(row)[0], self.options.pairs
            )
            for row in rows
        )

    def _minutes(self) -> float:
        return (time.monotonic() - self.start) / 60

    def _keep(self, row, result):
        result |= {
            "permalloy": self.version,
            "pairs": self.options.pairs,
            "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        }
        self.results.add(row.key, result)
        if not row.case.against:
            self.calibration.record(row, result)


def summary(result: dict) -> str:
    """One line for the terminal."""
    name = f"{result['case']}, {result['precision']}, {result['threads']} threads"
    if "error" in result:
        return f"{name}: REFUSED: {result['error']}"
    if not result.get("ours"):
        return f"{name}: nothing was timed"
    text = f"{name}: {result['ours']['milliseconds']['median']:.2f} ms"
    for peer, found in result["peers"].items():
        if "ratio" in found:
            ratio = found["ratio"]
            text += (
                f"; {peer} {found['milliseconds']['median']:.2f} ms, {ratio['median']:.3f}x "
                f"({ratio['low']:.3f} to {ratio['high']:.3f})"
            )
        elif "error" in found:
            text += f"; {peer}: {found['error'][:90]}"
    return f"{text}; {result.get('verdict', 'no peer')}"
