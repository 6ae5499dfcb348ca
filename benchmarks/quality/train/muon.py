# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Optimizers for small transformers: Muon for matrices, AdamW for the rest, one schedule for both."""

from __future__ import annotations

import torch


class Optimizers:
    """Steps both; the rate rises at once, stays, and falls to zero in the last 40% of the time."""

    def __init__(self, model: torch.nn.Module, matrices: float, others: float):
        inner = [p for n, p in model.named_parameters() if p.ndim == 2 and _is_inner(n)]
        known = {id(p) for p in inner}
        outer = [p for p in model.parameters() if id(p) not in known]
        self._both = [
            torch.optim.Muon(inner, lr=matrices, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(outer, lr=others, betas=(0.9, 0.95), weight_decay=0.01),
        ]
        self._rates = (matrices, others)

    def step(self, share: float):
        """`share` of the training time is over."""
        factor = min(share * 40 + 1e-2, 1.0, (1 - share) / 0.4)
        for optimizer, rate in zip(self._both, self._rates):
            optimizer.param_groups[0]["lr"] = rate * factor
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)


def _is_inner(name: str) -> bool:
    """Not the first and the last layer."""
    return not any(part in name for part in ("embed", "lm_head", "classifier"))
