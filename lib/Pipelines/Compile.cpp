//===- Compile.cpp - from an imported model to model.alloy -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "permalloy/Pipelines/Compile.h"
#include "CompileKernels.h"
#include "PassCosts.h"
#include "permalloy/Artifact/CpuFeatures.h"
#include "permalloy/Conversion/Passes.h"
#include "permalloy/Pipelines/TfmPipeline.h"
#include "permalloy/Transforms/Passes.h"
#include "permalloy/Transforms/TokenReduction.h"

#include "mlir/Transforms/Passes.h"

#include <chrono>

using namespace mlir;
using namespace permalloy;

namespace {

/// Times stages and tells the user which one begins.
class Stages {
public:
  Stages(const CompileOptions &options, CompileReport *report) : options(options), report(report) {}
  ~Stages() { close(); }

  void begin(StringRef name) {
    close();
    current = name.str();
    start = Clock::now();
    if (options.progress)
      options.progress(name, 0, 0);
  }

private:
  using Clock = std::chrono::steady_clock;
  void close() {
    if (report && !current.empty())
      report->stageSeconds.push_back({current, std::chrono::duration<double>(Clock::now() - start).count()});
  }

  const CompileOptions &options;
  CompileReport *report;
  std::string current;
  Clock::time_point start;
};

LogicalResult runPasses(ModuleOp module, const CompileOptions &options, function_ref<void(OpPassManager &)> build) {
  PassManager passes(module.getContext());
  if (options.configure && failed(options.configure(passes)))
    return failure();
  build(passes);
  return passes.run(module);
}

/// Whether some target multiplies bf16x3; the others compute f32 there.
bool hasSplits(const CompileOptions &options) {
  return llvm::any_of(options.targets, [](const std::string &name) {
    auto target = codegen::CpuTarget::parse(name);
    if (!target)
      llvm::consumeError(target.takeError()); // a GPU, or refused elsewhere
    return target && target->hasAmx();
  });
}

/// tf32 is for GPUs: with none among the targets nothing would come of it.
LogicalResult checkTf32(ModuleOp module, const CompileOptions &options) {
  auto isTf32 = [](const PrecisionChoice &choice) { return choice.precision == kTf32Precision; };
  bool isAsked = options.precision ? llvm::any_of(options.precision->choices, isTf32) : options.uniform == kTf32Precision;
  if (!isAsked || llvm::any_of(options.targets, [](const std::string &name) { return codegen::GpuTarget::isGpuName(name); }))
    return success();
  InFlightDiagnostic error = emitError(module.getLoc()) << "precision tf32 is for GPUs, and none is among the targets (" << llvm::join(options.targets, ", ")
                                                        << "); it accepts ";
  llvm::interleaveComma(codegen::GpuTarget::all(), error, [&](const codegen::GpuTarget &target) { error << target.name; });
  return error << " beside or instead of them, and they accept precision f32 or bf16";
}

/// From the least to the most demanding, as the runtime looks at them from behind.
FailureOr<SmallVector<codegen::CpuTarget>> parseTargets(ModuleOp module, const CompileOptions &options) {
  SmallVector<codegen::CpuTarget> targets;
  for (const std::string &name : options.targets) {
    if (codegen::GpuTarget::isGpuName(name))
      continue;
    auto target = codegen::CpuTarget::parse(name);
    if (!target)
      return module.emitError(llvm::toString(target.takeError()));
    targets.push_back(*target);
  }
  auto demands = [](const codegen::CpuTarget &target) {
    return target.features.size() + target.extraFeatures.size();
  };
  llvm::sort(targets, [&](const auto &x, const auto &y) { return demands(x) < demands(y); });
  return targets;
}

/// Answers for the most demanding CPU among the targets; null where the user wants no model, or there is none. Nobody measured kernels
/// of AVX2 for the trees: there they are asked only if the user names them.
FailureOr<std::unique_ptr<KernelCosts>> passCosts(ModuleOp module, const CompileOptions &options) {
  auto targets = parseTargets(module, options);
  if (failed(targets))
    return failure();
  if (options.passCosts.empty() || targets->empty() || (options.costModel.empty() && !targets->back().isAvx512()))
    return std::unique_ptr<KernelCosts>();
  auto model = CostModel::named(options.passCosts, MachineRates::of());
  if (!model.ok())
    return emitError(module.getLoc()) << model.status().message();
  return std::unique_ptr<KernelCosts>(std::make_unique<PassCosts>(std::move(*model), targets->back()));
}

/// Decides apart from the pass that applies; what was decided goes to the report.
LogicalResult lowerPrecision(ModuleOp module, const CompileOptions &options, const KernelCosts *costs, PrecisionPlan &chosen) {
  if (options.calibration) {
    auto values = addCalibrationOutputs(module);
    if (failed(values))
      return failure();
    *options.calibration = *values;
    return success();
  }
  if (!options.statistics.empty() && failed(attachStatistics(module, options.statistics)))
    return failure();
  if (options.switches) {
    auto plan = addPrecisionSwitches(module);
    if (failed(plan))
      return failure();
    *options.switches = *plan;
    return runPasses(module, options, buildPrecisionPipeline);
  }
  if (!options.precision && options.uniform == "f32" && !options.quantization)
    return success(); // the model's types, strictly
  PrecisionPlan plan = options.precision ? *options.precision : uniformPlan(module, options.uniform);
  if (options.quantization) {
    QuantizationRequest request = *options.quantization;
    request.costs = costs;
    addFormats(module, request, plan);
  }
  if (failed(annotatePrecision(module, plan)))
    return failure();
  chosen = readPrecision(module);
  chosen.splits = hasSplits(options);
  if (options.uniform != "f32")
    chosen.asked = options.uniform;
  return runPasses(module, options, buildPrecisionPipeline);
}

/// What apply-token-reduction says of `main`; empty where it did not run.
std::string tokenReductionOf(ModuleOp module) {
  auto main = module.lookupSymbol<func::FuncOp>("main");
  auto text = main ? main->getAttrOfType<StringAttr>(kTokenReductionAttr) : StringAttr();
  return text ? text.str() : "";
}

/// Everything before code generation. The fusion report comes between: kernels no longer show what was raised.
LogicalResult runFrontHalf(ModuleOp module, const CompileOptions &options, EmitKind until, Stages &stages,
                           PrecisionPlan &chosen, CompileReport *report) {
  auto costs = passCosts(module, options);
  if (failed(costs) || failed(checkTf32(module, options)))
    return failure();
  stages.begin("fuse");
  auto fuse = [&](OpPassManager &passes) {
    TfmPipelineOptions pipeline;
    pipeline.packPadding = options.packPadding;
    pipeline.mergeTokens = options.tokens.schedule;
    pipeline.tokenPlan = options.tokens.plan;
    pipeline.tokenScore = options.tokens.score;
    pipeline.protectTokens = options.tokens.protect;
    pipeline.tokenSizes = options.tokens.countSizes;
    buildTfmPipeline(passes, pipeline);
  };
  if (failed(runPasses(module, options, fuse)))
    return failure();
  if (options.precision || options.uniform != "f32" || options.switches || options.quantization)
    stages.begin("choose precision");
  if (failed(lowerPrecision(module, options, costs->get(), chosen)))
    return failure();
  chosen.tokens = readTokenChoices(module);
  auto caches = [&](OpPassManager &passes) { passes.addNestedPass<func::FuncOp>(createPlanCaches()); };
  if (until != EmitKind::Tfm && failed(runPasses(module, options, caches)))
    return failure();
  if (options.fusionReport)
    printFusionReport(module, *options.fusionReport);
  if (options.fusionReport && !chosen.choices.empty())
    chosen.print(*options.fusionReport);
  if (auto main = module.lookupSymbol<func::FuncOp>("main"); report && main)
    if (auto padding = main->getAttrOfType<StringAttr>(kPaddingAttr))
      report->padding = padding.str();
  if (report)
    report->tokens = tokenReductionOf(module);
  if (until == EmitKind::Tfm)
    return success();
  stages.begin("plan kernels");
  return runPasses(module, options, [&](OpPassManager &passes) { buildKernPipeline(passes, costs->get()); });
}

/// Those among the targets that are GPUs, oldest first.
FailureOr<SmallVector<codegen::GpuTarget>> parseGpuTargets(ModuleOp module, const CompileOptions &options) {
  SmallVector<codegen::GpuTarget> targets;
  for (const std::string &name : options.targets) {
    if (!codegen::GpuTarget::isGpuName(name))
      continue;
    auto target = codegen::GpuTarget::parse(name);
    if (!target)
      return module.emitError(llvm::toString(target.takeError()));
    targets.push_back(*target);
  }
  llvm::sort(targets, [](const auto &x, const auto &y) { return x.capability < y.capability; });
  return targets;
}

/// Schedules and compiles the kernels of one GPU; the schedules must outlive the image, which refers to them.
LogicalResult addDevice(ModuleOp module, const codegen::GpuTarget &target, const CompileOptions &options,
                        TunedSchedules &tuned, std::vector<ScheduledGpuKernels> &scheduled, std::vector<DeviceImage> &images,
                        unsigned &fromCache) {
  auto kernels = scheduleGpuKernels(module, target, tuned);
  if (failed(kernels))
    return failure();
  scheduled.push_back(std::move(*kernels));
  auto image = compileGpuKernels(scheduled.back(), options, fromCache);
  if (failed(image))
    return failure();
  images.push_back(std::move(*image));
  return success();
}

/// Schedules and compiles the kernels of one target; the schedules must outlive the image, which refers to them.
LogicalResult addImage(ModuleOp module, const codegen::CpuTarget &target, const CompileOptions &options,
                       TunedSchedules &tuned, std::vector<ScheduledKernels> &scheduled, std::vector<TargetImage> &images,
                       unsigned &fromCache) {
  auto kernels = scheduleKernels(module, target, tuned);
  if (failed(kernels))
    return failure();
  scheduled.push_back(std::move(*kernels));
  auto image = compileKernels(scheduled.back(), options, fromCache);
  if (failed(image))
    return failure();
  images.push_back(std::move(*image));
  return success();
}

/// Linux may refuse the AMX tile state: a file whose only image needs it gets a second one.
bool needsFallback(ArrayRef<TargetImage> images) {
  return images.size() == 1 && (images.front().features & featureBit(CpuFeature::amxTile));
}

} // namespace

void permalloy::buildPrecisionPipeline(OpPassManager &passes) {
  // 1. Weights of marked layers into codes, so that rounding sees what decodes them.
  passes.addPass(createApplyQuantization());
  // 2. Operands of marked products; what makes them rounds them where it can.
  passes.addPass(createApplyPrecision());
  // 3. A value that several products read is cast once, and weights when the artifact is written.
  passes.addNestedPass<func::FuncOp>(createCSEPass());
  passes.addPass(createFoldWeights());
}

void permalloy::buildKernPipeline(OpPassManager &passes, const KernelCosts *costs) {
  // 1. Pasts that grow in place. Before kernels are planned: the append takes in what makes its rows. (In a compilation they
  // are planned already, for the fusion report.)
  passes.addNestedPass<func::FuncOp>(createPlanCaches());
  // 2. Experts: what they become is grouped like all the rest.
  passes.addPass(createExpandMoe());
  // 3. Which operations share a kernel, and the kernels themselves. Each distinct one is compiled once.
  passes.addNestedPass<func::FuncOp>(createPlanKernels(costs));
  passes.addPass(createOutlineKernels());
  // 4. The layout that contraction kernels read. After outlining: only then is it known who reads a weight.
  passes.addPass(createPackWeights());
  // 5. Memory. Last: every launch is known now.
  passes.addNestedPass<func::FuncOp>(createPlanSlots());
}

void permalloy::registerCompilePipelines() {
  registerTfmPipeline();
  PassPipelineRegistration<>("precision-pipeline", "carry out what plan-precision decided", buildPrecisionPipeline);
  PassPipelineRegistration<>("kern-pipeline", "turn fused tfm into kernels, launches and slots", [](OpPassManager &passes) { buildKernPipeline(passes); });
}

LogicalResult permalloy::compileToArtifact(ModuleOp module, const CompileOptions &options, StringRef path, CompileReport *report) {
  Stages stages(options, report);
  auto targets = parseTargets(module, options);
  auto gpuTargets = parseGpuTargets(module, options);
  PrecisionPlan chosen;
  if (failed(targets) || failed(gpuTargets) ||
      failed(runFrontHalf(module, options, EmitKind::Kern, stages, chosen, report)))
    return failure();
  stages.begin("generate code");
  auto tuned = TunedSchedules::load(module, options);
  if (failed(tuned))
    return failure();
  std::vector<ScheduledKernels> scheduled;
  std::vector<TargetImage> images;
  unsigned fromCache = 0;
  for (const codegen::CpuTarget &target : *targets)
    if (failed(addImage(module, target, options, *tuned, scheduled, images, fromCache)))
      return failure();
  if (options.fallback && needsFallback(images)) {
    if (failed(addImage(module, codegen::CpuTarget::withoutAmx(), options, *tuned, scheduled, images, fromCache)))
      return failure();
    std::swap(images[0], images[1]);
  }
  std::vector<ScheduledGpuKernels> scheduledDevices;
  std::vector<DeviceImage> devices;
  for (const codegen::GpuTarget &target : *gpuTargets)
    if (failed(addDevice(module, target, options, *tuned, scheduledDevices, devices, fromCache)))
      return failure();
  stages.begin("write");
  artifact::ArtifactContents contents;
  std::vector<reference::SolvedWeight> solved; // filled while weights are written
  if (failed(buildArtifact(module, images, devices, options.commandLine + tuned->commandLine(), contents,
                           report && options.measureSolves ? &solved : nullptr)))
    return failure();
  artifact::WriteReport written;
  if (Status status = artifact::writeArtifact(path.str(), contents, &written); !status.ok())
    return emitError(UnknownLoc::get(module.getContext())) << status.message();
  if (report) {
    report->precision = std::move(chosen);
    report->kernels = contents.program.kernels.size();
    report->kernelsFromCache = fromCache;
    report->tuned = tuned->used();
    report->outdatedRows = tuned->outdatedRows();
    for (const reference::SolvedWeight &weight : solved)
      report->solved.push_back({precisionName(weight.op), weight.op->getAttrOfType<StringAttr>("solver").str(), weight.relativeError});
    report->launches = contents.program.steps.size();
    report->fileSize = written.fileSize;
    report->weightBytes = written.weightBytes;
  }
  return success();
}

LogicalResult permalloy::compileToLaunches(ModuleOp module, const CompileOptions &options, artifact::ArtifactContents &contents,
                                           CompileReport *report) {
  Stages stages(options, nullptr);
  PrecisionPlan chosen;
  if (failed(runFrontHalf(module, options, EmitKind::Kern, stages, chosen, nullptr)))
    return failure();
  if (report)
    report->precision = std::move(chosen);
  return buildArtifact(module, {}, {}, options.commandLine, contents);
}

LogicalResult permalloy::compileToText(ModuleOp module, const CompileOptions &options, EmitKind kind, raw_ostream &out,
                                       CompileReport *report) {
  Stages stages(options, report);
  auto targets = parseTargets(module, options);
  auto gpuTargets = parseGpuTargets(module, options);
  PrecisionPlan chosen;
  if (failed(targets) || failed(gpuTargets) || failed(runFrontHalf(module, options, kind, stages, chosen, report)))
    return failure();
  if (report)
    report->precision = chosen;
  if (kind == EmitKind::Tfm || kind == EmitKind::Kern) {
    module.print(out);
    return success();
  }
  stages.begin("generate code");
  auto tuned = TunedSchedules::load(module, options);
  if (failed(tuned))
    return failure();
  if (!gpuTargets->empty()) {
    auto kernels = scheduleGpuKernels(module, gpuTargets->back(), *tuned);
    return failed(kernels) ? failure() : printGpuKernels(*kernels, kind, out);
  }
  auto kernels = scheduleKernels(module, targets->back(), *tuned);
  return failed(kernels) ? failure() : printKernels(*kernels, kind, out);
}
