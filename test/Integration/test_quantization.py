# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""--quantize: what it costs, what it leaves, plans, imported codes against onnxruntime, and what is refused."""

import json

import numpy as np
import onnx
import pytest
import small_bert
from onnx import TensorProto, helper, numpy_helper
from permalloy import InferenceSession
from smallbert import Config, Options

# Weights of 65,536 elements and more: every layer, and the table of words.
CONFIG = Config(hidden_size=256, num_attention_heads=4, intermediate_size=512, num_hidden_layers=2)
LAYERS = 6 * CONFIG.num_hidden_layers


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.onnx"
    small_bert.write(path, CONFIG, Options("dyn18"))
    return path


def compiled(permalloy, model, name, *options):
    alloy = model.with_name(f"{name}.alloy")
    result = permalloy("compile", model, "-o", alloy, "--no-database", *options)
    return alloy, json.loads(permalloy("inspect", alloy, "--json").out), result


def verified(permalloy, model, *options):
    lines = permalloy(
        *("verify", model, "--json", "--no-interpreter", "--dim", "batch=2", *options),
        *("--dim", "sequence=1,9"),
    ).out.splitlines()
    assert len(lines) == 2
    return [output for line in lines for output in json.loads(line)["outputs"]]


@pytest.mark.parametrize(
    ("level", "cosine"), [("w8", 0.9995), ("w8g64asym", 0.9995), ("w4g32", 0.97)]
)
def test_against_onnxruntime(permalloy, model, level, cosine):
    for output in verified(permalloy, model, "--quantize", level, "--tolerance", "1"):
        assert output["cosine"] >= cosine
        assert output["relative_error"] > 1e-5, "nothing was rounded"


def test_beside_bf16(permalloy, model):
    options = ("--quantize", "w8", "--precision", "bf16", "--tolerance", "1")
    assert all(output["cosine"] >= 0.999 for output in verified(permalloy, model, *options))


def test_file_shrinks_and_the_report_says_what_of(permalloy, model):
    wide, *_ = compiled(permalloy, model, "f32")
    alloy, info, result = compiled(permalloy, model, "w4", "--quantize", "w4g32")
    assert f"{LAYERS} linear" in result.err and "4.50 bits each" in result.err
    assert "its table is of positions" in result.err or "fewer than 65536 elements" in result.err
    assert alloy.stat().st_size < 0.4 * wide.stat().st_size
    assert sum("_w4_" in step["kernel"] for step in info["steps"]) >= LAYERS


def test_plan_is_printed_edited_and_taken_back(permalloy, model, tmp_path):
    path = tmp_path / "plan.json"
    whole, *_ = compiled(permalloy, model, "a", "--quantize", "w8", "--print-plan", path)
    plan = json.loads(path.read_text())
    layers = [c for c in plan["plan"] if c["kind"] == "linear" and c["level"] == "w8"]
    assert len(layers) == LAYERS and layers[0]["solver"] == "rtn"
    again, *_ = compiled(permalloy, model, "b", "--plan", path)
    assert abs(again.stat().st_size - whole.stat().st_size) < 4096
    layers[0]["level"] = "f32"
    layers[1]["level"] = "bf16+w4g64asym"
    path.write_text(json.dumps(plan))
    edited, info, _ = compiled(permalloy, model, "c", "--plan", path)
    names = [step["kernel"] for step in info["steps"]]
    assert any("_bf16_w4_" in name for name in names) and any("_w8_" in name for name in names)
    assert edited.stat().st_size != whole.stat().st_size


def test_solvers_differ(permalloy, model):
    errors = {}
    for solver in ("rtn", "absmax"):
        outputs = verified(
            permalloy, model, "--quantize", "w4g64", "--solver", solver, "--tolerance", "1"
        )
        errors[solver] = np.mean([output["relative_error"] for output in outputs])
    assert errors["rtn"] != errors["absmax"]


def test_refused(refused, model):
    refused("compile", model, "--quantize", "int4", words=["int4", "wBgG"])
    refused("compile", model, "--quantize", "w4g32,tail=w8", words=["head=LEVEL"])
    refused("compile", model, "--quantize", "w4g32", "--solver", "magic", words=["magic", "rtn"])
    refused("compile", model, "--solver", "rtn", code=2, words=["--quantize"])


def write_layer(path, weight):
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], name="the_layer")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 256])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 256])],
        [numpy_helper.from_array(weight, "w")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)


def test_rows_of_few_numbers_in_integers(permalloy, tmp_path):
    # All that a row has are outliers: nothing is left for the magnitude of its codes.
    weight = np.random.default_rng(0).standard_normal((256, 256)).astype(np.float32)
    path, alloy = tmp_path / "layer.onnx", tmp_path / "layer.alloy"
    write_layer(path, weight)
    x = np.zeros((40, 256), np.float32)
    for row in range(1, 40):
        x[row, [row, 5 * row]] = [1e4 * row, -3.0 * row] if row % 3 else [0.25, 0]
    permalloy("compile", path, "-o", alloy, "--quantize", "w8a8")
    got = InferenceSession(alloy).run(None, {"x": x})[0]
    want = x @ weight
    assert np.isfinite(got).all()
    assert (np.abs(got - want) <= 0.02 * np.abs(want).max(axis=1, keepdims=True)).all()


def test_weight_that_is_not_finite(permalloy, tmp_path):
    weight = np.ones((256, 256), np.float32)
    weight[3, 5] = np.nan
    path = tmp_path / "nan.onnx"
    write_layer(path, weight)
    result = permalloy("compile", path, "-o", tmp_path / "x.alloy", "--quantize", "w8", code=None)
    assert result.returncode != 0 and not (tmp_path / "x.alloy").exists()
    assert "the_layer" in result.err and "element [3, 5] of the weight is nan" in result.err
