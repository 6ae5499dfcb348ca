//===- PriceGpu.cpp - what a program takes on a GPU, predicted ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "CompileKernels.h"
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

/// A launch of a kernel with its schedule at some sizes; nothing where these depend on data.
static Result<std::optional<LaunchPrice>> priceOf(kern::KernelOp kernel, unsigned registers, const reference::Symbols &symbols,
                                                  const PriceRequest &request) {
  auto facts = factsOf(kernel, symbols);
  auto grid = facts ? codegen::gridOf(kernel, symbols, registers) : std::nullopt;
  if (!grid)
    return std::optional<LaunchPrice>();
  Result<GpuEstimate> estimate = request.model->predictGpu(*facts, *grid, request.target);
  if (!estimate.ok())
    return estimate.status();
  LaunchPrice launch;
  launch.kernel = kernel.getSymName().str();
  launch.emitter = kern::stringifyEmitter(kernel.getEmitter()).str();
  launch.dtype = facts->dtype;
  launch.schedule = grid->schedule, launch.origin = "default";
  launch.flops = facts->flops, launch.bytes = facts->bytes;
  launch.peakGflops = estimate->peakGflops;
  launch.us = estimate->us(), launch.sigma = kGpuSigma;
  launch.gpu = GpuPrice{std::move(*grid), *estimate};
  return std::optional(std::move(launch));
}

/// Errors of a model that nobody measured are one error: sigma is that of a launch.
static void sum(ProgramPrice &price) {
  for (const LaunchPrice &launch : price.launches)
    price.us += launch.us;
  price.sigma = price.launches.empty() ? 0 : kGpuSigma;
}

Result<ProgramPrice> permalloy::priceGpuProgram(ModuleOp module, const CompileOptions &options, const PriceRequest &request, CompileReport *report) {
  auto failed = [](const std::string &what) { return Status(StatusCode::invalidArgument, what); };
  auto target = codegen::GpuTarget::parse(request.target);
  if (!target)
    return failed(llvm::toString(target.takeError()));
  ArtifactContents launches;
  if (llvm::failed(compileToLaunches(module, options, launches, report)))
    return failed("the program cannot be compiled, so it has no price");
  auto kernels = scheduleGpuKernels(module, *target);
  if (llvm::failed(kernels))
    return failed("a kernel has no schedule, so the program has no price");
  auto registers = registersOf(*kernels, options);
  if (llvm::failed(registers))
    return failed("a kernel cannot be compiled, so the program has no price");
  Result<std::vector<int64_t>> symbols = request.sizes(launches.manifest);
  if (!symbols.ok())
    return symbols.status();
  ProgramPrice price;
  price.model = request.model->kind(), price.gpu = GpuRates::of(request.target);
  price.hasBranches = llvm::any_of(launches.program.steps, [](const Step &step) {
    return step.kind != StepKind::launch && step.kind != StepKind::copy && step.kind != StepKind::bind;
  });
  Status refused;
  Result<size_t> left = forEachLaunch(launches, module, std::move(*symbols), [&](size_t step, kern::KernelOp kernel, const reference::Symbols &sizes) {
    auto scheduled = kernels->module->lookupSymbol<kern::KernelOp>(kernel.getSymName());
    Result<std::optional<LaunchPrice>> launch = priceOf(scheduled, registers->lookup(kernel.getSymName()), sizes, request);
    if (!launch.ok())
      refused = launch.status();
    else if (*launch)
      price.launches.push_back(std::move(**launch)), price.launches.back().step = step, price.launches.back().name = launches.program.steps[step].name;
    else
      ++price.unpriced;
  });
  if (!left.ok() || !refused.ok())
    return left.ok() ? refused : left.status();
  price.unpriced += *left;
  sum(price);
  return price;
}
