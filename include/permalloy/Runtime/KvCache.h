//===- KvCache.h - buffers of past keys and values ---------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A decoder's step takes past keys and values and gives them back with its own rows behind. Here
// the rows lie in buffers with room to spare, and a step writes only what is new:
//
//   buffer of one cache, [batch, heads, capacity, size]
//     row 0 ... length-1     live: never written again while a view may show them
//     row length ... C-1     room for the next steps
//
// A CacheSet holds one buffer per cache of the model, all of one capacity and one length. What a
// run hands out as `present` are views [batch, heads, length, size] with the buffer's strides; each
// view keeps the set alive. A run that is given exactly these views as `past` continues the set
// when it wins the rows behind them: `claim` moves the length from the one it was given to the new
// one, atomically, so that of two continuations of one past exactly one appends in place. The
// other, and a run that is given anything else, copies its past into a set of its own.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_RUNTIME_KVCACHE_H
#define PERMALLOY_RUNTIME_KVCACHE_H

#include "permalloy/Runtime/Backend.h"
#include "permalloy/Runtime/Binding.h"

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

namespace permalloy {

class CacheSet;

/// The sets of a session by the address of their first buffer. Outlives the session while a set
/// does. Belongs to one process: in a child of fork() views made before are foreign memory.
class CacheRegistry {
public:
  /// The set whose first buffer begins at `address`, or null.
  std::shared_ptr<CacheSet> find(const void *address);

private:
  friend class CacheSet;
  std::mutex lock_;
  std::map<const void *, std::weak_ptr<CacheSet>> sets_;
  const int process_;

public:
  CacheRegistry();
};

/// What the buffer of one cache holds.
struct CacheShape {
  artifact::DType dtype = artifact::DType::f32;
  int64_t batch = 0, heads = 0, size = 0;
};

/// Rows for which a new set has room when it must hold `length` of them and the model takes at most
/// `most`: half as many again, rounded up to 64, but no more than `most`.
int64_t grownCapacity(int64_t length, int64_t most);

/// Buffers of all caches of a model: see the top of this file.
class CacheSet : public std::enable_shared_from_this<CacheSet> {
public:
  /// In the memory of `backend`.
  static Result<std::shared_ptr<CacheSet>> create(std::vector<CacheShape> shapes, int64_t capacity,
                                                  const Backend &backend,
                                                  std::shared_ptr<CacheRegistry> registry);
  ~CacheSet();

  int64_t capacity() const { return capacity_; }
  int64_t length() const { return length_.load(std::memory_order_acquire); }
  int64_t batch() const { return shapes_[0].batch; }
  /// Bytes of all buffers: the sum over the caches of batch * heads * capacity * size * element.
  uint64_t bytes() const;
  void *buffer(size_t cache) const { return buffers_[cache]; }
  /// kHostMemory, or the GPU in whose memory it is.
  int device() const { return device_; }
  std::span<void *const> buffers() const { return buffers_; }
  std::vector<int64_t> dims(size_t cache, int64_t length) const;
  std::vector<int64_t> strides(size_t cache) const;
  /// The first `length` rows of a cache, as an input.
  InputTensor view(size_t cache, int64_t length) const;
  /// Whether `tensor` is what `view` gives.
  bool isView(size_t cache, const InputTensor &tensor) const;

  /// Takes rows [from, to) when they are the next ones and there is room.
  bool claim(int64_t from, int64_t to);
  /// Gives rows back that were claimed and not handed out.
  void giveBack(int64_t from, int64_t to);
  /// Forgets rows from `length` on; only when no view shows them.
  void truncate(int64_t length) { length_.store(length, std::memory_order_release); }
  /// Copies rows into the first rows of a cache; `backend` as in `create`.
  Status fill(const Backend &backend, size_t cache, const InputTensor &rows);
  /// Copies the first rows of a cache into dense memory.
  Status copyOut(const Backend &backend, size_t cache, int64_t length, const TensorMemory &to) const;

private:
  CacheSet(std::vector<CacheShape> shapes, int64_t capacity, int device,
           std::shared_ptr<CacheRegistry> registry);

  std::vector<CacheShape> shapes_;
  int64_t capacity_;
  int device_;
  std::atomic<int64_t> length_{0};
  std::unique_ptr<BufferSet> memory_;
  std::vector<void *> buffers_;
  std::shared_ptr<CacheRegistry> registry_;
};

/// The caches of one sequence (or batch of them) in the explicit form: a run that is given a state
/// takes its past from there and leaves its rows there. One run at a time; other threads may ask for
/// its sizes meanwhile.
class CacheState {
public:
  CacheState(std::shared_ptr<CacheSet> set, const class Session *session)
      : set_(std::move(set)), session_(session) {}

  int64_t length() const { return set()->length(); }
  int64_t capacity() const { return set()->capacity(); }
  int64_t batch() const { return set()->batch(); }
  /// Bytes of the buffers: CacheSet::bytes.
  uint64_t bytes() const { return set()->bytes(); }
  /// Goes back to the first `length` rows; fails when there are fewer, or a run is under way.
  Status truncate(int64_t length);

private:
  friend class Session;
  /// Keeps others from changing a state; not `ok` when another does so already.
  struct Use {
    explicit Use(CacheState &state) : state(state), ok(!state.busy_.exchange(true)) {}
    Use(const Use &) = delete;
    Use &operator=(const Use &) = delete;
    ~Use() {
      if (ok)
        state.busy_.store(false);
    }
    CacheState &state;
    const bool ok;
  };

  std::shared_ptr<CacheSet> set() const {
    std::lock_guard guard(lock_);
    return set_;
  }
  /// What grew takes the place of what it grew from.
  void replaceSet(std::shared_ptr<CacheSet> set) {
    std::lock_guard guard(lock_);
    set_.swap(set);
  }

  mutable std::mutex lock_; ///< of `set_`
  std::shared_ptr<CacheSet> set_;
  const Session *session_;
  std::atomic<bool> busy_{false};
};

} // namespace permalloy

#endif // PERMALLOY_RUNTIME_KVCACHE_H
