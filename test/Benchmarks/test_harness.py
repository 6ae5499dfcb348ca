# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The parts of the benchmark that need no model: statistics, case and peer files, inputs, comparing."""

import math
from pathlib import Path

import numpy as np
import pytest
from harness import (
    cases,
    compare,
    inputs,
    intervals,
    peers,
    work,
)
from small_cases import CASES, load

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


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
    assert work.bytes_read(minilm, "int4") == 0.5625 * weights  # a scale in f16 for 32
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
    assert "cosine" in refusal("int4", x=-x) and "cosine" in refusal("w8a8", x=-x)
    assert "inf" in refusal("f32", x=x[:2])
    assert refusal("f32", x=x * np.float32("nan")) and refusal("bf16", x=x * np.float32("nan"))
    assert "no output has a name" in refusal("f32", z=x)


@pytest.mark.parametrize("count", [32, 8, 1])
def test_a_padded_batch_in_parts_has_the_same_outputs(count):
    case = next(c for c in cases.load(BENCHMARKS / "cases.toml") if c.lengths)
    feeds = inputs.make(case)
    cut = inputs.parts(case, feeds, count)
    assert len(cut) == count and sorted(row for part in cut for row in part.rows) == list(range(32))
    if count == 32:
        assert all(part.feeds["attention_mask"].all() for part in cut)

    def model(feeds):  # a hidden state that tells the token and its text's mask
        wide = feeds["input_ids"][..., None] * feeds["attention_mask"][..., None]
        return {"h": wide.astype(np.float32)}

    joined = inputs.joined(case, cut, [model(part.feeds) for part in cut])["h"]
    assert np.array_equal(joined, inputs.compared(case, "h", model(feeds)["h"]))
    assert inputs.compared(case, "h", joined) is joined


def test_padding_is_not_compared():
    case = next(c for c in cases.load(BENCHMARKS / "cases.toml") if c.lengths)
    hidden = np.zeros((32, 128, 4), np.float32)
    assert inputs.compared(case, "h", hidden).shape == (sum(case.lengths), 4)
