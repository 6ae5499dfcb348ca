//===- ExpressionsTest.cpp - size expressions and CPU feature names ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Artifact/Expressions.h"
#include "permalloy/Artifact/CpuFeatures.h"

#include <gtest/gtest.h>

using namespace permalloy;
using namespace permalloy::artifact;

namespace {

struct Row {
  ExprOp op;
  int64_t lhs, rhs, expected;
};

TEST(Expressions, OperationsRoundAsDocumented) {
  const Row rows[] = {
      {ExprOp::add, 2, 3, 5},        {ExprOp::sub, 2, 3, -1},       {ExprOp::mul, -4, 3, -12},
      {ExprOp::floorDiv, 7, 2, 3},   {ExprOp::floorDiv, -7, 2, -4}, {ExprOp::floorDiv, 7, -2, -4},
      {ExprOp::ceilDiv, 7, 2, 4},    {ExprOp::ceilDiv, -7, 2, -3},  {ExprOp::ceilDiv, 8, 2, 4},
      {ExprOp::mod, 7, 3, 1},        {ExprOp::mod, -7, 3, 2},       {ExprOp::mod, 7, -3, -2},
      {ExprOp::min, 2, -3, -3},      {ExprOp::max, 2, -3, 2},       {ExprOp::eq, 2, 2, 1},
      {ExprOp::ne, 2, 2, 0},         {ExprOp::lt, 2, 2, 0},         {ExprOp::le, 2, 2, 1},
      {ExprOp::logicalAnd, 2, 0, 0}, {ExprOp::logicalOr, 2, 0, 1},
  };
  for (const Row &row : rows) {
    int64_t result = 99;
    EXPECT_TRUE(evaluateOp(row.op, row.lhs, row.rhs, result));
    EXPECT_EQ(result, row.expected) << static_cast<int>(row.op);
  }
}

TEST(Expressions, OverflowAndDivisionByZeroAreRefused) {
  int64_t result = 99;
  EXPECT_FALSE(evaluateOp(ExprOp::add, INT64_MAX, 1, result));
  EXPECT_FALSE(evaluateOp(ExprOp::sub, INT64_MIN, 1, result));
  EXPECT_FALSE(evaluateOp(ExprOp::mul, INT64_MAX, 2, result));
  EXPECT_FALSE(evaluateOp(ExprOp::floorDiv, INT64_MIN, -1, result));
  EXPECT_FALSE(evaluateOp(ExprOp::mod, 1, 0, result));
  EXPECT_EQ(result, 99);
}

TEST(Expressions, BuilderSharesAndFolds) {
  std::vector<Expr> table;
  ExprBuilder exprs(table);
  uint32_t seq = exprs.symbol(0);
  uint32_t first = exprs.binary(ExprOp::mul, seq, exprs.constant(4));
  EXPECT_EQ(exprs.binary(ExprOp::mul, seq, exprs.constant(4)), first);
  EXPECT_EQ(exprs.binary(ExprOp::mul, seq, exprs.constant(1)), seq);
  uint32_t six = exprs.binary(ExprOp::mul, exprs.constant(2), exprs.constant(3));
  EXPECT_EQ(table[six].value, 6);
}

TEST(Expressions, EvaluateNamesWhatOverflows) {
  std::vector<Expr> table;
  ExprBuilder exprs(table);
  uint32_t batch = exprs.symbol(0), seq = exprs.symbol(1);
  uint32_t sum = exprs.binary(ExprOp::add, batch, seq);
  exprs.binary(ExprOp::mul, sum, exprs.constant(int64_t(1) << 62));
  std::vector<Symbol> symbols = {{"batch", 0, INT64_MAX, 0, 0}, {"seq", 0, INT64_MAX, 0, 1}};
  std::vector<int64_t> values;
  int64_t small[] = {0, 1}, large[] = {2, 3};
  EXPECT_TRUE(evaluateAll(table, symbols, small, values).ok());
  EXPECT_EQ(values[sum], 1);
  Status status = evaluateAll(table, symbols, large, values);
  EXPECT_EQ(status.message(), "the size (batch + seq) * 4611686018427387904 exceeds 64 bits with "
                              "batch = 2, seq = 3");
}

TEST(Expressions, TextHasTheParenthesesItNeeds) {
  std::vector<Expr> table;
  ExprBuilder exprs(table);
  std::vector<Symbol> symbols = {{"b", 0, 9, 0, 0}, {"s", 0, 9, 0, 1}};
  uint32_t b = exprs.symbol(0), s = exprs.symbol(1), four = exprs.constant(4);
  uint32_t product = exprs.binary(ExprOp::mul, b, s);
  uint32_t sum = exprs.binary(ExprOp::add, product, four);
  uint32_t quotient = exprs.binary(ExprOp::ceilDiv, product, four);
  uint32_t larger = exprs.binary(ExprOp::max, product, four);
  EXPECT_EQ(exprText(table, symbols, sum), "b * s + 4");
  EXPECT_EQ(exprText(table, symbols, quotient), "(b * s) ceildiv 4");
  EXPECT_EQ(exprText(table, symbols, larger), "max(b * s, 4)");
  EXPECT_EQ(exprText(table, symbols, kNone), "0");
}

TEST(CpuFeatures, NamesRoundTrip) {
  for (const std::string &name : cpuFeatureNames(hostCpuFeatures()))
    EXPECT_NE(cpuFeatureFromName(name), 0u) << name;
  EXPECT_EQ(cpuFeatureNames(kX86_64V4 & ~kX86_64V3),
            (std::vector<std::string>{"avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512cd"}));
  EXPECT_EQ(cpuFeatureNames(uint64_t(1) << 63), (std::vector<std::string>{"bit63"}));
  EXPECT_EQ(cpuFeatureFromName("sse9"), 0u);
}

TEST(CpuFeatures, HostImpliesWhatItMust) {
  CpuFeatureMask host = hostCpuFeatures();
  if (host & featureBit(CpuFeature::avx512f))
    EXPECT_EQ(kX86_64V3 & ~host, 0u);
  if (host & featureBit(CpuFeature::amxInt8))
    EXPECT_TRUE(host & featureBit(CpuFeature::amxTile));
}

} // namespace
