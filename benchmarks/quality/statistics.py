# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Bootstrap intervals: the held-out samples are drawn again, with the same draw for both sides of a
comparison, so what is hard for every form of a model does not widen the interval of a difference."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

_DRAWS, _SEED = 2000, 0


def bootstrap(statistic: Callable[..., np.ndarray], columns: Sequence[np.ndarray]) -> dict:
    """`statistic` of the samples, and its 95% interval.

    columns    one value a sample each, of equal length
    statistic  of columns [..., samples] to [...]
    """
    columns = [np.asarray(column, np.float64) for column in columns]
    count = len(columns[0])
    drawn = np.random.default_rng(_SEED).integers(0, count, (_DRAWS, count))
    values = statistic(*(column[drawn] for column in columns))
    low, high = np.quantile(values, [0.025, 0.975])
    middle = statistic(*(column[None] for column in columns))[0]
    return {"value": float(middle), "low": float(low), "high": float(high)}


def mean(column: np.ndarray) -> np.ndarray:
    return column.mean(-1)


def perplexity(nats: np.ndarray) -> np.ndarray:
    """Of mean negative log-likelihoods, windows of equal length."""
    return np.exp(nats.mean(-1))


def perplexity_rise(nats: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Relative: 0.01 is one percent worse than the reference."""
    return np.exp(nats.mean(-1) - reference.mean(-1)) - 1


def difference(column: np.ndarray, reference: np.ndarray) -> np.ndarray:
    return column.mean(-1) - reference.mean(-1)
