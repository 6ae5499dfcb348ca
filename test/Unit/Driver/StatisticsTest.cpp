//===- StatisticsTest.cpp - medians and their intervals ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Statistics.h"

#include <gtest/gtest.h>
#include <numeric>

using namespace permalloy;

TEST(Statistics, Summary) {
  Summary summary = summarize({4, 1, 3, 2, 5});
  EXPECT_EQ(summary.minimum, 1);
  EXPECT_EQ(summary.median, 3);
  EXPECT_NEAR(summary.p90, 4.6, 1e-12);
  EXPECT_EQ(summary.mean, 3);
  EXPECT_NEAR(summary.variation, 0.527, 1e-3);
  EXPECT_EQ(summarize({}).median, 0);
  EXPECT_EQ(summarize({7}).variation, 0);
}

TEST(Statistics, MedianInterval) {
  // Textbook ranks (from 1) of 95% intervals: n = 10: 2 and 9; n = 20: 6 and 15; n = 100: 40 and 61.
  for (auto [n, low, high] : {std::array{10, 2, 9}, {20, 6, 15}, {100, 40, 61}}) {
    std::vector<double> values(static_cast<size_t>(n));
    std::iota(values.rbegin(), values.rend(), 1);
    MedianInterval interval = medianInterval(values);
    EXPECT_EQ(interval.low, low);
    EXPECT_EQ(interval.high, high);
    EXPECT_EQ(interval.median, (n + 1) / 2.0);
  }
  EXPECT_EQ(medianInterval({}).median, 0);
  EXPECT_EQ(medianInterval({3}).high, 3);
}
