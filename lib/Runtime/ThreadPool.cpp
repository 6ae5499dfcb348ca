//===- ThreadPool.cpp - tiles of a launch on several threads -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Runtime/ThreadPool.h"

#include <algorithm>
#include <atomic>
#include <immintrin.h>
#include <pthreadpool.h>
#include <vector>

namespace permalloy {

namespace {

/// The default control word: round to nearest, subnormals kept, exceptions masked. A caller may
/// have set flush-to-zero, and threads inherit it from their creator: results must not depend on
/// it.
class DefaultFloatMode {
public:
  DefaultFloatMode() : saved_(_mm_getcsr()) { _mm_setcsr(0x1f80); }
  ~DefaultFloatMode() { _mm_setcsr(saved_); }

private:
  unsigned saved_;
};

/// A worker's own tiles, handed out in chunks to it and, at the end, to others. On a cache line of
/// its own.
struct alignas(64) TileRange {
  std::atomic<int64_t> next{0};
  int64_t end = 0;
};

} // namespace

void runSerial(const Launch &launch) {
  DefaultFloatMode mode;
  launch.function(launch.buffers, launch.scalars, 0, launch.tiles, launch.scratch);
}

struct ThreadPool::Job {
  explicit Job(int threads) : ranges(threads) {}

  const Launch *launch = nullptr;
  int64_t chunk = 1;
  std::vector<TileRange> ranges;

  void runChunks(TileRange &range, void *scratch) {
    for (;;) {
      int64_t begin = range.next.fetch_add(chunk, std::memory_order_relaxed);
      if (begin >= range.end)
        return;
      launch->function(launch->buffers, launch->scalars, begin, std::min(begin + chunk, range.end),
                       scratch);
    }
  }

  /// Called once per worker; pthreadpool hands the numbers out, so a number's scratch has one user.
  static void work(void *self, size_t worker) {
    Job &job = *static_cast<Job *>(self);
    DefaultFloatMode mode;
    void *scratch = job.launch->scratch + worker * job.launch->scratchStride;
    size_t count = job.ranges.size();
    for (size_t i = 0; i < count; ++i)
      job.runChunks(job.ranges[(worker + i) % count], scratch);
  }
};

ThreadPool::ThreadPool(int threads)
    : pool_(pthreadpool_create(threads)), threads_(threads), job_(std::make_unique<Job>(threads)) {}

ThreadPool::~ThreadPool() { pthreadpool_destroy(pool_); }

void ThreadPool::run(const Launch &launch, bool last) {
  int64_t workers = threads_;
  // Few chunks: a kernel keeps its operands in cache from one tile to the next.
  constexpr int64_t chunksPerWorker = 4;
  job_->launch = &launch;
  job_->chunk = std::max<int64_t>(1, launch.tiles / (workers * chunksPerWorker));
  int64_t share = launch.tiles / workers, rest = launch.tiles % workers, begin = 0;
  for (int64_t i = 0; i < workers; ++i) {
    job_->ranges[i].next.store(begin, std::memory_order_relaxed);
    begin += share + (i < rest);
    job_->ranges[i].end = begin;
  }
  pthreadpool_parallelize_1d(pool_, &Job::work, job_.get(), threads_,
                             last ? PTHREADPOOL_FLAG_YIELD_WORKERS : 0);
}

} // namespace permalloy
