//===- BudgetTest.cpp - sites and costs of a search for a plan ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Budget.h"
#include "BudgetState.h"

#include <gmock/gmock.h>

#include <cmath>

using namespace permalloy;

TEST(Budget, ReadsShares) {
  EXPECT_DOUBLE_EQ(*parseBudget("latency=0.6x"), 0.6);
  EXPECT_DOUBLE_EQ(*parseBudget("latency=60%"), 0.6);
  EXPECT_DOUBLE_EQ(*parseShare("1%"), 0.01);
  EXPECT_DOUBLE_EQ(*parseShare("0.05"), 0.05);
}

TEST(Budget, RefusesWhatIsNone) {
  for (const char *text : {"0.6x", "latency=0.6", "latency=x", "latency=-1x", "latency=0x", "latency=nanx", "latency=infx", "bytes=0.5x", ""})
    EXPECT_FALSE(parseBudget(text).ok()) << text;
  for (const char *text : {"", "1 %", "200%", "-1%", "nan", "drop"})
    EXPECT_FALSE(parseShare(text).ok()) << text;
  EXPECT_EQ(parseBudget("0.6x").status().message(), "'0.6x' is no budget, expected latency=0.6x: the share of f32's latency");
}

static PrecisionChoice choice(const char *op, const char *precision, const char *format = "") {
  PrecisionChoice result;
  result.op = op;
  result.kind = "linear";
  result.precision = precision;
  result.format = format;
  return result;
}

/// Two layers; "b" has a gate that is multiplied into the product of "a", and a step that belongs to nobody.
static std::vector<UniformProgram> programs() {
  UniformProgram f32{"f32", {}, {{{"a"}, 10}, {{"a", "b", "mul"}, 20}, {{"norm"}, 5}}};
  UniformProgram bf16{"bf16", {}, {{{"a"}, 4}, {{"a", "b", "mul"}, 8}, {{"norm"}, 6}}};
  bf16.plan.choices = {choice("a", "bf16"), choice("b", "bf16")};
  UniformProgram w4{"w4g32", {}, {{{"a"}, 3}, {{"a", "b", "mul"}, 20}, {{"norm"}, 5}}};
  w4.plan.choices = {choice("a", "f32", "w4g32"), choice("b", "f32")};
  UniformProgram none{"w8", {}, {{{"a"}, 10}, {{"a", "b", "mul"}, 20}, {{"norm"}, 5}}};
  none.plan.choices = {choice("a", "f32"), choice("b", "f32")};
  return {f32, bf16, w4, none};
}

static std::vector<std::pair<std::string, double>> levelsOf(const BudgetSite &site) {
  std::vector<std::pair<std::string, double>> result;
  for (const BudgetLevel &level : site.levels)
    result.push_back({level.level, level.us});
  return result;
}

TEST(Budget, StepsBelongToTheSitesOfTheirNodes) {
  using testing::ElementsAre;
  using testing::Pair;
  BudgetState state;
  addSites(state, programs());
  ASSERT_EQ(state.sites.size(), 2u);
  EXPECT_DOUBLE_EQ(state.fixedUs, 5);
  EXPECT_DOUBLE_EQ(state.f32Us(), 35);
  // The microsecond that the norm lost by bf16 is shared.
  EXPECT_THAT(levelsOf(state.sites[0]), ElementsAre(Pair("f32", 10), Pair("bf16", 4.5), Pair("w4g32", 3)));
  EXPECT_THAT(levelsOf(state.sites[1]), ElementsAre(Pair("f32", 20), Pair("bf16", 8.5)));
  EXPECT_THAT(state.refused, ElementsAre("w8: no operation can have it"));
}

TEST(Budget, DominatedLevelsAreNotMeasured) {
  BudgetState state;
  addSites(state, programs());
  state.sites[0].levels.push_back({"w8", 4.5, std::nullopt}); // no faster than bf16
  state.sites[1].levels.push_back({"w8", 8, std::nullopt});
  state.sites[1].levels.push_back({"w4g32", 21, std::nullopt}); // slower than f32
  state.uniform = {{"f32", 35, 0}, {"bf16", 18, 0.01}, {"w8", 20, 0.02}, {"w4g32", 28, 0.5}};
  state.dropDominated();
  auto names = [](const BudgetSite &site) {
    std::vector<std::string> result;
    for (const BudgetLevel &level : site.levels)
      result.push_back(level.level);
    return result;
  };
  EXPECT_THAT(names(state.sites[0]), testing::ElementsAre("f32", "bf16", "w4g32"));
  EXPECT_THAT(names(state.sites[1]), testing::ElementsAre("f32", "bf16", "w8"));
}

TEST(Budget, APlanHasTheLevelsOfTheSites) {
  BudgetState state;
  addSites(state, programs());
  PrecisionPlan plan = state.planOf({2, 0}, "rtn");
  ASSERT_EQ(plan.choices.size(), 2u);
  EXPECT_EQ(plan.choices[0].level(), "w4g32");
  EXPECT_EQ(plan.choices[0].solver, "rtn");
  EXPECT_DOUBLE_EQ(*plan.choices[0].saved, 7);
  EXPECT_EQ(plan.choices[1].level(), "f32");
  EXPECT_EQ(plan.choices[1].solver, "");
}

TEST(Budget, WhatIsNotMeasuredIsNotTaken) {
  BudgetState state;
  addSites(state, programs());
  search::Sites sites = state.table();
  EXPECT_EQ(sites.levels[0][0].error, 0);
  EXPECT_TRUE(std::isinf(sites.levels[0][1].error));
}

TEST(Budget, AStateIsReadAsItWasWritten) {
  BudgetState state;
  state.key = "model 1";
  addSites(state, programs());
  state.sites[0].levels[1].error = 0.25;
  state.sites[1].levels[1].error = HUGE_VAL;
  state.uniform = {{"f32", 35, 0}, {"bf16", 18, 0.5}};
  state.evolution = {{2, 1}, 0.125, 7};
  std::string text = state.toJson();
  std::optional<BudgetState> read = BudgetState::parse(text, "model 1");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->toJson(), text);
  EXPECT_EQ(read->evolution.parent, (search::Plan{2, 1}));
  EXPECT_EQ(*read->sites[0].levels[1].error, 0.25);
  EXPECT_TRUE(std::isinf(*read->sites[1].levels[1].error));
  EXPECT_FALSE(read->sites[0].levels[2].error);
}

TEST(Budget, AnotherStateIsNotTaken) {
  BudgetState state;
  state.key = "model 1";
  addSites(state, programs());
  EXPECT_FALSE(BudgetState::parse(state.toJson(), "model 2"));
  for (const char *text : {"", "{", "[]", "{}", R"({"search": "model 1"})", R"({"search": "model 1", "sites": [3], "fixed_us": 1})"})
    EXPECT_FALSE(BudgetState::parse(text, "model 1")) << text;
}
