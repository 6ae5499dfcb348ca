//===- Main.cpp - kernels beside OpenBLAS, oneDNN and the peak ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//   taskset -c 1 permalloy-kernel-benchmark --benchmark_filter=product/f32 --benchmark_out=out.json
//
// One thread. docs/performance.md says how its tables are made.
//
//===----------------------------------------------------------------------===//
#include "../peaks/peaks.h"
#include "Register.h"

#include <chrono>
#include <cstdlib>
#include <map>
#include <unistd.h>

namespace permalloy::benchmarks {

using Clock = std::chrono::steady_clock;

Timed timed(std::function<void()> run) {
  if (!run)
    return {};
  return [run = std::move(run)] {
    Clock::time_point start = Clock::now();
    run();
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
}

/// What a benchmark runs, made once for all its repetitions; that of the last benchmark only, since a
/// weight may be half a gigabyte.
static Timed &current(const std::string &name, const std::function<Timed()> &make) {
  static std::string of;
  static Timed function;
  if (of != name) {
    function = nullptr;
    function = make();
    of = name;
  }
  return function;
}

void registerBenchmark(const std::string &name, const std::string &who, Work work,
                       std::function<Timed()> make) {
  std::string full = name + "/" + who;
  auto body = [=](::benchmark::State &state) {
    Timed &run = current(full, make);
    if (!run) {
      state.SkipWithError("unsupported by this library on this CPU");
      return;
    }
    run();
    double best = 1e30;
    for (auto _ : state) {
      double seconds = run();
      best = std::min(best, seconds);
      state.SetIterationTime(seconds);
    }
    state.counters["gflops"] = work.operations / best / 1e9;
    state.counters["gbs"] = work.bytes / best / 1e9;
  };
  ::benchmark::RegisterBenchmark(full.c_str(), body)->UseManualTime()->Unit(benchmark::kMicrosecond);
}

void registerPeaks() {
  for (peak_kind kind : {PEAK_AVX2, PEAK_AVX512, PEAK_AMX_BF16}) {
    constexpr long steps = 200000;
    if (!peak_supported(kind))
      continue;
    double operations = peak_compute(kind, 1) * steps;
    registerBenchmark("peak", peak_name(kind), {operations, 0}, [=] {
      return timed([=] { peak_compute(kind, steps); });
    });
  }
  constexpr size_t bytes = size_t(256) << 20;
  registerBenchmark("peak", peak_name(PEAK_READ_4K), {0, double(bytes)}, [=] {
    auto memory = std::make_shared<Memory>(bytes / 4, Element::f32, 0);
    return timed([=] { peak_read(memory->data(), bytes); });
  });
}

} // namespace permalloy::benchmarks

int main(int argc, char **argv) {
  // OpenMP reads this when it is loaded, so set it and begin again.
  if (!getenv("OMP_NUM_THREADS")) {
    setenv("OMP_NUM_THREADS", "1", 1);
    setenv("OPENBLAS_NUM_THREADS", "1", 1);
    execv("/proc/self/exe", argv);
  }
  using namespace permalloy::benchmarks;
  registerPeaks();
  registerProducts();
  registerAttention();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv))
    return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
