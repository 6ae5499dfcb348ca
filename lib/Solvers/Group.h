//===- Group.h - what solvers that round share -------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_SOLVERS_GROUP_H
#define PERMALLOY_LIB_SOLVERS_GROUP_H

#include "permalloy/Solvers/WeightSolver.h"

namespace permalloy::solvers {

/// The ends of a group; 0 lies between.
struct Range {
  float low = 0, high = 0;
};
Range rangeOf(std::span<const float> values);
/// The scale that takes a range, shrunk by `clip`, to the ends of the grid. On a symmetric grid the number of largest magnitude
/// gets the lowest code, so the scale may be negative.
GroupScale rangeScale(const Grid &grid, Range range, float clip);
/// Sum of squared errors of rounding `values`, weighted where `weights` is not empty.
float groupError(const Grid &grid, GroupScale scale, std::span<const float> values, std::span<const float> weights);

using FitGroup = GroupScale (*)(const Grid &, std::span<const float>, std::span<const float>);
/// Rounds each group of each column to nearest, under the scale that `fit` gives.
void roundGroups(const Problem &problem, Solution &solution, FitGroup fit);

} // namespace permalloy::solvers

#endif
