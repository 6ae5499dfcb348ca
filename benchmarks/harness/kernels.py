# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The kernel benchmark's results as the tables of docs/performance.md."""

from __future__ import annotations

import re
from pathlib import Path

import tomllib

#: A kernel below this share of what is possible needs an explanation (kernels/explanations.toml).
ENOUGH = 0.75
_TITLES = {
    "product/f32": "Products, f32 (GFLOP/s)",
    "product/bf16": "Products of bf16 with sums in f32 (GFLOP/s)",
    "attention/f32/full": "Attention, f32, 12 heads of 64 (GFLOP/s)",
    "attention/f32/causal": "Causal attention, f32 (GFLOP/s of the pairs that are seen)",
    "attention/bf16/full": "Attention, bf16",
    "attention/bf16/causal": "Causal attention, bf16",
}
_FEW_ROWS = 16  # decoding: weights are read for little work
_LIBRARIES = ("openblas", "onednn")


def explanations(path: Path) -> list[tuple[str, str]]:
    """Pairs of a regular expression for names and why such a kernel is where it is."""
    with path.open("rb") as file:
        return [(entry["names"], entry["why"]) for entry in tomllib.load(file).get("because", [])]


def tables(rows: dict, why: list[tuple[str, str]]) -> str:
    """Markdown of one kind of CPU."""
    peaks = {name.removeprefix("peak/"): row for name, row in rows.items() if "peak/" in name}
    parts = [_peaks(peaks)]
    for prefix, title in _TITLES.items():
        names = [n for n in rows if n.startswith(prefix + "/") and n.endswith("/permalloy")]
        if names:
            names.sort(key=_order)
            parts.append(_table(rows, names, prefix, title, peaks, why))
    return "\n".join(parts)


def share(name: str, row: dict, peaks: dict) -> tuple[float, str]:
    """Of the roof: reading memory for products of few rows, else the best unit for the type."""
    rows_of = re.search(r"product/\w+/(\d+)x", name)
    if rows_of and int(rows_of[1]) <= _FEW_ROWS:
        return row["gbs"] / peaks["read_4k"]["gbs"], "reading"
    units = ("amx_bf16",) if "/bf16/" in name else ()
    unit = next(u for u in (*units, "avx512_f32", "avx2_f32") if u in peaks)
    return row["gflops"] / peaks[unit]["gflops"], unit


def unexplained(rows: dict, why: list[tuple[str, str]]) -> list[str]:
    """Kernels of ours below ENOUGH that nothing explains."""
    peaks = {name.removeprefix("peak/"): row for name, row in rows.items() if "peak/" in name}
    return [
        name
        for name, row in rows.items()
        if name.endswith("/permalloy") and "gflops" in row
        if share(name, row, peaks)[0] < ENOUGH and not _why(name, why)
    ]


def unused(rows: dict, why: list[tuple[str, str]]) -> list[str]:
    """Explanations, by their names, of no kernel that is below ENOUGH: they are to be deleted."""
    peaks = {name.removeprefix("peak/"): row for name, row in rows.items() if "peak/" in name}
    slow = [
        name
        for name, row in rows.items()
        if name.endswith("/permalloy") and "gflops" in row
        if share(name, row, peaks)[0] < ENOUGH
    ]
    used = {next((n for n, _ in why if re.search(n, name)), "") for name in slow}
    return [names for names, _ in why if names not in used]


def _order(name: str) -> tuple:
    return tuple(int(number) for number in re.findall(r"\d+", name.split("/", 2)[2]))


def _why(name: str, why: list[tuple[str, str]]) -> str:
    return next((text for names, text in why if re.search(names, name)), "")


def _peaks(peaks: dict) -> str:
    def cell(row):
        return f"{row['gflops']:.0f} GFLOP/s" if row["gflops"] else f"{row['gbs']:.1f} GB/s"

    return "Peaks: " + ", ".join(f"{name} {cell(row)}" for name, row in peaks.items()) + ".\n"


def _table(rows, names, prefix, title, peaks, why) -> str:
    libraries = [lib for lib in _LIBRARIES if any(f"{n[:-9]}{lib}" in rows for n in names)]
    head = ["kernel", "permalloy", *libraries, "of the roof", "below 75%: why"]
    lines = [
        f"**{title}**\n",
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
    ]
    for name in names:
        row = rows[name]
        cells = [name.removesuffix("/permalloy").removeprefix(prefix + "/")]
        if "gflops" not in row:
            lines.append("| " + " | ".join([*cells, row["error"]]) + " |" * len(head[2:]) + " |")
            continue
        part, roof = share(name, row, peaks)
        reading = f" ({row['gbs']:.1f} GB/s)" if roof == "reading" else ""
        cells.append(f"{row['gflops']:.0f}{reading}")
        for library in libraries:
            other = rows.get(f"{name[:-9]}{library}", {})
            cells.append(f"{other['gflops']:.0f}" if "gflops" in other else "")
        cells += [f"{100 * part:.0f}% {roof}", _why(name, why) if part < ENOUGH else ""]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
