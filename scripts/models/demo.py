#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compiles a sentence-embedding model and compares it with onnxruntime.

Builds all-MiniLM-L6-v2 as ONNX from its Python package (where that is missing: a small BERT with
random weights, which says nothing about language), compiles it, embeds a few sentences with both
engines, and times them turn by turn on one thread. Exits 1 when embeddings differ by more than 1e-4.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
import build_minilm
import small_bert
from smallbert import Config
from wordpiece import WordPiece, words

LARGEST_DIFFERENCE = 1e-4
SENTENCES = (
    "A man is playing a guitar.",
    "Someone plays an instrument.",
    "The weather is lovely today.",
    "It is so sunny outside!",
    "He drove to the stadium.",
)


class BuiltIn:
    """Tokens for the small model: any word has some id."""

    config = Config(hidden_size=128, num_attention_heads=4, intermediate_size=512, vocab_size=1000)

    def batch(self, texts):
        rows = [[sum(word.encode()) % 999 + 1 for word in words(text)] for text in texts]
        ids = np.zeros((len(rows), max(map(len, rows))), np.int64)
        mask = np.zeros_like(ids)
        for row, tokens in enumerate(rows):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        return ids, mask


def prepare(folder):
    """Writes the ONNX model; -> (path, what it is, tokenizer)."""
    try:
        package = build_minilm.find_package()
    except FileNotFoundError:
        tokenizer, path = BuiltIn(), folder / "small.onnx"
        small_bert.write(path, tokenizer.config)
        return path, "a small BERT with RANDOM weights (the MiniLM package is missing)", tokenizer
    path = folder / "minilm.onnx"
    build_minilm.build(path)
    return path, "all-MiniLM-L6-v2", WordPiece(package / "model/vocab.txt")


def feed_of(ids, mask):
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}


def embed(session, ids, mask):
    """Mean over the tokens of each sentence, divided by its norm."""
    (hidden,) = session.run(None, feed_of(ids, mask))
    weight = mask[:, :, None].astype(np.float32)
    mean = (hidden * weight).sum(1) / weight.sum(1)
    return mean / np.linalg.norm(mean, axis=1, keepdims=True)


def open_peer(path):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    print(f"peer: onnxruntime {onnxruntime.__version__}, CPU, f32")
    providers = ["CPUExecutionProvider"]
    return onnxruntime.InferenceSession(str(path), options, providers=providers)


def open_ours(path):
    import permalloy

    options = permalloy.SessionOptions()
    options.intra_op_num_threads = 1
    return permalloy.InferenceSession(str(path), options)


def show_similarities(ours, theirs):
    print("\ncosine similarity                                     permalloy  onnxruntime")
    for i, first in enumerate(SENTENCES):
        for j in range(i + 1, len(SENTENCES)):
            pair = f"{first} / {SENTENCES[j]}"
            print(f"  {pair:<58.58} {ours[i] @ ours[j]:+.4f}  {theirs[i] @ theirs[j]:+.4f}")


def latencies(sessions, feed, seconds=2.0):
    """Medians in milliseconds, the sessions taking turns."""
    times = [[] for _ in sessions]
    for _ in range(3):
        for session in sessions:
            session.run(None, feed)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[0]) < 10:
        for session, mine in zip(sessions, times):
            begin = time.perf_counter()
            session.run(None, feed)
            mine.append((time.perf_counter() - begin) * 1e3)
    return [statistics.median(mine) for mine in times], len(times[0])


def show_latencies(ours, theirs, ids, mask, config_limit):
    print("\nlatency, 1 thread, medians of interleaved runs")
    rows = [(ids[:1, : mask[0].sum()], "one sentence"), (ids, "all sentences")]
    if config_limit >= 128:
        rows.append((np.resize(ids[0], (1, 128)), "128 tokens"))
    for tokens, what in rows:
        feed = feed_of(tokens, np.ones_like(tokens) if tokens.shape != mask.shape else mask)
        (mine, other), count = latencies((ours, theirs), feed)
        shape = "x".join(map(str, tokens.shape))
        print(
            f"  {what + ' (' + shape + ')':<24} permalloy {mine:7.2f} ms   onnxruntime {other:7.2f} ms"
            f"   ratio {mine / other:.2f}   ({count} pairs)"
        )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--permalloy", default="permalloy", help="the compiler")
    parser.add_argument("--out", default="out", help="folder for the model and what it becomes")
    arguments = parser.parse_args()
    folder = Path(arguments.out)
    folder.mkdir(parents=True, exist_ok=True)
    path, what, tokenizer = prepare(folder)
    print(f"model: {what}, {os.path.getsize(path) / 1e6:.1f} MB of ONNX in {path}")
    alloy = path.with_suffix(".alloy")
    begin = time.perf_counter()
    subprocess.run([arguments.permalloy, "compile", path, "-o", alloy], check=True)
    print(
        f"compiled in {time.perf_counter() - begin:.1f} s; permalloy inspect {alloy} shows the file"
    )
    ours, theirs = open_ours(alloy), open_peer(path)
    ids, mask = tokenizer.batch(SENTENCES)
    mine, other = embed(ours, ids, mask), embed(theirs, ids, mask)
    show_similarities(mine, other)
    difference = float(np.abs(mine - other).max())
    good = difference <= LARGEST_DIFFERENCE
    print(
        f"\nlargest difference of embeddings: {difference:.1e}, "
        f"{'within' if good else 'MORE THAN'} the {LARGEST_DIFFERENCE:.0e} allowed"
    )
    if not good:
        return 1
    show_latencies(ours, theirs, ids, mask, 0 if isinstance(tokenizer, BuiltIn) else 512)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:
        sys.exit(f"demo: error: the compiler failed with exit code {error.returncode}")
