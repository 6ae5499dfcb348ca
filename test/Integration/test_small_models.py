# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Small BERT-like models in every spelling against onnxruntime."""

import json

import pytest
import small_bert
from smallbert import SPELLINGS, Config, Options
from whole_models import bert_feed

CASES = [Options(spelling) for spelling in SPELLINGS] + [
    Options("plain17", layer_norm="decomposed", gelu="tanh"),
    Options("ts17", layer_norm="decomposed", linear="gemm"),
    Options("dyn18", layer_norm="function", gelu="tanh"),
    Options("dyn23", layer_norm="decomposed", linear="gemm", gelu="tanh"),
]
SHAPES = ((1, 1), (1, 2), (3, 7), (8, 16), (2, 48))


def name_of(options):
    return f"{options.spelling}-{options.layer_norm}-{options.gelu}-{options.linear}"


@pytest.mark.parametrize("options", CASES, ids=name_of)
def test_against_onnxruntime(engines, tmp_path, options):
    config, path = Config(), tmp_path / "model.onnx"
    small_bert.write(path, config, options)
    both = engines(path)
    for batch, sequence in SHAPES:
        for padded in (False, True):
            both.check(bert_feed(batch, sequence, config.vocab_size, padded))


@pytest.mark.parametrize("options", CASES, ids=name_of)
def test_what_is_raised(permalloy, tmp_path, options):
    """Each layer has one attention, its norms and gelu in every spelling; equal layers share kernels."""
    config, path, alloy = Config(num_hidden_layers=3), tmp_path / "m.onnx", tmp_path / "m.alloy"
    small_bert.write(path, config, options)
    report = permalloy("compile", path, "-o", alloy, "--fusion-report").err
    assert "3 attention" in report and "7 layer_norm" in report and "3 linear with gelu" in report
    content = json.loads(permalloy("inspect", alloy, "--json").out)
    kernels = {step["kernel"] for step in content["steps"]}
    assert len(kernels) <= 20
    assert sum("attention" in step["kernel"] for step in content["steps"]) == 3
    assert len(content["steps"]) <= 10 * config.num_hidden_layers + 6
    # No mask or score matrix: no slot grows with the square of the sequence.
    for size in content["slots"]:
        assert size.count("sequence") <= 1, f"a slot of {size} bytes"


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_odd_sizes(engines, tmp_path, spelling):
    """Sizes that fit no vector register and no tile."""
    config = Config(hidden_size=42, num_attention_heads=3, intermediate_size=75, vocab_size=131)
    path = tmp_path / "model.onnx"
    small_bert.write(path, config, Options(spelling), seed=3)
    both = engines(path)
    for batch, sequence in ((1, 5), (3, 17), (2, 33)):
        both.check(bert_feed(batch, sequence, config.vocab_size, padded=True))


def test_fully_masked_row(engines, tmp_path):
    """What a sequence without any token gives depends on the spelling; ours is the spelling's."""
    for spelling in SPELLINGS:
        path = tmp_path / f"{spelling}.onnx"
        small_bert.write(path, Config(), Options(spelling))
        both = engines(path)
        feed = bert_feed(3, 9, 67)
        feed["attention_mask"][1] = 0
        both.check(feed)


def test_external_data_and_targets(engines, tmp_path):
    path = tmp_path / "model.onnx"
    small_bert.write(path, Config(), Options("dyn18"), external_data=True)
    both = engines(path, "--target", "x86-64-v3")
    both.check(bert_feed(3, 11, 67, padded=True))


@pytest.mark.parametrize("dims", ({"batch": "1..4", "sequence": "8"}, {"batch": "2"}))
def test_fixed_and_narrowed_dimensions(engines, permalloy, tmp_path, dims):
    path = tmp_path / "model.onnx"
    small_bert.write(path, Config())
    both = engines(path, *(f"--dim={name}={value}" for name, value in dims.items()))
    both.check(bert_feed(2, 8, 67, padded=True))
    result = permalloy("run", both.alloy, "--random", "--dim", "batch=9", code=1)
    assert "batch" in result.err  # out of its range, or no dimension any more


def test_no_batch_at_all(engines, tmp_path):
    path = tmp_path / "model.onnx"
    small_bert.write(path, Config())
    both = engines(path)
    assert both.ours(bert_feed(0, 4, 67))["last_hidden_state"].shape == (0, 4, 32)


def test_same_input_same_bytes(permalloy, tmp_path):
    path = tmp_path / "model.onnx"
    small_bert.write(path, Config(), Options("ts17"))
    files = []
    for number, jobs in enumerate((1, 2)):
        alloy = tmp_path / f"{number}.alloy"
        permalloy("compile", path, "-o", alloy, "--no-cache", "--threads", jobs)
        files.append(alloy.read_bytes())
    assert files[0] == files[1]
