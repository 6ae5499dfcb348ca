# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Operators that onnxruntime adds to ONNX, on random attributes and optional inputs, against its CPU kernels.

Each operator has a generator of cases (contrib_cases.py, contrib_attention.py). All its cases go through the compiler as one
model, and those whose outputs are defined everywhere through the interpreter, which takes whole files.
"""

import os
import shutil
import subprocess
import zlib

import compiled
import contrib_attention
import contrib_cases
import contrib_quantized
import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from opcase import difference

onnxruntime = pytest.importorskip("onnxruntime")
TOOL = "permalloy-run-onnx-cases"
GENERATORS = contrib_cases.GENERATORS | contrib_attention.GENERATORS | contrib_quantized.GENERATORS
COUNT = 120 if os.environ.get("PERMALLOY_TEST_FULL") == "1" else 32
# float32 sums of at most a few hundred terms, in another order, of values of order 1.
RTOL, ATOL = 1e-4, 2e-5


@pytest.fixture(scope="module")
def peer():
    """cases(op) -> [(case, onnxruntime's outputs by name)], made once."""
    made = {}

    def cases(op):
        if op not in made:
            rng = np.random.default_rng(zlib.crc32(op.encode()))
            made[op] = [
                (case, expect(case)) for case in (GENERATORS[op](rng) for _ in range(COUNT))
            ]
        return made[op]

    return cases


def expect(case) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(
        case.model().SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = case.output_names()
    return dict(zip(names, session.run(names, case.feeds()), strict=True))


def mismatches(case, ours, theirs):
    for name, expected in theirs.items():
        keep = case.keep.get(int(name.removeprefix("out")))
        if problem := difference(ours[name], expected, RTOL, ATOL, keep):
            yield f"{name}: {problem}"


@pytest.mark.skipif(
    compiled.load() is None, reason="the Python package or the compiler is not built"
)
@pytest.mark.parametrize("op", GENERATORS)
def test_compiled(op, peer):
    cases = {f"c{i}": pair for i, pair in enumerate(peer(op))}
    results = compiled.run(
        {name: case.model() for name, (case, _) in cases.items()},
        {name: case.feeds() for name, (case, _) in cases.items()},
    )
    problems = []
    for name, (case, theirs) in cases.items():
        ours = results[name]
        found = [ours] if isinstance(ours, str) else list(mismatches(case, ours, theirs))
        problems += [f"{name} {case}: {problem}" for problem in found]
    assert not problems, f"{len(problems)} problems:\n" + "\n".join(problems[:20])


def write_case(folder, case, theirs):
    folder.mkdir()
    onnx.save(case.model(), folder / "model.onnx")
    for kind, arrays in (("input", case.feeds()), ("output", theirs)):
        for i, (name, array) in enumerate(arrays.items()):
            tensor = numpy_helper.from_array(array, name)
            (folder / f"{kind}_{i}.pb").write_bytes(tensor.SerializeToString())
    (folder / "tolerance.txt").write_text(f"{RTOL} {ATOL}\n")


@pytest.mark.skipif(shutil.which(TOOL) is None, reason=f"{TOOL} is not on PATH")
@pytest.mark.parametrize("op", GENERATORS)
def test_interpreted(op, peer, tmp_path):
    folders = []
    for i, (case, theirs) in enumerate(peer(op)):
        if all(keep.all() for keep in case.keep.values()):
            folders.append(tmp_path / f"c{i}")
            write_case(folders[-1], case, theirs)
    command = [TOOL, *map(str, folders)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(lines) == len(folders)
    problems = [line for line in lines if not line.startswith("pass ")]
    assert not problems, f"{len(problems)} problems:\n" + "\n".join(problems[:20])
