# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Medians with intervals from order statistics: no distribution is assumed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """A median and the 95% interval for the true median; the ends are members of the sample."""

    median: float
    low: float
    high: float
    count: int

    def plain(self) -> dict:
        return {"median": self.median, "low": self.low, "high": self.high, "count": self.count}

    @classmethod
    def of(cls, plain: dict) -> Interval:
        return cls(plain["median"], plain["low"], plain["high"], plain["count"])


def median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def rank(count: int) -> int:
    """The interval's ends are the r-th smallest and the r-th largest value: the largest r with
    P(Binomial(count, 1/2) < r) <= 2.5%, 0 when count < 6."""
    tail, found = 0.0, 0
    while found < count:
        tail += math.comb(count, found) / 2.0**count
        if tail > 0.025:
            break
        found += 1
    return found


def interval(values: Sequence[float]) -> Interval:
    """The interval of a sample's median. With fewer than 6 values it covers less than 95%, and is
    the range of all: `count` says so."""
    if not values:
        raise ValueError("an interval of no values")
    ordered = sorted(values)
    end = max(rank(len(ordered)), 1)
    return Interval(median(ordered), ordered[end - 1], ordered[-end], len(ordered))


def geometric_mean(values: Sequence[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values)) if values else math.nan
