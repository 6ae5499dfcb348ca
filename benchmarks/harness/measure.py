# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""One row: all peers loaded, outputs checked, then turns; times, shares of the peaks, the verdict."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

from . import compare, machine, prepare, work
from .cases import Row
from .intervals import interval, median, rank
from .peers import Candidate
from .prepare import Workplace
from .process import Worker, WorkerError
from .turns import Turns, ratios

# Rounds that measure the peaks by which a row is not judged.
_FIRST_ROUNDS = 3


def measure(place: Workplace, row: Row, candidates: Sequence[Candidate], pairs: int) -> dict:
    """The row as the results keep it."""
    cores = machine.cores(row.threads)

    def start(path):
        return [prepare.peer_worker(place, row, cores, path, who) for who in candidates]

    return _measure(place, row, pairs, start)


def yardstick(place: Workplace, row: Row, other: Row, pairs: int) -> dict:
    """A row that is ours against ours: `other` stands where a peer would."""
    cores = machine.cores(row.threads)

    def start(_):
        path = prepare.reference(place, other.case, cores)
        worker = prepare.own_worker(place, other, cores, path)
        worker.name = other.case.name
        return [worker]

    return {**_measure(place, row, pairs, start), "against": other.case.name}


def header(row: Row) -> dict:
    """What a row's result begins with."""
    return {
        "case": row.case.name,
        "group": row.case.group,
        "precision": row.precision,
        "threads": row.threads,
        "form": row.case.form,
        "gflop": work.flops(row.case) / 1e9,
        "megabytes": work.bytes_read(row.case, row.precision) / 1e6,
        "peers": {},
    }


def _measure(place: Workplace, row: Row, pairs: int, start: Callable) -> dict:
    """`start` makes the workers of all but ours, given the reference's outputs. They load at the
    same time, which takes longest where a peer compiles."""
    result = header(row)
    with contextlib.ExitStack() as stack:
        try:
            cores = machine.cores(row.threads)
            path = prepare.reference(place, row.case, cores)
            ours = prepare.own_worker(place, row, cores, path)
            stack.callback(ours.close)
            rivals = start(path)
            for worker in rivals:
                stack.callback(worker.close)
            _admit(ours, row)
            live = _admitted(rivals, row, result)
            peaks = machine.Peaks(place.work, row.threads)
            stack.callback(peaks.close)
            turns = Turns(ours, live, pairs, settle=row.threads > 1)
            turns.take(lambda number: peaks.measure(_peaks_of(row, number)))
        except WorkerError as error:
            return {**result, "error": str(error)}
        result["peers"] |= {name: {"error": reason} for name, reason in turns.died.items()}
        _summarize(result, row, ours, turns.rivals, peaks)
    return result


def _admit(worker: Worker, row: Row):
    """Waits for a worker's model; WorkerError when its outputs are not the reference's."""
    info = worker.wait_until_loaded()
    if reason := compare.refusal(info, row.precision):
        raise WorkerError(reason)


def _admitted(workers: Sequence[Worker], row: Row, result: dict) -> list[Worker]:
    admitted = []
    for worker in workers:
        try:
            _admit(worker, row)
            admitted.append(worker)
        except WorkerError as error:
            result["peers"][worker.name] = {"error": str(error)}
            worker.close()
    return admitted


def _peaks_of(row: Row, number: int) -> list[str]:
    """What a round measures: the peak by which the row is judged always, others a few times."""
    names = {"compute": machine.compute_peaks(row.precision), "read": [machine.READS[0]]}
    judged = "read" if work.is_memory_bound(row.case) else "compute"
    if number >= _FIRST_ROUNDS:
        return names[judged]
    return [*names["compute"], *machine.READS]


def _summarize(result: dict, row: Row, ours: Worker, rivals: Sequence[Worker], peaks):
    best = peaks.best()
    result["peaks"] = {name: round(rate / 1e9, 2) for name, rate in best.items()}
    result["peaks_median"] = {n: round(rate / 1e9, 2) for n, rate in peaks.medians().items()}
    result["ours"] = _times(ours, row, best)
    if shares := read_shares(ours, row, peaks):
        result["ours"]["of_read"] = interval(shares).plain()
    for rival in rivals:
        if pairs := ratios(ours, rival):
            result["peers"][rival.name] = {
                **_times(rival, row, best),
                "ratio": interval(pairs).plain(),
            }
    judge(result)


def read_shares(worker: Worker, row: Row, peaks) -> list[float]:
    """Of the rounds that measured reading: bytes a second by those of reading in the same round,
    each the median of its turn."""
    data = work.bytes_read(row.case, row.precision)
    rates = peaks.rounds(machine.READS[0])
    return [data / worker.seconds[n] / rate for n, rate in rates.items() if n in worker.seconds]


def _times(worker: Worker, row: Row, peaks: dict) -> dict:
    times = list(worker.seconds.values())
    seconds = median(times)
    info = worker.info
    numbers = {
        "milliseconds": {
            key: value * 1e3 if key != "count" else value
            for key, value in interval(times).plain().items()
        },
        "gflops": work.flops(row.case) / seconds / 1e9,
        "gbs": work.bytes_read(row.case, row.precision) / seconds / 1e9,
        "rss_mb": info["rss_mb"],
        "load_s": info["load_s"],
    }
    compute = next((peaks[n] for n in machine.compute_peaks(row.precision) if n in peaks), 0)
    if compute:
        numbers["of_compute_peak"] = numbers["gflops"] * 1e9 / compute
    if read := peaks.get(machine.READS[0]):
        numbers["of_read_peak"] = numbers["gbs"] * 1e9 / read
    kept = ("version", "target", "precision", "relative_error", "cosine")
    return numbers | {key: info[key] for key in kept if key in info}


def judge(result: dict):
    """Names the best peer (the least ratio of its time to ours) and the verdict against it: "open"
    where there are too few pairs for a 95% interval, whatever the few say; "less exact" where we are faster, but a quantized
    model's outputs are farther from f32 than that peer's."""
    ratios_of = {n: p["ratio"] for n, p in result["peers"].items() if "ratio" in p}
    if not ratios_of:
        return
    best = min(ratios_of, key=lambda name: ratios_of[name]["median"])
    result["best_peer"], ratio = best, ratios_of[best]
    if not rank(ratio["count"]):
        result["verdict"] = "open"
    else:
        result["verdict"] = "won" if ratio["low"] > 1 else "lost" if ratio["high"] < 1 else "tie"
    if result["verdict"] == "won" and _is_less_exact(result, result["peers"][best]):
        result["verdict"] = "less exact"


def _is_less_exact(result: dict, peer: dict) -> bool:
    """In f32 and bf16 all that is admitted counts as exact."""
    if result["precision"] in ("f32", "bf16"):
        return False
    return result["ours"]["cosine"] < peer["cosine"]
