# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""`benchmarks/quality/run`: its options, and the levels of one model after another."""

from __future__ import annotations

import argparse
import datetime
import os
import sys
import time
from pathlib import Path

import numpy as np
from harness import machine, prepare
from harness.results import Results

from . import compiled, levels, losses, peers, tables, tasks, timing
from . import statistics as stats
from .compiled import Compiled, Refused

HERE = Path(__file__).resolve().parent


def main(description: str, arguments=None) -> int:
    try:
        return Session(_parse(description, arguments)).run()
    except KeyboardInterrupt:
        print("\nstopped; models that are finished stay in the results", file=sys.stderr)
        return 130
    except (OSError, ValueError, RuntimeError) as error:
        print(f"quality: error: {error}", file=sys.stderr)
        return 1


def _parse(description, arguments):
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    names = list(tasks.known(Path(), None))
    add("--models", nargs="+", choices=names, default=names)
    add("--levels", nargs="+", default=list(levels.DEFAULT), metavar="LEVEL",
        help="what `permalloy compile` is asked for, parts joined by +: w4g32+gptq, w8a8+merge8, "
        "budget0.7, plan=FILE; f32 and bf16 always take part")  # fmt: skip
    add("--threads", type=int, default=1)
    add("--pairs", type=int, default=20, help="timed turns of each level (default: 20)")
    add("--samples", type=int, help="judge on so many held-out samples only")
    add("--peers", action="store_true",
        help="also judge the model as onnxruntime and OpenVINO quantize it, by the Python "
        "$PERMALLOY_PEERS_PYTHON; no times")  # fmt: skip
    add("--no-timing", action="store_true", help="quality and sizes only")
    add("--out", type=Path, help="default: benchmarks/results/CPU/quality.json")
    add("--work", type=Path, help="folder for compiled models "
        "(default: the cache, $XDG_CACHE_HOME/permalloy/quality)")  # fmt: skip
    add("--write-inputs", type=Path, metavar="FOLDER",
        help="only write each model's calibration inputs there, as NAME.npz")  # fmt: skip
    return parser.parse_args(arguments)


class Session:
    """One run of the command."""

    def __init__(self, options):
        self.options = options
        folder = HERE.parent / "results" / machine.kind()
        self.results = Results(options.out or folder / "quality.json")
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        self.work = (options.work or cache / "permalloy" / "quality").resolve()
        self.work.mkdir(parents=True, exist_ok=True)
        wanted = [name for name in options.levels if name not in ("f32", "bf16")]
        self.levels = [levels.parse(name) for name in self._with_plain(["f32", "bf16", *wanted])]

    @staticmethod
    def _with_plain(names: list[str]) -> list[str]:
        """Each level behind the plain version of its method."""
        found: dict[str, None] = {}
        for name in names:
            for plain in levels.parse(name).plain:
                found.setdefault(plain)
            found.setdefault(name)
        return list(found)

    def run(self) -> int:
        failed = 0
        for name in self.options.models:
            try:
                task = self._task(name)
            except FileNotFoundError as error:
                print(f"left out: {name}: {error}")
                continue
            if self.options.write_inputs:
                self.options.write_inputs.mkdir(parents=True, exist_ok=True)
                compiled.write_inputs(self.options.write_inputs / f"{name}.npz", task.calibration)
            else:
                failed += self._measure(task)
        return 1 if failed else 0

    def _task(self, name: str) -> tasks.Task:
        """FileNotFoundError when its model or data is not there."""
        return tasks.known(self.work, self.options.samples)[name]()

    def _measure(self, task: tasks.Task) -> int:
        """All levels of one model; 1 when f32, by which all are judged, does not compile."""
        os.sched_setaffinity(0, machine.cores(self.options.threads))
        rows = {level.name: self._row(task, level) for level in self.levels}
        if "refused" in rows["f32"]:
            print(f"{task.name}: f32 does not compile: {rows['f32']['refused']}", file=sys.stderr)
            return 1
        reference = self._judge(task, rows)
        if not self.options.no_timing:
            self._time(task, rows)
        if self.options.peers:
            rows |= self._peers(task, reference)
        for name, row in rows.items():
            self.results.rows[f"{task.name}, {name}, {self.options.threads} threads"] = {
                key: value for key, value in row.items() if key != "files"
            }
        self.results.data |= {
            "machine": machine.cpu_name(),
            "kind": machine.kind(),
            "permalloy": prepare.version(),
        }
        self.results.write()
        print(tables.table(task, rows), flush=True)
        return 0

    def _row(self, task: tasks.Task, level: levels.Level) -> dict:
        row = {
            "model": task.name,
            "level": level.name,
            "plain": level.plain,
            "threads": self.options.threads,
            "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        }
        try:
            own = compiled.compile_at(task, task.model, level, self.work)
            row["files"] = self._files(task, level, own)
        except Refused as refusal:
            return row | {"refused": str(refusal).replace(f"{task.model.parent}/", "")}
        return row | {
            "bytes": own.alloy.stat().st_size,
            "compile_s": own.seconds,
        }

    def _files(self, task: tasks.Task, level: levels.Level, own: Compiled) -> dict[str, Path]:
        """The compiled file of each thing to time; other forms of the model are compiled alike."""
        files = {}
        for timed in task.timed:
            form = own
            if timed.model != task.model and not self.options.no_timing:
                # A search has inputs of the task's form only; the others take the plan that it found.
                plan = own.alloy.with_suffix(".plan.json") if "--budget" in level.flags else None
                form = compiled.compile_at(task, timed.model, level, self.work, plan)
            files[timed.name] = form.alloy
        return {"": own.alloy} | files

    def _judge(self, task: tasks.Task, rows: dict[str, dict]) -> list:
        """The outputs of f32."""
        reference, lost = None, {}
        for row in rows.values():  # f32 is the first; plain levels stand before those that need them
            if "refused" in row:
                continue
            start = time.monotonic()
            run = compiled.runner(row["files"][""], self.options.threads)
            outputs = task.outputs(run)
            reference = reference or outputs
            lost[row["level"]] = losses.of(task, outputs, reference)[losses.MAIN[task.name]]
            row["quality"] = task.judge(outputs, reference) | _over(row, lost)
            row["judge_s"] = time.monotonic() - start
        return reference

    def _peers(self, task: tasks.Task, reference: list) -> dict[str, dict]:
        """Rows of the model as peers quantize it, calibrated on the task's inputs."""
        calibration = compiled.calibration(task, self.work)
        rows = {}
        for engine in peers.ENGINES:
            row = {"model": task.name, "level": engine, "threads": self.options.threads}
            try:
                with peers.runner(engine, task.model, calibration, self.options.threads) as run:
                    row["quality"] = task.judge(task.outputs(run), reference)
            except peers.Failed as failure:
                row["refused"] = str(failure)
            rows[engine] = row
        return rows

    def _time(self, task: tasks.Task, rows: dict[str, dict]):
        there = {name: row for name, row in rows.items() if "refused" not in row}
        for timed in task.timed:
            calls = {}
            for name, row in there.items():
                opened = compiled.session(row["files"][timed.name], self.options.threads)
                feed = {arg.name: timed.feed[arg.name] for arg in opened.get_inputs()}
                calls[name] = lambda opened=opened, feed=feed: opened.run(None, feed)
            for name, figures in timing.by_turns(calls, self.options.pairs).items():
                rows[name].setdefault("latency", {})[timed.name] = figures


def _over(row: dict, lost: dict[str, np.ndarray]) -> dict[str, dict]:
    """How much less a level loses than its plain ones; one that was drawn several times is their mean."""
    found = {}
    for name in row["plain"]:
        if name in lost:
            kind = name.rpartition("+")[2]
            if kind.startswith("random"):
                kind = "random"
            found.setdefault(f"over {kind}", []).append(lost[name])
    mine = lost[row["level"]]
    return {
        kind: stats.bootstrap(stats.difference, [np.mean(theirs, axis=0), mine])
        for kind, theirs in found.items()
    }
