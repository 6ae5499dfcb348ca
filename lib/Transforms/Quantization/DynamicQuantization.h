//===- DynamicQuantization.h - a layer in 8-bit integers ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_TRANSFORMS_QUANTIZATION_DYNAMICQUANTIZATION_H
#define PERMALLOY_LIB_TRANSFORMS_QUANTIZATION_DYNAMICQUANTIZATION_H

#include "Tfm/Tfm.h"

#include "mlir/IR/SymbolTable.h"

namespace permalloy {

/// The level of such a layer. `w8a8oR` says how many elements of each row are multiplied by themselves, 0 to 7; `w8a8` alone: 2.
inline constexpr llvm::StringLiteral kDynamicLevel = "w8a8";
inline constexpr int64_t kDefaultOutliers = 2;

/// How many elements of each row a level takes out of the codes; nullopt where it is none of these levels.
std::optional<int64_t> outliersOfLevel(llvm::StringRef level);

/// Why a layer cannot compute in 8-bit integers; empty where it can.
std::string whyNotDynamic(tfm::LinearOp linear);

/// Replaces the result of the layer, which nobody reads then: the rows of its input become codes of 8 bits, each with a scale of its own
/// that is found while running, the columns of its weight codes that are found when the artifact is written, and what is left of the layer
/// are elementwise operations on the sums. The `outliers` largest elements of each row are beyond its codes: what they are more than their
/// codes is multiplied in f32. Layers that read one value share its codes. Returns the product of codes.
tfm::LinearOp quantizeDynamically(tfm::LinearOp linear, mlir::SymbolTable &symbols, int64_t outliers = kDefaultOutliers);

} // namespace permalloy

#endif
