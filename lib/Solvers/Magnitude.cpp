//===- Magnitude.cpp - keep what is largest ----------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Keeps the blocks of largest sum of squares in each slab of blockN columns, the first of equal ones, and changes nothing of them.
// The plainest of pruners, and the one that others are held against (Zhu and Gupta: To prune, or not to prune, 2017).
//
//===----------------------------------------------------------------------===//
#include "Builtins.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace permalloy::solvers {

namespace {

class Magnitude : public WeightSolver {
public:
  std::string name() const override { return "magnitude"; }
  Statistics needs() const override { return Statistics::none; }
  std::string solve(const Problem &problem, Solution &solution) const override {
    const Pattern &pattern = problem.pattern;
    if (problem.grid || pattern.kind == Pattern::None)
      return "magnitude prunes weights; it chooses no codes";
    int64_t rows = (problem.k + pattern.blockK - 1) / pattern.blockK;
    int64_t window = pattern.kind == Pattern::NOfM ? pattern.m : rows;
    int64_t kept = pattern.kind == Pattern::NOfM ? pattern.n : std::lround(pattern.density * rows);
    if (kept < 0 || kept > window)
      return "cannot keep " + std::to_string(kept) + " of " + std::to_string(window) + " blocks";
    solution.weight.assign(problem.weight.begin(), problem.weight.end());
    std::vector<double> norms(rows);
    for (int64_t column = 0; column < problem.n; column += pattern.blockN) {
      int64_t width = std::min(pattern.blockN, problem.n - column);
      std::fill(norms.begin(), norms.end(), 0);
      for (int64_t k = 0; k < problem.k; ++k)
        for (int64_t n = column; n < column + width; ++n)
          norms[k / pattern.blockK] += double(problem.weight[k * problem.n + n]) * problem.weight[k * problem.n + n];
      for (int64_t first = 0; first < rows; first += window)
        prune(problem, norms, first, std::min(window, rows - first), kept, column, width, solution);
    }
    return "";
  }

private:
  /// Zeros all but the `kept` best of `count` block rows.
  static void prune(const Problem &problem, const std::vector<double> &norms, int64_t first, int64_t count, int64_t kept, int64_t column,
                    int64_t width, Solution &solution) {
    std::vector<int64_t> order(count);
    std::iota(order.begin(), order.end(), first);
    std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return norms[a] != norms[b] ? norms[a] > norms[b] : a < b; });
    int64_t depth = problem.pattern.blockK;
    for (int64_t i = kept; i < count; ++i)
      for (int64_t k = order[i] * depth; k < std::min((order[i] + 1) * depth, problem.k); ++k)
        std::fill_n(solution.weight.begin() + k * problem.n + column, width, 0.0f);
  }
};

} // namespace

std::unique_ptr<WeightSolver> makeMagnitude() { return std::make_unique<Magnitude>(); }

} // namespace permalloy::solvers
