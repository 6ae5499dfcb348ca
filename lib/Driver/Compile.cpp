//===- Compile.cpp - `permalloy compile` -------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "AutoPrecision.h"
#include "Budget.h"
#include "Calibrate.h"
#include "CompileModel.h"
#include "CrashReport.h"
#include "ImportModel.h"
#include "PassTimes.h"
#include "Report.h"

#include "permalloy/Codegen/CPU/Target.h"
#include "permalloy/Codegen/GPU/Target.h"
#include "permalloy/CostModel/TuningDatabase.h"
#include "permalloy/Pipelines/Compile.h"
#include "permalloy/Runtime/Gpu.h"
#include "permalloy/Runtime/Session.h"
#include "permalloy/Solvers/Threads.h"
#include "permalloy/Support/Files.h"
#include "permalloy/Support/Progress.h"
#include "permalloy/Support/Text.h"

#include "llvm/ADT/StringSet.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"

#include <cmath>
#include <sys/stat.h>

namespace permalloy {

std::string cacheFolder(const std::string &name) {
  const char *base = std::getenv("XDG_CACHE_HOME"), *home = std::getenv("HOME");
  std::string folder;
  if (base && base[0] == '/')
    folder = std::string(base) + "/permalloy";
  else if (home && home[0] == '/')
    folder = std::string(home) + "/.cache/permalloy";
  else
    return "";
  if (!createFolders(folder).ok())
    return "";
  ::chmod(folder.c_str(), 0700);
  return folder + "/" + name;
}

bool runsOn(const codegen::GpuTarget &target, const GpuInfo &gpu) {
  return target.exact ? int(target.capability) == gpu.capability : int(target.capability) <= gpu.capability;
}

Result<codegen::GpuTarget> gpuTargetFor(const GpuInfo &gpu) {
  const codegen::GpuTarget *best = nullptr;
  for (const codegen::GpuTarget &target : codegen::GpuTarget::all())
    if (runsOn(target, gpu))
      best = &target;
  if (!best)
    return Status(StatusCode::noDevice, gpu.text() + " is older than what models are compiled for: " +
                                            codegen::GpuTarget::all().front().name.str() + " and later");
  return *best;
}

/// The latest target that the GPU "cuda:0" of this machine runs.
static Result<std::string> gpuTargetFor(const std::string &device) {
  Result<int> number = parseDevice(device);
  if (!number.ok())
    return number.status();
  Result<GpuInfo> gpu = findGpu(*number);
  if (!gpu.ok())
    return gpu.status();
  Result<codegen::GpuTarget> target = gpuTargetFor(*gpu);
  return target.ok() ? Result<std::string>(target->name.str()) : Result<std::string>(target.status());
}

/// Targets by their own names, "host" and "cuda:0" resolved, each once; what the file says must not depend on
/// how it was asked for.
static Result<std::vector<std::string>> resolveTargets(const std::vector<std::string> &names) {
  std::vector<std::string> targets;
  auto add = [&](auto target) -> Status {
    if (!target)
      return {StatusCode::invalidArgument, "--target: " + llvm::toString(target.takeError())};
    if (!llvm::is_contained(targets, target->name))
      targets.push_back(target->name.str());
    return {};
  };
  for (const std::string &name : names) {
    if (name.starts_with("cuda")) {
      Result<std::string> target = gpuTargetFor(name);
      if (!target.ok())
        return target.status();
      if (Status status = add(codegen::GpuTarget::parse(*target)); !status.ok())
        return status;
      continue;
    }
    bool isGpu = codegen::GpuTarget::isGpuName(name);
    if (Status status = isGpu ? add(codegen::GpuTarget::parse(name)) : add(codegen::CpuTarget::parse(name)); !status.ok())
      return status;
  }
  return targets;
}

/// The options that shape the file, as one would type them.
static std::string optionsText(const CompileSettings &settings,
                               const std::vector<std::string> &targets) {
  bool isPlanned = !settings.plan.empty() || !settings.budget.empty() || !settings.maxDrop.empty();
  std::string text = "--target " + joined(targets, ",") + " --precision " + (isPlanned ? "plan" : settings.precision);
  if (settings.plan.empty() && settings.precision == "auto")
    text += " --max-error " + formatNumber(settings.maxError);
  if (!settings.quantize.empty())
    text += " --quantize " + settings.quantize + " --solver " + settings.solver;
  if (!settings.budget.empty())
    text += " --budget " + settings.budget;
  if (!settings.maxDrop.empty())
    text += " --max-drop " + settings.maxDrop;
  for (const std::string &dim : settings.dims)
    text += " --dim " + dim;
  if (!settings.mergeTokens.empty()) {
    text += " --merge-tokens " + settings.mergeTokens + " --token-score " + settings.tokenScore;
    if (settings.protectTokens >= 0)
      text += " --protect-tokens " + std::to_string(settings.protectTokens);
    text += settings.noTokenSizes ? " --no-token-sizes" : "";
  }
  bool isOnGpu = llvm::any_of(targets, [](const std::string &target) { return codegen::GpuTarget::isGpuName(target); });
  text += isOnGpu && settings.costModel == "none" ? " --cost-model none" : ""; // other GPU schedules than without
  return text + (settings.packPadding ? " --pack-padding" : "");
}

/// Shows the IR between passes; MLIR then wants one thread.
static llvm::LogicalResult printIr(const CompileCommand &command, mlir::PassManager &passes) {
  llvm::StringSet<> wanted;
  for (const std::string &name : command.printIrAfter)
    wanted.insert(name);
  passes.getContext()->disableMultithreading();
  passes.enableIRPrinting(
      nullptr,
      [wanted, all = command.printIrAfterAll](mlir::Pass *pass, mlir::Operation *) {
        return all || wanted.contains(pass->getArgument());
      },
      /*printModuleScope=*/false, /*printAfterOnlyOnChange=*/true);
  return llvm::success();
}

/// Beside the model's name, in the current folder.
static std::string outputOf(const CompileCommand &command) {
  if (!command.output.empty())
    return command.output;
  return command.emit == "alloy" ? llvm::sys::path::stem(command.model).str() + ".alloy" : "-";
}

/// Which kernels got measured schedules, and what those gain.
static void printTuned(const CompileReport &report) {
  Table table("  ");
  table.alignRight({3});
  for (const TunedKernel &kernel : report.tuned)
    table.row({kernel.kernel, kernel.target, kernel.schedule, formatNumber(kernel.gain) + "x",
               kernel.shapes.empty() ? "predicted" : "measured at " + joined(kernel.shapes, "; ")});
  table.print(llvm::errs());
  if (report.outdatedRows)
    llvm::errs() << "  tuning database: " << formatCount(report.outdatedRows, "row")
                 << " measured with other code than this compiler generates, so not used; `permalloy tune` measures anew\n";
}

/// Passes that took less than this are left out of --time-report.
static constexpr double kLeastPassSeconds = 0.001;

static void printTimes(const CompileCommand &command, const Progress &progress, const PassTimes &passes) {
  Table table("  ");
  table.alignRight({1});
  double total = 0;
  for (const auto &[stage, seconds] : progress.stages()) {
    table.row({stage, formatSeconds(seconds)});
    total += seconds;
  }
  table.row({"total", formatSeconds(total)});
  std::vector<std::pair<double, std::string>> slow;
  for (const auto &[pass, seconds] : passes.seconds())
    slow.push_back({-seconds, pass});
  llvm::sort(slow);
  for (const auto &[less, pass] : slow)
    if (command.timeReport && -less >= kLeastPassSeconds)
      table.row({"--" + pass, formatSeconds(-less)});
  table.print(llvm::errs());
}

/// What solvers did to the outputs of layers on the samples, the worst first.
static void printSolved(std::vector<SolvedLayer> solved) {
  llvm::sort(solved, [](const auto &a, const auto &b) { return a.relativeError > b.relativeError; });
  Table table("  ");
  table.alignRight({1});
  double squares = 0;
  for (const SolvedLayer &weight : solved) {
    table.row({weight.layer, formatNumber(100 * weight.relativeError) + "%", weight.solver});
    squares += weight.relativeError * weight.relativeError / solved.size();
  }
  if (!solved.empty())
    llvm::errs() << "error of layers' outputs on the calibration, " << formatNumber(100 * std::sqrt(squares)) << "% (root mean square):\n";
  table.print(llvm::errs());
}

static void printSummary(const CompileCommand &command, const Progress &progress,
                         const PassTimes &passes, const CompileReport &report) {
  if (command.settings.verbose || command.timeReport)
    printTimes(command, progress, passes);
  if (command.settings.verbose)
    printTuned(report), printSolved(report.solved);
  if (!report.padding.empty())
    llvm::errs() << "padding: " << report.padding << "\n";
  if (!report.tokens.empty())
    llvm::errs() << "tokens: " << report.tokens << "\n";
  llvm::errs() << outputOf(command) << ": " << formatBytes(report.fileSize) << ", "
               << formatCount(report.kernels, "kernel") << " (" << report.kernelsFromCache
               << " from the cache), " << formatCount(report.launches, "step");
  size_t predicted = llvm::count_if(report.tuned, [](const TunedKernel &kernel) { return kernel.shapes.empty(); });
  if (size_t measured = report.tuned.size() - predicted)
    llvm::errs() << ", " << formatCount(measured, "measured schedule");
  if (predicted)
    llvm::errs() << ", " << formatCount(predicted, "predicted schedule");
  llvm::errs() << "\n";
  if (!report.precision.choices.empty() && !command.fusionReport)
    report.precision.print(llvm::errs());
}

static std::optional<EmitKind> textKind(const std::string &emit) {
  if (emit == "tfm")
    return EmitKind::Tfm;
  if (emit == "kern")
    return EmitKind::Kern;
  if (emit == "llvm")
    return EmitKind::Llvm;
  if (emit == "asm")
    return EmitKind::Asm;
  return std::nullopt;
}

/// Writes what `command.emit` names. False after an error, which was reported.
static bool emitModule(mlir::ModuleOp module, const CompileCommand &command,
                       const CompileOptions &options, CompileReport &report) {
  std::string output = outputOf(command);
  std::optional<EmitKind> kind = textKind(command.emit);
  if (!kind)
    return llvm::succeeded(compileToArtifact(module, options, output, &report));
  bool compiled = true;
  Status status = writeText(output, [&](llvm::raw_ostream &os) -> Status {
    compiled = llvm::succeeded(compileToText(module, options, *kind, os, &report));
    // A failure that was reported already: only keep the file from being written.
    return compiled ? Status() : Status(StatusCode::internal, "");
  });
  if (compiled && !status.ok())
    fail(status);
  return compiled && status.ok();
}

/// Searches compile and run a model many times, on this CPU: each time all code for GPUs would be generated, too.
static Status refuseSearchForGpu(const CompileSettings &settings) {
  bool isAuto = settings.plan.empty() && settings.precision == "auto";
  if (settings.budget.empty() && settings.maxDrop.empty() && !isAuto)
    return {};
  const char *option = !settings.budget.empty() ? "--budget" : !settings.maxDrop.empty() ? "--max-drop" : "--precision auto";
  for (const std::string &target : settings.targets)
    if (codegen::GpuTarget::isGpuName(target))
      return {StatusCode::unsupported, std::string(option) + " is unsupported with target '" + target + "': search for a CPU target with --print-plan, then compile for " +
                                           target + " with --plan"};
  return {};
}

/// What --precision, --quantize and --plan ask for; nothing after an error, which was reported.
static std::optional<PrecisionRequest> choosePrecision(const CompileCommand &command) {
  const CompileSettings &settings = command.settings;
  PrecisionRequest request;
  if (Status status = refuseSearchForGpu(settings); !status.ok())
    return fail(status), std::nullopt;
  if (!settings.budget.empty() || !settings.maxDrop.empty()) {
    std::optional<SearchedPlan> found = searchPlan(command);
    if (!found)
      return std::nullopt;
    request.plan = std::move(found->plan), request.mergeTokens = std::move(found->mergeTokens);
    return request;
  }
  if (!settings.quantize.empty()) {
    llvm::Expected<QuantizationRequest> quantization = QuantizationRequest::parse(settings.quantize, settings.solver);
    if (!quantization)
      return fail(Status(StatusCode::invalidArgument, "--quantize, --sparsify: " + llvm::toString(quantization.takeError()))), std::nullopt;
    request.quantization = *quantization;
  }
  if (settings.plan.empty() && settings.precision == "auto") {
    request.plan = planPrecision(command);
    return request.plan ? std::optional(request) : std::nullopt;
  }
  request.uniform = settings.precision;
  if (settings.plan.empty())
    return request;
  auto refuse = [&](StatusCode code, const std::string &why) {
    fail(Status(code, settings.plan + ": " + why));
    return std::nullopt;
  };
  auto buffer = llvm::MemoryBuffer::getFile(settings.plan, /*IsText=*/true);
  if (!buffer)
    return refuse(StatusCode::notFound, buffer.getError().message());
  llvm::Expected<PrecisionPlan> plan = PrecisionPlan::parse((*buffer)->getBuffer());
  if (!plan)
    return refuse(StatusCode::invalidArgument, llvm::toString(plan.takeError()));
  request.plan = std::move(*plan);
  return request;
}

static CompileOptions makeOptions(const CompileCommand &command, Progress &progress, PassTimes &times,
                                  std::vector<std::string> targets) {
  CompileOptions options;
  options.commandLine = optionsText(command.settings, targets);
  options.targets = std::move(targets);
  options.jobs = command.settings.jobs;
  options.cacheDir = command.settings.noCache ? "" : cacheFolder("kernels");
  options.packPadding = command.settings.packPadding;
  options.tokens = {command.settings.mergeTokens, command.settings.plan, command.settings.tokenScore, command.settings.protectTokens,
                    !command.settings.noTokenSizes};
  options.databaseIsRequired = !command.settings.database.empty();
  if (!command.settings.noDatabase)
    options.database = options.databaseIsRequired ? command.settings.database : TuningDatabase::defaultPath();
  options.costModel = command.settings.costModel == "none" ? "" : command.settings.costModel;
  options.gpuRules = command.settings.costModel == "none";
  options.passCosts = command.settings.costModel.empty() ? "trees" : options.costModel;
  options.fusionReport = command.fusionReport ? &llvm::errs() : nullptr;
  options.progress = [&progress](llvm::StringRef stage, unsigned done, unsigned total) {
    progress.update(stage.str(), done, total);
  };
  bool prints = command.printIrAfterAll || !command.printIrAfter.empty();
  options.configure = [&command, &times, prints](mlir::PassManager &passes) {
    times.watch(passes);
    return prints ? printIr(command, passes) : llvm::success();
  };
  return options;
}

static void choose(CompileOptions &options, const PrecisionRequest &request) {
  options.precision = request.plan;
  options.uniform = request.uniform;
  options.quantization = request.quantization;
  options.switches = request.switches;
  options.calibration = request.calibration;
  options.statistics = request.statistics;
  options.memo = request.memo;
  options.fallback = request.fallback;
  if (!request.mergeTokens.empty())
    options.tokens.schedule = request.mergeTokens;
}

/// The plan that was carried out, for --print-plan.
static bool writePlan(const CompileCommand &command, const PrecisionRequest &precision, const CompileReport &report) {
  PrecisionPlan plan = precision.plan && !precision.quantization ? *precision.plan : report.precision;
  Status status = writeText(command.printPlan, [&](llvm::raw_ostream &os) -> Status {
    os << plan.toJson();
    return Status();
  });
  return status.ok() || (fail(status), false);
}

bool compileModelWith(const CompileCommand &command, bool summary, const PrecisionRequest &precision, ToolContext &context) {
  Result<std::vector<std::string>> targets = resolveTargets(command.settings.targets);
  if (!targets.ok())
    return fail(targets.status()), false;
  Progress progress;
  PassTimes times;
  CompileOptions options = makeOptions(command, progress, times, *targets);
  choose(options, precision);
  options.measureSolves = command.settings.verbose;
  solvers::ThreadLimit limit(command.settings.jobs);
  CrashReport crash(options.commandLine);
  progress.update("import");
  mlir::OwningOpRef<mlir::ModuleOp> module =
      importModel(command.model, command.settings.dims, context.get());
  if (!module)
    return false;
  crash.remember(*module);
  CompileReport report;
  if (!emitModule(*module, command, options, report))
    return false;
  if (precision.carriedOut)
    *precision.carriedOut = report.precision;
  progress.finish();
  if (summary && command.emit == "alloy")
    printSummary(command, progress, times, report);
  return command.printPlan.empty() || !summary || writePlan(command, precision, report);
}

/// The name of a solver that reads a gram, of those that a compilation runs; empty where none does.
static std::string solverWithGram(const PrecisionRequest &request) {
  auto needs = [](const std::string &name) {
    const solvers::WeightSolver *solver = solvers::findSolver(name);
    return solver && solver->needs() == solvers::Statistics::gram;
  };
  if (request.quantization && needs(request.quantization->solver))
    return request.quantization->solver;
  for (const PrecisionChoice &choice : request.plan ? request.plan->choices : std::vector<PrecisionChoice>())
    if (needs(choice.solver))
      return choice.solver;
  return "";
}

/// The statistics that a compilation reads; nothing after an error, which was reported.
static std::optional<solvers::Statistics> statisticsLevel(const CompileSettings &settings, const PrecisionRequest &request) {
  std::string solver = solverWithGram(request);
  bool given = !settings.statistics.empty() || !settings.calibrate.empty();
  if (!solver.empty() && !given)
    return fail(Status(StatusCode::invalidArgument, "solver '" + solver + "' needs samples of the model's inputs: --calibrate FILE.npz, or "
                                                                          "--statistics FILE that an earlier calibration kept")),
           std::nullopt;
  if (!solver.empty() || !settings.statistics.empty())
    return solvers::Statistics::gram;
  bool solves = request.quantization || (request.plan && !settings.plan.empty());
  if (settings.calibrate.empty() || !solves)
    return solvers::Statistics::none;
  return settings.verbose ? solvers::Statistics::gram : solvers::Statistics::channel; // -v reports errors
}

/// Collects the statistics that a compilation reads; they live as long as `source`. False after an error, which was reported.
static bool addStatistics(const CompileCommand &command, PrecisionRequest &request, std::optional<StatisticsSource> &source) {
  std::optional<solvers::Statistics> level = statisticsLevel(command.settings, request);
  if (!level || *level == solvers::Statistics::none)
    return level.has_value();
  if (!(source = calibrate(command, *level)))
    return false;
  request.statistics = source->path;
  return true;
}

std::optional<ProgramPrice> priceModelWith(const CompileCommand &command, const PriceRequest &request, const PrecisionRequest &precision,
                                           ToolContext &context) {
  Result<std::vector<std::string>> targets = resolveTargets(command.settings.targets);
  if (!targets.ok())
    return fail(targets.status()), std::nullopt;
  Progress progress;
  PassTimes times;
  CompileOptions options = makeOptions(command, progress, times, *targets);
  choose(options, precision);
  mlir::OwningOpRef<mlir::ModuleOp> module = importModel(command.model, command.settings.dims, context.get());
  if (!module)
    return std::nullopt;
  CompileReport report;
  Result<ProgramPrice> price = priceProgram(*module, options, request, &report);
  if (!price.ok())
    return fail(price.status()), std::nullopt;
  progress.finish();
  if (precision.carriedOut)
    *precision.carriedOut = report.precision;
  return std::move(*price);
}

std::optional<ProgramPrice> priceModel(const CompileCommand &command, const PriceRequest &request, std::string *plan) {
  std::optional<PrecisionRequest> precision = choosePrecision(command);
  std::optional<StatisticsSource> statistics;
  if (!precision || !addStatistics(command, *precision, statistics))
    return std::nullopt;
  PrecisionPlan carriedOut;
  precision->carriedOut = &carriedOut;
  ToolContext context(command.settings.jobs);
  std::optional<ProgramPrice> price = priceModelWith(command, request, *precision, context);
  if (price && plan && !carriedOut.choices.empty())
    *plan = carriedOut.toJson();
  return price;
}

bool compileModel(const CompileCommand &command, bool summary) {
  std::optional<PrecisionRequest> precision = choosePrecision(command);
  std::optional<StatisticsSource> statistics; // lives until the artifact is written
  if (!precision || !addStatistics(command, *precision, statistics))
    return false;
  ToolContext context(command.settings.jobs);
  return compileModelWith(command, summary, *precision, context);
}

int runCompile(const CompileCommand &command) {
  return compileModel(command, /*summary=*/true) ? 0 : 1;
}

} // namespace permalloy
