//===- LayerKernels.h - a layer alone, as what a cost model prices -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A format that stores a weight in another way asks whether the layer's kernel gains by it (KernelCosts.h): at the rows that the layer
// has, so that a decoder's step may get what a prompt would lose by.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_LIB_TRANSFORMS_QUANTIZATION_FORMATS_LAYERKERNELS_H
#define PERMALLOY_LIB_TRANSFORMS_QUANTIZATION_FORMATS_LAYERKERNELS_H

#include "permalloy/Transforms/Levels.h"

namespace permalloy {

/// Writes kernels of one layer, x [.., K] times a weight [K, N].
class LayerKernels {
public:
  /// Of a batch of one, where the input's first dimension is a name.
  LayerKernels(WeightSite site, const LayerSetting &setting);

  /// With a weight in panels, as the precision of the setting has it.
  std::string dense() const;
  /// With a weight and rows of codes of 8 bits.
  std::string denseOfCodes() const;
  /// With one that `decode` ("tfm.expand_quads %s0, %s1 {...}") makes of arguments of the types `stored`; `isOfCodes`: of 8 bits.
  std::string sparse(llvm::StringRef decode, llvm::ArrayRef<mlir::RankedTensorType> stored, bool isOfCodes = false) const;

  int64_t steps() const { return k; }
  int64_t columns() const { return n; }
  mlir::MLIRContext *context() const { return mlir; }

private:
  std::string kernel(llvm::StringRef arguments, llvm::StringRef argumentDims, llvm::StringRef decode, llvm::StringRef weight, llvm::StringRef element) const;

  mlir::MLIRContext *mlir;
  std::string precision;
  tfm::Dims rows; ///< all dimensions of the input but K
  std::string symbols;
  int64_t k, n;
};

} // namespace permalloy

#endif
