//===- MomentsTest.cpp - streamed statistics of a layer's inputs -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Solvers/Moments.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

using namespace permalloy::solvers;

TEST(Moments, AreThoseOfAllRowsHoweverTheyCome) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal(0.5f, 2);
  for (int64_t k : {1, 7, 40, 130}) {
    const int64_t rows = 301;
    std::vector<float> x(rows * k), gram(k * k), absmax(k), mean(k), second(k);
    for (float &value : x)
      value = normal(random);
    Moments moments(k, gram.data());
    moments.add(x.data(), 0);
    moments.add(x.data(), 3);
    moments.add(x.data() + 3 * k, rows - 3);
    EXPECT_EQ(moments.rows(), rows);
    moments.finish(absmax.data(), mean.data(), second.data());
    for (int64_t i = 0; i < k; ++i) {
      double largest = 0, sum = 0;
      for (int64_t t = 0; t < rows; ++t) {
        largest = std::max(largest, double(std::abs(x[t * k + i])));
        sum += x[t * k + i];
      }
      EXPECT_EQ(absmax[i], float(largest));
      EXPECT_NEAR(mean[i], sum / rows, 1e-5);
      EXPECT_NEAR(second[i], gram[i * k + i] / rows, 1e-4);
      for (int64_t j = 0; j < k; ++j) {
        double product = 0;
        for (int64_t t = 0; t < rows; ++t)
          product += double(x[t * k + i]) * x[t * k + j];
        EXPECT_NEAR(gram[i * k + j], product, 1e-3) << i << ", " << j;
      }
    }
  }
}

TEST(Moments, OfNothingAreZero) {
  std::vector<float> absmax(3, 1), mean(3, 1), second(3, 1);
  Moments(3, nullptr).finish(absmax.data(), mean.data(), second.data());
  EXPECT_EQ(absmax, std::vector<float>(3));
  EXPECT_EQ(mean, std::vector<float>(3));
  EXPECT_EQ(second, std::vector<float>(3));
}

TEST(Moments, LayerErrorIsThatOfTheOutputs) {
  std::vector<float> x = {1, 2, -1, 0.5f, 3, 1}, gram(4), weight = {1, 2, 0, 1, -1, 3}, changed = {1, 2.5f, 0, 1.5f, -1, 3}; // 3 x 2, 2 x 3
  for (int64_t i = 0; i < 2; ++i)
    for (int64_t j = 0; j < 2; ++j)
      for (int64_t t = 0; t < 3; ++t)
        gram[i * 2 + j] += x[t * 2 + i] * x[t * 2 + j];
  double whole = 0, difference = 0;
  for (int64_t t = 0; t < 3; ++t)
    for (int64_t n = 0; n < 3; ++n) {
      double right = x[t * 2] * weight[n] + x[t * 2 + 1] * weight[3 + n], other = x[t * 2] * changed[n] + x[t * 2 + 1] * changed[3 + n];
      whole += right * right;
      difference += (right - other) * (right - other);
    }
  EXPECT_NEAR(relativeLayerError(gram, weight, changed, 2, 3), std::sqrt(difference / whole), 1e-6);
}
