//===- GpuRates.cpp - limits and peaks of GPUs -------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/CostModel/GpuRates.h"

#include "llvm/Support/MathExtras.h"

#include <algorithm>

using namespace permalloy;

// Dense rates: half of what data sheets give "with sparsity". Bandwidths of L2 are 5,120 bytes a cycle (A100 whitepaper; H100 the
// same), and for the other two, of which NVIDIA publishes none, 32 bytes a cycle and multiprocessor.
// mma.sync: about 62% of wgmma's rate on Hopper; on Blackwell it is taken to do no more in a cycle than there.
static constexpr GpuRates kRates[] = {
    {"sm_80", "A100 SXM 80 GB", "NVIDIA A100 whitepaper and data sheet", 108, 1.41, 2048, 32, 164 << 10, 163 << 10,
     19.5e3, 156e3, 312e3, 624e3, 1, 2039, 7219, 40u << 20},
    {"sm_89", "L40S", "NVIDIA L40S data sheet, Ada whitepaper", 142, 2.52, 1536, 24, 100 << 10, 99 << 10,
     91.6e3, 183e3, 362e3, 733e3, 1, 864, 11450, 96u << 20},
    {"sm_90a", "H100 SXM", "NVIDIA H100 whitepaper and data sheet", 132, 1.83, 2048, 32, 228 << 10, 227 << 10,
     66.9e3, 494.7e3, 989.4e3, 1978.9e3, 0.62, 3352, 8986, 50u << 20},
    {"sm_100", "B200", "NVIDIA HGX B200 data sheet", 148, 1.85, 2048, 32, 228 << 10, 227 << 10,
     75e3, 1100e3, 2250e3, 4500e3, 0.31, 7700, 8760, 126u << 20},
};

llvm::ArrayRef<GpuRates> GpuRates::all() { return kRates; }

const GpuRates *GpuRates::of(llvm::StringRef target) {
  for (const GpuRates &rates : all())
    if (target == rates.target)
      return &rates;
  return nullptr;
}

/// Blocks that the registers are enough for. Each warp's stand in one quarter of the multiprocessor.
static unsigned blocksByRegisters(unsigned warps, unsigned registers) {
  unsigned ofWarp = unsigned(llvm::alignTo(uint64_t(registers) * 32, kGpuRegisterUnit));
  return kGpuRegisters / kGpuQuarters / ofWarp * kGpuQuarters / warps;
}

GpuOccupancy permalloy::occupancyOf(const GpuRates &rates, unsigned threads, unsigned registers, uint64_t sharedBytes) {
  unsigned warps = unsigned(llvm::divideCeil(std::max(threads, 1u), 32));
  GpuOccupancy result{rates.threads / 32 / warps, 0, "threads"};
  auto limit = [&](uint64_t blocks, const char *name) {
    if (blocks < result.blocks)
      result.blocks = unsigned(blocks), result.limit = name;
  };
  limit(rates.blocks, "blocks");
  if (registers > 0)
    limit(blocksByRegisters(warps, registers), "registers");
  uint64_t taken = llvm::alignTo(sharedBytes + kGpuSystemShared, kGpuSharedUnit);
  limit(sharedBytes > rates.blockSharedBytes ? 0 : rates.sharedBytes / taken, "shared memory");
  result.share = 32.0 * warps * result.blocks / rates.threads;
  return result;
}
