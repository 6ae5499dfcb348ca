//===- Timing.cpp - how long one launch takes -------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Measure/Timing.h"

#include <algorithm>
#include <cmath>
#include <ctime>

using namespace permalloy::measure;

static constexpr double kBatchNs = 100e3;
static constexpr size_t kRecent = 100;
static constexpr unsigned kLeastBatches = 5, kMostBatches = 50, kAttempts = 3;

/// Processor time of this thread, so that being put aside by the system counts as nothing.
static double now() {
  timespec time;
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return double(time.tv_sec) * 1e9 + double(time.tv_nsec);
}

static double medianOf(std::vector<double> values) {
  auto middle = values.begin() + values.size() / 2;
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

DriftReference::DriftReference() : memory((4 << 20) / sizeof(unsigned long), 1) {
  for (int i = 0; i < 10; ++i)
    time();
}

double DriftReference::time() {
  double least = 0;
  for (int i = 0; i < 3; ++i) {
    double start = now();
    unsigned long chain = memory[0];
    for (int step = 0; step < 30000; ++step) // each waits for the one before
      chain = chain * 6364136223846793005u + 1442695040888963407u;
    for (size_t line = 0; line < memory.size(); line += 8)
      chain += memory[line];
    memory[0] = chain | 1;
    double took = now() - start;
    least = least == 0 ? took : std::min(least, took);
  }
  recent.resize(std::min(recent.size() + 1, kRecent));
  recent[position++ % kRecent] = least;
  return least;
}

double DriftReference::relative(double nanoseconds) const { return nanoseconds / medianOf(recent); }

/// Calls that make a batch, after one to warm up.
static unsigned callsOf(llvm::function_ref<void()> run, double &oneNs) {
  run();
  double start = now();
  run();
  oneNs = std::max(now() - start, 20.0);
  return std::max(1.0, std::ceil(kBatchNs / oneNs));
}

static double timeBatch(llvm::function_ref<void()> run, unsigned calls) {
  double start = now();
  for (unsigned call = 0; call < calls; ++call)
    run();
  return (now() - start) / calls;
}

static Timing summarize(const std::vector<double> &times) {
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

static Timing timeOnce(llvm::function_ref<void()> run, DriftReference &reference, llvm::function_ref<bool()> stop,
                       double budgetNs) {
  double before = reference.time(), one;
  unsigned calls = callsOf(run, one);
  unsigned batches = std::clamp<double>(budgetNs / (one * calls), kLeastBatches, kMostBatches);
  std::vector<double> times;
  for (unsigned batch = 0; batch < batches && !(batch && stop()); ++batch)
    times.push_back(timeBatch(run, calls));
  Timing timing = summarize(times);
  timing.drift = reference.relative((before + reference.time()) / 2);
  return timing;
}

Timing permalloy::measure::timeCalls(llvm::function_ref<void()> run, DriftReference &reference,
                                     llvm::function_ref<bool()> stop, double budgetNs) {
  auto unrest = [](const Timing &t) { return std::max(t.madNs / t.medianNs, 0.6 * std::abs(t.drift - 1)); };
  Timing best = timeOnce(run, reference, stop, budgetNs);
  for (unsigned attempt = 1; attempt < kAttempts && !best.isSteady() && !stop(); ++attempt)
    if (Timing again = timeOnce(run, reference, stop, budgetNs); unrest(again) < unrest(best))
      best = again;
  return best;
}

std::pair<Timing, Timing> permalloy::measure::timeByTurns(llvm::function_ref<void()> first, llvm::function_ref<void()> second,
                                                          DriftReference &reference, llvm::function_ref<bool()> stop,
                                                          double budgetNs) {
  double before = reference.time(), one, other;
  unsigned calls = callsOf(first, one), otherCalls = callsOf(second, other);
  unsigned batches = std::clamp<double>(2 * budgetNs / (one * calls + other * otherCalls), 2 * kLeastBatches, kMostBatches);
  std::vector<double> times, otherTimes;
  for (unsigned batch = 0; batch < batches && !(batch && stop()); ++batch) {
    times.push_back(timeBatch(first, calls));
    otherTimes.push_back(timeBatch(second, otherCalls));
  }
  std::pair<Timing, Timing> result(summarize(times), summarize(otherTimes));
  result.first.drift = result.second.drift = reference.relative((before + reference.time()) / 2);
  return result;
}
