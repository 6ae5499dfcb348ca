//===- GpuPrior.h - a roofline of GPU kernels --------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What a launch takes is what its slowest part takes, and the launch itself:
//
//   t = max(HBM, L2, shared, tensor, FMA, latency) + launch
//
//   HBM, L2   bytes by bandwidths, less where too few bytes are under way to cover the memory's latency (Little's law)
//   shared    what warps read from shared memory for their tiles, at 128 bytes a cycle and multiprocessor
//   tensor    products on tensor cores at the rate of their type; FMA: all other arithmetic. Both by multiprocessors, of which the
//             last have nothing to do where blocks do not divide by them, and by warps: too few, or with too little to do between two
//             loads from shared memory, leave cycles empty
//   latency   waves of blocks, each of which takes as long as what one of its threads waits for: tiles of K by the stages that are
//             ahead, and where blocks share K or keys their meeting
//
// Forms (docs/gpu-kernels.md) are told apart by their schedules' parameters and by a table of their names in GpuPrior.cpp.
// Nothing was measured: sigma says that it may be wrong by a factor of two.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_COSTMODEL_GPUPRIOR_H
#define PERMALLOY_COSTMODEL_GPUPRIOR_H

#include "permalloy/CostModel/GpuRates.h"
#include "permalloy/CostModel/KernelFacts.h"
#include "permalloy/CostModel/TuningRow.h"

namespace permalloy {

/// A launch on a GPU, as it follows from a schedule at concrete sizes.
struct GpuGrid {
  std::string form;
  NamedNumbers schedule;   ///< the form's parameters
  unsigned threads = 0;    ///< of a block
  unsigned registers = 0;  ///< of a thread, as ptxas says; 0: not known, estimated
  double blocks = 0;
  uint64_t sharedBytes = 0; ///< of a block
  unsigned wantedRegisters = 0; ///< of a thread, as the form estimates them; 0: it does not
};

/// Microseconds of one launch by what they are spent on, and what they are made of.
struct GpuEstimate {
  double memory = 0, l2 = 0, shared = 0, tensor = 0, fma = 0, latency = 0;
  double launch = 0;
  unsigned registers = 0; ///< known or estimated
  bool hasEstimatedRegisters = false;
  GpuOccupancy occupancy;
  double waves = 0;       ///< blocks by those that run at once
  double memoryBytes = 0, l2Bytes = 0;
  double peakGflops = 0;  ///< of the unit that its products run on

  double us() const;
  /// What decides: "HBM", "L2", "shared", "tensor", "FMA", "latency" or "launch".
  const char *bound() const;

  /// The parts with their names, for printing.
  struct Part {
    const char *name;
    double GpuEstimate::*us;
  };
  static llvm::ArrayRef<Part> parts();
};

/// Rows up to which a form that has a way of its own for few (`skinny_...`) takes it.
inline constexpr double kFewGpuRows = 8;
/// Of ln(measured / predicted).
inline constexpr double kGpuSigma = 0.7;
/// From one launch to the next, microseconds: in a stream and in a graph.
inline constexpr double kGpuLaunchUs = 2.5, kGpuGraphLaunchUs = 1.2;

GpuEstimate estimateGpu(const KernelFacts &facts, const GpuGrid &grid, const GpuRates &rates, double launchUs = kGpuLaunchUs);

/// Registers of a thread where ptxas was not asked: what its values take, and what it gets of that.
double registerDemand(const GpuGrid &grid);
unsigned estimatedRegisters(const GpuGrid &grid);
/// What ptxas may give a thread so that a block of `threads` fits a multiprocessor.
unsigned mostRegisters(unsigned threads);

/// Whether the estimate tells schedules of a form apart: of those that work in tiles. What others have as parameters (threads of a
/// block, of a row) changes little that it knows of.
bool ranksSchedules(llvm::StringRef form);

} // namespace permalloy

#endif // PERMALLOY_COSTMODEL_GPUPRIOR_H
