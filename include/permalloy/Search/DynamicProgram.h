//===- DynamicProgram.h - the best plans under additive errors ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A multiple-choice knapsack (techniques C5, after "Efficient Joint Optimization of Layer-Adaptive Weight Pruning in Deep
// Neural Networks"): the least sum of errors whose sum of costs is within a budget. Sites are taken one after the other; of
// the partial plans so far only those are kept that no other beats in both cost and error, each with a pointer to the partial
// plan it came from.
//
//   site 0: (100, 0) (60, .01) (40, .09)
//   site 1: (300, 0) (220, .00)!  -> (260, .01) (240, .09) ...      ! (300, 0) is beaten by (220, .00) and gone
//
// With few sites that is exact. Where more partial plans remain than `states`, the range of costs is cut into that many cells
// and each keeps the partial plan of least error, which loses at most a cell's width of cost a site, as rounding costs up to
// a grid would. But costs stay exact, so nothing adds up and no budget is exceeded or left half used; and since the cells
// depend on no budget, a larger budget never gives a larger error.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_SEARCH_DYNAMICPROGRAM_H
#define PERMALLOY_SEARCH_DYNAMICPROGRAM_H

#include "permalloy/Search/Plan.h"

#include "permalloy/Artifact/Status.h"

#include <cstdint>

namespace permalloy::search {

/// A plan with its sums.
struct Allocation {
  Plan plan;
  double cost = 0, error = 0;
};

/// The best plans for every budget at once.
class Frontier {
public:
  /// invalidArgument where a site has no permitted level, or a cost that is no number.
  static Result<Frontier> of(const Sites &sites, size_t states = 4096);

  /// The plan of least error whose cost is at most `budget`; of those, the cheapest. invalidArgument where there is none,
  /// with the smallest feasible budget.
  Result<Allocation> best(double budget) const;
  /// All plans that no other beats, by rising cost.
  std::vector<Allocation> all() const;

private:
  struct State {
    double cost, error;
    uint32_t previous, level; ///< the state of the site before, and what this site takes
  };
  static std::vector<State> extended(const std::vector<State> &states, const std::vector<Level> &levels);
  static void thin(std::vector<State> &states, size_t limit);
  Allocation allocationOf(size_t state) const;

  std::vector<std::vector<State>> bySite; ///< [0] is the empty plan; sorted by cost, so error falls
};

} // namespace permalloy::search

#endif
