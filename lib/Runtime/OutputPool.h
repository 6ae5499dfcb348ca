//===- OutputPool.h - memory of large outputs, used again ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The system zeroes new memory page by page: 23 ms for 206 MB of logits, in every run; a GPU's driver stops all work where it
// allocates. Outputs of 128 KB and more therefore come from their session's pool, and go back to it when the caller lets
// go of them. A caller who keeps an output keeps its memory: what the next run takes is only what
// nobody refers to.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_LIB_RUNTIME_OUTPUTPOOL_H
#define PERMALLOY_LIB_RUNTIME_OUTPUTPOOL_H

#include "permalloy/Runtime/Memory.h"

#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <sys/types.h>
#include <vector>

namespace permalloy {

/// The idle memory of one session in one process. It never holds more than the pooled outputs of
/// the latest run take, and frees what a run does not take before that run's outputs are allocated;
/// until then it stands beside the run's intermediates. All calls are safe from any thread; memory
/// that comes back after the pool is gone, or in a child of fork(), is freed.
class OutputPool : public std::enable_shared_from_this<OutputPool> {
public:
  /// Smaller outputs are left to malloc, which has no mmap for them.
  static constexpr uint64_t kLeastBytes = 128 << 10;
  /// Where memory comes from when nothing idle fits; gives null when there is none.
  using Allocate = std::function<std::shared_ptr<void>(uint64_t size)>;

  /// `least`: bytes of the smallest output that is pooled.
  explicit OutputPool(uint64_t least = kLeastBytes);

  /// A run begins that will take blocks of these sizes (others than pooled ones do not count).
  void expect(std::span<const uint64_t> sizes);
  /// Memory with undefined contents; null when there is none. By default it is this process', 64-byte aligned.
  std::shared_ptr<void> take(uint64_t size, const Allocate &allocate = allocateOnHost);
  /// Bytes that the pool holds and nobody uses.
  uint64_t idleBytes();

private:
  struct Block {
    uint64_t size;
    std::shared_ptr<void> memory;
  };
  static std::shared_ptr<void> allocateOnHost(uint64_t size);
  void giveBack(std::shared_ptr<void> memory, uint64_t size) noexcept;

  const pid_t process_;
  const uint64_t least_;
  std::mutex lock_;
  std::vector<Block> idle_;
  uint64_t idleBytes_ = 0, limit_ = 0;
};

} // namespace permalloy

#endif // PERMALLOY_LIB_RUNTIME_OUTPUTPOOL_H
