//===- TuneFeatures.cpp - `permalloy tune --features` ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Commands.h"
#include "Report.h"

#include "permalloy/Codegen/KernelContext.h"
#include "permalloy/CostModel/CostFeatures.h"
#include "permalloy/CostModel/TuningDatabase.h"
#include "permalloy/Support/Files.h"
#include "permalloy/Support/Text.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Format.h"

namespace permalloy {

namespace {
/// Prints the rows of a database as features, one line a row; facts are kept while rows of one kernel and size follow another.
class FeatureWriter {
public:
  FeatureWriter(const TuningDatabase &database, llvm::raw_ostream &os) : database(database), os(os) {}

  void writeHeader();
  /// False where the kernel is not read by this compiler, or its sizes are unknown.
  bool writeRow(const TuningRow &row);

private:
  const std::optional<KernelFacts> &factsAt(const TuningRow &row);

  const TuningDatabase &database;
  llvm::raw_ostream &os;
  std::unique_ptr<codegen::KernelContext> context;
  std::string current;
  std::optional<KernelFacts> facts;
  std::vector<float> features;
};
} // namespace

void FeatureWriter::writeHeader() {
  os << "# feature_hash=" << llvm::utohexstr(features::hash(), /*LowerCase=*/true, 16) << " target_kind=cpu\n";
  os << "kernel,structure,emitter,dtype,cpu,target,symbols,schedule,default,mad_ns,drift,median_ns,default_ns,prior_ns";
  for (const std::string &name : features::names())
    os << "," << name;
  os << "\n";
}

const std::optional<KernelFacts> &FeatureWriter::factsAt(const TuningRow &row) {
  std::string wanted = row.kernel + " " + str(row.symbols);
  if (wanted == current)
    return facts;
  current = wanted;
  facts.reset();
  auto kernel = database.kernels().find(row.kernel);
  if (kernel == database.kernels().end())
    return facts;
  context = std::make_unique<codegen::KernelContext>();
  mlir::OwningOpRef<mlir::ModuleOp> module = context->parse(kernel->second.text);
  context->takeError(); // a text of an older compiler
  if (!module || module->getOps<kern::KernelOp>().empty())
    return facts;
  reference::Symbols symbols;
  for (const auto &[name, value] : row.symbols)
    symbols[name] = value;
  return facts = factsOf(context->kernelOf(*module), symbols);
}

bool FeatureWriter::writeRow(const TuningRow &row) {
  const std::optional<KernelFacts> &known = factsAt(row);
  if (!known)
    return false;
  const KernelIdentity &kernel = database.kernels().at(row.kernel);
  TargetUnits units = unitsOf(row.target);
  Machine machine(MachineRates::committed(row.cpu), units);
  CostEstimate prior = estimateCost(*known, row.schedule, machine);
  features::compute({*known, row.schedule, units, machine, prior}, features);
  os << row.kernel << "," << kernel.structure << "," << kernel.emitter << "," << kernel.dtype << "," << row.cpu << "," << row.target << ","
     << str(row.symbols) << "," << str(row.schedule) << "," << row.isDefault << ",";
  for (double value : {row.madNs, row.drift, row.medianNs, row.defaultNs, prior.nanoseconds()})
    os << llvm::format("%.9g,", value);
  for (size_t i = 0; i < features.size(); ++i)
    os << (i ? "," : "") << llvm::format("%.9g", double(features[i])); // reads back as the same f32
  os << "\n";
  return true;
}

int printFeatures(const TuneCommand &command) {
  if (command.settings.database.empty())
    return fail("--features needs --database FILE, whose rows to print");
  Result<TuningDatabase> database = TuningDatabase::load(command.settings.database);
  if (!database.ok())
    return fail(database.status());
  size_t left = 0;
  Status status = writeText(command.features, [&](llvm::raw_ostream &os) -> Status {
    FeatureWriter writer(*database, os);
    writer.writeHeader();
    for (const TuningRow &row : database->rows())
      left += !writer.writeRow(row);
    return {};
  });
  if (!status.ok())
    return fail(status);
  llvm::errs() << command.features << ": " << formatCount(database->rows().size() - left, "row") << " of "
               << formatCount(features::names().size(), "feature");
  if (left)
    llvm::errs() << "; " << left << " of kernels that this compiler does not read were left out";
  llvm::errs() << "\n";
  return 0;
}

} // namespace permalloy
