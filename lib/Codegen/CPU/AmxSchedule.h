//===- AmxSchedule.h - how a contraction runs on tiles -----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_CODEGEN_CPU_AMXSCHEDULE_H
#define PERMALLOY_LIB_CODEGEN_CPU_AMXSCHEDULE_H

#include "permalloy/Codegen/CPU/Contraction.h"

namespace permalloy::codegen {

/// How a contraction runs on AMX; any legal value gives the same bits. AmxContraction.h draws the loops.
struct AmxSchedule {
  /// Rows and columns of C in tile registers.
  static constexpr int64_t kBlock = 32;
  /// Up to so many rows pairs are taken one by one whatever groupPairs says: the weights' way from memory is what costs, and
  /// prefetch pays.
  static constexpr int64_t kFewRows = 256;

  /// Rows of A in one tile of the grid, a multiple of 32; packed, they should stay in the L2 cache.
  int64_t blockRows = 0;
  /// Steps of K, a multiple of a tile's, done for all rows of a block before the next ones. Less than K: the products accumulate in
  /// scratch.
  int64_t blockSteps = 0;
  /// Rows of the last block's epilogue in one step of tiles along K.
  int64_t epilogueRows = 0;
  /// Pairs of panels done for 32 rows of A before the next 32 rows; more than 1 needs all of K in one block. For wide C: pieces of
  /// its rows then follow one another. Panels come from the L2 cache, rows of A stay in the first one. Grouped rows have no such
  /// parameter: groups are small.
  int64_t groupPairs = 1;
  /// Whether panels that come next are fetched.
  int64_t prefetch = 1;

  /// The default for `size`; grouped rows have smaller blocks, as groups are small.
  static AmxSchedule choose(const ContractionSize &size);
};

/// A worker's scratch: which rows are packed, these rows, their sums between blocks of K, one block of C, the last rows of the
/// panels or, of a split product, a pair of panels in bf16. Offsets in bytes, each 64-byte aligned.
struct AmxScratch {
  AmxScratch(const AmxSchedule &s, int64_t k, int64_t tileSteps, bool split);

  /// Tiles of A for 16 rows: along K, the last one maybe partly zero; split: high parts, then low parts.
  int64_t tiles;
  bool accumulates;
  /// At 0, an i64: the number of the block of rows that stands packed, plus 1; the runtime's 0 says that none is.
  int64_t packed, sums, products, lastRows, halves, bytes;
};

/// Steps of K in a tile: 32 of bf16 (as which f32 is split), 64 of 8-bit integers.
int64_t amxSteps(mlir::Type element);

/// Whether a contraction runs on tiles: one of bf16 or of 8-bit integers, or one of f32 that may be split.
bool runsOnAmx(const CpuTarget &target, const ContractionSize &size);

/// All schedules of a contraction on AMX; the parameters are documented there.
ScheduleSpaceOf<AmxSchedule> amxSpace(const ContractionSize &size);

/// Tiles of the grid for each block of rows: pairs of panels, or one panel of each half.
int64_t amxGroups(const ContractionSize &size);

/// Bytes of scratch that a worker needs.
int64_t amxScratchBytes(const AmxSchedule &schedule, const ContractionSize &size);

} // namespace permalloy::codegen

#endif
