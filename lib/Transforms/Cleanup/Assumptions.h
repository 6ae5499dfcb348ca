//===- Assumptions.h - what a graph needs of its dimensions ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A decoder reads past + seq elements of a mask that has `total`. Exporters know that these are equal
// and do not write it down. Where past + seq > total the model would index outside of the mask, so
// past + seq <= total holds in every run that succeeds; a pass may rely on it once the function
// says so in its attribute `tfm.assume`, which the runtime checks whenever shapes change.
//
//===----------------------------------------------------------------------===//

#ifndef PERMALLOY_LIB_TRANSFORMS_CLEANUP_ASSUMPTIONS_H
#define PERMALLOY_LIB_TRANSFORMS_CLEANUP_ASSUMPTIONS_H

#include "Tfm/Tfm.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace permalloy {

class Assumptions {
public:
  /// Reads `tfm.assume`.
  explicit Assumptions(mlir::func::FuncOp function);
  /// `op` runs whenever the model does: it is in no branch and no body of a loop.
  static bool mayAssume(mlir::Operation *op) {
    return !op->getParentOfType<mlir::func::FuncOp>().isPrivate();
  }
  /// `smaller` <= `larger` in every run from now on; `user` is the operation that would fail
  /// otherwise. Both must be derived.
  void require(tfm::DimExprAttr smaller, tfm::DimExprAttr larger, mlir::Location user);
  /// Writes `tfm.assume`.
  void store(mlir::func::FuncOp function) const;

private:
  llvm::SmallVector<mlir::Attribute> list;
};

/// The name of the ONNX node that a location comes from: of the last one, where there are several.
std::string nodeName(mlir::Location loc);

} // namespace permalloy

#endif
