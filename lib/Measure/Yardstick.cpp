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
/// Runs of kSteps, 17 us each: until the clock has settled, and those that count.
static constexpr int kSettling = 110, kCounted = 25;
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
double Yardstick::fmaRate() const {
  std::vector<double> rates;
  for (int run = -kSettling; run < kCounted; ++run) {
    auto start = Clock::now();
    double done = wide ? fmaAvx512(kSteps) : fmaAvx2(kSteps);
    if (run >= 0)
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

MachineSpeed Yardstick::now() {
  last = {fmaRate(), readRate()};
  taken = Clock::now();
  return last;
}

MachineSpeed Yardstick::lately() { return last.isKnown() && Clock::now() - taken < kFresh ? last : now(); }

MachineSpeed measure::between(const MachineSpeed &before, const MachineSpeed &after) {
  return {std::sqrt(before.fmaGflops * after.fmaGflops), std::sqrt(before.readGbps * after.readGbps)};
}
