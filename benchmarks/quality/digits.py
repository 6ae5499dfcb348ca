# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Scenes of scikit-learn's digits: what the vision transformer was trained and is judged on.

A scene is a canvas of 16x16 pixels with one whole digit of 8x8 anywhere on it, over fragments of other
digits, under noise. So an image has what token merging lives from in photographs: an object on a quarter
of the 64 patches, a background that is alike but not equal, and distractors that look like parts of an
object. Scenes to train on and held-out ones share no digit.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

FILE = Path(__file__).with_name("data") / "digits.npz"
#: Pixels of a canvas's, a patch's, a digit's and a fragment's side.
SIZE, PATCH, DIGIT, FRAGMENT = 16, 2, 8, 4
#: Fragments in a scene, and the deviation of the noise; ink is 2 from paper.
FRAGMENTS, NOISE = 6, 0.25
#: How many of the 1,797 digits are trained on, and how often each of the others appears in held-out scenes.
TRAINED, PLACEMENTS = 1000, 4
_HELD_OUT_SEED = 1


def load(trained: bool) -> tuple[np.ndarray, np.ndarray]:
    """Digits f32 [n, 8, 8] of -1 (paper) to 1 (ink), and labels int64 [n]."""
    part = slice(TRAINED) if trained else slice(TRAINED, None)
    with np.load(FILE) as file:
        images, labels = file["images"][part], file["labels"][part]
    return (images / 8 - 1).astype(np.float32), labels.astype(np.int64)


def training(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scenes f32 [count, 1, 16, 16] of digits that may be trained on, the first row and column of each
    digit [count, 2], and labels int64 [count]."""
    digits, labels = load(trained=True)
    random = np.random.default_rng(seed)
    chosen = random.integers(0, len(digits), count)
    images, corner = _scenes(digits, chosen, random)
    return images, corner, labels[chosen]


def held_out(count: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """All or the first of 3,188 scenes: each held-out digit PLACEMENTS times, one after another."""
    digits, labels = load(trained=False)
    chosen = np.repeat(np.arange(len(digits)), PLACEMENTS)
    images, _ = _scenes(digits, chosen, np.random.default_rng(_HELD_OUT_SEED))
    return images[:count], labels[chosen[:count]]


def _scenes(digits: np.ndarray, chosen: np.ndarray, random: np.random.Generator):
    """Images [n, 1, 16, 16] of the digits `chosen` [n] among fragments of others; corners [n, 2]."""
    count = len(chosen)
    canvas = np.full((count, SIZE, SIZE), -1, np.float32)
    for _ in range(FRAGMENTS):
        others = (chosen + random.integers(1, len(digits), count)) % len(digits)
        cut = _square(random.integers(0, DIGIT - FRAGMENT + 1, (count, 2)), FRAGMENT)
        at = _square(random.integers(0, SIZE - FRAGMENT + 1, (count, 2)), FRAGMENT)
        canvas[at] = digits[others][cut]
    corner = random.integers(0, SIZE - DIGIT + 1, (count, 2))
    canvas[_square(corner, DIGIT)] = digits[chosen]
    canvas += random.standard_normal(canvas.shape, np.float32) * np.float32(NOISE)
    return canvas[:, None], corner


def _square(corner: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices of a square in each of n images, by its first row and column [n, 2]."""
    rows, columns = (corner[:, axis, None] + np.arange(side) for axis in (0, 1))
    return np.arange(len(corner))[:, None, None], rows[:, :, None], columns[:, None, :]
