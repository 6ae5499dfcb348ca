# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""ONNX's own backend tests of the operators that the importer knows, through import and interpreter.

Writes the cases of the installed onnx package into folders, runs permalloy-run-onnx-cases on them, and compares the cases
that do not pass with onnx-cases.txt, both ways: an unlisted failure and a listed pass are errors. A case whose axes, sizes
and the like are graph inputs, which must be known when a model is compiled, is tried again with its integer inputs of rank
0 and 1, and single numbers, as initializers.
"""

import argparse
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from onnx.backend.test.case.node import collect_testcases

LIST = Path(__file__).with_name("onnx-cases.txt")


def supported_ops(tool: str) -> set[tuple[str, str]]:
    """(domain, op) of every row of the importer's table."""
    lines = subprocess.run([tool, "--list-ops"], check=True, capture_output=True, text=True).stdout
    rows = [line.split() for line in lines.splitlines()]
    return {("" if row[0] == "ai.onnx" else row[0], row[1]) for row in rows}


SUPPORTED_TYPES = [
    TensorProto.BOOL, TensorProto.INT8, TensorProto.INT16, TensorProto.INT32, TensorProto.INT64,
    TensorProto.UINT8, TensorProto.UINT16, TensorProto.UINT32, TensorProto.UINT64,
    TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.FLOAT, TensorProto.DOUBLE,
]  # fmt: skip


def is_supported(value) -> bool:
    """A tensor, no sequence or map, of an element type that tfm has."""
    return (
        isinstance(value, np.ndarray | np.generic | TensorProto)
        and to_proto(value, "").data_type in SUPPORTED_TYPES
    )


def to_proto(value, name: str) -> TensorProto:
    if isinstance(value, TensorProto):
        value = TensorProto.FromString(value.SerializeToString())
        value.name = name
        return value
    return numpy_helper.from_array(np.asarray(value), name)


def is_parameter(tensor: TensorProto) -> bool:
    if tensor.data_type == TensorProto.FLOAT:  # the depth of a OneHot
        return np.prod(tensor.dims) == 1 and len(tensor.dims) <= 1
    return tensor.data_type in (TensorProto.INT64, TensorProto.INT32) and len(tensor.dims) <= 1


def rounding(value) -> float:
    """ONNX computes 16-bit results step by step in 16 bits, the interpreter rounds once: a few units in the last place."""
    data_type = to_proto(value, "").data_type
    return {TensorProto.FLOAT16: 2**-9, TensorProto.BFLOAT16: 2**-6}.get(data_type, 0.0)


def write_case(case, data, folder: Path, parameters_inline: bool) -> None:
    folder.mkdir(parents=True)
    model = onnx.ModelProto.FromString(case.model.SerializeToString())
    names = [value.name for value in model.graph.input]
    inputs = [to_proto(value, name) for name, value in zip(names, data[0], strict=False)]
    if parameters_inline:
        inline = [tensor for tensor in inputs if is_parameter(tensor)]
        model.graph.initializer.extend(inline)
        inputs = [tensor for tensor in inputs if not is_parameter(tensor)]
        kept = [
            value
            for value in model.graph.input
            if value.name not in {tensor.name for tensor in inline}
        ]
        del model.graph.input[:]
        model.graph.input.extend(kept)
    onnx.save(model, folder / "model.onnx")
    for i, tensor in enumerate(inputs):
        (folder / f"input_{i}.pb").write_bytes(tensor.SerializeToString())
    for i, value in enumerate(data[1]):
        (folder / f"output_{i}.pb").write_bytes(to_proto(value, f"out{i}").SerializeToString())
    rtol = max([case.rtol, *(rounding(value) for value in data[1])])
    (folder / "tolerance.txt").write_text(f"{rtol} {case.atol}\n")


def wanted(case, ops: set[tuple[str, str]]) -> bool:
    """Only operators of the table, on tensors of supported elements."""
    nodes = {(node.domain, node.op_type) for node in case.model.graph.node}
    values = [value for data in case.data_sets for side in data for value in side]
    return nodes <= ops and all(is_supported(value) for value in values)


def run(tool: str, folders: list[Path]) -> dict[str, tuple[str, str]]:
    verdicts = {}
    for start in range(0, len(folders), 200):
        chunk = folders[start : start + 200]
        out = subprocess.run([tool, *map(str, chunk)], capture_output=True, text=True, check=False)
        for line in out.stdout.splitlines():
            verdict, _, rest = line.partition(" ")
            name, _, why = rest.partition(": ")
            verdicts[name] = (verdict, why.strip())
        if out.returncode:
            died = next(folder.name for folder in chunk if folder.name not in verdicts)
            sys.exit(f"{tool} ended with {out.returncode} at {died}: {out.stderr[-2000:]}")
    return verdicts


def collect(tool: str, folder: Path, only: str) -> dict[str, tuple[str, str]]:
    ops = supported_ops(tool)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = {
            case.name: case
            for case in collect_testcases(None)
            if only in case.name and wanted(case, ops)
        }
    for inline in (False, True):
        for case in cases.values():
            write_case(case, case.data_sets[0], folder / f"inline{inline:d}" / case.name, inline)
    verdicts = run(tool, [folder / "inline0" / name for name in cases])
    again = [name for name, (verdict, _) in verdicts.items() if verdict != "pass"]
    retried = run(tool, [folder / "inline1" / name for name in again]) if again else {}
    return verdicts | retried


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tool", default="permalloy-run-onnx-cases")
    parser.add_argument(
        "--only", default="", help="cases whose name holds this text; the list is not compared"
    )
    parser.add_argument("--update", action="store_true", help="write onnx-cases.txt")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        verdicts = collect(arguments.tool, Path(folder), arguments.only)
    failing = {
        name: f"{verdict}: {why}"
        for name, (verdict, why) in sorted(verdicts.items())
        if verdict != "pass"
    }
    print(f"onnx {onnx.__version__}: {len(verdicts) - len(failing)} of {len(verdicts)} cases pass")
    if arguments.only or arguments.update:
        for name, why in failing.items():
            print(f"  {name} {why}")
    if arguments.update:
        header = (
            [line for line in LIST.read_text().splitlines() if line.startswith("#")]
            if LIST.exists()
            else []
        )
        LIST.write_text("\n".join([*header, *failing]) + "\n")
    if arguments.only or arguments.update:
        return 0
    listed = {
        line.split()[0]
        for line in LIST.read_text().splitlines()
        if line and not line.startswith("#")
    }
    for name in sorted(set(failing) - listed):
        print(f"fails but is not listed: {name} {failing[name]}")
    for name in sorted(listed - set(failing)):
        print(f"is listed but passes or does not exist: {name}")
    return int(set(failing) != listed)


if __name__ == "__main__":
    sys.exit(main())
