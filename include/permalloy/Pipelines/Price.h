//===- Price.h - what a program takes, predicted -----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The one function by which levels, plans and schedules are compared: a program's time is the sum over its launches of what the
// cost model says of (kernel, schedule, target, sizes). Errors of launches of one kernel are one error, those of different kernels
// are taken as independent:
//
//   us = sum of us_i        (sigma us)^2 = sum over kernels of (sum of sigma_i us_i over its launches)^2
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_PIPELINES_PRICE_H
#define PERMALLOY_PIPELINES_PRICE_H

#include "permalloy/CostModel/CostModel.h"
#include "permalloy/Pipelines/Compile.h"

namespace permalloy {

/// How a launch goes over a GPU, and what it takes there.
struct GpuPrice {
  GpuGrid grid;
  GpuEstimate estimate;
};

/// One step of a program.
struct LaunchPrice {
  size_t step = 0;         ///< in the artifact's program
  std::string name;        ///< the model's node names
  std::string kernel;      ///< its name in the module
  std::string emitter, dtype;
  NamedNumbers schedule;
  std::string origin;      ///< "default", "measured" or "predicted"
  double us = 0, sigma = 0; ///< on one thread; sigma is of ln(us)
  double flops = 0, bytes = 0;
  double coldBytes = 0;    ///< of the operands that are no weights: what other launches drove out of the second-level cache
  double peakGflops = 0;   ///< of the unit that it computes on
  CostEstimate prior;
  std::optional<GpuPrice> gpu; ///< instead of `prior`
  const char *bound() const { return gpu ? gpu->estimate.bound() : prior.bound(); }
  /// Schedules that the model knows as slower, best first, with their predicted microseconds.
  std::vector<std::pair<NamedNumbers, double>> rejected;
};

struct ProgramPrice {
  std::vector<LaunchPrice> launches;
  double us = 0, sigma = 0; ///< of one run
  size_t unpriced = 0;      ///< launches whose sizes depend on data: not in the sum
  bool hasBranches = false; ///< of If and Loop, every step counts once
  std::string model;        ///< CostModel::kind
  MachineRates rates;
  const GpuRates *gpu = nullptr; ///< instead of `rates`
};

struct PriceRequest {
  const CostModel *model = nullptr;
  std::string target = "host";
  /// Values of the manifest's symbols, in their order.
  std::function<Result<std::vector<int64_t>>(const artifact::Manifest &)> sizes;
  unsigned rejected = 0; ///< how many slower schedules to list for each launch
};

/// What it takes: the passes of a compilation without its code generation (a clone of the module for each call: it is changed), then
/// about 20 microseconds for each distinct kernel and size, twice that where a kernel's schedule is looked for. Kernels of f32, bf16,
/// codes of 8 and 4 bits, integers and kept blocks are in the training rows; launches of a kernel that the trees extrapolate to have a
/// larger sigma. What depends on data is not in the sum (`unpriced`). Sums over plans of one model share their errors: differences are
/// better than either (docs/cost-model.md).
///
/// Prices what compileToArtifact would make of `module` with these options, on one thread. `module`, which is changed, is as imported
/// or as the passes on `tfm` left it. Errors of passes are emitted as diagnostics, too.
/// `report` gets the plan that was carried out.
Result<ProgramPrice> priceProgram(mlir::ModuleOp module, const CompileOptions &options, const PriceRequest &request,
                                  CompileReport *report = nullptr);

/// As priceProgram, which calls it for a GPU target (`rejected` of kernels whose schedules the prior tells apart). Registers are those that ptxas gives the kernels, where it is
/// found: they are compiled then, or come from the cache.
Result<ProgramPrice> priceGpuProgram(mlir::ModuleOp module, const CompileOptions &options, const PriceRequest &request,
                                     CompileReport *report = nullptr);

/// Calls `visit` with each launch of a program whose sizes do not depend on data, and the values of its kernel's symbols. `symbols`
/// are the manifest's; caches get room for twice of what they hold. Returns how many were left out.
Result<size_t> forEachLaunch(const artifact::ArtifactContents &launches, mlir::ModuleOp module, std::vector<int64_t> symbols,
                             llvm::function_ref<void(size_t step, kern::KernelOp, const reference::Symbols &)> visit);

} // namespace permalloy

#endif // PERMALLOY_PIPELINES_PRICE_H
