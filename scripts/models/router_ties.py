#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Shows that where a mixture of experts in f16 or bf16 differs, its router was undecided.

    scripts/models/router_ties.py model.onnx --to bf16 --batch 4 --sequence 16 --seeds 8

A router takes the k experts of the highest logits. Where the k-th and the next logit are closer than the
rounding of the logits, f32 and bf16 arithmetic choose different experts, both rightly, and the token's
output differs by as much as the experts do; tokens that attend to it inherit a part. So the bound of
half precision (--tolerance, of the output's largest magnitude) cannot hold for each token.
What can be asked: **a token beyond the bound must have had a different choice, in some layer, at itself or
at a token that it attends to, and in the first layer where choices differ the gap of the logits was below
--tie, of the largest logit.** This converts the f32 model (convert_precision.py), runs it compiled by
Permalloy and, widened to f32, by onnxruntime, both with the routers' logits as further outputs, and
checks that for every token. Exits with 1 where a token breaks the rule.

Needs permalloy, onnx, onnxruntime.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy
import onnx
import onnxruntime
from onnx import helper

try:
    import permalloy
except ModuleNotFoundError:
    sys.exit("router_ties: error: no permalloy: set PYTHONPATH=build/python, or install its wheel")

CONVERT = Path(__file__).with_name("convert_precision.py")
# 16 units of roundoff, as `permalloy verify` allows.
TOLERANCE = {"f16": 16 * 2.0**-11, "bf16": 16 * 2.0**-8}


def router_logits(model):
    """The logits, [tokens, experts], of each router: what enters the Softmax before a TopK, in order."""
    producer = {name: node for node in model.graph.node for name in node.output}
    names = []
    for node in model.graph.node:
        source = producer.get(node.input[0]) if node.op_type == "TopK" else None
        while source is not None and source.op_type in ("Cast", "Softmax"):
            names.append(source.input[0]) if source.op_type == "Softmax" else None
            source = producer.get(source.input[0])
    return list(dict.fromkeys(names))


def with_outputs(path, names, folder):
    """A copy of the model that also gives `names`, and the path of the copy."""
    model = onnx.load(path)
    kind = next(o for o in model.graph.output).type.tensor_type.elem_type
    for name in names:
        model.graph.output.append(helper.make_tensor_value_info(name, kind, None))
    out = folder / f"{Path(path).stem}.routers.onnx"
    onnx.save(model, out)
    return out


def choices(logits, k):
    """The set of chosen experts of each token as a sorted row, [tokens, k]."""
    return numpy.sort(numpy.argsort(-logits, axis=-1, kind="stable")[..., :k], axis=-1)


def gaps(logits, k):
    """Between the k-th and the next logit of each token, over the largest magnitude of all."""
    ordered = -numpy.sort(-logits, axis=-1)
    return (ordered[..., k - 1] - ordered[..., k]) / numpy.abs(logits).max()


class Check:
    """Counts tokens of one model; `broken` holds what breaks the rule."""

    def __init__(self, experts, tolerance, tie):
        self.experts, self.tolerance, self.tie = experts, tolerance, tie
        self.tokens = self.beyond = self.other = 0
        self.worst = self.decided = self.widest = 0.0
        self.broken = []

    def take(self, shape, ours, theirs, routers):
        """`routers` are pairs (ours, theirs) of logits in layer order, outputs [batch, sequence, n]."""
        error = numpy.abs(ours - theirs).max(axis=-1) / numpy.abs(theirs).max()
        differs, undecided = numpy.zeros(shape, bool), numpy.zeros(shape, bool)
        for mine, reference in routers:
            mine, reference = (
                x.astype(numpy.float32).reshape(-1, x.shape[-1]) for x in (mine, reference)
            )
            other = (choices(mine, self.experts) != choices(reference, self.experts)).any(axis=-1)
            other, gap = other.reshape(shape), gaps(reference, self.experts).reshape(shape)
            first = other & ~numpy.logical_or.accumulate(differs, axis=1)
            self.widest = max(self.widest, gap[first].max(initial=0))
            undecided |= first & (gap < self.tie)
            differs |= other
        excused = numpy.logical_or.accumulate(
            undecided, axis=1
        )  # causal: later tokens attend to it
        beyond = error > self.tolerance
        self.tokens += error.size
        self.beyond += int(beyond.sum())
        self.other += int(differs.sum())
        self.worst = max(self.worst, float(error.max()))
        self.decided = max(self.decided, float(error[~excused].max(initial=0)))
        self.broken += [
            (tuple(map(int, at)), float(error[tuple(at)]))
            for at in numpy.argwhere(beyond & ~excused)
        ]


def inputs_of(session, batch, sequence, seed):
    """Random ids; all rows of the masks but the first have padding at their end."""
    random = numpy.random.default_rng(seed)
    lengths = random.integers(1, sequence + 1, (batch, 1))
    lengths[0] = sequence
    mask = (numpy.arange(sequence) < lengths).astype(numpy.int64)
    feeds = {}
    for entry in session.get_inputs():
        ids = random.integers(5, 1000, (batch, sequence), dtype=numpy.int64)
        feeds[entry.name] = mask if "mask" in entry.name else ids
    return feeds


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "model", type=Path, help="in f32, with inputs [batch, sequence] of ids and masks"
    )
    parser.add_argument("--to", choices=TOLERANCE, default="bf16")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--sequence", type=int, default=16)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--experts", type=int, default=2, help="that a router takes for each token")
    parser.add_argument("--tolerance", type=float)
    parser.add_argument("--tie", type=float, help="default: a quarter of the tolerance")
    arguments = parser.parse_args()
    tolerance = arguments.tolerance or TOLERANCE[arguments.to]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        half, wide = folder / "half.onnx", folder / "wide.onnx"
        for to, source, target in ((arguments.to, arguments.model, half), ("f32", half, wide)):
            subprocess.run([sys.executable, CONVERT, "--to", to, source, target], check=True)
        routers = router_logits(onnx.load(half, load_external_data=False))
        if not routers:
            sys.exit(f"{arguments.model}: no TopK of a Softmax: not a mixture of experts")
        ours = permalloy.InferenceSession(str(with_outputs(half, routers, folder)))
        theirs = onnxruntime.InferenceSession(
            str(with_outputs(wide, router_logits(onnx.load(wide)), folder))
        )
        output, extra = theirs.get_outputs()[0].name, len(routers)
        check = Check(arguments.experts, tolerance, arguments.tie or tolerance / 4)
        for seed in range(arguments.seeds):
            feeds = inputs_of(theirs, arguments.batch, arguments.sequence, seed)
            mine, reference = ours.run(None, feeds), theirs.run(None, feeds)
            check.take((arguments.batch, arguments.sequence), mine[0].astype(numpy.float32), reference[0],
                       list(zip(mine[-extra:], reference[-extra:])))  # fmt: skip
    print(f"{arguments.model.name} in {arguments.to}, {check.tokens} tokens, `{output}`: {check.other} tokens with another "
          f"choice of experts, {check.beyond} beyond {tolerance:.1e}; worst {check.worst:.1e}, worst of tokens without an "
          f"undecided router before them {check.decided:.1e}; widest gap where a first choice differed {check.widest:.1e}")  # fmt: skip
    for at, error in check.broken:
        print(f"  token {at}: {error:.1e} though its routers were decided")
    return 1 if check.broken else 0


if __name__ == "__main__":
    sys.exit(main())
