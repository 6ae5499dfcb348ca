//===- TunedSchedules.cpp - measured schedules for a compilation -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "TunedSchedules.h"
#include "ScheduleChoice.h"
#include "Tfm/PrecisionAttr.h"
#include "permalloy/Artifact/Hash.h"
#include "permalloy/Codegen/GPU/PtxEmission.h"
#include "permalloy/Codegen/GPU/SchedulePrice.h"
#include "permalloy/Codegen/KernelEmitter.h"
#include "permalloy/CostModel/GpuPrior.h"

#include "mlir/IR/Diagnostics.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/MemoryBuffer.h"

#include <map>
#include <set>

using namespace permalloy;
using namespace mlir;

/// Rows of several devices that one target runs on: only those of one count for a kernel.
static void warnOfDevices(ModuleOp module, const TuningDatabase &database, const std::vector<std::string> &targets) {
  for (const std::string &target : targets) {
    std::set<std::string> devices;
    for (const TuningRow &row : database.rows())
      if (row.target == target && codegen::GpuTarget::isGpuName(target))
        devices.insert(row.cpu);
    if (devices.size() > 1)
      emitWarning(module.getLoc()) << "the tuning database has rows of several devices for " << target << " (" << llvm::join(devices, ", ")
                                   << "); of each kernel those of the device with most of them count";
  }
}

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
  for (auto kernel : module.getOps<kern::KernelOp>()) {
    structures.insert(identityOf(kernel).structure);
    OwningOpRef<kern::KernelOp> forCpus = kernel.clone();
    forbidTf32(*forCpus);
    structures.insert(identityOf(*forCpus).structure);
  }
  Result<TuningDatabase> database = TuningDatabase::load(options.database, &structures);
  if (!database.ok()) {
    if (options.databaseIsRequired)
      return emitError(module.getLoc()) << database.status().message(); // of a file, so without the module's text
    emitWarning(module.getLoc()) << "the tuning database is not used: " << database.status().message();
    return result;
  }
  result.database = std::move(*database);
  warnOfDevices(module, result.database, options.targets);
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

codegen::KernelContext &TunedSchedules::contextFor(bool isGpu) {
  std::unique_ptr<codegen::KernelContext> &own = isGpu ? gpuContext : context;
  if (!own)
    own = std::make_unique<codegen::KernelContext>(isGpu ? codegen::KernelContext::Device::Gpu : codegen::KernelContext::Device::Cpu);
  return *own;
}

template <typename Target> bool TunedSchedules::isCurrent(const TuningRow &row, const Target &target) {
  constexpr bool kIsGpu = std::is_same_v<Target, codegen::GpuTarget>;
  auto [known, isNew] = codes.try_emplace(row.kernel + " " + row.target + " " + str(row.schedule));
  if (isNew) {
    codegen::KernelContext &own = contextFor(kIsGpu);
    known->second = codeToday(own, database.kernels().at(row.kernel).text, row.schedule, target);
    own.takeError(); // a text or a schedule that is legal no more: no code
  }
  if (known->second == row.code)
    return true;
  outdated.insert(&row);
  return false;
}

/// `machine`: the CPU or the GPU that counts. Target and space must outlive the query.
template <typename Target>
ScheduleQuery TunedSchedules::queryFor(kern::KernelOp kernel, const Target &target, const std::string &machine, const codegen::ScheduleSpace &space) {
  ScheduleQuery query{identityOf(kernel).structure, sizesOf(kernel, {}), target.name.str(), machine, numbersOf(kernel.getScheduleAttr())};
  query.isLegal = [&space](const NamedNumbers &schedule) {
    auto values = space.values(schedule);
    return values ? true : (llvm::consumeError(values.takeError()), false);
  };
  query.isCurrent = [this, &target](const TuningRow &row) { return isCurrent(row, target); };
  return query;
}

/// Of several devices that a target runs on, the one with most rows of a structure, of equal ones that with the newest row; empty
/// where there is none.
std::string TunedSchedules::deviceOf(const std::string &structure, const codegen::GpuTarget &target) const {
  std::map<std::string, std::pair<size_t, std::string>> rows; // and the newest date
  for (const TuningRow &row : database.rows())
    if (row.target == target.name && database.kernels().at(row.kernel).structure == structure) {
      auto &[count, date] = rows[row.cpu];
      ++count, date = std::max(date, row.date);
    }
  auto most = llvm::max_element(rows, [](const auto &a, const auto &b) { return a.second < b.second; });
  return most == rows.end() ? "" : most->first;
}

/// What a kernel of the database takes today without measurements; empty where it can have no schedule.
const NamedNumbers &TunedSchedules::defaultOf(const std::string &id, const codegen::GpuTarget &target) {
  auto [known, isNew] = defaults.try_emplace(id + " " + target.name.str());
  if (!isNew)
    return known->second;
  OwningOpRef<ModuleOp> module = contextFor(/*isGpu=*/true).parse(database.kernels().at(id).text);
  if (module && !module->getOps<kern::KernelOp>().empty())
    if (kern::KernelOp kernel = gpuContext->kernelOf(*module); succeeded(codegen::selectGpuSchedule(kernel, target, gpuChooser)))
      known->second = numbersOf(kernel.getScheduleAttr());
  gpuContext->takeError();
  return known->second;
}

/// Rows of a product; 0 where the kernel is none, nothing where they are not known.
static std::optional<double> productRows(kern::KernelOp kernel, const reference::Symbols &symbols) {
  auto facts = factsOf(kernel, symbols);
  return facts ? std::optional(facts->m) : std::nullopt;
}

/// Whether a row of a kernel with other parameters was measured on the way that a product of `rows` rows takes: with few, or with many.
bool TunedSchedules::isSameWay(const TuningRow &row, double rows) {
  OwningOpRef<ModuleOp> module = contextFor(/*isGpu=*/true).parse(database.kernels().at(row.kernel).text);
  reference::Symbols symbols;
  for (const auto &[name, value] : row.symbols)
    symbols[name] = value;
  auto own = module ? productRows(gpuContext->kernelOf(*module), symbols) : std::nullopt;
  return own && (*own <= kFewGpuRows) == (rows <= kFewGpuRows);
}

/// The entries of a schedule that the space has; nothing where others are missing.
static std::optional<NamedNumbers> projected(const NamedNumbers &schedule, const codegen::ScheduleSpace &space) {
  NamedNumbers own;
  for (const auto &entry : schedule)
    if (llvm::any_of(space.parameters(), [&](const auto &parameter) { return parameter.name == entry.first; }))
      own.push_back(entry);
  return own.size() == space.parameters().size() ? std::optional(own) : std::nullopt;
}

/// Kernels are measured with their dimensions open. At fixed ones a kernel may have fewer parameters (few rows, or many, and not both)
/// and another default; then the rows are compared with their own.
std::optional<TunedSchedule> TunedSchedules::measured(kern::KernelOp kernel, const codegen::GpuTarget &target, const codegen::ScheduleSpace &space) {
  ScheduleQuery query = queryFor(kernel, target, deviceOf(identityOf(kernel).structure, target), space);
  if (auto best = database.choose(query))
    return best;
  auto rows = productRows(kernel, codegen::usualSizes(kernel).front());
  auto isOfKernel = [&](const TuningRow &row) {
    return row.target == query.target && row.cpu == query.cpu && database.kernels().at(row.kernel).structure == query.structure;
  };
  auto first = llvm::find_if(database.rows(), isOfKernel);
  auto usual = first == database.rows().end() ? std::nullopt : projected(defaultOf(first->kernel, target), space);
  if (!usual || !rows)
    return std::nullopt;
  query.byDefault = *usual;
  query.scheduleOf = [&](const TuningRow &row) {
    auto own = projected(row.schedule, space);
    return own && (own->size() == row.schedule.size() || isSameWay(row, *rows)) ? own : std::nullopt;
  };
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
  auto best = database.choose(queryFor(kernel, target, Cpu::host().kind(), *space));
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
  auto space = database.rows().empty() ? nullptr : codegen::gpuScheduleSpace(kernel, target);
  if (auto best = space ? measured(kernel, target, *space) : std::nullopt) {
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
