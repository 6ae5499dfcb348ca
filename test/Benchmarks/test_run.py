# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""`benchmarks/run` from end to end on a small model, with onnxruntime alone."""

import json
import signal

import numpy as np


def rows(bench):
    return json.loads(bench.results.read_text())["rows"]


def test_measures_compares_and_resumes(bench):
    result = bench("--pairs", 3)
    assert result.returncode == 0, result.all
    first = rows(bench)
    assert list(first) == ["small b2 s16 | f32 | 1 threads", "small b1 s7 | f32 | 1 threads"]
    for row in first.values():
        peer = row["peers"]["onnxruntime@dyn18"]
        assert peer["ratio"]["count"] == 3 and row["best_peer"] == "onnxruntime@dyn18"
        assert row["verdict"] == "open"  # three pairs say nothing
        assert 0 < row["ours"]["relative_error"] < 2e-4
        assert row["ours"]["gflops"] > 0 and row["ours"]["rss_mb"] > 0
        assert row["peaks"]["read_4k"] > 0 and row["peaks"]["avx2_f32"] > 0
    # What is there is not measured again, but with more pairs.
    assert "2 rows, 2 of them measured before" in bench("--pairs", 3).stdout
    again = bench("--pairs", 4, "--cases", "s7")
    assert "1 rows, 0 of them measured before" in again.stdout
    assert rows(bench)["small b1 s7 | f32 | 1 threads"]["pairs"] == 4


def test_refuses_to_time_other_outputs(bench):
    assert bench("--pairs", 1, "--cases", "s7").returncode == 0
    # A reference of another model: neither ours nor the peer's outputs are its.
    (folder,) = bench.work.glob("reference-*/")
    file = folder / "last_hidden_state.npy"
    np.save(file, np.load(file) + 1)
    result = bench("--pairs", 1, "--cases", "s7", "--again")
    assert result.returncode == 1
    assert "REFUSED: outputs differ from the reference by" in result.stdout
    (row,) = rows(bench).values()
    assert "ours" not in row and "allowed are 2e-04" in row["error"]


def test_each_file_is_tried_once(bench, models):
    (models / "small.ts17.onnx").write_bytes((models / "small.dyn18.onnx").read_bytes())
    try:
        assert bench("--pairs", 6, "--cases", "s7").returncode == 0
        (row,) = rows(bench).values()
        counts = {name: peer["ratio"]["count"] for name, peer in row["peers"].items()}
        assert set(counts) == {"onnxruntime@dyn18", "onnxruntime@ts17"}
        assert counts[row["best_peer"]] == 6 and row["verdict"] in ("won", "tie", "lost")
        path = bench.results.parent / "contenders.json"
        (known,) = json.loads(path.read_text())["rows"].values()
        assert set(known) == set(counts)
        assert "1 rows, 1 of them measured before" in bench("--pairs", 6, "--cases", "s7").stdout
        assert bench("--pairs", 7, "--cases", "s7").returncode == 0
        (row,) = rows(bench).values()
        assert list(row["peers"]) == [min(known, key=lambda name: known[name]["ratio"])]
        # A plan measures nothing.
        planned = bench("--pairs", 8, "--plan").stdout
        assert "2 rows, 0 of them measured before" in planned and "minutes" in planned
        assert len(rows(bench)) == 1
    finally:
        (models / "small.ts17.onnx").unlink()


def test_an_interrupt_keeps_what_was_measured(bench):
    process = bench.start("--pairs", 20)
    for line in process.stdout:
        if line.startswith("[1/2"):
            process.send_signal(signal.SIGINT)
            break
    rest = process.stdout.read()
    assert process.wait(timeout=60) == 130, rest
    assert "the same command goes on from here" in rest
    assert len(rows(bench)) == 1
    assert "2 rows, 1 of them measured before" in bench("--pairs", 20, "--plan").stdout


def test_says_what_is_missing(bench, tmp_path):
    result = bench(folder=tmp_path)
    assert result.returncode == 0
    assert "left out: small b2 s16 | f32 | 1 threads: no " in result.stdout
    result = bench("--cases", "large")
    assert result.returncode == 1 and "no case is named like large" in result.stderr
    result = bench("--peers", "onnxruntim")
    assert result.returncode == 1 and "no peer is named onnxruntim; known: " in result.stderr
