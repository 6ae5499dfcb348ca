//===- SparseProduct.h - a block of a product with kept blocks ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A weight of kept blocks (tfm.expand_blocks) has a list of kept rows for each slab of panels. So that
// what is not kept costs nothing, a warp has one panel: it walks its own list, and the lanes are rows
// of A.
//
//   for tile of K:                       A of 128 rows in shared memory, transposed: [step][row]
//     for row of the list within it:     step = list[i]
//       a  = tile[step][4 lane .. 4 lane + 3]        one access of 128 bits
//       w  = values[i][0 .. 15]                      four, the same for all lanes
//       64 FMAs
//
// Lists ascend, so the kept rows of a tile follow each other in memory, and each warp copies its own
// asynchronously, one tile ahead; how many there are the lanes count, one entry each. A goes through registers to be transposed; chunk r / 4 of a step's rows lies at
// chunk ^ (step / 4 % 8), so that neither stores nor loads meet in a bank. Results leave through shared
// memory, too: 4 rows of 32 columns of a warp at a time.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_LIB_CODEGEN_GPU_SPARSEPRODUCT_H
#define PERMALLOY_LIB_CODEGEN_GPU_SPARSEPRODUCT_H

#include "FmaProduct.h"

namespace permalloy::codegen {

/// Shapes it as a tile of FmaProduct whose warps have 128 rows and 16 columns each.
FmaTile chooseSparseTile(const ProductWeight &weight);
/// Beyond whyNotFmaTile.
std::string whyNotSparseTile(const FmaTile &tile);
int64_t sparseSharedBytes(const FmaTile &tile);

/// As emitFmaProduct, for a weight of kept blocks.
void emitSparseProduct(GpuBuilder &b, const BlockProduct &product, const FmaTile &tile,
                       mlir::Value columnBlock, mlir::Value shared);

} // namespace permalloy::codegen

#endif
