//===- OutputPool.cpp - memory of large outputs, used again -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "OutputPool.h"

#include <algorithm>
#include <new>
#include <unistd.h>

namespace permalloy {

OutputPool::OutputPool(uint64_t least) : process_(::getpid()), least_(least) {}

std::shared_ptr<void> OutputPool::allocateOnHost(uint64_t size) { return std::shared_ptr<void>(allocateOutput(size)); }

void OutputPool::expect(std::span<const uint64_t> sizes) {
  std::vector<Block> kept, unused; // freed behind the lock
  std::lock_guard lock(lock_);
  limit_ = 0;
  for (uint64_t size : sizes) {
    if (size < least_)
      continue;
    limit_ += size;
    auto match = std::ranges::find(idle_, size, &Block::size);
    if (match == idle_.end())
      continue;
    kept.push_back(std::move(*match));
    idle_.erase(match);
  }
  unused.swap(idle_);
  idle_.swap(kept);
  idleBytes_ = 0;
  for (const Block &block : idle_)
    idleBytes_ += block.size;
}

std::shared_ptr<void> OutputPool::take(uint64_t size, const Allocate &allocate) {
  std::shared_ptr<void> memory;
  {
    std::lock_guard lock(lock_);
    if (auto match = std::ranges::find(idle_, size, &Block::size); match != idle_.end()) {
      memory = std::move(match->memory);
      idle_.erase(match);
      idleBytes_ -= size;
    }
  }
  if (!memory)
    memory = allocate(size);
  if (!memory)
    return nullptr;
  void *data = memory.get();
  auto letGo = [weak = weak_from_this(), size, memory = std::move(memory)](void *) mutable {
    if (auto pool = weak.lock())
      pool->giveBack(std::move(memory), size);
  };
  return {data, std::move(letGo)}; // calls letGo when it throws
}

void OutputPool::giveBack(std::shared_ptr<void> memory, uint64_t size) noexcept {
  if (process_ != ::getpid()) // locks that other threads held when the fork came stay locked here
    return;
  std::lock_guard lock(lock_);
  if (idleBytes_ + size > limit_)
    return;
  try {
    idle_.push_back({size, std::move(memory)});
    idleBytes_ += size;
  } catch (const std::bad_alloc &) { // then it is freed
  }
}

uint64_t OutputPool::idleBytes() {
  std::lock_guard lock(lock_);
  return idleBytes_;
}

} // namespace permalloy
