# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""One row: all peers loaded, outputs checked, then turns round robin until there are enough pairs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from . import compare, machine, prepare, work
from .cases import Row
from .intervals import interval, median
from .peers import Candidate
from .prepare import Workplace
from .process import Worker, WorkerError

# Short runs: one that is not timed brings caches and branch predictors to their own state, then the
# median of several. Long ones warm themselves.
_SHORT_SECONDS, _SHORT_RUNS = 0.15, 3


def measure(
    place: Workplace,
    row: Row,
    contenders: Sequence[Candidate],
    others: Sequence[Candidate],
    pairs: int,
    other_pairs: int,
) -> dict:
    """The row as the results keep it. `contenders` get all pairs, `others` the first few."""
    cores = machine.cores(row.threads)
    result = {
        "case": row.case.name,
        "group": row.case.group,
        "precision": row.precision,
        "threads": row.threads,
        "form": row.case.form,
        "gflop": work.flops(row.case) / 1e9,
        "megabytes": work.bytes_read(row.case, row.precision) / 1e6,
        "peers": {},
    }
    quota = {who.name: pairs for who in contenders} | {who.name: other_pairs for who in others}
    with contextlib.ExitStack() as stack:
        peaks = machine.Peaks(place.work, row.threads)
        stack.callback(peaks.close)
        try:
            path = prepare.reference(place, row.case, cores)
            ours = prepare.own_worker(place, row, cores, path)
            stack.callback(ours.close)
            rivals = _start(place, row, cores, path, [*contenders, *others], stack)
            _admit(ours, row)
        except WorkerError as error:
            return {**result, "error": str(error)}
        live = list(_admitted(rivals, row, result))
        _turns(row, ours, live, quota, pairs, peaks, result)
        _summarize(result, row, ours, live, peaks)
    return result


def yardstick(place: Workplace, row: Row, other: Row, pairs: int) -> dict:
    """A row that is ours against ours: `other` stands where a peer would."""
    cores = machine.cores(row.threads)
    result = measure(place, row, [], [], 0, 0)
    if "error" in result:
        return result
    with contextlib.ExitStack() as stack:
        workers = []
        for each in (row, other):
            path = prepare.reference(place, each.case, cores)
            worker = prepare.own_worker(place, each, cores, path)
            stack.callback(worker.close)
            _admit(worker, each)
            workers.append(worker)
        ours, theirs = workers
        theirs.name = other.case.name
        peaks = machine.Peaks(place.work, row.threads)
        stack.callback(peaks.close)
        _turns(row, ours, [theirs], {theirs.name: pairs}, pairs, peaks, result)
        _summarize(result, row, ours, [theirs], peaks)
    return result


def _start(place, row, cores, path, candidates, stack) -> list[Worker]:
    """All at once: loading takes longest where a peer compiles."""
    workers = []
    for who in candidates:
        workers.append(prepare.peer_worker(place, row, cores, path, who))
        stack.callback(workers[-1].close)
    return workers


def _admit(worker: Worker, row: Row):
    """Waits for a worker's model; WorkerError when its outputs are not the reference's."""
    info = worker.wait_until_loaded()
    if reason := compare.refusal(info, row.precision):
        raise WorkerError(reason)


def _admitted(workers: Sequence[Worker], row: Row, result: dict) -> Iterator[Worker]:
    for worker in workers:
        try:
            _admit(worker, row)
            yield worker
        except WorkerError as error:
            result["peers"][worker.name] = {"error": str(error)}
            worker.close()


def _turns(row, ours, rivals, quota, pairs, peaks, result):
    """Turns of all, each round beginning with another; a peer leaves when it has its pairs. A peer
    that dies while it runs keeps its reason instead of times."""
    live = [ours, *rivals]

    def turn(worker, untimed: int, timed: int) -> list[float]:
        try:
            seconds = worker.turn(untimed, timed)
        except WorkerError as error:
            if worker is ours:
                raise
            result["peers"][worker.name] = {"error": str(error)}
            rivals.remove(worker)
            live.remove(worker)
            return []
        if row.threads > 1:
            worker.settle()
        return seconds

    # Only now is nobody loading beside them.
    runs = runs_of([seconds[0] for worker in list(live) if (seconds := turn(worker, 1, 1))])
    names = [*machine.compute_peaks(row.precision), *machine.READS]
    for number in range(max([pairs, *quota.values()])):
        peaks.measure(names)
        first = number % len(live)
        for worker in live[first:] + live[:first]:
            if seconds := turn(worker, *runs):
                worker.seconds.append(median(seconds))
        for worker in [w for w in live if w is not ours and number + 1 >= quota[w.name]]:
            live.remove(worker)
            worker.close()


def runs_of(seconds: Sequence[float]) -> tuple[int, int]:
    """Untimed and timed runs of a turn: the same for all of a row, or who is just below the limit
    would meet warm caches and who is just above it would not."""
    return (1, _SHORT_RUNS) if min(seconds) < _SHORT_SECONDS else (0, 1)


def _summarize(result: dict, row: Row, ours: Worker, rivals: Sequence[Worker], peaks):
    best = peaks.best()
    result["peaks"] = {name: round(rate / 1e9, 2) for name, rate in best.items()}
    result["ours"] = _times(ours, row, best)
    for rival in rivals:
        if rival.seconds:
            ratios = [their / our for our, their in zip(ours.seconds, rival.seconds)]
            result["peers"][rival.name] = {
                **_times(rival, row, best),
                "ratio": interval(ratios).plain(),
            }
    judge(result)


def _times(worker: Worker, row: Row, peaks: dict) -> dict:
    if not worker.seconds:
        return {}
    seconds = median(worker.seconds)
    info = worker.info
    numbers = {
        "milliseconds": {
            key: value * 1e3 if key != "count" else value
            for key, value in interval(worker.seconds).plain().items()
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
    """Names the best peer (the least ratio of its time to ours) and the verdict against it."""
    ratios = {n: p["ratio"] for n, p in result["peers"].items() if "ratio" in p}
    if not ratios:
        return
    best = min(ratios, key=lambda name: ratios[name]["median"])
    result["best_peer"], ratio = best, ratios[best]
    result["verdict"] = "won" if ratio["low"] > 1 else "lost" if ratio["high"] < 1 else "tie"
