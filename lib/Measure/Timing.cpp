//===- Timing.cpp - how long one launch takes -------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Measure/Timing.h"
#include "Median.h"

#include <algorithm>
#include <cmath>

using namespace permalloy;
using namespace permalloy::measure;

static constexpr double kBatchNs = 100e3;
static constexpr unsigned kLeastBatches = 5, kMostBatches = 50, kAttempts = 3;

/// Calls that make a batch, after one to warm up.
static unsigned callsOf(llvm::function_ref<void()> run, double &oneNs) {
  run();
  double start = threadTime();
  run();
  oneNs = std::max(threadTime() - start, 20.0);
  return std::max(1.0, std::ceil(kBatchNs / oneNs));
}

static double timeBatch(llvm::function_ref<void()> run, unsigned calls) {
  double start = threadTime();
  for (unsigned call = 0; call < calls; ++call)
    run();
  return (threadTime() - start) / calls;
}

Timing permalloy::measure::timingOf(const std::vector<double> &times) {
  Timing timing;
  timing.repeats = times.size();
  timing.minNs = *std::min_element(times.begin(), times.end());
  timing.medianNs = medianOf(times);
  std::vector<double> distances;
  for (double time : times)
    distances.push_back(std::abs(time - timing.medianNs));
  timing.madNs = medianOf(distances);
  return timing;
}

/// Of a measurement that began at the speed `before` and has just ended.
static void setSpeed(Timing &timing, const MachineSpeed &before, Yardstick &yardstick) {
  MachineSpeed after = yardstick.now();
  timing.speed = between(before, after);
  timing.drift = before.fmaGflops / after.fmaGflops;
}

static Timing timeOnce(llvm::function_ref<void()> run, Yardstick &yardstick, llvm::function_ref<bool()> stop,
                       double budgetNs) {
  MachineSpeed before = yardstick.lately();
  double one;
  unsigned calls = callsOf(run, one);
  unsigned batches = std::clamp<double>(budgetNs / (one * calls), kLeastBatches, kMostBatches);
  std::vector<double> times;
  for (unsigned batch = 0; batch < batches && !(batch && stop()); ++batch)
    times.push_back(timeBatch(run, calls));
  Timing timing = timingOf(times);
  setSpeed(timing, before, yardstick);
  return timing;
}

Timing permalloy::measure::timeCalls(llvm::function_ref<void()> run, Yardstick &yardstick,
                                     llvm::function_ref<bool()> stop, double budgetNs) {
  auto unrest = [](const Timing &t) { return std::max(t.madNs / t.medianNs, 0.6 * std::abs(t.drift - 1)); };
  Timing best = timeOnce(run, yardstick, stop, budgetNs);
  for (unsigned attempt = 1; attempt < kAttempts && !best.isSteady() && !stop(); ++attempt)
    if (Timing again = timeOnce(run, yardstick, stop, budgetNs); unrest(again) < unrest(best))
      best = again;
  return best;
}

std::pair<Timing, Timing> permalloy::measure::timeByTurns(llvm::function_ref<void()> first, llvm::function_ref<void()> second,
                                                          Yardstick &yardstick, llvm::function_ref<bool()> stop,
                                                          double budgetNs) {
  MachineSpeed before = yardstick.lately();
  double one, other;
  unsigned calls = callsOf(first, one), otherCalls = callsOf(second, other);
  unsigned batches = std::clamp<double>(2 * budgetNs / (one * calls + other * otherCalls), 2 * kLeastBatches, kMostBatches);
  std::vector<double> times, otherTimes;
  for (unsigned batch = 0; batch < batches && !(batch && stop()); ++batch) {
    times.push_back(timeBatch(first, calls));
    otherTimes.push_back(timeBatch(second, otherCalls));
  }
  std::pair<Timing, Timing> result(timingOf(times), timingOf(otherTimes));
  setSpeed(result.first, before, yardstick);
  result.second.speed = result.first.speed, result.second.drift = result.first.drift;
  return result;
}
