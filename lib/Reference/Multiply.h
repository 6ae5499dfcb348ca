//===- Multiply.h - the one loop worth optimising ----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Apart from the precompiled header, so that it is compiled with -O2 in every build type.
//
//===----------------------------------------------------------------------===//

#ifndef PERMALLOY_LIB_REFERENCE_MULTIPLY_H
#define PERMALLOY_LIB_REFERENCE_MULTIPLY_H

#include <cstdint>

namespace permalloy::reference {

/// c[m][n] += a[m][k] * b[k][n], all dense; k is summed in rising order.
void multiplyDense(const double *a, const double *b, double *c, int64_t m, int64_t k, int64_t n);
/// The same, wrapping.
void multiplyDense(const uint64_t *a, const uint64_t *b, uint64_t *c, int64_t m, int64_t k,
                   int64_t n);

} // namespace permalloy::reference

#endif
