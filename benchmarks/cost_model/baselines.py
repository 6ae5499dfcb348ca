# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The best fixed schedule of each kind of kernel on each kind of CPU: what a table of constants could do."""

import numpy as np

LEAST_GROUPS = 5


def parameters(text):
    return {name: int(value) for name, value in (pair.split("=") for pair in text.split())}


def distance(a, b):
    """Of two schedules, in logarithms of their parameters."""
    if set(a) != set(b):
        return np.inf
    return sum(abs(np.log2(1 + a[name]) - np.log2(1 + b[name])) for name in a)


def best_of(rows, train):
    """By kind of CPU and kernel: the schedule with the least mean of time / best time, over the groups of `train` that measured it."""
    losses = {}
    for g in rows.groups(3):
        if not train[g[0]]:
            continue
        for row in g:
            losses.setdefault((rows.cpu[row], rows.kind[row], rows.schedule[row]), []).append(
                rows.time[row] / rows.time[g].min()
            )
    best = {}
    for (cpu, kind, schedule), values in losses.items():
        if (
            len(values) >= LEAST_GROUPS
            and np.mean(values) < best.get((cpu, kind, names(schedule)), (np.inf,))[0]
        ):
            best[cpu, kind, names(schedule)] = (np.mean(values), parameters(schedule))
    return best


def names(schedule):
    return tuple(sorted(parameters(schedule)))


def best_fixed(rows, folds, indices):
    """A function from a group of the rows at `indices` to the one of its schedules that is nearest to the best fixed one."""
    tables = [(test, best_of(rows, train)) for train, test in folds]

    def choose(group):
        where = indices[group]
        table = next(t for test, t in tables if test[where[0]])
        wanted = table.get((rows.cpu[where[0]], rows.kind[where[0]], names(rows.schedule[where[0]])))
        if wanted is None:
            return 0
        return int(np.argmin([distance(parameters(s), wanted[1]) for s in rows.schedule[where]]))

    return choose
