# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Runs a written model with ONNX Runtime against the numpy reference."""

import numpy as np

from . import reference

# f32 sums over at most a few thousand products, after layer norm: values of about 1.
TOLERANCE = 1e-5


def feeds(config, seed=1):
    """Yields (what, feed): several shapes; padding at the right, left, inside; no token at all."""
    random = np.random.default_rng(seed)
    longest = min(19, config.max_position_embeddings)
    for batch, sequence in ((1, 1), (3, 7), (2, longest)):
        feed = {
            "input_ids": random.integers(0, config.vocab_size, (batch, sequence)),
            "attention_mask": np.ones((batch, sequence), np.int64),
            "token_type_ids": random.integers(0, config.type_vocab_size, (batch, sequence)),
        }
        yield f"{batch}x{sequence}", feed
        if batch > 1:
            padded = feed["attention_mask"].copy()
            padded[0, sequence // 2 :] = 0
            padded[1, : sequence // 3] = padded[1, -2] = 0
            padded[2:] = 0
            yield f"{batch}x{sequence} padded", feed | {"attention_mask": padded}


def session(path):
    """A single-threaded ONNX Runtime session on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    providers = ["CPUExecutionProvider"]
    return onnxruntime.InferenceSession(str(path), options, providers=providers)


def max_difference(path, config, weights, options):
    """Largest absolute difference to the reference over all feeds."""
    runner = session(path)
    worst = 0.0
    for what, feed in feeds(config):
        expected = reference.forward(config, weights, feed, options.gelu, options.masked_row)
        found = runner.run(None, feed)[0]
        if found.shape != expected.shape or not np.isfinite(found).all():
            raise ValueError(f"{what}: shape {found.shape} or values differ from the reference")
        worst = max(worst, float(np.abs(found - expected).max()))
    return worst
