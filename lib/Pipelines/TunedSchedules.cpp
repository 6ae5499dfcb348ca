//===- TunedSchedules.cpp - measured schedules for a compilation -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "TunedSchedules.h"
#include "ScheduleChoice.h"
#include "permalloy/Artifact/Hash.h"
#include "permalloy/Codegen/KernelEmitter.h"

#include "mlir/IR/Diagnostics.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"

using namespace permalloy;
using namespace mlir;

FailureOr<TunedSchedules> TunedSchedules::load(ModuleOp module, const CompileOptions &options) {
  TunedSchedules result;
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

/// The name of the code of `kernel`, a text of the database, with a schedule; empty where it can have none.
static std::string codeToday(codegen::KernelContext &context, const std::string &kernel, const NamedNumbers &schedule,
                             const codegen::CpuTarget &target) {
  OwningOpRef<ModuleOp> module = context.parse(kernel);
  if (!module || module->getOps<kern::KernelOp>().empty())
    return "";
  kern::KernelOp parsed = context.kernelOf(*module);
  auto space = failed(codegen::selectSchedule(parsed, target)) ? nullptr : codegen::scheduleSpace(parsed, target);
  if (!space)
    return "";
  auto values = space->values(schedule);
  if (!values)
    return (llvm::consumeError(values.takeError()), "");
  if (failed(codegen::setSchedule(parsed, target, space->attribute(parsed.getContext(), *values))))
    return "";
  auto code = codegen::codeOf(parsed, target);
  return code ? *code : (llvm::consumeError(code.takeError()), "");
}

bool TunedSchedules::isCurrent(const TuningRow &row, const codegen::CpuTarget &target) {
  auto [known, isNew] = codes.try_emplace(row.kernel + " " + row.target + " " + str(row.schedule));
  if (isNew) {
    if (!context)
      context = std::make_unique<codegen::KernelContext>();
    known->second = codeToday(*context, database.kernels().at(row.kernel).text, row.schedule, target);
    context->takeError(); // a text or a schedule that is legal no more: no code
  }
  if (known->second == row.code)
    return true;
  outdated.insert(&row);
  return false;
}

std::optional<TunedSchedule> TunedSchedules::measured(kern::KernelOp kernel, const codegen::CpuTarget &target,
                                                      const codegen::ScheduleSpace &space) {
  ScheduleQuery query{identityOf(kernel).structure, sizesOf(kernel, {}), target.name.str(), Cpu::host().kind(),
                      numbersOf(kernel.getScheduleAttr())};
  query.isLegal = [&](const NamedNumbers &schedule) {
    auto values = space.values(schedule);
    return values ? true : (llvm::consumeError(values.takeError()), false);
  };
  query.isCurrent = [&](const TuningRow &row) { return isCurrent(row, target); };
  return database.choose(query);
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
  auto best = measured(kernel, target, *space);
  if (!best)
    return model ? predict(kernel, target, *space) : success();
  auto values = space->values(best->schedule);
  if (!values)
    return kernel.emitError(llvm::toString(values.takeError()));
  kernels.push_back({kernel.getSymName().str(), target.name.str(), space->str(*values), best->shapes, best->gain});
  return codegen::setSchedule(kernel, target, space->attribute(kernel.getContext(), *values));
}

std::string TunedSchedules::commandLine() const {
  auto predicted = [](const TunedKernel &kernel) { return kernel.shapes.empty(); };
  std::string text = llvm::all_of(kernels, predicted) ? "" : " --database " + hash;
  return text + (llvm::any_of(kernels, predicted) ? " --cost-model " + model->kind() : "");
}

std::string TunedSchedules::originOf(StringRef kernel, StringRef target) const {
  for (const TunedKernel &tuned : kernels)
    if (tuned.kernel == kernel && tuned.target == target)
      return tuned.shapes.empty() ? "predicted" : "measured";
  return "default";
}
