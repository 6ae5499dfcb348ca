#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What each way to choose a schedule loses against the best measured one.

    benchmarks/tuning_regret.py DATABASE.jsonl [--least 8]

Regret is time(chosen) / time(best) - 1 at one kernel and size, over the schedules that were measured there. Rows that did not
pass the noise gate are left out. `estimate` chooses by `estimate_ns`, what the prior of that time said, `random` is the mean over all schedules.
"""

import argparse
import gzip
import json
import math
import statistics
from collections import defaultdict


def read(path):
    """Kernels by hash, and steady rows by (kernel, target, sizes)."""
    kernels, points = {}, defaultdict(dict)
    with gzip.open(path, "rt") if path.endswith(".gz") else open(path) as lines:
        for line in lines:
            entry = json.loads(line)
            if "row" in entry:
                if entry["mad_ns"] <= 0.03 * entry["median_ns"] and abs(entry["drift"] - 1) <= 0.05:
                    key = entry["row"], entry["target"], json.dumps(entry["symbols"])
                    points[key][json.dumps(entry["schedule"])] = entry
            elif "kernel" in entry:
                kernels[entry["kernel"]] = entry
    return kernels, points


def regrets(rows):
    """Regret of each way to choose at one point."""
    best = min(row["median_ns"] for row in rows)
    result = {"random": statistics.mean(row["median_ns"] for row in rows) / best - 1}
    defaults = [row for row in rows if row["default"]]
    if defaults:
        result["default"] = defaults[-1]["median_ns"] / best - 1
    if all(row["estimate_ns"] for row in rows):
        chosen = min(rows, key=lambda row: (row["estimate_ns"], not row["default"]))
        result["estimate"] = chosen["median_ns"] / best - 1
        errors = [abs(math.log(row["estimate_ns"] / row["median_ns"])) for row in rows]
        result["error of the estimate"] = math.exp(statistics.mean(errors)) - 1
        result["rank correlation"] = spearman(rows)
    return result


def ranks(values):
    order = sorted(range(len(values)), key=values.__getitem__)
    result = [0.0] * len(values)
    for rank, index in enumerate(order):
        result[index] = rank
    return result


def spearman(rows):
    a, b = ranks([r["estimate_ns"] for r in rows]), ranks([r["median_ns"] for r in rows])
    if len(set(a)) < 2:
        return 0.0
    return statistics.correlation(a, b)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("database")
    parser.add_argument(
        "--least", type=int, default=8, help="schedules that a point must have (default: 8)"
    )
    options = parser.parse_args()
    kernels, points = read(options.database)
    groups = defaultdict(lambda: defaultdict(list))
    for (kernel, target, _), rows in points.items():
        if len(rows) < min(
            options.least, 5 if kernels[kernel]["emitter"] in ("row", "generic") else options.least
        ):
            continue
        group = f"{kernels[kernel]['emitter']} {kernels[kernel]['dtype']}, {target}"
        for way, value in regrets(list(rows.values())).items():
            groups[group][way].append(value)
    print(
        "| kernels | points | chosen by | mean | median | 90% | worst |\n|---|---|---|---|---|---|---|"
    )
    for group in sorted(groups):
        for way, values in groups[group].items():
            values.sort()
            shown = [
                statistics.mean(values),
                statistics.median(values),
                values[int(0.9 * (len(values) - 1))],
                values[-1],
            ]
            cells = [f"{v:.2f}" if way == "rank correlation" else f"{100 * v:.1f}%" for v in shown]
            print(f"| {group} | {len(values)} | {way} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
