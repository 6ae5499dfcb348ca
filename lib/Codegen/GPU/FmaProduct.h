//===- FmaProduct.h - a block of a matrix product by FMA ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Strict f32: tiles of A and of the weight lie in shared memory as f32, and each thread multiplies
// threadRows x 8 results of its own. K is walked in tiles of blockSteps steps; `stages` of them lie in
// shared memory. (8-bit integers: words of four steps in place of f32, dp4a in place of an FMA.)
//
// WARPS stand side by side, each with 8 * threadRows rows and 32 columns: two panels, or, where the
// product is gated, one panel of each half. Thread 4 y + x of a warp has
//
//   rows     y, y + 8, y + 16 ...         one step reads 8 of them, neighbours: no bank conflict
//   columns  4 x .. 4 x + 3 of both panels
//
// Per 2 steps it takes threadRows accesses of 64 bits and 4 of 128 for 16 * threadRows FMAs.
//
// HOW TILES COME. What lies in memory as it is wanted is copied asynchronously, 16 bytes at a time
// (f32 whose rows are whole chunks). Everything else - halves, codes, quads, rows that end anywhere -
// is loaded into registers before a tile is multiplied and stored as f32 behind it, so that the
// memory's latency is hidden too.
//
// SPLIT K: as on tensor cores (SplitK.h), where blocks are few.
//
// A in shared memory: row r has its chunks of 4 steps at chunk ^ (r / 2 % 4), where a row has 4 of
// them; at chunk ^ (r % 8) where it has 8. The weight: [panel][step][16].
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_LIB_CODEGEN_GPU_FMAPRODUCT_H
#define PERMALLOY_LIB_CODEGEN_GPU_FMAPRODUCT_H

#include "ProductWeight.h"
#include "SplitK.h"

namespace permalloy::codegen {

struct FmaTile {
  int64_t blockRows = 128, blockColumns = 128, blockSteps = 16, threadRows = 8, stages = 3, splitK = 1;

  int64_t warpRows() const { return 8 * threadRows; }
  int64_t warps() const { return blockRows / warpRows() * (blockColumns / 32); }
  int64_t threads() const { return 32 * warps(); }
  int64_t rowBytes() const { return blockRows * blockSteps * 4; }       ///< of A in one stage
  int64_t columnBytes() const { return blockColumns * blockSteps * 4; } ///< of the weight
  int64_t stageBytes() const { return rowBytes() + columnBytes(); }
  int64_t sharedBytes() const { return stages * stageBytes(); }

  /// Tiles of K, and bytes of a block's sums.
  int64_t tilesOf(const ProductWeight &weight) const {
    return llvm::divideCeil(weight.isIntegral() ? llvm::divideCeil(weight.k, 4) : weight.k, blockSteps);
  }
  int64_t sumBytes() const { return blockRows * blockColumns * 4; }

  /// The default for so many rows of A; nothing: any number.
  static FmaTile choose(const ProductWeight &weight, std::optional<int64_t> rows = {});
};

/// Why a tile like that cannot be; empty when it can.
std::string whyNotFmaTile(const FmaTile &tile, const ProductWeight &weight, int64_t sharedBytes);

/// Declares the parameters of S, which is an FmaTile and more.
template <typename S> void addFmaParameters(ScheduleSpaceOf<S> &space, const ProductWeight &weight, int64_t sharedBytes) {
  auto member = [](int64_t FmaTile::*of) { return static_cast<int64_t S::*>(of); };
  space.add("block_rows", "rows of A in a block", member(&FmaTile::blockRows), {64, 128});
  space.add("block_columns", "columns in a block", member(&FmaTile::blockColumns), {64, 128});
  space.add("block_steps", "steps of K in a stage (words of 8-bit integers)",
            member(&FmaTile::blockSteps), {16, 32});
  space.add("thread_rows", "rows of a thread's results", member(&FmaTile::threadRows), {4, 8});
  space.add("stages", "tiles of K in shared memory", member(&FmaTile::stages), {2, 3, 4});
  space.add("split_k", "blocks that share K, at most", member(&FmaTile::splitK), {1, 2, 4, 8, 16});
  space.require([=](const S &s) { return whyNotFmaTile(s, weight, sharedBytes); });
}

/// Blocks across a weight.
int64_t fmaColumnBlocks(const ProductWeight &weight, const FmaTile &tile);

/// Emits the rows [0, blockRows) of `product` times the columns of block `columnBlock`, by
/// tile.threads() threads. `shared`: tile.sharedBytes(), 16-byte aligned. The weight is no kept blocks
/// (SparseProduct.h). `split`: the blocks that share K, whose sums meet in the launch's scratch; null:
/// this block has all of it.
void emitFmaProduct(GpuBuilder &b, const BlockProduct &product, const FmaTile &tile,
                    mlir::Value columnBlock, mlir::Value shared, SplitK *split = nullptr);

} // namespace permalloy::codegen

#endif
