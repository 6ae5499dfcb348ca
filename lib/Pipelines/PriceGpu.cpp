//===- PriceGpu.cpp - what a program takes on a GPU, predicted ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "CompileKernels.h"
#include "UnpricedProgram.h"
#include "permalloy/Codegen/GPU/PtxEmission.h"
#include "permalloy/Codegen/GPU/SchedulePrice.h"
#include "permalloy/Pipelines/Price.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::artifact;

/// Registers of a thread of each kernel, by name; empty where there is no ptxas.
static FailureOr<llvm::StringMap<unsigned>> registersOf(ScheduledGpuKernels &kernels, const CompileOptions &options) {
  llvm::StringMap<unsigned> registers;
  if (!codegen::findPtxas())
    return registers;
  unsigned fromCache = 0;
  auto image = compileGpuKernels(kernels, options, fromCache);
  if (failed(image))
    return failure();
  for (const auto &entry : image->entries)
    registers[entry.first()] = entry.second.registers;
  return registers;
}

namespace {
/// Prices the launches of one program; equal launches are asked for once.
class GpuPricer {
public:
  GpuPricer(ScheduledGpuKernels &kernels, const TunedSchedules &tuned, const llvm::StringMap<unsigned> &registers, const PriceRequest &request)
      : kernels(kernels), tuned(tuned), registers(registers), request(request) {}

  /// A launch of a kernel at some sizes; nothing where these depend on data.
  Result<std::optional<LaunchPrice>> priceOf(StringRef name, const reference::Symbols &symbols);

private:
  Result<std::optional<LaunchPrice>> price(kern::KernelOp kernel, const reference::Symbols &symbols);

  ScheduledGpuKernels &kernels;
  const TunedSchedules &tuned;
  const llvm::StringMap<unsigned> &registers;
  const PriceRequest &request;
  llvm::StringMap<std::optional<LaunchPrice>> known;
};
} // namespace

Result<std::optional<LaunchPrice>> GpuPricer::price(kern::KernelOp kernel, const reference::Symbols &symbols) {
  auto facts = factsOf(kernel, symbols);
  auto grid = facts ? codegen::gridOf(kernel, symbols, registers.lookup(kernel.getSymName())) : std::nullopt;
  if (!grid)
    return std::optional<LaunchPrice>();
  Result<GpuEstimate> estimate = request.model->predictGpu(*facts, *grid, request.target);
  if (!estimate.ok())
    return estimate.status();
  LaunchPrice launch;
  launch.kernel = kernel.getSymName().str();
  launch.emitter = kern::stringifyEmitter(kernel.getEmitter()).str();
  launch.dtype = facts->dtype;
  launch.schedule = grid->schedule, launch.origin = tuned.originOf(launch.kernel, request.target);
  launch.flops = facts->flops, launch.bytes = facts->bytes;
  launch.peakGflops = estimate->peakGflops;
  launch.us = estimate->us(), launch.sigma = kGpuSigma;
  launch.gpu = GpuPrice{std::move(*grid), *estimate};
  for (auto &[schedule, share] : codegen::rankedGpuNeighbours(kernel, kernels.target, symbols, request.rejected))
    launch.rejected.push_back({std::move(schedule), share * launch.us});
  return std::optional(std::move(launch));
}

Result<std::optional<LaunchPrice>> GpuPricer::priceOf(StringRef name, const reference::Symbols &symbols) {
  auto kernel = kernels.module->lookupSymbol<kern::KernelOp>(name);
  std::string key = name.str();
  for (auto symbol : kernel.getSymbols().getAsRange<StringAttr>())
    key += " " + std::to_string(symbols.lookup(symbol.getValue()));
  if (auto entry = known.find(key); entry != known.end())
    return entry->second;
  Result<std::optional<LaunchPrice>> launch = price(kernel, symbols);
  if (launch.ok())
    known[key] = *launch;
  return launch;
}

/// Errors of a model that nobody measured are one error: sigma is that of a launch.
static void sum(ProgramPrice &price) {
  for (const LaunchPrice &launch : price.launches)
    price.us += launch.us;
  price.sigma = price.launches.empty() ? 0 : kGpuSigma;
}

Result<ProgramPrice> permalloy::priceGpuProgram(ModuleOp module, const CompileOptions &options,
                                                const PriceRequest &request,
                                                CompileReport *report) {
  auto target = codegen::GpuTarget::parse(request.target);
  if (!target)
    return noPrice(llvm::toString(target.takeError()));
  Result<UnpricedProgram> program = UnpricedProgram::of(module, options, request, report);
  if (!program.ok())
    return program.status();
  auto kernels = scheduleGpuKernels(module, *target, program->tuned);
  if (failed(kernels))
    return noPrice("a kernel has no schedule, so the program has no price");
  auto registers = registersOf(*kernels, options);
  if (failed(registers))
    return noPrice("a kernel cannot be compiled, so the program has no price");
  ProgramPrice price;
  price.model = request.model->kind(), price.gpu = GpuRates::of(request.target);
  price.hasBranches = program->hasBranches();
  Status refused;
  GpuPricer pricer(*kernels, program->tuned, *registers, request);
  auto visit = [&](size_t step, kern::KernelOp kernel, const reference::Symbols &sizes) {
    Result<std::optional<LaunchPrice>> launch = pricer.priceOf(kernel.getSymName(), sizes);
    if (!launch.ok()) {
      refused = launch.status();
    } else if (*launch) {
      (*launch)->step = step, (*launch)->name = program->launches.program.steps[step].name;
      price.launches.push_back(std::move(**launch));
    } else {
      ++price.unpriced;
    }
  };
  Result<size_t> left = forEachLaunch(program->launches, module, program->symbols, visit);
  if (!left.ok() || !refused.ok())
    return left.ok() ? refused : left.status();
  price.unpriced += *left;
  sum(price);
  return price;
}
