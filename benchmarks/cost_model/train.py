#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Trains the trees of the cost model and writes them for the compiler.

    benchmarks/cost_model/train.py benchmarks/data/tuning-*.jsonl.gz

Writes lib/CostModel/models/cpu.trees and, for the test that C++ predicts the same bits, test/Unit/CostModel/Inputs/trees-rows.txt.
Needs LightGBM (benchmarks/requirements.txt) and a build of permalloy, which computes the features.
"""

import argparse
import struct
from pathlib import Path

import data
import model
import numpy as np
from split import cross_predict

ROOT = Path(__file__).resolve().parents[2]
VERSION, TARGET = 2, "cpu"


def down_to_f32(value):
    """The largest f32 that is at most `value`: an f32 is <= it exactly where it is <= value."""
    rounded = np.float32(value)
    return np.nextafter(rounded, np.float32(-np.inf)) if float(rounded) > value else rounded


def tree_bytes(tree):
    """One tree of LightGBM's dump, its inner nodes numbered from the root down."""
    inner, leaves = [], []

    def visit(node):
        if "leaf_value" in node and "split_index" not in node:
            leaves.append(node["leaf_value"])
            return -len(leaves)
        assert node["decision_type"] == "<=" and node["missing_type"] == "None", node
        index = len(inner)
        inner.append(None)
        left = visit(node["left_child"])
        right = visit(node["right_child"])
        inner[index] = struct.pack(
            "<HhhHf", node["split_feature"], left, right, 0, down_to_f32(node["threshold"])
        )
        return index

    visit(tree["tree_structure"])
    return (
        struct.pack("<I", len(inner)) + b"".join(inner) + struct.pack(f"<{len(leaves)}d", *leaves)
    )


def file_bytes(ensemble, rows, scales):
    heads = [
        [tree_bytes(t) for t in head.dump_model()["tree_info"]]
        for member in ensemble
        for head in member
    ]
    header = b"PMTREES1" + struct.pack("<IIQ", VERSION, len(rows.names), rows.feature_hash)
    cpus = sorted(set(rows.cpu))
    header += TARGET.encode().ljust(32, b"\0") + struct.pack("<I", len(cpus))
    header += b"".join(cpu.encode().ljust(64, b"\0") for cpu in cpus)
    header += struct.pack("<ddII", *scales, len(ensemble), 2)
    header += b"".join(struct.pack("<I", len(trees)) for trees in heads)
    return header + b"".join(b"".join(trees) for trees in heads)


def test_rows(ensemble, rows, count=12):
    """Lines `index:value ... | prediction ...`: features that are not 0, then members' heads as hexadecimal floats."""
    lines = []
    for row in np.linspace(0, len(rows.time) - 1, count).astype(int):
        features = rows.features[row]
        cells = [f"{i}:{features[i]:.9g}" for i in np.flatnonzero(features)]
        exact = [
            head.predict(features[None], raw_score=True)[0]
            for member in ensemble
            for head in member
        ]
        lines.append(" ".join(cells) + " | " + " ".join(float(value).hex() for value in exact))
    return "\n".join(lines) + "\n"


def fit_scales(rows):
    """From rows that the trees did not see: kernels of other structures."""
    held = cross_predict(rows)
    absolute = model.fit_scale(held.y - rows.y, held.deviation)
    errors, deviations = [], []
    for group in rows.groups(2):
        best, usual = group[np.argmin(held.score[group])], group[rows.default[group]]
        for other in usual[:1]:
            gain = held.member_scores[:, other] - held.member_scores[:, best]
            errors.append(gain.mean() - np.log(rows.time[other] / rows.time[best]))
            deviations.append(gain.std())
    return absolute, model.fit_scale(np.array(errors), np.array(deviations))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("databases", nargs="+")
    parser.add_argument("--permalloy", default=ROOT / "build/bin/permalloy")
    parser.add_argument(
        "-o", "--output", default=ROOT / "lib/CostModel/models/cpu.trees", type=Path
    )
    parser.add_argument(
        "--rows", default=ROOT / "test/Unit/CostModel/Inputs/trees-rows.txt", type=Path
    )
    options = parser.parse_args()
    rows = data.load(options.permalloy, options.databases)
    scales = fit_scales(rows)
    ensemble = model.train(rows)
    options.output.write_bytes(file_bytes(ensemble, rows, scales))
    options.rows.parent.mkdir(exist_ok=True)
    options.rows.write_text(test_rows(ensemble, rows))
    print(f"{options.output}: {options.output.stat().st_size / 1e6:.2f} MB of {len(rows.time)} rows, "
          f"{rows.kernel.max() + 1} kernels; scales of the deviation {scales[0]:.2f}, {scales[1]:.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
