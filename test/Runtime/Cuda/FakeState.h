//===- FakeState.h - what the fake driver knows ------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_TEST_RUNTIME_CUDA_FAKESTATE_H
#define PERMALLOY_TEST_RUNTIME_CUDA_FAKESTATE_H

#include "Cuda/Driver.h"
#include "FakeCuda.h"
#include "permalloy/Runtime/CodeImage.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>

#define FAKE extern "C" __attribute__((visibility("default"))) int

namespace permalloy::fakecuda {

using namespace permalloy::cuda;

enum : int {
  kInvalidValue = 1,
  kNotInitialized = 3,
  kInvalidContext = 201,
  kInvalidHandle = 400,
  kNotFound = 500,
  kNotReady = 600,
  kMisaligned = 716,
  kLaunchFailed = 719,
};

/// Makes the driver's other calls on this thread wait; work of streams may call in again.
inline std::recursive_mutex lock;
inline bool isInitialized = false;
/// Once work on the device failed, nothing of the context works.
inline int sticky = 0;

using Work = std::function<int()>;

struct Stream {
  std::deque<Work> work;
  uint64_t queued = 0, done = 0;

  void put(Work item) {
    work.push_back(std::move(item));
    ++queued;
  }
  /// Carries out work until `until` items are done.
  void run(uint64_t until) {
    while (done < until && !work.empty()) {
      Work item = std::move(work.front());
      work.pop_front();
      ++done;
      if (!sticky)
        sticky = item();
    }
  }
};

struct Event {
  Stream *stream = nullptr;
  uint64_t ticket = 0;
  bool hasTiming = true, isReached = false;
  std::chrono::steady_clock::time_point time;
};

struct Function {
  std::string name;
  FakeImage head;
  std::optional<CodeImage> image;
  KernelFunction code = nullptr; ///< null: launches are recorded alone
  int mostShared = 48 << 10;
};
struct Module {
  std::map<std::string, std::unique_ptr<Function>> functions;
};

struct State {
  State();
  Control control;
  std::map<uint64_t, std::pair<std::unique_ptr<std::byte, FreeMemory>, size_t>> memory; ///< by host address
  std::map<uint64_t, size_t> pinned;
  std::set<Stream *> streams = {&legacy};
  Stream legacy;
  int retained = 0;
};

inline State &state() {
  static auto *all = new State(); // outlives the sessions in globals of others
  return *all;
}

inline thread_local std::vector<ContextHandle> contexts;

/// What every call but the first ones begins with.
struct Call {
  Call() : guard(lock) {
    if (!isInitialized)
      error = kNotInitialized;
    else if (contexts.empty() || !contexts.back())
      error = kInvalidContext;
    else
      error = sticky;
  }
  std::lock_guard<std::recursive_mutex> guard;
  int error;
};
#define BEGIN                                                                                                                  \
  Call call;                                                                                                                   \
  if (call.error)                                                                                                              \
  return call.error

/// What is let go is let go after a failure, too.
#define BEGIN_RELEASE                                                                                                          \
  Call call;                                                                                                                   \
  if (call.error && call.error != sticky)                                                                                      \
  return call.error

/// Of calls that take memory, which a test may let fail.
inline bool lacksMemory(const char *function) {
  Control &control = state().control;
  return control.failing == function && control.goodCalls-- <= 0;
}
#define BEGIN_TAKING                                                                                                           \
  BEGIN;                                                                                                                       \
  if (lacksMemory(__func__))                                                                                                   \
  return kOutOfMemory

inline int complain(const char *what, int error) {
  std::fprintf(stderr, "fake CUDA driver: %s\n", what);
  return error;
}

/// Host address of device memory; null where `bytes` are not all in one allocation.
inline std::byte *hostOf(DevicePointer address, size_t bytes) {
  uint64_t host = address & ~kDeviceBit;
  auto &memory = state().memory;
  auto next = memory.upper_bound(host);
  if (!(address & kDeviceBit) || next == memory.begin())
    return nullptr;
  auto &[begin, block] = *std::prev(next);
  return host - begin <= block.second && bytes <= block.second - (host - begin) ? reinterpret_cast<std::byte *>(host) : nullptr;
}

inline bool isPinned(const void *address, size_t bytes) {
  auto host = reinterpret_cast<uint64_t>(address);
  auto next = state().pinned.upper_bound(host);
  return next != state().pinned.begin() && host + bytes <= std::prev(next)->first + std::prev(next)->second;
}

/// Null, with a complaint, for what was destroyed or never was.
inline Stream *streamOf(StreamHandle handle) {
  Stream *stream = handle == legacyStream() || !handle ? &state().legacy : reinterpret_cast<Stream *>(handle);
  if (state().streams.contains(stream))
    return stream;
  ++state().control.wrongStreams;
  return complain("there is no such stream", 0), nullptr;
}
/// `queue`, the stream that a call names.
#define ON_STREAM(handle)                                                                                                      \
  Stream *queue = streamOf(handle);                                                                                            \
  if (!queue)                                                                                                                  \
  return kInvalidHandle

inline void runAll() {
  for (Stream *stream : state().streams)
    stream->run(stream->queued);
}

/// A launch as work, from what cuLaunchKernel and nodes of graphs are given.
int makeLaunch(Function *function, unsigned blocks, unsigned threads, unsigned shared,
               void **parameters, void **extra, Work &work);

template <class T, class Handle> T *of(Handle handle) { return reinterpret_cast<T *>(handle); }

} // namespace permalloy::fakecuda

#endif // PERMALLOY_TEST_RUNTIME_CUDA_FAKESTATE_H
