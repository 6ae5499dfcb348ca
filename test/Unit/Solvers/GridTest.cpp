//===- GridTest.cpp - scales and codes of groups -----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "permalloy/Solvers/WeightSolver.h"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <random>

using namespace permalloy::solvers;

namespace {

std::vector<float> normal(size_t count) {
  std::mt19937 random(1);
  std::normal_distribution<float> distribution;
  std::vector<float> values(count);
  for (float &value : values)
    value = distribution(random);
  return values;
}

Grid grid(unsigned bits, int64_t group, bool symmetric = true) { return {bits, symmetric, symmetric, group, {}, true}; }

struct Solved {
  Solution solution;
  std::string error;
};
Solved solved(const char *solver, const Grid &grid, int64_t k, int64_t n, std::span<const float> weight) {
  Solved result;
  result.error = solve(solver, {k, n, weight, {}, {}, grid, {}}, result.solution);
  return result;
}

double meanSquaredError(const char *solver, const Grid &grid) {
  static const std::vector<float> weight = normal(512 * 128);
  Solved result = solved(solver, grid, 512, 128, weight);
  EXPECT_EQ(result.error, "");
  double sum = 0;
  for (size_t i = 0; i < weight.size(); ++i)
    sum += std::pow(weight[i] - result.solution.weight[i], 2);
  return sum / double(weight.size());
}

/// Of N(0, 1), by the published tables of 4 bits: the largest magnitude at -8, and with zero points.
TEST(Grid, ErrorsAreThoseOfTheLiterature) {
  EXPECT_NEAR(meanSquaredError("absmax", grid(4, 32)), 0.0074, 0.03 * 0.0074);
  EXPECT_NEAR(meanSquaredError("absmax", grid(4, 32, false)), 0.0065, 0.03 * 0.0065);
  EXPECT_NEAR(meanSquaredError("absmax", grid(4, 128)), 0.0106, 0.03 * 0.0106);
  EXPECT_NEAR(meanSquaredError("absmax", grid(4, 128, false)), 0.0101, 0.03 * 0.0101);
  Grid normalFloat = grid(4, 32, false);
  normalFloat.codebook = {-1, -0.6961928f, -0.5250730f, -0.3949175f, -0.2844414f, -0.1847734f, -0.0910500f, 0,
                          0.0795803f, 0.1609302f, 0.2461123f, 0.3379152f, 0.4407098f, 0.5626170f, 0.7229568f, 1};
  EXPECT_NEAR(meanSquaredError("absmax", normalFloat), 0.0076, 0.03 * 0.0076);
}

TEST(Grid, ClippingLosesLess) {
  for (bool symmetric : {true, false})
    for (int64_t group : {32, 128, 512})
      EXPECT_LT(meanSquaredError("rtn", grid(4, group, symmetric)), 0.95 * meanSquaredError("absmax", grid(4, group, symmetric)));
}

/// Under the range as it is no number is further from its code than half a step; the largest is met exactly.
TEST(Grid, IsWithinHalfAStep) {
  std::vector<float> weight = normal(100 * 7);
  for (unsigned bits : {2, 3, 4, 5, 8}) {
    Grid wanted = grid(bits, 32);
    Solved result = solved("absmax", wanted, 100, 7, weight); // the last group has 4 steps
    ASSERT_EQ(result.error, "");
    ASSERT_EQ(result.solution.scales.size(), 4u * 7);
    for (int64_t k = 0; k < 100; ++k)
      for (int64_t n = 0; n < 7; ++n) {
        float scale = result.solution.scales[k / 32 * 7 + n], value = weight[k * 7 + n];
        float largest = float(wanted.maximum()) * scale; // the other side may be cut off
        bool isCut = bits < 8 && value * scale > 0 && std::abs(value) > std::abs(largest);
        EXPECT_TRUE(isCut || std::abs(value - result.solution.weight[k * 7 + n]) <= std::abs(scale) * 0.501f) << bits << " bits, " << value;
      }
  }
}

TEST(Grid, SignedScaleReproducesTheLargest) {
  std::vector<float> weight = {0.5f, -1.75f, 3.0f, 1.0f};
  Grid wanted = grid(4, 4);
  wanted.halfScales = false;
  Solved result = solved("absmax", wanted, 4, 1, weight);
  EXPECT_EQ(result.solution.scales[0], -0.375f);
  EXPECT_EQ(result.solution.codes[2], -8);
  EXPECT_EQ(result.solution.weight[2], 3.0f);
}

TEST(Grid, ZerosHaveScaleOne) {
  std::vector<float> weight(64, 0.0f);
  for (bool symmetric : {true, false}) {
    Solved result = solved("rtn", grid(4, 32, symmetric), 64, 1, weight);
    EXPECT_EQ(result.solution.scales, std::vector<float>({1, 1}));
    EXPECT_EQ(result.solution.weight, weight);
  }
}

TEST(Grid, BytesAreSymmetric) {
  std::vector<float> weight = {-1, 1, 0.5f, -0.25f};
  Solved result = solved("absmax", grid(8, 4), 4, 1, weight);
  for (int8_t code : result.solution.codes)
    EXPECT_GE(code, -127);
  EXPECT_EQ(std::abs(int(result.solution.codes[0])), 127);
}

/// A group of all of K is one scale per column, however long it is said to be.
TEST(Grid, LongGroupIsAColumn) {
  std::vector<float> weight = normal(96 * 3);
  Solved a = solved("rtn", grid(4, 96), 96, 3, weight), b = solved("rtn", grid(4, 4096), 96, 3, weight);
  EXPECT_EQ(a.solution.codes, b.solution.codes);
  EXPECT_EQ(a.solution.scales, b.solution.scales);
}

TEST(Grid, RefusesWhatIsNotFinite) {
  std::vector<float> weight = {1, 2, std::numeric_limits<float>::infinity(), 4};
  EXPECT_EQ(solved("rtn", grid(4, 32), 2, 2, weight).error,
            "element [1, 0] of the weight is inf; only finite numbers can be quantized or pruned");
  EXPECT_EQ(solved("nobody", grid(4, 32), 2, 2, weight).error.rfind("no solver 'nobody'; there are ", 0), 0u);
}

TEST(Grid, RoundsToHalf) {
  EXPECT_EQ(roundToHalf(1.0f), 1.0f);
  EXPECT_EQ(roundToHalf(1.0f + 0x1p-11f), 1.0f);              // a tie, to even
  EXPECT_EQ(roundToHalf(1.0f + 3 * 0x1p-11f), 1.0f + 0x1p-9f); // the other way
  EXPECT_EQ(roundToHalf(-0.1f), -0.0999755859375f);
  EXPECT_EQ(roundToHalf(0x1p-24f), 0x1p-24f);
  EXPECT_EQ(roundToHalf(0x1p-26f), 0.0f);
  EXPECT_EQ(roundToHalf(1e9f), 65504.0f);
}

} // namespace
