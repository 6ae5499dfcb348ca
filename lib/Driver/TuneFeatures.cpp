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
  /// `speed` is that of the machine then. False where the kernel is not read by this compiler, or its sizes are unknown.
  bool writeRow(const TuningRow &row, const MachineSpeed &speed);

private:
  const std::optional<KernelFacts> &factsAt(const TuningRow &row);

  const TuningDatabase &database;
  llvm::raw_ostream &os;
  std::unique_ptr<codegen::KernelContext> context;
  std::string current;
  std::optional<KernelFacts> facts; ///< but for the span of the weights
  std::vector<float> features;
};
} // namespace

void FeatureWriter::writeHeader() {
  os << "# feature_hash=" << llvm::utohexstr(features::hash(), /*LowerCase=*/true, 16) << " target_kind=cpu\n";
  os << "kernel,structure,emitter,dtype,cpu,target,symbols,schedule,default,mad_ns,drift,median_ns,default_ns,fma_gflops,read_gbps,weight_span,date,prior_then_ns,prior_ns";
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

/// The machine's speed round each row, from its neighbours in the database: the yardstick beside one row says as much of how hot that
/// row's kernel made the core as of the machine, so that of the multiply-adds the upper quartile counts.
static std::vector<MachineSpeed> smoothedSpeeds(llvm::ArrayRef<TuningRow> rows) {
  constexpr size_t kClock = 20, kMemory = 200; // rows to each side
  auto quantile = [&](size_t at, size_t reach, double MachineSpeed::*rate, double share) {
    std::vector<double> known;
    for (size_t i = at - std::min(at, reach), end = std::min(at + reach + 1, rows.size()); i < end; ++i)
      if (rows[i].speed.isKnown())
        known.push_back(rows[i].speed.*rate);
    auto place = known.begin() + ptrdiff_t(share * double(known.size() - 1));
    std::nth_element(known.begin(), place, known.end());
    return *place;
  };
  std::vector<MachineSpeed> speeds(rows.size());
  for (size_t i = 0; i < rows.size(); ++i)
    if (rows[i].speed.isKnown())
      speeds[i] = {quantile(i, kClock, &MachineSpeed::fmaGflops, 0.75), quantile(i, kMemory, &MachineSpeed::readGbps, 0.5)};
  return speeds;
}

bool FeatureWriter::writeRow(const TuningRow &row, const MachineSpeed &speed) {
  std::optional<KernelFacts> known = factsAt(row);
  if (!known)
    return false;
  const KernelIdentity &kernel = database.kernels().at(row.kernel);
  TargetUnits units = unitsOf(row.target);
  known->weightSpan = row.weightSpan;
  MachineRates rates = MachineRates::committed(row.cpu);
  Machine machine(rates, units);
  double priorThen = estimateCost(*known, row.schedule, Machine(rates.at(speed), units)).nanoseconds();
  CostEstimate prior = estimateCost(*known, row.schedule, machine);
  features::compute({*known, row.schedule, units, machine, prior}, features);
  os << row.kernel << "," << kernel.structure << "," << kernel.emitter << "," << kernel.dtype << "," << row.cpu << "," << row.target << ","
     << str(row.symbols) << "," << str(row.schedule) << "," << row.isDefault << ",";
  for (double value : {row.madNs, row.drift, row.medianNs, row.defaultNs, speed.fmaGflops, speed.readGbps, row.weightSpan})
    os << llvm::format("%.9g,", value);
  os << row.date << "," << llvm::format("%.9g,%.9g,", priorThen, prior.nanoseconds());
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
    std::vector<MachineSpeed> speeds = smoothedSpeeds(database->rows());
    for (auto [row, speed] : llvm::zip_equal(database->rows(), speeds))
      if (row.form.empty()) // trees are of CPUs
        left += !writer.writeRow(row, speed);
    return {};
  });
  if (!status.ok())
    return fail(status);
  llvm::errs() << command.features << ": " << formatCount(llvm::count_if(database->rows(), [](const TuningRow &row) { return row.form.empty(); }) - left, "row") << " of "
               << formatCount(features::names().size(), "feature");
  if (left)
    llvm::errs() << "; " << left << " of kernels that this compiler does not read were left out";
  llvm::errs() << "\n";
  return 0;
}

} // namespace permalloy
