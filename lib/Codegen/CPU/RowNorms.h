//===- RowNorms.h - elements of norms from their rows' statistics -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_CODEGEN_CPU_ROWNORMS_H
#define PERMALLOY_LIB_CODEGEN_CPU_ROWNORMS_H

#include "ValueEmitter.h"

namespace permalloy::codegen {

/// The element(s) of a norm over the last dimension at `site`, from what its row's statistics are (f32): the mean and the reciprocal
/// of the deviation, or of the root mean square.
mlir::Value layerNormAt(ValueEmitter &values, tfm::LayerNormOp op, const Site &site, mlir::Value mean, mlir::Value factor);
mlir::Value rmsNormAt(ValueEmitter &values, tfm::RmsNormOp op, const Site &site, mlir::Value factor);

} // namespace permalloy::codegen

#endif
