//===- AttentionSchedule.h - how a GPU computes attention -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_CODEGEN_GPU_ATTENTIONSCHEDULE_H
#define PERMALLOY_LIB_CODEGEN_GPU_ATTENTIONSCHEDULE_H

#include "permalloy/Codegen/ScheduleSpace.h"

#include "llvm/Support/MathExtras.h"

namespace permalloy::codegen {

/// What is known of an attention when its kernel is compiled.
struct AttentionShape {
  bool onTensorCores = false; ///< f16 and bf16, or f32 that may be rounded; else f32 by FMA
  int64_t headSize = 0;
  int64_t group = 1; ///< query heads that share a key/value head
  bool hasMask = false;
  bool isTf32 = false; ///< on tensor cores: f32

  bool isHalf() const { return onTensorCores && !isTf32; }
  int64_t elementBytes() const { return isHalf() ? 2 : 4; }
  /// Elements of a row in shared memory; those beyond the head are zero. What a product takes at once: 16 of halves along K, 32
  /// columns of tf32 or of 8 lanes by FMA.
  int64_t paddedSize() const { return llvm::alignTo(headSize, isHalf() ? 16 : 32); }
  int64_t rowBytes() const { return paddedSize() * elementBytes(); }
};

/// Rows are pairs of a query and a head of the group, heads first: all read the same keys.
struct GpuAttentionSchedule {
  int64_t warps = 4;     ///< of a block
  int64_t warpRows = 16; ///< rows of a warp
  int64_t keys = 64;     ///< of a tile, which all warps of the block read
  int64_t stages = 1;    ///< tiles of keys and of values in shared memory
  /// For at most `fewRows` rows, a step of a decoder: each warp has all of them and tiles of `fewKeys` keys of its own, a block
  /// takes `splitKeys` keys, or more where there are many heads.
  int64_t fewRows = 16, fewKeys = 32, splitKeys = 128;

  int64_t threads() const { return warps * 32; }
  int64_t blockRows() const { return warps * warpRows; }

  /// Bytes of shared memory. Weights go through it where FMA multiplies them.
  int64_t weightBytes(const AttentionShape &shape, int64_t rows, int64_t tile) const {
    return shape.onTensorCores ? 0 : rows * (tile + 8) * 4;
  }
  int64_t sharedBytes(const AttentionShape &shape) const {
    return (blockRows() + 2 * stages * keys) * shape.rowBytes() + weightBytes(shape, blockRows(), keys);
  }
  int64_t fewSharedBytes(const AttentionShape &shape) const {
    int64_t tiles = (fewRows + warps * 2 * fewKeys) * shape.rowBytes() + weightBytes(shape, warps * fewRows, fewKeys);
    return std::max(tiles, mergeBytes(shape));
  }
  /// Where the warps' outputs meet, in place of the tiles: maxima and sums, outputs, a word.
  int64_t mergeBytes(const AttentionShape &shape) const { return warps * fewRows * (2 + shape.headSize) * 4 + 16; }
  /// 32-bit registers of a lane for queries, scores and outputs.
  int64_t registers(const AttentionShape &shape) const;
  /// With what else a lane has, an estimate.
  int64_t wantedRegisters(const AttentionShape &shape) const;
  /// Blocks that a multiprocessor's 65,536 registers are to hold at once.
  int64_t blocksTogether(const AttentionShape &shape) const;
  /// Those of the queries of so many rows.
  static int64_t queryRegisters(const AttentionShape &shape, int64_t rows) { return rows * shape.rowBytes() / 128; }
  /// Whether a lane keeps its part of the queries.
  bool keepsQueries(const AttentionShape &shape, int64_t rows) const;

  static GpuAttentionSchedule choose(const AttentionShape &shape, int64_t sharedBytes);
};

/// The schedules of an attention; at most `sharedBytes` of shared memory a block.
ScheduleSpaceOf<GpuAttentionSchedule> gpuAttentionSpace(const AttentionShape &shape, int64_t sharedBytes);

} // namespace permalloy::codegen

#endif
