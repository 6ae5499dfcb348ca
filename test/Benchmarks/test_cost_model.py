# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Training and judging the cost model, on made-up rows."""

import struct
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lightgbm", reason="LightGBM trains the cost model; benchmarks/requirements.txt has it")
pytest.importorskip("scipy", reason="rank correlations of the cost model; benchmarks/requirements.txt has it")

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks/cost_model"))
import baselines
import data
import model
import split
import train

TILES = (1, 2, 4, 6, 8, 12)


@pytest.fixture(scope="module")
def rows():
    """60 kernels at two sizes: time = prior * f(tile) with the best tile at 6 for narrow kernels, at 8 for wide ones."""
    random = np.random.RandomState(0)
    features, time, prior, group, kernel, schedule = [], [], [], [], [], []
    for k in range(60):
        wide = k % 2
        for size in (64, 512):
            for tile in TILES:
                loss = abs(np.log2(tile / (8 if wide else 6)))
                prior.append(1000.0 * size * (1 + wide))
                time.append(prior[-1] * 2 * (1 + 0.3 * loss) * np.exp(random.normal(0, 0.005)))
                features.append([tile, wide, np.log2(size), random.rand()])
                group.append(2 * k + (size > 64))
                kernel.append(k)
                schedule.append(f"tile={tile}")
    count = len(time)
    return data.Rows(
        ["tile", "wide", "size", "noise"], 7, np.array(features, np.float32), np.array(time), np.array(prior), np.full(count, 0.01),
        np.array([s == "tile=4" for s in schedule]), np.array(group), np.array(kernel), np.array(kernel),
        np.array(["contraction f32"] * count), np.array(["corpus"] * count), np.array(schedule), np.array(["some"] * count),
    )  # fmt: skip


def test_parts_share_no_structure(rows):
    for training, test in split.folds_by_structure(rows):
        assert not set(rows.structure[training]) & set(rows.structure[test])
        assert (training ^ test).all()


def test_finds_the_best_tile_of_kernels_it_never_saw(rows):
    held = split.cross_predict(rows, members=2)
    lost = [rows.time[g][np.argmin(held.score[g])] / rows.time[g].min() - 1 for g in rows.groups()]
    assert np.mean(lost) < 0.02
    assert np.abs(held.y - rows.y).mean() < 0.05


def test_the_best_fixed_schedule_is_a_compromise(rows):
    folds = split.folds_by_structure(rows)
    choose = baselines.best_fixed(rows, folds, np.arange(len(rows.time)))
    assert {rows.schedule[g[choose(g)]] for g in rows.groups()} <= {"tile=6", "tile=8"}


def test_thresholds_decide_alike_in_f32():
    for value in (0.1, 1 / 3, 1e-30, 5.0, -2.7):
        rounded = train.down_to_f32(value)
        above = np.nextafter(rounded, np.float32(np.inf))
        assert float(rounded) <= value < float(above)


def predict(data_, member_heads, row):
    """What the flat file says, by the walk that its description gives."""
    at = 8 + 4 + 4 + 8 + 32
    assert struct.unpack_from("<I", data_, at) == (1,)
    at += 4 + 64 + 16
    members, heads = struct.unpack_from("<II", data_, at)
    at += 8
    counts = struct.unpack_from(f"<{members * heads}I", data_, at)
    at += 4 * members * heads
    sums = []
    for count in counts:
        total = 0.0
        for _ in range(count):
            (inner,) = struct.unpack_from("<I", data_, at)
            nodes = [struct.unpack_from("<HhhHf", data_, at + 4 + 12 * i) for i in range(inner)]
            leaves = struct.unpack_from(f"<{inner + 1}d", data_, at + 4 + 12 * inner)
            at += 4 + 12 * inner + 8 * (inner + 1)
            node = 0 if inner else -1
            while node >= 0:
                feature, left, right, _, threshold = nodes[node]
                node = left if row[feature] <= threshold else right
            total += leaves[-1 - node]
        sums.append(total)
    assert at == len(data_)
    return sums[:member_heads]


def test_the_file_gives_the_bits_of_lightgbm(rows):
    ensemble = model.train(rows, members=2)
    written = train.file_bytes(ensemble, rows, (1.0, 2.0))
    assert written.startswith(b"PMTREES1")
    for row in (0, 17, len(rows.time) - 1):
        features = rows.features[row]
        expected = [head.predict(features[None], raw_score=True)[0] for member in ensemble for head in member]
        assert predict(written, 4, features) == expected
