//===- Register.h - benchmarks of one kind of kernel ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_BENCHMARKS_KERNELS_REGISTER_H
#define PERMALLOY_BENCHMARKS_KERNELS_REGISTER_H

#include "Memory.h"

#include <benchmark/benchmark.h>
#include <functional>
#include <string>

namespace permalloy::benchmarks {

/// What a run of a benchmark does, for its rates.
struct Work {
  double operations, bytes;
};

/// A function that runs once and returns the seconds it took.
using Timed = std::function<double()>;

/// Registers "NAME/WHO". `make` is called when the benchmark first runs, so that only what is
/// selected is compiled; an empty function skips it. Counters: gflops, gbs.
void registerBenchmark(const std::string &name, const std::string &who, Work work,
                       std::function<Timed()> make);
/// The seconds of a call, by the clock.
Timed timed(std::function<void()> run);

void registerProducts();
void registerAttention();
void registerPeaks();

} // namespace permalloy::benchmarks

#endif // PERMALLOY_BENCHMARKS_KERNELS_REGISTER_H
