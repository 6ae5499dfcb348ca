# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Predictions for rows that the trees did not see: of other structures, or of another family of models."""

from types import SimpleNamespace

import model
import numpy as np

FOLDS = 5


def folds_by_structure(rows, seed=1):
    """(train, test) masks. All rows of a structure, whatever their sizes and schedules, are on one side."""
    part = np.random.RandomState(seed).permutation(rows.structure.max() + 1)[rows.structure] % FOLDS
    return [(part != fold, part == fold) for fold in range(FOLDS)]


def folds_by_family(rows):
    """(train, test) masks: the kernels of one family's file, against all others without the structures that occur in it."""
    result = []
    for family in sorted(set(rows.family) - {"corpus", "layers"}):
        test = rows.family == family
        train = ~test & ~np.isin(rows.structure, rows.structure[test])
        result.append((train, test))
    return result


def cross_predict(rows, folds=None, members=model.MEMBERS):
    """y, score and their deviations for every row in a test part; nan elsewhere."""
    folds = folds or folds_by_structure(rows)
    nan = np.full(len(rows.time), np.nan)
    held = SimpleNamespace(
        y=nan.copy(),
        deviation=nan.copy(),
        score=nan.copy(),
        member_scores=np.full((members, len(nan)), np.nan),
    )
    for train, test in folds:
        ensemble = model.train(rows.take(train), members)
        features = rows.features[test]
        (held.y[test], held.deviation[test]), (held.score[test], _) = model.predict(
            ensemble, features
        )
        held.member_scores[:, test] = [m[1].predict(features, raw_score=True) for m in ensemble]
    return held
