# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""permalloy.backend, with a selection of onnx's own node tests run through onnx's own runner.

All node tests of all supported operators run in test/Import/test_onnx_cases.py, through the importer
and the interpreter; these here go through the compiler, the runtime and Python.
"""

import os
import re
import warnings
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("permalloy", reason="the Python package is not built")
pytest.importorskip("onnx")
import permalloy
from onnx import helper, parser
from onnx.backend.test import BackendTest
from permalloy import backend

SELECTED = (
    "abs|add|add_bcast|and2d|cast_FLOAT_to_DOUBLE|clip|concat_2d_axis_1|"
    "cos|div|equal|erf|exp|gather_0|gelu_default_1|greater|"
    "layer_normalization_default_axis|matmul_3d|max_example|mul_bcast|neg|pow|relu|"
    "shape|sigmoid|softmax_axis_1|sqrt|sub|tanh|transpose_all_permutations_3|where_example"
)


@pytest.fixture(scope="module", autouse=True)
def compiler(tmp_path_factory):
    """The compiler, with a cache of this file's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        try:
            yield permalloy.compiler.find_compiler()
        except permalloy.CompileError as error:
            pytest.skip(str(error))


MODEL = (
    '<ir_version: 8, opset_import: ["" : 17]> '
    "g (float[N, 3] x, float[3] y) => (float[N, 3] z) { z = Add(x, y) }"
)
X, Y = np.ones((2, 3), np.float32), np.arange(3, dtype=np.float32)


def test_runs_models():
    model = parser.parse_model(MODEL)
    assert backend.supports_device("CPU") and backend.supports_device("CPU:0")
    assert not backend.supports_device("CUDA:1")
    assert backend.is_compatible(model)
    prepared = backend.prepare(model, "CPU", intra_op_num_threads=1)
    for inputs in ([X, Y], {"y": Y, "x": X}):
        (z,) = prepared.run(inputs)
        np.testing.assert_array_equal(z, X + Y)
    np.testing.assert_array_equal(backend.run_model(model, (X, Y))[0], X + Y)


def test_runs_nodes():
    relu = helper.make_node("Relu", ["x"], ["y"])
    (y,) = backend.run_node(relu, X - 2)
    assert y.shape == (2, 3) and not y.any()
    add = helper.make_node("Add", ["x", "y"], ["z"])
    (z,) = backend.run_node(add, [X, Y], outputs_info=[(X.dtype, X.shape)], opset_version=14)
    np.testing.assert_array_equal(z, X + Y)
    split = helper.make_node("Split", ["x"], ["a", "b"], axis=0, num_outputs=2)
    assert [part.shape for part in backend.run_node(split, [X])] == [(1, 3), (1, 3)]


def test_refusals():
    model = parser.parse_model(MODEL)
    prepared = backend.prepare(model)
    with pytest.raises(permalloy.InvalidArgument, match="1 inputs given, the model has 2"):
        prepared.run(X)
    with pytest.raises(permalloy.InvalidArgument, match="device 'CUDA' is unsupported"):
        backend.prepare(model, "CUDA")
    with pytest.raises(permalloy.InvalidArgument, match="optimized_model_filepath is no option"):
        backend.prepare(model, optimized_model_filepath="/tmp/x")
    with pytest.raises(permalloy.InvalidArgument, match="1 inputs given, Add reads 2"):
        backend.run_node(helper.make_node("Add", ["x", "y"], ["z"]), [X])
    unique = parser.parse_model(MODEL.replace("Add(x, y)", "Unique(x)"))
    assert not backend.is_compatible(unique)
    with pytest.raises(permalloy.UnsupportedModel, match="Unique"):
        backend.prepare(unique)


def selected_cases():
    if not os.environ.get("PERMALLOY_COMPILER") and not _compiler_is_there():
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of onnx, about numbers that overflow on purpose
        runner = BackendTest(backend.PermalloyBackend, __name__)
    cases = runner.test_cases["OnnxBackendNodeModelTest"]
    for name in dir(cases):
        # Left out rather than skipped: thousands of tests that are not meant to run say nothing.
        if name.startswith("test_") and not re.fullmatch(f"test_({SELECTED})_cpu", name):
            delattr(cases, name)
    return {"OnnxBackendNodeModelTest": cases}


def _compiler_is_there() -> bool:
    try:
        return Path(permalloy.compiler.find_compiler()).exists()
    except permalloy.CompileError:
        return False


globals().update(selected_cases())
