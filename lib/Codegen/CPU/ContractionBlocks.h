//===- ContractionBlocks.h - blocks of grouped rows --------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_CODEGEN_CPU_CONTRACTIONBLOCKS_H
#define PERMALLOY_LIB_CODEGEN_CPU_CONTRACTIONBLOCKS_H

#include "permalloy/Codegen/CPU/Contraction.h"

namespace permalloy::codegen {

/// The positions [first, last) of the rows of a block, and its weight; an empty range for a block that no group has. A group
/// has blocks of equal height, multiples of `tileRows` and at most `blockRows`.
llvm::SmallVector<mlir::Value> findGroupedBlock(KernelBuilder &b, const GroupedRows &groups, mlir::Value block,
                                                int64_t blockRows, int64_t tileRows);

} // namespace permalloy::codegen

#endif
