//===- PrecisionAttr.h - how precisely a product is computed -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef TFM_PRECISIONATTR_H
#define TFM_PRECISIONATTR_H

#include "llvm/ADT/StringRef.h"

#include <cstdint>

namespace permalloy {

/// On an operation with products between plan-precision and apply-precision: "f32", "bf16" or kSplitPrecision.
inline constexpr llvm::StringLiteral kPrecisionAttr = "tfm.precision";

/// Operands stay f32, and a target with tiles of bf16 may multiply each as the sum of two numbers of bf16: high high + low high
/// + high low, 16 bits of each and sums in f32. Others compute f32. This value stays on the layer up to code generation.
inline constexpr llvm::StringLiteral kSplitPrecision = "bf16x3";

/// K of a layer that may be multiplied so is a multiple of this: tiles of bf16 take 32 elements of it.
inline constexpr int64_t kSplitDepth = 32;

} // namespace permalloy

#endif
