//===- TunedSchedules.cpp - measured schedules for a compilation -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "TunedSchedules.h"
#include "permalloy/Artifact/Hash.h"
#include "permalloy/Codegen/KernelEmitter.h"

#include "mlir/IR/Diagnostics.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"

using namespace permalloy;
using namespace mlir;

FailureOr<TunedSchedules> TunedSchedules::load(ModuleOp module, const CompileOptions &options) {
  TunedSchedules result;
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

static NamedNumbers numbersOf(DictionaryAttr schedule) {
  NamedNumbers numbers;
  for (NamedAttribute entry : schedule)
    if (auto value = dyn_cast<IntegerAttr>(entry.getValue()))
      numbers.push_back({entry.getName().str(), value.getInt()});
  llvm::sort(numbers);
  return numbers;
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

LogicalResult TunedSchedules::apply(kern::KernelOp kernel, const codegen::CpuTarget &target) {
  auto space = database.rows().empty() ? nullptr : codegen::scheduleSpace(kernel, target);
  if (!space)
    return success();
  auto valuesOf = [&](const NamedNumbers &schedule) {
    auto values = space->values(schedule);
    return values ? std::optional(*values) : (llvm::consumeError(values.takeError()), std::nullopt);
  };
  ScheduleQuery query{identityOf(kernel).structure, sizesOf(kernel, {}), target.name.str(), Cpu::host().kind(),
                      numbersOf(kernel.getScheduleAttr())};
  query.isLegal = [&](const NamedNumbers &schedule) { return valuesOf(schedule).has_value(); };
  query.isCurrent = [&](const TuningRow &row) { return isCurrent(row, target); };
  auto best = database.choose(query);
  if (!best)
    return success();
  auto values = *valuesOf(best->schedule);
  kernels.push_back({kernel.getSymName().str(), target.name.str(), space->str(values), best->shapes, best->gain});
  return codegen::setSchedule(kernel, target, space->attribute(kernel.getContext(), values));
}
