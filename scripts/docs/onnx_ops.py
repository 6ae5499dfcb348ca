# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes docs/onnx-ops.md from the importer's table and the installed onnx package.

onnx_ops.py [--tool build/bin/permalloy-run-onnx-cases] [--check]     --check: exit 1 when the page is not up to date
"""

import argparse
import subprocess
import sys
from pathlib import Path

import onnx
from onnx import defs

PAGE = Path(__file__).parents[2] / "docs" / "onnx-ops.md"
INTRODUCTION = """\
<!-- SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception -->
<!-- Written by scripts/docs/onnx_ops.py from lib/Import/OpTable; do not edit. -->
# ONNX operators

What the importer makes of every operator that onnx {version} knows (opset {opset}), and of some operators of onnxruntime. Models of
opset 7 to {opset} are accepted. `from` is the first version of the definition that is supported, `up to` the newest one whose meaning
the importer covers.

| what | meaning |
|---|---|
| structure | moves data: one `tfm` operation such as reshape, gather, slice |
| elementwise | an elementwise function or a reduction: one `tfm` operation with a kind |
| concept | something that transformers name: matmul, attention, norms, softmax |
| decomposed | several `tfm` operations |
| control | graphs inside: inlined when the choice is known, else functions of `tfm.if` and `tfm.while` |
| unsupported | refused at import; all such nodes of a model are named at once |

Element types: bool, 8 to 64-bit integers with and without sign, float16, bfloat16, float, double; stored tensors of 4-bit integers.
Scan, sequences, strings and 8-bit floats are unsupported. Functions of the model are inlined. Axes, sizes of splits and the like must not depend on
data; shapes may. Branches of an If that is decided while running must give equal shapes, and values that a Loop carries must keep
theirs.
"""


def table(tool: str) -> dict[tuple[str, str], list[str]]:
    lines = subprocess.run([tool, "--list-ops"], check=True, capture_output=True, text=True).stdout
    return {(row[0], row[1]): row[2:] for row in map(str.split, lines.splitlines())}


def page(rows: dict[tuple[str, str], list[str]]) -> str:
    known = {schema.name for schema in defs.get_all_schemas() if schema.domain == ""}
    text = INTRODUCTION.format(version=onnx.__version__, opset=defs.onnx_opset_version())
    counts = {}
    body = ""
    for name in sorted(known):
        first, reviewed, kind = rows.get(("ai.onnx", name), ["", "", "unsupported"])
        counts[kind] = counts.get(kind, 0) + 1
        body += f"| {name} | {kind} | {first} | {reviewed} |\n"
    summary = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
    text += f"\n## ai.onnx\n\n{len(known)} operators: {summary}.\n\n| operator | what | from | up to |\n|---|---|---|---|\n{body}"
    others = sorted(key for key in rows if key[0] != "ai.onnx" or key[1] not in known)
    text += "\n## Operators of onnxruntime\n\n| operator | what |\n|---|---|\n"
    for domain, name in others:
        text += f"| {domain}.{name} | {rows[domain, name][2]} |\n"
    return text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tool", default="permalloy-run-onnx-cases")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    text = page(table(arguments.tool))
    if arguments.check:
        if PAGE.read_text() != text:
            print(f"{PAGE} is not up to date: run {Path(__file__).name}")
            return 1
        return 0
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
