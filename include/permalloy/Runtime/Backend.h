//===- Backend.h - where a session computes ----------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_RUNTIME_BACKEND_H
#define PERMALLOY_RUNTIME_BACKEND_H

#include "permalloy/Runtime/CallContext.h"
#include "permalloy/Runtime/Memory.h"

#include <memory>
#include <span>
#include <string>

namespace permalloy {

/// Several buffers that come and go together.
class BufferSet {
public:
  virtual ~BufferSet() = default;
  virtual void *buffer(size_t index) const = 0;
};

/// What became of runs so far.
struct GraphCounts {
  uint64_t launches = 0; ///< of graphs: runs that went to a GPU as one launch
  uint64_t nodesSet = 0; ///< of graphs, anew for such a run
};

/// Memory that is kept for later runs, and can be given back at any time.
class IdleMemory {
public:
  virtual ~IdleMemory() = default;
  /// Frees it; whether there was any. Safe to call from any thread.
  virtual bool free() = 0;
};

/// The CPU (HostBackend) or a GPU (cuda::openBackend) with the code of one artifact. Safe to use from several threads; what it hands
/// out keeps what it needs of it.
class Backend {
public:
  virtual ~Backend() = default;

  /// kHostMemory, or the number of the GPU.
  virtual int device() const = 0;
  /// The target whose code runs: "x86-64-v3", "sm_80".
  virtual const std::string &target() const = 0;
  virtual GraphCounts graphCounts() const { return {}; }
  /// For a call in flight.
  virtual std::unique_ptr<CallContext> makeContext() const = 0;
  /// Buffers of these sizes with undefined contents; `what` they are is for errors.
  virtual Result<std::unique_ptr<BufferSet>> allocate(std::span<const uint64_t> sizes, const std::string &what) const = 0;
  /// What is freed before an allocation fails for lack of memory, whichever session it is for.
  virtual void offer(std::weak_ptr<IdleMemory>) const {}
  /// Copies a tensor from one arrangement and place to another; strides in elements. Done when it returns.
  virtual Status copy(const TensorMemory &to, std::span<const int64_t> toStrides, const TensorMemory &from,
                      std::span<const int64_t> fromStrides, std::span<const int64_t> dims, size_t elementSize) const = 0;
};

} // namespace permalloy

#endif // PERMALLOY_RUNTIME_BACKEND_H
