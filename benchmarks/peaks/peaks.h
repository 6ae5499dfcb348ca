/*===- peaks.h - what this machine can do at most ---------------*- C -*-===*
 * SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
 *
 * Each function does a fixed piece of work on the calling thread and returns how much; time it to
 * get a rate. A CPU without the instructions must not call it: see peaks_supported.
 *===----------------------------------------------------------------------===*/
#ifndef PERMALLOY_BENCHMARKS_PEAKS_H
#define PERMALLOY_BENCHMARKS_PEAKS_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Reading is of memory in pages of 4 KiB, as mapped files have them, and of 2 MiB. */
typedef enum peak_kind {
  PEAK_AVX2,
  PEAK_AVX512,
  PEAK_AVX512_INT8,
  PEAK_AMX_BF16,
  PEAK_AMX_INT8,
  PEAK_READ_4K,
  PEAK_READ_2M,
  PEAK_COUNT
} peak_kind;

/** "avx2_f32" and so on. */
const char *peak_name(peak_kind kind);
/** Whether this CPU and kernel let this process use it; asks for AMX's state. */
int peak_supported(peak_kind kind);
/** Independent chains of multiply-adds in registers (AMX: 2x2 tiles); the operations done. */
double peak_compute(peak_kind kind, long steps);
/** Reads `bytes` of memory aligned to 64, as four streams; the bytes read, a multiple of 1024. */
double peak_read(const void *memory, size_t bytes);

#ifdef __cplusplus
}
#endif
#endif
