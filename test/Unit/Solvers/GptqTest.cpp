//===- GptqTest.cpp - codes that make good each other's errors ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Layer.h"

#include "../../../lib/Solvers/Sweep.h"

#include <gtest/gtest.h>

using namespace permalloy::solvers;

static Grid gridOf(unsigned bits, int64_t group, bool symmetric = true) {
  Grid grid;
  grid.bits = bits;
  grid.group = group;
  grid.isSigned = grid.symmetric = symmetric;
  return grid;
}

TEST(Gptq, HalvesTheErrorOfRounding) {
  Layer layer(160, 70);
  Problem problem = layer.problem();
  for (unsigned bits : {3, 4, 8})
    for (int64_t group : {32, 64, 128, 160})
      for (bool symmetric : {true, false}) {
        problem.grid = gridOf(bits, group, symmetric);
        double rounded = layer.error(solved("rtn", problem).weight);
        for (const char *solver : {"gptq", "gptq_act_order"}) {
          Solution solution = solved(solver, problem);
          EXPECT_LT(layer.error(solution.weight), 0.67 * rounded) << solver << bits << " bits, group " << group;
          EXPECT_EQ(solution.scales.size(), size_t(problem.grid->groups(160) * 70));
          EXPECT_EQ(solution.zeroPoints.size(), symmetric ? 0 : solution.scales.size());
        }
      }
}

TEST(Gptq, WeightsAreWhatTheCodesStandFor) {
  Layer layer(48, 20);
  Problem problem = layer.problem();
  for (int codebook : {false, true}) {
    problem.grid = gridOf(4, 20, /*symmetric=*/false); // groups of 20, 20 and 8
    for (int i = 0; codebook && i < 16; ++i)
      problem.grid->codebook.push_back(std::tan(0.19f * (i - 7.5f)));
    for (const char *solver : {"gptq", "gptq_act_order"}) {
      Solution solution = solved(solver, problem);
      for (int64_t i = 0; i < 48; ++i)
        for (int64_t c = 0; c < 20; ++c) {
          int64_t at = i / 20 * 20 + c;
          GroupScale scale = {solution.scales[at], codebook ? 0 : solution.zeroPoints[at]};
          EXPECT_EQ(solution.weight[i * 20 + c], valueOfCode(*problem.grid, scale, uint8_t(solution.codes[i * 20 + c])));
        }
    }
  }
}

TEST(Gptq, RoundsToNearestWhereInputsKnowNothingOfEachOther) {
  Layer layer(64, 24);
  layer.makeDiagonal();
  Problem problem = layer.problem();
  std::vector<float> second(64);
  for (int64_t i = 0; i < 64; ++i)
    second[i] = layer.gram[i * 64 + i];
  problem.second = second;
  problem.grid = gridOf(4, 32);
  Solution rounded = solved("rtn", problem);
  for (const char *solver : {"gptq", "gptq_act_order"}) {
    Solution solution = solved(solver, problem);
    EXPECT_EQ(solution.codes, rounded.codes);
    EXPECT_EQ(solution.scales, rounded.scales);
  }
}

TEST(Gptq, InputsThatWereAlwaysZeroCostNothing) {
  Layer layer(64, 16);
  for (int64_t i = 0; i < 64; ++i)
    layer.gram[5 * 64 + i] = layer.gram[i * 64 + 5] = 0;
  Problem problem = layer.problem();
  problem.grid = gridOf(4, 32);
  Solution solution = solved("gptq", problem);
  for (int64_t c = 0; c < 16; ++c)
    EXPECT_EQ(solution.codes[5 * 16 + c], 0);
  EXPECT_LT(layer.error(solution.weight), layer.error(solved("rtn", problem).weight));
}

TEST(Gptq, FewSamplesAndGramsThatAreNone) {
  Layer layer(96, 16, /*samples=*/3); // of rank 3
  Problem problem = layer.problem();
  problem.grid = gridOf(4, 96);
  EXPECT_LT(layer.error(solved("gptq", problem).weight), layer.error(solved("rtn", problem).weight));
  // 5% of negative eigenvalues: 0.01 of the mean is not enough, 0.1 is.
  std::vector<float> gram(96 * 96);
  for (int64_t i = 0; i < 96; ++i)
    gram[i * 96 + i] = i == 40 ? -0.05f : 1;
  EXPECT_NEAR(inverseFactor(gram, 96)->damping, 0.1, 1e-9);
  gram[40 * 96 + 40] = -5;
  EXPECT_EQ(inverseFactor(gram, 96), nullptr);
  problem.gram = gram;
  Solution solution;
  EXPECT_EQ(solve("gptq", problem, solution), "the gram is not positive definite, even with its mean added to the diagonal");
  problem.gram = {};
  EXPECT_NE(solve("gptq", problem, solution).find("calibrate"), std::string::npos);
  problem.gram = layer.gram;
  problem.pattern.kind = Pattern::NOfM;
  EXPECT_EQ(solve("gptq", problem, solution), "gptq chooses codes; it prunes no weights");
}

TEST(Gptq, TheFactorIsThatOfTheInverse) {
  Layer layer(70, 1);
  std::vector<int64_t> order(70);
  for (int64_t i = 0; i < 70; ++i)
    order[i] = (i * 27 + 3) % 70;
  auto factor = inverseFactor(layer.gram, 70, order);
  double mean = 0;
  for (int64_t i = 0; i < 70; ++i)
    mean += layer.gram[i * 70 + i] / 70;
  // U H U^T = 1 for H = U^-1 U^-T.
  for (int64_t i = 0; i < 70; ++i)
    for (int64_t j = 0; j < 70; ++j) {
      double sum = 0;
      for (int64_t a = i; a < 70; ++a)
        for (int64_t b = j; b < 70; ++b) {
          int64_t row = std::min(order[a], order[b]), column = std::max(order[a], order[b]);
          double h = layer.gram[row * 70 + column] + (a == b ? factor->damping * mean : 0);
          sum += double(factor->rows()[i][a]) * h * factor->rows()[j][b];
        }
      EXPECT_NEAR(sum, i == j, 1e-4) << i << ", " << j;
    }
}

TEST(Gptq, BlocksOfTheSweepChangeNothingAndItsLossIsTheQuadraticForm) {
  Layer layer(130, 8);
  auto factor = inverseFactor(layer.gram, 130);
  auto swept = [&](int64_t block, double &loss) {
    std::vector<float> w = layer.weight;
    loss = sweep({w.data(), 8}, 130, 8, *factor, block, [](int64_t, int64_t) {}, [&](int64_t i, const float *row, float *settled) {
      for (int64_t c = 0; c < 8; ++c)
        settled[c] = (i + c) % 3 ? row[c] : 0;
    });
    return w;
  };
  double loss, other;
  std::vector<float> whole = swept(130, loss), parts = swept(32, other);
  std::vector<float> difference(whole.size()), damped = layer.gram;
  double mean = 0;
  for (int64_t i = 0; i < 130; ++i)
    mean += layer.gram[i * 130 + i] / 130;
  for (int64_t i = 0; i < 130; ++i)
    damped[i * 130 + i] += factor->damping * mean;
  for (size_t i = 0; i < whole.size(); ++i) {
    EXPECT_NEAR(whole[i], parts[i], 1e-3);
    difference[i] = whole[i] - layer.weight[i];
  }
  EXPECT_NEAR(loss, other, 1e-4 * loss);
  EXPECT_NEAR(quadraticLoss(damped, difference, 130, 8), loss, 1e-3 * loss);
}
