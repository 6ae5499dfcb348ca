//===- GpuCandidate.cpp - a kernel with one schedule on a GPU, timed *- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Measure/GpuCandidate.h"
#include "permalloy/Codegen/GPU/GpuKernel.h"
#include "permalloy/Measure/Candidate.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/MathExtras.h"

#include <algorithm>
#include <cmath>

using namespace permalloy;
using namespace permalloy::measure;

/// Copies of a weight at most, and what a batch takes, with its launches at most: a graph has a node for each.
static constexpr uint64_t kMostCopies = 64;
static constexpr double kBatchNs = 200e3;
static constexpr unsigned kMostLaunches = 64, kLeastBatches = 5, kFewBatches = 3, kMostBatches = 50, kAttempts = 3;

static Status failed(llvm::Error error) { return {StatusCode::invalidArgument, llvm::toString(std::move(error))}; }

Result<GpuBuffers> GpuBuffers::make(int device, kern::KernelOp kernel, const reference::Symbols &symbols, WeightArena &arena, uint64_t span) {
  auto host = KernelBuffers::make(kernel, symbols, arena);
  if (!host)
    return failed(host.takeError());
  GpuBuffers result;
  uint64_t weightBytes = 0;
  for (const KernelBuffers::Buffer &buffer : host->layout())
    weightBytes += buffer.isWeight ? buffer.bytes : 0;
  uint64_t copies = weightBytes > 0 ? std::clamp<uint64_t>(span / weightBytes, 1, kMostCopies) : 1;
  result.words.resize(copies);
  result.span = copies * weightBytes;
  void *const *addresses = host->next();
  for (auto [index, buffer] : llvm::enumerate(host->layout()))
    for (uint64_t copy = 0; copy < copies; ++copy) {
      if (copy > 0 && !buffer.isWeight) {
        result.words[copy].push_back(result.words[0][index]);
        continue;
      }
      Result<std::shared_ptr<void>> memory = allocateOnGpu(device, std::max<uint64_t>(buffer.bytes, 16));
      if (!memory.ok())
        return memory.status();
      PERMALLOY_TRY(copyMemory({memory->get(), device}, {addresses[index], kHostMemory}, buffer.bytes));
      result.words[copy].push_back(reinterpret_cast<uint64_t>(memory->get()));
      result.memory.push_back(std::move(*memory));
    }
  for (auto symbol : kernel.getSymbols().getAsRange<mlir::StringAttr>())
    for (std::vector<uint64_t> &launch : result.words)
      launch.push_back(uint64_t(symbols.lookup(symbol.getValue())));
  return result;
}

Result<GpuTimer> measure::gpuTimerFor(int device, kern::KernelOp kernel, llvm::StringRef name, const codegen::GpuCode &code,
                                      const reference::Symbols &symbols, const GpuBuffers &buffers) {
  codegen::GpuLaunch launch = codegen::gpuLaunch(kernel);
  std::string error;
  auto value = [&](tfm::DimExprAttr expr) { return expr ? reference::evaluate(expr, symbols, error) : std::optional<int64_t>(0); };
  auto blocks = value(launch.blocks), shared = value(launch.sharedBytes), scratch = value(launch.scratchBytes);
  if (!blocks || !shared || !scratch || *blocks <= 0)
    return Status(StatusCode::invalidArgument, error.empty() ? "its grid is empty" : error);
  auto *bytes = reinterpret_cast<const std::byte *>(code.cubin.bytes.data());
  GpuKernelCode image{name.str(), {bytes, code.cubin.bytes.size()}, code.ptx};
  GpuKernelGrid grid{unsigned(*blocks), launch.threads, unsigned(*shared), uint64_t(*scratch)};
  return GpuTimer::open(device, image, grid, buffers.parameters());
}

/// Launches of a batch, all buffers in turn the same number of times, and the time of one.
static Status sizeBatch(GpuTimer &timer, unsigned &launches, double &oneNs) {
  for (unsigned i = 0; i < 2; ++i) { // the first one loads the code
    Result<double> one = timer.run(1);
    if (!one.ok())
      return one.status();
    oneNs = std::max(*one, 100.0);
  }
  launches = unsigned(std::clamp(std::ceil(kBatchNs / oneNs), 1.0, double(kMostLaunches)));
  launches = unsigned(llvm::alignTo(launches, timer.turns())); // a graph that takes some of them only finds these in the cache
  if (launches > 1) // the first run of a graph loads it
    for (unsigned i = 0; i < 2; ++i) {
      Result<double> more = timer.run(launches);
      if (!more.ok())
        return more.status();
      oneNs = *more;
    }
  return {};
}

static unsigned batchesFor(double budgetNs, double batchNs) {
  return batchNs > budgetNs ? kFewBatches : unsigned(std::clamp(budgetNs / batchNs, double(kLeastBatches), double(kMostBatches)));
}

static Result<Timing> timeOnce(GpuTimer &timer, unsigned launches, double one, llvm::function_ref<bool()> stop, double budgetNs) {
  std::vector<double> times;
  for (unsigned left = batchesFor(budgetNs, one * launches); left > 0 && (times.empty() || !stop()); --left) {
    Result<double> time = timer.run(launches);
    if (!time.ok())
      return time.status();
    times.push_back(*time);
  }
  return timingOf(times);
}

Result<Timing> measure::timeLaunches(GpuTimer &timer, llvm::function_ref<bool()> stop, double budgetNs) {
  unsigned launches;
  double one;
  PERMALLOY_TRY(sizeBatch(timer, launches, one));
  Result<Timing> best = timeOnce(timer, launches, one, stop, budgetNs);
  for (unsigned attempt = 1; attempt < kAttempts && best.ok() && !best->isSteady() && !stop(); ++attempt) {
    Result<Timing> again = timeOnce(timer, launches, one, stop, budgetNs);
    if (!again.ok() || again->madNs / again->medianNs < best->madNs / best->medianNs)
      best = std::move(again);
  }
  return best;
}

Result<std::pair<Timing, Timing>> measure::timeLaunchesByTurns(GpuTimer &first, GpuTimer &second, llvm::function_ref<bool()> stop, double budgetNs) {
  GpuTimer *timers[] = {&first, &second};
  unsigned launches[2];
  double one[2], batch = 0;
  for (unsigned i = 0; i < 2; ++i) {
    PERMALLOY_TRY(sizeBatch(*timers[i], launches[i], one[i]));
    batch += one[i] * launches[i] / 2;
  }
  std::vector<double> times[2];
  for (unsigned left = batchesFor(budgetNs, batch); left > 0 && (times[1].empty() || !stop()); --left)
    for (unsigned i = 0; i < 2; ++i) {
      Result<double> time = timers[i]->run(launches[i]);
      if (!time.ok())
        return time.status();
      times[i].push_back(*time);
    }
  return std::pair(timingOf(times[0]), timingOf(times[1]));
}
