//===- Moments.cpp - streamed statistics of a layer's inputs -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Solvers/Moments.h"

#include "Hessian.h"

#include <algorithm>
#include <cmath>

namespace permalloy::solvers {

void Moments::add(const float *x, int64_t rows) {
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < k; ++j) {
      float value = x[i * k + j];
      largest[j] = std::max(largest[j], std::abs(value));
      sums[j] += value;
      squares[j] += double(value) * value;
    }
  if (gram)
    addGram(gram, x, rows, k);
  count += rows;
}

void Moments::finish(float *absmax, float *mean, float *second) {
  double share = count > 0 ? 1.0 / count : 0;
  for (int64_t j = 0; j < k; ++j) {
    absmax[j] = largest[j];
    mean[j] = static_cast<float>(sums[j] * share);
    second[j] = static_cast<float>(squares[j] * share);
  }
  for (int64_t i = 0; gram && i < k; ++i)
    for (int64_t j = 0; j < i; ++j)
      gram[i * k + j] = gram[j * k + i];
}

double relativeLayerError(std::span<const float> gram, std::span<const float> weight, std::span<const float> changed, int64_t k,
                          int64_t n) {
  std::vector<float> difference(changed.begin(), changed.end());
  for (size_t i = 0; i < difference.size(); ++i)
    difference[i] -= weight[i];
  double whole = quadraticLoss(gram, weight, k, n);
  return whole > 0 ? std::sqrt(quadraticLoss(gram, difference, k, n) / whole) : 0;
}

} // namespace permalloy::solvers
