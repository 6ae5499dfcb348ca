# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Operators of com.microsoft through importer and interpreter against onnxruntime, one node at a time."""

import shutil
import subprocess

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

onnxruntime = pytest.importorskip("onnxruntime")
TOOL = "permalloy-run-onnx-cases"
pytestmark = pytest.mark.skipif(shutil.which(TOOL) is None, reason=f"{TOOL} is not on PATH")

BATCH, QUERIES, KEYS, WIDTH, HEADS = 2, 5, 7, 16, 4
random = np.random.default_rng(0)


def floats(*shape) -> np.ndarray:
    return random.standard_normal(shape).astype(np.float32)


x, skip, gamma, beta = (
    floats(BATCH, QUERIES, WIDTH),
    floats(BATCH, QUERIES, WIDTH),
    floats(WIDTH),
    floats(WIDTH),
)
weights, bias = floats(WIDTH, 3 * WIDTH) * np.float32(0.3), floats(3 * WIDTH)
key, value = floats(BATCH, KEYS, WIDTH), floats(BATCH, KEYS, WIDTH)
lengths = np.array([5, 3], np.int32)
mask = (np.arange(QUERIES) < lengths[:, None]).astype(np.int32)
key_mask = (np.arange(KEYS) < lengths[:, None]).astype(np.int32)
triangle = np.tril(np.ones((BATCH, QUERIES, QUERIES), np.int32))
ids = random.integers(0, 10, (BATCH, QUERIES)).astype(np.int32)
heads = {"num_heads": HEADS}

# name: operator, inputs (None: absent), attributes
CASES = {
    "attention": ("Attention", [x, weights, bias], heads),
    "attention_mask": ("Attention", [x, weights, bias, mask], heads),
    "attention_lengths": ("Attention", [x, weights, bias, lengths], heads),
    "attention_mask_3d": ("Attention", [x, weights, bias, triangle], heads),
    "attention_unidirectional": ("Attention", [x, weights, bias], heads | {"unidirectional": 1}),
    "attention_bias": (
        "Attention",
        [x, weights, bias, mask, None, floats(BATCH, HEADS, QUERIES, QUERIES)],
        heads | {"scale": 0.3},
    ),
    "multi_head": ("MultiHeadAttention", [x, key, value], heads),
    "multi_head_mask": ("MultiHeadAttention", [x, key, value, bias, key_mask], heads),
    "multi_head_bias": (
        "MultiHeadAttention",
        [x, key, value, None, None, floats(1, HEADS, QUERIES, KEYS)],
        heads,
    ),
    "skip_norm": (
        "SkipLayerNormalization",
        [x, skip, gamma, beta, floats(WIDTH)],
        {"epsilon": 1e-12},
    ),
    "skip_rms_norm": ("SkipSimplifiedLayerNormalization", [x, skip, gamma], {"epsilon": 1e-5}),
    "embed_norm": (
        "EmbedLayerNormalization",
        [ids, ids % 2, floats(10, WIDTH), floats(8, WIDTH), floats(2, WIDTH), gamma, beta],
        {"epsilon": 1e-12},
    ),
    "gelu": ("Gelu", [x], {}),
    "bias_gelu": ("BiasGelu", [x, gamma], {}),
    "fast_gelu": ("FastGelu", [x, gamma], {}),
    "quick_gelu": ("QuickGelu", [x], {"alpha": 1.3}),
    "fused_matmul": ("FusedMatMul", [x, skip], {"transB": 1, "alpha": 0.25}),
}


def make_model(op: str, feeds: dict, names: list[str], attributes: dict) -> onnx.ModelProto:
    """Batch and sequence are dynamic; parameters, whose sizes must be known, are not."""

    def value(name: str, array: np.ndarray) -> onnx.ValueInfoProto:
        dims = [
            {BATCH: "batch", QUERIES: "queries", KEYS: "keys"}.get(size, size)
            for size in array.shape
        ]
        return helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(array.dtype), dims
        )

    outputs = ["y", "unused"] if op == "EmbedLayerNormalization" else ["y"]
    node = helper.make_node(op, names, outputs, domain="com.microsoft", **attributes)
    result = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "g", [value(n, a) for n, a in feeds.items()], [result])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, ir_version=8, opset_imports=opsets)


@pytest.mark.parametrize("case", CASES)
def test_against_onnxruntime(case, tmp_path):
    op, inputs, attributes = CASES[case]
    names = ["" if array is None else f"in{i}" for i, array in enumerate(inputs)]
    feeds = {name: array for name, array in zip(names, inputs, strict=True) if name}
    model = make_model(op, feeds, names, attributes)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    expected = session.run(["y"], feeds)[0]
    onnx.save(model, tmp_path / "model.onnx")
    for i, (name, array) in enumerate(feeds.items()):
        (tmp_path / f"input_{i}.pb").write_bytes(
            numpy_helper.from_array(array, name).SerializeToString()
        )
    (tmp_path / "output_0.pb").write_bytes(
        numpy_helper.from_array(expected, "y").SerializeToString()
    )
    # float32 sums of at most 48 terms, in another order, of values of order 1.
    (tmp_path / "tolerance.txt").write_text("1e-4 1e-5\n")
    result = subprocess.run([TOOL, tmp_path], capture_output=True, text=True, check=True)
    assert result.stdout.startswith("pass"), result.stdout
