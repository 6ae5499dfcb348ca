//===- Kern.h - the kernel and launch dialect --------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef PERMALLOY_KERN_KERN_H
#define PERMALLOY_KERN_KERN_H

#include "Tfm/Tfm.h"

#include "Kern/KernDialect.h.inc"
#include "Kern/KernEnums.h.inc"

#define GET_ATTRDEF_CLASSES
#include "Kern/KernAttrs.h.inc"

#define GET_OP_CLASSES
#include "Kern/KernOps.h.inc"

namespace permalloy::kern {

/// On an argument of a function: why it did not become a cache, a string.
inline constexpr llvm::StringLiteral kNoCacheAttr = "kern.no_cache";

/// Dimensions of argument `index` of a kernel, over its symbols.
tfm::Dims argDims(KernelOp kernel, unsigned index);

/// `expr` over a kernel's symbols, rewritten over the program's by the scalars of a launch.
tfm::DimExprAttr atLaunch(tfm::DimExprAttr expr, KernelOp kernel, LaunchOp launch);

/// The launch result (or argument, weight, ...) whose bytes `value` shows: itself, or what it is a view of.
mlir::Value storageOf(mlir::Value value);

} // namespace permalloy::kern

#endif
