//===- Price.cpp - what a program takes, predicted ---------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Pipelines/Price.h"
#include "CompileKernels.h"
#include "ScheduleChoice.h"
#include "UnpricedProgram.h"

#include "permalloy/Analysis/SymbolicShapes.h"
#include "permalloy/Artifact/Expressions.h"
#include "permalloy/Codegen/KernelEmitter.h"
#include "permalloy/Reference/Tensor.h"

#include <cmath>
#include <map>

using namespace mlir;
using namespace permalloy;
using namespace permalloy::artifact;

/// Whether an expression mentions a size that depends on data.
static bool mentionsData(const ArtifactContents &launches, uint32_t index) {
  const Expr &expr = launches.program.expressions[index];
  if (expr.op == ExprOp::symbol)
    return isDataSymbol(launches.manifest.symbols[size_t(expr.value)].name);
  return expr.op != ExprOp::constant && (mentionsData(launches, expr.lhs) || mentionsData(launches, expr.rhs));
}

Result<size_t> permalloy::forEachLaunch(const ArtifactContents &launches, ModuleOp module, std::vector<int64_t> symbols,
                                        function_ref<void(size_t, kern::KernelOp, const reference::Symbols &)> visit) {
  // What no input gives: capacities of caches.
  size_t bound = launches.manifest.inputSymbols().size();
  int64_t largest = 1;
  for (size_t i = 0; i < bound; ++i)
    largest = std::max(largest, symbols[i]);
  for (size_t i = bound; i < symbols.size(); ++i)
    symbols[i] = 2 * largest;
  std::vector<int64_t> values;
  PERMALLOY_TRY(evaluateAll(launches.program.expressions, launches.manifest.symbols, symbols, values));
  size_t left = 0;
  for (auto [index, step] : llvm::enumerate(launches.program.steps)) {
    if (step.kind != StepKind::launch)
      continue;
    auto kernel = module.lookupSymbol<kern::KernelOp>(launches.program.kernels[step.kernel].name);
    if (!kernel || llvm::any_of(step.scalars, [&](uint32_t scalar) { return mentionsData(launches, scalar); })) {
      ++left;
      continue;
    }
    reference::Symbols sizes;
    for (auto [symbol, scalar] : llvm::zip(kernel.getSymbols(), step.scalars))
      sizes[cast<StringAttr>(symbol).getValue()] = values[scalar];
    visit(index, kernel, sizes);
  }
  return left;
}

/// Of the unit that a kernel's products run on.
static double peakOf(const KernelFacts &facts, const NamedNumbers &schedule, const MachineRates &rates, const TargetUnits &units) {
  Machine machine(rates, units);
  bool onTiles = parameterOf(schedule, "epilogue_rows", 0) > 0 || (facts.heads > 0 && facts.keyBits == 16 && !parameterOf(schedule, "query_vectors", 0));
  if (onTiles && machine.amxGflops > 0)
    return facts.isInteger ? rates.amxInt8Gops : machine.amxGflops;
  return machine.peakGflops * (facts.isInteger ? machine.int8PerFma : 1);
}

namespace {
/// Which operands have left the second-level cache since the program touched them last. Kernels are measured with everything but
/// weights in the caches; in a program the weights of the launches between drive that out. Distances are bytes moved; what a launch
/// touches counts as touched in its middle.
class Reuse {
public:
  Reuse(double l2Bytes, double l3Bytes) : most(kPart * l2Bytes), mostOfL3(kPartOfL3 * l3Bytes) {}

  /// Bytes of operands that come from the third-level cache, and from memory.
  struct Cold {
    double cached = 0, memory = 0;
  };
  /// Of a launch, which moves `moved`, in a program whose weights take `span`. `bytes` has an entry for each operand.
  Cold coldBytes(const Step &step, ArrayRef<double> bytes, double moved, double span);

private:
  /// Of the cache, what a reuse may be apart.
  static constexpr double kPart = 0.5, kPartOfL3 = 0.75;
  double most, mostOfL3, position = 0;
  std::map<std::pair<OperandKind, uint32_t>, double> touched;
};

/// Prices the launches of one program; equal launches are asked for once.
class Pricer {
public:
  Pricer(ScheduledKernels &kernels, const TunedSchedules &tuned, const PriceRequest &request, ProgramPrice &price)
      : kernels(kernels), tuned(tuned), request(request), price(price), target(kernels.target.name.str()) {}

  void add(size_t index, const Step &step, kern::KernelOp kernel, const reference::Symbols &symbols);
  /// Prices what was added: how far apart the reads of a weight are is known by then.
  void finish();

private:
  /// A kernel at some sizes.
  struct Known {
    kern::KernelOp kernel;
    std::optional<KernelFacts> facts;
    SmallVector<double> operandBytes;
    std::optional<LaunchPrice> price;
  };
  LaunchPrice priceOf(Known &known);
  void priceLaunch(size_t index, const Step &step, Known &known);
  void sum();

  ScheduledKernels &kernels;
  const TunedSchedules &tuned;
  const PriceRequest &request;
  ProgramPrice &price;
  std::string target;
  Reuse reuse{double(request.model->rates().l2Bytes), double(request.model->rates().l3Bytes)};
  llvm::StringMap<Known> known;
  struct Waiting {
    size_t index;
    const Step *step;
    Known *known;
  };
  std::vector<Waiting> waiting;
  double weightSpan = 0;
};
} // namespace

Reuse::Cold Reuse::coldBytes(const Step &step, ArrayRef<double> bytes, double moved, double span) {
  Cold cold;
  for (auto [operand, size] : llvm::zip(step.operands, bytes)) {
    if (operand.kind == OperandKind::weight)
      continue;
    auto last = touched.find({operand.kind, operand.index});
    // A cache was last read a whole run ago; appending a row brings little of it.
    double apart = operand.kind == OperandKind::cache ? std::max(span, 2 * most) : last != touched.end() ? position - last->second : 0;
    if (apart > most)
      (apart > mostOfL3 ? cold.memory : cold.cached) += size;
  }
  for (const Operand &operand : step.operands)
    touched[{operand.kind, operand.index}] = position + moved / 2;
  position += moved;
  return cold;
}

/// Bytes of each buffer of a kernel: arguments, then results.
static SmallVector<double> operandBytesOf(kern::KernelOp kernel, const reference::Symbols &symbols) {
  SymbolicShapes shapes;
  SmallVector<double> bytes;
  auto add = [&](Value value) {
    std::string error;
    auto elements = reference::evaluate(shapes.numElements(value), symbols, error);
    auto type = cast<RankedTensorType>(value.getType());
    bytes.push_back(type.getEncoding() ? 0 : double(elements.value_or(0)) * double(reference::elementBytes(reference::elementOf(type.getElementType()))));
  };
  for (BlockArgument argument : kernel.getBlock().getArguments())
    add(argument);
  for (Value result : kernel.yielded())
    add(result);
  return bytes;
}

LaunchPrice Pricer::priceOf(Known &known) {
  kern::KernelOp kernel = known.kernel;
  KernelFacts *facts = &*known.facts;
  facts->weightSpan = weightSpan;
  LaunchPrice launch;
  launch.kernel = kernel.getSymName().str();
  launch.emitter = kern::stringifyEmitter(kernel.getEmitter()).str();
  launch.dtype = facts->dtype;
  launch.schedule = kernel.getScheduleAttr() ? numbersOf(kernel.getScheduleAttr()) : NamedNumbers();
  launch.origin = tuned.originOf(launch.kernel, target);
  CostAnswer answer = request.model->predict(*facts, launch.schedule, target);
  launch.us = answer.us, launch.sigma = answer.sigma, launch.prior = answer.prior;
  launch.flops = facts->flops, launch.bytes = facts->bytes;
  launch.peakGflops = peakOf(*facts, launch.schedule, request.model->rates(), unitsOf(target));
  auto space = request.rejected ? codegen::scheduleSpace(kernel, kernels.target) : nullptr;
  if (!space)
    return launch;
  if (auto values = space->values(kernel.getScheduleAttr()))
    launch.rejected = rankedNeighbours(*space, *values, *facts, *request.model, target, request.rejected);
  else
    llvm::consumeError(values.takeError());
  return launch;
}

void Pricer::add(size_t index, const Step &step, kern::KernelOp kernel, const reference::Symbols &symbols) {
  std::string key = kernel.getSymName().str();
  for (auto symbol : kernel.getSymbols().getAsRange<StringAttr>())
    key += " " + std::to_string(symbols.lookup(symbol.getValue()));
  auto [entry, isNew] = known.try_emplace(key);
  if (isNew) {
    auto scheduled = kernels.module->lookupSymbol<kern::KernelOp>(kernel.getSymName());
    entry->second = {scheduled, factsOf(scheduled, symbols), operandBytesOf(kernel, symbols), std::nullopt};
  }
  if (!entry->second.facts) {
    ++price.unpriced;
    return;
  }
  weightSpan += entry->second.facts->weightBytes;
  waiting.push_back({index, &step, &entry->second});
}

void Pricer::priceLaunch(size_t index, const Step &step, Known &known) {
  if (!known.price)
    known.price = priceOf(known);
  LaunchPrice launch = *known.price;
  launch.step = index, launch.name = step.name;
  Reuse::Cold cold = reuse.coldBytes(step, known.operandBytes, launch.bytes, weightSpan);
  launch.coldBytes = std::min(cold.cached + cold.memory, launch.bytes);
  const MachineRates &rates = request.model->rates();
  if (launch.coldBytes > 0) // operands that are read in part only count by that part
    launch.us += launch.coldBytes / (cold.cached + cold.memory) *
                 (cold.cached * (1 / rates.l3 - 1 / rates.l2) + cold.memory * (1 / rates.memory - 1 / rates.l2)) / 1e3;
  price.launches.push_back(std::move(launch));
}

void Pricer::finish() {
  for (auto &[index, step, known] : waiting)
    priceLaunch(index, *step, *known);
  sum();
}

void Pricer::sum() {
  llvm::StringMap<double> deviations;
  for (const LaunchPrice &launch : price.launches) {
    price.us += launch.us;
    deviations[launch.kernel] += launch.us * launch.sigma;
  }
  double squares = 0;
  for (const auto &entry : deviations)
    squares += entry.second * entry.second;
  price.sigma = price.us > 0 ? std::sqrt(squares) / price.us : 0;
}

Result<UnpricedProgram> UnpricedProgram::of(ModuleOp module, const CompileOptions &options,
                                            const PriceRequest &request, CompileReport *report) {
  ArtifactContents launches;
  if (failed(compileToLaunches(module, options, launches, report)))
    return noPrice("the program cannot be compiled, so it has no price");
  auto tuned = TunedSchedules::load(module, options);
  if (failed(tuned))
    return noPrice("the tuning database cannot be read");
  Result<std::vector<int64_t>> symbols = request.sizes(launches.manifest);
  if (!symbols.ok())
    return symbols.status();
  return UnpricedProgram{std::move(launches), std::move(*tuned), std::move(*symbols)};
}

bool UnpricedProgram::hasBranches() const {
  return llvm::any_of(launches.program.steps, [](const Step &step) {
    return step.kind != StepKind::launch && step.kind != StepKind::copy && step.kind != StepKind::bind;
  });
}

Result<ProgramPrice> permalloy::priceProgram(ModuleOp module, const CompileOptions &options,
                                             const PriceRequest &request, CompileReport *report) {
  if (codegen::GpuTarget::isGpuName(request.target))
    return priceGpuProgram(module, options, request, report);
  auto target = codegen::CpuTarget::parse(request.target);
  if (!target)
    return noPrice(llvm::toString(target.takeError()));
  Result<UnpricedProgram> program = UnpricedProgram::of(module, options, request, report);
  if (!program.ok())
    return program.status();
  auto kernels = scheduleKernels(module, *target, program->tuned);
  if (failed(kernels))
    return noPrice("a kernel has no schedule, so the program has no price");
  ProgramPrice price;
  price.model = request.model->kind(), price.rates = request.model->rates();
  price.hasBranches = program->hasBranches();
  Pricer pricer(*kernels, program->tuned, request, price);
  auto visit = [&](size_t step, kern::KernelOp kernel, const reference::Symbols &sizes) {
    pricer.add(step, program->launches.program.steps[step], kernel, sizes);
  };
  Result<size_t> left = forEachLaunch(program->launches, module, program->symbols, visit);
  if (!left.ok())
    return left.status();
  price.unpriced += *left;
  pricer.finish();
  return price;
}
