//===- GpuCandidate.h - a kernel with one schedule on a GPU, timed *- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_MEASURE_GPUCANDIDATE_H
#define PERMALLOY_MEASURE_GPUCANDIDATE_H

#include "permalloy/Codegen/GPU/PtxEmission.h"
#include "permalloy/Measure/KernelBuffers.h"
#include "permalloy/Measure/Timing.h"
#include "permalloy/Runtime/GpuTimer.h"

namespace permalloy::measure {

/// Buffers of a kernel at some sizes in a device's memory. Weights stand there several times, so that each launch finds them as a layer
/// of a model does; everything else was just written or read.
class GpuBuffers {
public:
  /// With the contents of KernelBuffers. `span`: bytes that the copies of the weights are to take together.
  static Result<GpuBuffers> make(int device, kern::KernelOp kernel, const reference::Symbols &symbols, WeightArena &arena, uint64_t span);

  /// Of each launch that takes its turn: addresses, then the kernel's scalars.
  const std::vector<std::vector<uint64_t>> &parameters() const { return words; }
  /// Bytes of the copies of weights that launches take turns in; 0: the kernel has none.
  uint64_t weightSpan() const { return span; }

private:
  std::vector<std::shared_ptr<void>> memory;
  std::vector<std::vector<uint64_t>> words;
  uint64_t span = 0;
};

/// The code of `kernel`, which has a schedule, with its grid at `symbols`, ready to be launched on `buffers`. Fails when a size is not
/// known, the grid is empty, or the driver does not take the code.
Result<GpuTimer> gpuTimerFor(int device, kern::KernelOp kernel, llvm::StringRef name, const codegen::GpuCode &code,
                             const reference::Symbols &symbols, const GpuBuffers &buffers);

/// Times by the device's events: after a launch to warm up, batches of about 0.2 ms, at least 5 (3, where one launch takes longer than
/// the budget) and at most 50, for about `budgetNs` in all; a batch goes through all buffers. What is not steady is measured up to three times, and the
/// steadiest counts. Two timers take turns, batch by batch.
Result<Timing> timeLaunches(GpuTimer &timer, llvm::function_ref<bool()> stop, double budgetNs = 15e6);
Result<std::pair<Timing, Timing>> timeLaunchesByTurns(GpuTimer &first, GpuTimer &second, llvm::function_ref<bool()> stop, double budgetNs = 30e6);

} // namespace permalloy::measure

#endif // PERMALLOY_MEASURE_GPUCANDIDATE_H
