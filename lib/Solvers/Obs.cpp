//===- Obs.cpp - which weights are missed least ------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The optimal brain surgeon, one layer at a time (SparseGPT, Frantar and Alistarh 2023), for blocks of bk rows x bn columns of
// W [k][n]; all that follows is per slab of bn columns.
//
//   1. How many blocks stay in each 128 rows: the score of a block alone, w_P^T ([H^-1]_PP)^-1 w_P summed over its columns, is
//      what it costs to prune it alone and make good for it as well as all others can; the best of all rows stay.
//   2. The sweep (see Sweep.h). When 128 rows begin, of them that many stay whose score is largest given all rows before:
//      |U_PP^-T w_P|^2. n of m are chosen when their m begin.
//   3. The sweep makes good only forwards. For the mask that came out, the best weights of all are those of least squares,
//      H_SS w_S = (H w)_S; one factor for a slab, so this is done where slabs are 16 columns or more.
//
//===----------------------------------------------------------------------===//
#include "Builtins.h"
#include "Sweep.h"

#include <cmath>
#include <numeric>

namespace permalloy::solvers {

namespace {

/// Narrower slabs keep what the sweep gives.
constexpr int64_t kRefitColumns = 16;

class Obs {
public:
  Obs(const Problem &problem, Solution &solution)
      : problem(problem), solution(solution), k(problem.k), n(problem.n), depth(problem.pattern.blockK),
        columns(problem.pattern.blockN), rows((k + depth - 1) / depth), slabs((n + columns - 1) / columns),
        window(problem.pattern.kind == Pattern::NOfM ? problem.pattern.m : 0) {}

  std::string solve();

private:
  using Scores = std::vector<double>;
  void pruneStrip(int64_t slab, int64_t count);
  void factorBlocks();
  Scores scoresOf(Rows<const float> w, int64_t width, int64_t first, int64_t count, const std::vector<float> &factors) const;
  void keepBest(int64_t slab, int64_t first, const Scores &scores, int64_t count);
  void refit(int64_t slab);
  int64_t widthOf(int64_t slab) const { return std::min(columns, n - slab * columns); }

  const Problem &problem;
  Solution &solution;
  int64_t k, n;
  int64_t depth, columns;   ///< of a block
  int64_t rows, slabs;      ///< of blocks
  int64_t window;           ///< block rows of which `pattern.n` stay; 0: of all
  int64_t kept = 0;         ///< else: block rows that stay in each slab
  std::shared_ptr<const InverseFactor> factor;
  std::vector<float> alone, given; ///< [rows][depth][depth]: upper factors of [H^-1]_PP, and U_PP
  std::vector<char> stays;   ///< [slabs][rows]
};

std::string Obs::solve() {
  const Pattern &pattern = problem.pattern;
  kept = std::lround(pattern.density * rows);
  if (window && (pattern.n < 0 || pattern.n > window))
    return "cannot keep " + std::to_string(pattern.n) + " of " + std::to_string(window);
  if (!window && (kept < 0 || kept > rows))
    return "a density of " + std::to_string(pattern.density) + " is not between 0 and 1";
  solution.weight.assign(problem.weight.begin(), problem.weight.end());
  if (window ? pattern.n == window : kept == rows)
    return "";
  if (!(factor = inverseFactor(problem.gram, k)))
    return "the gram is not positive definite, even with its mean added to the diagonal";
  factorBlocks();
  stays.assign(slabs * rows, 0);
  int64_t strip = std::max<int64_t>(1, kStrip / columns);
  parallelFor((slabs + strip - 1) / strip, [&](int64_t i) { pruneStrip(i * strip, std::min(strip, slabs - i * strip)); });
  if (columns >= kRefitColumns)
    parallelFor(slabs, [&](int64_t slab) { refit(slab); });
  return "";
}

/// Both factors of all block rows; 1 on the diagonal behind K.
void Obs::factorBlocks() {
  Rows<const float> u = factor->rows();
  std::vector<double> sums(rows * depth * depth), corner(depth * depth);
  for (int64_t l = 0; l < k; ++l) // [H^-1]_PP = sum over l of U_lP^T U_lP
    for (int64_t row = l / depth; row < rows; ++row)
      for (int64_t i = 0, size = std::min(depth, k - row * depth); i < size; ++i)
        for (int64_t j = i; j < size; ++j)
          sums[(row * depth + i) * depth + j] += double(u[l][row * depth + i]) * u[l][row * depth + j];
  for (int64_t row = 0; row < rows; ++row) {
    int64_t first = row * depth, size = std::min(depth, k - first);
    for (int64_t i = 0; i < depth; ++i)
      for (int64_t j = 0; j < depth; ++j) {
        bool inside = i <= j && j < size;
        corner[i * depth + j] = inside ? sums[(first + i) * depth + j] : i == j;
        given.push_back(inside ? u[first + i][first + j] : i == j);
      }
    factorUpper(corner.data(), depth); // of a positive definite matrix: cannot fail but by rounding, which `given` repairs
    for (int64_t i = 0; i < depth * depth; ++i)
      alone.push_back(std::isfinite(corner[i]) ? float(corner[i]) : given[first * depth + i]);
  }
}

/// |F^-T w_P|^2 over the columns of w, which begins at block row `first`, for `count` block rows P with their upper factor F.
Obs::Scores Obs::scoresOf(Rows<const float> w, int64_t width, int64_t first, int64_t count, const std::vector<float> &factors) const {
  Scores scores(count);
  std::vector<double> y(depth);
  for (int64_t row = 0; row < count; ++row) {
    const float *f = factors.data() + (first + row) * depth * depth;
    for (int64_t c = 0; c < width; ++c)
      for (int64_t i = 0, size = std::min(depth, k - (first + row) * depth); i < size; ++i) {
        double value = w[row * depth + i][c];
        for (int64_t j = 0; j < i; ++j)
          value -= f[j * depth + i] * y[j];
        y[i] = value / f[i * depth + i];
        scores[row] += y[i] * y[i];
      }
  }
  return scores;
}

/// Of the block rows from `first` on, the `count` of the largest scores stay.
void Obs::keepBest(int64_t slab, int64_t first, const Scores &scores, int64_t count) {
  std::vector<int64_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return scores[a] != scores[b] ? scores[a] > scores[b] : a < b; });
  for (size_t i = 0; i < order.size(); ++i)
    stays[slab * rows + first + order[i]] = static_cast<int64_t>(i) < count;
}

/// Chooses and prunes in `count` slabs from `slab` on.
void Obs::pruneStrip(int64_t slab, int64_t count) {
  int64_t column = slab * columns, width = std::min(count * columns, n - column);
  std::vector<float> storage(k * width);
  Rows<float> w{storage.data(), width};
  for (int64_t i = 0; i < k; ++i)
    if (!factor->dead[i])
      std::copy_n(problem.weight.data() + i * n + column, width, w[i]);
  auto slabOf = [&](int64_t s, int64_t row) { return Rows<const float>{w.data, w.stride}.from(row * depth, s * columns); };
  if (!window)
    for (int64_t s = 0; s < count; ++s)
      keepBest(slab + s, 0, scoresOf(slabOf(s, 0), widthOf(slab + s), 0, rows, alone), kept);
  auto choose = [&](int64_t first, int64_t size, int64_t most) {
    for (int64_t s = 0; s < count; ++s) {
      char *own = stays.data() + (slab + s) * rows + first;
      int64_t share = window ? most : std::count(own, own + size, 1);
      keepBest(slab + s, first, scoresOf(slabOf(s, first), widthOf(slab + s), first, size, given), share);
    }
  };
  auto begin = [&](int64_t first, int64_t end) {
    if (!window)
      choose(first / depth, (end - first + depth - 1) / depth, 0);
  };
  auto settle = [&](int64_t i, const float *row, float *settled) {
    if (window && i % (window * depth) == 0)
      choose(i / depth, std::min(window, rows - i / depth), problem.pattern.n);
    for (int64_t c = 0; c < width; ++c)
      settled[c] = stays[(slab + c / columns) * rows + i / depth] ? row[c] : 0;
  };
  int64_t unit = depth * std::max<int64_t>(window, 1);
  sweep(w, k, width, *factor, std::max<int64_t>(1, kSweepBlock / unit) * unit, begin, settle);
  for (int64_t i = 0; i < k; ++i)
    std::copy_n(w[i], width, solution.weight.data() + i * n + column);
}

/// The best weights of a slab for its mask; leaves what there is where they cannot be computed.
void Obs::refit(int64_t slab) {
  int64_t column = slab * columns, width = widthOf(slab);
  std::vector<int64_t> support;
  double mean = 0;
  for (int64_t i = 0; i < k; ++i) {
    mean += problem.gram[i * k + i] / k;
    if (stays[slab * rows + i / depth] && !factor->dead[i])
      support.push_back(i);
  }
  int64_t size = support.size();
  auto gram = [&](int64_t i, int64_t j) { return problem.gram[std::min(i, j) * k + std::max(i, j)]; };
  std::vector<double> matrix(size * size), right(size * width);
  std::vector<float> hessianRow(k), product(width);
  for (int64_t i = 0; i < size; ++i) {
    for (int64_t j = i; j < size; ++j)
      matrix[i * size + j] = gram(support[i], support[j]);
    for (int64_t j = 0; j < k; ++j)
      hessianRow[j] = gram(support[i], j);
    hessianRow[support[i]] += factor->damping * mean;
    matrix[i * size + i] = hessianRow[support[i]];
    std::fill(product.begin(), product.end(), 0.0f);
    for (int64_t j = 0; j < k; ++j)
      for (int64_t c = 0; c < width; ++c)
        product[c] += hessianRow[j] * problem.weight[j * n + column + c];
    std::copy(product.begin(), product.end(), right.begin() + i * width);
  }
  if (!factorUpper(matrix.data(), size))
    return;
  Rows<double> x{right.data(), width};
  Rows<const double> u{matrix.data(), size};
  for (int64_t i = 0; i < size; ++i) { // U^T y = right, then U x = y
    for (int64_t c = 0; c < width; ++c)
      x[i][c] /= u[i][i];
    addProduct(x.from(i + 1, 0), {u[i] + i + 1, 0}, {x[i], 0}, size - i - 1, width, 1, -1);
  }
  for (int64_t i = size; i-- > 0;)
    for (int64_t c = 0; c < width; ++c) {
      double sum = x[i][c];
      for (int64_t j = i + 1; j < size; ++j)
        sum -= u[i][j] * x[j][c];
      x[i][c] = sum / u[i][i];
    }
  for (int64_t i = 0; i < size; ++i)
    for (int64_t c = 0; c < width; ++c)
      solution.weight[support[i] * n + column + c] = float(x[i][c]);
}

class ObsSolver : public WeightSolver {
public:
  std::string name() const override { return "obs"; }
  Statistics needs() const override { return Statistics::gram; }
  std::string solve(const Problem &problem, Solution &solution) const override {
    if (problem.grid || problem.pattern.kind == Pattern::None)
      return "obs prunes weights; it chooses no codes";
    if (static_cast<int64_t>(problem.gram.size()) != problem.k * problem.k)
      return "obs needs the gram of the layer's inputs, from --calibrate";
    return Obs(problem, solution).solve();
  }
};

} // namespace

std::unique_ptr<WeightSolver> makeObs() { return std::make_unique<ObsSolver>(); }

} // namespace permalloy::solvers
