//===- Multiply.cpp - the one loop worth optimising --------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Multiply.h"

#include <algorithm>

template <typename T>
static void multiply(const T *a, const T *b, T *c, int64_t m, int64_t k, int64_t n) {
  constexpr int64_t block = 64; // rows of b that stay in cache while all rows of a pass
  for (int64_t k0 = 0; k0 < k; k0 += block)
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = k0, end = std::min(k, k0 + block); j < end; ++j) {
        T factor = a[i * k + j];
        const T *row = b + j * n;
        T *out = c + i * n;
        for (int64_t l = 0; l < n; ++l)
          out[l] += factor * row[l];
      }
}

void permalloy::reference::multiplyDense(const double *a, const double *b, double *c, int64_t m,
                                         int64_t k, int64_t n) {
  multiply(a, b, c, m, k, n);
}

void permalloy::reference::multiplyDense(const uint64_t *a, const uint64_t *b, uint64_t *c,
                                         int64_t m, int64_t k, int64_t n) {
  multiply(a, b, c, m, k, n);
}
