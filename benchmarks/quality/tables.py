# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The results of one model as a text table."""

from __future__ import annotations

from .tasks import Task

# Figures that are shares and read better in percent.
_PERCENT = ("accuracy", "change", "agreement", "rise")


def table(task: Task, rows: dict[str, dict]) -> str:
    """A line a level; figures with their 95% intervals, times beside f32's of the same run."""
    there = [row for row in rows.values() if "quality" in row]
    names = list(dict.fromkeys(name for row in there for name in row["quality"]))
    timed = list(there[0].get("latency", {}))
    head = ["level", "MB", *names, *(f"{name}: ms (f32 / it)" for name in timed)]
    lines = [head] + [_line(row, names, timed) for row in there]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    text = [f"{task.name} ({there[0]['threads']} threads)"]
    text += [
        "  " + "  ".join(cell.ljust(w) for cell, w in zip(line, widths)).rstrip() for line in lines
    ]
    text += [f"  {n}: refused: {row['refused']}" for n, row in rows.items() if "refused" in row]
    return "\n".join(text) + "\n"


def _line(row: dict, names: list[str], timed: list[str]) -> list[str]:
    cells = [row["level"], f"{row['bytes'] / 1e6:.2f}" if "bytes" in row else ""]
    quality = row["quality"]
    cells += [_figure(name, quality[name], "accuracy" in quality) if name in quality else "" for name in names]
    for name in timed:
        if "latency" not in row:  # a peer's row
            cells.append("")
            continue
        figures = row["latency"][name]
        ratio = figures["speedup"]
        cells.append(
            f"{figures['milliseconds']['median']:.3f} ({ratio['median']:.2f}, "
            f"{ratio['low']:.2f} to {ratio['high']:.2f})"
        )
    return cells


def _figure(name: str, figure: dict, is_share: bool) -> str:
    if name in _PERCENT or (name.startswith("over ") and is_share):
        form = "{:.2%}" if name in ("accuracy", "agreement") else "{:+.2%}"
    else:
        form = "{:.5f}" if "cosine" in name else "{:.4f}"
    value, low, high = (form.format(figure[key]) for key in ("value", "low", "high"))
    return value if low == high else f"{value} [{low}, {high}]"
