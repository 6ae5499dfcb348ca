//===- AmxContraction.h - matrix products of bf16 and i8 on tiles *- C++ -*-===//
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
// 8-bit integers take the same loops with tiles of 64 steps, A as [rows/16][K/64][16][64], and sums of i32.
//
// Tile stores go to the same 4 KB again and again, and vector units work while the tile unit does. Up to 16 rows there is one
// tile of A, and the loop waits for the weights: what it costs is their way from memory. The method and what each step of it
// gives were measured in intrinsics first; docs/cpu-kernels.md has the figures of the generated kernels.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_LIB_CODEGEN_CPU_AMXCONTRACTION_H
#define PERMALLOY_LIB_CODEGEN_CPU_AMXCONTRACTION_H

#include "AmxSchedule.h"

namespace permalloy::codegen {

/// Emits the loop over the tiles [tileBegin, tileEnd) of the kernel's grid.
void emitAmxContraction(KernelBuilder &b, const Contraction &contraction, const AmxSchedule &schedule);

} // namespace permalloy::codegen

#endif
