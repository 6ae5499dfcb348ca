# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Rows of the benchmark: turns, verdicts, contenders, pages; no model is needed."""

import dataclasses
import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest
from harness import (
    cases,
    chart,
    contenders,
    kernels,
    measure,
    peers,
    results,
    tables,
    turns,
    work,
)
from small_cases import CASES, load

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


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
    """Takes the next of some times in each round, the last one for ever; dies in its n-th turn."""

    def __init__(self, name, *times, dies_at=None):
        self.name, self.seconds, self.turns = name, {}, []
        self._times, self._dies_at = times, dies_at

        self.info = {
            "outputs": 1,
            "relative_error": 0.0,
            "cosine": 1.0,
            "rss_mb": 1.0,
            "load_s": 1.0,
        }
        self.closed = False

    def wait_until_loaded(self):
        return self.info

    def close(self):
        self.closed = True

    def turn(self, untimed, timed):
        if len(self.turns) == self._dies_at:
            raise measure.WorkerError("died")
        at = max(len(self.turns) - 1, 0)  # the first turn only says how long a run takes
        self.turns.append((untimed, timed))
        return [self._times[min(at, len(self._times) - 1)]] * timed


def take(ours, *rivals, pairs=20):
    taken = turns.Turns(ours, rivals, pairs, settle=False)
    rounds = []
    taken.take(rounds.append)
    assert rounds == list(range(len(rounds)))
    return taken, len(rounds)


@pytest.mark.parametrize(
    ("seconds", "runs"), [(0.049, (1, 3)), (0.051, (1, 1)), (0.149, (1, 1)), (0.151, (0, 1))]
)
def test_turns_are_the_same_for_all_of_a_row(seconds, runs):
    ours, other = FakeWorker("permalloy", seconds), FakeWorker("other", 0.2)
    take(ours, other, pairs=4)
    assert ours.turns == other.turns == [(1, 1)] + 4 * [runs]


def test_who_may_be_best_has_all_pairs_and_others_a_few():
    ours = FakeWorker("permalloy", 1.0)
    near, best = FakeWorker("near@a", 1.3), FakeWorker("best@a", 1.2)
    far, file = FakeWorker("far@a", 1.5), FakeWorker("best@b", 1.25)  # a slower file of the best
    _, rounds = take(ours, near, best, far, file)
    assert [len(w.seconds) for w in (ours, near, best, far, file)] == [20, 20, 20, 3, 3]
    assert rounds == 20


def test_the_best_at_the_end_has_all_pairs():
    """A peer that seemed slow when all had three turns, since the others became slower."""
    ours = FakeWorker("permalloy", 1.0)
    slowing = FakeWorker("slowing", *[1.2] * 3, *[2.0] * 17)
    slow = FakeWorker("slow", 1.5)
    taken, rounds = take(ours, slowing, slow)
    assert len(slow.seconds) == 20 and len(ours.seconds) == rounds > 20
    assert turns.ratios(ours, slow) == 20 * [1.5]
    assert taken.died == {}


def test_pairs_are_of_the_same_round():
    ours = FakeWorker("permalloy", 1.0, 1.0, 1.0, 2.0, 4.0)
    take(
        ours, FakeWorker("far", 9.0), other := FakeWorker("other", 1.0, 1.0, 1.0, 2.0, 4.0), pairs=5
    )
    assert turns.ratios(ours, other) == 5 * [1.0]


def test_a_peer_that_dies_leaves_and_ours_ends_the_row():
    ours, slow = FakeWorker("permalloy", 0.3), FakeWorker("slow", 0.3)
    first, later = FakeWorker("first", 0.3, dies_at=0), FakeWorker("later", 0.3, dies_at=2)
    taken, _ = take(ours, first, slow, later, pairs=4)
    assert taken.rivals == [slow] and taken.died == {"first": "died", "later": "died"}
    assert len(slow.seconds) == 4
    with pytest.raises(measure.WorkerError, match="died"):
        take(FakeWorker("permalloy", 0.3, dies_at=2), FakeWorker("slow", 0.3))
    # All peers dead, or none there: ours has its turns all the same.
    for rivals in ((), (FakeWorker("first", 0.3, dies_at=1),)):
        ours = FakeWorker("permalloy", 0.3)
        take(ours, *rivals, pairs=4)
        assert len(ours.seconds) == 4


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


class FakePeaks:
    def __init__(self, *_):
        pass

    def measure(self, names):
        pass

    def best(self):
        return {"avx2_f32": 1e11, "read_4k": 2e10}

    def medians(self):
        return self.best()

    def rounds(self, name):
        return {0: 16e9, 2: 20e9}

    def close(self):
        pass


def test_ours_dying_is_the_rows_error_and_closes_all(tmp_path, monkeypatch):
    row = cases.rows(load(tmp_path, CASES))[0]
    ours, peer = FakeWorker("permalloy", 0.3, dies_at=2), FakeWorker("peer", 0.3)
    candidate = peers.Candidate(peers.Peer("peer", *["x"] * 2, *[()] * 3, "s"), "")
    monkeypatch.setattr(measure.machine, "Peaks", FakePeaks)
    monkeypatch.setattr(measure.prepare, "reference", lambda *_: tmp_path)
    monkeypatch.setattr(measure.prepare, "own_worker", lambda *_: ours)
    monkeypatch.setattr(measure.prepare, "peer_worker", lambda *_: peer)
    place = measure.Workplace(tmp_path, tmp_path)
    result = measure.measure(place, row, [candidate], 20)
    assert result["error"] == "died" and "verdict" not in result and "ours" not in result
    assert ours.closed and peer.closed
    # The same that lives.
    ours, peer = FakeWorker("permalloy", 0.3), FakeWorker("peer", 0.6)
    result = measure.measure(place, row, [candidate], 20)
    assert result["verdict"] == "won" and result["peers"]["peer"]["ratio"]["median"] == 2
    assert result["ours"]["of_read"]["count"] == 2


def test_three_pairs_win_nothing():
    row = row_of((1.1, 1.2, 1.3))
    row["peers"]["p0@dyn18"]["ratio"]["count"] = 3
    measure.judge(row)
    assert (row["verdict"], row["best_peer"]) == ("open", "p0@dyn18")


def test_reading_is_held_against_reading_of_the_same_round():
    case = {c.name: c for c in cases.load(BENCHMARKS / "cases.toml")}[
        "GPT-2 decode past 128, bound"
    ]
    row = cases.Row(case, "f32", 1)
    ours = FakeWorker("permalloy", 1.0)
    ours.seconds = {
        n: work.bytes_read(case, "f32") / rate for n, rate in enumerate((16e9, 1, 10e9))
    }
    assert measure.read_shares(ours, row, FakePeaks()) == [1.0, 0.5]


def test_a_page_and_a_chart():
    row, refused = row_of((1.1, 1.25, 1.3), (2, 2.5, 3)), row_of()
    measure.judge(row)
    refused = {k: v for k, v in refused.items() if k != "ours"} | {"error": "outputs differ"}
    row["peers"]["q@ts17"] = {"earlier": {"ms": 7.0}}
    row["peers"]["r"] = {"error": "died"}
    data = {"machine": "M", "cpus": 2, "permalloy": "v", "rows": {"1": row, "2": refused}}
    page = tables.page(data)
    assert (
        "| **1.25x** (1.10 to 1.30) | won | p1@dyn18 1.0, q@ts17 7 (earlier row), r failed: died |"
        in page
    )
    assert "encoders: geometric mean 1.25x, 1 of 1 won" in page
    assert "q@ts17 7 (earlier row, 1 thread)" in tables.table([{**row, "threads": 2}])
    assert "refused: outputs differ" in page and "Permalloy v (2 rows). Peers" in page
    picture = chart.draw([row, refused], "f32 & more")
    assert "a &lt; b" in picture and "f32 &amp; more" in picture and picture.count("<rect") == 2


def test_a_page_shows_what_was_lost_memory_and_start_up():
    row = row_of((0.8, 0.9, 0.95))
    row["peers"]["onnxruntime@ts17"] = {**row["peers"]["p0@dyn18"], "rss_mb": 4.0}
    row["peers"]["onnxruntime@ts17"]["ratio"] = {"median": 2.0, "low": 1.9, "high": 2.1, "count": 3}
    row["peers"]["onnxruntime@ts17"]["milliseconds"] = {"median": 2.0, "count": 3}
    measure.judge(row)
    session = {"session_s": 0.002}
    starting = {
        "permalloy": "w",
        "rows": {
            "m": {
                "model": "m.onnx",
                "sessions": {
                    "permalloy": session,
                    "onnxruntime": {"session_s": 0.1},
                    "session_ratio": {"median": 50.0, "low": 45.0, "high": 55.0, "count": 20},
                },
                "compile": {"cold": {"seconds": 2.0}, "warm": {"seconds": 0.5}},
                "artifacts": [{"ratio": 1.001}, {"ratio": 1.002}],
            }
        },
    }
    data = {"machine": "M", "cpus": 2, "permalloy": "v", "rows": {"1": row}}
    page = tables.page(data, starting)
    assert "| **lost** | onnxruntime@ts17 2.0 (3) |" in page
    assert "0 of 1 won, lost: a < b" in page
    assert "At most onnxruntime's in 0 of 1 rows" in page and "| 5 | 4 | **more** |" in page
    assert "| m.onnx | 2.0 | 100 | 50x (45 to 55) | 2.00, 0.50 | 1.0010, 1.0020 |" in page
    # Decoding is held against reading in the same round.
    row |= {"group": "decode", "ours": {**row["ours"], "of_read": {"median": 0.93}}}
    assert "| 1.0 GB/s | 93% |" in tables.table([row])
    assert "; 93% to 93% of reading" in tables.means([row])
    assert not tables.means([row | {"against": "another"}])  # ours against ours
    both = [row | {"group": group} for group in ("encoders", "prefill")]
    assert "- encoders and prefill: geometric mean 0.90x, 0 of 2 won" in tables.means(both)


def test_contenders(tmp_path):
    row = cases.rows(load(tmp_path, CASES))[0]
    fast, slow, new, broken = (
        peers.Peer(name, "onnxruntime", "x", ("f32",), ("plain",), ("a", "b"), "s")
        for name in ("fast", "slow", "new", "broken")
    )
    calibration = contenders.Calibration(tmp_path / "contenders.json")
    times = {"fast@a": 10.0, "fast@b": 9.0, "slow@a": 20.0, "slow@b": 30.0, "new@a": 10.0}
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
    calibration = contenders.Calibration(tmp_path / "contenders.json")
    chosen, left_out = calibration.choose(row, candidates)
    # The fastest file, and one that was never tried; nothing that was far away or failed.
    assert [who.name for who in chosen] == ["fast@b", "new@b", "new@a"]
    assert left_out["slow@a"]["ms"] == 20.0 and left_out["broken@a"]["error"] == "no"
    # The same with more threads.
    double = dataclasses.replace(row, threads=2)
    assert [who.name for who in calibration.choose(double, candidates)[0]] == [
        "fast@b",
        "new@b",
        "new@a",
    ]
    assert calibration.choose(double, candidates)[1]["slow@a"]["threads"] == 1
    # Where nothing is known, all with all files; one that is always there is no matter how slow.
    other = cases.rows(load(tmp_path, CASES))[1]
    assert len(calibration.choose(other, candidates)[0]) == 8
    always = peers.Candidate(dataclasses.replace(slow, always=True), "a")
    assert calibration.choose(row, [candidates[0], always])[0] == [candidates[0], always]
    assert calibration.seconds(row, chosen, 20) > calibration.seconds(row, chosen, 3) > 0


def test_peers_of_some_rows_only():
    rows = cases.rows(cases.load(BENCHMARKS / "cases.toml"))
    known = {peer.name: peer for peer in peers.load(BENCHMARKS / "peers.toml")}
    names = {row.case.name for row in rows}
    for peer in known.values():
        assert set(peer.cases) <= names
        taken = [row.case for row in rows if peer.takes(row)]
        assert taken and (not peer.padded or all(case.lengths for case in taken))
    assert known["openvino one by one"].padded and not known["openvino"].padded


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
    assert kernels.unused(rows, [("bf16/64x", "small"), ("f32/128x", "fast enough")]) == [
        "f32/128x"
    ]
    assert kernels.explanations(BENCHMARKS / "kernels/explanations.toml") is not None


FAKE_PROGRAM = """#!/usr/bin/env python3
import json, re, sys
names = ["peak/avx2_f32"] + [f"product/f32/{n}x1x1/permalloy/manual_time" for n in range(10)]
options = dict(a.removeprefix("--benchmark_").split("=", 1) for a in sys.argv[1:])
chosen = [name for name in names if re.search(options["filter"], name)]
if "list_tests" in options:
    print(*chosen, sep="\\n")
else:
    open(LOG, "a").write(" ".join(chosen) + "\\n")
    rates = [{"name": n, "run_type": "iteration", "gflops": g, "gbs": 1} for n in chosen for g in (1, 2)]
    json.dump({"benchmarks": rates}, open(options["out"], "w"))
"""


def test_kernels_are_measured_with_a_look_at_the_peaks_now_and_then(tmp_path):
    program, out, log = tmp_path / "program", tmp_path / "kernels.json", tmp_path / "log"
    program.write_text(FAKE_PROGRAM.replace("LOG", repr(str(log))))
    program.chmod(0o755)
    command = [sys.executable, BENCHMARKS / "kernels/run", "--program", program, "--out", out]
    subprocess.run(command, check=True, capture_output=True)
    rows = json.loads(out.read_text())["rows"]
    assert len(rows) == 11 and rows["product/f32/3x1x1/permalloy"]["gflops"] == 2
    runs = log.read_text().splitlines()
    assert len(runs) == 10
    assert [number for number, run in enumerate(runs) if "peak" in run] == [0, 8]


def test_a_quantized_row_is_won_only_when_it_is_no_less_exact():
    row = row_of((1.2, 1.3, 1.4))
    row["precision"] = "int4"
    for ours, verdict in ((0.97, "won"), (0.96, "won"), (0.95, "less exact")):
        row["ours"]["cosine"], row["peers"]["p0@dyn18"]["cosine"] = ours, 0.96
        measure.judge(row)
        assert row["verdict"] == verdict
    assert "1.0, cosine 0.9500 |" in tables.table([row]) and "1.0, cosine 0.9600 |" in tables.table(
        [row]
    )
    row["precision"] = "bf16"
    measure.judge(row)
    assert row["verdict"] == "won"
