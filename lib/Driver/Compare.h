//===- Compare.h - how far two outputs are apart -----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_DRIVER_COMPARE_H
#define PERMALLOY_LIB_DRIVER_COMPARE_H

#include "permalloy/Support/Npy.h"

#include <span>

namespace permalloy {

/// How an array differs from the one that is expected.
struct Difference {
  std::string mismatch;       ///< another type or shape, or an infinity or NaN on one side only
  double maxAbs = 0;          ///< largest |actual - expected| of finite elements
  double magnitude = 0;       ///< largest |expected| of finite elements
  double cosine = 1;          ///< of the angle between both as vectors, over finite elements
  std::vector<int64_t> index; ///< where maxAbs is; empty when the arrays have no element
  double actual = 0, expected = 0; ///< there

  /// maxAbs relative to the output's largest magnitude: the measure that does not blow up where an
  /// expected value happens to be near zero. maxAbs itself when all is zero.
  double relative() const { return magnitude > 0 ? maxAbs / magnitude : maxAbs; }
  bool within(double tolerance) const { return mismatch.empty() && relative() <= tolerance; }
};

/// How far outputs may be from the reference, relative to their largest magnitude, in a model whose
/// narrowest floating-point type is `type`: 2e-4 in f32, and 16 unit roundoffs in f16 (7.8e-3) and bf16
/// (6.3e-2). A 12-layer encoder stores about 8 tensors a layer one after the other, each rounded by up to
/// one u; independent roundings grow with the square root of their number, here to 10 u.
double defaultTolerance(artifact::DType type);

/// Compares element by element; equal infinities agree, and NaN with NaN. f16 and bf16 may be compared
/// with a reference in f32.
Difference compareArrays(const Array &actual, const Array &expected);

/// Sets outputs [batch, sequence, ...] to 0 where an input [batch, sequence] with "mask" in its name is 0: what a model that was
/// compiled with --pack-padding and its original may differ in.
void clearPadding(std::span<const NamedArray> inputs, std::span<NamedArray> outputs);

/// Element `index` as a double (integers beyond 2^53 are rounded).
double elementAt(const Array &array, uint64_t index);

} // namespace permalloy

#endif // PERMALLOY_LIB_DRIVER_COMPARE_H
