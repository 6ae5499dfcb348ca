//===- Sweep.h - rows settled one after the other ----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_SOLVERS_SWEEP_H
#define PERMALLOY_LIB_SOLVERS_SWEEP_H

#include "Hessian.h"

#include <algorithm>

namespace permalloy::solvers {

/// Columns that are swept together, on one thread: their rows stay in cache.
inline constexpr int64_t kStrip = 64;
/// Rows after which all rows behind them are brought up to date, as one product. Block sizes change no result but by rounding.
inline constexpr int64_t kSweepBlock = 128;

/// Settles w [k][width], rows one after the other (see Hessian.h). `begin(i, end)` is told when rows [i, end) begin, a block in
/// which all rows are up to date; `settle(i, row, settled)` says what row i, up to date, becomes. Returns the loss, the sum of all e^2.
template <class Begin, class Settle>
double sweep(Rows<float> w, int64_t k, int64_t width, const InverseFactor &factor, int64_t block, Begin begin, Settle settle) {
  Rows<const float> u = factor.rows();
  std::vector<float> errors(block * width), settled(width);
  double loss = 0;
  for (int64_t first = 0; first < k; first += block) {
    int64_t end = std::min(k, first + block);
    begin(first, end);
    for (int64_t i = first; i < end; ++i) {
      float *row = w[i], *error = errors.data() + (i - first) * width;
      settle(i, row, settled.data());
      for (int64_t c = 0; c < width; ++c) {
        error[c] = (row[c] - settled[c]) / u[i][i];
        loss += double(error[c]) * error[c];
        row[c] = settled[c];
      }
      addProduct(w.from(i + 1, 0), {u[i] + i + 1, 0}, {error, 0}, end - i - 1, width, 1, -1);
    }
    addProduct(w.from(end, 0), u.from(first, end), {errors.data(), width}, k - end, width, end - first, -1);
  }
  return loss;
}

} // namespace permalloy::solvers

#endif // PERMALLOY_LIB_SOLVERS_SWEEP_H
