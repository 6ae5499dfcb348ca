//===- ThreadPool.h - tiles of a launch on several threads -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_RUNTIME_THREADPOOL_H
#define PERMALLOY_RUNTIME_THREADPOOL_H

#include "permalloy/Runtime/CodeImage.h"

#include <cstddef>
#include <cstdint>
#include <memory>

struct pthreadpool;

namespace permalloy {

/// One kernel launch, ready to run.
struct Launch {
  KernelFunction function = nullptr;
  void *const *buffers = nullptr;
  const int64_t *scalars = nullptr;
  int64_t tiles = 0;
  std::byte *scratch = nullptr; ///< of worker 0; worker w's is w * scratchStride further
  size_t scratchStride = 0;
};

/// Runs a launch on the calling thread alone.
void runSerial(const Launch &launch);

/// Threads that share the tiles of a launch. Each worker starts on a contiguous range of tiles, in
/// a few chunks, and helps the others when it is through; which worker runs a tile changes no
/// result. Between the launches of one run idle workers spin; after the last one they sleep at
/// once, so a session at rest uses no CPU.
///
/// One user at a time. A pool does not survive fork(): the child makes its own.
class ThreadPool {
public:
  /// `threads` includes the calling one.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool &) = delete;
  ThreadPool &operator=(const ThreadPool &) = delete;

  int threads() const { return threads_; }
  /// Returns when every tile is done. `last`: no further launch follows soon.
  void run(const Launch &launch, bool last);

private:
  struct Job;
  pthreadpool *pool_;
  int threads_;
  std::unique_ptr<Job> job_;
};

/// CPUs this process may use: its cpuset (sched_getaffinity), cut by its cgroup's CPU quota
/// (version 1 or 2), at least 1.
int availableCpus();

} // namespace permalloy

#endif // PERMALLOY_RUNTIME_THREADPOOL_H
