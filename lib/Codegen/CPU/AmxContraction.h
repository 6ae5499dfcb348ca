//===- AmxContraction.h - matrix products of bf16 on tiles -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The contraction of Contraction.h for targets with AMX, A and W bf16. Blocks of 32 x 32 of C stand in four tile registers:
//
//   for each tile of the grid (a block of rows, a pair of panels):
//     A's rows, once for each block of rows         packed: [rows/16][K/32][16][32], a tile is 1 KB as it lies
//     for blocks of K:                              so long that the pair of panels stays in the first cache
//       for m, 32 rows each:
//         C = 0, or what the block of K before left in scratch
//         for each 32 of K:                         B0 A0 tdp B1 tdp A1 tdp tdp; A by tileloaddt1, which spares B in the cache;
//                                                   some lines of the panels that come next are fetched;
//                                                   one or two rows of the epilogue of the block of C before
//         C -> scratch
//
// Where C is wide, pieces of 128 bytes of rows that lie far apart cost more than the products. Then several pairs of panels are
// taken together, rows outside and pairs inside, and it is A that stays in the first cache.
//
// Tile stores go to the same 4 KB again and again, and vector units work while the tile unit does. Up to 16 rows there is one
// tile of A, and the loop waits for the weights: what it costs is their way from memory. The method and what each step of it
// gives were measured in intrinsics first; docs/cpu-kernels.md has the figures of the generated kernels.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_LIB_CODEGEN_CPU_AMXCONTRACTION_H
#define PERMALLOY_LIB_CODEGEN_CPU_AMXCONTRACTION_H

#include "permalloy/Codegen/CPU/Contraction.h"

namespace permalloy::codegen {

/// How a contraction runs on AMX; any legal value gives the same bits.
struct AmxSchedule {
  /// Rows of A in one tile of the grid, a multiple of 32; packed, they should stay in the L2 cache.
  int64_t blockRows = 0;
  /// Steps of K, a multiple of 32, done for all rows of a block before the next ones. Less than K: the products accumulate in
  /// scratch.
  int64_t blockSteps = 0;
  /// Rows of the last block's epilogue in 32 steps of K.
  int64_t epilogueRows = 0;
  /// Pairs of panels done for 32 rows of A before the next 32 rows; more than 1 needs all of K in one block. For wide C: pieces of
  /// its rows then follow one another. Panels come from the L2 cache, rows of A stay in the first one. Up to 256 rows, and for
  /// grouped rows, it is 1 whatever stands here.
  int64_t groupPairs = 1;
  /// Whether panels that come next are fetched.
  int64_t prefetch = 1;

  /// The default for `size`; grouped rows have smaller blocks, as groups are small.
  static AmxSchedule choose(const ContractionSize &size, bool grouped = false);
};

/// Whether a contraction with weights of this type runs on tiles.
bool runsOnAmx(const CpuTarget &target, mlir::Type weightElement);

/// All schedules of a contraction on AMX; the parameters are documented there.
ScheduleSpaceOf<AmxSchedule> amxSpace(const ContractionSize &size);

/// Tiles of the grid for each block of rows: pairs of panels, or one panel of each half.
int64_t amxGroups(const ContractionSize &size);

/// Bytes of scratch that a worker needs.
int64_t amxScratchBytes(const AmxSchedule &schedule, const ContractionSize &size);

/// Emits the loop over the tiles [tileBegin, tileEnd) of the kernel's grid.
void emitAmxContraction(KernelBuilder &b, const Contraction &contraction, const AmxSchedule &schedule);

} // namespace permalloy::codegen

#endif
