//===- Compare.h - how far two outputs are apart -----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_DRIVER_COMPARE_H
#define PERMALLOY_LIB_DRIVER_COMPARE_H

#include "permalloy/Support/Npy.h"

namespace permalloy {

/// How an array differs from the one that is expected.
struct Difference {
  std::string mismatch;       ///< another type or shape, or an infinity or NaN on one side only
  double maxAbs = 0;          ///< largest |actual - expected| of finite elements
  double magnitude = 0;       ///< largest |expected| of finite elements
  std::vector<int64_t> index; ///< where maxAbs is; empty when the arrays have no element
  double actual = 0, expected = 0; ///< there

  /// maxAbs relative to the output's largest magnitude: the measure that does not blow up where an
  /// expected value happens to be near zero. maxAbs itself when all is zero.
  double relative() const { return magnitude > 0 ? maxAbs / magnitude : maxAbs; }
  bool within(double tolerance) const { return mismatch.empty() && relative() <= tolerance; }
};

/// Compares element by element; equal infinities agree, and NaN with NaN.
Difference compareArrays(const Array &actual, const Array &expected);

/// Element `index` as a double (integers beyond 2^53 are rounded).
double elementAt(const Array &array, uint64_t index);

} // namespace permalloy

#endif // PERMALLOY_LIB_DRIVER_COMPARE_H
