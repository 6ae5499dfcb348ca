# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Random cases of onnxruntime's operators other than attention: a function of a random generator for each operator."""

import numpy as np
from onnx import TensorProto
from opcase import Arg, Case

FLOAT, INT32 = TensorProto.FLOAT, TensorProto.INT32


def floats(rng, *shape) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


def maybe(rng, value, chance=0.5):
    return value if rng.random() < chance else None


def tokens(rng, batch=None, width=None) -> Arg:
    """[batch, sequence, width], the first two dynamic."""
    shape = (batch or rng.integers(1, 4), rng.integers(1, 7), width or 8 * rng.integers(1, 5))
    return Arg(floats(rng, *shape), ("batch", "sequence", None))


def activation(op: str, bias: str):
    """`bias`: "no", "yes" or "maybe"."""

    def generate(rng) -> Case:
        x = tokens(rng) if rng.random() < 0.6 else Arg(3 * floats(rng, rng.integers(1, 40)), ("n",))
        inputs = [x]
        if bias == "yes" or (bias == "maybe" and rng.random() < 0.6):
            size = x.array.shape[-1]
            inputs = [Arg(x.array, (*x.dims[:-1], None)), Arg(floats(rng, size))]
        attributes = (
            {"alpha": float(rng.uniform(0.3, 2))}
            if op == "QuickGelu" and rng.random() < 0.7
            else {}
        )
        return Case(op, inputs, attributes)

    return generate


def fused_matmul(rng) -> Case:
    transposed = {name: int(rng.integers(2)) for name in ("transA", "transB")}
    rank = int(rng.integers(2, 5))
    batches = {"transBatchA": 0, "transBatchB": 0}
    if rank > 2:
        batches = {name: int(rng.random() < 0.4) for name in batches}
    m, k, n = (int(size) for size in rng.integers(1, 9, 3))
    batch = [int(size) for size in rng.integers(1, 4, rank - 2)]

    def operand(rows, columns, swap, rotate, name):
        matrix = [columns, rows] if swap else [rows, columns]
        shape = [matrix[0], *batch, matrix[1]] if rotate else [*batch, *matrix]
        dims = [f"{name}{i}" if rng.random() < 0.3 else None for i in range(len(shape))]
        if rank > 2:  # the batch of both must be known to agree
            dims = [None] * len(shape)
        return Arg(floats(rng, *shape), tuple(dims))

    x = operand(m, k, transposed["transA"], batches["transBatchA"], "a")
    y = operand(k, n, transposed["transB"], batches["transBatchB"], "b")
    return Case("FusedMatMul", [x, y], transposed | batches | {"alpha": float(rng.uniform(-2, 2))})


def fused_gemm(rng) -> Case:
    m, k, n = (int(size) for size in rng.integers(1, 9, 3))
    attributes = {"transA": int(rng.integers(2)), "transB": int(rng.integers(2))}
    x = floats(rng, *((k, m) if attributes["transA"] else (m, k)))
    y = floats(rng, *((n, k) if attributes["transB"] else (k, n)))
    shapes = [(n,), (m, n), (1, n), (m, 1), (1,)]
    c = maybe(rng, Arg(floats(rng, *shapes[rng.integers(len(shapes))])), 0.8)
    if rng.random() < 0.6:
        attributes |= {"alpha": float(rng.uniform(0.2, 2)), "beta": float(rng.uniform(0.2, 2))}
    name = ["Relu", "Tanh", "Sigmoid", "LeakyRelu", "HardSigmoid"][rng.integers(5)]
    attributes["activation"] = name
    if name in ("LeakyRelu", "HardSigmoid"):
        attributes["activation_alpha"] = float(rng.uniform(0.1, 0.5))
    if name == "HardSigmoid":
        attributes["activation_beta"] = float(rng.uniform(0.1, 0.7))
    return Case("FusedGemm", [Arg(x), Arg(y), c], attributes)


def skip_norm(simplified: bool):
    def generate(rng) -> Case:
        x = tokens(rng)
        batch, sequence, width = x.array.shape
        skip = Arg(floats(rng, batch, sequence, width), x.dims)
        kind = rng.integers(4)
        if kind == 0:
            skip = Arg(floats(rng, sequence, width), x.dims[1:])
        elif kind == 1:
            skip = Arg(floats(rng, 1, sequence, width), (None, *x.dims[1:]))
        elif kind == 2 and simplified:
            x = Arg(x.array[0], ("tokens", None))
            skip = Arg(floats(rng, sequence, width), x.dims)
        gamma, beta, bias = (Arg(floats(rng, width)) for _ in range(3))
        optional = [maybe(rng, bias)] if simplified else [maybe(rng, beta), maybe(rng, bias)]
        outputs = (FLOAT, None, None, FLOAT) if rng.random() < 0.6 else (FLOAT,)
        op = "SkipSimplifiedLayerNormalization" if simplified else "SkipLayerNormalization"
        epsilon = {"epsilon": float(10 ** rng.uniform(-12, -2))} if rng.random() < 0.8 else {}
        return Case(op, [x, skip, gamma, *optional], epsilon, outputs)

    return generate


def layer_norm(simplified: bool):
    """onnxruntime's spelling in the default domain, before ONNX had LayerNormalization (opset 17)."""

    def generate(rng) -> Case:
        x = tokens(rng)
        axis = int(rng.choice([-1, 2] if rng.random() < 0.7 else [-2, 1]))
        if axis in (1, -2):
            x = Arg(x.array, ("batch", None, None))
        gamma, bias = (Arg(floats(rng, *x.array.shape[axis:])) for _ in range(2))
        attributes = {"axis": axis, "epsilon": float(10 ** rng.uniform(-8, -2))}
        inputs = [x, gamma] if simplified else [x, gamma, maybe(rng, bias)]
        outputs = (FLOAT,)
        if rng.random() < 0.4:
            outputs = (FLOAT, FLOAT) if simplified else (FLOAT, FLOAT, FLOAT)
        op = "SimplifiedLayerNormalization" if simplified else "LayerNormalization"
        return Case(op, inputs, attributes, outputs, domain="", opset=16)

    return generate


def embed_norm(rng) -> Case:
    batch, sequence, width = (
        int(rng.integers(1, 4)),
        int(rng.integers(1, 7)),
        8 * int(rng.integers(1, 4)),
    )
    dims = ("batch", "sequence")

    def ids(limit, rows=batch):
        array = rng.integers(0, limit, (rows, sequence)).astype(np.int32)
        return Arg(array, dims if rows == batch and batch > 1 else (None, "sequence"))

    has_segments = rng.random() < 0.6
    words = Arg(rng.integers(0, 20, (batch, sequence)).astype(np.int32), dims)
    segments = Arg(rng.integers(0, 3, (batch, sequence)).astype(np.int32), dims)
    lengths = rng.integers(1, sequence + 1, batch)
    mask = Arg((np.arange(sequence) < lengths[:, None]).astype(np.int32), dims)
    inputs = [
        *(words, segments if has_segments else None),
        *(Arg(floats(rng, 20, width)), Arg(floats(rng, 10, width))),
        Arg(floats(rng, 3, width)) if has_segments else None,
        *(Arg(floats(rng, width)), Arg(floats(rng, width))),
        maybe(rng, mask),
        maybe(rng, Arg(rng.integers(0, 10, (batch, sequence)).astype(np.int32), dims)),
    ]
    outputs = (FLOAT, INT32, FLOAT) if rng.random() < 0.6 else (FLOAT, INT32)
    return Case(
        "EmbedLayerNormalization", inputs, {"epsilon": float(10 ** rng.uniform(-12, -2))}, outputs
    )


def rotary(rng) -> Case:
    batch, sequence = int(rng.integers(1, 4)), int(rng.integers(1, 7))
    heads, size = int(rng.integers(1, 4)), 8 * int(rng.integers(1, 4))
    rotated = size if rng.random() < 0.6 else size // 2
    attributes = {"interleaved": int(rng.integers(2)), "is_packed_batching": int(rng.integers(2))}
    packed = rng.random() < 0.6
    if rotated != size:
        attributes |= {"rotary_embedding_dim": rotated, "num_heads": heads}
    elif rng.random() < 0.5:
        attributes["num_heads"] = heads
    if packed:
        x = Arg(floats(rng, batch, sequence, heads * size), ("batch", "sequence", None))
    else:
        x = Arg(floats(rng, batch, heads, sequence, size), ("batch", None, "sequence", None))
    table = floats(rng, 12, rotated // 2)
    if rng.random() < 0.5:
        positions = Arg(rng.integers(0, 12, (batch, sequence)), ("batch", "sequence"))
    else:
        positions = Arg(rng.integers(0, 12 - sequence, 1))
    return Case(
        "RotaryEmbedding", [x, positions, Arg(np.cos(table)), Arg(np.sin(table))], attributes
    )


GENERATORS = {
    "gelu": activation("Gelu", "no"),
    "bias_gelu": activation("BiasGelu", "yes"),
    "fast_gelu": activation("FastGelu", "maybe"),
    "quick_gelu": activation("QuickGelu", "no"),
    "fused_matmul": fused_matmul,
    "fused_gemm": fused_gemm,
    "skip_layer_norm": skip_norm(False),
    "skip_simplified_layer_norm": skip_norm(True),
    "layer_norm": layer_norm(False),
    "simplified_layer_norm": layer_norm(True),
    "embed_layer_norm": embed_norm,
    "rotary": rotary,
}
