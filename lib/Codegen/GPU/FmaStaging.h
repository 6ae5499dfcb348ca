//===- FmaStaging.h - how the tiles of FmaProduct come to shared memory -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_CODEGEN_GPU_FMASTAGING_H
#define PERMALLOY_LIB_CODEGEN_GPU_FMASTAGING_H

#include "FmaProduct.h"
#include "permalloy/Codegen/GPU/WarpBuilder.h"

#include <vector>

namespace permalloy::codegen {

/// What is exclusive-or'ed to the chunks of a row of A in shared memory.
mlir::Value fmaRowSwizzle(KernelBuilder &b, const FmaTile &tile, mlir::Value row);

/// Brings the tiles of K of a block to shared memory, in parallel to the multiplication. Each side,
/// A and the weight, is copied asynchronously `stages - 1` tiles ahead, or goes through registers one
/// tile ahead. Of kept blocks it brings A alone, transposed (SparseProduct.h), into two stages.
class FmaStaging {
public:
  using Value = mlir::Value;
  FmaStaging(GpuBuilder &b, const BlockProduct &product, const FmaTile &tile, Value columnBlock,
             Value shared);

  /// Tiles of K.
  int64_t tiles() const { return llvm::divideCeil(steps, s.blockSteps); }
  /// Starts with the first of the tiles [first, last), which may be none.
  void begin(Value first, Value last);
  /// Tile `number` has come when this is done; starts what follows it. `writing`: the stage, in bytes,
  /// of tile number + stages - 1.
  void beforeTile(Value number, Value writing);
  /// Stores what went through registers for the tile behind, whose stage is `stage`.
  void behindTile(Value stage);

private:
  void placeRows();
  void placeColumns();
  void copy(Value tile, Value stage);
  void load(Value tile);
  void loadRow(size_t i, Value tile);
  void loadColumns(size_t i, Value tile);
  void storeRow(size_t i, Value stage);
  void storeColumns(size_t i, Value stage);
  llvm::SmallVector<Value> quadRows(size_t i);
  Value panelNumber(Value inBlock, Value &exists);

  bool copiesRows() const;
  bool copiesColumns() const {
    return !w.coded && !w.sparse && (w.isIntegral() || w.element.isF32());
  }
  bool copies() const { return copiesRows() || copiesColumns(); }
  int64_t blockPanels() const { return s.blockColumns / 16; }
  /// Words of a row of A that a chunk of shared memory has, and bytes of A in memory for it.
  int64_t chunkBytes() const { return w.isIntegral() ? 16 : 4 * p.elementBytes(); }
  /// Rows of a panel, or quads, in a tile.
  int64_t tileRows() const {
    return s.blockSteps / (w.isQuads() ? 4 : w.isIntegral() ? 1 : w.stepsOfRow());
  }
  bool endsWithinTile() const { return steps % s.blockSteps != 0; }

  GpuBuilder &b;
  WarpBuilder warp;
  const BlockProduct &p;
  const ProductWeight &w;
  const FmaTile &s;
  Value columnBlock, shared;
  WeightReader reader;
  int64_t steps; ///< of K: words of 8-bit integers
  Value last;    ///< behind the last tile

  /// A chunk of A that this thread brings.
  struct RowChunk {
    Value from, exists;
    llvm::SmallVector<Value> loaded;
  };
  Value firstRow, rowStep; ///< of its chunks, in a tile
  Value rowTo;
  std::vector<RowChunk> rowChunks;
  /// A chunk of the weight.
  struct ColumnChunk {
    Value panel, row, part; ///< of the weight; of the tile
    Value from, exists, isOwn, to;
    llvm::SmallVector<Value> loaded, scales, zeroPoints;
    llvm::SmallVector<llvm::SmallVector<Value>> kept, bits; ///< of quads
  };
  std::vector<ColumnChunk> columnChunks;
};

} // namespace permalloy::codegen

#endif
