# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Random cases of weights that stand as codes: MatMulNBits, and DequantizeLinear of stored matrices."""

import ml_dtypes
import numpy as np
from opcase import Arg, Case


def packed(codes: np.ndarray, bits: int) -> np.ndarray:
    """The last axis in bytes, the lowest bits first; padded with zeros."""
    parts = 8 // bits
    padding = [(0, 0)] * (codes.ndim - 1) + [(0, -codes.shape[-1] % parts)]
    codes = np.pad(codes, padding).reshape(*codes.shape[:-1], -1, parts).astype(np.uint8)
    return np.bitwise_or.reduce(codes << (bits * np.arange(parts, dtype=np.uint8)), -1)


def matmul_nbits(rng) -> Case:
    bits = int(rng.choice([4, 4, 4, 8, 2]))
    block = int(rng.choice([16, 32, 128]))
    k, n = int(rng.integers(1, 5)) * 32 + int(rng.choice([0, 0, 16, 5])), int(rng.integers(1, 40))
    blocks = -(-k // block)
    x = rng.standard_normal((int(rng.integers(1, 4)), int(rng.integers(1, 6)), k)).astype(
        np.float32
    )
    codes = rng.integers(0, 2**bits, (n, blocks, block))
    scales = rng.uniform(0.01, 0.1, (n, blocks)).astype(np.float32)
    inputs = [
        Arg(x, ("batch", "sequence", None)),
        Arg(packed(codes, bits), inline=True),
        Arg(scales, inline=True),
    ]
    kind = rng.integers(3)
    if kind == 1:  # packed as the codes are
        zeros = packed(rng.integers(0, 2**bits, (n, blocks)), bits)
        inputs.append(Arg(zeros, inline=True))
    elif kind == 2 and bits == 4:
        zeros = rng.integers(0, 2**bits, (n, blocks)).astype(np.float32) + 0.5
        inputs.append(Arg(zeros, inline=True))
    else:
        inputs.append(None)
    bias = Arg(rng.standard_normal(n).astype(np.float32), inline=True)
    inputs += [None, bias if rng.random() < 0.4 else None]
    attributes = {"K": k, "N": n, "bits": bits, "block_size": block}
    return Case("MatMulNBits", inputs, attributes)


def gather_block_quantized(rng) -> Case:
    bits, block = int(rng.choice([4, 8])), int(rng.choice([16, 32]))
    rows, columns = int(rng.integers(1, 20)), 16 * int(rng.integers(1, 6))
    blocks = -(-columns // block)
    inputs = [
        Arg(packed(rng.integers(0, 2**bits, (rows, columns)), bits), inline=True),
        Arg(rng.integers(0, rows, (2, 3)), ("batch", None)),
        Arg(rng.uniform(0.01, 0.1, (rows, blocks)).astype(np.float32), inline=True),
    ]
    if rng.random() < 0.5:
        zeros = packed(rng.integers(0, 2**bits, (rows, blocks)), bits)
        inputs.append(Arg(zeros, inline=True))
    attributes = {"bits": bits, "block_size": block, "gather_axis": 0, "quantize_axis": 1}
    return Case("GatherBlockQuantized", inputs, attributes)


def dequantize_linear(rng) -> Case:
    shape = tuple(int(size) for size in rng.integers(1, 9, 2) * 8)
    axis = int(rng.integers(2))
    kind = rng.choice([np.int8, np.uint8, ml_dtypes.int4, ml_dtypes.uint4])
    low, high = (-8, 8) if kind == ml_dtypes.int4 else (0, 16)
    if kind in (np.int8, np.uint8):
        low, high = np.iinfo(kind).min, np.iinfo(kind).max + 1

    def numbers(of):
        return rng.integers(low, high, of).astype(np.int16).astype(kind)

    attributes, scale_shape = {"axis": axis - 2 if rng.random() < 0.3 else axis}, ()
    granularity = rng.integers(3)
    if granularity == 1:
        scale_shape = (shape[axis],)
    elif granularity == 2:
        block = int(rng.choice([2, 4, 8]))
        attributes["block_size"] = block
        scale_shape = tuple(-(-s // block) if i == axis else s for i, s in enumerate(shape))
    scales = np.asarray(rng.uniform(0.01, 0.1, scale_shape), np.float32)
    inputs = [Arg(numbers(shape), inline=True), Arg(scales, inline=True)]
    if rng.random() < 0.5:
        inputs.append(Arg(np.asarray(numbers(scale_shape)), inline=True))
    return Case("DequantizeLinear", inputs, attributes, domain="", opset=21)


GENERATORS = {
    "MatMulNBits": matmul_nbits,
    "GatherBlockQuantized": gather_block_quantized,
    "DequantizeLinear": dequantize_linear,
}
