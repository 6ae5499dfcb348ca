//===- EvolutionTest.cpp - within the budget, never worse, repeatable -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Search/Evolution.h"

#include "RandomSites.h"
#include "permalloy/Search/DynamicProgram.h"

#include <gmock/gmock.h>

#include <cmath>

using namespace permalloy;
using namespace permalloy::search;

/// The plan of the cheapest levels.
static Plan cheapest(const Sites &sites) {
  Plan plan;
  for (const std::vector<Level> &levels : sites.levels) {
    size_t least = 0;
    for (size_t level = 0; level < levels.size(); ++level)
      if (levels[level].cost < levels[least].cost)
        least = level;
    plan.push_back(least);
  }
  return plan;
}

static EvolutionOptions oneStage(uint64_t seed = 0, unsigned offspring = 24) { return {offspring, {{1, 1}}, seed}; }

TEST(Evolution, FindsTheOptimumOfAdditiveErrors) {
  for (uint64_t seed = 0; seed < 5; ++seed) {
    Sites sites = randomSites(seed, 12, 5);
    double budget = budgetAt(sites, 0.3);
    Evolution evolution(sites, budget, oneStage(0, 64), [&](const Plan &plan, unsigned) { return errorOf(sites, plan); });
    EvolutionState state{cheapest(sites), {}, 0};
    for (int i = 0; i < 300; ++i)
      evolution.step(state);
    EXPECT_NEAR(*state.error, Frontier::of(sites)->best(budget)->error, 1e-9) << "seed " << seed;
  }
}

TEST(Evolution, StaysWithinTheBudgetAndNeverGetsWorse) {
  Sites sites = randomSites(11, 30, 6);
  double budget = budgetAt(sites, 0.4), before = HUGE_VAL;
  unsigned asked = 0;
  // Neighbours disturb each other: no sum.
  auto fitness = [&](const Plan &plan, unsigned) {
    EXPECT_LE(costOf(sites, plan), budget);
    ++asked;
    double error = errorOf(sites, plan);
    for (size_t i = 1; i < plan.size(); ++i)
      error += 10 * sites.levels[i][plan[i]].error * sites.levels[i - 1][plan[i - 1]].error;
    return error;
  };
  Evolution evolution(sites, budget, oneStage(), fitness);
  EvolutionState state{cheapest(sites), {}, 0};
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(evolution.step(state));
    EXPECT_LE(*state.error, before);
    before = *state.error;
  }
  EXPECT_EQ(asked, 50u * 25u);
}

TEST(Evolution, TheSameSeedGivesTheSamePlan) {
  Sites sites = randomSites(5, 20, 5);
  double budget = budgetAt(sites, 0.3);
  auto run = [&](uint64_t seed, int from, EvolutionState state) {
    Evolution evolution(sites, budget, oneStage(seed), [&](const Plan &plan, unsigned) { return errorOf(sites, plan); });
    for (int i = from; i < 10; ++i)
      evolution.step(state);
    return state;
  };
  EvolutionState start{cheapest(sites), {}, 0}, whole = run(1, 0, start);
  EXPECT_EQ(whole.parent, run(1, 0, start).parent);
  EXPECT_NE(whole.parent, run(2, 0, start).parent);
  // Stopped after some generations and gone on from the state.
  EvolutionState part = start;
  Evolution first(sites, budget, oneStage(1), [&](const Plan &plan, unsigned) { return errorOf(sites, plan); });
  for (int i = 0; i < 4; ++i)
    first.step(part);
  EXPECT_EQ(whole.parent, run(1, 4, part).parent);
}

TEST(Evolution, StagesJudgeFewerPlansOnMoreSamples) {
  Sites sites = randomSites(9, 10, 4);
  std::vector<unsigned> samples;
  auto fitness = [&](const Plan &plan, unsigned count) { return samples.push_back(count), errorOf(sites, plan); };
  Evolution evolution(sites, budgetAt(sites, 0.5), {8, {{4, 2}, {2, 5}, {1, 9}}, 0}, fitness);
  EvolutionState state{cheapest(sites), {}, 0};
  ASSERT_TRUE(evolution.step(state));
  std::vector<unsigned> expected(8, 2);
  expected.insert(expected.end(), 4, 5);
  expected.insert(expected.end(), 3, 9); // the parent, too
  EXPECT_EQ(samples, expected);
}

TEST(Evolution, AStoppedGenerationLeavesTheStateAsItWas) {
  Sites sites = randomSites(9, 10, 4);
  int left = 10;
  auto fitness = [&](const Plan &plan, unsigned) { return left-- > 0 ? std::optional(errorOf(sites, plan)) : std::nullopt; };
  Evolution evolution(sites, budgetAt(sites, 0.5), oneStage(), fitness);
  EvolutionState state{cheapest(sites), {}, 0};
  EXPECT_FALSE(evolution.step(state));
  EXPECT_EQ(state.parent, cheapest(sites));
  EXPECT_EQ(state.generation, 0u);
}

TEST(Evolution, OneSiteOfOneLevelHasNothingToTry) {
  Sites sites{{{{1, 0}}}, 0};
  Evolution evolution(sites, 10, oneStage(), [](const Plan &, unsigned) { return 0.0; });
  EvolutionState state{{0}, {}, 0};
  EXPECT_FALSE(evolution.step(state));
}

TEST(Evolution, AnErrorThatIsNoNumberNeverWins) {
  Sites sites = randomSites(2, 6, 3);
  Plan start = cheapest(sites);
  Evolution evolution(sites, 1e9, oneStage(), [&](const Plan &plan, unsigned) { return plan == start ? 1.0 : NAN; });
  EvolutionState state{start, {}, 0};
  EXPECT_TRUE(evolution.step(state));
  EXPECT_EQ(state.parent, start);
}

TEST(Evolution, CostsThatAreNoSumAreKept) {
  Sites sites = randomSites(5, 8, 3);
  sites.levels.push_back({{2, 0}, {1, 0.001}}); // the second one halves what all others cost
  double budget = budgetAt(sites, 0.4);
  EvolutionOptions options = oneStage();
  options.cost = [&](const Plan &plan) { return costOf(sites, plan) * (plan.back() ? 0.5 : 1); };
  bool halved = false;
  Plan start = cheapest(sites);
  Evolution evolution(sites, budget, options, [&](const Plan &plan, unsigned) {
    EXPECT_LE(options.cost(plan), plan == start ? HUGE_VAL : budget);
    halved |= plan.back() == 1 && costOf(sites, plan) > budget;
    return errorOf(sites, plan);
  });
  EvolutionState state{start, {}, 0};
  for (int i = 0; i < 20; ++i)
    evolution.step(state);
  EXPECT_TRUE(halved);
}
