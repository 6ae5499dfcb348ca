# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A level's name to what `permalloy compile` is asked for.

Parts are joined by "+": "w4g32+gptq" quantises with GPTQ, "w8a8+merge8" also merges 8 tokens a layer.
The compiler decides what it supports; what it refuses is reported in its words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

#: Measured when no level is named.
DEFAULT = (
    "f32", "bf16", "w8", "w8g64", "w4g128", "w4g32", "w4g32+gptq", "w4g32asym", "w8a8",
    "bf16+w8a8o0", "bf16+w8a8",
    "block50", "block50+obs", "block50w8a8", "merge0,9,9,9,9,32", "merge0,9,9,9,9,32+values", "budget0.7", "budget0.5",
)  # fmt: skip
_PRECISIONS = ("f32", "bf16", "auto")
#: Solvers, and the plain one that each is held against.
_SOLVERS = {"rtn": "", "gptq": "rtn", "magnitude": "", "obs": "magnitude"}
#: What chooses the tokens that merge, and what it is held against: any tokens, thrice, and neighbours.
_SCORES = ("tome", "values", "strided", "random")
_PLAIN_SCORES = ("random", "random1", "random2", "strided")
#: Those whose statistics need inputs.
_CALIBRATED = ("gptq", "obs")


@dataclass(frozen=True)
class Level:
    name: str
    #: Flags of `permalloy compile`; "{calibration}" stands for the file of inputs.
    flags: tuple[str, ...]

    @property
    def plain(self) -> tuple[str, ...]:
        """Levels that do the same without the method's point."""
        parts = self.name.split("+")
        base = [part for part in parts if part not in ("tome", "values")]
        merges = any(part.startswith(("merge", "prune")) for part in parts)
        if merges and not any(_is_score(part) for part in base):
            return tuple("+".join([*base, score]) for score in _PLAIN_SCORES)
        kept = [part for part in parts if not _SOLVERS.get(part)]
        return ("+".join(kept),) if len(kept) < len(parts) else ()


def _is_score(part: str) -> bool:
    return re.sub(r"^random\d+$", "random", part) in _SCORES


def parse(name: str) -> Level:
    """ValueError for parts that contradict each other."""
    flags: list[str] = []
    for part in name.split("+"):
        flags += _flags(part)
    for flag in ("--precision", "--quantize", "--sparsify", "--solver", "--merge-tokens"):
        if flags.count(flag) > 1:
            raise ValueError(f"level '{name}' gives {flag} twice")
    return Level(name, tuple(flags))


def _flags(part: str) -> list[str]:
    if part in _PRECISIONS:
        return ["--precision", part]
    if part in _SOLVERS:
        return ["--solver", part] + (["--calibrate", "{calibration}"] * (part in _CALIBRATED))
    if re.fullmatch(r"(merge|prune)[\d.,]+", part):
        return ["--merge-tokens", part.removeprefix("merge")]
    if _is_score(part):
        return ["--token-score", part]
    if found := re.fullmatch(r"budget(\d*\.?\d+)", part):
        return ["--budget", f"latency={found[1]}x", "--calibrate", "{calibration}"]
    if found := re.fullmatch(r"plan=(.+)", part):
        return ["--plan", found[1]]
    if part.startswith("block") or re.fullmatch(r"\d+:\d+.*", part):
        return ["--sparsify", part]
    if not part:
        raise ValueError(
            "a level has an empty part; one is like 'w8', 'w4g32+gptq' or 'bf16+merge8'"
        )
    return ["--quantize", part]
