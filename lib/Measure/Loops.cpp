//===- Loops.cpp - work whose amount is known -------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Loops.h"

#include <immintrin.h>

using namespace permalloy;

static volatile int sink; // so that nothing is optimised away

double measure::fmaAvx2(long steps) {
  double done = double(steps) * kChains * 8 * 2;
  RUN_CHAINS("vfmadd231ps", "ymm", steps);
  return done;
}

double measure::fmaAvx512(long steps) {
  double done = double(steps) * kChains * 16 * 2;
  RUN_CHAINS("vfmadd231ps", "zmm", steps);
  return done;
}

/// Reads `bytes` as four streams with a prefetch 1 KiB ahead: one stream stops at the end of each small page.
__attribute__((target("avx2"))) double measure::readStreams(const std::byte *memory, size_t bytes) {
  constexpr size_t kStreams = 4, kStep = 256, kAhead = 1024, kLine = 64;
  size_t part = bytes / kStreams / kStep * kStep;
  __m256i sums[8];
  for (__m256i &sum : sums)
    sum = _mm256_setzero_si256();
  for (size_t at = 0; at < part; at += kStep)
    for (size_t stream = 0; stream < kStreams; ++stream) {
      const char *p = reinterpret_cast<const char *>(memory) + stream * part + at;
      for (size_t line = 0; line < kStep; line += kLine)
        _mm_prefetch(p + kAhead + line, _MM_HINT_T0);
      for (int i = 0; i < 8; ++i)
        sums[i] = _mm256_add_epi32(sums[i], _mm256_load_si256(reinterpret_cast<const __m256i *>(p + 32 * i)));
    }
  for (int i = 1; i < 8; ++i)
    sums[0] = _mm256_add_epi32(sums[0], sums[i]);
  sink = _mm256_extract_epi32(sums[0], 0);
  return double(part * kStreams);
}
