#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Greedy decoding against onnxruntime, in each form that keeps past keys and values.

    greedy_check.py gpt2_decode.onnx llama_decode.onnx --steps 64

A prompt of random tokens goes through the model at once, then the likeliest token step by step.
Every form is given onnxruntime's tokens and must find the same next one. A step where
onnxruntime's two likeliest logits differ by less than 1e-3 is excused and counted. Exits with 1
when a step differs.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime

try:
    import permalloy
except ModuleNotFoundError:
    sys.exit("greedy_check: error: no permalloy: set PYTHONPATH=build/python, or install its wheel")

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples" / "generate"))
from decoders import FORMS, DropIn

_CLOSE = 1e-3


def decode(decoder, prompt, tokens, steps):
    """Logits [vocabulary] of each step, and the seconds of all but the first."""
    rows, ids, start = [], prompt, time.perf_counter()
    for i in range(steps):
        if i == 1:
            start = time.perf_counter()
        rows.append(decoder.step(ids)[0].astype(np.float32))
        token = tokens[i] if tokens is not None else int(np.argmax(rows[-1]))
        ids = np.array([[token]], dtype=np.int64)
    return np.stack(rows), time.perf_counter() - start


def reference(model, prompt, steps, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return decode(DropIn(session, batch=1), prompt, None, steps)


def compare(expected, actual):
    """Steps that differ, steps that are excused, and the largest relative error of the logits."""
    top = np.sort(expected, axis=1)[:, -2:]
    different = expected.argmax(1) != actual.argmax(1)
    close = top[:, 1] - top[:, 0] < _CLOSE
    error = np.abs(expected - actual).max() / np.abs(expected).max()
    return int((different & ~close).sum()), int((different & close).sum()), float(error)


def check(model, args) -> bool:
    prompt = np.random.default_rng(args.seed).integers(5, 5000, (1, args.prompt), dtype=np.int64)
    expected, theirs = reference(model, prompt, args.steps, args.threads)
    gc.collect()
    options = permalloy.SessionOptions()
    options.intra_op_num_threads = args.threads
    session = permalloy.InferenceSession(model, options)
    good, rate = True, lambda seconds: (args.steps - 1) / seconds
    print(f"{model}: {len(session.caches)} caches; onnxruntime {rate(theirs):.1f} tokens/s")
    for name, form in FORMS.items():
        if name == "state" and not session.caches:
            print("  state      the model has no caches")
            good = False
            continue
        actual, ours = decode(form(session, batch=1), prompt, expected.argmax(1), args.steps)
        wrong, excused, error = compare(expected, actual)
        good &= wrong == 0
        print(
            f"  {name:10} {args.steps - wrong - excused} of {args.steps} steps equal, {excused} "
            f"excused, {wrong} wrong, logits within {error:.1e}; {rate(ours):.1f} tokens/s"
        )
    return good


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="+", help=".onnx of decoders with past keys and values")
    parser.add_argument("--steps", type=int, default=64)
    parser.add_argument("--prompt", type=int, default=12, help="tokens of the prompt")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    good = [check(model, args) for model in args.models]  # all of them, whatever the first gives
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
