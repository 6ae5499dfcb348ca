# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""`benchmarks/quality/budgets`: plans of `permalloy compile --budget` beside the best uniform plan of the
same budget.

A uniform plan has one level for the whole model. Of those whose measured latency is within the budget,
the one that loses least on the held-out samples is what a plan is held against, so it may use all of
the latency that the plan may use.
"""

from __future__ import annotations

import argparse
import datetime
import os
import re
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from harness import machine, prepare
from harness.results import Results

from . import compiled, levels, losses, tasks, timing
from . import statistics as stats
from .compiled import Refused

HERE = Path(__file__).resolve().parent
#: Uniform plans; those that merge tokens do not count for models that cannot.
UNIFORM = (
    "bf16", "w8", "w8g64", "w4g32", "w8a8", "bf16+w8", "bf16+w4g32", "bf16+w8a8", "block75", "block50",
    "merge4", "merge8", "merge16", "merge20..0", "bf16+merge4", "bf16+merge8", "bf16+merge20..0",
    "w8a8+merge4", "w8a8+merge8", "bf16+w8a8+merge8",
)  # fmt: skip
_SAID = re.compile(
    r"plan: predicted ([\d.e-]+)x .*measured ([\d.e-]+)x .*(?:divergence|cosine) (\S+)"
)


def main(description: str, arguments=None) -> int:
    try:
        return Session(_parse(description, arguments)).run()
    except KeyboardInterrupt:
        print("\nstopped; models that are finished stay in the results", file=sys.stderr)
        return 130
    except (OSError, ValueError, RuntimeError) as error:
        print(f"budgets: error: {error}", file=sys.stderr)
        return 1


def _parse(description, arguments):
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    names = list(tasks.known(Path(), None))
    add("--models", nargs="+", choices=names, default=names)
    add("--budgets", nargs="+", type=float, default=[0.7, 0.5], metavar="SHARE",
        help="shares of f32's latency (default: 0.7 0.5)")  # fmt: skip
    add(
        "--target",
        default="host",
        help="instruction set of all forms, f32 too: icelake-server has no AMX",
    )
    add("--levels", nargs="+", metavar="LEVEL",
        help="what the search may choose from, and the only uniform plans (default: all)")  # fmt: skip
    add("--minutes", type=float, default=0.4, help="of evolution for each budget (default: 0.4)")
    add("--pairs", type=int, default=25, help="timed turns of each form (default: 25)")
    add("--samples", type=int, help="judge on so many held-out samples only")
    add("--out", type=Path, help="default: benchmarks/results/CPU/budgets.json")
    add("--work", type=Path, help="folder for compiled models "
        "(default: the cache, $XDG_CACHE_HOME/permalloy/quality)")  # fmt: skip
    return parser.parse_args(arguments)


@dataclass
class Form:
    """A model at one level, or with a plan."""

    name: str
    alloy: Path
    #: How many lines of its plan have each level.
    levels: dict[str, int] = field(default_factory=dict)
    #: What the search said of its plan: shares of f32's latency.
    predicted: float | None = None
    search_measured: float | None = None
    #: Share of f32's latency, measured here: {"median", "low", "high"}.
    latency: dict = field(default_factory=dict)
    losses: dict[str, np.ndarray] = field(default_factory=dict)


class Session:
    """One run of the command, on one thread."""

    def __init__(self, options):
        self.options = options
        self.results = Results(
            options.out or HERE.parent / "results" / machine.kind() / "budgets.json"
        )
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        self.work = (options.work or cache / "permalloy" / "quality").resolve()
        self.work.mkdir(parents=True, exist_ok=True)
        self.where = "" if options.target == "host" else f", {options.target}"
        if options.levels:
            self.where += f", of {' '.join(options.levels)}"

    def run(self) -> int:
        os.sched_setaffinity(0, machine.cores(1))
        missed = 0
        for name in self.options.models:
            try:
                task = tasks.known(self.work, self.options.samples)[name]()
            except FileNotFoundError as error:
                print(f"left out: {name}: {error}")
                continue
            missed += self._model(task)
        return 1 if missed else 0

    def _model(self, task: tasks.Task) -> int:
        start = time.monotonic()
        f32 = self._form(task, "f32", [])
        uniform = [f32, *self._uniform(task)]
        plans = {share: form for share in self.options.budgets if (form := self._plan(task, share))}
        searched = time.monotonic() - start
        self._time(task, uniform)
        for plan in (
            plans.values()
        ):  # beside f32 alone, as the search has it: many forms drive each other out of caches
            self._time(task, [Form("f32", f32.alloy), plan])
        most = max(self.options.budgets)
        fast = [form for form in uniform[1:] if form.latency["median"] <= most]
        self._judge(task, [f32, *fast, *plans.values()])  # no other can be the best of a budget
        rows = {share: compare(task, share, plan, uniform) for share, plan in plans.items()}
        for share, row in rows.items():
            row |= {"date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"), "threads": 1,
                    "target": self.options.target}  # fmt: skip
            self.results.rows[f"{task.name}, {share:g}x{self.where}"] = row
        self.results.data |= {"machine": machine.cpu_name(), "kind": machine.kind(),
                              "permalloy": prepare.version()}  # fmt: skip
        self.results.write()
        print(table(task, rows, uniform), end="")
        print(
            f"  compiled and searched in {searched:.0f} s, {time.monotonic() - start:.0f} s in all\n",
            flush=True,
        )
        return len(self.options.budgets) - len(plans)

    def _form(self, task, name: str, flags: list[str]) -> Form:
        level = levels.Level(self._file(name), (*flags, "--target", self.options.target))
        made = compiled.compile_at(task, task.model, level, self.work)
        lines = (made.plan or {}).get("plan", [])
        merging = [line for line in lines if line["kind"] == "tokens" and line["level"] != "merge0"]
        if "--merge-tokens" in flags and not merging:
            raise Refused("the model can give up no tokens")
        return Form(name, made.alloy, levels=dict(Counter(line["level"] for line in lines)))

    def _file(self, name: str) -> str:
        return (name + self.where).replace(", ", "-").replace(" ", "_")

    def _uniform(self, task) -> list[Form]:
        forms = []
        for name in self.options.levels or UNIFORM:
            try:
                forms.append(self._form(task, name, list(levels.parse(name).flags)))
            except Refused as refusal:
                print(f"  {task.name}, {name}: refused: {refusal}")
        return forms

    def _plan(self, task, share: float) -> Form | None:
        state = self.work / f"{self._file(task.name)}.search.json"
        flags = ["--budget", f"latency={share:g}x", "--calibrate", "{calibration}", "--search-state", str(state),
                 "--search-minutes", f"{self.options.minutes:g}"]  # fmt: skip
        if self.options.levels:
            flags += ["--levels", ",".join(self.options.levels)]
        try:
            form = self._form(task, f"plan {share:g}x", flags)
        except Refused as refusal:
            print(f"  {task.name}, {share:g}x: refused: {refusal}")
            return None
        said = _SAID.search(compiled.log_of(form.alloy))
        if said:
            form.predicted, form.search_measured = float(said[1]), float(said[2])
        return form

    def _time(self, task, forms: list[Form]):
        timed = task.timed[0]  # as the samples of the calibration
        calls = {}
        for form in forms:
            opened = compiled.session(form.alloy, 1)
            feed = {arg.name: timed.feed[arg.name] for arg in opened.get_inputs()}
            calls[form.name] = lambda opened=opened, feed=feed: opened.run(None, feed)
        for form, figures in zip(forms, timing.by_turns(calls, self.options.pairs).values()):
            speedup = figures["speedup"]
            form.latency = {"median": 1 / speedup["median"], "low": 1 / speedup["high"], "high": 1 / speedup["low"],
                            "milliseconds": figures["milliseconds"]["median"]}  # fmt: skip

    def _judge(self, task, forms: list[Form]):
        reference = None
        for form in forms:  # f32 is the first
            outputs = task.outputs(compiled.runner(form.alloy, 1))
            reference = reference or outputs
            form.losses = losses.of(task, outputs, reference)


def compare(task, share: float, plan: Form, uniform: list[Form]) -> dict:
    """A plan beside the best uniform one within the budget; f32 is the first of `uniform`."""
    main = losses.MAIN[task.name]
    within = [form for form in uniform if form.latency["median"] <= share]
    row = {"model": task.name, "budget": share, "plan": figures(plan), "uniform": None,
           "within": plan.latency["median"] <= share,
           "prediction_off": plan.predicted and plan.predicted / plan.latency["median"] - 1}  # fmt: skip
    if not within:
        return row | {"verdict": "no uniform plan"}
    best = min(within, key=lambda form: [column.mean() for column in form.losses.values()])
    row["uniform"] = figures(best)
    # A difference below zero: the plan loses less.
    row["difference"] = {name: stats.bootstrap(stats.difference, [plan.losses[name], best.losses[name]])
                         for name in plan.losses}  # fmt: skip
    row["uniform_loss"] = stats.bootstrap(
        stats.difference, [best.losses[main], uniform[0].losses[main]]
    )
    return row | {"verdict": verdict(row["difference"], row["uniform_loss"])}


def verdict(difference: dict[str, dict], uniform_loss: dict) -> str:
    """By the intervals of the differences: of the task's own loss (first) and of the divergence."""
    signs = {
        name: -1 if d["high"] < 0 else 1 if d["low"] > 0 else 0 for name, d in difference.items()
    }
    own = next(iter(signs.values()))
    if own:
        return "better" if own < 0 else "worse"
    closer = [name for name, sign in signs.items() if sign < 0]
    lossless = uniform_loss["low"] <= 0 <= uniform_loss["high"]
    words = "equal, the uniform plan is lossless" if lossless else "equal"
    return words + (f"; {closer[-1]} lower" if closer else "")


def figures(form: Form) -> dict:
    """As JSON."""
    row = {"name": form.name, "latency": form.latency, "levels": form.levels}
    if form.predicted:
        row |= {"predicted": form.predicted, "search_measured": form.search_measured}
    return row | {"losses": {name: float(column.mean()) for name, column in form.losses.items()}}


def table(task, rows: dict[float, dict], uniform: list[Form]) -> str:
    """All uniform plans, and a line for each budget."""
    text = [f"{task.name} (shares of f32's {uniform[0].latency['milliseconds']:.3f} ms)"]
    for form in sorted(uniform, key=lambda form: -form.latency["median"]):
        text.append(f"  {form.name:16} {form.latency['median']:.3f}x  {_losses(figures(form))}")
    for share, row in rows.items():
        plan, best = row["plan"], row["uniform"]
        off = f" (off by {row['prediction_off']:+.1%})" if row["prediction_off"] is not None else ""
        interval = "{median:.3f}x [{low:.3f}, {high:.3f}]".format(**plan["latency"])
        text.append(f"  budget {share:g}x: predicted {plan.get('predicted', float('nan')):.3f}x{off}, measured {interval}"
                    f"{'' if row['within'] else ' MISSED'}; {_losses(plan)}")  # fmt: skip
        text.append(
            "    "
            + ", ".join(f"{count} {level}" for level, count in sorted(plan["levels"].items()))
        )
        if best:
            text.append(
                f"    best uniform: {best['name']} at {best['latency']['median']:.3f}x; {_losses(best)}"
            )
            for name, d in row["difference"].items():
                text.append(
                    f"    {name}: plan - uniform {d['value']:.3g} [{d['low']:.3g}, {d['high']:.3g}]"
                )
        text.append(f"    {row['verdict']}")
    return "\n".join(text) + "\n"


def _losses(row: dict) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in row["losses"].items()) or "not judged"
