# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""ONNX's backend tests of the transformer operators through compiler and runtime, with the tolerances of onnx_cases.py.

The cases of one opset go into one model. Those that onnx-cases.txt names need not pass here either; what passes through the
interpreter must pass when compiled.
"""

import warnings

import compiled
import numpy as np
import onnx
import onnx_cases
import pytest
from opcase import difference

OPERATORS = {
    *("Attention", "RotaryEmbedding", "RMSNormalization", "LayerNormalization", "TensorScatter"),
    *(
        "Gelu",
        "Swish",
        "SwiGLU",
        "Softmax",
        "Einsum",
        "GroupNormalization",
        "InstanceNormalization",
    ),
}


def collect() -> dict[str, tuple]:
    """name: (model, feeds, expected, rtol, atol), without cases of unsupported types."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = [
            case
            for case in onnx_cases.collect_testcases(None)
            if {node.op_type for node in case.model.graph.node} <= OPERATORS
        ]
    found = {}
    for case in cases:
        values = [value for side in case.data_sets[0] for value in side]
        if all(onnx_cases.is_supported(value) for value in values):
            found[case.name] = read(case)
    return found


def read(case) -> tuple:
    model = onnx.ModelProto.FromString(case.model.SerializeToString())
    inputs, outputs = case.data_sets[0]
    names = [value.name for value in model.graph.input]
    feeds = dict(zip(names, inputs, strict=False))
    rtol = max([case.rtol, *(onnx_cases.rounding(value) for value in outputs)])
    expected = dict(zip([value.name for value in model.graph.output], outputs, strict=True))
    return model, feeds, expected, rtol, case.atol


def groups(cases: dict) -> dict[str, list[str]]:
    """Names of cases that can share a model."""
    result = {}
    for name, (model, *_) in cases.items():
        key = str(sorted((item.domain, item.version) for item in model.opset_import))
        result.setdefault(key, []).append(name)
    return result


@pytest.mark.skipif(
    compiled.load() is None, reason="the Python package or the compiler is not built"
)
def test_compiled():
    cases = collect()
    problems = {}
    for names in groups(cases).values():
        results = compiled.run(
            {name: cases[name][0] for name in names}, {name: cases[name][1] for name in names}
        )
        for name in names:
            problem = compare(results[name], *cases[name][2:])
            if problem:
                problems[name] = problem
    listed = {
        line.split()[0]
        for line in onnx_cases.LIST.read_text().splitlines()
        if line and not line.startswith("#")
    }
    wrong = {name: why for name, why in problems.items() if name not in listed}
    print(
        f"onnx {onnx.__version__}: {len(cases) - len(problems)} of {len(cases)} cases pass when compiled"
    )
    assert len(cases) > 150 and not wrong, "\n".join(
        f"{name}: {why}" for name, why in wrong.items()
    )


def compare(ours, expected: dict, rtol: float, atol: float) -> str:
    if isinstance(ours, str):
        return ours
    found = [
        difference(ours[name], np.asarray(array), rtol, atol) for name, array in expected.items()
    ]
    return "; ".join(filter(None, found))
