//===- Hessian.h - what an error of one weight costs the others --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Solvers change weights W [k][n] so that the outputs of the layer on calibration data, X W, change least: they minimise
// tr(D^T H D), D the change and H = X^T X the gram of the inputs. Columns of W are independent. The sweep of GPTQ and SparseGPT
// settles the rows of W one after the other; what a row is off by is made good by the rows behind it, in the best way:
//
//   e = (w_i - q_i) / U_ii        w_j -= U_ij e  for j > i        U upper triangular, U^T U = H^-1
//
// and each step adds e^2 to the loss, so the sum over all is tr(D^T H D). U_ii^2 is [(H_i:,i:)^-1]_00, and for a block of rows P
// the loss of pruning it is |U_PP^-T w_P|^2.
//
// U comes from one factor and one inverse of a triangle: let ' turn rows and columns round. H' = C^T C, C upper triangular
// (Cholesky), gives H = R R^T with R = C^T' upper triangular, and U = R^-1 = ((C^T)^-1)'.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_LIB_SOLVERS_HESSIAN_H
#define PERMALLOY_LIB_SOLVERS_HESSIAN_H

#include "Dense.h"

#include <memory>
#include <span>
#include <vector>

namespace permalloy::solvers {

struct InverseFactor {
  int64_t k;
  std::vector<float> u;   ///< [k][k], upper triangular, zeros below
  std::vector<bool> dead; ///< inputs that were always 0: their rows of W may as well be 0
  double damping;         ///< what was added to the diagonal, relative to its mean

  Rows<const float> rows() const { return {u.data(), k}; }
};

/// U of gram [k][k] (upper triangle) whose row and column i stand at order[i] (empty: as they are). Adds 0.01 of the mean of the
/// diagonal to it, ten times more where that is not positive definite, at most all of it; null where that fails, too: the gram
/// then holds what no data gives. The last factor is kept, as layers that read one value follow each other. Thread-safe.
std::shared_ptr<const InverseFactor> inverseFactor(std::span<const float> gram, int64_t k, std::span<const int64_t> order = {});

/// tr(D^T G D) of a change d [k][n], with the upper triangle of g [k][k].
double quadraticLoss(std::span<const float> gram, std::span<const float> d, int64_t k, int64_t n);

} // namespace permalloy::solvers

#endif // PERMALLOY_LIB_SOLVERS_HESSIAN_H
