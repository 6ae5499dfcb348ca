//===- Explain.cpp - `permalloy explain` -------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Explain.h"
#include "CompileModel.h"
#include "Inputs.h"
#include "Profile.h"
#include "Report.h"
#include "Statistics.h"

#include "permalloy/Artifact/Expressions.h"
#include "permalloy/Codegen/GPU/Target.h"
#include "permalloy/CostModel/Prior.h"
#include "permalloy/Measure/Calibration.h"
#include "permalloy/Measure/Yardstick.h"
#include "permalloy/Support/Text.h"

namespace permalloy {

/// Slower schedules that are listed for a kernel.
static constexpr unsigned kRejected = 3;
/// Without schedules, a roofline is off by about that much.
static constexpr double kRooflineSigma = 0.7;

/// Prices the steps of an artifact, which has no kernels to look into: FLOPs and bytes only.
static Result<ProgramPrice> priceArtifact(const Artifact &artifact, const Sizes &sizes, const CostModel &model, const TargetUnits &units) {
  Result<std::vector<int64_t>> symbols = symbolValues(artifact.manifest(), sizes);
  if (!symbols.ok())
    return symbols.status();
  std::vector<int64_t> values;
  PERMALLOY_TRY(artifact::evaluateAll(artifact.program().expressions, artifact.manifest().symbols, *symbols, values));
  auto value = [&](uint32_t expr) { return expr == artifact::kNone ? 0.0 : double(values[expr]); };
  Machine machine(model.rates(), units);
  ProgramPrice price;
  price.model = "roofline", price.rates = model.rates(), price.sigma = kRooflineSigma;
  for (auto [index, step] : llvm::enumerate(artifact.program().steps)) {
    price.hasBranches |= step.kind == artifact::StepKind::jump || step.kind == artifact::StepKind::jumpIfZero;
    if (step.kind != artifact::StepKind::launch)
      continue;
    LaunchPrice launch;
    launch.step = index, launch.name = step.name, launch.kernel = artifact.program().kernels[step.kernel].name;
    launch.flops = value(step.flops), launch.bytes = value(step.bytes), launch.peakGflops = machine.peakGflops;
    launch.prior.gigahertz = machine.gigahertz, launch.prior.launch = machine.launch;
    launch.prior.compute = launch.flops / machine.peakGflops * machine.gigahertz;
    launch.prior.memory = launch.bytes < machine.l2Size ? 0 : launch.bytes / machine.memoryBytes;
    launch.us = launch.prior.nanoseconds() / 1e3, launch.sigma = kRooflineSigma, launch.origin = "default";
    price.us += launch.us;
    price.launches.push_back(std::move(launch));
  }
  return price;
}

/// Medians of the steps, in microseconds, and the machine's speed between the runs; of a model that is compiled anew unless it is an
/// artifact.
static Result<std::vector<double>> measureModel(const ExplainCommand &command, const Sizes &sizes, MachineSpeed &speed) {
  auto model = openModel(command.model, command.settings, /*threads=*/1);
  if (!model.ok())
    return model.status();
  if (!*model)
    return Status(StatusCode::invalidArgument, "the model was not compiled, so not measured");
  InputSettings settings = command.inputs;
  settings.random = true;
  Result<std::vector<NamedArray>> inputs = makeInputs((*model)->artifact(), settings, sizes);
  if (!inputs.ok())
    return inputs.status();
  measure::Yardstick yardstick;
  std::vector<double> fma, reads;
  Result<std::vector<double>> times = measureSteps(**model, *inputs, [&] {
    MachineSpeed now = yardstick.now(measure::Yardstick::kRest);
    fma.push_back(now.fmaGflops), reads.push_back(now.readGbps);
  });
  if (!times.ok())
    return times.status();
  for (double &time : *times)
    time /= 1e3;
  speed = {median(fma), median(reads)};
  return times;
}

/// Fills `explanation.price`; false after an error, which was reported.
static bool price(const ExplainCommand &command, const Sizes &sizes, const CostModel &model, Explanation &explanation) {
  if (!isArtifact(command.model)) {
    PriceRequest request;
    request.model = &model, request.target = explanation.target, request.rejected = kRejected;
    request.sizes = [&](const artifact::Manifest &manifest) { return symbolValues(manifest, sizes); };
    CompileCommand compile;
    compile.settings = command.settings, compile.model = command.model;
    auto price = priceModel(compile, request, &explanation.plan);
    if (price)
      explanation.price = std::move(*price);
    return price.has_value();
  }
  auto opened = openModel(command.model, command.settings, 1);
  if (!opened.ok() || !*opened)
    return opened.ok() ? false : (fail(opened.status()), false);
  explanation.note = "a compiled model has no kernels to look into: a roofline of FLOPs and bytes; explain the .onnx for schedules";
  explanation.precision = hasNarrowProducts((*opened)->artifact()) ? (*opened)->artifact().manifest().options : "f32";
  auto price = priceArtifact((*opened)->artifact(), sizes, model, unitsOf(explanation.target));
  if (!price.ok())
    return fail(price.status()), false;
  explanation.price = std::move(*price);
  return true;
}

static bool write(const std::string &path, const std::string &text) {
  Status status = writeText(path, [&](llvm::raw_ostream &os) -> Status {
    os << text;
    return {};
  });
  return status.ok() || (fail(status), false);
}

/// As the compiler calls the target that a user named.
static llvm::Expected<std::string> targetName(const std::string &named) {
  if (codegen::GpuTarget::isGpuName(named)) {
    auto target = codegen::GpuTarget::parse(named);
    return target ? llvm::Expected<std::string>(target->name.str()) : target.takeError();
  }
  auto target = codegen::CpuTarget::parse(named);
  return target ? llvm::Expected<std::string>(target->name.str()) : target.takeError();
}

int runExplain(const ExplainCommand &command) {
  if (command.settings.targets.size() != 1)
    return fail("--target: explain one target at a time");
  auto target = targetName(command.settings.targets.front());
  if (!target)
    return fail("--target: " + llvm::toString(target.takeError()));
  bool onGpu = codegen::GpuTarget::isGpuName(*target);
  if (onGpu && (command.measure || isArtifact(command.model)))
    return fail("explain predicts what an .onnx takes on '" + *target + "': " + (command.measure ? "--measure" : "an artifact") + " is for CPUs; `permalloy bench --device` measures");
  Result<std::vector<Sizes>> sizes = parseSizes(command.inputs.sizes);
  if (!sizes.ok())
    return fail(sizes.status());
  if (sizes->size() != 1)
    return fail("--dim: explain one size at a time");
  if (command.measure && !(command.settings.budget.empty() && command.settings.maxDrop.empty()))
    return fail("--measure would search for another plan: compile with --print-plan FILE first, then explain --plan FILE --measure");
  std::string kind = command.settings.costModel.empty() || command.settings.costModel == "none" ? (onGpu ? "prior" : "trees") : command.settings.costModel;
  Explanation explanation;
  MachineRates rates = MachineRates::of();
  if (command.measure) {
    if (Result<MachineRates> own = measure::calibrateOnce(); own.ok()) // else they cannot be kept
      rates = *own;
    MachineSpeed speed;
    Result<std::vector<double>> measured = measureModel(command, sizes->front(), speed);
    if (!measured.ok())
      return fail(measured.status());
    explanation.measured = std::move(*measured);
    rates = rates.at(speed);
    rates.source += ", at the speed between the runs, " + formatNumber(speed.fmaGflops, 3) + " GFLOP/s of f32 and " + formatNumber(speed.readGbps, 3) + " GB/s";
  }
  if (!onGpu && !runsOn(unitsOf(*target), rates))
    rates.source = MachineRates::withAllUnits().source + ", since this machine lacks units of " + *target;
  auto model = CostModel::named(kind, rates);
  if (!model.ok())
    return fail(model.status());
  const CompileSettings &settings = command.settings;
  bool isPlanned = !settings.plan.empty() || !settings.budget.empty() || !settings.maxDrop.empty();
  explanation.file = command.model, explanation.target = *target;
  explanation.precision = isPlanned ? "plan" : settings.precision + (settings.quantize.empty() ? "" : "+" + settings.quantize);
  explanation.sizes = sizes->front();
  if (!price(command, sizes->front(), **model, explanation))
    return 1;
  if (command.measure)
    for (const LaunchPrice &launch : explanation.price.launches)
      if (launch.step >= explanation.measured.size())
        return fail("internal error: the program that was measured has fewer steps than the one that was priced");
  if (!command.html.empty() && !write(command.html, toHtml(explanation)))
    return 1;
  if (!command.json.empty() && !write(command.json, toJson(explanation)))
    return 1;
  if (command.json != "-" && command.html != "-")
    printText(explanation, llvm::outs());
  return finishOutput(0);
}

} // namespace permalloy
