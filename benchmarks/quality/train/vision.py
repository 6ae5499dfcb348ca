#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Trains the vision transformer on scikit-learn's digits and writes it as ONNX.

    $PERMALLOY_PEERS_PYTHON benchmarks/quality/train/vision.py --csv SITE/sklearn/datasets/data/digits.csv.gz
    $PERMALLOY_PEERS_PYTHON benchmarks/quality/train/vision.py          # data/digits.npz is there

Scenes of 16x16 (digits.py) are cut into patches of 2x2: 64 tokens and a class token, 6 layers of width
256. A new scene of one of 1,000 digits each time; 797 digits are held out. Needs torch and transformers.

Most of a scene says nothing about its digit, so the model first sees only the patches about it, at their
places in the scene, and more of them as time goes on: it reads digits before it finds them, at a third of
the price a scene. Minutes on one core.
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
from harness import architectures, export
from language import stripped
from quality import digits

MODELS = Path(__file__).resolve().parents[1] / "models"
BATCH = 64
#: Patches of the window's side, and the share of the time until when.
WINDOWS = ((5, 0.3), (6, 0.45), (8, 1.0))


def write_data(csv: Path):
    """data/digits.npz: all 1,797 in an order that mixes writers; the last 797 are held out."""
    rows = np.loadtxt(csv, delimiter=",", dtype=np.uint8)  # unpacks .gz
    rows = rows[np.random.default_rng(0).permutation(len(rows))]
    np.savez_compressed(digits.FILE, images=rows[:, :64].reshape(-1, 8, 8), labels=rows[:, 64])


def build() -> torch.nn.Module:
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        image_size=digits.SIZE,
        patch_size=digits.PATCH,
        num_channels=1,
        hidden_size=256,
        num_hidden_layers=6,
        num_attention_heads=4,
        intermediate_size=384,
        num_labels=10,
    )
    model = transformers.AutoModelForImageClassification.from_config(
        config, attn_implementation="sdpa"
    )
    begin_embedding(model.vit.embeddings)
    return model


@torch.no_grad()
def begin_embedding(embeddings: torch.nn.Module):
    """Places begin as sines and cosines of rows and columns (Beyer et al.: Better plain ViT baselines for
    ImageNet-1k, 2022), pixels as large as they; both learn on. From noise it takes long to find a plane."""
    places = embeddings.position_embeddings  # [1, 1 + patches, width]
    across, quarter = digits.SIZE // digits.PATCH, places.shape[-1] // 4
    rates = 100.0 ** -(torch.arange(quarter) / quarter)
    angles = torch.arange(across)[:, None] * rates
    waves = torch.cat([angles.sin(), angles.cos()], -1)  # [across, width / 2]
    plane = torch.cat(
        [waves[:, None].expand(-1, across, -1), waves[None].expand(across, -1, -1)], -1
    )
    places[0, 1:] = plane.flatten(0, 1) / 2
    torch.nn.init.normal_(embeddings.patch_embeddings.projection.weight, std=0.5 / digits.PATCH)


def train(model, minutes: float, checkpoint: Path):
    """For that long: the schedule follows the clock."""
    model.config._attn_implementation = "eager"  # backwards in bfloat16 the fused one is slow here
    optimizers = muon.Optimizers(model, matrices=0.003, others=0.001)
    start, step, share = time.monotonic(), 0, 0.0
    while share < 1:
        share = min((time.monotonic() - start) / (60 * minutes), 1.0)
        side = next(side for side, until in WINDOWS if share <= until)
        images, corner, labels = digits.training(BATCH, seed=step)
        with torch.autocast("cpu", torch.bfloat16):
            found = logits(model, torch.from_numpy(images), window(corner, side, step)).float()
        loss = functional.cross_entropy(found, torch.from_numpy(labels), label_smoothing=0.05)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizers.step(share)
        step += 1
        if step % 50 == 0:
            right = (found.argmax(-1).numpy() == labels).mean()
            print(f"step {step}, {share:.0%} of the time: loss {loss.item():.3f}, {right:.0%}", flush=True)
            torch.save(model.state_dict(), checkpoint)
    torch.save(model.state_dict(), checkpoint)
    print(f"{step} steps of {BATCH} scenes")
    model.config._attn_implementation = "sdpa"


def window(corner: np.ndarray, side: int, seed: int) -> torch.Tensor:
    """Tokens [n, 1 + side * side]: the class token, and a square of patches that holds the digit, whose
    first row and column are `corner` [n, 2]."""
    across, most = digits.SIZE // digits.PATCH, digits.DIGIT // digits.PATCH + 1
    before = np.random.default_rng(seed).integers(0, side - most + 1, corner.shape)
    first = np.clip(corner // digits.PATCH - before, 0, across - side)
    at = first[:, :, None] + np.arange(side)
    patches = 1 + at[:, 0, :, None] * across + at[:, 1, None, :]
    return torch.from_numpy(np.pad(patches.reshape(len(corner), -1), ((0, 0), (1, 0))))


def logits(model, images: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """The model's, if it had but these tokens."""
    vit = model.vit
    hidden = vit.embeddings(images)
    hidden = hidden.gather(1, tokens[..., None].expand(-1, -1, hidden.shape[-1]))
    for layer in vit.layers:
        hidden = layer(hidden)
        hidden = hidden[0] if isinstance(hidden, tuple) else hidden
    return model.classifier(vit.layernorm(hidden)[:, 0])


@torch.no_grad()
def accuracy(model) -> float:
    images, labels = digits.held_out()
    found = [
        model(pixel_values=part).logits.argmax(-1) for part in torch.from_numpy(images).split(100)
    ]
    return float((torch.cat(found).numpy() == labels).mean())


def write(model):
    model = model.float().eval()
    architectures._BUILDERS["vit"] = lambda: model
    example = export._tensor("pixel_values", "logits", (2, 1, digits.SIZE, digits.SIZE))
    export.interface_of = lambda name: example
    MODELS.mkdir(exist_ok=True)
    export.write(MODELS / "digits.onnx", "vit", "dyn18")
    proto = onnx.load(MODELS / "digits.onnx")
    (MODELS / "digits.onnx").write_bytes(stripped(proto).SerializeToString(deterministic=True))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--csv", type=Path, help="scikit-learn's digits.csv.gz: writes data/digits.npz"
    )
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--checkpoint", type=Path, default=Path("digits.pt"))
    options = parser.parse_args()
    if options.csv:
        write_data(options.csv)
    torch.set_num_threads(options.threads)
    model = build()
    if options.checkpoint.exists():
        model.load_state_dict(torch.load(options.checkpoint))
    else:
        train(model, options.minutes, options.checkpoint)
    print(f"held out, f32: {accuracy(model):.2%}")
    write(model)


if __name__ == "__main__":
    main()
