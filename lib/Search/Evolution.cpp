//===- Evolution.cpp - plans by measured error of the whole model -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Search/Evolution.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

namespace permalloy::search {

/// Sites that a mutation tries to make cheaper, and then dearer. One that does not get within the budget is given up.
static constexpr unsigned kMostTries = 16;
/// Mutations tried for each child: many meet the budget's limit, or make a plan that is there already.
static constexpr unsigned kMutations = 20;

/// Of 0 to bound - 1. The standard distributions differ between libraries, and a seed has to mean one plan.
static size_t below(std::mt19937_64 &random, size_t bound) { return random() % bound; }

Evolution::Evolution(const Sites &sites, double budget, EvolutionOptions options, Fitness fitness)
    : sites(sites), budget(budget), options(std::move(options)), fitness(std::move(fitness)) {
  for (const std::vector<Level> &levels : sites.levels) {
    std::vector<size_t> &sorted = order.emplace_back();
    for (size_t level = 0; level < levels.size(); ++level)
      if (std::isfinite(levels[level].error))
        sorted.push_back(level);
    std::sort(sorted.begin(), sorted.end(), [&](size_t a, size_t b) {
      if (levels[a].cost != levels[b].cost)
        return levels[a].cost < levels[b].cost;
      return levels[a].error != levels[b].error ? levels[a].error > levels[b].error : a < b;
    });
  }
}

/// Moves a site along its levels, cheaper when `by` is negative; false where there is none.
bool Evolution::shift(Plan &plan, size_t site, int by) const {
  const std::vector<size_t> &levels = order[site];
  ptrdiff_t at = std::find(levels.begin(), levels.end(), plan[site]) - levels.begin() + by;
  if (at < 0 || at >= ptrdiff_t(levels.size()))
    return false;
  plan[site] = levels[at];
  return true;
}

/// A few sites change, then others get cheaper until the budget holds, then some of what was freed too much is spent. Half of the changes are to the next dearer level, the others to any: levels are ordered
/// by cost alone, so the next ones may all be worse.
bool Evolution::mutate(Plan &plan, Random &random) const {
  size_t count = plan.size();
  std::vector<bool> changed(count, false);
  size_t changes = std::min(below(random, 3), below(random, 3)) + 1;
  for (size_t i = 0; i < changes; ++i) {
    size_t site = below(random, count);
    if (below(random, 2) == 0)
      shift(plan, site, +1);
    else
      plan[site] = order[site][below(random, order[site].size())];
    changed[site] = true;
  }
  for (unsigned tries = 0; !isWithin(plan); ++tries) {
    if (tries == kMostTries)
      return false;
    size_t site = below(random, count);
    if (!changed[site])
      shift(plan, site, -1);
  }
  for (size_t tries = below(random, kMostTries); tries > 0; --tries) {
    Plan more = plan;
    if (shift(more, below(random, count), +1) && isWithin(more))
      plan = std::move(more);
  }
  return true;
}

std::vector<Plan> Evolution::offspringOf(const Plan &parent, Random &random) const {
  std::set<Plan> known = {parent};
  std::vector<Plan> children;
  for (unsigned i = 0; i < options.offspring * kMutations && children.size() < options.offspring; ++i) {
    Plan child = parent;
    if (mutate(child, random) && known.insert(child).second)
      children.push_back(std::move(child));
  }
  return children;
}

/// The best of `plans` by their errors on the stage's samples, best first; equal ones keep their order.
std::optional<std::vector<Plan>> Evolution::survivors(std::vector<Plan> plans, const Stage &stage, std::vector<double> &errors) {
  errors.clear();
  for (const Plan &plan : plans) {
    std::optional<double> error = fitness(plan, stage.samples);
    if (!error)
      return std::nullopt;
    errors.push_back(std::isnan(*error) ? HUGE_VAL : *error);
  }
  std::vector<size_t> ranking(plans.size());
  std::iota(ranking.begin(), ranking.end(), 0);
  std::sort(ranking.begin(), ranking.end(), [&](size_t a, size_t b) { return errors[a] != errors[b] ? errors[a] < errors[b] : a < b; });
  ranking.resize(std::min<size_t>(ranking.size(), stage.survivors));
  std::vector<Plan> best;
  std::vector<double> least;
  for (size_t i : ranking) {
    best.push_back(plans[i]);
    least.push_back(errors[i]);
  }
  errors = std::move(least);
  return best;
}

bool Evolution::step(EvolutionState &state) {
  std::seed_seq seeds{uint32_t(options.seed), uint32_t(options.seed >> 32), uint32_t(state.generation)};
  Random random(seeds);
  std::vector<Plan> plans = offspringOf(state.parent, random);
  if (plans.empty())
    return false;
  std::vector<double> errors;
  for (size_t i = 0; i < options.stages.size(); ++i) {
    bool last = i + 1 == options.stages.size();
    if (last)
      plans.insert(plans.begin(), state.parent); // first: a child has to be better, not as good
    std::optional<std::vector<Plan>> best = survivors(std::move(plans), options.stages[i], errors);
    if (!best)
      return false;
    plans = std::move(*best);
  }
  state.parent = plans.front();
  state.error = errors.front();
  ++state.generation;
  return true;
}

} // namespace permalloy::search
