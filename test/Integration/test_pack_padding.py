# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""--pack-padding: real tokens as onnxruntime gives them whatever the mask, 0 at padded positions."""

import json

import numpy as np
import onnx
import pytest
import small_bert
from onnx import TensorProto, helper
from smallbert import SPELLINGS, Config, Options
from whole_models import TOLERANCE, bert_feed


def masks(batch, sequence, seed=1):
    """Padding of every kind by name; `mixed` has one in each row."""
    random = np.random.default_rng(seed)
    lengths = random.integers(1, sequence + 1, batch)
    right = (np.arange(sequence) < lengths[:, None]).astype(np.int64)
    holes = random.integers(0, 2, (batch, sequence))
    holes[:, 0] = 1
    empty = right.copy()
    empty[batch // 2] = 0
    mixed = np.where(np.arange(batch)[:, None] % 3 == 0, right, holes)
    mixed[batch - 1] = right[batch - 1][::-1]
    return {
        "ones": np.ones_like(right),
        "right": right,
        "left": right[:, ::-1].copy(),
        "holes": holes,
        "an empty row": empty,
        "mixed": mixed,
        "nothing": np.zeros_like(right),
        "one token": np.eye(batch, sequence, dtype=np.int64) * (np.arange(batch) == 0)[:, None],
    }


def feed_with(mask, vocabulary):
    return bert_feed(*mask.shape, vocabulary) | {"attention_mask": mask}


def check(engines, feed):
    """Real tokens of [batch, sequence, ...] outputs, and all of the others."""
    ours, theirs = engines.ours(feed), engines.theirs(feed)
    assert all(ours[n].tobytes() == two.tobytes() for n, two in engines.ours(feed, 2).items())
    mask = feed["attention_mask"]
    for name, expected in theirs.items():
        got, expected = ours[name], np.nan_to_num(expected)
        assert got.shape == expected.shape and got.dtype == expected.dtype
        if got.shape[:2] == mask.shape:
            assert not got[mask == 0].any(), f"{name} is not 0 at padded positions"
            got, expected = got[mask == 1], expected[mask == 1]
        scale = np.abs(expected).max(initial=1e-3)
        assert np.abs(got - expected).max(initial=0) <= TOLERANCE * scale, name


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_against_onnxruntime(engines, tmp_path, spelling):
    config, path = Config(), tmp_path / "model.onnx"
    small_bert.write(path, config, Options(spelling))
    both = engines(path, "--pack-padding")
    for batch, sequence in ((1, 1), (1, 9), (5, 12), (3, 48)):
        for mask in masks(batch, sequence).values():
            check(both, feed_with(mask, config.vocab_size))


@pytest.mark.parametrize("dims", [("batch=1",), ("sequence=16",), ("batch=2", "sequence=8")])
def test_fixed_sizes(engines, tmp_path, dims):
    config, path = Config(), tmp_path / "model.onnx"
    small_bert.write(path, config, Options("dyn18"))
    both = engines(path, "--pack-padding", *(part for dim in dims for part in ("--dim", dim)))
    sizes = {"batch": 3, "sequence": 9} | {k: int(v) for k, v in (dim.split("=") for dim in dims)}
    for mask in masks(sizes["batch"], sizes["sequence"]).values():
        check(both, feed_with(mask, config.vocab_size))


def test_the_same_as_without(engines, permalloy, tmp_path):
    """The flag changes real tokens by rounding at most."""
    config, path = Config(), tmp_path / "model.onnx"
    small_bert.write(path, config, Options("ts17"))
    packed = engines(path, "--pack-padding")
    plain = tmp_path / "plain.alloy"
    permalloy("compile", path, "-o", plain)
    for mask in masks(4, 40).values():
        feed = feed_with(mask, config.vocab_size)
        (ours,) = packed.ours(feed).values()
        packed.alloy, alloy = plain, packed.alloy
        (expected,) = packed.ours(feed).values()
        packed.alloy = alloy
        np.testing.assert_allclose(ours[mask == 1], expected[mask == 1], rtol=2e-5, atol=2e-6)


def add_heads(path, hidden):
    """Class token, masked mean and masked maximum behind the encoder."""
    model = onnx.load(path)
    graph, last = model.graph, model.graph.output[0].name

    def constant(name, value, kind=TensorProto.INT64):
        value = np.asarray(value)
        graph.initializer.append(helper.make_tensor(name, kind, value.shape, value.ravel().tolist()))

    constant("head.zero", 0)
    constant("head.axis1", [1])
    constant("head.axis2", [2])
    constant("head.tiny", 1e-9, TensorProto.FLOAT)
    constant("head.low", -1e9, TensorProto.FLOAT)
    nodes = [
        ("Gather", [last, "head.zero"], "class", {"axis": 1}),
        ("Unsqueeze", ["attention_mask", "head.axis2"], "m3", {}),
        ("Shape", [last], "shape", {}),
        ("Expand", ["m3", "shape"], "wide", {}),
        ("Cast", ["wide"], "weights", {"to": TensorProto.FLOAT}),
        ("Mul", [last, "weights"], "kept", {}),
        ("ReduceSum", ["kept", "head.axis1"], "sum", {"keepdims": 0}),
        ("ReduceSum", ["weights", "head.axis1"], "count", {"keepdims": 0}),
        ("Clip", ["count", "head.tiny"], "least", {}),
        ("Div", ["sum", "least"], "mean", {}),
        ("Equal", ["wide", "head.zero"], "hidden", {}),
        ("Where", ["hidden", "head.low", last], "shown", {}),
        ("ReduceMax", ["shown"], "largest", {"axes": [1], "keepdims": 0}),
    ]
    for op, inputs, output, attributes in nodes:
        graph.node.append(helper.make_node(op, inputs, [output], name=output, **attributes))
    for name in ("class", "mean", "largest"):
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", hidden]))
    onnx.save(model, path)


def test_heads(engines, tmp_path):
    config, path = Config(), tmp_path / "model.onnx"
    small_bert.write(path, config, Options("ts17"))
    add_heads(path, config.hidden_size)
    both = engines(path, "--pack-padding")
    for name, mask in masks(5, 12).items():
        if (mask[:, 0] == 1).all():  # else the class token is padding, which is 0
            check(both, feed_with(mask, config.vocab_size))


def test_an_unmasked_head_is_left_alone(engines, permalloy, tmp_path):
    config, path = Config(), tmp_path / "model.onnx"
    small_bert.write(path, config, Options("ts17"))
    model = onnx.load(path)
    last = model.graph.output[0].name
    model.graph.node.append(helper.make_node("ReduceMean", [last], ["mean"], name="mean", axes=[1]))
    model.graph.output.append(
        helper.make_tensor_value_info("mean", TensorProto.FLOAT, ["batch", 1, config.hidden_size])
    )
    onnx.save(model, path)
    said = permalloy("compile", path, "-o", tmp_path / "x.alloy", "--pack-padding").err
    assert "padding: 0 attentions without padding" in said
    assert '"mean" (reduce) mixes positions of the padding with others' in said
    engines(path, "--pack-padding").check(bert_feed(3, 9, config.vocab_size, padded=True))


def test_what_is_said(permalloy, tmp_path):
    config, path, alloy = Config(num_hidden_layers=3), tmp_path / "m.onnx", tmp_path / "m.alloy"
    small_bert.write(path, config, Options("ts17"))
    said = permalloy("compile", path, "-o", alloy, "--pack-padding", "--fusion-report").err
    assert said.count("padding: 3 attentions without padding\n") == 2
    assert "--pack-padding" in permalloy("inspect", alloy).out
    content = json.loads(permalloy("inspect", alloy, "--json").out)
    assert len(content["steps"]) <= 10 * config.num_hidden_layers + 6 + 12
    assert "padding" not in permalloy("compile", path, "-o", alloy).err


def test_verify_compares_real_tokens(permalloy, tmp_path):
    path = tmp_path / "m.onnx"
    small_bert.write(path, Config(), Options("ts17"))
    sizes = ("--dim", "batch=3", "--dim", "sequence=9", "--padding", "right")
    said = permalloy("verify", path, "--pack-padding", *sizes).out
    assert said.count("ok ") == 2 and "DIFFERS" not in said
