# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Results as Markdown: a table for each precision and number of threads, and what they come to."""

from __future__ import annotations

from collections.abc import Sequence

from .intervals import geometric_mean

# Rows that are judged by GB/s.
_MEMORY_BOUND = "decode"


def page(data: dict) -> str:
    """All of one kind of CPU."""
    parts = [
        f"# {data['machine']}, {data['cpus']} CPUs\n",
        "<!-- Written by benchmarks/report; do not edit. -->\n",
        (
            "Ratios are a peer's time by ours, medians of the pairs' ratios with 95% intervals: above 1 we are "
            "faster. A row is won when the interval to the best peer lies above 1.\n"
        ),
    ]
    for precision, threads in sorted(
        {(row["precision"], row["threads"]) for row in data["rows"].values()},
        key=lambda key: (key[0] != "f32", key[1]),
    ):
        rows = [
            row
            for row in data["rows"].values()
            if (row["precision"], row["threads"]) == (precision, threads)
        ]
        plural = "s" if threads > 1 else ""
        parts += [f"## {precision}, {threads} thread{plural}\n", table(rows), means(rows)]
    parts += [_memory(data), _settings(data)]
    return "\n".join(part for part in parts if part)


def table(rows: Sequence[dict]) -> str:
    lines = [
        "| case | ours ms | rate | of peak | best peer | its ms | ratio | verdict | other peers' ms |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*lines, *map(_line, rows)]) + "\n"


def means(rows: Sequence[dict]) -> str:
    """Geometric means of the ratios to the best peer, of each group and of all."""
    groups: dict[str, list[dict]] = {}
    for row in rows:
        if "verdict" in row and row["group"] != "export forms":
            name = f"{row['group']}, {row['form']}" if row["form"] != "plain" else row["group"]
            groups.setdefault(name, []).append(row)
    lines = []
    for name, members in groups.items():
        mean = geometric_mean([best_ratio(row)["median"] for row in members])
        won = sum(row["verdict"] == "won" for row in members)
        lines.append(f"- {name}: geometric mean {mean:.2f}x, {won} of {len(members)} won")
    return "\n".join(lines) + "\n" if lines else ""


def best_ratio(row: dict) -> dict:
    return row["peers"][row["best_peer"]]["ratio"]


def _line(row: dict) -> str:
    if "error" in row:
        return f"| {row['case']} | refused: {row['error']} |" + " |" * 7
    ours = row["ours"]
    memory = row["group"] == _MEMORY_BOUND
    rate = f"{ours['gbs']:.1f} GB/s" if memory else f"{ours['gflops']:.0f} GFLOP/s"
    share = ours.get("of_read_peak" if memory else "of_compute_peak")
    best = row.get("best_peer")
    cells = [row["case"], _ms(ours), rate, f"{100 * share:.0f}%" if share else ""]
    if best:
        peer, ratio = row["peers"][best], best_ratio(row)
        cells += [
            best,
            _ms(peer),
            f"**{ratio['median']:.2f}x** ({ratio['low']:.2f} to {ratio['high']:.2f})",
            row["verdict"],
        ]
    else:
        cells += ["", "", "", ""]
    others = [
        _other(name, peer, row["threads"])
        for name, peer in sorted(row["peers"].items())
        if name != best
    ]
    return "| " + " | ".join([*cells, ", ".join(others)]) + " |"


def _ms(times: dict) -> str:
    value = times["milliseconds"]["median"]
    return f"{value:.0f}" if value >= 1000 else f"{value:.1f}"


def _other(name: str, peer: dict, threads: int) -> str:
    if "milliseconds" in peer:
        return f"{name} {_ms(peer)}"
    earlier = peer.get("earlier", peer)
    if "ms" in earlier:
        # Most earlier passes had 1 thread, whatever the row has.
        other = "" if earlier.get("threads", 1) == threads else ", 1 thread"
        return f"{name} {earlier['ms']:.0f} (earlier pass{other})"
    return f"{name} failed"


def _memory(data: dict) -> str:
    """Peak memory of the processes, with 1 thread and in f32."""
    rows = [
        row
        for row in data["rows"].values()
        if row["precision"] == "f32" and row["threads"] == 1 and row.get("ours")
    ]
    lines = [
        f"| {row['case']} | {row['ours']['rss_mb']:.0f} | {peer['rss_mb']:.0f} |"
        for row in rows
        for name, peer in row["peers"].items()
        if name.startswith("onnxruntime") and "rss_mb" in peer
    ]
    if not lines:
        return ""
    head = ["## Peak memory of a process, MB", "", "| case | ours | onnxruntime |", "|---|---|---|"]
    return "\n".join([*head, *lines]) + "\n"


def _settings(data: dict) -> str:
    versions = {}
    for row in data["rows"].values():
        for name, peer in row["peers"].items():
            if "version" in peer:
                versions[name.split("@")[0]] = peer["version"]
    lines = [f"Permalloy {data['permalloy']}. Peers and their settings:\n"]
    for name, peer in data.get("peers", {}).items():
        lines.append(f"- {name} {versions.get(name, '')}: {peer['settings']}")
    lines += [f"- left out: {name}: {why}" for name, why in data.get("left_out", {}).items()]
    return "\n".join(lines) + "\n"
