//===- Budget.cpp - `--budget latency=0.6x --max-drop 1%` --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// One class, longer than other files: its measurements, steps and results share what the search knows, in the order of Budget.h.
//
//===----------------------------------------------------------------------===//
#include "Budget.h"

#include "BudgetSettings.h"
#include "BudgetState.h"
#include "Calibrate.h"
#include "Interrupt.h"
#include "Report.h"

#include "permalloy/Search/DynamicProgram.h"
#include "permalloy/Transforms/Levels.h"

#include "llvm/Support/Error.h"
#include "permalloy/Support/Files.h"
#include "permalloy/Support/Progress.h"
#include "permalloy/Support/Text.h"

#include <chrono>
#include <cmath>
#include <map>

namespace permalloy {

/// Samples that judge a site alone, and those of the last stage of the evolution. More change divergences by little: each
/// sample has many rows.
static constexpr unsigned kSiteSamples = 16, kPlanSamples = 64;
/// Shares of the budget: what the search aims at, and what a plan may be measured to take, so that measuring it again (two
/// measurements differ by about 1%) gives a latency within the budget, too.
static constexpr double kAim = 0.97, kMostOfBudget = 0.985;
/// A plan that leaves more of the budget than this is sought again with a budget that uses it.
static constexpr double kUnused = 0.05;
static constexpr int kMostAttempts = 4;
/// Ways to merge tokens whose best plan is measured before one of them is taken.
static constexpr size_t kMostWays = 3;

namespace {

class BudgetSearch {
public:
  BudgetSearch(const CompileCommand &command) : command(command), trial(command) {}
  std::optional<SearchedPlan> run();

private:
  /// A plan, compiled and judged.
  struct Found {
    search::Plan plan;
    PrecisionPlan carriedOut;
    double predictedUs = 0, pricedUs = 0; ///< of its own program: scaled (BudgetState.h), and as the cost model says
    Latency measured;
    double error = 0;
  };

  bool readSettings();
  bool measureAll();
  bool measureUniform(std::vector<UniformProgram> &programs);
  bool measureMerges();
  bool measureMerge(const std::string &level, bool &nowhere);
  bool measureSites();
  void evolve(double budgetUs);
  bool startFrom(double budgetUs);
  bool fitBudget(double &allowed);
  bool findLeast();
  double tightened(double allowed, double share) const;
  void keep(const Found &found);
  std::optional<SearchedPlan> withinLatency();
  std::optional<SearchedPlan> withinDrop();
  std::optional<double> errorOf(const search::Plan &plan, unsigned samples);
  PrecisionRequest requestOf(const search::Plan &plan) const;
  std::optional<Found> judge(const search::Plan &plan);
  std::optional<SearchedPlan> finish(const Found &found);
  void printLevels() const;
  void save();

  const CompileCommand &command;
  BudgetTrial trial;
  BudgetState state;
  Progress progress;
  std::optional<double> budget, maxDrop; ///< share of f32's latency, and of the quality
  double least = 0;                      ///< share of f32's latency that the cheapest plan is predicted to take
  std::optional<Found> best;             ///< of the plans that were measured within the budget
  std::vector<std::string> levels;
  std::map<std::pair<search::Plan, unsigned>, double> known;
  std::optional<StatisticsSource> statistics; ///< what solvers read, as long as the search lasts
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
  if (command.settings.searchState.empty())
    return;
  if (Status status = writeFile(command.settings.searchState, state.toJson()); !status.ok())
    warn("--search-state: " + status.message());
}

//===----------------------------------------------------------------------===//
// Measurements
//===----------------------------------------------------------------------===//

/// Every level of layers for the whole model. The programs are left for ways to merge tokens.
bool BudgetSearch::measureUniform(std::vector<UniformProgram> &programs) {
  auto add = [&](const std::string &level, TrialProgram &program, const PrecisionRequest &request) {
    std::optional<std::vector<StepTime>> steps = trial.stepTimes(program, request);
    std::optional<double> error = steps ? trial.divergence(program, kPlanSamples) : std::nullopt;
    if (!error)
      return false;
    BudgetState::Uniform &entry = state.uniform.emplace_back(BudgetState::Uniform{level, 0, 0, *error});
    for (const StepTime &step : *steps)
      entry.predictedUs += step.predicted, entry.measuredUs += step.measured;
    programs.push_back({level, program.plan, std::move(*steps)});
    return true;
  };
  if (!add("f32", trial.reference(), {}))
    return false;
  for (size_t i = 0; i < levels.size() && !wasInterrupted(); ++i) {
    if (!mergeOf(levels[i]).empty())
      continue;
    progress.update("levels", i, levels.size());
    Result<PrecisionRequest> request = uniformRequest(levels[i], command.settings.solver);
    if (!request.ok()) {
      state.refused.push_back(levels[i] + ": " + request.status().message());
      continue;
    }
    std::optional<TrialProgram> program = trial.compile(*request);
    if (!program)
      state.refused.push_back(levels[i] + ": the model does not compile at it");
    else if (!add(levels[i], *program, *request))
      return false;
  }
  return true;
}

/// f32 with the merges, measured, and each level that is left with them, priced. `nowhere`: no schedule changes any block.
bool BudgetSearch::measureMerge(const std::string &level, bool &nowhere) {
  PrecisionRequest request;
  request.mergeTokens = mergeOf(level);
  std::optional<TrialProgram> program = trial.compile(request);
  if (!program)
    return state.refused.push_back(level + ": the model does not compile at it"), true;
  bool any = llvm::any_of(program->plan.tokens, [](const TokenChoice &choice) { return choice.level.count > 0; });
  if (!any) {
    const std::vector<TokenChoice> &blocks = program->plan.tokens;
    auto because = llvm::find_if(blocks, [](const TokenChoice &choice) { return !choice.reason.empty(); });
    nowhere = llvm::all_of(blocks, [](const TokenChoice &choice) { return !choice.reason.empty(); });
    state.refused.push_back(level + (nowhere ? ": no block can give up tokens" : ": no block gives up tokens") +
                            (because == blocks.end() ? "" : ": " + because->reason));
    return true;
  }
  std::optional<std::vector<StepTime>> steps = trial.stepTimes(*program, request);
  std::optional<double> error = steps ? trial.divergence(*program, kPlanSamples) : std::nullopt;
  if (!error)
    return false;
  BudgetState::Uniform &entry = state.uniform.emplace_back(BudgetState::Uniform{level, 0, 0, *error});
  for (const StepTime &step : *steps)
    entry.predictedUs += step.predicted, entry.measuredUs += step.measured;
  std::vector<UniformProgram> priced;
  for (const auto &[from, factors] : state.factors) {
    auto has = [&](const BudgetSite &site) { return llvm::any_of(site.levels, [&](const BudgetLevel &own) { return own.from == from; }); };
    if (from == "f32" || llvm::none_of(state.sites, has))
      continue;
    Result<PrecisionRequest> own = uniformRequest(from, command.settings.solver);
    if (!own.ok())
      continue;
    own->mergeTokens = request.mergeTokens;
    std::optional<PricedForm> form = trial.price(*own);
    if (!form)
      return false;
    priced.push_back({from, std::move(form->plan), std::move(form->steps)});
  }
  BudgetMerge merge;
  merge.level = level, merge.error = *error;
  state.addMerge(std::move(merge), {"f32", {}, std::move(*steps)}, priced);
  return true;
}

bool BudgetSearch::measureMerges() {
  bool nowhere = false;
  for (size_t i = 0; i < levels.size() && !wasInterrupted(); ++i) {
    if (mergeOf(levels[i]).empty())
      continue;
    progress.update("levels", i, levels.size());
    if (nowhere)
      state.refused.push_back(levels[i] + ": no block can give up tokens");
    else if (!measureMerge(levels[i], nowhere))
      return false;
  }
  return true;
}

bool BudgetSearch::measureAll() {
  if (state.uniform.empty()) {
    std::vector<UniformProgram> programs;
    if (!measureUniform(programs))
      return false;
    state.addSites(programs);
    state.dropDominated();
    if (!measureMerges())
      return false;
    if (wasInterrupted())
      return fail("interrupted"), false;
    save();
  } else if (!trial.stepTimes(trial.reference(), {})) { // what the state does not keep
    return false;
  }
  if (state.sites.empty() && state.merges.size() < 2)
    return fail("no operation of the model can have any of the levels " + joined(levels)), false;
  return measureSites();
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
      search::Plan plan(state.sites.size() + 1, 0);
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

PrecisionRequest BudgetSearch::requestOf(const search::Plan &plan) const {
  PrecisionRequest request;
  request.plan = state.planOf(plan);
  if (plan.back() > 0)
    request.mergeTokens = mergeOf(state.merges[plan.back()].level);
  return request;
}

std::optional<double> BudgetSearch::errorOf(const search::Plan &plan, unsigned samples) {
  samples = std::min(samples, trial.samples());
  auto [entry, isNew] = known.try_emplace({plan, samples}, 0);
  if (!isNew)
    return entry->second;
  std::optional<TrialProgram> program = trial.compile(requestOf(plan));
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

/// The best of the dynamic programs of all ways to merge, and of what an earlier run found; false when no plan is within the budget.
bool BudgetSearch::startFrom(double budgetUs) {
  Result<std::vector<search::Allocation>> found = state.within(budgetUs);
  if (!found.ok())
    return fail(found.status()), false;
  if (found->empty() && best)
    return false; // an earlier one does
  if (found->empty() && wasInterrupted()) // before sites were measured, so that f32 is all there is
    return fail("interrupted"), false;
  if (found->empty())
    return fail(Status(StatusCode::invalidArgument, "--budget " + command.settings.budget + ": no plan is predicted to be that fast; the smallest feasible is latency=" +
                                                        formatNumber(std::ceil(1000 * least) / 1000) + "x")),
           false;
  found->resize(std::min(found->size(), kMostWays));
  search::EvolutionState &evolution = state.evolution;
  bool fits = evolution.parent.size() == found->front().plan.size() && state.costOf(evolution.parent) <= budgetUs;
  if (found->size() == 1 && (!fits || evolution.parent == found->front().plan)) {
    if (!fits)
      evolution = {found->front().plan, std::nullopt, 0};
    return true;
  }
  // What an earlier run found for a smaller budget may be worse than the dynamic program now.
  std::optional<double> best = fits ? evolution.error : std::nullopt;
  search::Plan parent = fits ? evolution.parent : search::Plan();
  for (const search::Allocation &allocation : *found) {
    std::optional<double> fresh = allocation.plan == parent ? best : errorOf(allocation.plan, kPlanSamples);
    if (fresh && (!best || *fresh < *best))
      best = fresh, parent = allocation.plan;
  }
  if (!parent.empty() && parent != evolution.parent)
    evolution = {std::move(parent), best, 0};
  return !evolution.parent.empty();
}

void BudgetSearch::evolve(double budgetUs) {
  using Clock = std::chrono::steady_clock;
  auto end = Clock::now() + std::chrono::duration<double>(60 * command.settings.searchMinutes);
  auto stop = [&] { return wasInterrupted() || Clock::now() >= end; };
  search::Sites sites = state.space();
  search::EvolutionOptions options;
  options.cost = [&](const search::Plan &plan) { return state.costOf(plan); };
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

/// Remembers a plan that is better than the best one within the budget: below it, or of less divergence.
void BudgetSearch::keep(const Found &found) {
  auto isBelow = [&](const Found &each) { return each.measured.ratio <= kMostOfBudget * *budget; };
  if (found.measured.ratio > *budget)
    return;
  if (!best || std::pair(!isBelow(found), found.error) < std::pair(!isBelow(*best), best->error))
    best = found;
}

/// False after an error, which was reported.
bool BudgetSearch::findLeast() {
  Result<std::vector<search::Allocation>> all = state.frontier();
  if (!all.ok())
    return fail(all.status()), false;
  least = all->front().cost / state.f32Us();
  return true;
}

/// What the search may spend after a plan took `share` of the aim: the cheapest plan at least (but for rounding), which may be what is
/// measured to be fast enough.
double BudgetSearch::tightened(double allowed, double share) const { return std::max(allowed / share, least * (1 + 1e-9)); }

/// Corrects what the search may spend, `allowed`, until the dynamic program's plan is measured to use the budget, so that the evolution
/// starts with the right one. False after an error, which was reported.
bool BudgetSearch::fitBudget(double &allowed) {
  search::Plan last;
  double aim = kAim * *budget;
  for (int attempt = 0; attempt < kMostAttempts && (attempt == 0 || !wasInterrupted()); ++attempt) {
    if (!startFrom(allowed * state.f32Us()))
      return best.has_value();
    if (state.evolution.parent == last)
      break;
    progress.update("measure");
    std::optional<Found> found = judge(state.evolution.parent);
    if (!found)
      return false;
    keep(*found);
    double share = found->measured.ratio / aim;
    // A plan of no error has no use for more time.
    if (share <= 1 && (share >= 1 - kUnused || found->error == 0))
      break;
    last = found->plan;
    allowed = std::min(tightened(allowed, share), 2 * *budget);
  }
  return true;
}

std::optional<SearchedPlan> BudgetSearch::withinLatency() {
  double allowed = *budget;
  if (!findLeast() || !fitBudget(allowed))
    return std::nullopt;
  evolve(allowed * state.f32Us());
  std::optional<Found> found;
  for (int attempt = 0; attempt < kMostAttempts; ++attempt) {
    progress.update("measure");
    found = judge(state.evolution.parent);
    if (!found)
      return std::nullopt;
    keep(*found);
    double share = found->measured.ratio / (kMostOfBudget * *budget);
    if (share <= 1 || wasInterrupted())
      break;
    double less = tightened(allowed, share);
    if (less >= allowed)
      break; // that was the cheapest plan
    allowed = less;
    if (!startFrom(allowed * state.f32Us())) {
      if (!best)
        return std::nullopt;
      break;
    }
  }
  progress.finish();
  return finish(best ? *best : *found);
}

/// The cheapest of the plans that no other beats, by bisection: their measured divergences fall about as their sums do.
std::optional<SearchedPlan> BudgetSearch::withinDrop() {
  Result<std::vector<search::Allocation>> frontier = state.frontier();
  if (!frontier.ok())
    return fail(frontier.status()), std::nullopt;
  const std::vector<search::Allocation> &all = *frontier;
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
  std::optional<Found> found = judge(all[high].plan);
  progress.finish();
  return found ? finish(*found) : std::nullopt;
}

std::optional<SearchedPlan> BudgetSearch::run() {
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
  if (!measureAll())
    return std::nullopt;
  std::optional<SearchedPlan> plan = budget ? withinLatency() : withinDrop();
  save();
  return plan;
}

//===----------------------------------------------------------------------===//
// What was found
//===----------------------------------------------------------------------===//

std::optional<BudgetSearch::Found> BudgetSearch::judge(const search::Plan &plan) {
  PrecisionRequest request = requestOf(plan);
  std::optional<TrialProgram> program = trial.compile(request);
  std::optional<PricedForm> price = program ? trial.price(request) : std::nullopt;
  std::optional<Latency> measured = price ? trial.latency(*program) : std::nullopt;
  std::optional<double> error = measured ? trial.divergence(*program, trial.samples()) : std::nullopt;
  if (!error)
    return std::nullopt;
  Found found{plan, std::move(program->plan), state.scaled(plan, price->steps), 0, *measured, *error};
  for (const StepTime &step : price->steps)
    found.pricedUs += step.predicted;
  return found;
}

void BudgetSearch::printLevels() const {
  const BudgetState::Uniform &f32 = state.uniform.front();
  llvm::errs() << "levels for the whole model (share of f32's latency as '" << trial.costModel() << "' predicts it, the same measured, "
               << (trial.hasLogits() ? "KL divergence" : "1 - cosine") << "):\n";
  Table table("  ");
  for (const BudgetState::Uniform &entry : state.uniform)
    table.row({entry.level, formatNumber(entry.predictedUs / f32.predictedUs) + "x", formatNumber(entry.measuredUs / f32.measuredUs) + "x", formatNumber(entry.error)});
  table.print(llvm::errs());
  for (const std::string &reason : state.refused)
    llvm::errs() << "  " << reason << "\n";
}

/// Nothing, with an error, when the plan is not what was asked for.
std::optional<SearchedPlan> BudgetSearch::finish(const Found &found) {
  double drop = trial.dropOf(found.error), ratio = found.measured.ratio;
  printLevels();
  llvm::raw_ostream &os = llvm::errs();
  os << "plan: predicted " << formatNumber(found.predictedUs / state.f32Us()) << "x (" << formatSeconds(found.predictedUs * 1e-6) << "; before scaling by what was measured "
     << formatNumber(found.pricedUs / state.uniform.front().predictedUs) << "x), measured " << formatNumber(ratio) << "x (" << formatSeconds(found.measured.us * 1e-6)
     << "; f32 " << formatSeconds(found.measured.reference * 1e-6) << "); " << (trial.hasLogits() ? "KL divergence " : "1 - cosine ") << formatNumber(found.error)
     << " (sum of sites " << formatNumber(state.errorOf(found.plan)) << "), drop " << formatNumber(100 * drop) << "%\n";
  if (budget && ratio > *budget)
    return fail(Status(StatusCode::invalidArgument, "--budget " + command.settings.budget + ": the best plan is measured at " + formatNumber(ratio) + "x")), std::nullopt;
  if (maxDrop && drop > *maxDrop)
    return fail(Status(StatusCode::invalidArgument, "--max-drop " + formatNumber(100 * *maxDrop) + "%: the best plan within " + command.settings.budget +
                                                        " has a drop of " + formatNumber(100 * drop) + "%")),
           std::nullopt;
  SearchedPlan result{state.planOf(found.plan), requestOf(found.plan).mergeTokens};
  result.plan.error = found.error;
  result.plan.tokens = found.carriedOut.tokens;
  return result;
}

std::optional<SearchedPlan> searchPlan(const CompileCommand &command) { return BudgetSearch(command).run(); }

} // namespace permalloy
