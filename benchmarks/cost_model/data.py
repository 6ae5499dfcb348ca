# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Rows of tuning databases as arrays: what the compiler computes of them, cleaned and grouped.

A *group* is one kernel at one size, with its weights from one place; its rows are schedules. A *structure* is what `docs/tuning.md` calls so: a kernel without the
sizes that runs differ in. Splits are made of structures or of families (files), never of rows.
"""

import csv
import gzip
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

STEADY_MAD, STEADY_DRIFT = 0.03, 0.05
# Of rows without a yardstick, by the usual one: 226 by 214 GFLOP/s, from 4,394 schedules that were measured before and since.
SPEED_BEFORE = 226 / 214


@dataclass
class Rows:
    """Sorted by group. Arrays have an entry a row; `features` and `names` are as permalloy prints them."""

    names: list
    feature_hash: int
    features: np.ndarray  # f32
    time: np.ndarray  # nanoseconds at the usual speed of the machine, disturbances taken out where the default was measured by turns
    prior: np.ndarray  # nanoseconds at that speed
    noise: np.ndarray  # median distance from the median / median
    default: np.ndarray  # bool
    group: np.ndarray  # number of the kernel and size
    kernel: np.ndarray  # number of the kernel on a target and kind of CPU
    structure: np.ndarray  # number
    kind: np.ndarray  # "contraction f32"
    family: np.ndarray  # name of the file
    schedule: np.ndarray  # text
    cpu: np.ndarray  # kind of CPU

    def take(self, mask):
        fields = "features time prior noise default group kernel structure kind family schedule cpu"
        some = {name: getattr(self, name)[mask] for name in fields.split()}
        return Rows(self.names, self.feature_hash, **some)

    @property
    def y(self):
        return np.log(self.time / self.prior)

    def groups(self, least=1):
        """Index arrays of the groups with at least `least` schedules."""
        order = np.argsort(self.group, kind="stable")
        starts = np.flatnonzero(np.diff(self.group[order], prepend=-1))
        return [g for g in np.split(order, starts[1:]) if len(g) >= least]


def feature_lines(permalloy, database):
    """The CSV that `permalloy tune --features` prints of a database, which may be compressed."""
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder, "rows.jsonl")
        opener = gzip.open if str(database).endswith(".gz") else open
        with opener(database, "rb") as source, open(plain, "wb") as target:
            shutil.copyfileobj(source, target)
        table = Path(folder, "rows.csv")
        subprocess.run(
            [permalloy, "tune", "--features", table, "--database", plain],
            check=True, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        return table.read_text().splitlines()


def family_of(path):
    """tuning-intel-xeon-amx.jsonl.gz -> "corpus"; tuning-intel-xeon-amx-bert.jsonl.gz -> "bert"."""
    name = Path(path).name.split(".")[0]
    return name.rsplit("-", 1)[-1] if name.count("-") > 3 else "corpus"


def measured_time(records):
    """One time of a schedule's measurements, and whether it is steady. Those by turns with the default count, if there are any:
    both slowed down alike, so the quotient is what the schedule gains."""
    steady = [
        r
        for r in records
        if r["noise"] <= STEADY_MAD and abs(r["drift"] - 1) <= STEADY_DRIFT
    ]
    return steady or None


def load(permalloy, databases):
    """Rows of all files together; noisy rows are left out, equal measurements joined."""
    names, feature_hash, records = None, None, {}
    for database in databases:
        lines = feature_lines(permalloy, database)
        feature_hash = int(lines[0].split("feature_hash=")[1].split()[0], 16)
        header = lines[1].split(",")
        first = header.index("prior_ns") + 1
        names = header[first:]
        for cells in csv.reader(lines[2:]):
            r = dict(zip(header[:first], cells))
            key = (r["kernel"], f"{r['symbols']} {r['weight_span']}", f"{r['cpu']} {r['target']}", r["schedule"])
            records.setdefault(key, []).append({
                "time": at_usual_speed(r, float(r["median_ns"])), "drift": float(r["drift"]),
                "noise": float(r["mad_ns"]) / float(r["median_ns"]),
                "usual": at_usual_speed(r, float(r["default_ns"])), "prior": float(r["prior_ns"]), "default": r["default"] == "1",
                "structure": r["structure"], "kind": f"{r['emitter']} {kind_of(cells, header)}",
                "family": family_of(database), "features": np.array(cells[first:], np.float32),
            })  # fmt: skip
    return assemble(names, feature_hash, records)


def at_usual_speed(row, nanoseconds):
    """What would have been measured at the speed of the machine that the features are computed for: the prior says what a time is made of,
    the row how fast the machine was (`fma_gflops`, `read_gbps`). Rows of early versions do not say it: SPEED_BEFORE."""
    if float(row["fma_gflops"]) == 0:
        return nanoseconds * SPEED_BEFORE
    return nanoseconds * float(row["prior_ns"]) / float(row["prior_then_ns"])


def kind_of(cells, header):
    """The format of what is multiplied: f32, bf16, int8 (sums of integers), w4 and w8 (codes, decoded on the way), blocks."""
    value = lambda name: float(cells[header.index(name)])
    if value("block_columns"):
        return "int8 blocks" if value("integer") else "blocks"
    if value("integer"):
        return "int8"
    if value("code_group"):
        return f"w{value('weight_bits'):.0f}"
    return "bf16" if value("input_bits") == 16 or value("key_bits") == 16 else "f32"


def assemble(names, feature_hash, records):
    usual = {}  # of each group: the default's time
    for key, rows in records.items():
        steady = measured_time(rows)
        if steady and any(r["default"] for r in rows):
            usual[key[:3]] = np.exp(np.mean([np.log(r["time"]) for r in steady]))
    kept = []
    for key, rows in records.items():
        steady = measured_time(rows)
        if not steady:
            continue
        turns = [r for r in steady if r["usual"] > 0 and not r["default"]]
        if turns and key[:3] in usual:
            time = usual[key[:3]] * np.exp(np.mean([np.log(r["time"] / r["usual"]) for r in turns]))
        else:
            time = np.exp(np.mean([np.log(r["time"]) for r in steady]))
        noise = np.mean([r["noise"] for r in steady])
        kept.append((key, time, noise, any(r["default"] for r in rows), steady[-1]))
    kept.sort(key=lambda entry: entry[0][:3])
    number = lambda values: np.unique(values, return_inverse=True)[1]
    last = [entry[4] for entry in kept]
    return Rows(
        names, feature_hash,
        features=np.stack([r["features"] for r in last]),
        time=np.array([entry[1] for entry in kept]),
        prior=np.array([r["prior"] for r in last]),
        noise=np.array([entry[2] for entry in kept]),
        default=np.array([entry[3] for entry in kept]),
        group=number(["|".join(entry[0][:3]) for entry in kept]),
        kernel=number([f"{entry[0][0]} {entry[0][2]}" for entry in kept]),
        structure=number([r["structure"] for r in last]),
        kind=np.array([r["kind"] for r in last]),
        family=np.array([r["family"] for r in last]),
        schedule=np.array([entry[0][3] for entry in kept]),
        cpu=np.array([entry[0][2].split()[0] for entry in kept]),
    )  # fmt: skip


def repeats(permalloy, databases):
    """By kind of CPU: quotients of the slowest and the fastest of measurements of the same, steady ones, at the usual speed; the noise floor."""
    values = {}
    for database in databases:
        lines = feature_lines(permalloy, database)
        header = lines[1].split(",")
        first = header.index("prior_ns") + 1
        for cells in csv.reader(lines[2:]):
            r = dict(zip(header[:first], cells))
            time = float(r["median_ns"])
            if float(r["mad_ns"]) <= STEADY_MAD * time and abs(float(r["drift"]) - 1) <= STEADY_DRIFT:
                key = (family_of(database), *(r[n] for n in ("cpu", "kernel", "symbols", "weight_span", "schedule")))
                values.setdefault(key, []).append(at_usual_speed(r, time))
    quotients = {}
    for (_, cpu, *_), v in values.items():
        quotients.setdefault(cpu, [])
        if len(v) > 1:
            quotients[cpu].append(max(v) / min(v))
    return {cpu: np.array(of) for cpu, of in quotients.items()}
