//===- Grid.cpp - scales and codes of one group ------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A value x has the code rne(x / s) + z, cut off at the ends of the grid. Codes are chosen under the scale as it is stored.
//
//===----------------------------------------------------------------------===//

#include "Group.h"

#include <algorithm>
#include <bit>
#include <cmath>

using namespace permalloy::solvers;

/// rne for |x| < 2^22, in a form that compilers vectorise.
static inline float roundEven(float x) { return (x + 12582912.0f) - 12582912.0f; }

float permalloy::solvers::roundToHalf(float value) {
  if (!(std::abs(value) < 65504.0f))
    return std::isnan(value) ? value : std::copysign(65504.0f, value);
  if (std::abs(value) < 0x1p-14f) // multiples of 2^-24
    return roundEven(value * 0x1p24f) * 0x1p-24f;
  uint32_t bits = std::bit_cast<uint32_t>(value);
  return std::bit_cast<float>((bits + 0xfff + (bits >> 13 & 1)) & ~uint32_t(0x1fff));
}

/// A scale as stored. One that is almost 0 becomes the smallest that can be divided by.
static float storedScale(const Grid &grid, float scale) {
  float stored = grid.halfScales ? roundToHalf(scale) : scale, smallest = grid.halfScales ? 0x1p-24f : 0x1p-120f;
  return std::abs(stored) < smallest ? std::copysign(smallest, scale) : stored;
}

static int nearestEntry(const std::vector<float> &codebook, float value) {
  int best = 0;
  for (size_t i = 1; i < codebook.size(); ++i)
    if (std::abs(codebook[i] - value) < std::abs(codebook[best] - value))
      best = int(i);
  return best;
}

int permalloy::solvers::nearestCode(const Grid &grid, GroupScale scale, float value) {
  if (!grid.codebook.empty())
    return nearestEntry(grid.codebook, value / scale.scale);
  float low = float(grid.minimum()), high = float(grid.maximum());
  return int(std::clamp(roundEven(std::clamp(value / scale.scale, -1024.0f, 1024.0f)) + scale.zero, low, high));
}

float permalloy::solvers::valueOfCode(const Grid &grid, GroupScale scale, int code) {
  return (grid.codebook.empty() ? float(code) - scale.zero : grid.codebook[code]) * scale.scale;
}

Range permalloy::solvers::rangeOf(std::span<const float> values) {
  Range range;
  for (float value : values) {
    range.low = std::min(range.low, value);
    range.high = std::max(range.high, value);
  }
  return range;
}

GroupScale permalloy::solvers::rangeScale(const Grid &grid, Range range, float clip) {
  auto [low, high] = range;
  float largest = -low > high ? low : high; // signed
  if (largest == 0)
    return {1, grid.symmetric || !grid.codebook.empty() ? 0 : float(grid.minimum())};
  float scale;
  if (!grid.codebook.empty())
    scale = std::abs(largest) / std::max(std::abs(*std::ranges::min_element(grid.codebook)), std::abs(*std::ranges::max_element(grid.codebook)));
  else if (!grid.symmetric)
    scale = (high - low) / float(grid.maximum() - grid.minimum());
  else // the largest gets the code of the longer side, exactly
    scale = largest / float(grid.minimum());
  scale = storedScale(grid, scale * clip);
  if (grid.symmetric || !grid.codebook.empty())
    return {scale, 0};
  float zero = float(grid.minimum()) + roundEven(std::min(-low * clip / scale, 1024.0f));
  return {scale, std::min(zero, float(grid.maximum()))};
}

/// The squared error of one value; `low` and `high` are the ends of the grid less the zero point.
static inline float squaredError(float value, float inverse, float scale, float low, float high) {
  float rounded = roundEven(value * inverse);
  rounded = rounded < low ? low : rounded;
  rounded = rounded > high ? high : rounded;
  float difference = value - rounded * scale;
  return difference * difference;
}

/// The sum in lanes, an order that vectorises.
template <typename Error> static float sumOfErrors(size_t count, Error error) {
  float lanes[16] = {}, sum = 0;
  size_t i = 0;
  for (; i + 16 <= count; i += 16)
    for (size_t j = 0; j < 16; ++j)
      lanes[j] += error(i + j);
  for (; i < count; ++i)
    sum += error(i);
  for (float lane : lanes)
    sum += lane;
  return sum;
}

float permalloy::solvers::groupError(const Grid &grid, GroupScale scale, std::span<const float> values, std::span<const float> weights) {
  const float *x = values.data(), *weight = weights.empty() ? nullptr : weights.data();
  float low = float(grid.minimum()) - scale.zero, high = float(grid.maximum()) - scale.zero, inverse = 1 / scale.scale, step = scale.scale;
  if (!grid.codebook.empty())
    return sumOfErrors(values.size(), [&](size_t i) {
      float difference = x[i] - valueOfCode(grid, scale, nearestCode(grid, scale, x[i]));
      return difference * difference * (weight ? weight[i] : 1);
    });
  if (weight)
    return sumOfErrors(values.size(), [=](size_t i) { return squaredError(x[i], inverse, step, low, high) * weight[i]; });
  return sumOfErrors(values.size(), [=](size_t i) { return squaredError(x[i], inverse, step, low, high); });
}

GroupScale permalloy::solvers::fitGroup(const Grid &grid, std::span<const float> values, std::span<const float> weights) {
  Range range = rangeOf(values);
  GroupScale best = rangeScale(grid, range, 1);
  float least = groupError(grid, best, values, weights);
  for (int step = -2; step <= 10 && least > 0; ++step) {
    GroupScale scale = rangeScale(grid, range, 1 - 0.04f * float(step));
    float error = groupError(grid, scale, values, weights);
    if (error < least) {
      least = error;
      best = scale;
    }
  }
  return best;
}

void permalloy::solvers::roundGroups(const Problem &problem, Solution &solution, FitGroup fit) {
  const Grid &grid = *problem.grid;
  int64_t k = problem.k, n = problem.n, groups = grid.groups(k);
  bool hasZeros = !grid.symmetric && grid.codebook.empty();
  solution.codes.resize(k * n);
  solution.weight.resize(k * n);
  solution.scales.resize(groups * n);
  solution.zeroPoints.resize(hasZeros ? groups * n : 0);
  std::vector<float> column;
  for (int64_t g = 0; g < groups; ++g) {
    int64_t begin = g * grid.group, rows = std::min(grid.group, k - begin);
    std::span<const float> weights = problem.second.empty() ? problem.second : problem.second.subspan(begin, rows);
    column.resize(rows);
    for (int64_t c = 0; c < n; ++c) {
      for (int64_t i = 0; i < rows; ++i)
        column[i] = problem.weight[(begin + i) * n + c];
      GroupScale scale = fit(grid, column, weights);
      solution.scales[g * n + c] = scale.scale;
      if (hasZeros)
        solution.zeroPoints[g * n + c] = scale.zero;
      for (int64_t i = 0; i < rows; ++i) {
        int code = nearestCode(grid, scale, column[i]);
        solution.codes[(begin + i) * n + c] = int8_t(code);
        solution.weight[(begin + i) * n + c] = valueOfCode(grid, scale, code);
      }
    }
  }
}
