//===- WeightSolver.h - numerics of quantizing and pruning -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A solver turns one weight [K, N] into codes and scales of a grid, or zeros some of it in a pattern. Plain C++ over spans of
// float: no IR, no files. A solver is one file with a class; those of the product stand in lib/Solvers, listed in Builtins.h,
// others call registerSolver.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_SOLVERS_WEIGHTSOLVER_H
#define PERMALLOY_SOLVERS_WEIGHTSOLVER_H

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace permalloy::solvers {

/// What codes may be: see `tfm.dequantize`. Symmetric grids have signed codes and no zero points; signed codes of 8 bits lie
/// in [-127, 127].
struct Grid {
  unsigned bits = 4;
  bool isSigned = true;
  bool symmetric = true;
  int64_t group = 32;            ///< steps of K that share a scale; K or more: one scale per column
  std::vector<float> codebook;   ///< [2^bits] or empty; codes are then unsigned
  bool halfScales = true;        ///< scales are rounded to f16 before codes are chosen, else to f32

  int64_t minimum() const { return isSigned ? (bits == 8 ? -127 : -(int64_t(1) << (bits - 1))) : 0; }
  int64_t maximum() const { return (int64_t(1) << (bits - (isSigned ? 1 : 0))) - 1; }
  int64_t groups(int64_t k) const { return (k + group - 1) / group; }
};

/// What may be zeroed: blocks of blockK x blockN of which the fraction `density` is kept, or n of every m along K.
struct Pattern {
  enum Kind { None, Blocks, NOfM } kind = None;
  double density = 1;
  int64_t blockK = 1, blockN = 16, n = 2, m = 4;
};

/// What a solver is given; spans belong to the caller.
struct Problem {
  int64_t k = 0, n = 0;
  std::span<const float> weight; ///< [k][n], finite
  std::span<const float> gram;   ///< [k][k], sum over samples of x x^T, or empty
  std::span<const float> second; ///< [k], mean of x^2, or empty
  std::optional<Grid> grid;      ///< none: prune only
  Pattern pattern;
};

struct Solution {
  std::vector<int8_t> codes;             ///< [k][n]; unsigned ones as the same bits
  std::vector<float> scales, zeroPoints; ///< [groups][n]; the latter empty where the grid is symmetric or has a codebook
  std::vector<float> weight;             ///< [k][n] after pruning, or dequantized
};

/// What a solver reads besides the weight.
enum class Statistics { none, channel, gram };

class WeightSolver {
public:
  virtual ~WeightSolver() = default;
  virtual std::string name() const = 0;
  virtual Statistics needs() const = 0;
  /// Solves; returns an error in lower case, or nothing. The weight is finite (see `solve` below).
  virtual std::string solve(const Problem &problem, Solution &solution) const = 0;
};

/// A solver of this name replaces an earlier one. Not thread-safe: registered at start.
void registerSolver(std::unique_ptr<WeightSolver> solver);
/// Null where there is none.
const WeightSolver *findSolver(std::string_view name);
/// Sorted.
std::vector<std::string> solverNames();

/// Finds the solver, checks that the weight is finite and that the statistics it needs are there, and solves. Returns an error
/// in lower case, or nothing.
std::string solve(std::string_view solver, const Problem &problem, Solution &solution);

/// Nearest number of f16, ties to even; what exceeds its range becomes its largest number.
float roundToHalf(float value);

/// Scale and zero point (0 where there is none) of one group of one column; the grid's nearest code of a value under them, and
/// back. For solvers that round by themselves.
struct GroupScale {
  float scale = 1, zero = 0;
};
int nearestCode(const Grid &grid, GroupScale scale, float value);
float valueOfCode(const Grid &grid, GroupScale scale, int code);
/// The best scale of a group by squared error over `values`, weighted where `weights` is not empty: absmax or range, and clips
/// of it. A group of zeros has scale 1 and zero point 0.
GroupScale fitGroup(const Grid &grid, std::span<const float> values, std::span<const float> weights = {});

} // namespace permalloy::solvers

#endif
