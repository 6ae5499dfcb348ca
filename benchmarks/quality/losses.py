# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What a form of a model loses on each held-out sample: less is better, and two forms are compared by
the differences on the same samples."""

from __future__ import annotations

import numpy as np

from .tasks import Digits, Language, Sentences, Task, by_digit

#: Under which name `of` gives the loss that a task is judged by.
MAIN = {"language": "nats", "digits": "errors", "sentences": "1 - cosine"}


def of(task: Task, outputs: list, reference: list) -> dict[str, np.ndarray]:
    """Columns with one value a sample. The last is the divergence from the reference's outputs."""
    if isinstance(task, Language):
        return _language(task, outputs, reference)
    if isinstance(task, Digits):
        return _digits(task, outputs, reference)
    assert isinstance(task, Sentences)
    mine, theirs = np.stack(outputs), np.stack(reference)
    norms = np.linalg.norm(mine, axis=-1) * np.linalg.norm(theirs, axis=-1)
    return {"1 - cosine": 1 - (mine * theirs).sum(-1) / norms}


def _language(task: Language, outputs, reference) -> dict[str, np.ndarray]:
    """Outputs are log-probabilities [positions, bytes] of each window."""
    nats, divergence = [], []
    for window, mine, theirs in zip(task.windows, outputs, reference):
        nats.append(-mine[np.arange(len(mine)), window[1:]].mean(dtype=np.float64))
        divergence.append((np.exp(theirs) * (theirs - mine)).sum(-1).mean(dtype=np.float64))
    return {"nats": np.array(nats), "KL": np.array(divergence)}


def _digits(task: Digits, outputs, reference) -> dict[str, np.ndarray]:
    mine, theirs = (_log_softmax(np.stack(rows)) for rows in (outputs, reference))
    errors = (mine.argmax(-1) != task.labels).astype(float)
    divergence = (np.exp(theirs) * (theirs - mine)).sum(-1)
    return {"errors": by_digit(errors), "KL": by_digit(divergence)}


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    logits = logits.astype(np.float64)
    logits = logits - logits.max(-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))
