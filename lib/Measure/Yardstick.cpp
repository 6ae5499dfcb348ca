//===- Yardstick.cpp - how fast the machine is at the moment -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Measure/Yardstick.h"
#include "Loops.h"
#include "Median.h"

#include <algorithm>
#include <cmath>

using namespace permalloy;
using namespace permalloy::measure;

static constexpr size_t kMemory = size_t(256) << 20, kRead = size_t(4) << 20;
static constexpr long kSteps = 10000;
static constexpr int kCounted = 25; ///< runs of kSteps, 17 us each
static constexpr std::chrono::milliseconds kFresh(20);

Yardstick::Yardstick() : wide((" " + Cpu::host().features + " ").find(" avx512f ") != std::string::npos) {
  Result<Mapping> mapping = Mapping::anonymous(kMemory);
  if (!mapping.ok())
    return;
  memory = std::move(*mapping);
  std::fill_n(memory.data(), kMemory, std::byte(1));
}

/// The clock is the wall's: a call into the system, with its code gone from the caches, would be a tenth of a run. The median leaves
/// out runs that were interrupted.
double Yardstick::fmaRate(std::chrono::microseconds wait) const {
  std::vector<double> rates;
  auto counts = Clock::now() + wait;
  while (rates.size() < kCounted) {
    auto start = Clock::now();
    double done = wide ? fmaAvx512(kSteps) : fmaAvx2(kSteps);
    if (start >= counts)
      rates.push_back(done / std::chrono::duration<double, std::nano>(Clock::now() - start).count());
  }
  return medianOf(std::move(rates));
}

double Yardstick::readRate() {
  if (memory.size() == 0)
    return 0;
  double start = threadTime(), done = readStreams(memory.data() + next, kRead);
  next = (next + kRead) % kMemory;
  return done / (threadTime() - start);
}

MachineSpeed Yardstick::now(std::chrono::microseconds wait) {
  last = {fmaRate(wait), readRate()};
  taken = Clock::now();
  return last;
}

MachineSpeed Yardstick::lately() { return last.isKnown() && Clock::now() - taken < kFresh ? last : now(); }

MachineSpeed measure::between(const MachineSpeed &before, const MachineSpeed &after) {
  return {std::sqrt(before.fmaGflops * after.fmaGflops), std::sqrt(before.readGbps * after.readGbps)};
}
