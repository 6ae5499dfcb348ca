# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Results as Markdown: a table for each precision and number of threads, and what they come to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from .cases import PRECISIONS
from .intervals import geometric_mean

# Rows that are judged by GB/s.
_MEMORY_BOUND = "decode"
_FEW = 3  # turns of a peer that is no contender


def page(data: dict, starting: dict | None = None) -> str:
    """All of one kind of CPU; `starting` is its startup.json."""
    parts = [
        f"# {data['machine']}, {data['cpus']} CPUs\n",
        "<!-- Written by benchmarks/report; do not edit. -->\n",
        (
            "Ratios are a peer's time by ours, medians of the pairs' ratios with 95% intervals: above 1 we are "
            'faster. A row is won when the interval to the best peer lies above 1, lost when it lies below; "less exact": faster, but farther from f32 than '
            "the best peer (cosines of the outputs stand beside the times of quantized models). Peers with a "
            "count had so few turns because they were no contenders. Of peak: operations of the best that was measured beside the row; "
            "for decoding, bytes of weights and cache by the rate of reading in the same round, medians with medians.\n"
        ),
    ]
    for precision, threads in sorted(
        {(row["precision"], row["threads"]) for row in data["rows"].values()},
        key=lambda key: (PRECISIONS.index(key[0]), key[1]),
    ):
        rows = [
            row
            for row in data["rows"].values()
            if (row["precision"], row["threads"]) == (precision, threads)
        ]
        plural = "s" if threads > 1 else ""
        title = f"{precision}, {threads} thread{plural}"
        drawn = any(map(compared_with_peers, rows))
        picture = f"![{title}]({precision}-{threads}-thread{plural}.svg)\n" if drawn else ""
        parts += [f"## {title}\n", picture, table(rows), means(rows)]
    parts += [_memory(data), startup(starting) if starting else "", _settings(data)]
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
        if compared_with_peers(row):
            name = f"{row['group']}, {row['form']}" if row["form"] != "plain" else row["group"]
            groups.setdefault(name, []).append(row)
    if {"encoders", "prefill"} <= groups.keys():
        groups["encoders and prefill"] = groups["encoders"] + groups["prefill"]
    return "".join(_mean(name, members) for name, members in groups.items())


def _mean(name: str, members: Sequence[dict]) -> str:
    mean = geometric_mean([best_ratio(row)["median"] for row in members])
    won = sum(row["verdict"] == "won" for row in members)
    text = f"- {name}: geometric mean {mean:.2f}x, {won} of {len(members)} won"
    if lost := [row["case"] for row in members if row["verdict"] == "lost"]:
        text += f", lost: {', '.join(lost)}"
    steps = [row["ours"] for row in members if row["group"] == _MEMORY_BOUND]
    if shares := [ours["of_read"]["median"] for ours in steps if "of_read" in ours]:
        text += f"; {100 * min(shares):.0f}% to {100 * max(shares):.0f}% of reading"
    return text + "\n"


def compared_with_peers(row: dict) -> bool:
    """Whether a row has a verdict against peers, not against another case of ours."""
    return "verdict" in row and "against" not in row


def best_ratio(row: dict) -> dict:
    return row["peers"][row["best_peer"]]["ratio"]


def _line(row: dict) -> str:
    if "error" in row:
        return f"| {row['case']} | refused: {row['error']} |" + " |" * 7
    ours = row["ours"]
    memory = row["group"] == _MEMORY_BOUND
    rate = f"{ours['gbs']:.1f} GB/s" if memory else f"{ours['gflops']:.0f} GFLOP/s"
    share = ours.get("of_compute_peak")
    if memory:
        share = ours["of_read"]["median"] if "of_read" in ours else ours.get("of_read_peak")
    best = row.get("best_peer")
    cells = [
        row["case"],
        _ms(ours) + _cosine(row, ours),
        rate,
        f"{100 * share:.0f}%" if share else "",
    ]
    if best:
        peer, ratio = row["peers"][best], best_ratio(row)
        cells += [
            best,
            _ms(peer) + _cosine(row, peer),
            f"**{ratio['median']:.2f}x** ({ratio['low']:.2f} to {ratio['high']:.2f})",
            f"**{row['verdict']}**" if row["verdict"] == "lost" else row["verdict"],
        ]
    else:
        cells += ["", "", "", ""]
    others = [
        _other(name, peer, row["threads"])
        for name, peer in sorted(row["peers"].items())
        if name != best
    ]
    return "| " + " | ".join([*cells, ", ".join(others)]) + " |"


def _cosine(row: dict, times: dict) -> str:
    """Of quantized models, whose outputs are not all alike."""
    if row["precision"] in ("f32", "bf16") or "cosine" not in times:
        return ""
    return f", cosine {times['cosine']:.4f}"


def _ms(times: dict) -> str:
    value = times["milliseconds"]["median"]
    return f"{value:.0f}" if value >= 1000 else f"{value:.1f}"


def _other(name: str, peer: dict, threads: int) -> str:
    if "milliseconds" in peer:
        count = peer["milliseconds"]["count"]
        return f"{name} {_ms(peer)}" + (f" ({count})" if count <= _FEW else "")
    earlier = peer.get("earlier", peer)
    if "ms" in earlier:
        other = "" if earlier.get("threads", 1) == threads else ", 1 thread"
        return f"{name} {earlier['ms']:.0f} (earlier row{other})"
    return f"{name} failed: {earlier['error'][:60]}"


def _memory(data: dict) -> str:
    """Peak memory of the processes, with 1 thread and in f32."""
    rows = [
        row
        for row in data["rows"].values()
        if row["precision"] == "f32" and row["threads"] == 1 and row.get("ours")
    ]
    pairs = []
    for row in rows:
        theirs = [
            peer["rss_mb"]
            for name, peer in row["peers"].items()
            if name.split("@")[0] == "onnxruntime" and "rss_mb" in peer
        ]
        if theirs:
            pairs.append((row["case"], row["ours"]["rss_mb"], min(theirs)))
    if not pairs:
        return ""
    below = sum(ours <= theirs for _, ours, theirs in pairs)
    head = [
        "## Peak memory of a process, MB\n",
        f"At most onnxruntime's in {below} of {len(pairs)} rows (f32, 1 thread).\n",
        "| case | ours | onnxruntime | |",
        "|---|---|---|---|",
    ]
    lines = [
        f"| {case} | {ours:.0f} | {theirs:.0f} | {'' if ours <= theirs else '**more**'} |"
        for case, ours, theirs in pairs
    ]
    return "\n".join([*head, *lines]) + "\n"


def startup(data: dict) -> str:
    """Of startup.json: sessions, compile times, sizes."""
    lines = [
        "## Start-up\n",
        (
            "Sessions in fresh processes, ours with the model compiled before; compiling with 2 CPUs and the kernel cache empty (cold) "
            f"or full (warm); the artifact's size by its weights for 1, 2, 3 targets. Permalloy {data['permalloy']}.\n"
        ),
        "| model | session ms | onnxruntime's | ratio | compile cold, warm s | size by weights |",
        "|---|---|---|---|---|---|",
    ]
    for row in data["rows"].values():
        both, ratio = row["sessions"], row["sessions"]["session_ratio"]
        sessions = [1e3 * both[who]["session_s"] for who in ("permalloy", "onnxruntime")]
        compiling = [f"{row['compile'][how]['seconds']:.2f}" for how in ("cold", "warm")]
        sizes = ", ".join(f"{artifact['ratio']:.4f}" for artifact in row["artifacts"])
        lines.append(
            f"| {row['model']} | {sessions[0]:.1f} | {sessions[1]:.0f} | {ratio['median']:.0f}x "
            f"({ratio['low']:.0f} to {ratio['high']:.0f}) | {', '.join(compiling)} | {sizes} |"
        )
    return "\n".join(lines) + "\n"


def _settings(data: dict) -> str:
    versions = {}
    for row in data["rows"].values():
        for name, peer in row["peers"].items():
            if "version" in peer:
                versions[name.split("@")[0]] = peer["version"]
    built = Counter(row.get("permalloy", data["permalloy"]) for row in data["rows"].values())
    rows = ", ".join(f"{version} ({count} rows)" for version, count in built.most_common())
    lines = [f"Permalloy {rows}. Peers and their settings:\n"]
    for name, peer in data.get("peers", {}).items():
        lines.append(f"- {name} {versions.get(name, '')}: {peer['settings']}")
    lines += [f"- left out: {name}: {why}" for name, why in data.get("left_out", {}).items()]
    return "\n".join(lines) + "\n"
