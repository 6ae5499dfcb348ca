//===- MatmulProduct.h - a block of a product of two activations -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// C = A B of two matrices that lie in memory in rows, as they are: rows of A or of A transposed, of B or of B transposed. K runs
// ALONG the rows of an operand (A [m][k], B [n][k]) or from row to row (A [k][m], B [k][n]). Sizes may be known when the kernel runs
// only, and need be multiples of nothing.
//
// TILES come to shared memory as they lie, asynchronously in chunks of 16 bytes where rows are whole chunks; else element by
// element, which is decided when the kernel runs where the size is symbolic. What lies beyond K, M or N is zero there. Chunk c of row r
// stands at c ^ (r / (8 / z) % z), where z, at most 8, is the power of two in a row's chunks: eight neighbouring rows' chunk c, and
// eight chunks of a row, lie in different banks.
//
// PRODUCTS. bf16 and f16 by mma.sync: ldmatrix gives its operands from either order of memory, with .trans where K runs from row to
// row. f32 by FMA: lane 8 y + x has the rows y + 4 j and the columns x + 8 j where K runs along the operand's rows, or 4 neighbours every
// 16 rows and 32 columns where it does not.
//
// RESULTS go through shared memory, so that neighbouring threads store neighbours, 4 of them each where N is a multiple of 4.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_LIB_CODEGEN_GPU_MATMULPRODUCT_H
#define PERMALLOY_LIB_CODEGEN_GPU_MATMULPRODUCT_H

#include "../CPU/ElementOps.h"
#include "permalloy/Codegen/GPU/WarpBuilder.h"
#include "permalloy/Codegen/ScheduleSpace.h"

#include <memory>

namespace permalloy::codegen {

struct MatmulSchedule {
  int64_t blockRows = 64, blockColumns = 64, blockWords = 16, warpRows = 32, warpColumns = 32, stages = 3;

  int64_t threads() const { return 32 * (blockRows / warpRows) * (blockColumns / warpColumns); }
  int64_t rowBytes() const { return blockRows * blockWords * 4; } ///< of A in one stage
  int64_t stageBytes() const { return (blockRows + blockColumns) * blockWords * 4; }
  /// From one row of results in shared memory to the next: lanes of neighbouring rows store to different banks.
  int64_t resultStride() const { return (blockColumns + 8) * 4; }
  int64_t sharedBytes() const { return std::max(stages * stageBytes(), blockRows * resultStride()); }

  /// The default for f32 or halves and so many rows and columns of the result; nothing: any number.
  static MatmulSchedule choose(mlir::Type element, std::optional<int64_t> rows, std::optional<int64_t> columns);
};

ScheduleSpaceOf<MatmulSchedule> matmulSpace(mlir::Type element, int64_t sharedBytes);

/// An operand in memory.
struct MatmulMatrix {
  mlir::Value base;   ///< of the block's batch
  mlir::Value extent; ///< M or N (i64)
  bool alongK = true; ///< its rows are rows of A, or columns of B; else rows are steps of K
};

struct MatmulProduct {
  mlir::Type element; ///< f32, bf16 or f16, of operands and results
  MatmulMatrix left, right;
  mlir::Value depth;                 ///< K (i64)
  mlir::Value result;                ///< of the block's batch
  mlir::Value firstRow, firstColumn; ///< of the block (i64)
};

/// The tiles of one operand, in shared memory and on the way there. Numbers without a type are i32.
class MatmulTile {
public:
  using Value = mlir::Value;
  /// `extent`: rows or columns of the block, from `first` (i64) on. Tiles have `words` 32-bit words of K.
  MatmulTile(GpuBuilder &b, const MatmulProduct &product, const MatmulMatrix &matrix, int64_t extent, Value first,
             const MatmulSchedule &schedule, Value shared);

  /// Brings tile `tile` (i64) of K to the stage that begins `stage` bytes into shared memory.
  void copy(Value tile, Value stage);
  bool alongK() const { return matrix.alongK; }
  int64_t rowBytes() const { return chunks * 16; }
  /// Turns that the chunks of a row have, a power of two, and which one row `row` has.
  int64_t turns() const { return std::min<int64_t>(8, chunks & -chunks); }
  Value turnOf(Value row);
  Value shared; ///< of a stage

private:
  struct Place {
    Value row, chunk; ///< of the tile
  };
  void copyWhole(Value tile, Value to);
  void copyElements(Value tile, Value to);
  Place placeOf(int64_t number);
  Value addressOf(const Place &place, Value to);
  /// The first element of a chunk: the row of memory and the element in it (i64).
  std::pair<Value, Value> sourceOf(const Place &place, Value tile);
  int64_t inChunk() const { return 16 / bytes; }
  int64_t copies() const { return rows * chunks / threads; }

  GpuBuilder &b;
  MatmulMatrix matrix;
  Value first, height, width; ///< of the block in the extent; rows of memory and elements of each (i64)
  int64_t bytes;              ///< of an element
  int64_t steps, rows, chunks, threads; ///< of K, in a tile; its rows; chunks of a row
};

/// What one lane multiplies.
class MatmulLanes {
public:
  using Value = mlir::Value;
  using Values = llvm::SmallVector<Value>;
  virtual ~MatmulLanes();

  /// Its sums [r][c] are those of row `row` + rows[r] and column `column` + columns[c] of the block.
  Value row, column;
  llvm::SmallVector<int64_t> rows, columns;
  /// sums += the products of a stage.
  virtual Values multiply(Value stage, Values sums) = 0;

protected:
  MatmulLanes(GpuBuilder &b, MatmulTile &left, MatmulTile &right, const MatmulSchedule &s);
  GpuBuilder &b;
  WarpBuilder warp;
  MatmulTile &left, &right;
  const MatmulSchedule &s;
  Value lane, warpRow, warpColumn; ///< of the warp in the block
};

std::unique_ptr<MatmulLanes> tensorLanes(GpuBuilder &b, OperandType type, MatmulTile &left, MatmulTile &right, const MatmulSchedule &s);
std::unique_ptr<MatmulLanes> fmaLanes(GpuBuilder &b, MatmulTile &left, MatmulTile &right, const MatmulSchedule &s);

/// Emits the block of schedule.blockRows x blockColumns results from product.firstRow and firstColumn on.
void emitMatmulProduct(GpuBuilder &b, const MatmulProduct &product, const MatmulSchedule &schedule);

} // namespace permalloy::codegen

#endif
