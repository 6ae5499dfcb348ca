//===- DynamicProgram.cpp - the best plans under additive errors -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Search/DynamicProgram.h"

#include "permalloy/Support/Text.h"

#include <algorithm>
#include <cmath>

namespace permalloy::search {

static Status check(const Sites &sites) {
  for (size_t site = 0; site < sites.levels.size(); ++site) {
    bool permitted = false;
    for (const Level &level : sites.levels[site]) {
      if (!std::isfinite(level.cost) || level.cost < 0 || std::isnan(level.error))
        return {StatusCode::invalidArgument, "a level of site " + std::to_string(site) + " has cost " + formatNumber(level.cost) +
                                                 " and error " + formatNumber(level.error) + ", expected numbers from 0"};
      permitted |= std::isfinite(level.error);
    }
    if (!permitted)
      return {StatusCode::invalidArgument, "site " + std::to_string(site) + " has no level that may be taken"};
  }
  return {};
}

/// By rising cost, without those that an earlier one beats or equals.
template <typename State>
static void keepUnbeaten(std::vector<State> &states) {
  std::sort(states.begin(), states.end(), [](const State &a, const State &b) {
    if (a.cost != b.cost)
      return a.cost < b.cost;
    if (a.error != b.error)
      return a.error < b.error;
    return a.previous != b.previous ? a.previous < b.previous : a.level < b.level; // the same plan every time
  });
  size_t kept = 0;
  for (const State &state : states)
    if (kept == 0 || state.error < states[kept - 1].error)
      states[kept++] = state;
  states.resize(kept);
}

std::vector<Frontier::State> Frontier::extended(const std::vector<State> &states, const std::vector<Level> &levels) {
  std::vector<State> result;
  result.reserve(states.size() * levels.size());
  for (uint32_t previous = 0; previous < states.size(); ++previous)
    for (uint32_t level = 0; level < levels.size(); ++level)
      if (std::isfinite(levels[level].error))
        result.push_back({states[previous].cost + levels[level].cost, states[previous].error + levels[level].error, previous, level});
  keepUnbeaten(result);
  return result;
}

/// States are sorted, so the last of a cell has its least error. The very first stays: it decides what is feasible.
void Frontier::thin(std::vector<State> &states, size_t limit) {
  if (states.size() <= limit)
    return;
  double first = states.front().cost, width = (states.back().cost - first) / double(limit - 1);
  auto cell = [&](const State &state) { return size_t((state.cost - first) / width); };
  size_t kept = 1;
  for (size_t i = 1; i < states.size(); ++i)
    if (i + 1 == states.size() || cell(states[i]) != cell(states[i + 1]))
      states[kept++] = states[i];
  states.resize(kept);
}

Result<Frontier> Frontier::of(const Sites &sites, size_t states) {
  if (Status status = check(sites); !status.ok())
    return status;
  Frontier frontier;
  frontier.bySite.push_back({{sites.fixedCost, 0, 0, 0}});
  for (const std::vector<Level> &levels : sites.levels) {
    frontier.bySite.push_back(extended(frontier.bySite.back(), levels));
    thin(frontier.bySite.back(), std::max<size_t>(states, 2));
  }
  return frontier;
}

Allocation Frontier::allocationOf(size_t state) const {
  const State &end = bySite.back()[state];
  Allocation result{Plan(bySite.size() - 1), end.cost, end.error};
  for (size_t site = bySite.size() - 1; site > 0; --site) {
    result.plan[site - 1] = bySite[site][state].level;
    state = bySite[site][state].previous;
  }
  return result;
}

Result<Allocation> Frontier::best(double budget) const {
  const std::vector<State> &ends = bySite.back();
  auto above = std::upper_bound(ends.begin(), ends.end(), budget, [](double limit, const State &state) { return limit < state.cost; });
  if (above == ends.begin())
    return Status(StatusCode::invalidArgument, "no plan costs at most " + formatNumber(budget) + ", the smallest costs " + formatNumber(ends.front().cost));
  return allocationOf(above - ends.begin() - 1);
}

std::vector<Allocation> Frontier::all() const {
  std::vector<Allocation> result;
  for (size_t state = 0; state < bySite.back().size(); ++state)
    result.push_back(allocationOf(state));
  return result;
}

} // namespace permalloy::search
