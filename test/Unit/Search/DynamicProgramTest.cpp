//===- DynamicProgramTest.cpp - against trying all plans ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Search/DynamicProgram.h"

#include "RandomSites.h"

#include <gmock/gmock.h>

#include <cmath>

using namespace permalloy;
using namespace permalloy::search;

/// The least error of any plan within the budget.
static double leastErrorByTrying(const Sites &sites, double budget, Plan &plan) {
  if (plan.size() == sites.levels.size())
    return costOf(sites, plan) <= budget ? errorOf(sites, plan) : HUGE_VAL;
  double least = HUGE_VAL;
  for (size_t level = 0; level < sites.levels[plan.size()].size(); ++level) {
    plan.push_back(level);
    least = std::min(least, leastErrorByTrying(sites, budget, plan));
    plan.pop_back();
  }
  return least;
}

TEST(DynamicProgram, EqualsTryingAllPlans) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    Sites sites = randomSites(seed, 5, 4);
    Result<Frontier> frontier = Frontier::of(sites);
    ASSERT_TRUE(frontier.ok());
    for (double share : {0.0, 0.1, 0.3, 0.5, 0.8, 1.0}) {
      double budget = budgetAt(sites, share) * (1 + 1e-12);
      Plan plan;
      Result<Allocation> best = frontier->best(budget);
      ASSERT_TRUE(best.ok()) << best.status().message();
      EXPECT_NEAR(best->error, leastErrorByTrying(sites, budget, plan), 1e-12) << "seed " << seed << ", share " << share;
      EXPECT_LE(best->cost, budget);
      EXPECT_NEAR(best->cost, costOf(sites, best->plan), 1e-9);
      EXPECT_NEAR(best->error, errorOf(sites, best->plan), 1e-9);
    }
  }
}

TEST(DynamicProgram, ALargerBudgetNeverRaisesTheError) {
  Sites sites = randomSites(7, 40, 8);
  Result<Frontier> frontier = Frontier::of(sites, 512); // thinned
  ASSERT_TRUE(frontier.ok());
  double before = HUGE_VAL;
  for (int i = 0; i <= 200; ++i) {
    double budget = budgetAt(sites, i / 200.0) * (1 + 1e-12);
    Result<Allocation> best = frontier->best(budget);
    ASSERT_TRUE(best.ok());
    EXPECT_LE(best->error, before);
    EXPECT_LE(costOf(sites, best->plan), budget * (1 + 1e-12));
    before = best->error;
  }
}

TEST(DynamicProgram, FewStatesLoseLittle) {
  Sites sites = randomSites(3, 40, 8);
  Result<Frontier> few = Frontier::of(sites, 1024), many = Frontier::of(sites, 32768);
  ASSERT_TRUE(few.ok() && many.ok());
  for (double share : {0.1, 0.25, 0.5})
    EXPECT_LE(few->best(budgetAt(sites, share))->error, 1.02 * many->best(budgetAt(sites, share))->error);
}

TEST(DynamicProgram, EqualErrorsTakeTheCheapestLevel) {
  Sites sites = randomSites(1, 3, 4);
  sites.levels.push_back({{30, 0.5}, {10, 0.5}, {20, 0.5}});
  Result<Allocation> best = Frontier::of(sites)->best(1e9);
  ASSERT_TRUE(best.ok());
  EXPECT_EQ(best->plan.back(), 1u);
}

TEST(DynamicProgram, AnInfiniteErrorIsNeverTaken) {
  Sites sites{{{{1, HUGE_VAL}, {5, 0.1}}, {{2, 0.3}, {9, 0}}}, 1};
  Result<Frontier> frontier = Frontier::of(sites);
  ASSERT_TRUE(frontier.ok());
  EXPECT_EQ(frontier->best(8.0)->plan, (Plan{1, 0}));
  EXPECT_EQ(frontier->all().size(), 2u);
}

TEST(DynamicProgram, NamesTheSmallestFeasibleBudget) {
  Sites sites{{{{10, 1}, {20, 0}}, {{5, 2}, {6, 1}}}, 100};
  Result<Allocation> best = Frontier::of(sites)->best(114);
  ASSERT_FALSE(best.ok());
  EXPECT_EQ(best.status().message(), "no plan costs at most 114, the smallest costs 115");
  EXPECT_TRUE(Frontier::of(sites)->best(115).ok());
}

TEST(DynamicProgram, RefusesWhatIsNoNumber) {
  EXPECT_EQ(Frontier::of({{{{NAN, 0}}}, 0}).status().message(), "a level of site 0 has cost nan and error 0, expected numbers from 0");
  EXPECT_EQ(Frontier::of({{{{1, 0}}, {}}, 0}).status().message(), "site 1 has no level that may be taken");
}

TEST(DynamicProgram, NoSitesHaveOnePlan) {
  Result<Allocation> best = Frontier::of({{}, 4})->best(4);
  ASSERT_TRUE(best.ok());
  EXPECT_TRUE(best->plan.empty());
}
