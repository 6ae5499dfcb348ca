# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Small decoders with their caches against onnxruntime, in each form."""

import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import small_decoder
from whole_models import ROOT

permalloy_package = pytest.importorskip("permalloy")
sys.path.insert(0, str(ROOT / "examples/generate"))
from decoders import FORMS, DropIn

TOLERANCE = 2e-4


@pytest.fixture(params=small_decoder.SPELLINGS)
def both(request, permalloy, tmp_path):
    """The decoder in ours and onnxruntime's session; ours is one that has caches."""
    path, alloy = tmp_path / "decoder.onnx", tmp_path / "decoder.alloy"
    onnx.save(small_decoder.build(request.param), path)
    report = permalloy("compile", path, "-o", alloy, "--fusion-report").err
    assert f"{small_decoder.LAYERS} attention" in report
    assert f"{2 * small_decoder.LAYERS} kv_append" in report
    theirs = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    ours = permalloy_package.InferenceSession(str(alloy))
    assert len(ours.caches) == 2 * small_decoder.LAYERS
    return ours, theirs


def tokens(batch, count, seed=0):
    return np.random.default_rng(seed).integers(0, small_decoder.VOCABULARY, (batch, count))


def assert_close(actual, expected):
    assert np.abs(actual - expected).max() <= TOLERANCE * np.abs(expected).max()


@pytest.mark.parametrize("form", FORMS)
def test_steps_equal_onnxruntimes(both, form):
    ours, theirs = both
    for batch, prompt in ((1, 5), (4, 3)):
        mine, peer = FORMS[form](ours, batch), DropIn(theirs, batch)
        ids = tokens(batch, prompt)
        for step in range(70):  # past the first capacity of 64 rows
            actual, expected = mine.step(ids), peer.step(ids)
            assert_close(actual, expected)
            ids = expected.argmax(1)[:, None]
            if step == 40:
                ids = tokens(batch, 3, seed=step)  # several tokens at once


@pytest.mark.parametrize("form", FORMS)
def test_decoding_equals_prefill(both, form):
    ours, _ = both
    ids = tokens(2, 24)
    whole, stepped = FORMS[form](ours, 2), FORMS[form](ours, 2)
    at_once = whole.step(ids)
    for i in range(24):
        last = stepped.step(ids[:, i : i + 1])
    assert_close(last, at_once)


def test_rollback_gives_the_same_again(both):
    ours, _ = both
    decoder, ids = FORMS["state"](ours, 1, capacity=4), tokens(1, 20)
    decoder.step(ids[:, :10])
    first = decoder.step(ids[:, 10:])
    decoder.state.truncate(10)
    decoder.length = 10
    assert np.array_equal(decoder.step(ids[:, 10:]), first)


def test_memory_is_what_the_formula_says(both, permalloy, tmp_path):
    ours, _ = both
    row = 2 * small_decoder.LAYERS * small_decoder.GROUPS * small_decoder.SIZE * 4
    state = ours.create_state(batch=3, capacity=100)
    assert state.nbytes == 3 * 100 * row
    text = permalloy("inspect", tmp_path / "decoder.alloy").out
    assert f"batch * capacity * {row} B" in text
