//===- SchedulePrice.cpp - schedules of GPU kernels, priced ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Codegen/GPU/SchedulePrice.h"
#include "Forms.h"

#include <cmath>

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;

/// Rows of the usual requests, where a dimension varies.
static constexpr int64_t kUsualLengths[] = {1, 16, 128, 512, 2048};
/// What a schedule must gain over one that was named before it.
static constexpr double kGain = 1.03;

static std::optional<int64_t> valueOf(tfm::DimExprAttr expr, const reference::Symbols &symbols) {
  std::string error;
  return expr ? reference::evaluate(expr, symbols, error) : std::optional<int64_t>(0);
}

std::optional<GpuGrid> codegen::gridOf(kern::KernelOp kernel, const reference::Symbols &symbols, unsigned registers) {
  const GpuForm *form = gpuFormOf(kernel);
  auto launch = form ? form->launch(kernel) : FailureOr<GpuLaunch>(failure());
  if (failed(launch))
    return std::nullopt;
  auto blocks = valueOf(launch->blocks, symbols), shared = valueOf(launch->sharedBytes, symbols);
  if (!blocks || !shared)
    return std::nullopt;
  GpuGrid grid{form->name.str(), {}, launch->threads, registers, double(*blocks), uint64_t(*shared)};
  for (NamedAttribute entry : formParameters(kernel))
    if (auto value = dyn_cast<IntegerAttr>(entry.getValue()))
      grid.schedule.push_back({entry.getName().str(), value.getInt()});
  llvm::sort(grid.schedule);
  return grid;
}

GpuSchedulePricer::GpuSchedulePricer(kern::KernelOp kernel, const GpuTarget &target)
    : kernel(kernel), target(target), rates(GpuRates::of(target.name)) {
  for (int64_t length : ArrayRef(kUsualLengths).take_front(kernel.getSymbols().empty() ? 1 : std::size(kUsualLengths))) {
    reference::Symbols symbols;
    for (auto [index, symbol] : llvm::enumerate(kernel.getSymbols().getAsRange<StringAttr>()))
      symbols[symbol.getValue()] = index == 0 && kernel.getSymbols().size() > 1 ? 1 : length; // the first is the batch
    if (auto facts = factsOf(kernel, symbols))
      sizes.push_back({std::move(symbols), std::move(*facts)});
  }
}

std::optional<double> GpuSchedulePricer::us(DictionaryAttr schedule) const {
  if (sizes.empty() || !rates)
    return std::nullopt;
  OwningOpRef<kern::KernelOp> copy = cast<kern::KernelOp>(kernel->clone());
  ScopedDiagnosticHandler silent(copy->getContext(), [](Diagnostic &) { return success(); });
  if (failed(setGpuSchedule(*copy, target, schedule)))
    return std::nullopt;
  double sum = 0;
  for (const auto &[symbols, facts] : sizes) {
    auto grid = gridOf(*copy, symbols);
    if (!grid)
      return std::nullopt;
    sum += std::log(estimateGpu(facts, *grid, *rates).us());
  }
  return std::exp(sum / double(sizes.size()));
}

DictionaryAttr GpuSchedulePricer::fastest(ArrayRef<DictionaryAttr> candidates) const {
  DictionaryAttr best;
  double least = INFINITY;
  for (DictionaryAttr candidate : candidates)
    if (auto price = us(candidate); price && *price * kGain < least)
      best = candidate, least = *price;
  return best;
}

std::optional<double> codegen::priceGpuSchedule(kern::KernelOp kernel, const GpuTarget &target, DictionaryAttr schedule) {
  return GpuSchedulePricer(kernel, target).us(schedule);
}
