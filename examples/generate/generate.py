#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Samples text from a decoder with its cache, and says how many tokens it made per second.

    generate.py gpt2_decode.onnx --tokenizer tokenizer.json --prompt "Once upon a time"
    generate.py model.alloy --ids 464,3290 --form state --temperature 0

The model takes `input_ids` [batch, sequence], past keys and values, and where it has them
`attention_mask` and `position_ids`; it gives `logits` and the present keys and values. Text goes
through the `tokenizers` package when a tokenizer is given; without one a prompt is its bytes, and
what is not a model of bytes answers in token numbers.

--form says who keeps the cache:
    drop-in     `session.run` as for onnxruntime: each step's present is the next one's past
    state       `session.create_state()`: the session keeps it, past and present are left out
    iobinding   an IOBinding whose bound present is bound again as past
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np
import permalloy
from decoders import FORMS
from sampling import Sampler


class Bytes:
    """One token per byte, for models of bytes."""

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def decode(self, ids: list[int]) -> str:
        return bytes(i for i in ids if i < 256).decode(errors="replace")


class Tokenizer:
    """A tokenizer.json, through the `tokenizers` package."""

    def __init__(self, path: str):
        import tokenizers

        self._tokenizer = tokenizers.Tokenizer.from_file(path)

    def encode(self, text: str) -> list[int]:
        return self._tokenizer.encode(text).ids

    def decode(self, ids: list[int]) -> str:
        return self._tokenizer.decode(ids)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help=".onnx or .alloy of a decoder with past keys and values")
    prompt = parser.add_mutually_exclusive_group()
    prompt.add_argument("--prompt", default="Hello", help="text to continue")
    prompt.add_argument("--ids", help="token numbers to continue, 464,3290")
    parser.add_argument("--tokenizer", help="a tokenizer.json")
    parser.add_argument("--form", choices=FORMS, default="drop-in", help="who keeps the cache")
    parser.add_argument("--tokens", type=int, default=64, help="how many to make")
    parser.add_argument("--temperature", type=float, default=0.8, help="0: the likeliest token")
    parser.add_argument("--top-k", type=int, default=0, help="only the k likeliest; 0: all")
    parser.add_argument(
        "--top-p", type=float, default=1.0, help="only the likeliest that make up p"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--stop", type=int, help="token that ends the text")
    parser.add_argument("--threads", type=int, default=0, help="0: all CPUs")
    return parser.parse_args()


def generate(decoder, sampler: Sampler, prompt: list[int], count: int, stop: int | None, show):
    """New tokens, the seconds of the prompt and those of the steps after it."""
    start = time.perf_counter()
    token = sampler(decoder.step(np.array([prompt], dtype=np.int64))[0])
    first = time.perf_counter()
    tokens = [token]
    show(tokens)
    while len(tokens) < count and token != stop:
        token = sampler(decoder.step(np.array([[token]], dtype=np.int64))[0])
        tokens.append(token)
        show(tokens)
    return tokens, first - start, time.perf_counter() - first


def main() -> int:
    args = arguments()
    text = Tokenizer(args.tokenizer) if args.tokenizer else Bytes()
    prompt = [int(i) for i in args.ids.split(",")] if args.ids else text.encode(args.prompt)
    options = permalloy.SessionOptions()
    options.intra_op_num_threads = args.threads
    session = permalloy.InferenceSession(args.model, options)
    # Without a tokenizer only a model of bytes gives text.
    vocabulary = next(arg.shape[-1] for arg in session.get_outputs() if arg.name == "logits")
    as_ids = not args.tokenizer and (bool(args.ids) or vocabulary != 256)
    decoder = FORMS[args.form](session, batch=1)
    sampler = Sampler(args.temperature, args.top_k, args.top_p, args.seed)
    shown = ""

    def show(tokens):
        nonlocal shown
        whole = " ".join(map(str, tokens)) if as_ids else text.decode(tokens)
        if whole.startswith(shown) and not whole.endswith("\ufffd"):  # half a character waits
            print(whole[len(shown) :], end="", flush=True)
            shown = whole

    tokens, prefill, steps = generate(decoder, sampler, prompt, args.tokens, args.stop, show)
    print()
    rate = (len(tokens) - 1) / steps if len(tokens) > 1 else 0
    print(
        f"{len(prompt)} tokens of prompt in {1e3 * prefill:.0f} ms, {len(tokens) - 1} steps at "
        f"{rate:.1f} tokens/s ({args.form}, {session.threads} threads)",
        file=sys.stderr,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
