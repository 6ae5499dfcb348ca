//===- WeightOnly.h - products with weights of codes and scales --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// C[M, N] = epilogue(A[M, K] W[K, N]) where W stands in memory as packed codes (Panels.h), scales and perhaps zero points or a
// codebook. A stays f32. Two ways in one kernel, chosen by M when it runs:
//
//   few rows    a sum over each group of k, with codes that become f32 in registers, for all rows at hand:
//                   acc += scale * (sum code * x - zero * sum x)
//               so a weight costs a shift, a look-up (or mask and conversion) and an FMA, and nothing else; what limits it is
//               the way of the codes from memory. Panels stand side by side, and each stream fetches ahead, over the end of
//               its panel into the one that it continues with in the next tile.
//   more rows   the panels of a tile become f32 in scratch, (code - zero) * scale, rounded once as tfm.dequantize says, and the
//               register tile of MicroKernel.h does the rest.
//
// The bits depend on M and the target, not on the number of threads or the schedule.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_LIB_CODEGEN_CPU_WEIGHTONLY_H
#define PERMALLOY_LIB_CODEGEN_CPU_WEIGHTONLY_H

#include "permalloy/Codegen/CPU/Contraction.h"

namespace permalloy::codegen {

/// How a product with coded weights runs; any legal value gives the same bits.
struct WeightOnlySchedule {
  /// Packed panels of 16 columns side by side: a tile of the grid, and what one row of A reads at once.
  int64_t panels = 0;
  /// Bytes of codes that few rows fetch ahead in each panel.
  int64_t aheadBytes = 0;
  /// Rows of A in one tile of the grid, where they are many.
  int64_t blockRows = 0;

  /// The default for `size`.
  static WeightOnlySchedule choose(const CpuTarget &target, const ContractionSize &size);
};

/// Up to so many rows of A codes become f32 in registers.
constexpr int64_t kFewCodedRows = 16;

/// All schedules of such a product; the parameters are documented there.
ScheduleSpaceOf<WeightOnlySchedule> weightOnlySpace(const CpuTarget &target, const ContractionSize &size);

/// Tiles of the grid for each block of rows.
int64_t weightOnlyGroups(const WeightOnlySchedule &schedule, int64_t n);

/// Bytes of scratch that a worker needs.
int64_t weightOnlyScratchBytes(const WeightOnlySchedule &schedule, const CpuTarget &target, const ContractionSize &size);

/// A worker's scratch: the number of the rows that stand in it, plus 1, as an i64 (the runtime's 0: none); these rows of A as
/// f32, where they are not already or where K ends within a row of a panel; the negative sums of few rows' groups; the decoded
/// panels of more rows. Offsets in bytes, multiples of 64.
struct WeightOnlyScratch {
  /// `isAvx2`: few rows are staged to be scaled (CodeReader::takesInPlace).
  WeightOnlyScratch(const WeightOnlySchedule &schedule, const CodeFormat &format, int64_t k, mlir::Type element, bool isAvx2);

  bool stagesFew, stagesMany;
  int64_t rowBytes, sumBytes, decodedPanelBytes;
  int64_t rows, sums, decoded, bytes;
};

/// Why the emitter does not take codes like these; empty when it does.
std::string whyNotWeightOnly(const CodeFormat &format, int64_t k);

/// Emits the loop over the tiles [tileBegin, tileEnd) of the kernel's grid; `contraction.coded` is there.
void emitWeightOnly(KernelBuilder &b, const Contraction &contraction, const WeightOnlySchedule &schedule);

} // namespace permalloy::codegen

#endif
