//===- ThreadPool.h - tiles of a launch on several threads -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_RUNTIME_THREADPOOL_H
#define PERMALLOY_RUNTIME_THREADPOOL_H

#include "permalloy/Runtime/CodeImage.h"
#include "permalloy/Runtime/RunRecord.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

namespace permalloy {

/// One kernel launch, ready to run.
struct Launch {
  KernelFunction function = nullptr;
  void *const *buffers = nullptr;
  const int64_t *scalars = nullptr;
  int64_t tiles = 0;
  /// Of worker 0, null or of at least 8 bytes; worker w's is w * scratchStride further.
  std::byte *scratch = nullptr;
  size_t scratchStride = 0;
  /// Null, or an entry for each thread of the pool: when it worked on this launch.
  TimeSpan *lanes = nullptr;
};

/// Runs a launch on the calling thread alone.
void runSerial(const Launch &launch);

/// Threads that share the tiles of a launch.
///
/// A launch never waits for a thread that has not begun to work on it. The caller opens the launch,
/// works through the tiles itself, and workers that are awake join in; when no tile is left the
/// caller closes the launch and waits only for workers that are inside. A worker that the system
/// has put aside (a busy or shared machine) thus costs nothing, where a pool whose launch ends when
/// all threads have reported waits for the scheduler. Measured on two cores beside one busy
/// process, 34 us of work in 64 tiles: 700 to 3,000 us a launch with Debian's pthreadpool, 60 to
/// 115 us here.
///
/// Each worker starts on a contiguous range of tiles, in a few chunks, and helps the others when it
/// is through; which worker runs a tile changes no result. A worker without work spins for 50 us
/// and then sleeps; after the last launch of a run it sleeps at once, so a session at rest uses no
/// CPU.
///
/// One caller at a time. A pool does not survive fork(): the child makes its own.
class ThreadPool {
public:
  /// `threads` includes the calling one; fewer are made where the system refuses more.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool &) = delete;
  ThreadPool &operator=(const ThreadPool &) = delete;

  int threads() const { return static_cast<int>(ranges_.size()); }
  /// Returns when every tile is done. `last`: no further launch follows soon.
  void run(const Launch &launch, bool last);

private:
  /// A worker's own tiles, handed out in chunks to it and, at the end, to others. On a cache line
  /// of its own.
  struct alignas(64) TileRange {
    std::atomic<int64_t> next{0};
    int64_t end = 0;
  };

  void startThreads();
  void workerMain(size_t worker);
  bool joinLaunch(uint32_t &lastGeneration);
  void waitForLaunch(uint32_t lastGeneration, bool spin);
  void park(uint32_t lastGeneration);
  void wakeSleepers();
  bool hasNews(uint64_t state, uint32_t lastGeneration) const;
  void splitTiles();
  void runTiles(size_t worker);
  void runChunks(TileRange &range, void *scratch);
  void waitForWorkers();

  // The launch in progress: written by the caller while it is closed and no worker is inside, read
  // by workers that are inside.
  Launch launch_;
  int64_t chunk_ = 1;
  bool last_ = false;
  std::vector<TileRange> ranges_; ///< one per thread, the caller's first

  /// Generation (bits 32-63), open (bit 31), workers inside (bits 0-30). Joining is a compare and
  /// swap of an open state, so nobody gets in once it is closed.
  alignas(64) std::atomic<uint64_t> state_{0};
  /// Sleeping workers, and the futex they sleep on: raised at every wake-up.
  alignas(64) std::atomic<int> sleepers_{0};
  std::atomic<uint32_t> wakeups_{0};
  std::atomic<bool> stopping_{false};
  std::vector<std::thread> workers_;
};

/// CPUs this process may use: its cpuset (sched_getaffinity), cut by its cgroup's CPU quota
/// (version 1 or 2), at least 1.
int availableCpus();

} // namespace permalloy

#endif // PERMALLOY_RUNTIME_THREADPOOL_H
