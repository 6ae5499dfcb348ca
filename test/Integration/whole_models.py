# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What tests of whole models share. In a module of its own: several folders have a conftest."""

import os
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]

# `permalloy` whose GPU kernels are code for this CPU, and the driver that runs them (test/Emulation).
BUILD = Path(os.environ.get("PERMALLOY_BUILD_DIR", "/nonexistent"))
EMULATED_TOOL, FAKE_DRIVER = BUILD / "bin/permalloy-emulated", BUILD / "lib/libpermalloy_fake_gpu.so"

# Where this comes from: f32 sums in another order, over at most a few thousand products per layer
# and a few layers, leave about 1e-6 of the largest magnitude; the bound is the project's promise.
TOLERANCE = 2e-4


def bert_feed(batch, sequence, vocabulary, padded=False, seed=0):
    """Inputs of a BERT; `padded` hides the ends, a beginning and a middle, never a whole row."""
    random = np.random.default_rng(seed)
    mask = np.ones((batch, sequence), np.int64)
    if padded and sequence > 1:
        mask[0, (sequence + 1) // 2 :] = 0
        if batch > 1:
            mask[1, : sequence // 3] = 0
        if batch > 2:
            mask[2, 1:-1:2] = 0
    return {
        "input_ids": random.integers(0, vocabulary, (batch, sequence)),
        "attention_mask": mask,
        "token_type_ids": random.integers(0, 2, (batch, sequence)),
    }
