//===- EncodeAsCodes.h - weights of sites as codes ---------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_TRANSFORMS_ENCODEASCODES_H
#define PERMALLOY_TRANSFORMS_ENCODEASCODES_H

#include "permalloy/Transforms/Levels.h"

namespace permalloy {

/// How a weight [K, N] is to stand as codes.
struct CodeTypes {
  tfm::QuantType code;
  mlir::Type scale; ///< f16 or f32
  bool hasZeroPoints = false;
  mlir::DenseElementsAttr codebook; ///< [2^bits] or null
};

/// Gives the site `tfm.dequantize` of weights whose bodies quantize the one it has; a weight that has been encoded under this
/// level and solver is not encoded again. A gather of rows becomes one of columns of the transposed table, whose groups then run
/// along what a row holds. `types` is asked with K.
llvm::LogicalResult encodeAsCodes(llvm::StringRef level, llvm::StringRef solver, WeightSite site, EncodeContext &context,
                                  llvm::function_ref<CodeTypes(int64_t k)> types);

} // namespace permalloy

#endif
