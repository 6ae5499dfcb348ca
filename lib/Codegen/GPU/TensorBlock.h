//===- TensorBlock.h - the parts of a product on tensor cores ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_CODEGEN_GPU_TENSORBLOCK_H
#define PERMALLOY_LIB_CODEGEN_GPU_TENSORBLOCK_H

#include "SplitK.h"
#include "TensorProduct.h"
#include "Tfm/Panels.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace permalloy::codegen {

/// Bytes that one thread copies at once, and that shared memory is permuted in.
constexpr int64_t kChunkBytes = 16;
constexpr int64_t kLineBytes = 64;
/// Each lane has a codebook of its own, all of it in one bank: look-ups never meet.
constexpr int64_t kTableRowBytes = 32 * 4;
/// Words of K that one mma takes.
constexpr int64_t kStepWords = 8;
/// Columns of two panels, which four mma share.
constexpr int64_t kGroupColumns = 32;

/// Where this block and this thread are. All numbers are i32.
struct TensorBlock {
  using Value = mlir::Value;
  TensorBlock(GpuBuilder &b, const TensorProduct &p, const TensorSchedule &s);

  GpuBuilder &b;
  WarpBuilder warp;
  const TensorProduct &p;
  const TensorSchedule &s;
  TensorLayout layout;
  Value shared;
  Value thread, group, inGroup;        ///< in its warp, a thread is lane 4 group + inGroup
  Value warpRow, warpColumn;           ///< of the warp in the block
  Value rows, firstRow, firstColumn;   ///< of A; of the block
  SplitK split;
};

/// Operand A: from memory, or computed, to shared memory and to the registers.
class TensorRows {
public:
  using Value = mlir::Value;
  explicit TensorRows(const TensorBlock &block);

  /// Starts to copy tile `tile` of K to the stage that begins `stage` bytes into shared memory.
  void copy(Value tile, Value stage);
  /// The same in two parts for rows that are computed: into registers, and from there. Nothing for others.
  llvm::SmallVector<Value> compute(Value tile);
  void store(llvm::ArrayRef<Value> values, Value stage);
  /// Words `first` .. `first` + 7 of 16 rows of the warp, as mma takes them.
  llvm::SmallVector<Value> read(int64_t tile, int64_t first, Value stage);

private:
  Value chunkOfRow(Value row, Value chunk);
  Value existsInK(Value tile);
  int64_t chunks() const { return s.blockWords / 4; }
  int64_t copies() const { return s.blockRows * chunks() / s.threads(); }
  int64_t rowsApart() const { return s.threads() / chunks(); }
  int64_t partsOfChunk() const { return elementsPerWord(t.p.size.type); }

  const TensorBlock &t;
  GpuBuilder &b;
  const TensorSchedule &s;
  Value from, to, row, chunk; ///< this thread's first chunk: addresses, its row of A, its number in the row
  Value readFrom;             ///< this lane's part of the first 16 rows
};

/// Operand B: panels, to shared memory and to the registers.
class TensorColumns {
public:
  using Value = mlir::Value;
  explicit TensorColumns(const TensorBlock &block);

  /// As TensorRows::copy; scales and zero points come along.
  void copy(Value tile, Value stage);
  /// Words first + t and first + 4 + t of the four columns of this lane in `group`.
  struct Words {
    Value low[4], high[4];
  };
  Words read(int64_t group, int64_t first, Value stage);

private:
  void placeCopies();
  void placeReads();
  void readFour(Value (&words)[4], int64_t group, int64_t line, Value stage);
  void readHalves(Value (&words)[4], int64_t group, int64_t line, Value stage);
  int64_t panels() const { return s.blockColumns / tfm::kPanelColumns; }
  int64_t panelChunks() const { return t.layout.lines * (kLineBytes / kChunkBytes); }

  // TensorCodes.cpp
  void placeScales();
  void copyScales(Value tile, Value stage);
  void readScales(int64_t group, int64_t first, Value stage);
  Value decode(Value dword, int64_t group, int64_t of, int64_t word);
  Value codeValue(Value dword, int64_t step);

  const TensorBlock &t;
  GpuBuilder &b;
  const TensorSchedule &s;
  const TensorSize &size;
  bool isHalves;                 ///< rows of f16, which do not keep two steps of K together
  int64_t panelBytes;            ///< in memory
  Value from, to, panel, place;  ///< this thread's first chunk: addresses, its panel of the weight, its number in the panel
  Value readFrom, readOdd;       ///< this lane's four columns; of halves, those of odd steps
  // Of codes:
  Value scaleFrom, scaleTo, scalePanel, scaleGroup, zeroFrom; ///< this thread's chunk of scales
  Value scaleRead, shift, tableRead;
  llvm::SmallVector<Value> scale, zero; ///< of this lane's four columns of each group, for the step at hand
};

} // namespace permalloy::codegen

#endif
