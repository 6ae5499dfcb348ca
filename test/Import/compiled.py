# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Runs many cases through the compiler and the runtime: all in one model, which is compiled once."""

from __future__ import annotations

import tempfile
from pathlib import Path

import onnx
from opcase import merge


def load():
    """The Python package and the compiler of the build under test; None where they are not built."""
    try:
        import permalloy
        from permalloy.compiler import find_compiler

        find_compiler()
    except Exception:  # noqa: BLE001 - neither installed nor on PATH
        return None
    return permalloy


def run(models: dict[str, onnx.ModelProto], feeds: dict[str, dict]) -> dict[str, dict | str]:
    """Outputs by name of each case, or the message with which it is refused.

    Where the model of all is refused, halves are tried: a case that cannot be compiled stands alone at last.
    """
    import permalloy

    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "cases.onnx"
            onnx.save(merge(models), path)
            alloy = permalloy.compile(path, Path(folder) / "cases.alloy")
            session = permalloy.InferenceSession(alloy)
            feed = {f"{name}/{key}": array for name in models for key, array in feeds[name].items()}
            names = [output.name for output in session.get_outputs()]
            outputs = dict(zip(names, session.run(names, feed), strict=True))
    except permalloy.errors.Error as error:
        if len(models) == 1:
            return dict.fromkeys(models, str(error))
        names = list(models)
        halves = names[: len(names) // 2], names[len(names) // 2 :]
        first, second = (run({name: models[name] for name in half}, feeds) for half in halves)
        return first | second
    results = {name: {} for name in models}
    for key, array in outputs.items():
        name, _, output = key.partition("/")
        results[name][output] = array
    return results
