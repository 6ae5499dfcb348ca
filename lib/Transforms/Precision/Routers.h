//===- Routers.h - layers that choose experts, and what they read -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A mixture of experts takes those of the largest logits. Where it was raised, a tfm.moe reads the logits; where not, a
// tfm.top_k does, whose choice goes on into the model.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_LIB_TRANSFORMS_PRECISION_ROUTERS_H
#define PERMALLOY_LIB_TRANSFORMS_PRECISION_ROUTERS_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"

namespace permalloy {

/// Whether experts are chosen by `value` as it is, moved, or mapped element by element: the result of a router.
bool isRouter(mlir::Value value);

/// The values that any choice of experts depends on: through whatever layers, into and out of branches, and into, around and
/// out of loops.
class RouterInputs {
public:
  explicit RouterInputs(mlir::ModuleOp module);
  bool contains(mlir::Value value) const { return seen.contains(value); }

private:
  void add(mlir::Value value) {
    if (seen.insert(value).second)
      open.push_back(value);
  }
  void addSources(mlir::Value value);
  void addSources(mlir::BlockArgument argument);

  llvm::DenseSet<mlir::Value> seen;
  llvm::SmallVector<mlir::Value> open; ///< seen, but not yet what they are made of
  /// Functions of an if or while, and the other way round.
  llvm::DenseMap<mlir::Operation *, llvm::SmallVector<mlir::func::FuncOp, 2>> called;
  llvm::DenseMap<mlir::Operation *, llvm::SmallVector<mlir::Operation *, 2>> callers;
};

} // namespace permalloy

#endif
