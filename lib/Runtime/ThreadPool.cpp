//===- ThreadPool.cpp - tiles of a launch on several threads -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Runtime/ThreadPool.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstring>
#include <immintrin.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <system_error>
#include <unistd.h>

namespace permalloy {

static constexpr std::chrono::microseconds kSpinTime(50);
static constexpr uint64_t kOpen = uint64_t(1) << 31;
static constexpr uint64_t kInsideMask = kOpen - 1;

static uint32_t generationOf(uint64_t state) { return static_cast<uint32_t>(state >> 32); }

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

} // namespace

/// What the kernel ABI promises of a worker's scratch: nothing of an earlier launch looks like this one's.
static void openScratch(std::byte *scratch) {
  if (scratch)
    std::memset(scratch, 0, sizeof(int64_t));
}

void runSerial(const Launch &launch) {
  DefaultFloatMode mode;
  openScratch(launch.scratch);
  launch.function(launch.buffers, launch.scalars, 0, launch.tiles, launch.scratch);
}

//===-- The caller --------------------------------------------------------===//

ThreadPool::ThreadPool(int threads) : ranges_(threads) { startThreads(); }

ThreadPool::~ThreadPool() {
  stopping_ = true;
  wakeSleepers();
  for (std::thread &worker : workers_)
    worker.join();
}

void ThreadPool::startThreads() {
  // Signals are for the program's own threads.
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  try {
    for (size_t worker = 1; worker < ranges_.size(); ++worker)
      workers_.emplace_back([this, worker] { workerMain(worker); });
  } catch (const std::system_error &) {
    // Too many threads for this system: those that are there do all the work. Their numbers index
    // ranges_, which therefore keeps its size.
  }
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
}

void ThreadPool::run(const Launch &launch, bool last) {
  launch_ = launch;
  last_ = last;
  splitTiles();
  uint64_t generation = generationOf(state_.load(std::memory_order_relaxed)) + uint64_t(1);
  // Sequentially consistent, as are the accesses in park: either a worker that goes to sleep sees
  // the new launch, or its sleep is seen here.
  state_.store(generation << 32 | kOpen);
  if (sleepers_.load() > 0)
    wakeSleepers();
  runTiles(0);
  waitForWorkers();
}

void ThreadPool::splitTiles() {
  // Few chunks: a kernel keeps its operands in cache from one tile to the next, and one when there is nobody to help.
  int64_t count = static_cast<int64_t>(ranges_.size()), chunksPerWorker = count > 1 ? 4 : 1;
  chunk_ = std::max<int64_t>(1, launch_.tiles / (count * chunksPerWorker));
  int64_t share = launch_.tiles / count, rest = launch_.tiles % count, begin = 0;
  for (int64_t i = 0; i < count; ++i) {
    ranges_[i].next.store(begin, std::memory_order_relaxed);
    begin += share + (i < rest);
    ranges_[i].end = begin;
  }
}

/// Closes the launch, and returns when the workers that were inside have left.
void ThreadPool::waitForWorkers() {
  uint64_t state = state_.fetch_and(~kOpen, std::memory_order_acq_rel);
  for (int spins = 0; (state & kInsideMask) != 0; ++spins) {
    // A worker that was interrupted inside a tile may need this very CPU to go on.
    if (spins % 1024 == 1023)
      sched_yield();
    else
      _mm_pause();
    state = state_.load(std::memory_order_acquire);
  }
}

//===-- Tiles -------------------------------------------------------------===//

void ThreadPool::runTiles(size_t worker) {
  DefaultFloatMode mode;
  std::byte *scratch = launch_.scratch + worker * launch_.scratchStride;
  openScratch(scratch);
  TimeSpan *lane = launch_.lanes ? launch_.lanes + worker : nullptr;
  if (lane)
    lane->begin = monotonicNanoseconds();
  for (size_t i = 0; i < ranges_.size(); ++i)
    runChunks(ranges_[(worker + i) % ranges_.size()], scratch);
  if (lane)
    lane->end = monotonicNanoseconds();
}

void ThreadPool::runChunks(TileRange &range, void *scratch) {
  // Looking first keeps finished ranges' cache lines shared.
  while (range.next.load(std::memory_order_relaxed) < range.end) {
    int64_t begin = range.next.fetch_add(chunk_, std::memory_order_relaxed);
    if (begin >= range.end)
      return;
    launch_.function(launch_.buffers, launch_.scalars, begin, std::min(begin + chunk_, range.end),
                     scratch);
  }
}

//===-- Workers -----------------------------------------------------------===//

void ThreadPool::workerMain(size_t worker) {
  pthread_setname_np(pthread_self(), "permalloy");
  uint32_t lastGeneration = 0;
  bool spin = false;
  while (!stopping_.load(std::memory_order_relaxed)) {
    if (!joinLaunch(lastGeneration)) {
      waitForLaunch(lastGeneration, spin);
      spin = false; // woken for nothing: sleep again
      continue;
    }
    runTiles(worker);
    spin = !last_;
    state_.fetch_sub(1, std::memory_order_release);
  }
}

/// Whether a launch is open that this worker has not worked on, or the pool ends.
bool ThreadPool::hasNews(uint64_t state, uint32_t lastGeneration) const {
  return ((state & kOpen) && generationOf(state) != lastGeneration) ||
         stopping_.load(std::memory_order_relaxed);
}

/// Gets inside the open launch, if there is one.
bool ThreadPool::joinLaunch(uint32_t &lastGeneration) {
  uint64_t state = state_.load(std::memory_order_relaxed);
  while ((state & kOpen) && generationOf(state) != lastGeneration) {
    if (!state_.compare_exchange_weak(state, state + 1, std::memory_order_acquire,
                                      std::memory_order_relaxed))
      continue;
    lastGeneration = generationOf(state);
    return true;
  }
  return false;
}

void ThreadPool::waitForLaunch(uint32_t lastGeneration, bool spin) {
  auto end = std::chrono::steady_clock::now() + (spin ? kSpinTime : kSpinTime * 0);
  while (std::chrono::steady_clock::now() < end)
    for (int i = 0; i < 32; ++i) {
      if (hasNews(state_.load(std::memory_order_relaxed), lastGeneration))
        return;
      _mm_pause();
    }
  park(lastGeneration);
}

static void futex(std::atomic<uint32_t> &word, int operation, uint32_t value) {
  static_assert(sizeof word == 4);
  ::syscall(SYS_futex, &word, operation | FUTEX_PRIVATE_FLAG, value, nullptr, nullptr, 0);
}

void ThreadPool::park(uint32_t lastGeneration) {
  uint32_t wakeups = wakeups_.load();
  sleepers_.fetch_add(1);
  if (!hasNews(state_.load(), lastGeneration) && !stopping_.load())
    futex(wakeups_, FUTEX_WAIT, wakeups); // returns at once when wakeups_ has moved on
  sleepers_.fetch_sub(1);
}

void ThreadPool::wakeSleepers() {
  wakeups_.fetch_add(1);
  futex(wakeups_, FUTEX_WAKE, INT32_MAX);
}

} // namespace permalloy
