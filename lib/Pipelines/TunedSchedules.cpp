//===- TunedSchedules.cpp - measured schedules for a compilation -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "TunedSchedules.h"
#include "ScheduleChoice.h"
#include "permalloy/Artifact/Hash.h"
#include "permalloy/Codegen/GPU/PtxEmission.h"
#include "permalloy/Codegen/KernelEmitter.h"

#include "mlir/IR/Diagnostics.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"

using namespace permalloy;
using namespace mlir;

FailureOr<TunedSchedules> TunedSchedules::load(ModuleOp module, const CompileOptions &options) {
  TunedSchedules result;
  result.gpuChooser = options.gpuRules ? codegen::GpuChooser::Rule : codegen::GpuChooser::Prior;
  if (!options.costModel.empty()) {
    Result<std::unique_ptr<CostModel>> model = CostModel::named(options.costModel, MachineRates::of());
    if (!model.ok())
      return emitError(module.getLoc()) << model.status().message();
    result.model = std::move(*model);
  }
  if (options.database.empty() || (!options.databaseIsRequired && !llvm::sys::fs::exists(options.database)))
    return result;
  llvm::StringSet<> structures;
  for (auto kernel : module.getOps<kern::KernelOp>())
    structures.insert(identityOf(kernel).structure);
  Result<TuningDatabase> database = TuningDatabase::load(options.database, &structures);
  if (!database.ok()) {
    if (options.databaseIsRequired)
      return emitError(module.getLoc()) << database.status().message(); // of a file, so without the module's text
    emitWarning(module.getLoc()) << "the tuning database is not used: " << database.status().message();
    return result;
  }
  result.database = std::move(*database);
  if (!result.database.rows().empty())
    if (auto file = llvm::MemoryBuffer::getFile(options.database))
      result.hash = hash128((*file)->getBufferStart(), (*file)->getBufferSize()).hex().substr(0, 16);
  return result;
}

// Both kinds of targets under the same names.
static LogicalResult selectFor(kern::KernelOp kernel, const codegen::CpuTarget &target) { return codegen::selectSchedule(kernel, target); }
static LogicalResult selectFor(kern::KernelOp kernel, const codegen::GpuTarget &target) {
  return codegen::selectGpuSchedule(kernel, target, codegen::GpuChooser::Rule); // any schedule of its form does
}
static std::unique_ptr<codegen::ScheduleSpace> spaceFor(kern::KernelOp kernel, const codegen::CpuTarget &target) {
  return codegen::scheduleSpace(kernel, target);
}
static std::unique_ptr<codegen::ScheduleSpace> spaceFor(kern::KernelOp kernel, const codegen::GpuTarget &target) {
  return codegen::gpuScheduleSpace(kernel, target);
}
static LogicalResult setFor(kern::KernelOp kernel, const codegen::CpuTarget &target, const codegen::ScheduleSpace &space, ArrayRef<int64_t> values) {
  return codegen::setSchedule(kernel, target, space.attribute(kernel.getContext(), values));
}
static LogicalResult setFor(kern::KernelOp kernel, const codegen::GpuTarget &target, const codegen::ScheduleSpace &space, ArrayRef<int64_t> values) {
  return codegen::setGpuSchedule(kernel, target, codegen::gpuSchedule(kernel, space, values));
}
static llvm::Expected<std::string> codeFor(kern::KernelOp kernel, const codegen::CpuTarget &target) { return codegen::codeOf(kernel, target); }
static llvm::Expected<std::string> codeFor(kern::KernelOp kernel, const codegen::GpuTarget &target) { return codegen::gpuCodeOf(kernel, target); }

/// The name of the code of `kernel`, a text of the database, with a schedule; empty where it can have none.
template <typename Target>
static std::string codeToday(codegen::KernelContext &context, const std::string &kernel, const NamedNumbers &schedule, const Target &target) {
  OwningOpRef<ModuleOp> module = context.parse(kernel);
  if (!module || module->getOps<kern::KernelOp>().empty())
    return "";
  kern::KernelOp parsed = context.kernelOf(*module);
  auto space = failed(selectFor(parsed, target)) ? nullptr : spaceFor(parsed, target);
  if (!space)
    return "";
  auto values = space->values(schedule);
  if (!values)
    return (llvm::consumeError(values.takeError()), "");
  if (failed(setFor(parsed, target, *space, *values)))
    return "";
  auto code = codeFor(parsed, target);
  return code ? *code : (llvm::consumeError(code.takeError()), "");
}

template <typename Target> bool TunedSchedules::isCurrent(const TuningRow &row, const Target &target) {
  constexpr bool kIsGpu = std::is_same_v<Target, codegen::GpuTarget>;
  auto [known, isNew] = codes.try_emplace(row.kernel + " " + row.target + " " + str(row.schedule));
  if (isNew) {
    std::unique_ptr<codegen::KernelContext> &own = kIsGpu ? gpuContext : context;
    if (!own)
      own = std::make_unique<codegen::KernelContext>(kIsGpu ? codegen::KernelContext::Device::Gpu : codegen::KernelContext::Device::Cpu);
    known->second = codeToday(*own, database.kernels().at(row.kernel).text, row.schedule, target);
    own->takeError(); // a text or a schedule that is legal no more: no code
  }
  if (known->second == row.code)
    return true;
  outdated.insert(&row);
  return false;
}

/// `machine`: the CPU or the GPU that counts.
template <typename Target>
std::optional<TunedSchedule> TunedSchedules::measured(kern::KernelOp kernel, const Target &target, const std::string &machine,
                                                      const codegen::ScheduleSpace &space) {
  ScheduleQuery query{identityOf(kernel).structure, sizesOf(kernel, {}), target.name.str(), machine, numbersOf(kernel.getScheduleAttr())};
  query.isLegal = [&](const NamedNumbers &schedule) {
    auto values = space.values(schedule);
    return values ? true : (llvm::consumeError(values.takeError()), false);
  };
  query.isCurrent = [&](const TuningRow &row) { return isCurrent(row, target); };
  return database.choose(query);
}

/// Of several devices that a target runs on, the one that was measured last.
std::string TunedSchedules::deviceOf(const codegen::GpuTarget &target) const {
  for (const TuningRow &row : llvm::reverse(database.rows()))
    if (row.target == target.name)
      return row.cpu;
  return "";
}

/// What was measured has the last word, also where it says that the default is best.
LogicalResult TunedSchedules::predict(kern::KernelOp kernel, const codegen::CpuTarget &target, const codegen::ScheduleSpace &space) {
  std::string structure = identityOf(kernel).structure;
  bool wasMeasured = llvm::any_of(database.rows(), [&](const TuningRow &row) {
    return row.target == target.name && row.cpu == Cpu::host().kind() && database.kernels().at(row.kernel).structure == structure;
  });
  auto values = space.values(kernel.getScheduleAttr());
  if (!values)
    return kernel.emitError(llvm::toString(values.takeError()));
  if (wasMeasured)
    return success();
  auto chosen = chooseSchedule(space, *values, usualFacts(kernel), *model, target.name.str());
  if (!chosen)
    return success();
  kernels.push_back({kernel.getSymName().str(), target.name.str(), space.str(chosen->values), {}, std::exp(chosen->gain.gain)});
  return codegen::setSchedule(kernel, target, space.attribute(kernel.getContext(), chosen->values));
}

LogicalResult TunedSchedules::apply(kern::KernelOp kernel, const codegen::CpuTarget &target) {
  auto space = database.rows().empty() && !model ? nullptr : codegen::scheduleSpace(kernel, target);
  if (!space)
    return success();
  auto best = measured(kernel, target, Cpu::host().kind(), *space);
  if (!best)
    return model ? predict(kernel, target, *space) : success();
  auto values = space->values(best->schedule);
  if (!values)
    return kernel.emitError(llvm::toString(values.takeError()));
  kernels.push_back({kernel.getSymName().str(), target.name.str(), space->str(*values), best->shapes, best->gain});
  return codegen::setSchedule(kernel, target, space->attribute(kernel.getContext(), *values));
}

LogicalResult TunedSchedules::choose(kern::KernelOp kernel, const codegen::GpuTarget &target) {
  double gain = 1;
  if (failed(codegen::selectGpuSchedule(kernel, target, gpuChooser, &gain)))
    return failure();
  std::string device = deviceOf(target);
  auto space = device.empty() ? nullptr : codegen::gpuScheduleSpace(kernel, target);
  if (auto best = space ? measured(kernel, target, device, *space) : std::nullopt) {
    auto values = space->values(best->schedule);
    if (!values)
      return kernel.emitError(llvm::toString(values.takeError()));
    kernels.push_back({kernel.getSymName().str(), target.name.str(), space->str(*values), best->shapes, best->gain});
    return setFor(kernel, target, *space, *values);
  }
  if (gain > 1)
    kernels.push_back({kernel.getSymName().str(), target.name.str(), str(numbersOf(kernel.getScheduleAttr())), {}, gain});
  return success();
}

std::string TunedSchedules::commandLine() const {
  auto predicted = [](const TunedKernel &kernel) { return kernel.shapes.empty(); };
  // On GPUs the prior is asked by itself.
  auto onRequest = [](const TunedKernel &kernel) { return kernel.shapes.empty() && !codegen::GpuTarget::isGpuName(kernel.target); };
  std::string text = llvm::all_of(kernels, predicted) ? "" : " --database " + hash;
  return text + (llvm::any_of(kernels, onRequest) ? " --cost-model " + model->kind() : "");
}

std::string TunedSchedules::originOf(StringRef kernel, StringRef target) const {
  for (const TunedKernel &tuned : kernels)
    if (tuned.kernel == kernel && tuned.target == target)
      return tuned.shapes.empty() ? "predicted" : "measured";
  return "default";
}
