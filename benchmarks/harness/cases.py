# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The committed case file as checked data: models, cases, and the rows that they stand for."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import tomllib

DATA = Path(__file__).resolve().parents[1] / "data"
#: f32 and bf16: of everything. int8, int4: weights only, activations as they are (a peer may round them, too). w8a8: weights and
#: activations of layers in int8.
PRECISIONS = ("f32", "bf16", "int8", "int4", "w8a8")
FORMS = ("plain", "bound")
INPUTS = ("text", "image", "audio", "prompt", "step")


class CaseError(ValueError):
    """Something in the case file that makes no sense; says where."""


@dataclass(frozen=True)
class Model:
    """What a model computes; sizes in elements."""

    name: str
    inputs: str
    layers: int
    hidden: int
    feed_forward: int
    heads: int
    kv_heads: int = 0  # 0: as many as heads
    gated: bool = False
    vocabulary: int = 0
    classes: int = 0
    tokens: int = 0  # of an image or a piece of audio
    positions: int = 0  # rows of the table of positions, 0 when there is none
    experts: int = 0
    experts_used: int = 0
    weights: str = "random, seeded"

    @property
    def kv_width(self) -> int:
        """Elements of a row of keys."""
        return self.hidden // self.heads * (self.kv_heads or self.heads)


@dataclass(frozen=True)
class Case:
    """One thing to measure, without precision and threads."""

    name: str
    group: str
    model: Model
    why: str
    batch: int
    sequence: int
    past: int = 0
    form: str = "plain"
    flavour: str = "dyn18"
    lengths: tuple[int, ...] = ()
    compile: dict = field(default_factory=dict, hash=False)
    against: str = ""
    precisions: tuple[str, ...] = ("f32",)
    threads: tuple[int, ...] = (1,)

    def plain(self) -> dict:
        """For a worker, as JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def of(cls, plain: dict) -> Case:
        model = Model(**plain["model"])
        lists = {key: tuple(plain[key]) for key in ("lengths", "precisions", "threads")}
        return cls(**{**plain, **lists, "model": model})


@dataclass(frozen=True)
class Row:
    """One line of the results."""

    case: Case
    precision: str
    threads: int

    @property
    def key(self) -> str:
        return f"{self.case.name} | {self.precision} | {self.threads} threads"


def load(path: Path) -> list[Case]:
    """All cases of a file, those with several pasts or forms unfolded."""
    with path.open("rb") as file:
        text = tomllib.load(file)
    defaults = text.get("defaults", {})
    models = _models(text.get("models", {}))
    cases = []
    for entry in text.get("case", []):
        cases += _unfold({**defaults, **entry}, models)
    _check(cases)
    return cases


def rows(cases: Sequence[Case], precisions=PRECISIONS, threads=None) -> list[Row]:
    """Every case at the wanted precisions and numbers of threads (None: all that it lists)."""
    return [
        Row(case, precision, count)
        for count in sorted({count for case in cases for count in case.threads})
        for precision in precisions
        for case in cases
        if precision in case.precisions and count in case.threads
        if threads is None or count in threads
    ]


def select(cases: Sequence[Case], parts: Sequence[str]) -> list[Case]:
    """Cases whose name or group contains one of `parts`; all when there is none."""
    if not parts:
        return list(cases)
    return [
        case
        for case in cases
        if any(part.lower() in f"{case.name} [{case.group}]".lower() for part in parts)
    ]


def _models(tables: dict) -> dict[str, Model]:
    known = {f.name for f in dataclasses.fields(Model)} - {"name"}
    models = {}
    for name, table in tables.items():
        table = {**tables.get(table.get("like", ""), {}), **table}
        table.pop("like", None)
        if unknown := set(table) - known:
            raise CaseError(f"model '{name}' has unknown entries {sorted(unknown)}")
        try:
            models[name] = Model(name=name, **table)
        except TypeError as error:
            raise CaseError(f"model '{name}': {error}") from error
        if models[name].inputs not in INPUTS:
            raise CaseError(f"model '{name}' has inputs '{models[name].inputs}', not in {INPUTS}")
    return models


def _unfold(entry: dict, models: dict[str, Model]) -> list[Case]:
    entry = dict(entry)
    name = entry.get("name", "without a name")
    pasts, forms = entry.pop("past", [0]), entry.pop("forms")
    if entry.get("model") not in models:
        raise CaseError(f"case '{name}' names model '{entry.get('model')}', known: {list(models)}")
    model = entry["model"] = models[entry["model"]]
    entry.setdefault("sequence", model.tokens)
    if isinstance(entry.get("lengths"), str):
        entry["lengths"] = json.loads((DATA / entry["lengths"]).read_text())["lengths"]
    for key in ("lengths", "precisions", "threads"):
        entry[key] = tuple(entry.get(key, ()))
    try:
        unfolded = [Case(**entry, past=past, form=form) for past in pasts for form in forms]
    except TypeError as error:
        raise CaseError(f"case '{name}': {error}") from error
    return [
        dataclasses.replace(case, name=_name(case, len(pasts) > 1, len(forms) > 1))
        for case in unfolded
    ]


def _name(case: Case, pasts: bool, forms: bool) -> str:
    return case.name + (f" past {case.past}" if pasts else "") + (f", {case.form}" if forms else "")


def _check(cases: Sequence[Case]):
    names = [case.name for case in cases]
    for case in cases:
        problems = {
            "stands there twice": names.count(case.name) > 1,
            f"has precisions {case.precisions}, known: {PRECISIONS}": not set(case.precisions)
            <= set(PRECISIONS),
            f"has form '{case.form}', known: {FORMS}": case.form not in FORMS,
            "has batch, sequence or threads below 1": min(case.batch, case.sequence, *case.threads)
            < 1,
            "has no past for its bound form": case.form == "bound" and case.past < 1,
            "does not say why it is there": not case.why,
            f"has {len(case.lengths)} lengths for a batch of {case.batch}": case.lengths
            and len(case.lengths) != case.batch,
            f"has a length above its sequence of {case.sequence}": case.lengths
            and max(case.lengths) > case.sequence,
            f"is against '{case.against}', which is no case": case.against
            and case.against not in names,
        }
        for problem, there in problems.items():
            if there:
                raise CaseError(f"case '{case.name}' {problem}")
