//===- OutputPoolTest.cpp - memory of outputs that is used again --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "../../lib/Runtime/OutputPool.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstring>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace permalloy;

namespace {

constexpr uint64_t kSize = OutputPool::kLeastBytes, kOther = 5 << 20;

void expect(OutputPool &pool, std::initializer_list<uint64_t> sizes) {
  pool.expect(std::span(sizes.begin(), sizes.size()));
}

TEST(OutputPool, TakesAgainWhatWasLetGo) {
  auto pool = std::make_shared<OutputPool>();
  expect(*pool, {kSize});
  std::shared_ptr<void> first = pool->take(kSize);
  void *address = first.get();
  std::memset(address, 1, kSize);
  EXPECT_EQ(0u, pool->idleBytes());
  first.reset();
  EXPECT_EQ(kSize, pool->idleBytes());
  expect(*pool, {kSize});
  EXPECT_EQ(address, pool->take(kSize).get());
}

TEST(OutputPool, LeavesAloneWhatTheCallerKeeps) {
  auto pool = std::make_shared<OutputPool>();
  expect(*pool, {kSize});
  std::shared_ptr<void> kept = pool->take(kSize), view = kept;
  kept.reset(); // somebody still refers to it
  expect(*pool, {kSize});
  EXPECT_NE(view.get(), pool->take(kSize).get());
}

TEST(OutputPool, HoldsNoMoreThanTheLatestRunTook) {
  auto pool = std::make_shared<OutputPool>();
  std::array<std::shared_ptr<void>, 3> runs;
  for (std::shared_ptr<void> &run : runs) {
    expect(*pool, {kSize, 64});
    run = pool->take(kSize);
  }
  runs = {};
  EXPECT_EQ(kSize, pool->idleBytes());
  expect(*pool, {kOther}); // freed before the other size is allocated
  EXPECT_EQ(0u, pool->idleBytes());
  std::shared_ptr<void> other = pool->take(kOther);
  expect(*pool, {});
  other.reset();
  EXPECT_EQ(0u, pool->idleBytes());
}

TEST(OutputPool, MayEndBeforeItsMemory) {
  auto pool = std::make_shared<OutputPool>();
  expect(*pool, {kSize});
  std::shared_ptr<void> output = pool->take(kSize);
  pool.reset();
  std::memset(output.get(), 2, kSize);
  output.reset();
}

TEST(OutputPool, AChildOfForkFreesWhatItLetsGo) {
  auto pool = std::make_shared<OutputPool>();
  expect(*pool, {kSize});
  std::shared_ptr<void> output = pool->take(kSize);
  if (pid_t child = ::fork(); child == 0) {
    output.reset();
    ::_exit(pool->idleBytes() == 0 ? 0 : 1);
  }
  int status = -1;
  ::wait(&status);
  EXPECT_EQ(0, status);
  output.reset();
  EXPECT_EQ(kSize, pool->idleBytes());
}

TEST(OutputPool, GivesNoMemoryToTwoThreads) {
  auto pool = std::make_shared<OutputPool>();
  std::atomic<int> wrong = 0;
  auto work = [&](int thread) {
    for (int i = 0; i < 500; ++i) {
      expect(*pool, {kSize, kSize});
      std::shared_ptr<void> output = pool->take(kSize);
      auto *words = static_cast<int *>(output.get());
      words[0] = words[kSize / 4 - 1] = thread;
      std::this_thread::yield();
      wrong += words[0] != thread || words[kSize / 4 - 1] != thread;
    }
  };
  std::thread other(work, 1);
  work(2);
  other.join();
  EXPECT_EQ(0, wrong);
  EXPECT_LE(pool->idleBytes(), 2 * kSize);
}

} // namespace
