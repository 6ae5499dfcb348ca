//===- ObsTest.cpp - which weights are missed least --------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Layer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

using namespace permalloy::solvers;

static Pattern blocks(double density, int64_t blockK, int64_t blockN) {
  Pattern pattern;
  pattern.kind = Pattern::Blocks;
  pattern.density = density;
  pattern.blockK = blockK;
  pattern.blockN = blockN;
  return pattern;
}

static Pattern nOfM(int64_t n, int64_t m, int64_t blockN) {
  Pattern pattern = blocks(double(n) / m, 1, blockN);
  pattern.kind = Pattern::NOfM;
  pattern.n = n;
  pattern.m = m;
  return pattern;
}

/// Keeps the blocks of largest sum of w^2, or with inputs of w^2 |x|^2 (Wanda), and changes no weight.
static std::vector<float> simple(const Layer &layer, const Pattern &pattern, bool inputs) {
  std::vector<float> result(layer.weight.size());
  int64_t rows = layer.k / pattern.blockK, window = pattern.kind == Pattern::NOfM ? pattern.m : rows;
  int64_t kept = pattern.kind == Pattern::NOfM ? pattern.n : std::lround(pattern.density * rows);
  for (int64_t slab = 0; slab < layer.n; slab += pattern.blockN)
    for (int64_t first = 0; first < rows; first += window) {
      std::vector<std::pair<double, int64_t>> order;
      auto each = [&](int64_t row, auto &&body) {
        for (int64_t i = row * pattern.blockK; i < (row + 1) * pattern.blockK; ++i)
          for (int64_t c = slab; c < std::min(layer.n, slab + pattern.blockN); ++c)
            body(i, i * layer.n + c);
      };
      for (int64_t row = first; row < first + window; ++row) {
        double sum = 0;
        each(row, [&](int64_t i, int64_t at) { sum -= layer.weight[at] * layer.weight[at] * (inputs ? layer.gram[i * layer.k + i] : 1); });
        order.push_back({sum, row});
      }
      std::sort(order.begin(), order.end());
      for (int64_t i = 0; i < kept; ++i)
        each(order[i].second, [&](int64_t, int64_t at) { result[at] = layer.weight[at]; });
    }
  return result;
}

static std::vector<float> pruned(const Layer &layer, const Pattern &pattern) {
  Problem problem = layer.problem();
  problem.pattern = pattern;
  return solved("obs", problem).weight;
}

TEST(Obs, BeatsMagnitudeAndWanda) {
  Layer layer(256, 80);
  for (const Pattern &pattern : {nOfM(2, 4, 1), nOfM(2, 4, 16), blocks(0.5, 1, 1), blocks(0.5, 1, 16), blocks(0.5, 4, 16), blocks(0.25, 1, 16)}) {
    double magnitude = layer.error(simple(layer, pattern, false)), wanda = layer.error(simple(layer, pattern, true));
    double solver = layer.error(pruned(layer, pattern));
    EXPECT_LT(wanda, magnitude);
    EXPECT_LT(solver, 0.85 * wanda) << pattern.density << ": " << pattern.blockK << " x " << pattern.blockN;
    EXPECT_LT(solver, 0.6 * magnitude);
  }
}

TEST(Obs, TakesWandasWeightsAndChangesNoneWhereInputsKnowNothingOfEachOther) {
  Layer layer(128, 36);
  layer.makeDiagonal();
  for (const Pattern &pattern : {nOfM(2, 4, 1), blocks(0.5, 1, 4)}) {
    std::vector<float> expected = simple(layer, pattern, true), weight = pruned(layer, pattern);
    int64_t others = 0;
    for (size_t i = 0; i < weight.size(); ++i) {
      others += (weight[i] == 0) != (expected[i] == 0); // damping turns near ties round
      if (weight[i] != 0)
        EXPECT_EQ(weight[i], layer.weight[i]);
    }
    EXPECT_LE(others, int64_t(weight.size()) / 50);
  }
}

TEST(Obs, KeepsTheSameNumberInEachSlab) {
  Layer layer(150, 40); // 38 block rows of which the last is short, slabs of 16, 16 and 8
  for (double density : {0.0, 0.1, 0.5, 0.75}) {
    std::vector<float> weight = pruned(layer, blocks(density, 4, 16));
    for (int64_t slab = 0; slab < 40; slab += 16) {
      int64_t kept = 0;
      for (int64_t row = 0; row < 38; ++row) {
        int64_t others = 0, size = 0;
        for (int64_t i = row * 4; i < std::min<int64_t>(150, row * 4 + 4); ++i)
          for (int64_t c = slab; c < std::min<int64_t>(40, slab + 16); ++c, ++size)
            others += weight[i * 40 + c] != 0;
        EXPECT_TRUE(others == 0 || others == size);
        kept += others > 0;
      }
      EXPECT_EQ(kept, std::lround(density * 38));
    }
  }
  std::vector<float> weight = pruned(layer, nOfM(1, 4, 1));
  for (int64_t c = 0; c < 40; ++c)
    for (int64_t i = 0; i < 150; i += 4) {
      int64_t kept = 0;
      for (int64_t j = i; j < std::min<int64_t>(150, i + 4); ++j)
        kept += weight[j * 40 + c] != 0;
      EXPECT_EQ(kept, 1);
    }
}

TEST(Obs, AllIsTheIdentity) {
  Layer layer(64, 32);
  EXPECT_EQ(pruned(layer, blocks(1, 1, 16)), layer.weight);
  EXPECT_EQ(pruned(layer, nOfM(4, 4, 1)), layer.weight);
}

TEST(Obs, WeightsAreTheBestOfTheirMask) {
  Layer layer(96, 16);
  std::vector<float> weight = pruned(layer, blocks(0.5, 1, 16));
  double best = layer.error(weight);
  for (int64_t i = 0; i < 96; i += 7)
    for (float change : {-0.05f, 0.05f}) {
      std::vector<float> other = weight;
      for (int64_t c = 0; c < 16; ++c)
        other[i * 16 + c] *= 1 + change;
      EXPECT_GE(layer.error(other), 0.999 * best) << i; // but for the damping
    }
}

TEST(Obs, SaysWhatItCannot) {
  Layer layer(32, 16);
  Problem problem = layer.problem();
  Solution solution;
  EXPECT_EQ(solve("obs", problem, solution), "obs prunes weights; it chooses no codes");
  problem.pattern = blocks(1.5, 1, 16);
  EXPECT_NE(solve("obs", problem, solution).find("is not between 0 and 1"), std::string::npos);
  problem.pattern = nOfM(5, 4, 1);
  EXPECT_EQ(solve("obs", problem, solution), "cannot keep 5 of 4");
  problem.gram = {};
  EXPECT_NE(solve("obs", problem, solution).find("calibrate"), std::string::npos);
}
