//===- Memory.cpp - mapped memory: files, anonymous pages, guarded buffers --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Runtime/Memory.h"

#include "permalloy/Artifact/Format.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace permalloy {

using artifact::kBufferAlignment;
using artifact::kPageSize;

static constexpr size_t kHugePage = 2 << 20;

static constexpr uint64_t roundUp(uint64_t value, uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

//===-- Mapping -----------------------------------------------------------===//

Mapping::~Mapping() {
  if (base_)
    ::munmap(base_, size_);
}

static Status fileError(const std::string &path) {
  StatusCode code = errno == ENOENT ? StatusCode::notFound : StatusCode::ioError;
  return {code, "cannot open '" + path + "': " + std::strerror(errno)};
}

Result<Mapping> Mapping::file(const std::string &path) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return fileError(path);
  struct stat info;
  void *base = MAP_FAILED;
  Status status;
  if (::fstat(fd, &info) != 0)
    status = fileError(path);
  else if (!S_ISREG(info.st_mode))
    status = {StatusCode::ioError, "cannot open '" + path + "': not a regular file"};
  else if (info.st_size == 0)
    status = {StatusCode::invalidArtifact, "'" + path + "' is empty"};
  else if (base = ::mmap(nullptr, info.st_size, PROT_READ, MAP_PRIVATE, fd, 0); base == MAP_FAILED)
    status = {StatusCode::ioError, "cannot map '" + path + "': " + std::strerror(errno)};
  ::close(fd);
  if (!status.ok())
    return status;
  return Mapping(static_cast<std::byte *>(base), info.st_size);
}

Result<Mapping> Mapping::anonymous(size_t size) {
  size = roundUp(size ? size : 1, kPageSize);
  void *base = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED)
    return Status(StatusCode::outOfMemory, "cannot reserve " + std::to_string(size) + " bytes");
  if (size >= 2 * kHugePage)
    ::madvise(base, size, MADV_HUGEPAGE);
  return Mapping(static_cast<std::byte *>(base), size);
}

Status Mapping::protect(size_t offset, size_t size, int protection) {
  size_t begin = offset / kPageSize * kPageSize, end = roundUp(offset + size, kPageSize);
  if (end > size_ || ::mprotect(base_ + begin, end - begin, protection) != 0)
    return {StatusCode::outOfMemory,
            std::string("cannot change the protection of memory: ") + std::strerror(errno)};
  return {};
}

//===-- BufferArena -------------------------------------------------------===//

Status BufferArena::place(std::span<const uint64_t> sizes, bool exact) {
  buffers_.clear();
  if (guarded_) {
    guardedBlocks_.clear();
    for (uint64_t size : sizes)
      PERMALLOY_TRY(placeGuarded(size, exact));
    return {};
  }
  uint64_t total = 0;
  for (uint64_t size : sizes)
    if (size > INT64_MAX - kBufferAlignment ||
        __builtin_add_overflow(total, roundUp(size, kBufferAlignment), &total))
      return {StatusCode::outOfMemory, "the buffers of these shapes exceed 64 bits"};
  if (total > block_.size()) {
    block_ = Mapping(); // before the new one: both need not fit
    Result<Mapping> block = Mapping::anonymous(total);
    if (!block.ok())
      return block.status();
    block_ = std::move(*block);
  }
  std::byte *next = block_.data();
  for (uint64_t size : sizes) {
    buffers_.push_back(next);
    next += roundUp(size, kBufferAlignment);
  }
  return {};
}

Status BufferArena::placeGuarded(uint64_t size, bool exact) {
  if (size > (uint64_t(1) << 46))
    return {StatusCode::outOfMemory, "cannot reserve " + std::to_string(size) + " bytes"};
  uint64_t used = exact ? size : roundUp(size, kBufferAlignment);
  uint64_t pages = roundUp(used, kPageSize);
  Result<Mapping> block = Mapping::anonymous(pages + kPageSize);
  if (!block.ok())
    return block.status();
  PERMALLOY_TRY(block->protect(pages, kPageSize, PROT_NONE));
  buffers_.push_back(block->data() + pages - used);
  guardedBlocks_.push_back(std::move(*block));
  return {};
}

uint64_t BufferArena::capacity() const {
  uint64_t total = block_.size();
  for (const Mapping &block : guardedBlocks_)
    total += block.size();
  return total;
}

OutputMemory allocateOutput(size_t size) {
  if (size > SIZE_MAX - kBufferAlignment)
    return nullptr;
  // Logits of 1024 tokens are 50,000 pages: touched one by one, in every run.
  size_t alignment = size >= 2 * kHugePage ? kHugePage : kBufferAlignment;
  size_t rounded = roundUp(size ? size : 1, kBufferAlignment);
  void *base = nullptr; // std::aligned_alloc takes multiples of the alignment only
  if (::posix_memalign(&base, alignment, rounded) != 0)
    return nullptr;
  OutputMemory memory(base);
  if (alignment == kHugePage)
    ::madvise(memory.get(), rounded / kHugePage * kHugePage, MADV_HUGEPAGE);
  return memory;
}

} // namespace permalloy
