//===- Tune.cpp - `permalloy tune` -------------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "CompileModel.h"
#include "Interrupt.h"
#include "ModelKernels.h"
#include "Report.h"

#include "permalloy/Artifact/CpuFeatures.h"
#include "permalloy/Codegen/Common/ObjectEmission.h"
#include "permalloy/Codegen/GPU/GpuKernel.h"
#include "permalloy/Codegen/KernelEmitter.h"
#include "permalloy/Measure/Calibration.h"
#include "permalloy/Measure/Corpus.h"
#include "permalloy/Measure/GpuTuner.h"
#include "permalloy/Pipelines/GpuAssembler.h"
#include "permalloy/Runtime/Session.h"
#include "permalloy/Support/Text.h"

#include <chrono>
#include <unistd.h>

namespace permalloy {

/// Kernels of the corpus that are tuned together, and how long.
static constexpr unsigned kCorpusBatch = 16, kCorpusRounds = 2;

namespace {

/// One run of the command.
class TuneRun {
public:
  /// On this CPU, or on a GPU; the other one is null.
  TuneRun(const TuneCommand &command, const codegen::CpuTarget *target, const measure::GpuSite *site, TuningWriter &writer)
      : command(command), target(target), site(site), writer(writer), terminal(::isatty(STDERR_FILENO)) {}

  int run(const std::string &path);

private:
  using Clock = std::chrono::steady_clock;

  bool shouldStop() const {
    return wasInterrupted() || Clock::now() >= end || (command.rows && measuredBefore + measured >= command.rows);
  }
  measure::TuningOptions options(unsigned rounds);
  void show(const measure::TuningProgress &progress);
  Status tuneModels(const ModelKernels &kernels);
  Status tuneCorpus(mlir::MLIRContext &context);
  void finish(const measure::TuningProgress &progress);
  void printResult(const std::string &path);

  const TuneCommand &command;
  const codegen::CpuTarget *target;
  const measure::GpuSite *site;
  TuningWriter &writer;
  bool terminal;
  Clock::time_point begin, end, shown;
  unsigned measuredBefore = 0, measured = 0;
  measure::TuningProgress total;
};

} // namespace

measure::TuningOptions TuneRun::options(unsigned rounds) {
  measure::TuningOptions options;
  options.target = target;
  options.seed = command.seed;
  options.rounds = rounds;
  options.stop = [this] { return shouldStop(); };
  options.progress = [this](const measure::TuningProgress &progress) { show(progress); };
  return options;
}

void TuneRun::show(const measure::TuningProgress &progress) {
  measured = progress.measured;
  Clock::time_point now = Clock::now();
  if (now - shown < (terminal ? std::chrono::milliseconds(200) : std::chrono::milliseconds(60000)))
    return;
  shown = now;
  double left = std::max(0.0, std::chrono::duration<double>(end - now).count());
  llvm::errs() << (terminal ? "\r\033[K" : "") << formatCount(measuredBefore + measured, "row") << " measured, "
               << total.noisy + progress.noisy << " noisy; kernel " << progress.task << " of " << progress.tasks
               << ", round " << progress.round + 1 << "; " << formatSeconds(left) << " left" << (terminal ? "" : "\n");
}

void TuneRun::finish(const measure::TuningProgress &progress) {
  measuredBefore += progress.measured;
  measured = 0;
  total.measured += progress.measured;
  total.known += progress.known;
  total.refused += progress.refused;
  total.noisy += progress.noisy;
  if (!progress.refusal.empty())
    total.refusal = progress.refusal;
}

Status TuneRun::tuneModels(const ModelKernels &kernels) {
  measure::TuningOptions all = options(~0u);
  all.weightBytes = command.weightSpan ? size_t(command.weightSpan) << 20 : kernels.weightBytes();
  auto run = [&](auto tuner) -> Status {
    PERMALLOY_TRY(tuner->run(kernels.tasks()));
    finish(tuner->progress());
    return {};
  };
  return site ? run(std::make_unique<measure::GpuTuner>(writer, *site, std::move(all))) : run(std::make_unique<measure::Tuner>(writer, std::move(all)));
}

Status TuneRun::tuneCorpus(mlir::MLIRContext &context) {
  for (uint64_t batch = 0; !shouldStop(); ++batch) {
    measure::Corpus corpus(context, command.seed + batch);
    measure::Tuner tuner(writer, options(kCorpusRounds));
    PERMALLOY_TRY(tuner.run(corpus.take(kCorpusBatch)));
    finish(tuner.progress());
  }
  return {};
}

void TuneRun::printResult(const std::string &path) {
  if (terminal)
    llvm::errs() << "\r\033[K";
  llvm::errs() << path << ": " << formatCount(total.measured, "row") << " added, " << total.noisy << " of them noisy; "
               << writer.database().rows().size() << " in all";
  if (total.known)
    llvm::errs() << "; " << formatCount(total.known, "measurement") << " known before";
  if (total.refused)
    llvm::errs() << "; " << total.refused << " refused, the last because " << printable(total.refusal);
  llvm::errs() << "\n";
}

int TuneRun::run(const std::string &path) {
  mlir::DialectRegistry registry;
  registry.insert<tfm::TfmDialect, kern::KernDialect>();
  codegen::registerKernelDialects(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  context.loadAllAvailableDialects();
  Result<std::vector<Sizes>> sizes = parseSizes(command.sizes);
  if (!sizes.ok())
    return fail(sizes.status());
  ModelKernels kernels(context);
  for (const std::string &model : command.models)
    if (!kernels.add(model, command.settings, *sizes))
      return 1;
  stopOnInterrupt();
  begin = Clock::now();
  end = begin + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(60 * command.minutes));
  Status status = command.models.empty() ? tuneCorpus(context) : tuneModels(kernels);
  printResult(path);
  return status.ok() ? 0 : fail(status);
}

static void printSpace(kern::KernelOp kernel, const llvm::Twine &kind, llvm::StringRef target,
                       std::unique_ptr<codegen::ScheduleSpace> space) {
  KernelIdentity identity = identityOf(kernel);
  llvm::StringRef name = llvm::StringRef(identity.id).take_front(12);
  codegen::printSpace(llvm::outs(), name + "  " + kind + ", " + identity.dtype + ", " + target,
                      space.get());
}

static void printSpace(kern::KernelOp kernel, const codegen::CpuTarget &target) {
  if (llvm::succeeded(codegen::selectSchedule(kernel, target)))
    printSpace(kernel, kern::stringifyEmitter(kernel.getEmitter()), target.name,
               codegen::scheduleSpace(kernel, target));
}

static void printSpace(kern::KernelOp kernel, const codegen::GpuTarget &target) {
  if (llvm::failed(codegen::selectGpuSchedule(kernel, target, codegen::GpuChooser::Rule)))
    return;
  auto form = kernel.getScheduleAttr().getAs<mlir::StringAttr>("form");
  printSpace(kernel, "form " + form.getValue(), target.name,
             codegen::gpuScheduleSpace(kernel, target));
}

/// `--list-space`: the schedules of each kernel, most of which many models share.
template <typename Target> static int listSpaces(const TuneCommand &command, const Target &target) {
  mlir::DialectRegistry registry;
  registry.insert<tfm::TfmDialect, kern::KernDialect>();
  codegen::registerKernelDialects(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  context.loadAllAvailableDialects();
  ModelKernels kernels(context);
  measure::Corpus corpus(context, command.seed);
  for (const std::string &model : command.models)
    if (!kernels.add(model, command.settings, {Sizes()}))
      return 1;
  for (const measure::TuningTask &task : command.models.empty() ? corpus.take(kCorpusBatch) : kernels.tasks())
    printSpace(task.kernel, target);
  return 0;
}

/// `--calibrate`: the constants of the cost model's roofline.
static int calibrateMachine() {
  Result<MachineRates> rates = measure::calibrateOnce(/*again=*/true);
  if (!rates.ok())
    return fail(rates.status());
  Table table;
  table.alignRight({1});
  for (const MachineRates::Field &field : MachineRates::fields())
    table.row({field.name, formatNumber((*rates).*field.member, 4), field.unit, field.meaning});
  table.print(llvm::outs());
  llvm::errs() << MachineRates::defaultPath() << ": " << rates->source << "\n";
  return finishOutput(0);
}

/// Opens the database, measures, and says what came of it.
static int tune(const TuneCommand &command, const codegen::CpuTarget *target, const measure::GpuSite *site) {
  std::string path = command.settings.database.empty() ? TuningDatabase::defaultPath() : command.settings.database;
  if (path.empty())
    return fail("there is no folder for the tuning database; set HOME or XDG_DATA_HOME, or give --database FILE");
  if (target && command.settings.database.empty()) // the constants lie beside the default database
    if (Result<MachineRates> rates = measure::calibrateOnce(); !rates.ok())
      warn("the constants of this machine are not kept: " + rates.status().message());
  Result<TuningWriter> writer = TuningWriter::open(path);
  if (!writer.ok())
    return fail(writer.status());
  return TuneRun(command, target, site, *writer).run(path);
}

/// The target that is measured on a GPU: the one that was named, or the latest that it runs.
static Result<codegen::GpuTarget> targetOn(const GpuInfo &gpu, const std::string &named) {
  if (named == "host")
    return gpuTargetFor(gpu);
  auto target = codegen::GpuTarget::parse(named);
  if (!target)
    return Status(StatusCode::invalidArgument, "--target: " + llvm::toString(target.takeError()));
  if (!runsOn(*target, gpu))
    return Status(StatusCode::noDevice, "--target " + named + ": " + gpu.text() + " cannot run it, so nothing can be measured");
  return *target;
}

/// `--device cuda:0`
static int tuneOnGpu(const TuneCommand &command, int number) {
  Result<GpuInfo> gpu = findGpu(number);
  if (!gpu.ok())
    return fail(Status(gpu.status().code(), "--device " + command.device + ": " + gpu.status().message()));
  Result<codegen::GpuTarget> target = targetOn(*gpu, command.settings.targets.front());
  if (!target.ok())
    return fail(target.status());
  if (command.models.empty() && !command.listSpace)
    return fail("--device " + command.device + ": name the models whose kernels to measure; without any, a CPU is tuned");
  TuneCommand own = command;
  own.settings.targets = {target->name.str()};
  if (command.listSpace)
    return listSpaces(own, *target);
  measure::GpuSite site{*gpu, *target, [&](kern::KernelOp kernel, llvm::StringRef name) { return compileGpuKernel(kernel, *target, name); }};
  return tune(own, nullptr, &site);
}

int runTune(const TuneCommand &command) {
  if (!command.features.empty())
    return printFeatures(command);
  if (command.calibrate)
    return calibrateMachine();
  if (command.settings.targets.size() != 1)
    return fail("--target: tune one target at a time");
  Result<int> number = parseDevice(command.device);
  if (!number.ok())
    return fail(Status(number.status().code(), "--device: " + number.status().message()));
  const std::string &named = command.settings.targets.front();
  if (command.listSpace && codegen::GpuTarget::isGpuName(named)) {
    auto gpu = codegen::GpuTarget::parse(named);
    return gpu ? listSpaces(command, *gpu) : fail("--target: " + llvm::toString(gpu.takeError()));
  }
  if (*number != kHostMemory)
    return tuneOnGpu(command, *number);
  if (codegen::GpuTarget::isGpuName(named))
    return fail("--target " + named + ": it is measured on a GPU; name one with --device cuda:0");
  llvm::Expected<codegen::CpuTarget> target = codegen::CpuTarget::parse(named);
  if (!target)
    return fail("--target: " + llvm::toString(target.takeError()));
  if (command.listSpace)
    return listSpaces(command, *target);
  if (!target->supportedByHost())
    return fail("--target " + target->name.str() + ": this CPU cannot run it, so nothing can be measured");
  if (target->hasAmx() && !requestAmxPermission())
    return fail("--target " + target->name.str() +
                ": Linux refuses the AMX tile state to this process; --target x86-64-v4 can be measured");
  return tune(command, &*target, nullptr);
}

} // namespace permalloy
