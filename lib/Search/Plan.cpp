//===- Plan.cpp - sums over the sites of a plan ------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Search/Plan.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace permalloy::search {

double costOf(const Sites &sites, const Plan &plan) {
  double cost = sites.fixedCost;
  for (size_t site = 0; site < plan.size(); ++site)
    cost += sites.levels[site][plan[site]].cost;
  return cost;
}

double errorOf(const Sites &sites, const Plan &plan) {
  double error = 0;
  for (size_t site = 0; site < plan.size(); ++site)
    error += sites.levels[site][plan[site]].error;
  return error;
}

double leastCost(const Sites &sites) {
  double cost = sites.fixedCost;
  for (const std::vector<Level> &levels : sites.levels) {
    double least = std::numeric_limits<double>::infinity();
    for (const Level &level : levels)
      if (std::isfinite(level.error))
        least = std::min(least, level.cost);
    cost += least;
  }
  return cost;
}

} // namespace permalloy::search
