# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Models in f16 and bf16: converted, compiled, and compared with f32 arithmetic on the same weights."""

import json
import re

import convert_precision
import ml_dtypes
import numpy as np
import onnx
import pytest
import small_bert
from onnx import TensorProto, helper, numpy_helper
from smallbert import SPELLINGS, Config, Options

SIZES = ("--dim", "batch=1,3", "--dim", "sequence=1,7,48")


def write_half(path, precision, options, config=None):
    small_bert.write(path, config or Config(), options)
    onnx.save(convert_precision.convert(onnx.load(path), precision), path)


def verdicts(permalloy, path, *arguments, **options):
    lines = permalloy("verify", path, "--json", *arguments, **options).out.splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("precision", ("f16", "bf16"))
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_against_f32_arithmetic(permalloy, tmp_path, spelling, precision):
    """Onnxruntime on the widened model, and the interpreter, which rounds after each operation."""
    path = tmp_path / "model.onnx"
    write_half(path, precision, Options(spelling))
    results = verdicts(permalloy, path, *SIZES)
    assert len(results) == 6
    for result in results:
        assert result["status"] == "ok" and result["tolerance"] < 0.07
        assert all(output["cosine"] > 0.999 for output in result["outputs"])


@pytest.mark.parametrize("precision", ("f16", "bf16"))
def test_takes_the_fast_emitters(permalloy, tmp_path, precision):
    """The same products, attention and norms as in f32, none left to the generic emitter; half the size."""
    path, half = tmp_path / "model.onnx", tmp_path / "half.onnx"
    config = Config(hidden_size=128, num_attention_heads=4, intermediate_size=256)
    small_bert.write(path, config, Options("dyn18"))
    write_half(half, precision, Options("dyn18"), config)
    kinds = []
    for model in (path, half):
        alloy = model.with_suffix(".alloy")
        result = permalloy("compile", model, "-o", alloy)
        assert "takes the generic emitter" not in result.err
        steps = json.loads(permalloy("inspect", alloy, "--json").out)["steps"]
        names = [re.sub(r"(_b?f16)?_\d+$", "", step["kernel"]) for step in steps]
        kinds.append([names.count(kind) for kind in ("linear", "attention", "layer_norm")])
        text = permalloy("compile", model, "--emit=kern", "-o", "-").out
        for kind, emitter in (("linear", "contraction"), ("attention", "attention"), ("layer_norm", "row")):
            emitters = set(re.findall(rf"kern\.kernel @{kind}(?:_b?f16)?_\d+ (\w+)", text))
            assert emitters == {emitter}, f"{kind} is emitted by {emitters}"
    assert kinds[0] == kinds[1]
    sizes = [model.with_suffix(".alloy").stat().st_size for model in (half, path)]
    assert sizes[0] < 0.7 * sizes[1]


def test_a_wrong_result_is_found(permalloy, tmp_path):
    """The bound is no blank cheque: a weight that is off by a tenth is seen."""
    right, wrong = tmp_path / "right.onnx", tmp_path / "wrong.onnx"
    write_half(right, "f16", Options("plain17"))
    model = onnx.load(right)
    for tensor in model.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.ndim == 2 and array.dtype == np.float16:
            tensor.CopyFrom(numpy_helper.from_array((array * 1.1).astype(np.float16), tensor.name))
    onnx.save(model, wrong)
    alloy = tmp_path / "wrong.alloy"
    permalloy("compile", wrong, "-o", alloy)
    results = verdicts(permalloy, right, alloy, "--no-interpreter", code=1)
    assert [result["status"] for result in results] == ["differs"]


def float_input(name, element=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, element, [2, 3])


def convert_nodes(nodes, precision, initializers=(), opset=17, output=TensorProto.FLOAT):
    graph = helper.make_graph(
        nodes, "g", [float_input("x")], [float_input("y", output)], initializer=initializers
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    converted = convert_precision.convert(model, precision)
    onnx.checker.check_model(converted, full_check=True)
    return converted.graph


def test_conversion_keeps_masks_finite():
    mask = numpy_helper.from_array(np.array([-3.4e38, -np.inf, 1], np.float32), "m")
    for precision, lowest in (("f16", -65504.0), ("bf16", float(ml_dtypes.finfo("bfloat16").min))):
        graph = convert_nodes([helper.make_node("Add", ["x", "m"], ["y"])], precision, [mask])
        values = numpy_helper.to_array(graph.initializer[0]).astype(np.float64)
        assert values[1] == -np.inf and values[2] == 1
        assert values[0] == lowest or values[0] == pytest.approx(-3.4e38, rel=1e-2)


def test_conversion_casts_where_the_opset_lacks_the_type():
    """Celu is f32 only; the angle of a Sin needs f32."""
    for op in ("Celu", "Sin"):
        graph = convert_nodes([helper.make_node(op, ["x"], ["y"])], "bf16")
        kinds = [node.op_type for node in graph.node]
        assert kinds == ["Cast", op, "Cast"]
        assert graph.output[0].type.tensor_type.elem_type == TensorProto.BFLOAT16


def test_conversion_there_and_back_keeps_the_rounded_weights():
    weight = numpy_helper.from_array(np.array([0.1, 1 / 3, 1e-3], np.float32), "w")
    graph = convert_nodes([helper.make_node("Mul", ["x", "w"], ["y"])], "f16", [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    back = convert_precision.convert(model, "f32").graph
    expected = np.array([0.1, 1 / 3, 1e-3], np.float16).astype(np.float32)
    np.testing.assert_array_equal(numpy_helper.to_array(back.initializer[0]), expected)
    assert back.input[0].type.tensor_type.elem_type == TensorProto.FLOAT
