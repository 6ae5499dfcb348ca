//===- Gptq.cpp - codes that make good each other's errors -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// GPTQ (Frantar et al. 2022): rows of W [k][n] get their codes one after the other, and the rows behind make good what a row is
// off by, for the inputs of the calibration (see Hessian.h and Sweep.h). Scales of a group are fitted to its weights as they
// stand when the group begins. `gptq_act_order` takes rows with large inputs first, when most can still be made good; scales
// are then fitted to the given weights ("static groups"), because a group is not complete before the end.
//
//===----------------------------------------------------------------------===//
#include "Builtins.h"
#include "Sweep.h"

#include <cmath>
#include <numeric>

namespace permalloy::solvers {

namespace {

/// One solve: what all strips of columns share.
class Gptq {
public:
  Gptq(const Problem &problem, Solution &solution, bool actOrder)
      : problem(problem), solution(solution), grid(*problem.grid), k(problem.k), n(problem.n),
        group(grid.group > 0 ? std::min(grid.group, k) : k), actOrder(actOrder) {}

  std::string solve();

private:
  void solveStrip(int64_t column, int64_t width);
  void fit(Rows<const float> w, int64_t first, int64_t column, int64_t width);
  void encode(int64_t row, int64_t column, int64_t width, const float *values, float *settled);

  const Problem &problem;
  Solution &solution;
  const Grid &grid;
  int64_t k, n, group;
  bool actOrder;
  std::vector<int64_t> order;    ///< rows in the order in which they are settled
  std::vector<float> importance; ///< of rows in their own order
  std::shared_ptr<const InverseFactor> factor;
};

std::string Gptq::solve() {
  order.resize(k);
  std::iota(order.begin(), order.end(), 0);
  for (int64_t i = 0; i < k; ++i)
    importance.push_back(problem.gram[i * k + i]);
  if (actOrder)
    std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
      return importance[a] != importance[b] ? importance[a] > importance[b] : a < b;
    });
  factor = inverseFactor(problem.gram, k, actOrder ? std::span<const int64_t>(order) : std::span<const int64_t>());
  if (!factor)
    return "the gram is not positive definite, even with its mean added to the diagonal";
  float most = *std::max_element(importance.begin(), importance.end());
  for (float &value : importance) // as in the factor: a dead input counts, a little
    value = most > 0 ? std::max(value, 1e-6f * most) : 1;
  solution.codes.assign(k * n, 0);
  solution.weight.assign(k * n, 0);
  int64_t groups = (k + group - 1) / group;
  solution.scales.assign(groups * n, 1);
  bool hasZeros = !grid.symmetric && grid.codebook.empty();
  solution.zeroPoints.assign(hasZeros ? groups * n : 0, 0);
  parallelFor((n + kStrip - 1) / kStrip, [&](int64_t strip) { solveStrip(strip * kStrip, std::min(kStrip, n - strip * kStrip)); });
  return "";
}

/// Scales of the group that begins at row `first`, for columns [column, column + width); w begins at that row.
void Gptq::fit(Rows<const float> w, int64_t first, int64_t column, int64_t width) {
  int64_t rows = std::min(group, k - first), at = first / group * n + column;
  std::vector<float> values(rows);
  for (int64_t c = 0; c < width; ++c) {
    for (int64_t i = 0; i < rows; ++i)
      values[i] = w[i][c];
    GroupScale scale = fitGroup(grid, values, std::span(importance).subspan(first, rows));
    solution.scales[at + c] = scale.scale;
    if (!solution.zeroPoints.empty())
      solution.zeroPoints[at + c] = scale.zero;
  }
}

/// Codes of one row and what they stand for.
void Gptq::encode(int64_t row, int64_t column, int64_t width, const float *values, float *settled) {
  int64_t first = row / group * n + column;
  for (int64_t c = 0; c < width; ++c) {
    GroupScale scale = {solution.scales[first + c], solution.zeroPoints.empty() ? 0 : solution.zeroPoints[first + c]};
    int code = nearestCode(grid, scale, values[c]);
    solution.codes[row * n + column + c] = static_cast<int8_t>(code);
    solution.weight[row * n + column + c] = settled[c] = valueOfCode(grid, scale, code);
  }
}

void Gptq::solveStrip(int64_t column, int64_t width) {
  std::vector<float> storage(k * width);
  Rows<float> w{storage.data(), width};
  for (int64_t i = 0; i < k; ++i)
    if (!factor->dead[i])
      std::copy_n(problem.weight.data() + order[i] * n + column, width, w[i]);
  if (actOrder)
    for (int64_t first = 0; first < k; first += group)
      fit({problem.weight.data() + first * n + column, n}, first, column, width);
  auto settle = [&](int64_t i, const float *row, float *settled) {
    if (!actOrder && i % group == 0)
      fit({row, width}, i, column, width);
    encode(order[i], column, width, row, settled);
  };
  // Whole groups in a block where they fit: their weights are up to date when the group begins.
  int64_t block = group < kSweepBlock ? kSweepBlock / group * group : kSweepBlock;
  sweep(w, k, width, *factor, block, [](int64_t, int64_t) {}, settle);
}

class GptqSolver : public WeightSolver {
public:
  explicit GptqSolver(bool actOrder) : actOrder(actOrder) {}
  std::string name() const override { return actOrder ? "gptq_act_order" : "gptq"; }
  Statistics needs() const override { return Statistics::gram; }
  std::string solve(const Problem &problem, Solution &solution) const override {
    if (!problem.grid || problem.pattern.kind != Pattern::None)
      return name() + " chooses codes; it prunes no weights";
    if (static_cast<int64_t>(problem.gram.size()) != problem.k * problem.k)
      return name() + " needs the gram of the layer's inputs, from --calibrate";
    return Gptq(problem, solution, actOrder).solve();
  }

private:
  bool actOrder;
};

} // namespace

std::unique_ptr<WeightSolver> makeGptq() { return std::make_unique<GptqSolver>(false); }
std::unique_ptr<WeightSolver> makeGptqActOrder() { return std::make_unique<GptqSolver>(true); }

} // namespace permalloy::solvers
