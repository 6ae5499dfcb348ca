# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Boosted trees on y = ln(measured / prior): an ensemble with an absolute and a ranking head each.

The absolute head has the Huber loss on y (delta 0.2). The ranking head learns ln(time) within a group only, up to a constant: the
mean square of all differences of two schedules, and the logistic loss of their order (weight 0.5). So its scores are in the same
unit, and the difference of two of them is the gain.
"""

import lightgbm as lgb
import numpy as np

MEMBERS = 5
RANK_WEIGHT, RANK_WIDTH = 0.5, 0.05
SHARED = {
    "verbose": -1, "num_threads": 1, "bagging_freq": 1, "bagging_fraction": 0.8, "feature_fraction": 0.5,
    "use_missing": False, "deterministic": True, "force_row_wise": True, "max_bin": 255, "lambda_l2": 1.0,
    "max_depth": 7,  # a prediction takes as many steps as the deepest of trees that are walked together
}  # fmt: skip
ABSOLUTE = {
    **SHARED,
    "objective": "huber",
    "alpha": 0.2,
    "learning_rate": 0.08,
    "num_leaves": 24,
    "min_data_in_leaf": 8,
}
RANKING = {**SHARED, "learning_rate": 0.08, "num_leaves": 24, "min_data_in_leaf": 8}
ROUNDS = {"absolute": 220, "ranking": 220}


def padded(groups):
    """Row numbers of the groups, [groups, longest], and which of them are there."""
    longest = max(map(len, groups))
    index = np.zeros((len(groups), longest), int)
    there = np.zeros((len(groups), longest), bool)
    for i, group in enumerate(groups):
        index[i, : len(group)], there[i, : len(group)] = group, True
    return index, there


def rank_objective(groups, y):
    """Gradient and (diagonal) Hessian of the ranking head's loss. `groups` are the rows of groups of two and more."""
    lengths = np.array([1 << (len(g) - 1).bit_length() for g in groups])  # so that little is padding
    parts = [part_gradients([g for g, l in zip(groups, lengths) if l == length], y) for length in sorted(set(lengths))]

    def gradients(predicted, _):
        gradient, hessian = np.zeros_like(predicted), np.ones_like(predicted)
        for part in parts:
            part(predicted, gradient)
        return gradient, hessian

    return gradients


def part_gradients(groups, y):
    """A function that writes the gradients of these groups."""
    index, there = padded(groups)
    count = there.sum(axis=1, keepdims=True)
    target = np.where(there, y[index], 0).astype(np.float32)
    gap = target[:, :, None] - target[:, None, :]
    pairs = there[:, :, None] & there[:, None, :]
    # i should be before j where it is faster; the width is what measurements tell apart.
    slower = (gap >= 0).astype(np.float32)
    weight = np.where(pairs, np.minimum(np.abs(gap) / RANK_WIDTH, 1.0), 0).astype(np.float32)

    def write(predicted, gradient):
        score = np.where(there, predicted[index], 0).astype(np.float32)
        error = score - target
        error -= np.where(there, error, 0).sum(axis=1, keepdims=True) / count
        steps = np.clip((score[:, :, None] - score[:, None, :]) / np.float32(RANK_WIDTH), -30, 30)
        chance = 1 / (1 + np.exp(-steps))
        pull = ((chance - slower) * weight).sum(axis=2) / count
        gradient[index[there]] = (error + 2 * RANK_WEIGHT * RANK_WIDTH * pull)[there]

    return write


def train_member(rows, seed):
    """One booster for each head, as (absolute, ranking)."""
    weight = 1 / (0.01 + rows.noise) * 0.02
    data = lambda y, w: lgb.Dataset(rows.features, y, weight=w, free_raw_data=False)
    absolute = lgb.train({**ABSOLUTE, "seed": seed}, data(rows.y, weight), ROUNDS["absolute"])
    log_time = np.log(rows.time)
    groups = rows.groups()
    centred = log_time.copy()
    for group in groups:
        centred[group] -= log_time[group].mean()
    objective = rank_objective([g for g in groups if len(g) > 1], centred)
    ranking = lgb.train(
        {**RANKING, "seed": seed + 100, "objective": objective},
        data(centred, None),
        ROUNDS["ranking"],
    )
    return absolute, ranking


def train(rows, members=MEMBERS, seed=0):
    """Members differ by their seeds and by which structures they see: each leaves out another part of them."""
    rng = np.random.RandomState(seed)
    part = rng.permutation(rows.structure.max() + 1)[rows.structure] % (2 * members)
    return [train_member(rows.take(part != member), seed + member) for member in range(members)]


def predict(ensemble, features):
    """(y, deviation of y), (score, deviation of the score) over the members."""
    heads = [
        np.array([member[head].predict(features, raw_score=True) for member in ensemble])
        for head in (0, 1)
    ]
    return [(values.mean(axis=0), values.std(axis=0)) for values in heads]


def fit_scale(error, deviation, floor=0.02, share=0.9, z=1.645):
    """The factor on `deviation` with which `share` of the errors lie within z deviations."""
    return float(np.quantile(np.abs(error) / (z * np.maximum(deviation, floor / 2)), share))
