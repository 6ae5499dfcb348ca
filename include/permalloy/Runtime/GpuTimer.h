//===- GpuTimer.h - single kernels on a GPU, timed ---------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What a tuner needs beside sessions: one kernel, launched again and again on buffers of its own, between two of the device's events.
// Memory comes from allocateOnGpu and copyMemory (Gpu.h).
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_RUNTIME_GPUTIMER_H
#define PERMALLOY_RUNTIME_GPUTIMER_H

#include "permalloy/Runtime/Gpu.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace permalloy {

/// The code of a kernel, as it stands in an artifact.
struct GpuKernelCode {
  std::string name;               ///< of the function
  std::span<const std::byte> cubin; ///< machine code for the device; empty: there is none
  std::string ptx;                ///< what the driver compiles where that is not there, or not taken
};

/// How it is launched.
struct GpuKernelGrid {
  unsigned blocks = 0, threads = 0; ///< threads of a block
  unsigned sharedBytes = 0;         ///< dynamic, of a block
  uint64_t scratchBytes = 0;        ///< of the launch
};

/// A kernel in a device's memory with what it is launched on.
class GpuTimer {
public:
  /// `parameters` has an entry for each of the launches that take turns: addresses of buffers, then scalars; their memory must outlive
  /// the timer. Fails with StatusCode::noDevice where there is no GPU `number`, and as the driver does for the code.
  static Result<GpuTimer> open(int number, const GpuKernelCode &code, const GpuKernelGrid &grid,
                               std::vector<std::vector<uint64_t>> parameters);
  GpuTimer(GpuTimer &&) noexcept;
  GpuTimer &operator=(GpuTimer &&) noexcept;
  ~GpuTimer();

  /// Puts `count` launches into a stream, as one graph where the driver has graphs, and waits: nanoseconds of one of them, by events.
  /// A call with another count than the last one makes that graph.
  /// Each call begins with the first entry of `parameters`, so that only whole rounds of them give each launch what others came between.
  Result<double> run(unsigned count);
  /// Entries of `parameters`.
  unsigned turns() const;

private:
  struct State;
  explicit GpuTimer(std::unique_ptr<State> state);
  std::unique_ptr<State> state;
};

} // namespace permalloy

#endif // PERMALLOY_RUNTIME_GPUTIMER_H
