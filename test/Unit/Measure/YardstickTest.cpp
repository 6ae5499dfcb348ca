//===- YardstickTest.cpp - the speed of this machine -------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Measure/Timing.h"
#include "permalloy/Measure/Yardstick.h"

#include "gtest/gtest.h"

using namespace permalloy;
using namespace permalloy::measure;

namespace {

TEST(YardstickTest, SaysASpeedThatACoreCanHave) {
  Yardstick yardstick;
  MachineSpeed speed = yardstick.now();
  ASSERT_TRUE(speed.isKnown());
  EXPECT_GT(speed.fmaGflops, 1);
  EXPECT_LT(speed.fmaGflops, 1000);
  EXPECT_GT(speed.readGbps, 0.1);
  EXPECT_LT(speed.readGbps, 500);
  // Where it is asked for again at once, it is not taken again.
  EXPECT_EQ(yardstick.lately().readGbps, speed.readGbps);
}

TEST(YardstickTest, LiesBetweenTwoMoments) {
  MachineSpeed speed = between({200, 10}, {220, 20});
  EXPECT_TRUE(speed.fmaGflops > 200 && speed.fmaGflops < 220);
  EXPECT_TRUE(speed.readGbps > 10 && speed.readGbps < 20);
  EXPECT_FALSE(between({200, 0}, {200, 0}).isKnown());
}

TEST(YardstickTest, EveryMeasurementHasIts) {
  Yardstick yardstick;
  volatile long sum = 0;
  auto run = [&] {
    for (long i = 0; i < 1000; ++i)
      sum = sum + i;
  };
  auto never = [] { return false; };
  EXPECT_TRUE(timeCalls(run, yardstick, never, 1e6).speed.isKnown());
  auto [first, second] = timeByTurns(run, run, yardstick, never, 1e6);
  EXPECT_TRUE(first.speed.isKnown());
  EXPECT_EQ(first.speed.readGbps, second.speed.readGbps);
}

} // namespace
