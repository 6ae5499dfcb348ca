//===- SchedulePrice.cpp - schedules of GPU kernels, priced ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Codegen/GPU/SchedulePrice.h"
#include "../CPU/AttentionKernel.h"
#include "Forms.h"

#include "llvm/ADT/StringSet.h"

#include <cmath>
#include <tuple>
#include <utility>

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;

/// Rows of the usual requests, where a dimension varies, and how many came before a single one.
static constexpr int64_t kUsualLengths[] = {1, 16, 128, 512, 2048}, kUsualPasts[] = {512, 2048};
/// What a schedule must gain over the form's own: nothing was measured, and a rule had reasons that the prior may not know. And
/// what it may lose at a size: nothing but rounding.
static constexpr double kLeastGain = 1.1, kMostLoss = 1.005;
/// Changes of one parameter after each other, each of which gains at least this much.
static constexpr unsigned kSteps = 8;
static constexpr double kStepGain = 1.02;
/// Of the registers that ptxas may give, what an estimate may ask for.
static constexpr double kRegisterShare = 0.9;

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
  NamedNumbers schedule = numbersOf(kernel.getScheduleAttr());
  return GpuGrid{form->name.str(), std::move(schedule), launch->threads,  registers,
                 double(*blocks),  uint64_t(*shared),   launch->registers};
}

static void addSymbols(tfm::DimExprAttr expr, llvm::StringSet<> &names) {
  expr.walkSymbols([&](StringRef name) { names.insert(name); });
}

/// Symbols of the batch, and of the rows of a sequence, where others are what came before. Of an attention that is known; else what
/// stands first in an argument that varies further behind is the batch, and only that is told from the rest.
static std::pair<llvm::StringSet<>, llvm::StringSet<>> batchAndRows(kern::KernelOp kernel) {
  llvm::StringSet<> batch, rows;
  if (tfm::AttentionOp attention = findAttention(kernel)) {
    AttentionSizes sizes = attentionSizes(attention, kernel);
    addSymbols(sizes.queries, rows);
    addSymbols(sizes.batch, batch);
    return {batch, rows};
  }
  for (auto symbol : kernel.getSymbols().getAsRange<StringAttr>())
    rows.insert(symbol.getValue());
  for (BlockArgument argument : kernel.getBlock().getArguments()) {
    tfm::Dims dims = kern::argDims(kernel, argument.getArgNumber());
    auto varies = [](tfm::DimExprAttr dim) { return !dim.asConstant(); };
    if (dims.size() > 1 && varies(dims.front()) && llvm::any_of(ArrayRef(dims).drop_front(), varies))
      addSymbols(dims.front(), batch);
  }
  return {batch, rows};
}

std::vector<reference::Symbols> codegen::usualSizes(kern::KernelOp kernel) {
  auto symbols = llvm::map_to_vector(kernel.getSymbols().getAsRange<StringAttr>(), [](StringAttr symbol) { return symbol.getValue(); });
  if (symbols.empty())
    return {{}};
  auto [batch, rows] = batchAndRows(kernel);
  std::vector<reference::Symbols> sizes;
  auto add = [&, &batch = batch, &rows = rows](int64_t length, int64_t others) {
    reference::Symbols &size = sizes.emplace_back();
    for (StringRef symbol : symbols)
      size[symbol] = rows.contains(symbol) && !batch.contains(symbol) ? length : batch.contains(symbol) ? 1 : others;
  };
  bool onlyBatch = llvm::all_of(symbols, [&, &batch = batch](StringRef symbol) { return batch.contains(symbol); });
  if (onlyBatch) // it varies
    rows = std::exchange(batch, {});
  for (int64_t length : kUsualLengths)
    add(length, length);
  if (llvm::any_of(symbols, [&, &batch = batch, &rows = rows](StringRef symbol) { return !batch.contains(symbol) && !rows.contains(symbol); }))
    for (int64_t past : kUsualPasts)
      add(1, past);
  return sizes;
}

GpuSchedulePricer::GpuSchedulePricer(kern::KernelOp kernel, const GpuTarget &target, const std::vector<reference::Symbols> &wanted)
    : kernel(cast<kern::KernelOp>(kernel->clone())), target(target), rates(GpuRates::of(target.name)) {
  for (const reference::Symbols &symbols : wanted)
    if (auto facts = factsOf(kernel, symbols))
      sizes.push_back({symbols, std::move(*facts)});
}

double GpuSchedulePricer::Price::mean() const {
  double sum = 0;
  for (double each : us)
    sum += std::log(each);
  return std::exp(sum / double(us.size()));
}

std::optional<GpuSchedulePricer::Price> GpuSchedulePricer::price(DictionaryAttr schedule) const {
  if (sizes.empty() || !rates)
    return std::nullopt;
  kern::KernelOp own = *kernel;
  ScopedDiagnosticHandler silent(own.getContext(), [](Diagnostic &) { return success(); });
  if (failed(setGpuSchedule(own, target, schedule)))
    return std::nullopt;
  Price price;
  for (const auto &[symbols, facts] : sizes) {
    auto grid = gridOf(own, symbols);
    if (!grid)
      return std::nullopt;
    price.us.push_back(estimateGpu(facts, *grid, *rates).us());
    price.registers = registerDemand(*grid), price.threads = grid->threads;
  }
  return price;
}

namespace {
/// The search from the schedule that stands on a kernel.
class Search {
public:
  using Values = ScheduleSpace::Values;
  using Price = GpuSchedulePricer::Price;
  Search(kern::KernelOp kernel, const GpuTarget &target, const ScheduleSpace &space)
      : kernel(kernel), space(space), pricer(kernel, target) {}

  std::optional<GpuChoice> run();

private:
  DictionaryAttr scheduleOf(const Values &values) const { return gpuSchedule(kernel, space, values); }
  bool isSafe(const Price &price) const;

  kern::KernelOp kernel;
  const ScheduleSpace &space;
  GpuSchedulePricer pricer;
  Price usual; ///< of the schedule to beat
};
} // namespace

/// Whether it spills no register that the usual one does not, and is slower nowhere.
bool Search::isSafe(const Price &price) const {
  for (auto [us, other] : llvm::zip_equal(price.us, usual.us))
    if (us > kMostLoss * other)
      return false;
  return price.registers <= std::max(kRegisterShare * mostRegisters(price.threads), std::min(usual.registers, double(mostRegisters(price.threads))));
}

std::optional<GpuChoice> Search::run() {
  auto start = space.values(formParameters(kernel));
  auto own = pricer.price(kernel.getScheduleAttr());
  if (!start || !own)
    return (llvm::consumeError(start.takeError()), std::nullopt);
  usual = *own;
  Values best = *start;
  double least = usual.mean();
  for (unsigned step = 0; step < kSteps; ++step) {
    Values next = best;
    double wanted = least / kStepGain;
    for (const Values &values : space.neighbours(best))
      if (auto price = pricer.price(scheduleOf(values)); price && price->mean() < wanted && isSafe(*price))
        next = values, wanted = price->mean();
    if (next == best)
      break;
    best = next, least = wanted;
  }
  if (usual.mean() < kLeastGain * least)
    return std::nullopt;
  return GpuChoice{scheduleOf(best), usual.mean() / least};
}

/// The schedules of a kernel's form where the prior tells them apart; null elsewhere. Of codes it does not know what decoding takes,
/// which each warp of a tile's rows does anew, nor registers of scales and zero points.
static std::unique_ptr<ScheduleSpace> rankedSpace(kern::KernelOp kernel, const GpuTarget &target) {
  const GpuForm *form = gpuFormOf(kernel);
  bool hasCodes = !kernel.getBlock().getOps<tfm::DequantizeOp>().empty();
  return form && ranksSchedules(form->name) && !hasCodes ? gpuScheduleSpace(kernel, target) : nullptr;
}

std::optional<GpuChoice> codegen::fasterGpuSchedule(kern::KernelOp kernel, const GpuTarget &target) {
  auto space = rankedSpace(kernel, target);
  return space ? Search(kernel, target, *space).run() : std::nullopt;
}

std::vector<std::pair<NamedNumbers, double>> codegen::rankedGpuNeighbours(kern::KernelOp kernel, const GpuTarget &target,
                                                                          const reference::Symbols &symbols, size_t count) {
  std::vector<std::pair<NamedNumbers, double>> ranked;
  auto space = rankedSpace(kernel, target);
  if (!space)
    return ranked;
  GpuSchedulePricer pricer(kernel, target, {symbols});
  auto own = space->values(formParameters(kernel));
  auto usual = pricer.price(kernel.getScheduleAttr());
  if (!own || !usual)
    return (llvm::consumeError(own.takeError()), ranked);
  for (const ScheduleSpace::Values &values : space->neighbours(*own))
    if (auto price = pricer.price(gpuSchedule(kernel, *space, values)))
      ranked.push_back({space->named(values), price->mean() / usual->mean()});
  llvm::sort(ranked, [](const auto &a, const auto &b) { return std::tie(a.second, a.first) < std::tie(b.second, b.first); });
  ranked.resize(std::min(ranked.size(), count));
  return ranked;
}
