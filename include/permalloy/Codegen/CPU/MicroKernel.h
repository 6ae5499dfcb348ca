//===- MicroKernel.h - the register tile of every matrix product -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// C[rows][vectors x lanes] += sum over k of A[row][k] * B[k][vector], with C in registers:
//
//   for k:                                        (one instruction each)
//     b0 .. bV = load B vectors of step k         vmovups
//     for row:
//       a = load A[row][k]; broadcast             vbroadcastss
//       c[row][v] = fma(a, b[v], c[row][v])       vfmadd231ps  x V
//
// This order, B first and each broadcast next to its uses, is what LLVM keeps without spills and
// what reaches 90% of the FMA peak and more; the same product written as one wide vector.contract
// reaches a fraction. Prefetches stand between the steps of an unrolled loop: a loop of a few steps
// inside another costs a mispredicted branch at each end, 11% of the time at 8 steps of 24 FMAs.
//
// Linear layers read B from packed panels and A by rows; attention reads B from packed Q for Q K^T
// (A = rows of K) and from V for P V (A = columns of P^T). They differ in strides only.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_CODEGEN_CPU_MICROKERNEL_H
#define PERMALLOY_CODEGEN_CPU_MICROKERNEL_H

#include "permalloy/Codegen/CPU/KernelBuilder.h"

namespace permalloy::codegen {

class IntegerProduct;

/// Where a tile's operands lie. All strides in bytes and constant.
struct TileOperands {
  mlir::Value a;
  int64_t aRowStride;
  int64_t aStepStride;
  mlir::Value b;
  int64_t bStepStride;
  /// Offset of each vector of B in a step; their number is the width of the tile.
  llvm::SmallVector<int64_t> bVectorOffsets;
  /// What B holds: f32 (null), f16, or bf16 with two steps of K in each 32-bit lane (Panels.h). For the last, a step here is
  /// two of K: `depth` counts pairs, and A's second one is 4 bytes behind the first.
  mlir::Type bElement = {};
  /// Null: the steps of A follow each other. Else i32 [depth]: step k of B meets the step of A with this number, ascending.
  mlir::Value steps = {};
  /// The other way round: step k of A meets the step of B with that number.
  bool stepsOfB = false;
  /// Where B holds 8-bit integers, four steps of K in each 32-bit lane, what multiplies them: a step here is four of K, accumulators
  /// are i32 whose bits stand in vectors of f32.
  IntegerProduct *integers = nullptr;
  /// Loads only the first lanes of the last vector of B (0: all), where B's rows end there.
  unsigned lastVectorLanes = 0;
};

/// How the loop over the steps of k is written.
struct TileLoop {
  /// Steps in one turn of the loop; what is left over runs step by step.
  unsigned unroll = 1;
  /// Asked for before each step k + `index` of a turn, to spread prefetches evenly; not for what is left over.
  llvm::function_ref<void(mlir::Value k, unsigned index)> beforeStep = nullptr;
};

/// Emits the loop over `depth` steps (i64) for `rows` rows. `init` and the result hold the
/// accumulators row by row: index row * vectors + vector.
llvm::SmallVector<mlir::Value> emitTile(KernelBuilder &b, unsigned rows,
                                        const TileOperands &operands, mlir::Value depth,
                                        mlir::ValueRange init, TileLoop loop = {});

/// `count` zero accumulators.
llvm::SmallVector<mlir::Value> zeroTile(KernelBuilder &b, unsigned count);

/// Loads or stores a tile of `rows` rows at `memory`, whose rows are `rowStride` bytes apart and
/// 64-byte aligned.
llvm::SmallVector<mlir::Value> loadTile(KernelBuilder &b, unsigned rows, unsigned vectors,
                                        mlir::Value memory, int64_t rowStride);
void storeTile(KernelBuilder &b, mlir::ValueRange tile, unsigned rows, mlir::Value memory,
               int64_t rowStride);

} // namespace permalloy::codegen

#endif // PERMALLOY_CODEGEN_CPU_MICROKERNEL_H
