//===- RandomSites.h - made-up sites for tests of searches -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_TEST_UNIT_SEARCH_RANDOMSITES_H
#define PERMALLOY_TEST_UNIT_SEARCH_RANDOMSITES_H

#include "permalloy/Search/Plan.h"

#include <random>

namespace permalloy::search {

/// Costs of 1 to 101; errors that roughly fall with cost, as compression has them.
inline Sites randomSites(uint64_t seed, size_t count, size_t levels) {
  std::mt19937_64 random(seed);
  auto uniform = [&] { return double(random() % 100000) / 1e5; };
  Sites sites;
  sites.fixedCost = 10 * uniform();
  for (size_t site = 0; site < count; ++site) {
    std::vector<Level> &choices = sites.levels.emplace_back();
    for (size_t level = 0; level < levels; ++level) {
      double cost = 1 + 100 * uniform();
      choices.push_back({cost, uniform() / cost});
    }
  }
  return sites;
}

/// Between the cheapest and the dearest plan.
inline double budgetAt(const Sites &sites, double share) {
  double most = sites.fixedCost;
  for (const std::vector<Level> &levels : sites.levels) {
    double dearest = 0;
    for (const Level &level : levels)
      dearest = std::max(dearest, level.cost);
    most += dearest;
  }
  return leastCost(sites) + share * (most - leastCost(sites));
}

} // namespace permalloy::search

#endif
