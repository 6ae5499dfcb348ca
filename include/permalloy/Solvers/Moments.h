//===- Moments.h - streamed statistics of a layer's inputs -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_SOLVERS_MOMENTS_H
#define PERMALLOY_SOLVERS_MOMENTS_H

#include <cstdint>
#include <span>
#include <vector>

namespace permalloy::solvers {

/// What is kept of the inputs x [k] of a layer, however many there are.
class Moments {
public:
  /// `gram` [k][k] belongs to the caller and is all zero, or null: none is kept.
  Moments(int64_t k, float *gram) : k(k), gram(gram), largest(k), sums(k), squares(k) {}

  /// Adds x [rows][k]. Not thread-safe; uses all threads itself. Products of up to 128 rows are summed in f32 and added to the
  /// gram, all else in f64.
  void add(const float *x, int64_t rows);

  int64_t rows() const { return count; }
  /// Writes max |x|, the mean of x and that of x^2, each [k], zero where nothing was added, and completes the gram, the sum of
  /// x x^T, below its diagonal.
  void finish(float *absmax, float *mean, float *second);

private:
  int64_t k, count = 0;
  float *gram;
  std::vector<float> largest;
  std::vector<double> sums, squares;
};

/// |X (W - W')| / |X W| of a weight [k][n] and what became of it, from the gram [k][k] of X. 0 where X W is 0.
double relativeLayerError(std::span<const float> gram, std::span<const float> weight, std::span<const float> changed, int64_t k,
                          int64_t n);

} // namespace permalloy::solvers

#endif // PERMALLOY_SOLVERS_MOMENTS_H
