//===- Memory.h - mapped memory: files, anonymous pages, guarded buffers ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_RUNTIME_MEMORY_H
#define PERMALLOY_RUNTIME_MEMORY_H

#include "permalloy/Artifact/Status.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace permalloy {

/// In place of a GPU's number: the memory of this process.
constexpr int kHostMemory = -1;

/// Where a tensor lies.
struct TensorMemory {
  void *data = nullptr;
  int device = kHostMemory; ///< or the number of the GPU whose memory it is
};

/// Owns one mmap; unmapped on destruction.
class Mapping {
public:
  Mapping() = default;
  Mapping(Mapping &&other) noexcept
      : base_(std::exchange(other.base_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Mapping &operator=(Mapping &&other) noexcept {
    std::swap(base_, other.base_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Mapping();

  /// Maps a whole file read-only; its pages are shared with other processes.
  static Result<Mapping> file(const std::string &path);
  /// Zeroed private pages, readable and writable. Large ones ask for huge pages.
  static Result<Mapping> anonymous(size_t size);

  std::byte *data() const { return base_; }
  size_t size() const { return size_; }
  /// mprotect of [offset, offset + size), widened to whole pages.
  Status protect(size_t offset, size_t size, int protection);

private:
  Mapping(std::byte *base, size_t size) : base_(base), size_(size) {}
  std::byte *base_ = nullptr;
  size_t size_ = 0;
};

/// Buffers that are placed anew when sizes change: one block behind the other, each aligned to 64
/// bytes, in one mapping that only grows. Guarded: each buffer has its own mapping and ends at
/// (64-byte rounding aside) an inaccessible page, so that a kernel that overruns it faults.
class BufferArena {
public:
  explicit BufferArena(bool guarded) : guarded_(guarded) {}

  /// Makes room for buffers of `sizes` bytes. Earlier pointers and contents are lost. With `exact`
  /// a guarded buffer ends at its very last byte, whatever its alignment is then.
  Status place(std::span<const uint64_t> sizes, bool exact = false);
  std::byte *buffer(size_t index) const { return buffers_[index]; }
  /// Bytes reserved from the system.
  uint64_t capacity() const;

private:
  Status placeGuarded(uint64_t size, bool exact);

  bool guarded_;
  Mapping block_;
  std::vector<Mapping> guardedBlocks_;
  std::vector<std::byte *> buffers_;
};

struct FreeMemory {
  void operator()(void *memory) const { std::free(memory); }
};
/// Memory for an output; freed with std::free.
using OutputMemory = std::unique_ptr<void, FreeMemory>;

/// 64-byte aligned memory of at least one byte; null when there is none.
OutputMemory allocateOutput(size_t size);

} // namespace permalloy

#endif // PERMALLOY_RUNTIME_MEMORY_H
