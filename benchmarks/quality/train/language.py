#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Trains the byte-level language model and writes it as ONNX.

    $PERMALLOY_PEERS_PYTHON benchmarks/quality/train/language.py --library LIB/python3.11

A Llama of 2.8 million parameters (4 layers, width 256, 4 heads of 64, SwiGLU of 512, 256 tokens: the
bytes). Twenty minutes of one core. Needs torch and transformers.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import torch
import transformers
from torch.nn import functional

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parent)]

import muon
import text
from harness import architectures, export

MODELS = Path(__file__).resolve().parents[1] / "models"
LAYERS, HEADS, SIZE = 4, 4, 64
BATCH, LENGTH = 24, 256


def build() -> torch.nn.Module:
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=256,
        hidden_size=HEADS * SIZE,
        intermediate_size=512,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=1024,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=None,
    )
    return transformers.AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")


def train(model, data: np.ndarray, held_out: np.ndarray, minutes: float):
    """For that long: the schedule follows the clock, so a busy machine takes fewer steps."""
    optimizers = muon.Optimizers(model, matrices=0.006, others=0.003)
    random, start, step, share = np.random.default_rng(1), time.monotonic(), 0, 0.0
    loss_of = torch.compile(_loss, dynamic=False)
    while share < 1:
        loss = loss_of(model, _windows(data, random.integers(0, len(data) - LENGTH - 1, BATCH)))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizers.step(share)
        if step % 25 == 0:
            print(f"step {step}, {share:.0%} of the time: loss {loss.item():.3f}", flush=True)
        if step == 0:
            start = time.monotonic()  # compiling is not training
        step, share = step + 1, (time.monotonic() - start) / (60 * minutes)
    print(f"{step} steps; held out: perplexity per byte {np.exp(evaluate(model, held_out)):.3f}")


@torch.no_grad()
def evaluate(model, held_out: np.ndarray) -> float:
    """Nats per byte."""
    starts = np.arange(0, len(held_out) - LENGTH - 1, LENGTH)
    parts = [_loss(model, _windows(held_out, part)) for part in np.array_split(starts, 16)]
    return float(np.mean([part.item() for part in parts]))


def _windows(data: np.ndarray, starts) -> torch.Tensor:
    return torch.from_numpy(np.stack([data[s : s + LENGTH + 1] for s in starts]).astype(np.int64))


def _loss(model, windows: torch.Tensor) -> torch.Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(input_ids=windows[:, :-1], use_cache=False).logits
    return functional.cross_entropy(logits.float().flatten(0, 1), windows[:, 1:].flatten())


def write(model):
    """The form for whole texts, and the one that continues a cache; both refer to one file of weights."""
    model = model.float().eval()
    architectures._BUILDERS["bytes"] = lambda: model
    export._CACHES["bytes"] = (LAYERS, HEADS, SIZE)
    MODELS.mkdir(exist_ok=True)
    paths = [MODELS / f"language.{phase}.onnx" for phase in ("prefill", "decode")]
    for path, phase in zip(paths, ("prefill", "decode")):
        export.write(path, f"bytes_{phase}", "dyn18")
    share_weights(paths, MODELS / "language.weights")


def share_weights(paths: list[Path], weights: Path):
    """Moves initializers of 1 KB or more into a file that all the models refer to, each content once."""
    places: dict[bytes, int] = {}
    with weights.open("wb") as file:
        for path in paths:
            proto = onnx.load(path)
            for tensor in proto.graph.initializer:
                data = onnx.numpy_helper.to_array(tensor).tobytes()
                if len(data) < 1024:
                    continue
                if data not in places:
                    file.write(b"\0" * (-file.tell() % 64))
                    places[data] = file.tell()
                    file.write(data)
                tensor.raw_data = data
                onnx.external_data_helper.set_external_data(
                    tensor, weights.name, places[data], len(data)
                )
                tensor.ClearField("raw_data")
            path.write_bytes(stripped(proto).SerializeToString(deterministic=True))


def stripped(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Without notes of the exporting machine."""
    for node in (
        *proto.graph.node,
        *proto.graph.value_info,
        *proto.graph.input,
        *proto.graph.output,
    ):
        del node.metadata_props[:]
    return proto


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--library", type=Path, required=True, help="folder of Python's library")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--checkpoint", type=Path, default=Path("language.pt"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = build()
    if options.checkpoint.exists():
        model.load_state_dict(torch.load(options.checkpoint))
    else:
        training, held_out = (np.frombuffer(part, np.uint8) for part in text.split(options.library))
        train(model, training, held_out[: text.HELD_OUT], options.minutes)
        torch.save(model.state_dict(), options.checkpoint)
    write(model)


if __name__ == "__main__":
    main()
