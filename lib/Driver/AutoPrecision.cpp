//===- AutoPrecision.cpp - `--precision auto` --------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "AutoPrecision.h"

#include "BudgetState.h"
#include "CalibrationData.h"
#include "Compare.h"
#include "ImportModel.h"
#include "Inputs.h"
#include "Model.h"
#include "Report.h"

#include "permalloy/Support/Text.h"

#include <cmath>
#include <numeric>

namespace permalloy {

namespace {

using Chosen = std::vector<bool>;

/// The model with switches, and what it computes in f32.
class Trial {
public:
  Trial(const CompileCommand &command) : command(command), context(command.settings.jobs) {}

  /// False after an error, which was reported.
  bool open();
  /// Errors and saved times of all choices.
  bool measureAlone();
  /// The error of a plan, measured; nothing after an error, which was reported.
  std::optional<double> errorOf(const Chosen &on) { return errorOf(model, inputs, on); }
  /// The same of the model compiled with a plan.
  std::optional<double> errorOfCompiled(const PrecisionPlan &plan);

  PrecisionPlan plan;

private:
  std::optional<OpenModel> compile(const PrecisionRequest &request, ToolContext &where);
  std::optional<double> errorOf(OpenModel &other, std::vector<NamedArray> arrays, const Chosen &on);
  std::optional<UniformProgram> price(const CostModel &costs, const std::string &level);
  bool predictSaved();

  const CompileCommand &command;
  ToolContext context;
  OpenModel model;
  std::vector<NamedArray> inputs, expected;
};

} // namespace

static void setSwitches(std::vector<NamedArray> &arrays, const Chosen &on) {
  for (NamedArray &entry : arrays)
    if (entry.name == kSwitchInput)
      for (size_t i = 0; i < on.size(); ++i)
        entry.array.data[i] = std::byte(on[i]);
}

std::optional<OpenModel> Trial::compile(const PrecisionRequest &request, ToolContext &where) {
  OpenModel result;
  Result<TempFolder> folder = TempFolder::create();
  if (!folder.ok())
    return fail(folder.status()), std::nullopt;
  result.folder = std::move(*folder);
  result.path = result.folder->file("model.alloy");
  CompileCommand part = command;
  part.output = result.path;
  part.emit = "alloy";
  part.fusionReport = false;
  if (!compileModelWith(part, /*summary=*/false, request, where))
    return std::nullopt;
  Result<std::optional<OpenModel>> opened = openModel(result.path, command.settings, command.settings.jobs);
  if (!opened.ok())
    return fail(opened.status()), std::nullopt;
  (*opened)->folder = std::move(result.folder);
  return std::move(*opened);
}

/// Random numbers for one input among real ones would calibrate on something else than the user thinks.
static Status checkComplete(const std::string &npz, const artifact::Manifest &manifest) {
  Result<std::vector<NamedArray>> given = readNpz(npz);
  if (!given.ok())
    return given.status();
  for (const NamedArray &entry : *given)
    if (Status status = refuseNaN(npz, entry); !status.ok())
      return status;
  for (const artifact::TensorInfo &input : manifest.inputs)
    if (input.name != kSwitchInput && llvm::none_of(*given, [&](const NamedArray &entry) { return entry.name == input.name; }))
      return {StatusCode::invalidArgument, "input '" + input.name + "' is missing in '" + npz + "' (--calibrate)"};
  return {};
}

bool Trial::open() {
  PrecisionRequest request;
  request.switches = &plan;
  std::optional<OpenModel> opened = compile(request, context);
  if (!opened)
    return false;
  model = std::move(*opened);
  if (plan.choices.empty())
    return true;
  InputSettings settings;
  settings.npz = command.settings.calibrate;
  settings.random = true; // the switches, and without a file all inputs
  if (!settings.npz.empty())
    if (Status status = checkComplete(settings.npz, model.artifact().manifest()); !status.ok())
      return fail(status), false;
  Result<std::vector<NamedArray>> arrays = makeInputs(model.artifact(), settings, {});
  if (!arrays.ok())
    return fail(arrays.status()), false;
  inputs = std::move(*arrays);
  setSwitches(inputs, Chosen(plan.choices.size(), false));
  Result<std::vector<NamedArray>> outputs = model.run(inputs);
  if (!outputs.ok())
    return fail(outputs.status()), false;
  expected = std::move(*outputs);
  return true;
}

std::optional<double> Trial::errorOf(OpenModel &other, std::vector<NamedArray> arrays, const Chosen &on) {
  setSwitches(arrays, on);
  Result<std::vector<NamedArray>> outputs = other.run(arrays);
  if (!outputs.ok())
    return fail(outputs.status()), std::nullopt;
  double error = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    Difference difference = compareArrays((*outputs)[i].array, expected[i].array);
    error = std::max(error, difference.mismatch.empty() ? difference.relative() : HUGE_VAL);
  }
  return error;
}

std::optional<double> Trial::errorOfCompiled(const PrecisionPlan &chosen) {
  PrecisionRequest request;
  request.plan = chosen;
  ToolContext own(command.settings.jobs);
  std::optional<OpenModel> compiled = compile(request, own);
  if (!compiled)
    return std::nullopt;
  std::vector<NamedArray> arrays = inputs;
  std::erase_if(arrays, [](const NamedArray &entry) { return entry.name == kSwitchInput; });
  return errorOf(*compiled, std::move(arrays), {});
}

/// The steps of the model at one precision, as the cost model prices them at the sizes of the
/// inputs.
std::optional<UniformProgram> Trial::price(const CostModel &costs, const std::string &level) {
  PriceRequest request;
  request.model = &costs;
  request.target = model.artifact().program().targets[model.session->targetIndex()].name;
  request.sizes = [&](const artifact::Manifest &manifest) -> Result<std::vector<int64_t>> {
    return symbolValues(manifest, inputs);
  };
  UniformProgram program{level, {}, {}};
  PrecisionRequest precision;
  precision.uniform = level;
  precision.carriedOut = level == "f32" ? nullptr : &program.plan;
  ToolContext own(command.settings.jobs);
  std::optional<ProgramPrice> priced = priceModelWith(command, request, precision, own);
  if (!priced)
    return std::nullopt;
  program.steps = stepsOf(*priced);
  return program;
}

/// What bf16 saves of each choice, as budgets divide the time of a model over its sites.
bool Trial::predictSaved() {
  if (plan.choices.empty())
    return true; // and there are no inputs (open)
  Result<std::unique_ptr<CostModel>> costs = costModelOf(command.settings);
  if (!costs.ok())
    return fail(costs.status()), false;
  std::vector<UniformProgram> programs;
  for (const char *level : {"f32", "bf16"}) {
    std::optional<UniformProgram> program = price(**costs, level);
    if (!program)
      return false;
    programs.push_back(std::move(*program));
  }
  BudgetState state;
  state.addSites(programs);
  for (PrecisionChoice &choice : plan.choices) {
    choice.saved = 0;
    for (const BudgetSite &site : state.sites)
      for (const BudgetLevel &level : site.levels)
        if (site.op == choice.op && site.kind == choice.kind && level.level == "bf16")
          choice.saved = site.levels.front().us.front() - level.us.front();
  }
  return true;
}

bool Trial::measureAlone() {
  if (!predictSaved())
    return false;
  Chosen on(plan.choices.size(), false);
  for (size_t i = 0; i < on.size(); ++i) {
    PrecisionChoice &choice = plan.choices[i];
    on[i] = true;
    choice.error = errorOf(on);
    on[i] = false;
    if (!choice.error)
      return false;
  }
  return true;
}

//===----------------------------------------------------------------------===//
// Search
//===----------------------------------------------------------------------===//

/// Choices by the time saved per error, the best first; what saves nothing is left out.
static std::vector<size_t> ranked(const PrecisionPlan &plan) {
  std::vector<size_t> order;
  for (size_t i = 0; i < plan.choices.size(); ++i)
    if (*plan.choices[i].saved > 0)
      order.push_back(i);
  auto value = [&](size_t i) { return *plan.choices[i].saved / std::max(*plan.choices[i].error, 1e-12); };
  llvm::sort(order, [&](size_t a, size_t b) { return value(a) != value(b) ? value(a) > value(b) : a < b; });
  return order;
}

static Chosen firstOf(const std::vector<size_t> &order, size_t length, size_t count) {
  Chosen on(count, false);
  for (size_t i = 0; i < length; ++i)
    on[order[i]] = true;
  return on;
}

/// The longest prefix of `order` that a bisection finds within the limit.
static std::optional<size_t> longestWithin(Trial &trial, const std::vector<size_t> &order, double limit) {
  size_t low = 0, high = order.size();
  while (low < high) {
    size_t middle = (low + high + 1) / 2;
    std::optional<double> error = trial.errorOf(firstOf(order, middle, trial.plan.choices.size()));
    if (!error)
      return std::nullopt;
    if (*error <= limit)
      low = middle;
    else
      high = middle - 1;
  }
  return low;
}

/// The plan of a prefix, with a reason where it stays f32, and behind it what has no switch.
static PrecisionPlan planOf(const PrecisionPlan &all, const Chosen &on, double limit) {
  PrecisionPlan plan = all;
  plan.maxError = limit;
  for (size_t i = 0; i < on.size(); ++i) {
    plan.choices[i].precision = on[i] ? "bf16" : "f32";
    if (!on[i])
      plan.choices[i].reason = *all.choices[i].saved > 0 ? "--max-error " + formatNumber(limit) + " leaves it no room"
                                                           : "bf16 would save no time";
  }
  llvm::append_range(plan.choices, all.kept);
  return plan;
}

std::optional<PrecisionPlan> planPrecision(const CompileCommand &command) {
  double limit = command.settings.maxError;
  Trial trial(command);
  if (!trial.open() || !trial.measureAlone())
    return std::nullopt;
  if (command.settings.calibrate.empty())
    llvm::errs() << "calibrated on random inputs (seed 0); --calibrate FILE.npz takes real ones\n";
  std::vector<size_t> order = ranked(trial.plan);
  if (limit == 0)
    order.clear(); // f32 by contract, also where these inputs show no error
  std::optional<size_t> length = longestWithin(trial, order, limit);
  while (length) {
    PrecisionPlan plan = planOf(trial.plan, firstOf(order, *length, trial.plan.choices.size()), limit);
    plan.error = 0;
    if (*length == 0)
      return plan;
    plan.error = trial.errorOfCompiled(plan);
    if (!plan.error)
      return std::nullopt;
    if (*plan.error <= limit)
      return plan;
    length = *length * 3 / 4;
  }
  return std::nullopt;
}

} // namespace permalloy
