//===- SharedNumbers.h - numbers that kernels do not know -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef PERMALLOY_ANALYSIS_SHAREDNUMBERS_H
#define PERMALLOY_ANALYSIS_SHAREDNUMBERS_H

#include "Tfm/Tfm.h"

namespace permalloy {

/// A number that kernels take as an argument instead of knowing it, so that layers that differ in nothing else share them: a
/// symbol that is named after its value, `#tfm.dim<"=184">`. `outline-kernels` puts the number into their launches.
tfm::DimExprAttr sharedNumber(mlir::MLIRContext *context, int64_t value);
/// The value of such a symbol.
std::optional<int64_t> valueOfSharedNumber(llvm::StringRef name);
/// `expr` with numbers for such symbols.
tfm::DimExprAttr resolveSharedNumbers(tfm::DimExprAttr expr);

} // namespace permalloy

#endif
