//===- TensorProduct.h - a block of a matrix product on tensor cores -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// ONE KERNEL FOR ALL TYPES. A row of panels (Tfm/Panels.h) is 16 columns of 32-bit words, and the operands of mma.sync are words,
// too: tf32 with 1, bf16 with 2, s8 with 4 elements along K in each. So K is counted in words, weights are read as they lie for the
// CPU, and the types differ in the multiplication alone. (f16 is multiplied like bf16, but its panels do not pair steps of K.)
//
// A BLOCK computes blockRows x blockColumns results. Its warps stand side by side, each with warpRows x warpColumns. K is walked
// in tiles of blockWords words, `stages` of which lie in shared memory: one is multiplied while the others are on their way
// (cp.async). Per 8 words of K a warp loads A by ldmatrix, B by one 128-bit access per two mma, and multiplies.
//
// COLUMNS ARE PERMUTED. What mma calls column q may be any column, if the results are taken for that one. In each 32 columns (two
// panels) the j-th of four products takes columns 4 q + j: then the 16-byte chunk q of a panel row has this lane's word for all four,
// and the lane's results of all four are the columns 8 t .. 8 t + 7 of its row, neighbours in memory.
//
// NO BANK CONFLICTS. Chunks of 16 bytes are stored at exclusive-or'ed places, so that each group of 8 lanes, which the hardware
// serves at once, touches all 8 chunks of 128 bytes:
//
//   A  rows of 16 words: chunk ^ (row / 2 % 4); rows of 32 words: chunk ^ (row % 8). ldmatrix reads one chunk of 8 rows.
//   B  rows of 16 words: chunk ^ (row & 2). Lanes 4 g + t of two g read chunk g % 4 of rows t: places 4 (t % 2) + (g % 4 ^ (t & 2)).
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_LIB_CODEGEN_GPU_TENSORPRODUCT_H
#define PERMALLOY_LIB_CODEGEN_GPU_TENSORPRODUCT_H

#include "permalloy/Codegen/GPU/WarpBuilder.h"
#include "permalloy/Codegen/ScheduleSpace.h"

namespace permalloy::codegen {

struct TensorSchedule {
  int64_t blockRows = 64, blockColumns = 64, blockWords = 16, warpRows = 32, warpColumns = 32, stages = 4;

  int64_t threads() const { return 32 * (blockRows / warpRows) * (blockColumns / warpColumns); }
  int64_t rowBytes() const { return blockRows * blockWords * 4; }       ///< of A in one stage
  int64_t columnBytes() const { return blockColumns * blockWords * 4; } ///< of B in one stage
  int64_t stageBytes() const { return rowBytes() + columnBytes(); }
  int64_t sharedBytes() const { return stages * stageBytes(); }
};

/// The schedules that a product with `words` words of K takes; at most `sharedBytes` a block.
ScheduleSpaceOf<TensorSchedule> tensorSpace(int64_t words, int64_t sharedBytes);

/// What is multiplied.
struct TensorProduct {
  OperandType type;
  mlir::Value a;       ///< rows of `words` words each, 16-byte aligned
  mlir::Value weights; ///< panels
  mlir::Value rows;    ///< of A
  int64_t words;       ///< of K; a multiple of blockWords
  int64_t columns;     ///< N

  /// Called for groups of 4 neighbours in one row, the first column a multiple of 4: row and column exist where `exists` says so.
  using Epilogue = std::function<void(mlir::Value row, mlir::Value column, llvm::ArrayRef<mlir::Value> results)>;
  Epilogue epilogue;
};

/// Emits the product of this block: number blockNumber() of ceil(rows / blockRows) x ceil(columns / blockColumns), columns first.
/// The epilogue is called with results that exist, or, where N is no multiple of 4, perhaps beyond the last column.
void emitTensorProduct(GpuBuilder &b, const TensorProduct &product, const TensorSchedule &schedule);

} // namespace permalloy::codegen

#endif
