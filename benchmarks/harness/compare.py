# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Outputs against the reference, onnxruntime's in f32, before anything is timed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

#: f32: sums in another order over a dozen layers, of the largest magnitude; measured 1e-5 at most.
LARGEST_ERROR = 2e-4
#: The others: the least cosine of any output, all of it as one vector. Quantized rows are kept apart from nonsense only; who is
#: better than whom is the verdict's (measure.judge).
LEAST_COSINE = {"bf16": 0.9995, "int8": 0.995, "int4": 0.7, "w8a8": 0.9}


@dataclass
class Difference:
    """The largest error of any output, of its largest magnitude; the least cosine of any."""

    relative_error: float
    cosine: float
    outputs: int  # how many were compared

    def plain(self) -> dict:
        return asdict(self)


def refusal(found: dict, precision: str) -> str:
    """Why outputs with this difference are not those of the model; "" when they are."""
    if found["outputs"] == 0:
        return "no output has a name of the reference's"
    if precision == "f32" and not found["relative_error"] <= LARGEST_ERROR:
        return (
            f"outputs differ from the reference by {found['relative_error']:.1e} of their largest "
            f"magnitude, allowed are {LARGEST_ERROR:.0e}"
        )
    if precision != "f32" and not found["cosine"] >= LEAST_COSINE[precision]:
        return (
            f"the outputs' cosine with the f32 reference is {found['cosine']:.5f}, allowed is no "
            f"less than {LEAST_COSINE[precision]}"
        )
    return ""


def write(path: Path, outputs: dict[str, np.ndarray]):
    """One .npy an output, so that they can be mapped; complete or not there at all."""
    temporary = path.with_name(path.name + ".new")
    temporary.mkdir(parents=True, exist_ok=True)
    for name, value in outputs.items():
        np.save(temporary / f"{name}.npy", value)
    temporary.rename(path)


def against(path: Path, outputs: dict[str, np.ndarray]) -> Difference:
    """Every output that the reference has too."""
    found = Difference(0.0, 1.0, 0)
    for name, actual in outputs.items():
        file = path / f"{name}.npy"
        if not file.exists():
            continue
        error, cosine = difference(np.load(file, mmap_mode="r"), actual)
        found.outputs += 1
        # `not <=` so that a NaN counts as worst.
        if not error <= found.relative_error:
            found.relative_error = error
        if not cosine >= found.cosine:
            found.cosine = cosine
    return found


def difference(expected: np.ndarray, actual: np.ndarray) -> tuple[float, float]:
    """Largest error, of the largest magnitude, and the cosine of both as vectors."""
    if expected.shape != actual.shape:
        return float("inf"), -1.0
    x, y = expected.ravel(), np.asarray(actual).ravel().astype(np.float32, copy=False)
    scale = float(np.abs(x).max(initial=0.0))
    error = float(np.abs(x - y).max(initial=0.0))
    norms = _norm(x) * _norm(y)
    cosine = _dot(x, y) / norms if norms else float(error == 0.0)
    return (error / scale if scale else error), cosine


def _dot(x, y) -> float:
    """In f64, a piece at a time: outputs have up to 50 million elements."""
    piece = 1 << 20
    return sum(
        float(x[i : i + piece].astype(np.float64) @ y[i : i + piece].astype(np.float64))
        for i in range(0, x.size, piece)
    )


def _norm(x) -> float:
    return _dot(x, x) ** 0.5
