//===- WeightPaths.h - files of weights beside MLIR text ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// `tfm.weight` names the file that holds its bytes. In MLIR text that `permalloy import -o` wrote, a
// file in the text's folder or below is named relative to it, so that both may move together; any
// other by its whole path. Who reads text looks beside it first, then in the current folder.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_LIB_DRIVER_WEIGHTPATHS_H
#define PERMALLOY_LIB_DRIVER_WEIGHTPATHS_H

#include "mlir/IR/BuiltinOps.h"

namespace permalloy {

/// Names relative files that exist beside the text at `textPath` by their whole paths.
void resolveWeightPaths(mlir::ModuleOp module, llvm::StringRef textPath);

/// Names files so that text written to `textPath` finds them.
void relateWeightPaths(mlir::ModuleOp module, llvm::StringRef textPath);

} // namespace permalloy

#endif // PERMALLOY_LIB_DRIVER_WEIGHTPATHS_H
