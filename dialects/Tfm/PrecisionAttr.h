//===- PrecisionAttr.h - how precisely a product is computed -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef TFM_PRECISIONATTR_H
#define TFM_PRECISIONATTR_H

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/Operation.h"

namespace permalloy {

/// On an operation with products between plan-precision and apply-precision: "f32", "bf16", kSplitPrecision or kTf32Precision. The
/// last two, which leave the types as they are, stay up to code generation; the verifiers of tfm.linear and tfm.attention know no others.
inline constexpr llvm::StringLiteral kPrecisionAttr = "tfm.precision";

/// Operands stay f32, and a target with tiles of bf16 may multiply each as the sum of two numbers of bf16: high high + low high
/// + high low, 16 bits of each and sums in f32. Others compute f32.
inline constexpr llvm::StringLiteral kSplitPrecision = "bf16x3";

/// K of a layer that may be multiplied so is a multiple of this: tiles of bf16 take 32 elements of it.
inline constexpr int64_t kSplitDepth = 32;

/// A permission, on tfm.linear and tfm.attention of f32: code for GPUs may round the operands of products to tf32 (8 bits of exponent,
/// 10 of mantissa, to nearest, ties away from zero) and sums in f32. Tensors stay f32; CPUs and the interpreter compute in f32.
inline constexpr llvm::StringLiteral kTf32Precision = "tf32";

/// Whether `op` has that permission.
inline bool allowsTf32(mlir::Operation *op) {
  auto precision = op->getAttrOfType<mlir::StringAttr>(kPrecisionAttr);
  return precision && precision.getValue() == kTf32Precision;
}

/// Takes it from all operations in `root`: what CPUs compile is then what they compile without.
inline void forbidTf32(mlir::Operation *root) {
  root->walk([](mlir::Operation *op) {
    if (allowsTf32(op))
      op->removeAttr(kPrecisionAttr);
  });
}

} // namespace permalloy

#endif
