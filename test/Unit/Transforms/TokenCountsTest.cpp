//===- TokenCountsTest.cpp - levels, schedules and counts of tokens -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Transforms/TokenReduction.h"

#include "mlir/IR/MLIRContext.h"
#include "gmock/gmock.h"

using namespace permalloy;
using tfm::DimExprAttr;
using ::testing::ElementsAre;

namespace {

std::vector<int64_t> countsOf(llvm::StringRef text, size_t blocks) {
  auto levels = parseTokenSchedule(text, blocks);
  std::vector<int64_t> counts;
  if (!levels) {
    ADD_FAILURE() << llvm::toString(levels.takeError());
    return counts;
  }
  for (const TokenLevel &level : *levels)
    counts.push_back(level.count);
  return counts;
}

TEST(TokenSchedule, Forms) {
  EXPECT_THAT(countsOf("13", 3), ElementsAre(13, 13, 13));
  EXPECT_THAT(countsOf("merge16,8,0", 5), ElementsAre(16, 8, 0, 0, 0));
  EXPECT_THAT(countsOf("26..0", 5), ElementsAre(26, 20, 13, 6, 0));
  EXPECT_THAT(countsOf("3..0", 2), ElementsAre(3, 0));
  EXPECT_THAT(countsOf("5..1", 1), ElementsAre(5));
  EXPECT_THAT(countsOf("7", 0), ElementsAre());
  EXPECT_TRUE(parseTokenSchedule("prune4", 1)->front().prune);
  for (const char *wrong : {"", "x", "-1", "1..", "1,,2", "4..2..1", "99999999999", "prune"})
    EXPECT_THAT(llvm::toString(parseTokenSchedule(wrong, 4).takeError()), ::testing::HasSubstr("is no schedule of tokens"));
  EXPECT_THAT(llvm::toString(parseTokenSchedule("1,2,3", 2).takeError()), ::testing::HasSubstr("has 3 entries for 2 blocks"));
}

TEST(TokenSchedule, Levels) {
  EXPECT_EQ(TokenLevel::parse("merge13")->str(), "merge13");
  EXPECT_EQ(TokenLevel::parse("prune0")->str(), "prune0");
  for (const char *wrong : {"13", "merge", "merge-1", "mergex", "w8"})
    EXPECT_THAT(llvm::toString(TokenLevel::parse(wrong).takeError()), ::testing::HasSubstr("is no level of tokens"));
}

TEST(TokenSchedule, Plans) {
  auto plan = parseTokenPlan(R"({"plan": [{"op": "a", "kind": "linear", "level": "w8"}, {"op": "b", "kind": "tokens", "level": "merge3"}]})");
  ASSERT_TRUE(bool(plan));
  ASSERT_EQ(plan->size(), 1u);
  EXPECT_EQ(plan->front().op, "b");
  EXPECT_THAT(llvm::toString(parseTokenPlan(R"({"plan": [{"kind": "tokens", "level": "merge3"}]})").takeError()),
              ::testing::HasSubstr("has no op"));
  EXPECT_THAT(llvm::toString(parseTokenPlan("{").takeError()), ::testing::HasSubstr("no JSON"));
}

/// The expressions against m - min(r, m / 2), step by step.
TEST(TokenCounts, EqualsTheSteps) {
  mlir::MLIRContext context;
  context.loadDialect<tfm::TfmDialect>();
  DimExprAttr n = DimExprAttr::symbol(&context, "n");
  std::vector<std::vector<int64_t>> schedules = {{13, 13, 13, 13, 13, 13}, {20, 1, 7, 0, 30}, {0, 0, 5}, {1, 2, 4, 8, 16, 32}, {100, 0, 100, 3}};
  for (int64_t first : {0, 1, 3})
    for (const auto &schedule : schedules) {
      TokenCounts counts(n, first);
      std::vector<DimExprAttr> expressions;
      for (int64_t r : schedule)
        expressions.push_back(counts.next(r));
      for (int64_t size = first; size < 150; ++size) {
        int64_t left = size - first;
        for (size_t i = 0; i < schedule.size(); ++i) {
          left -= std::min(schedule[i], left / 2);
          DimExprAttr value = expressions[i].substitute([&](llvm::StringRef) { return DimExprAttr::constant(&context, size); });
          ASSERT_TRUE(value.isConstant(left + first)) << value.str() << " for n = " << size << ", block " << i;
        }
      }
    }
}

/// Expressions do not double with each block.
TEST(TokenCounts, StaysShort) {
  mlir::MLIRContext context;
  context.loadDialect<tfm::TfmDialect>();
  TokenCounts counts(DimExprAttr::symbol(&context, "n"), 1);
  DimExprAttr last;
  for (int i = 0; i < 48; ++i)
    last = counts.next(8 + i % 5);
  EXPECT_LT(last.str().size(), 3000u);
}

} // namespace
