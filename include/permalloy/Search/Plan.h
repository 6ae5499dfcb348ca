//===- Plan.h - sites, their levels, and one level for each ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What every search speaks of. A site is a place where a choice is made (a linear layer, say), a level is one choice at it
// (f32, int8, 4 bits, ...), a plan is one level for each site. Costs and errors of a plan are sums over its sites:
//
//            f32          w8           w4
//   site 0   100 us  0    60 us  .01   40 us  .09       plan {1, 2}: 60 + 80 = 140 us, error .01 + .02
//   site 1   200 us  0   120 us  .00   80 us  .02
//
// Costs really are nearly sums: a program's time is that of its launches. Errors are not (techniques C4 and C5): strongly
// compressed sites disturb each other. So DynamicProgram.h finds the best plan under the sums, and Evolution.h goes on from
// there with the error of whole plans, measured.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_SEARCH_PLAN_H
#define PERMALLOY_SEARCH_PLAN_H

#include <cstddef>
#include <vector>

namespace permalloy::search {

/// One choice at a site.
struct Level {
  double cost = 0;  ///< any unit, the same for all (microseconds); finite, not negative
  double error = 0; ///< any unit, the same for all; infinite: not to be taken
};

/// The levels of each site; their order means nothing.
struct Sites {
  std::vector<std::vector<Level>> levels;
  double fixedCost = 0; ///< of what no site decides
};

/// The index of a level for each site.
using Plan = std::vector<size_t>;

double costOf(const Sites &sites, const Plan &plan);
double errorOf(const Sites &sites, const Plan &plan);
/// The least cost that any plan of permitted levels has.
double leastCost(const Sites &sites);

} // namespace permalloy::search

#endif
