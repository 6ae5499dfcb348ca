//===- BudgetTest.cpp - sites and costs of a search for a plan ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Budget.h"
#include "BudgetSettings.h"
#include "BudgetState.h"

#include "permalloy/Support/Files.h"

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

TEST(Budget, RefusesLevelsThatNothingTakes) {
  CompileSettings settings;
  settings.calibrate = "in.npz";
  settings.levels = {"bf16", "w4g32", "merge8", "prune8"};
  EXPECT_THAT(readBudgetSettings(settings)->levels, testing::ElementsAreArray(settings.levels));
  settings.levels.push_back("w99");
  EXPECT_THAT(
      readBudgetSettings(settings).status().message(),
      testing::AllOf(testing::HasSubstr("--levels: level 'w99' is unknown; there are f32, bf16, "),
                     testing::HasSubstr("wBgG"), testing::HasSubstr("merge8")));
}

TEST(Budget, AReplacedFileOfStatisticsIsAnotherSearch) {
  Result<TempFolder> folder = TempFolder::create();
  ASSERT_TRUE(folder.ok());
  CompileCommand command;
  command.settings.statistics = folder->file("statistics");
  ASSERT_TRUE(writeFile(command.settings.statistics, "one").ok());
  std::string key = keyOf(command, {"bf16"});
  EXPECT_EQ(keyOf(command, {"bf16"}), key);
  ASSERT_TRUE(writeFile(command.settings.statistics, "another").ok());
  EXPECT_NE(keyOf(command, {"bf16"}), key);
}

static PrecisionChoice choice(const char *op, const char *precision, const char *format = "") {
  PrecisionChoice result;
  result.op = op;
  result.kind = "linear";
  result.precision = precision;
  result.format = format;
  return result;
}

/// A step that takes what it was predicted to take.
static StepTime step(std::vector<std::string> nodes, double us) { return {std::move(nodes), us, us}; }

/// Two layers; "b" has a gate that is multiplied into the product of "a", and a step that belongs to nobody.
static std::vector<UniformProgram> programs() {
  UniformProgram f32{"f32", {}, {step({"a"}, 10), step({"a", "b", "mul"}, 20), step({"norm"}, 5)}};
  UniformProgram bf16{"bf16", {}, {step({"a"}, 4), step({"a", "b", "mul"}, 8), step({"norm"}, 6)}};
  bf16.plan.choices = {choice("a", "bf16"), choice("b", "bf16")};
  UniformProgram w4{"w4g32", {}, {step({"a"}, 3), step({"a", "b", "mul"}, 20), step({"norm"}, 5)}};
  w4.plan.choices = {choice("a", "f32", "w4g32"), choice("b", "f32")};
  w4.plan.choices.front().solver = "rtn";
  UniformProgram none{"w8", {}, {step({"a"}, 10), step({"a", "b", "mul"}, 20), step({"norm"}, 5)}};
  none.plan.choices = {choice("a", "f32"), choice("b", "f32")};
  return {f32, bf16, w4, none};
}

static std::vector<std::pair<std::string, double>> levelsOf(const BudgetSite &site, size_t merge = 0) {
  std::vector<std::pair<std::string, double>> result;
  for (const BudgetLevel &level : site.levels)
    result.push_back({level.level, level.us[merge]});
  return result;
}

TEST(Budget, StepsBelongToTheSitesOfTheirNodes) {
  using testing::ElementsAre;
  using testing::Pair;
  BudgetState state;
  state.addSites(programs());
  ASSERT_EQ(state.sites.size(), 2u);
  EXPECT_DOUBLE_EQ(state.merges.front().fixedUs, 5);
  EXPECT_DOUBLE_EQ(state.f32Us(), 35);
  // The microsecond that the norm lost by bf16 is shared.
  EXPECT_THAT(levelsOf(state.sites[0]), ElementsAre(Pair("f32", 10), Pair("bf16", 4.5), Pair("w4g32", 3)));
  EXPECT_THAT(levelsOf(state.sites[1]), ElementsAre(Pair("f32", 20), Pair("bf16", 8.5)));
  EXPECT_THAT(state.refused, ElementsAre("w8: no operation can have it"));
}

TEST(Budget, PricesAreScaledByWhatWholeModelsMeasured) {
  std::vector<UniformProgram> all = programs();
  all[0].steps = {{{"a"}, 5, 12}, {{"b"}, 10, 18}, {{"norm"}, 4, 5}};
  all[1].steps = {{{"a"}, 4, 2}, {{"b"}, 12, 6}, {{"norm"}, 4, 5}};
  all.resize(2);
  BudgetState state;
  state.addSites(all);
  // f32 took twice of what was predicted, bf16 half; how it divides is as predicted.
  EXPECT_EQ(levelsOf(state.sites[0]), (std::vector<std::pair<std::string, double>>{{"f32", 10}, {"bf16", 2}}));
  EXPECT_EQ(levelsOf(state.sites[1]), (std::vector<std::pair<std::string, double>>{{"f32", 20}, {"bf16", 6}}));
  EXPECT_DOUBLE_EQ(state.f32Us(), 35);
  // A plan's own program: "b" in bf16.
  EXPECT_DOUBLE_EQ(state.scaled({0, 1, 0}, {{{"a"}, 5, 0}, {{"b"}, 14, 0}, {{"cast"}, 4, 0}}), 10 + 7 + 5);
}

TEST(Budget, MergesPriceAllSitesAnew) {
  BudgetState state;
  state.addSites(programs());
  state.sites[0].levels[1].error = state.sites[1].levels[1].error = 0.01;
  UniformProgram f32{"f32", {}, {{{"a"}, 6, 6}, {{"a", "b", "mul"}, 10, 12}, {{"norm"}, 5, 5}}};
  UniformProgram bf16{"bf16", programs()[1].plan, {{{"a"}, 3, 0}, {{"a", "b", "mul"}, 5, 0}, {{"norm"}, 5, 0}}};
  BudgetMerge merge;
  merge.level = "merge8", merge.error = 0.001;
  state.addMerge(merge, f32, {bf16});
  ASSERT_EQ(state.merges.size(), 2u);
  double scale = 18.0 / 16; // of linear layers
  EXPECT_EQ(levelsOf(state.sites[0], 1), (std::vector<std::pair<std::string, double>>{{"f32", 6 * scale}, {"bf16", 3 * scale}, {"w4g32", 6 * scale}}));
  EXPECT_DOUBLE_EQ(state.costOf({0, 0, 1}), 23);
  EXPECT_DOUBLE_EQ(state.errorOf({1, 1, 1}), 0.021);
  // Merging alone is within 25 us, and loses least.
  auto best = state.within(25);
  ASSERT_TRUE(best.ok());
  ASSERT_EQ(best->size(), 2u);
  EXPECT_EQ(best->front().plan, (search::Plan{0, 0, 1}));
  EXPECT_DOUBLE_EQ(best->front().error, 0.001);
  // Dearer plans lose less, whatever they merge.
  auto frontier = state.frontier();
  ASSERT_TRUE(frontier.ok());
  EXPECT_EQ(frontier->back().plan, (search::Plan{0, 0, 0}));
  for (size_t i = 1; i < frontier->size(); ++i)
    EXPECT_LT((*frontier)[i].error, (*frontier)[i - 1].error);
}

TEST(Budget, MergesOfNoFiniteErrorAreLeftOut) {
  BudgetState state;
  state.addSites(programs());
  BudgetMerge merge;
  merge.level = "merge8", merge.error = HUGE_VAL;
  state.addMerge(merge, {"f32", {}, {step({"a"}, 1), step({"a", "b", "mul"}, 1), step({"norm"}, 1)}}, {});
  auto best = state.within(35), none = state.within(10);
  ASSERT_TRUE(best.ok() && none.ok());
  ASSERT_EQ(best->size(), 1u);
  EXPECT_EQ(best->front().plan.back(), 0u);
  EXPECT_TRUE(none->empty());
  auto frontier = state.frontier();
  ASSERT_TRUE(frontier.ok());
  for (const search::Allocation &allocation : *frontier)
    EXPECT_EQ(allocation.plan.back(), 0u);
}

TEST(Budget, DominatedLevelsAreNotMeasured) {
  BudgetState state;
  state.addSites(programs());
  state.sites[0].levels.push_back({"w8", "w8", {4.5}, std::nullopt}); // no faster than bf16
  state.sites[1].levels.push_back({"w8", "w8", {8}, std::nullopt});
  state.sites[1].levels.push_back({"w4g32", "w4g32", {21}, std::nullopt}); // slower than f32
  state.uniform = {{"f32", 35, 35, 0}, {"bf16", 18, 18, 0.01}, {"w8", 20, 20, 0.02}, {"w4g32", 28, 28, 0.5}};
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
  state.addSites(programs());
  PrecisionPlan plan = state.planOf({2, 0, 0});
  ASSERT_EQ(plan.choices.size(), 2u);
  EXPECT_EQ(plan.choices[0].level(), "w4g32");
  EXPECT_EQ(plan.choices[0].solver, "rtn");
  EXPECT_DOUBLE_EQ(*plan.choices[0].saved, 7);
  EXPECT_EQ(plan.choices[1].level(), "f32");
  EXPECT_EQ(plan.choices[1].solver, "");
}

TEST(Budget, WhatIsNotMeasuredIsNotTaken) {
  BudgetState state;
  state.addSites(programs());
  search::Sites sites = state.table(0);
  EXPECT_EQ(sites.levels[0][0].error, 0);
  EXPECT_TRUE(std::isinf(sites.levels[0][1].error));
}

TEST(Budget, AStateIsReadAsItWasWritten) {
  BudgetState state;
  state.key = "model 1";
  state.addSites(programs());
  state.sites[0].levels[1].error = 0.25;
  state.sites[1].levels[1].error = HUGE_VAL;
  state.uniform = {{"f32", 35, 34, 0}, {"bf16", 18, 17, 0.5}};
  state.evolution = {{2, 1, 0}, 0.125, 7};
  std::string text = state.toJson();
  std::optional<BudgetState> read = BudgetState::parse(text, "model 1");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->toJson(), text);
  EXPECT_EQ(read->evolution.parent, (search::Plan{2, 1, 0}));
  EXPECT_EQ(*read->sites[0].levels[1].error, 0.25);
  EXPECT_TRUE(std::isinf(*read->sites[1].levels[1].error));
  EXPECT_FALSE(read->sites[0].levels[2].error);
}

TEST(Budget, AnotherStateIsNotTaken) {
  BudgetState state;
  state.key = "model 1";
  state.addSites(programs());
  EXPECT_FALSE(BudgetState::parse(state.toJson(), "model 1")) << "f32 was not measured";
  state.uniform = {{"bf16", 18, 17, 0.5}};
  EXPECT_FALSE(BudgetState::parse(state.toJson(), "model 1")) << "f32 is not the first";
  state.uniform = {{"f32", 35, 34, 0}};
  EXPECT_TRUE(BudgetState::parse(state.toJson(), "model 1"));
  EXPECT_FALSE(BudgetState::parse(state.toJson(), "model 2"));
  for (const char *text : {"", "{", "[]", "{}", R"({"search": "model 1"})", R"({"search": "model 1", "sites": [3], "merges": [{"level": "merge0", "fixed_us": 1}]})",
                           R"({"search": "model 1", "sites": [], "merges": []})"})
    EXPECT_FALSE(BudgetState::parse(text, "model 1")) << text;
}
