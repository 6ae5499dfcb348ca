# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""--merge-tokens: what the compiled model gives against token merging written in numpy."""

import json

import numpy as np
import onnx
import pytest
import small_vit
from small_vit import Config

CLASS = Config()
MEAN = Config(class_token=False, output="mean")
DENSE = Config(class_token=False, output="tokens", patches=None)


@pytest.fixture
def compiled(engines, tmp_path):
    """compiled(config, *options) -> the engines, and the weights."""

    def make(config, *options):
        values, path = small_vit.weights(config), tmp_path / "vit.onnx"
        onnx.save(small_vit.model(config, values), path)
        return engines(path, *options), values

    return make


def draw(config, batch, n=None, seed=1):
    """Patches, of which neighbours are alike, as in an image."""
    random = np.random.default_rng(seed)
    n = n or config.patches
    far = random.standard_normal((batch, n // 3 + 2, config.patch))
    near = 0.3 * random.standard_normal((batch, n, config.patch))
    return (np.repeat(far, 3, axis=1)[:, :n] + near).astype(np.float32)


def check(engines, values, config, patches, schedule, **options):
    expected = small_vit.forward(config, values, patches, schedule, **options)
    for threads in (1, 2):
        ours = engines.ours({"patches": patches}, threads)["logits"]
        assert ours.shape == expected.shape
        assert np.abs(ours - expected).max() <= 1e-4 * np.abs(expected).max()


def test_numpy_is_the_model(compiled):
    engines, values = compiled(CLASS)
    patches = draw(CLASS, 3)
    theirs = engines.theirs({"patches": patches})["logits"]
    assert np.abs(theirs - small_vit.forward(CLASS, values, patches)).max() < 1e-4
    check(engines, values, CLASS, patches, None)


@pytest.mark.parametrize(
    "text, schedule",
    [("5", [5, 5, 5, 5]), ("9,4,0", [9, 4, 0, 0]), ("8..2", [8, 6, 4, 2]), ("40", [40, 40, 40, 40])],
)
def test_class_token(compiled, text, schedule):
    engines, values = compiled(CLASS, "--merge-tokens", text)
    for batch in (1, 3):
        check(engines, values, CLASS, draw(CLASS, batch), schedule)


def test_sizes_do_not_count(compiled):
    engines, values = compiled(CLASS, "--merge-tokens", "6", "--no-token-sizes")
    check(engines, values, CLASS, draw(CLASS, 2), [6] * 4, count_sizes=False)


def test_values_instead_of_keys(compiled):
    engines, values = compiled(CLASS, "--merge-tokens", "6", "--token-score", "values")
    check(engines, values, CLASS, draw(CLASS, 2), [6] * 4, score="values")


def test_mean_over_tokens_is_weighted(compiled):
    engines, values = compiled(MEAN, "--merge-tokens", "6")
    check(engines, values, MEAN, draw(MEAN, 2), [6] * 4)


def test_every_token_of_any_number(compiled):
    """Dense outputs get all tokens back; the number of tokens is known while running only, and may be small."""
    engines, values = compiled(DENSE, "--merge-tokens", "7")
    for batch, n in ((2, 48), (1, 31), (2, 9), (1, 3), (1, 2)):
        check(engines, values, DENSE, draw(DENSE, batch, n), [7] * 4)


def test_equal_tokens_lose_nothing(compiled):
    """Each token twice: merged with sizes that count, the model computes what it did."""
    engines, values = compiled(DENSE, "--merge-tokens", "12,0")
    patches = np.repeat(draw(DENSE, 2, 12), 2, axis=1)
    plain = small_vit.forward(DENSE, values, patches)
    ours = engines.ours({"patches": patches})["logits"]
    assert np.abs(ours - plain).max() <= 1e-4 * np.abs(plain).max()


def test_sequences_do_not_mix(compiled):
    engines, _ = compiled(CLASS, "--merge-tokens", "6")
    patches = draw(CLASS, 4)
    together = engines.ours({"patches": patches})["logits"]
    for i in range(4):
        alone = engines.ours({"patches": patches[i : i + 1]})["logits"]
        assert np.abs(alone[0] - together[i]).max() <= 1e-5 * np.abs(together).max()


def test_zero_changes_nothing(compiled, permalloy, tmp_path):
    engines, _ = compiled(CLASS)
    patches = draw(CLASS, 2)
    before = engines.ours({"patches": patches})["logits"]
    engines, _ = compiled(CLASS, "--merge-tokens", "0")
    assert engines.ours({"patches": patches})["logits"].tobytes() == before.tobytes()


@pytest.mark.parametrize("options", [["--token-score", "random"], ["--token-score", "strided"]])
def test_other_scores_compile(compiled, options):
    engines, values = compiled(CLASS, "--merge-tokens", "6", *options)
    patches = draw(CLASS, 2)
    ours = engines.ours({"patches": patches})["logits"]
    tome = small_vit.forward(CLASS, values, patches, [6] * 4)
    assert np.isfinite(ours).all() and np.abs(ours - tome).max() > 1e-3


def test_pruning(compiled):
    engines, values = compiled(CLASS, "--merge-tokens", "prune6")
    ours = engines.ours({"patches": draw(CLASS, 2)})["logits"]
    assert np.isfinite(ours).all()


def test_plan(compiled, permalloy, tmp_path):
    """A plan is printed, edited and taken; a line of it that the model does not have is refused."""
    plan = tmp_path / "plan.json"
    compiled(CLASS, "--merge-tokens", "5", "--print-plan", plan)
    lines = json.loads(plan.read_text())["plan"]
    assert [line["level"] for line in lines if line["kind"] == "tokens"] == ["merge5"] * 4
    for line, level in zip(lines, ("merge0", "merge9", "merge0", "merge4")):
        line["level"] = level
    plan.write_text(json.dumps({"plan": lines}))
    engines, values = compiled(CLASS, "--plan", plan)
    check(engines, values, CLASS, draw(CLASS, 2), [0, 9, 0, 4])
    plan.write_text(json.dumps({"plan": [lines[0] | {"op": "nothing"}]}))
    said = permalloy("compile", tmp_path / "vit.onnx", "--plan", plan, "-o", tmp_path / "x.alloy", code=1).err
    assert 'the model has no attention "nothing"' in said


def test_says_what_it_did(compiled, permalloy, tmp_path):
    compiled(CLASS)
    said = permalloy("compile", tmp_path / "vit.onnx", "--merge-tokens", "5", "-o", tmp_path / "x.alloy").err
    assert "tokens: 4 blocks from 49 to 29 tokens, 1 protected" in said


@pytest.mark.parametrize(
    "options, words",
    [
        (["--merge-tokens", "five"], "'five' is no schedule of tokens"),
        (["--merge-tokens", "1,2,3,4,5"], "has 5 entries for 4 blocks"),
        (["--merge-tokens", "5", "--token-score", "best"], "'best' is unknown; there are random, strided, tome, values"),
    ],
)
def test_refused(compiled, refused, tmp_path, options, words):
    compiled(CLASS)
    refused("compile", tmp_path / "vit.onnx", *options, "-o", "x.alloy", words=[words])
