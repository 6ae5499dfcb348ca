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
// 11 loads for 24 products, in two passes over the panel for its 16 columns.
//
// A is transposed once for each block of rows, in the worker's scratch, as tiles of 48 rows. Of 768 steps such a tile has 147 KB and
// of 3072 590 KB: every product would wait for the second-level cache. So K is cut, and all panels of a run pass by a tile's slice of
// a cut, 36 KB of 192 steps, while it is in the first cache; sums wait in scratch:
//
//   for run of panels:                     8
//     for cut of K, tile of rows, panel of the run:
//       sums[panel][tile] += slice of the tile * the panel's kept rows within the cut
//     transpose the sums back, epilogue                                                with the last cut
//
// 8-bit integers stand four steps of K to a lane, as in panels, and a block is 4 x 16: the same loops with vpdpbusd, rows unsigned.
//
// Lists ascend, so a cut of a list is a range, found by bisection once for each panel of a run. Each sum is the same chain of
// products as elsewhere, whatever the cuts.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_LIB_CODEGEN_CPU_SPARSECOLUMNS_H
#define PERMALLOY_LIB_CODEGEN_CPU_SPARSECOLUMNS_H

#include "permalloy/Codegen/CPU/Contraction.h"

namespace permalloy::codegen {

/// Fewer rows are broadcast one by one.
inline constexpr int64_t kLeastLaneRows = 16;

/// Bytes of scratch that a worker needs.
int64_t columnsScratchBytes(const ContractionSchedule &schedule, const ContractionSize &size);

/// Emits the tiles [tileBegin, tileEnd) of a sparse product whose schedule has rows of A in the lanes; blocks of at least
/// kLeastLaneRows rows only.
void emitColumnsContraction(KernelBuilder &b, const Contraction &contraction, const ContractionSchedule &schedule);

} // namespace permalloy::codegen

#endif
