# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""ONNX's own node tests through the importer and the reference interpreter.

Each case becomes a module: its imported function, and a function without arguments that calls it on the case's inputs and
expects the case's outputs.
"""

import re
import shutil
import subprocess
import warnings
from collections import defaultdict
from functools import cache
from os import environ
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.backend.test.case.node import collect_testcases

# Every operator of which the importer takes a case. An operator that it begins to take is added here.
OPERATOR_NAMES = """
Abs Add And ArgMax ArgMin Attention BatchNormalization Ceil Celu Clip Concat Constant ConstantOfShape Cos Div Dropout
Elu Equal Erf Exp Expand Flatten Floor Gather GatherElements GatherND Gelu Gemm GlobalAveragePool Greater GreaterOrEqual
HardSigmoid HardSwish Identity IsInf IsNaN LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax LpNormalization
MatMul Max Mean Min Mish Mod Mul Neg Or PRelu Pow RMSNormalization Range Reciprocal ReduceMax ReduceMin ReduceProd Relu
Reshape Round Selu Shape Sigmoid Sign Sin Size Slice Softmax Softplus Softsign Split Sqrt Sub Sum Swish Tan Tanh
ThresholdedRelu Transpose Trilu Where Xor
"""

ELEMENTS = {
    "float32": "f32",
    "float64": "f64",
    "float16": "f16",
    "bfloat16": "bf16",
    "bool": "i1",
    "int8": "i8",
    "uint8": "ui8",
    "int16": "i16",
    "uint16": "ui16",
    "int32": "i32",
    "uint32": "ui32",
    "int64": "i64",
    "uint64": "ui64",
}
# Two units in the last place of the types that ONNX's numpy code rounds to after every step.
TOLERANCE = {"float16": "2.0e-3", "bfloat16": "1.6e-2"}


def find(tool):
    place = Path(environ.get("PERMALLOY_BUILD_DIR", "")) / "bin" / tool
    return (
        str(place) if environ.get("PERMALLOY_BUILD_DIR") and place.exists() else shutil.which(tool)
    )


@cache
def cases():
    """{operator: cases of one node}."""
    result = defaultdict(list)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for case in collect_testcases(None):
            if case.model is not None and len(case.model.graph.node) == 1:
                result[case.model.graph.node[0].op_type].append(case)
    return result


def tensor_type(array):
    return f"tensor<{''.join(f'{n}x' for n in array.shape)}{ELEMENTS[array.dtype.name]}>"


def constant(name, array):
    if array.dtype == bool:
        text = str(array.tolist()).lower() if array.size else ""
    else:
        text = f'"0x{array.tobytes().hex().upper()}"' if array.size else ""
    return f"    %{name} = tfm.constant dense<{text}> : {tensor_type(array)}\n"


def as_declared(name, array, declared):
    """The constant under the type that the function declares, which may have unknown dimensions."""
    text = constant(f"{name}c", array)
    dims = ", ".join(f"#tfm.dim<{n}>" for n in array.shape)
    return (
        text
        + f"    %{name} = tfm.broadcast %{name}c dims [{dims}] : ({tensor_type(array)}) -> {declared}\n"
    )


def test_module(imported, inputs, outputs):
    head = next(line for line in imported.splitlines() if "func.func @main" in line)
    arguments = re.findall(r"%arg\d+: (tensor<[^>]*>)", head)
    results = re.findall(r"tensor<[^>]*>", head.split("->", 1)[1])
    body = "  func.func @test() {\n"
    for i, (array, declared) in enumerate(zip(inputs, arguments, strict=True)):
        body += as_declared(f"i{i}", array, declared)
    values = ", ".join(f"%i{i}" for i in range(len(inputs)))
    body += f"    %r:{len(results)} = func.call @main({values}) : ({', '.join(arguments)}) -> ({', '.join(results)})\n"
    for i, (array, declared) in enumerate(zip(outputs, results, strict=True)):
        tolerance = TOLERANCE.get(array.dtype.name, "1.0e-5")
        body += as_declared(f"e{i}", array, declared)
        body += f"    check.expect_close %r#{i}, %e{i} {{rtol = {tolerance} : f64, atol = {tolerance} : f64}} : {declared}\n"
    end = imported.rindex("\n}") + 1
    return imported[:end] + body + "    return\n  }\n" + imported[end:]


test_module.__test__ = False


def modules(operator, folder):
    """{case: module} of the cases that the importer takes and whose element types tfm has."""
    result = {}
    for case in cases()[operator]:
        inputs, outputs = ([np.asarray(array) for array in arrays] for arrays in case.data_sets[0])
        if any(array.dtype.name not in ELEMENTS for array in inputs + outputs):
            continue
        path = folder / f"{case.name}.onnx"
        onnx.save(case.model, path)
        done = subprocess.run(
            [find("permalloy"), "import", path], capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            result[case.name] = test_module(done.stdout, inputs, outputs)
    return result


@pytest.mark.skipif(
    not find("permalloy-opt"),
    reason="the compiler is not built (PERMALLOY_BUILD_DIR names no build with it)",
)
@pytest.mark.parametrize("operator", OPERATOR_NAMES.split())
def test_operator(operator, tmp_path):
    found = modules(operator, tmp_path)
    assert found, f"the importer takes no case of {operator} any more"
    failures = []
    for name, module in found.items():
        command = [
            find("permalloy-opt"),
            "-",
            "--check-interpret",
            "--mlir-print-op-on-diagnostic=false",
            "-o",
            "/dev/null",
        ]
        done = subprocess.run(command, input=module, capture_output=True, text=True, check=False)
        if done.returncode:
            failures.append(f"{name}: {done.stderr.splitlines()[0]}")
    assert not failures, "\n".join(failures)
