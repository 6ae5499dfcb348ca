//===- Evolution.h - plans by measured error of the whole model --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// An elitist (1 + lambda) search (techniques C4, "EvoPress: Towards Optimal Dynamic Model Compression via Evolutionary
// Search"). Each generation makes offspring of one parent by level switches: some sites become dearer by a level and others
// cheaper, so that the plan stays within the budget. Most offspring are worse, and a few samples show that: stages judge the
// survivors of the one before on more samples, and the parent joins in the last.
//
//   stages (8 survive, 4 samples) (2, 16) (1, 64), 32 offspring:  32 -> 8 -> 2 + parent -> 1
//
// A generation depends on the options, its number and the parent only, so a search that was stopped goes on from an
// EvolutionState and ends where it would have ended.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_SEARCH_EVOLUTION_H
#define PERMALLOY_SEARCH_EVOLUTION_H

#include "permalloy/Search/Plan.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <random>

namespace permalloy::search {

/// Judges on `samples` samples, of which the best `survivors` remain.
struct Stage {
  unsigned survivors, samples;
};

struct EvolutionOptions {
  unsigned offspring = 32;
  std::vector<Stage> stages = {{8, 4}, {2, 16}, {1, 64}}; ///< survivors fall, samples rise; the last has one survivor
  uint64_t seed = 0;
  /// What a plan costs where that is no sum over its sites, whose costs then only order their levels; null: their sum.
  std::function<double(const Plan &)> cost = nullptr;
};

/// What a search has reached; all that is needed to go on.
struct EvolutionState {
  Plan parent;
  std::optional<double> error; ///< of the parent, on the samples of the last stage
  unsigned generation = 0;     ///< finished ones
};

/// The measured error of a plan on the first `samples` samples; nothing to stop the search.
using Fitness = std::function<std::optional<double>(const Plan &, unsigned samples)>;

class Evolution {
public:
  /// `sites` outlives this; errors in it order the levels of a site where costs are equal.
  Evolution(const Sites &sites, double budget, EvolutionOptions options, Fitness fitness);

  /// One generation; false when the fitness stopped it, and then the state is as before, or when there are no other plans to
  /// try. The parent's error never rises, and its cost never exceeds the budget if it did not before.
  bool step(EvolutionState &state);

private:
  using Random = std::mt19937_64;
  std::vector<Plan> offspringOf(const Plan &parent, Random &random) const;
  bool mutate(Plan &plan, Random &random) const;
  bool isWithin(const Plan &plan) const { return (options.cost ? options.cost(plan) : costOf(sites, plan)) <= budget; }
  bool shift(Plan &plan, size_t site, int by) const;
  std::optional<std::vector<Plan>> survivors(std::vector<Plan> plans, const Stage &stage, std::vector<double> &errors);

  const Sites &sites;
  double budget;
  EvolutionOptions options;
  Fitness fitness;
  std::vector<std::vector<size_t>> order; ///< permitted levels of each site by rising cost
};

} // namespace permalloy::search

#endif
