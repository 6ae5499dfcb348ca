//===- Layer.h - a layer with inputs that hang together ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_TEST_UNIT_SOLVERS_LAYER_H
#define PERMALLOY_TEST_UNIT_SOLVERS_LAYER_H

#include "../../../lib/Solvers/Hessian.h"
#include "permalloy/Solvers/WeightSolver.h"

#include <cmath>
#include <random>

namespace permalloy::solvers {

/// Weights of N(0, 1) and the gram of inputs that are mixtures of k / 4 sources, with noise and channels of different size, as
/// those of transformers are.
struct Layer {
  Layer(int64_t k, int64_t n, int64_t samples = 1024) : k(k), n(n), weight(k * n), gram(k * k) {
    std::mt19937 random(7);
    std::normal_distribution<float> normal;
    int64_t sources = std::max<int64_t>(1, k / 4);
    std::vector<float> mix(sources * k), size(k), x(samples * k), source(sources);
    for (float &value : mix)
      value = normal(random) / std::sqrt(float(sources));
    for (float &value : size)
      value = std::exp(0.5f * normal(random));
    for (int64_t t = 0; t < samples; ++t) {
      for (float &value : source)
        value = normal(random);
      for (int64_t j = 0; j < k; ++j) {
        float sum = 0.3f * normal(random);
        for (int64_t i = 0; i < sources; ++i)
          sum += source[i] * mix[i * k + j];
        x[t * k + j] = sum * size[j];
      }
    }
    for (float &value : weight)
      value = normal(random);
    addGram(gram.data(), x.data(), samples, k);
  }

  /// Inputs that know nothing of each other.
  void makeDiagonal() {
    for (int64_t i = 0; i < k; ++i)
      for (int64_t j = 0; j < k; ++j)
        if (i != j)
          gram[i * k + j] = 0;
  }

  Problem problem() const {
    Problem result;
    result.k = k;
    result.n = n;
    result.weight = weight;
    result.gram = gram;
    return result;
  }

  /// |X (W - changed)| / |X W|.
  double error(const std::vector<float> &changed) const {
    std::vector<float> difference(k * n);
    for (size_t i = 0; i < difference.size(); ++i)
      difference[i] = changed[i] - weight[i];
    return std::sqrt(quadraticLoss(gram, difference, k, n) / quadraticLoss(gram, weight, k, n));
  }

  int64_t k, n;
  std::vector<float> weight, gram;
};

/// What the solver makes of it.
inline Solution solved(std::string_view solver, const Problem &problem) {
  Solution solution;
  std::string error = solve(solver, problem, solution);
  if (!error.empty())
    throw std::runtime_error(error);
  return solution;
}

} // namespace permalloy::solvers

#endif // PERMALLOY_TEST_UNIT_SOLVERS_LAYER_H
