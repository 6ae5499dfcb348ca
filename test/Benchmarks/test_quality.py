# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The quality benchmark: levels, statistics, data, and a run on a few samples."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

from quality import command, digits, levels, losses, peers, statistics, tables, tasks, timing


@pytest.mark.parametrize(
    "name, flags, plain",
    [
        ("f32", "--precision f32", ""),
        ("w4g32asym", "--quantize w4g32asym", ""),
        ("w4g32+gptq", "--quantize w4g32 --solver gptq --calibrate {calibration}", "w4g32"),
        ("block50+obs", "--sparsify block50 --solver obs --calibrate {calibration}", "block50"),
        ("bf16+merge8", "--precision bf16 --merge-tokens 8",
         "bf16+merge8+random bf16+merge8+random1 bf16+merge8+random2 bf16+merge8+strided"),
        ("merge6+values", "--merge-tokens 6 --token-score values",
         "merge6+random merge6+random1 merge6+random2 merge6+strided"),
        ("merge8+random3", "--merge-tokens 8 --token-score random3", ""),
        ("prune20..0+strided", "--merge-tokens prune20..0 --token-score strided", ""),
        ("budget0.7", "--budget latency=0.7x --calibrate {calibration}", ""),
        ("plan=a/b.json", "--plan a/b.json", ""),
        ("2:4", "--sparsify 2:4", ""),
    ],
)
def test_level(name, flags, plain):
    level = levels.parse(name)
    assert (" ".join(level.flags), " ".join(level.plain)) == (flags, plain)


@pytest.mark.parametrize("name", ["w8+w4g32", "f32+bf16", "w8+", ""])
def test_contradicting_level(name):
    with pytest.raises(ValueError, match="level"):
        levels.parse(name)


def test_paired_interval_is_narrower_than_the_samples_are_different():
    random = np.random.default_rng(0)
    base = random.uniform(0.5, 2.0, 200)
    worse = base + random.uniform(0.009, 0.011, 200)
    alone = statistics.bootstrap(statistics.perplexity, [worse])
    rise = statistics.bootstrap(statistics.perplexity_rise, [worse, base])
    assert alone["high"] - alone["low"] > 0.2
    assert 0.009 < rise["low"] < rise["value"] < rise["high"] < 0.0112
    assert rise == statistics.bootstrap(statistics.perplexity_rise, [worse, base])


#: Stands in for peer_server.py: two answers, then an error.
_SERVER = """
import io, sys
import numpy as np
print("engine", sys.argv[1], file=sys.stderr)
for _ in range(2):
    length = int.from_bytes(sys.stdin.buffer.read(8), "little")
    with np.load(io.BytesIO(sys.stdin.buffer.read(length))) as file:
        answer = io.BytesIO()
        np.savez(answer, output=2 * file["x"])
    sys.stdout.buffer.write(len(answer.getvalue()).to_bytes(8, "little") + answer.getvalue())
    sys.stdout.buffer.flush()
sys.exit("no memory left")
"""


def test_peer_answers_until_it_fails(tmp_path, monkeypatch):
    server = tmp_path / "server.py"
    server.write_text(_SERVER)
    monkeypatch.setattr(peers, "_SERVER", server)
    monkeypatch.setenv("PERMALLOY_PEERS_PYTHON", sys.executable)
    with peers.runner("openvino w8a8", tmp_path / "m.onnx", tmp_path / "c.npz", 1) as run:
        for x in (np.arange(3.0), np.ones((2, 2))):
            np.testing.assert_array_equal(run({"x": x}), 2 * x)
        with pytest.raises(peers.Failed, match="no memory left"):
            run({"x": np.zeros(1)})


def test_a_peer_that_was_not_timed_has_a_line():
    figure = {"value": 1.0, "low": 1.0, "high": 1.0}
    ratio = {"median": 2.0, "low": 1.0, "high": 3.0}
    timed = {"prefill": {"milliseconds": {"median": 1.0}, "speedup": ratio}}
    ours = {"level": "w8", "threads": 1, "bytes": 5, "quality": {"KL": figure}, "latency": timed}
    rows = {"w8": ours, "peer": {"level": "peer", "threads": 1, "quality": {"KL": figure}}}
    text = tables.table(SimpleNamespace(name="language"), rows)
    assert "2.00, 1.00 to 3.00" in text and "peer" in text


def test_turns_have_everybody_as_often():
    counts = {"f32": 0, "w8": 0}

    def call(name):
        counts[name] += 1

    result = timing.by_turns({name: (lambda name=name: call(name)) for name in counts}, 7)
    assert counts["f32"] == counts["w8"] > 7
    assert result["f32"]["speedup"]["median"] == 1
    assert result["w8"]["speedup"]["count"] == 7


def test_scenes():
    images, corner, labels = digits.training(300, seed=3)
    assert images.shape == (300, 1, 16, 16) and images.dtype == np.float32
    assert set(labels) == set(range(10))
    # Where the digit is, a scene is one of those that may be trained on, but for the noise.
    known = digits.load(trained=True)[0]
    for image, (row, column) in zip(images[:, 0], corner):
        there = image[row : row + 8, column : column + 8]
        assert np.sqrt(((known - there) ** 2).mean((1, 2)).min()) < 2 * digits.NOISE
    again, _, _ = digits.training(300, seed=3)
    other, _, _ = digits.training(300, seed=4)
    assert (again == images).all() and not np.allclose(other, images)


def test_held_out_scenes_share_no_digit_with_training():
    mine, theirs = digits.load(trained=True)[0], digits.load(trained=False)[0]
    assert not {image.tobytes() for image in mine} & {image.tobytes() for image in theirs}
    images, labels = digits.held_out(8)
    assert images.shape == (8, 1, 16, 16)
    assert (labels == np.repeat(digits.load(trained=False)[1][:2], 4)).all()
    # The first scenes do not depend on how many are made, and scenes of one digit are not alike.
    assert (digits.held_out(4)[0] == images[:4]).all() and not np.allclose(images[0], images[1])


def test_scenes_of_one_digit_are_drawn_together():
    task = tasks.Digits(6)
    assert len(task.images) == 8
    logits = np.eye(10, dtype=np.float32)[task.labels] * 9
    logits[:4] = -logits[:4]
    figures = task.judge(list(logits), list(logits))
    # Two digits, of which one is wrong in all of its scenes.
    accuracy = figures["accuracy"]
    assert (accuracy["low"], accuracy["value"], accuracy["high"]) == (0, 0.5, 1)
    lost = losses.of(task, list(logits), list(logits))
    assert figures["KL"]["value"] == 0 and (lost["errors"] == [1, 0]).all()


def test_merging_stands_beside_the_mean_of_its_draws():
    row = {"level": "merge8", "plain": levels.parse("merge8").plain}
    half, all_right = np.array([0.0, 1.0] * 50), np.zeros(100)
    lost = {"merge8": all_right, "merge8+random": half, "merge8+random1": 1 - half}
    over = command._over(row, lost)
    assert list(over) == ["over random"]
    # Each image is right in one of two draws.
    assert over["over random"] == {"value": 0.5, "low": 0.5, "high": 0.5}


def test_perplexity_of_a_known_distribution():
    task = tasks.Language(windows=3)
    logits = np.full((256, 256), -np.log(256.0), np.float32)
    sharp = logits.copy()
    sharp[:, 0] += 1
    figures = task.judge([logits] * 3, [logits] * 3)
    assert figures["perplexity"]["value"] == pytest.approx(256, rel=1e-5)
    assert figures["bits per byte"]["value"] == pytest.approx(8, rel=1e-5)
    assert figures["KL"]["value"] == 0 and figures["agreement"]["value"] == 1


def test_run(tmp_path):
    permalloy = pytest.importorskip("permalloy")
    try:
        permalloy.compiler.find_compiler()
    except permalloy.CompileError as error:
        pytest.skip(str(error))
    command = [sys.executable, ROOT / "benchmarks/quality/run", "--models", "language", "digits"]
    command += ["--levels", "w99", "--samples", "24", "--pairs", "2", "--work", tmp_path]
    command += ["--out", tmp_path / "quality.json"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "w99: refused: " in done.stdout
    rows = json.loads((tmp_path / "quality.json").read_text())["rows"]
    language = rows["language, f32, 1 threads"]["quality"]
    assert language["perplexity"]["value"] < 3.5 and language["rise"]["value"] == 0
    assert abs(rows["language, bf16, 1 threads"]["quality"]["rise"]["value"]) < 0.01
    assert rows["digits, bf16, 1 threads"]["quality"]["accuracy"]["value"] >= 0.75
    assert rows["digits, bf16, 1 threads"]["bytes"] < rows["digits, f32, 1 threads"]["bytes"]


def test_model_equals_onnxruntime(tmp_path):
    """The committed files say the same to another runtime: perplexity is not an artefact of ours."""
    onnxruntime = pytest.importorskip("onnxruntime")
    task = tasks.Language(windows=4)
    session = onnxruntime.InferenceSession(str(task.model), providers=["CPUExecutionProvider"])
    outputs = task.outputs(lambda feed: session.run(["logits"], feed)[0])
    assert task.judge(outputs, outputs)["perplexity"]["value"] < 4
