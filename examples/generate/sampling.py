# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Choosing the next token from a row of logits."""

import numpy as np


class Sampler:
    """Temperature, then the k likeliest, then the likeliest that make up p, then chance.

    temperature  0 takes the likeliest token
    top_k        0 keeps all
    top_p        1 keeps all
    """

    def __init__(self, temperature: float, top_k: int, top_p: float, seed: int):
        if temperature < 0 or top_k < 0 or not 0 < top_p <= 1:
            raise ValueError(
                f"temperature {temperature}, top_k {top_k}, top_p {top_p}: accepted are numbers "
                "that are not negative, and top_p in (0, 1]"
            )
        self.temperature, self.top_k, self.top_p = temperature, top_k, top_p
        self.random = np.random.default_rng(seed)

    def __call__(self, logits: np.ndarray) -> int:
        if self.temperature == 0:
            return int(np.argmax(logits))
        scores = logits.astype(np.float64) / self.temperature
        order = np.argsort(-scores, kind="stable")[: self.top_k or None]
        weights = np.exp(scores[order] - scores[order[0]])
        weights /= weights.sum()
        kept = int(np.searchsorted(np.cumsum(weights), self.top_p)) + 1
        weights = weights[:kept] / weights[:kept].sum()
        return int(self.random.choice(order[:kept], p=weights))
