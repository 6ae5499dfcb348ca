//===- GpuRates.h - limits and peaks of GPUs ---------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_COSTMODEL_GPURATES_H
#define PERMALLOY_COSTMODEL_GPURATES_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

#include <cstdint>

namespace permalloy {

/// One device that stands for a GPU target, with the figures that NVIDIA publishes of it: nothing here was measured.
/// Limits of a multiprocessor are those of the CUDA programming guide for its compute capability.
struct GpuRates {
  const char *target; ///< "sm_90a"
  const char *device; ///< "H100 SXM"
  const char *source; ///< where the figures are from
  unsigned multiprocessors;
  double gigahertz;   ///< at which tensor cores make the published rate

  unsigned threads, blocks;   ///< of a multiprocessor at once
  unsigned sharedBytes;       ///< of a multiprocessor
  unsigned blockSharedBytes;  ///< of a block, at most

  /// GFLOP/s and GOP/s of dense products: a product and its sum count as two.
  double fma, tf32, half, int8; ///< `half`: f16 and bf16 with sums in f32
  /// What mma.sync reaches of the tensor cores' rates; the rest takes instructions that kernels here do not use yet.
  double mmaShare;
  double memory, l2;  ///< GB/s; `l2` of reads
  uint64_t l2Bytes;

  /// The device of a target, "sm_80"; null for a name that is none.
  static const GpuRates *of(llvm::StringRef target);
  /// One for each target, oldest first.
  static llvm::ArrayRef<GpuRates> all();
};

/// 32-bit registers of a multiprocessor, and how they are given out: to warps, in units, each quarter its own.
inline constexpr unsigned kGpuRegisters = 65536, kGpuRegisterUnit = 256, kGpuQuarters = 4;
/// Shared memory is given out in units, and the system takes some of each block's.
inline constexpr unsigned kGpuSharedUnit = 128, kGpuSystemShared = 1024;

/// How many blocks a multiprocessor runs at once.
struct GpuOccupancy {
  unsigned blocks = 0;        ///< 0: not one fits
  double share = 0;           ///< of the warps that it has room for
  const char *limit = "";     ///< what ends it: "threads", "blocks", "registers" or "shared memory"
};

/// As NVIDIA's occupancy calculator has it. `sharedBytes` are those of a block, `registers` of a thread.
GpuOccupancy occupancyOf(const GpuRates &rates, unsigned threads, unsigned registers, uint64_t sharedBytes);

} // namespace permalloy

#endif // PERMALLOY_COSTMODEL_GPURATES_H
