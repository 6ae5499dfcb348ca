//===- SparseColumns.h - products with lanes along the rows of A -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A product with blocks of 1 x 16 has one list of kept rows for 16 columns, so a register tile cannot be wider than a panel. With
// rows of A broadcast (MicroKernel.h) a tile of 24 x 1 vectors takes 26 loads for its 24 products, more than the two load ports of a
// core carry. Here lanes are rows of A, and the panel is broadcast:
//
//   for i in kept:  k = rows[i]
//     a0 a1 a2 = At[k][0..47]              three loads
//     for column in 0..7:                  8 loads, each a broadcast operand of three products
//       c[column][v] += panel[i][column] * a_v
//
// 11 loads for 24 products, in two passes over the panel for its 16 columns. A is transposed once for each block of rows, in the
// worker's scratch; sums are transposed back a tile at a time. Each sum is the same chain of products as elsewhere.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_LIB_CODEGEN_CPU_SPARSECOLUMNS_H
#define PERMALLOY_LIB_CODEGEN_CPU_SPARSECOLUMNS_H

#include "permalloy/Codegen/CPU/Contraction.h"

namespace permalloy::codegen {

/// Where columns stand in the scratch, behind the number, plus one, of the block of rows that they are of: the runtime sets it to 0
/// when a worker begins with a launch.
inline constexpr int64_t kColumnsOffset = 64;

/// Fewer rows are broadcast one by one.
inline constexpr int64_t kLeastLaneRows = 16;

/// Writes the rows [first, last) of A to `to` as tiles of `tileRows` rows, each [K][tileRows]; lanes behind `last` hold its last row.
void packColumns(KernelBuilder &b, const Contraction &c, int64_t tileRows, mlir::Value first, mlir::Value last, mlir::Value to);

/// One tile of rows times one panel.
struct ColumnsTile {
  mlir::Value a;       ///< [K][tileRows], as packed
  mlir::Value count;   ///< rows that exist, from 1 to tileRows
  mlir::Value panel;   ///< [kept][16]
  mlir::Value numbers; ///< i32 [kept]
  /// What to fetch meanwhile: from `next` on `nextStride` bytes (i64) for each step.
  mlir::Value next, nextStride;
  bool isLong = false; ///< see isLongTile
};

/// Whether a tile of `k` steps is too large to stay near: its columns are then fetched ahead.
bool isLongTile(int64_t k);

/// Writes the sums to `sums`, f32 [tileRows][16]; `scratch` has as many bytes. `columns` are done in a pass.
void emitColumnsTile(KernelBuilder &b, const ColumnsTile &tile, int64_t kept, int64_t tileRows, int64_t columns, mlir::Value scratch,
                     mlir::Value sums);

} // namespace permalloy::codegen

#endif
