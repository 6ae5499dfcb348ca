//===- Pruned.h - the weights that a sparse layer is made of -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_TRANSFORMS_QUANTIZATION_FORMATS_PRUNED_H
#define PERMALLOY_LIB_TRANSFORMS_QUANTIZATION_FORMATS_PRUNED_H

#include "permalloy/Transforms/Levels.h"

namespace permalloy {

/// What prunes where a level names none.
inline constexpr llvm::StringLiteral kDefaultPruner = "magnitude";

/// Makes the weights of one layer whose weight is pruned, and what reads them in front of the layer.
class PrunedLayer {
public:
  /// `level` as it stands in the names of weights; a `solver` that only rounds is not meant for pruning.
  PrunedLayer(llvm::StringRef level, llvm::StringRef solver, WeightSite site, EncodeContext &context);

  /// What the solver leaves of the weight, "@w.LEVEL": `kept` block rows of each `of` (0: of all).
  tfm::WeightOp prune(int64_t kept, llvm::ArrayRef<int64_t> block, int64_t of = 0);
  /// "@w.LEVEL" + suffix, whose body makes it from `source`, unless another layer has made it.
  tfm::WeightOp part(llvm::StringRef suffix, mlir::RankedTensorType type, tfm::WeightOp source, llvm::function_ref<mlir::Value(mlir::Value)> make);
  mlir::Value get(tfm::WeightOp weight);

  mlir::OpBuilder builder;
  tfm::LinearOp linear;
  mlir::RankedTensorType type; ///< [K, N]
  mlir::Location loc() { return linear.getLoc(); }

private:
  mlir::Value gram();
  std::string name, solver;
  WeightSite site;
  EncodeContext &context;
};

} // namespace permalloy

#endif
