//===- ThreadsTest.cpp - how many threads a solver uses ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Dense.h"
#include "permalloy/Solvers/Threads.h"

#include <gtest/gtest.h>

#include <chrono>
#include <mutex>
#include <set>
#include <thread>

using namespace permalloy::solvers;

/// Threads that ran a loop of 16 bodies, each long enough for all to take part.
static size_t threadsOfALoop() {
  std::mutex mutex;
  std::set<std::thread::id> threads;
  parallelFor(16, [&](int64_t) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    std::lock_guard guard(mutex);
    threads.insert(std::this_thread::get_id());
  });
  return threads.size();
}

TEST(Threads, ALimitHoldsWhileItLives) {
  {
    ThreadLimit one(1);
    EXPECT_EQ(threadsOfALoop(), 1u);
    {
      ThreadLimit three(3);
      EXPECT_LE(threadsOfALoop(), 3u);
      EXPECT_GT(threadsOfALoop(), 1u);
    }
    EXPECT_EQ(threadsOfALoop(), 1u);
  }
  if (std::thread::hardware_concurrency() > 1)
    EXPECT_GT(threadsOfALoop(), 1u); // the limit has ended
}
