# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The fixture `tiny` in numpy: y = (x * w + b) * m, s = row sums of x * w + b, c = x."""

import numpy as np

W = np.array([1, 2, 3, 4, 5, 6, 7, 8], np.float32)
B = np.array([0.5, -1, 2, 0.25, 0, 1, -0.125, 3], np.float32)


def feed(batch, seq, seed=0):
    """Inputs of small multiples of 1/4: all sums are exact."""
    rng = np.random.default_rng(seed)
    x = (rng.integers(0, 17, (batch, seq, 8)) * 0.25).astype(np.float32)
    m = rng.integers(0, 3, (batch, seq)).astype(np.float32)
    return {"x": x, "m": m}


def expected(inputs):
    """y, s, c."""
    affine = inputs["x"] * W + B
    return affine * inputs["m"][..., None], affine.sum(-1), inputs["x"]
