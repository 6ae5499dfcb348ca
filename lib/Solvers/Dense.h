//===- Dense.h - products and factors of dense matrices ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// All that solvers and calibration need of linear algebra goes through one product, C += s A^T B with A and B row-major
// [depth][..]: the gram of rows X is X^T X, a blocked Cholesky factor takes U^T U off what is left, the inverse of a triangle
// likewise, and the error of a block of rows goes to the rows behind it through U^T E. Its loop is compiled for SSE, AVX2 and
// AVX-512 and chosen by cpuid, at -O2 in every build type.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_LIB_SOLVERS_DENSE_H
#define PERMALLOY_LIB_SOLVERS_DENSE_H

#include <cstdint>
#include <functional>

namespace permalloy::solvers {

/// Rows of numbers, `stride` elements from one to the next.
template <class T> struct Rows {
  T *data;
  int64_t stride;
  T *operator[](int64_t row) const { return data + row * stride; }
  Rows from(int64_t row, int64_t column) const { return {data + row * stride + column, stride}; }
};

/// c[i][j] += sign * sum over d of a[d][i] * b[d][j], for i < m, j < n, d < depth. Sums run in rising d.
void addProduct(Rows<float> c, Rows<const float> a, Rows<const float> b, int64_t m, int64_t n, int64_t depth, float sign = 1);
void addProduct(Rows<double> c, Rows<const double> a, Rows<const double> b, int64_t m, int64_t n, int64_t depth, double sign = 1);

/// The upper triangle of gram [k][k] += X^T X, x [rows][k]; what is below the diagonal is left undefined.
void addGram(float *gram, const float *x, int64_t rows, int64_t k);

/// a [k][k], symmetric of which the upper triangle counts, becomes U with a = U^T U, U upper triangular; what is below the
/// diagonal is left undefined. False where a is not positive definite; a is then destroyed.
bool factorUpper(double *a, int64_t k);

/// inverse [k][k] = (U^T)^-1, lower triangular with zeros above, of u as factorUpper leaves it.
void invertTransposed(const double *u, double *inverse, int64_t k);

/// Runs body(0) ... body(count - 1) on as many threads as Threads.h says; returns when all are done.
void parallelFor(int64_t count, const std::function<void(int64_t)> &body);

} // namespace permalloy::solvers

#endif // PERMALLOY_LIB_SOLVERS_DENSE_H
