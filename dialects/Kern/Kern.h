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

/// Dimensions of argument `index` of a kernel, over its symbols.
tfm::Dims argDims(KernelOp kernel, unsigned index);

/// `expr` over a kernel's symbols, rewritten over the program's by the scalars of a launch.
tfm::DimExprAttr atLaunch(tfm::DimExprAttr expr, KernelOp kernel, LaunchOp launch);

} // namespace permalloy::kern

#endif
