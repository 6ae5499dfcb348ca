#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Trains the vision transformer on scikit-learn's digits and writes it as ONNX.

    $PERMALLOY_PEERS_PYTHON benchmarks/quality/train/vision.py --csv SITE/sklearn/datasets/data/digits.csv.gz
    $PERMALLOY_PEERS_PYTHON benchmarks/quality/train/vision.py          # data/digits.npz is there

Images of 8x8 are enlarged to 32x32 and cut into 8x8 patches: 64 tokens and a class token, 6 layers of
width 256. Trained on 1,000 digits, moved and turned a little each time; 797 are held out. Minutes on
one core. Needs torch and transformers.
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
BATCH = 50


def write_data(csv: Path):
    """data/digits.npz: all 1,797 in an order that mixes writers; the last 797 are held out."""
    rows = np.loadtxt(csv, delimiter=",", dtype=np.uint8)  # unpacks .gz
    rows = rows[np.random.default_rng(0).permutation(len(rows))]
    np.savez_compressed(digits.FILE, images=rows[:, :64].reshape(-1, 8, 8), labels=rows[:, 64])


def build() -> torch.nn.Module:
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        image_size=digits.SIZE,
        patch_size=digits.SIZE // 8,
        num_channels=1,
        hidden_size=256,
        num_hidden_layers=6,
        num_attention_heads=4,
        intermediate_size=384,
        num_labels=10,
    )
    return transformers.AutoModelForImageClassification.from_config(
        config, attn_implementation="sdpa"
    )


def train(model, minutes: float):
    """For that long: the schedule follows the clock."""
    images, labels = map(torch.from_numpy, digits.training())
    optimizers = muon.Optimizers(model, matrices=0.003, others=0.001)
    loss_of = torch.compile(_loss, dynamic=False)
    loss_of(model, images[:BATCH], labels[:BATCH]).backward()  # compiling is not training
    start, epoch, share = time.monotonic(), 0, 0.0
    while share < 1:
        for part in torch.randperm(len(images)).split(BATCH):
            share = min((time.monotonic() - start) / (60 * minutes), 1.0)
            loss = loss_of(model, moved(images[part]), labels[part])
            loss.backward()
            optimizers.step(share)
        epoch += 1
        print(f"epoch {epoch}, {share:.0%} of the time: loss {loss.item():.3f}", flush=True)
    print(f"{epoch} epochs")


def _loss(model, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(pixel_values=images).logits
    return functional.cross_entropy(logits.float(), labels, label_smoothing=0.05)


def moved(images: torch.Tensor) -> torch.Tensor:
    """Each turned by up to 0.25 radians, scaled by up to 15% and shifted by up to a pixel of the 8."""
    count = len(images)
    angle, shear = (torch.rand(2, count) - 0.5) * 0.5
    scale = 1 + (torch.rand(2, count) - 0.5) * 0.3
    shift = (torch.rand(2, count) - 0.5) * 0.5
    rows = [
        torch.stack([scale[0] * angle.cos(), shear - angle.sin(), shift[0]], -1),
        torch.stack([angle.sin(), scale[1] * angle.cos(), shift[1]], -1),
    ]
    grid = functional.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


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
    parser.add_argument("--minutes", type=float, default=8)
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
        train(model, options.minutes)
        torch.save(model.state_dict(), options.checkpoint)
    print(f"held out, f32: {accuracy(model):.2%}")
    write(model)


if __name__ == "__main__":
    main()
