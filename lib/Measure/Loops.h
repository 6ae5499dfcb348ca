//===- Loops.h - work whose amount is known ---------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What calibration and the yardstick time. Each returns how much it did: floating-point operations, or bytes.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_LIB_MEASURE_LOOPS_H
#define PERMALLOY_LIB_MEASURE_LOOPS_H

#include <cstddef>

/// Twelve chains of an instruction in registers 0 to 11: two units of latency 4 need eight. In asm, since compilers merge or spill
/// chains that are written as loops. All values are zero.
#define CHAIN(OP, R, N) OP " %%" R "12, %%" R "12, %%" R #N "\n"
#define CHAINS(OP, R)                                                                                                          \
  CHAIN(OP, R, 0) CHAIN(OP, R, 1) CHAIN(OP, R, 2) CHAIN(OP, R, 3) CHAIN(OP, R, 4) CHAIN(OP, R, 5) CHAIN(OP, R, 6) CHAIN(OP, R, 7) \
  CHAIN(OP, R, 8) CHAIN(OP, R, 9) CHAIN(OP, R, 10) CHAIN(OP, R, 11)
#define RUN_CHAINS(OP, R, STEPS)                                                                                               \
  asm volatile("vzeroall\n0:\n" CHAINS(OP, R) "dec %0\njnz 0b\nvzeroupper"                                                      \
               : "+r"(STEPS)                                                                                                   \
               :                                                                                                               \
               : "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", \
                 "xmm13", "xmm14", "xmm15")

namespace permalloy::measure {

inline constexpr long kChains = 12;

/// f32 multiply-adds in registers, twelve a step. The CPU has the unit.
double fmaAvx2(long steps);
double fmaAvx512(long steps);
/// Reads `bytes` from a line of the cache on.
double readStreams(const std::byte *memory, size_t bytes);

} // namespace permalloy::measure

#endif // PERMALLOY_LIB_MEASURE_LOOPS_H
