# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The inputs of a case, the same in every process: by a seed and in a fixed order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .cases import Case

_SEED = 20261122
_LEAST_ID, _PAST_SCALE = 5, 0.5
_IMAGE, _AUDIO = (3, 224, 224), (80, 3000)


def make(case: Case) -> dict[str, np.ndarray]:
    """Arrays by the names that exporters give."""
    random = np.random.default_rng(_SEED)
    batch, model = case.batch, case.model
    if model.inputs == "image":
        return {"pixel_values": random.standard_normal((batch, *_IMAGE), np.float32)}
    if model.inputs == "audio":
        return {"input_features": random.standard_normal((batch, *_AUDIO), np.float32)}
    shape = (batch, case.sequence)
    feeds = {
        "input_ids": random.integers(_LEAST_ID, 1000, shape, dtype=np.int64),
        "attention_mask": _mask(case),
    }
    if model.inputs == "text":
        feeds["token_type_ids"] = np.zeros(shape, np.int64)
    if model.inputs == "step":
        feeds["position_ids"] = positions(case, case.past)
        feeds |= past(case, random)
    return feeds


def positions(case: Case, length: int) -> np.ndarray:
    """Of the next tokens after `length`; those past the end of a table of positions get its last."""
    ids = np.arange(length, length + case.sequence, dtype=np.int64)
    if case.model.positions:
        ids = np.minimum(ids, case.model.positions - 1)
    return np.ascontiguousarray(np.broadcast_to(ids, (case.batch, case.sequence)))


def past(case: Case, random) -> dict[str, np.ndarray]:
    """Keys and values of the past, [batch, heads, past, size] each."""
    size = case.model.hidden // case.model.heads
    shape = (case.batch, case.model.kv_heads or case.model.heads, case.past, size)
    return {
        past_name(layer, kind): random.standard_normal(shape, np.float32) * np.float32(_PAST_SCALE)
        for layer in range(case.model.layers)
        for kind in ("key", "value")
    }


def past_name(layer: int, kind: str) -> str:
    return f"past_key_values.{layer}.{kind}"


def is_past(name: str) -> bool:
    return name.startswith("past_key_values.")


def present_of(name: str) -> str:
    """The output that continues an input of the past."""
    return name.replace("past_key_values", "present")


def compared(case: Case, name: str, array: np.ndarray) -> np.ndarray:
    """What of an output is compared: of a padded batch the real tokens [tokens, hidden] only."""
    if not case.lengths or array.ndim != 3:
        return array
    return array[_mask(case).astype(bool)]


@dataclass(frozen=True)
class Part:
    """Some texts of a padded batch, as wide as the longest of them."""

    rows: tuple[int, ...]
    feeds: dict[str, np.ndarray]


def parts(case: Case, feeds: dict[str, np.ndarray], count: int) -> list[Part]:
    """A padded batch, sorted by length and cut into `count` batches: as many as there are texts is
    each of them alone, without padding."""
    order = np.argsort(case.lengths, kind="stable")
    found = []
    for rows in np.array_split(order, count):
        width = max(case.lengths[row] for row in rows)
        cut = {name: np.ascontiguousarray(array[rows, :width]) for name, array in feeds.items()}
        found.append(Part(tuple(int(row) for row in rows), cut))
    return found


def joined(case: Case, parts: Sequence[Part], outputs: Sequence[dict]) -> dict[str, np.ndarray]:
    """The outputs of all parts as `compared` has those of the whole batch."""
    tokens: dict[str, dict[int, np.ndarray]] = {}
    for part, found in zip(parts, outputs):
        for name, array in found.items():
            for at, row in enumerate(part.rows):
                tokens.setdefault(name, {})[row] = array[at, : case.lengths[row]]
    return {name: np.concatenate([t[row] for row in sorted(t)]) for name, t in tokens.items()}


def _mask(case: Case) -> np.ndarray:
    width = case.past + case.sequence
    if not case.lengths:
        return np.ones((case.batch, width), np.int64)
    return (np.arange(width)[None] < np.array(case.lengths)[:, None]).astype(np.int64)
