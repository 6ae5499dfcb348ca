# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""scikit-learn's digits, enlarged: what the vision transformer was trained and is judged on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

FILE = Path(__file__).with_name("data") / "digits.npz"
#: Pixels of an enlarged image's side, and how many digits were trained on; the others are held out.
SIZE, TRAINED = 32, 1000


def training() -> tuple[np.ndarray, np.ndarray]:
    """Images f32 [n, 1, 32, 32] of -1 to 1 and labels int64 [n]."""
    return _load(slice(TRAINED))


def held_out() -> tuple[np.ndarray, np.ndarray]:
    return _load(slice(TRAINED, None))


def _load(part: slice) -> tuple[np.ndarray, np.ndarray]:
    with np.load(FILE) as file:
        images, labels = file["images"][part], file["labels"][part]
    return enlarged(images), labels.astype(np.int64)


def enlarged(images: np.ndarray) -> np.ndarray:
    """Bilinear, from [n, 8, 8] of 0 to 16; each row and column of pixels stands at its middle."""
    side = images.shape[-1]
    at = (np.arange(SIZE) + 0.5) * side / SIZE - 0.5
    low = np.clip(np.floor(at).astype(int), 0, side - 1)
    share = np.clip(at - low, 0, 1)
    weights = np.zeros((SIZE, side))
    np.add.at(weights, (np.arange(SIZE), low), 1 - share)
    np.add.at(weights, (np.arange(SIZE), np.minimum(low + 1, side - 1)), share)
    large = weights @ (images / 8 - 1) @ weights.T
    return large.astype(np.float32)[:, None]
