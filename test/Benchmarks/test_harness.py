# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The parts of the benchmark that need no model: statistics, case and peer files, verdicts, pages."""

import dataclasses
import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from conftest import CASES
from harness import (
    cases,
    chart,
    compare,
    contenders,
    inputs,
    intervals,
    kernels,
    measure,
    peers,
    results,
    tables,
    work,
)

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def load(tmp_path, text):
    path = tmp_path / "cases.toml"
    path.write_text(text)
    return cases.load(path)


# Statistics.


def test_the_intervals_cover_what_they_say():
    assert [intervals.rank(n) for n in (1, 5, 6, 9, 20, 30)] == [0, 0, 1, 2, 6, 10]
    for count in range(6, 60):
        r = intervals.rank(count)
        # Coverage of (x_r, x_(n+1-r)) by its definition, and that no narrower one has 95%.
        outside = sum(math.comb(count, i) for i in range(r)) / 2**count
        assert 1 - 2 * outside >= 0.95
        assert 1 - 2 * (outside + math.comb(count, r) / 2**count) < 0.95


def test_an_interval():
    values = list(range(1, 21))
    found = intervals.interval(values[::-1])
    assert (found.median, found.low, found.high, found.count) == (10.5, 6, 15, 20)
    assert intervals.interval([3.0]).plain() == {"median": 3, "low": 3, "high": 3, "count": 1}
    assert intervals.geometric_mean([2, 8]) == pytest.approx(4)
    with pytest.raises(ValueError, match="no values"):
        intervals.interval([])


# Cases and peers.


def test_the_committed_files_are_sound():
    found = cases.load(BENCHMARKS / "cases.toml")
    names = [case.name for case in found]
    assert "GPT-2 decode past 2048, bound" in names and "MiniLM padded b32" in names
    padded = found[names.index("MiniLM padded b32")]
    assert len(padded.lengths) == 32 and sum(padded.lengths) == 32 * 40
    known = peers.load(BENCHMARKS / "peers.toml")
    assert {peer.engine for peer in known} == {"onnxruntime", "openvino", "iree", "torch"}
    for peer in known:
        assert peer.settings


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('model = "small"', 'model = "other"', "names model 'other', known"),
        ('precisions = ["f32"]', 'precisions = ["f8"]', "has precisions"),
        ('forms = ["plain"]', 'forms = ["bound"]', "has no past for its bound form"),
        ('why = "a test"', 'why = ""', "does not say why"),
        ('name = "small b1 s7"', 'name = "small b2 s16"', "stands there twice"),
        ("batch = 2", "batch = 0", "below 1"),
        ("batch = 2", "batch = 2\nlengths = [3]", "has 1 lengths for a batch of 2"),
        ("batch = 2", "batch = 2\nlengths = [3, 17]", "a length above its sequence of 16"),
        ("batch = 2", "batch = 2\ncolour = 1", "unexpected keyword argument 'colour'"),
        ("layers = 2", "layers = 2\nwidth = 1", "unknown entries"),
        ('inputs = "text"', 'inputs = "smell"', "has inputs 'smell'"),
        ('group = "encoders"', 'group = "x"\nagainst = "y"', "is against 'y', which is no case"),
    ],
)
def test_a_case_that_makes_no_sense_is_refused(tmp_path, old, new, message):
    with pytest.raises(cases.CaseError, match=message):
        load(tmp_path, CASES.replace(old, new, 1))


def test_rows_and_selection(tmp_path):
    text = CASES.replace("threads = [1]", "threads = [1, 2]")
    found = load(tmp_path, text)
    rows = cases.rows(found)
    assert [(row.case.batch, row.threads) for row in rows] == [(2, 1), (1, 1), (2, 2), (1, 2)]
    assert len(cases.rows(found, threads=[2])) == 2
    assert [case.name for case in cases.select(found, ["S7"])] == ["small b1 s7"]
    assert len(cases.select(found, ["encoders"])) == 2
    for case in found:
        assert cases.Case.of(case.plain()) == case


def test_a_case_that_was_sent_is_the_same():
    for case in cases.load(BENCHMARKS / "cases.toml"):
        assert cases.Case.of(case.plain()) == case


def test_work_of_known_models():
    found = {case.name: case for case in cases.load(BENCHMARKS / "cases.toml")}
    # By hand: 6 layers of 4 * 384^2 + 2 * 384 * 1536 weights, 128 tokens; 4 * 128^2 * 384 of attention.
    weights = 6 * (4 * 384**2 + 2 * 384 * 1536)
    minilm = found["MiniLM b1 s128"]
    assert work.flops(minilm) == 2 * 128 * weights + 6 * 4 * 128**2 * 384
    assert work.bytes_read(minilm, "f32") == 4 * weights
    assert work.bytes_read(minilm, "bf16") == 2 * weights
    step = found["Llama-style decode past 512, bound"]
    layer = 2 * 768 * 768 + 2 * 768 * 256 + 3 * 768 * 2048
    assert work.weight_bytes(step, "f32") == 4 * (12 * layer + 768 * 32000)
    assert work.cache_bytes(step) == 4 * 12 * 2 * 512 * 256
    # Padding is no work.
    padded = found["MiniLM padded b32"]
    assert work.flops(padded) < 0.35 * work.flops(
        cases.Case.of({**padded.plain(), "lengths": (), "name": "x"})
    )


def test_inputs_are_the_same_every_time():
    found = cases.load(BENCHMARKS / "cases.toml")
    for case in found:
        if case.past > 128 or case.model.inputs in ("image", "audio"):
            continue
        first, second = inputs.make(case), inputs.make(case)
        assert all(np.array_equal(first[name], second[name]) for name in first)
    step = next(case for case in found if case.name == "GPT-2 decode past 2048, bound")
    assert inputs.positions(step, 2048).tolist() == [[1023]]  # the table's last row


# Comparing.


def test_outputs_are_compared(tmp_path):
    random = np.random.default_rng(0)
    x = random.standard_normal((3, 5), np.float32)
    compare.write(tmp_path / "r", {"x": x, "y": x})

    def refusal(precision, **outputs):
        return compare.refusal(compare.against(tmp_path / "r", outputs).plain(), precision)

    assert not refusal("f32", x=x + np.float32(1e-5))
    assert "differ from the reference by" in refusal("f32", x=x, y=x + np.float32(1e-2))
    assert not refusal("bf16", x=x * np.float32(1.01))
    assert "cosine" in refusal("bf16", x=-x)
    assert "inf" in refusal("f32", x=x[:2])
    assert refusal("f32", x=x * np.float32("nan")) and refusal("bf16", x=x * np.float32("nan"))
    assert "no output has a name" in refusal("f32", z=x)


def test_padding_is_not_compared():
    case = next(c for c in cases.load(BENCHMARKS / "cases.toml") if c.lengths)
    hidden = np.zeros((32, 128, 4), np.float32)
    assert inputs.compared(case, "h", hidden).shape == (sum(case.lengths), 4)


# Verdicts, contenders, pages.


def row_of(*ratios):
    times = {"median": 1.0, "low": 1.0, "high": 1.0, "count": 20}
    peer = {"milliseconds": times, "gflops": 1.0, "gbs": 1.0, "rss_mb": 5.0, "load_s": 1.0}
    names = itertools.count()
    return {
        "case": "a < b", "group": "encoders", "precision": "f32", "threads": 1, "form": "plain",
        "ours": {**peer, "of_compute_peak": 0.5},
        "peers": {
            f"p{next(names)}@dyn18": {
                **peer, "ratio": {"median": m, "low": low, "high": high, "count": 20}
            }
            for low, m, high in ratios
        },
    }  # fmt: skip


class FakeWorker:
    """Takes the same time in every run, and dies in the run with that number."""

    def __init__(self, name, seconds, dies_at=None):
        self.name, self.seconds, self.turns = name, [], []
        self._time, self._dies_at = seconds, dies_at

    def turn(self, untimed, timed):
        if len(self.turns) == self._dies_at:
            raise measure.WorkerError("died")
        self.turns.append((untimed, timed))
        return [self._time] * timed

    def close(self):
        pass


class NoPeaks:
    def measure(self, names):
        pass


def test_turns_are_the_same_for_all_of_a_row(tmp_path):
    row = cases.rows(load(tmp_path, CASES))[0]
    for fastest, kind in ((0.149, (1, 3)), (0.151, (0, 1))):
        ours, slow = FakeWorker("permalloy", fastest), FakeWorker("slow", 0.2)
        first, later = FakeWorker("first", 0.3, 0), FakeWorker("later", 0.3, 2)
        rivals, result = [first, slow, later], {"peers": {}}
        quota = {"slow": 2, "first": 4, "later": 4}
        measure._turns(row, ours, rivals, quota, 4, NoPeaks(), result)
        assert ours.turns == [(1, 1)] + 4 * [kind] and slow.turns == [(1, 1)] + 2 * [kind]
        assert ours.seconds == 4 * [fastest] and slow.seconds == 2 * [0.2]
        assert rivals == [slow] and set(result["peers"]) == {"first", "later"}


@pytest.mark.parametrize(
    ("ratios", "verdict", "best"),
    [
        ([(1.1, 1.2, 1.3), (1.01, 1.1, 1.2)], "won", "p1@dyn18"),
        ([(0.99, 1.2, 1.3)], "tie", "p0@dyn18"),
        ([(0.8, 0.9, 1.0), (1.1, 1.2, 1.3)], "tie", "p0@dyn18"),
        ([(0.8, 0.9, 0.99)], "lost", "p0@dyn18"),
        ([], None, None),
    ],
)
def test_verdicts(ratios, verdict, best):
    row = row_of(*ratios)
    measure.judge(row)
    assert (row.get("verdict"), row.get("best_peer")) == (verdict, best)


def test_a_page_and_a_chart():
    row, refused = row_of((1.1, 1.25, 1.3), (2, 2.5, 3)), row_of()
    measure.judge(row)
    refused = {k: v for k, v in refused.items() if k != "ours"} | {"error": "outputs differ"}
    row["peers"]["q@ts17"] = {"earlier": {"ms": 7.0}}
    row["peers"]["r"] = {"error": "died"}
    data = {"machine": "M", "cpus": 2, "permalloy": "v", "rows": {"1": row, "2": refused}}
    page = tables.page(data)
    assert (
        "| **1.25x** (1.10 to 1.30) | won | p1@dyn18 1.0, q@ts17 7 (earlier pass), r failed |"
        in page
    )
    assert "encoders: geometric mean 1.25x, 1 of 1 won" in page
    assert "q@ts17 7 (earlier pass, 1 thread)" in tables.table([{**row, "threads": 2}])
    assert "refused: outputs differ" in page
    picture = chart.draw([row, refused], "f32 & more")
    assert "a &lt; b" in picture and "f32 &amp; more" in picture and picture.count("<rect") == 2


def test_contenders(tmp_path):
    row = cases.rows(load(tmp_path, CASES))[0]
    fast, slow, new, broken = (
        peers.Peer(name, "onnxruntime", "x", ("f32",), ("plain",), ("a", "b"), "s")
        for name in ("fast", "slow", "new", "broken")
    )
    calibration = contenders.Calibration(tmp_path / "contenders.json")
    times = {"fast@a": 10.0, "fast@b": 9.0, "slow@a": 20.0, "slow@b": 30.0}
    found = {
        name: {"milliseconds": {"median": ms}, "ratio": {"median": ms}, "load_s": 1.0}
        for name, ms in times.items()
    }
    found |= {"broken@a": {"error": "no"}, "broken@b": {"error": "no"}}
    calibration.record(row, {"peers": found})
    candidates = [
        peers.Candidate(peer, flavour)
        for peer in (fast, slow, new, broken)
        for flavour in peer.flavours
    ]
    near, others = contenders.Calibration(tmp_path / "contenders.json").split(row, candidates)
    assert [who.name for who in near] == ["fast@b"]
    assert [who.name for who in others] == ["slow@a", "new@a"]
    # In bf16 nothing is known but the file that was best in f32, of another row nothing at all.
    half = dataclasses.replace(row, precision="bf16")
    assert [who.name for who in calibration.split(half, candidates)[0]] == [
        *("fast@b", "slow@a", "new@a", "broken@a")
    ]
    other = cases.rows(load(tmp_path, CASES))[1]
    assert len(calibration.split(other, candidates)[0]) == 4
    assert calibration.seconds(row, near, others, 20, 3) > calibration.seconds(row, near, [], 20, 3)


def test_a_row_is_done_when_all_its_contenders_took_part(tmp_path):
    found = results.Results(tmp_path / "r.json")
    peer = {"a@x": {"ratio": {}}, "b": {"error": "died"}, "c@x": {"earlier": {"ms": 7.0}}}
    found.add("row", {"permalloy": "v", "pairs": 5, "peers": peer})
    assert found.has("row", "v", 5) and found.has("row", "v", 4, ["a@y", "b"])
    assert not found.has("row", "v", 6) and not found.has("row", "w", 5)
    assert not found.has("row", "v", 5, ["a@x", "c@x"])  # its time is another pass's
    assert not found.has("row", "v", 5, ["d"])


def test_kernel_tables(tmp_path):
    rows = {
        "peak/avx512_f32": {"gflops": 200.0, "gbs": 0.0},
        "peak/amx_bf16": {"gflops": 3000.0, "gbs": 0.0},
        "peak/read_4k": {"gflops": 0.0, "gbs": 16.0},
        "product/f32/128x768x768/permalloy": {"gflops": 160.0, "gbs": 3.0},
        "product/f32/128x768x768/openblas": {"gflops": 120.0, "gbs": 3.0},
        "product/f32/1x768x768/permalloy": {"gflops": 8.0, "gbs": 16.0},
        "product/bf16/64x64x64/permalloy": {"gflops": 300.0, "gbs": 3.0},
        "product/bf16/64x64x64/onednn": {"error": "unsupported"},
    }
    file = tmp_path / "why.toml"
    file.write_text('[[because]]\nnames = "bf16/64x"\nwhy = "too small"\n')
    text = kernels.tables(rows, kernels.explanations(file))
    assert "| 128x768x768 | 160 | 120 | 80% avx512_f32 |  |" in text
    assert "| 1x768x768 | 8 (16.0 GB/s) |  | 100% reading |  |" in text
    assert "| 64x64x64 | 300 |  | 10% amx_bf16 | too small |" in text
    assert text.index("1x768x768") < text.index("128x768x768")
    assert kernels.unexplained(rows, []) == ["product/bf16/64x64x64/permalloy"]
    assert not kernels.unexplained(rows, kernels.explanations(file))
    assert kernels.explanations(BENCHMARKS / "kernels/explanations.toml") is not None
