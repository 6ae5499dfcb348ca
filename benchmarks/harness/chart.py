# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The results as a drawing: for each case, the best peer's time by ours, with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from .tables import best_ratio

_ROW, _LEFT, _WIDTH, _RIGHT, _TOP = 22, 230, 420, 190, 56
_COLORS = {"won": "#2f7d4f", "tie": "#8a8a8a", "lost": "#b5442e", "open": "#c9c9c9"}
_TEXT = 'font-family="sans-serif" font-size="12" fill="#24292f"'


def draw(rows: Sequence[dict], title: str) -> str:
    """An SVG with a bar for each row that has a best peer."""
    rows = [row for row in rows if "verdict" in row]
    most = max([best_ratio(row)["high"] for row in rows] + [1.5])
    height = _TOP + _ROW * len(rows) + 30

    def x(ratio: float) -> float:
        return _LEFT + _WIDTH * ratio / most

    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + _WIDTH + _RIGHT}" '
            f'height="{height}">'
        ),
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        f'<text x="12" y="22" {_TEXT} font-weight="bold">{escape(title)}</text>',
        (
            f'<text x="12" y="42" {_TEXT} fill-opacity="0.7">time of the best peer by ours, median and '
            "95% interval of paired runs; beyond the line we are faster</text>"
        ),
    ]
    for number, row in enumerate(rows):
        parts += _bar(row, _TOP + _ROW * number, x)
    bottom = _TOP + _ROW * len(rows)
    parts.append(
        f'<line x1="{x(1):.1f}" x2="{x(1):.1f}" y1="{_TOP - 4}" y2="{bottom}" stroke="#24292f"/>'
    )
    step = 0.5 if most <= 4 else 1.0 if most <= 8 else 4.0
    for tick in range(int(most / step) + 1):
        parts.append(
            f'<text x="{x(tick * step):.1f}" y="{bottom + 18}" {_TEXT} text-anchor="middle">'
            f"{tick * step:g}x</text>"
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def _bar(row: dict, top: float, x) -> list[str]:
    ratio, color = best_ratio(row), _COLORS[row["verdict"]]
    middle = top + _ROW / 2
    return [
        (
            f'<text x="{_LEFT - 8}" y="{middle + 4}" {_TEXT} text-anchor="end">'
            f"{escape(row['case'])}</text>"
        ),
        (
            f'<rect x="{x(0):.1f}" y="{top + 4}" width="{x(ratio["median"]) - x(0):.1f}" '
            f'height="{_ROW - 8}" fill="{color}"/>'
        ),
        (
            f'<line x1="{x(ratio["low"]):.1f}" x2="{x(ratio["high"]):.1f}" y1="{middle}" '
            f'y2="{middle}" stroke="#24292f" stroke-width="2"/>'
        ),
        (
            f'<text x="{_LEFT + _WIDTH + 10}" y="{middle + 4}" {_TEXT}>{ratio["median"]:.2f}x '
            f"{escape(row['best_peer'])}{', lost' if row['verdict'] == 'lost' else ''}</text>"
        ),
    ]
