//===- Budget.cpp - `--budget latency=0.6x --max-drop 1%` --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Budget.h"

#include "BudgetState.h"
#include "Calibrate.h"
#include "Interrupt.h"
#include "Report.h"

#include "permalloy/CostModel/Cpu.h"
#include "permalloy/Search/DynamicProgram.h"
#include "permalloy/Transforms/Levels.h"

#include "llvm/Support/Error.h"
#include "permalloy/Support/Files.h"
#include "permalloy/Support/Progress.h"
#include "permalloy/Support/Text.h"

#include <chrono>
#include <cmath>
#include <map>
#include <sys/stat.h>

namespace permalloy {

/// Samples that judge a site alone, and those of the last stage of the evolution. More change divergences by little: each
/// sample has many rows.
static constexpr unsigned kSiteSamples = 16, kPlanSamples = 64;
/// A plan is within the budget when it is measured to be so but for this share, about what two measurements differ by.
static constexpr double kLatencySlack = 0.01;
static constexpr int kMostAttempts = 4;
/// Weights of fewer elements save nothing.
static constexpr int64_t kLeastElements = 1 << 12;

//===----------------------------------------------------------------------===//
// Settings
//===----------------------------------------------------------------------===//

Result<double> parseShare(const std::string &text) {
  llvm::StringRef number = text;
  double scale = number.consume_back("%") ? 0.01 : 1, value = 0;
  if (number.getAsDouble(value) || !(value >= 0) || value * scale > 1)
    return Status(StatusCode::invalidArgument, "'" + text + "' is no share, expected one like 1% or 0.01");
  return value * scale;
}

Result<double> parseBudget(const std::string &text) {
  llvm::StringRef rest = text;
  double scale = 1, value = 0;
  bool known = rest.consume_front("latency=");
  if (rest.consume_back("%"))
    scale = 0.01;
  else
    known &= rest.consume_back("x");
  if (!known || rest.getAsDouble(value) || !(value > 0) || !std::isfinite(value))
    return Status(StatusCode::invalidArgument, "'" + text + "' is no budget, expected latency=0.6x: the share of f32's latency");
  return value * scale;
}

/// Levels that are tried where none are named, of those that this compiler has.
static std::vector<std::string> defaultLevels() {
  std::vector<std::string> levels;
  for (const char *level : {"bf16", "w8a8", "w8", "w4g32", "bf16+w8", "bf16+w4g32", "block50"})
    if (llvm::Expected<Level> parsed = Level::parse(level))
      levels.push_back(level);
    else
      llvm::consumeError(parsed.takeError());
  return levels;
}

/// `text` for all of a model that can have it, heads and small layers too.
static Result<PrecisionRequest> uniformRequest(const std::string &text, const std::string &solver) {
  llvm::Expected<Level> level = Level::parse(text);
  if (!level)
    return Status(StatusCode::invalidArgument, llvm::toString(level.takeError()));
  if (level->precision == kSplitPrecision)
    return Status(StatusCode::unsupported, "unsupported in a search");
  PrecisionRequest request;
  request.allBf16 = level->precision == "bf16";
  if (!level->format.empty())
    request.quantization = QuantizationRequest{level->format, level->format, solver, kLeastElements};
  return request;
}

/// Where a plan may stand in a search: the same model, options, inputs and compiler.
static std::string keyOf(const CompileCommand &command, const std::vector<std::string> &levels) {
  auto stamp = [](const std::string &path) {
    struct stat info = {};
    ::stat(path.c_str(), &info);
    return path + ":" + std::to_string(info.st_size) + ":" + std::to_string(info.st_mtim.tv_sec) + "." + std::to_string(info.st_mtim.tv_nsec);
  };
  const CompileSettings &settings = command.settings;
  return joined({stamp("/proc/self/exe"), stamp(command.model), stamp(settings.calibrate), settings.statistics, joined(levels, ","), settings.solver,
                 joined(settings.targets, ","), joined(settings.dims, ","), settings.packPadding ? "packed" : "padded", settings.costModel,
                 settings.noDatabase ? "none" : settings.database},
                " ");
}

namespace {

class BudgetSearch {
public:
  BudgetSearch(const CompileCommand &command) : command(command), trial(command) {}
  std::optional<PrecisionPlan> run();

private:
  bool readSettings();
  bool measureUniform();
  bool measureSites();
  void evolve(double budgetUs);
  bool startFrom(double budgetUs);
  std::optional<PrecisionPlan> withinLatency();
  std::optional<PrecisionPlan> withinDrop();
  std::optional<double> errorOf(const search::Plan &plan, unsigned samples);
  std::optional<TrialProgram> compile(const search::Plan &plan);
  PrecisionPlan finish(const search::Plan &plan, double error) const;
  bool report(const search::Plan &plan, const Latency &measured, double error);
  void save();

  const CompileCommand &command;
  BudgetTrial trial;
  BudgetState state;
  Progress progress;
  std::optional<double> budget, maxDrop; ///< share of f32's latency, and of the quality
  std::vector<std::string> levels;
  std::map<std::pair<search::Plan, unsigned>, double> known;
  std::optional<StatisticsSource> statistics; ///< what solvers read, as long as the search lasts
  bool allLevels = true;                      ///< none was left out by an interrupt, so that the state may be kept
};

} // namespace

bool BudgetSearch::readSettings() {
  const CompileSettings &settings = command.settings;
  if (!settings.budget.empty()) {
    Result<double> share = parseBudget(settings.budget);
    if (!share.ok())
      return fail(Status(share.status().code(), "--budget: " + share.status().message())), false;
    budget = *share;
  }
  if (!settings.maxDrop.empty()) {
    Result<double> share = parseShare(settings.maxDrop);
    if (!share.ok())
      return fail(Status(share.status().code(), "--max-drop: " + share.status().message())), false;
    maxDrop = *share;
  }
  if (settings.calibrate.empty())
    return fail(Status(StatusCode::invalidArgument, "--budget and --max-drop measure on inputs: --calibrate FILE.npz names them")), false;
  levels = settings.levels.empty() ? defaultLevels() : settings.levels;
  return true;
}

void BudgetSearch::save() {
  if (command.settings.searchState.empty() || !allLevels)
    return;
  if (Status status = writeFile(command.settings.searchState, state.toJson()); !status.ok())
    warn("--search-state: " + status.message());
}

//===----------------------------------------------------------------------===//
// Measurements
//===----------------------------------------------------------------------===//

/// Every level for the whole model.
bool BudgetSearch::measureUniform() {
  std::vector<UniformProgram> programs;
  std::vector<double> errors;
  auto add = [&](const std::string &level, TrialProgram &program) {
    std::optional<std::vector<StepTime>> steps = trial.stepTimes(program);
    std::optional<double> error = trial.divergence(program, kPlanSamples);
    if (!steps || !error)
      return false;
    programs.push_back({level, program.plan, std::move(*steps)});
    errors.push_back(*error);
    return true;
  };
  if (!add("f32", trial.reference()))
    return false;
  for (size_t i = 0; i < levels.size() && !wasInterrupted(); ++i) {
    progress.update("levels", i, levels.size());
    Result<PrecisionRequest> request = uniformRequest(levels[i], command.settings.solver);
    if (!request.ok()) {
      state.refused.push_back(levels[i] + ": " + request.status().message());
      continue;
    }
    std::optional<TrialProgram> program = trial.compile(*request);
    if (!program) {
      state.refused.push_back(levels[i] + ": the model does not compile at it");
      continue;
    }
    if (!add(levels[i], *program))
      return false;
  }
  addSites(state, programs);
  for (size_t i = 0; i < programs.size(); ++i) {
    double us = 0;
    for (const StepTime &step : programs[i].steps)
      us += step.us;
    state.uniform.push_back({programs[i].level, us, errors[i]});
  }
  state.dropDominated();
  allLevels = !wasInterrupted();
  save();
  return true;
}

/// Every level of every site alone, but for those that were measured before.
bool BudgetSearch::measureSites() {
  unsigned total = 0, done = 0;
  for (const BudgetSite &site : state.sites)
    total += site.levels.size() - 1;
  for (size_t i = 0; i < state.sites.size(); ++i)
    for (size_t j = 1; j < state.sites[i].levels.size(); ++j) {
      progress.update("sites", ++done, total);
      if (wasInterrupted())
        return true; // what was not measured is not taken
      if (state.sites[i].levels[j].error)
        continue;
      search::Plan plan(state.sites.size(), 0);
      plan[i] = j;
      state.sites[i].levels[j].error = errorOf(plan, kSiteSamples);
      if (!state.sites[i].levels[j].error)
        return false;
      if (done % 16 == 0)
        save();
    }
  save();
  return true;
}

std::optional<TrialProgram> BudgetSearch::compile(const search::Plan &plan) {
  PrecisionRequest request;
  request.plan = state.planOf(plan, command.settings.solver);
  return trial.compile(request);
}

std::optional<double> BudgetSearch::errorOf(const search::Plan &plan, unsigned samples) {
  samples = std::min(samples, trial.samples());
  auto [entry, isNew] = known.try_emplace({plan, samples}, 0);
  if (!isNew)
    return entry->second;
  std::optional<TrialProgram> program = compile(plan);
  std::optional<double> error = program ? trial.divergence(*program, samples) : std::nullopt;
  if (error)
    entry->second = *error;
  else
    known.erase(entry);
  return error;
}

//===----------------------------------------------------------------------===//
// Search
//===----------------------------------------------------------------------===//

/// The best of the dynamic program and of what an earlier run found; false when no plan is within the budget.
bool BudgetSearch::startFrom(double budgetUs) {
  search::Sites sites = state.table();
  Result<search::Frontier> frontier = search::Frontier::of(sites);
  if (!frontier.ok())
    return fail(frontier.status()), false;
  Result<search::Allocation> best = frontier->best(budgetUs);
  if (!best.ok())
    return fail(Status(StatusCode::invalidArgument, "--budget " + command.settings.budget + ": no plan is predicted to be that fast; the smallest feasible is latency=" +
                                                        formatNumber(std::ceil(1000 * search::leastCost(sites) / state.f32Us()) / 1000) + "x")),
           false;
  search::EvolutionState &evolution = state.evolution;
  bool fits = evolution.parent.size() == best->plan.size() && search::costOf(sites, evolution.parent) <= budgetUs;
  if (fits && evolution.parent == best->plan)
    return true;
  // What an earlier run found for a smaller budget may be worse than the dynamic program now.
  std::optional<double> fresh = fits ? errorOf(best->plan, kPlanSamples) : std::nullopt;
  if (!fits || (fresh && (!evolution.error || *fresh < *evolution.error)))
    evolution = {best->plan, fresh, 0};
  return true;
}

void BudgetSearch::evolve(double budgetUs) {
  using Clock = std::chrono::steady_clock;
  auto end = Clock::now() + std::chrono::duration<double>(60 * command.settings.searchMinutes);
  auto stop = [&] { return wasInterrupted() || Clock::now() >= end; };
  search::Sites sites = state.table();
  search::EvolutionOptions options;
  options.offspring = 16;
  options.stages = {{4, 4}, {2, 16}, {1, kPlanSamples}};
  search::Evolution evolution(sites, budgetUs, options, [&](const search::Plan &plan, unsigned samples) -> std::optional<double> {
    return stop() ? std::nullopt : errorOf(plan, samples);
  });
  while (!stop()) {
    progress.update("generations", state.evolution.generation + 1);
    if (!evolution.step(state.evolution))
      break;
    save();
  }
}

std::optional<PrecisionPlan> BudgetSearch::withinLatency() {
  double allowed = *budget;
  for (int attempt = 0; attempt < kMostAttempts; ++attempt) {
    double budgetUs = allowed * state.f32Us();
    if (!startFrom(budgetUs))
      return std::nullopt;
    if (attempt == 0)
      evolve(budgetUs);
    progress.update("measure");
    search::Plan plan = state.evolution.parent;
    std::optional<TrialProgram> program = compile(plan);
    std::optional<Latency> measured = program ? trial.latency(*program) : std::nullopt;
    std::optional<double> error = measured ? trial.divergence(*program, trial.samples()) : std::nullopt;
    if (!error)
      return std::nullopt;
    progress.finish();
    if (measured->ratio <= *budget * (1 + kLatencySlack) || attempt + 1 == kMostAttempts)
      return report(plan, *measured, *error) ? std::optional(finish(plan, *error)) : std::nullopt;
    llvm::errs() << "predicted within the budget, measured at " << formatNumber(measured->ratio) << "x: searching for a faster one\n";
    allowed *= *budget / measured->ratio;
  }
  return std::nullopt;
}

/// The cheapest of the plans that no other beats, by bisection: their measured divergences fall about as their sums do.
std::optional<PrecisionPlan> BudgetSearch::withinDrop() {
  Result<search::Frontier> frontier = search::Frontier::of(state.table());
  if (!frontier.ok())
    return fail(frontier.status()), std::nullopt;
  std::vector<search::Allocation> all = frontier->all();
  size_t low = 0, high = all.size() - 1; // the dearest is f32's error, 0
  while (low < high && !wasInterrupted()) {
    size_t middle = (low + high) / 2;
    progress.update("plans");
    std::optional<double> error = errorOf(all[middle].plan, trial.samples());
    if (!error)
      return std::nullopt;
    if (trial.dropOf(*error) <= *maxDrop)
      high = middle;
    else
      low = middle + 1;
  }
  const search::Plan &plan = all[high].plan;
  std::optional<TrialProgram> program = compile(plan);
  std::optional<Latency> measured = program ? trial.latency(*program) : std::nullopt;
  std::optional<double> error = measured ? trial.divergence(*program, trial.samples()) : std::nullopt;
  progress.finish();
  if (!error || !report(plan, *measured, *error))
    return std::nullopt;
  return finish(plan, *error);
}

std::optional<PrecisionPlan> BudgetSearch::run() {
  if (!readSettings())
    return std::nullopt;
  stopOnInterrupt();
  progress.update("f32");
  if (!trial.open())
    return std::nullopt;
  if (const solvers::WeightSolver *solver = solvers::findSolver(command.settings.solver);
      solver && solver->needs() == solvers::Statistics::gram) {
    statistics = calibrate(command, solvers::Statistics::gram);
    if (!statistics)
      return std::nullopt;
    trial.statistics = statistics->path;
  }
  state.key = keyOf(command, levels);
  if (!command.settings.searchState.empty())
    if (Result<std::vector<std::byte>> bytes = readFile(command.settings.searchState); bytes.ok())
      if (auto found = BudgetState::parse({reinterpret_cast<const char *>(bytes->data()), bytes->size()}, state.key))
        state = std::move(*found);
  if (state.sites.empty() && !measureUniform())
    return std::nullopt;
  if (state.sites.empty())
    return fail("no operation of the model can have any of the levels " + joined(levels)), std::nullopt;
  if (!measureSites())
    return std::nullopt;
  std::optional<PrecisionPlan> plan = budget ? withinLatency() : withinDrop();
  save();
  return plan;
}

//===----------------------------------------------------------------------===//
// What was found
//===----------------------------------------------------------------------===//

/// False, with an error, when the plan is not what was asked for.
bool BudgetSearch::report(const search::Plan &plan, const Latency &measured, double error) {
  search::Sites sites = state.table();
  double predicted = search::costOf(sites, plan), drop = trial.dropOf(error);
  llvm::raw_ostream &os = llvm::errs();
  os << "levels for the whole model (predicted share of f32's latency, " << (trial.hasLogits() ? "KL divergence" : "1 - cosine") << "):\n";
  Table table("  ");
  for (const BudgetState::Uniform &entry : state.uniform)
    table.row({entry.level, formatNumber(entry.us / state.uniform.front().us) + "x", formatNumber(entry.error)});
  table.print(os);
  for (const std::string &reason : state.refused)
    os << "  " << reason << "\n";
  os << "plan: predicted " << formatNumber(predicted / state.f32Us()) << "x (" << formatSeconds(predicted * 1e-6) << "), measured " << formatNumber(measured.ratio) << "x ("
     << formatSeconds(measured.us * 1e-6) << "; f32 " << formatSeconds(measured.reference * 1e-6) << "); " << (trial.hasLogits() ? "KL divergence " : "1 - cosine ")
     << formatNumber(error) << " (sum of sites " << formatNumber(search::errorOf(sites, plan)) << "), drop " << formatNumber(100 * drop) << "%\n";
  if (budget && measured.ratio > *budget * (1 + kLatencySlack))
    return fail(Status(StatusCode::invalidArgument, "--budget " + command.settings.budget + ": the best plan is measured at " + formatNumber(measured.ratio) + "x")), false;
  if (maxDrop && drop > *maxDrop)
    return fail(Status(StatusCode::invalidArgument, "--max-drop " + formatNumber(100 * *maxDrop) + "%: the best plan within " + command.settings.budget +
                                                        " has a drop of " + formatNumber(100 * drop) + "%")),
           false;
  return true;
}

PrecisionPlan BudgetSearch::finish(const search::Plan &chosen, double error) const {
  PrecisionPlan plan = state.planOf(chosen, command.settings.solver);
  plan.error = error;
  return plan;
}

std::optional<PrecisionPlan> planWithinBudget(const CompileCommand &command) { return BudgetSearch(command).run(); }

} // namespace permalloy
