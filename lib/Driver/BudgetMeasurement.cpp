//===- BudgetMeasurement.cpp - how a search learns what it knows -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "BudgetMeasurement.h"

#include "BudgetSettings.h"
#include "Interrupt.h"
#include "Report.h"

#include "permalloy/Support/Files.h"
#include "permalloy/Support/Text.h"

namespace permalloy {

/// Samples that judge a site alone.
static constexpr unsigned kSiteSamples = 16;

bool BudgetMeasurement::open() {
  progress.update("f32");
  if (!trial.open())
    return false;
  if (const solvers::WeightSolver *solver = solvers::findSolver(command.settings.solver);
      solver && solver->needs() == solvers::Statistics::gram) {
    statistics = calibrate(command, solvers::Statistics::gram);
    if (!statistics)
      return false;
    trial.statistics = statistics->path;
  }
  state.key = keyOf(command, levels);
  if (!command.settings.searchState.empty())
    if (Result<std::vector<std::byte>> bytes = readFile(command.settings.searchState); bytes.ok())
      if (auto found = BudgetState::parse(
              {reinterpret_cast<const char *>(bytes->data()), bytes->size()}, state.key))
        state = std::move(*found);
  return true;
}

void BudgetMeasurement::save() {
  if (command.settings.searchState.empty())
    return;
  if (Status status = writeFile(command.settings.searchState, state.toJson()); !status.ok())
    warn("--search-state: " + status.message());
}

//===----------------------------------------------------------------------===//
// Levels, ways to merge, sites
//===----------------------------------------------------------------------===//

/// Every level of layers for the whole model. The programs are left for ways to merge tokens.
bool BudgetMeasurement::measureUniform(std::vector<UniformProgram> &programs) {
  auto add = [&](const std::string &level, TrialProgram &program, const PrecisionRequest &request) {
    std::optional<std::vector<StepTime>> steps = trial.stepTimes(program, request);
    std::optional<double> error = steps ? trial.divergence(program, kPlanSamples) : std::nullopt;
    if (!error)
      return false;
    BudgetState::Uniform &entry =
        state.uniform.emplace_back(BudgetState::Uniform{level, 0, 0, *error});
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

/// f32 with the merges, measured, and each level that is left with them, priced. `nowhere`: no
/// schedule changes any block.
bool BudgetMeasurement::measureMerge(const std::string &level, bool &nowhere) {
  PrecisionRequest request;
  request.mergeTokens = mergeOf(level);
  std::optional<TrialProgram> program = trial.compile(request);
  if (!program)
    return state.refused.push_back(level + ": the model does not compile at it"), true;
  bool any = llvm::any_of(program->plan.tokens,
                          [](const TokenChoice &choice) { return choice.level.count > 0; });
  if (!any) {
    const std::vector<TokenChoice> &blocks = program->plan.tokens;
    auto because =
        llvm::find_if(blocks, [](const TokenChoice &choice) { return !choice.reason.empty(); });
    nowhere =
        llvm::all_of(blocks, [](const TokenChoice &choice) { return !choice.reason.empty(); });
    state.refused.push_back(
        level + (nowhere ? ": no block can give up tokens" : ": no block gives up tokens") +
        (because == blocks.end() ? "" : ": " + because->reason));
    return true;
  }
  std::optional<std::vector<StepTime>> steps = trial.stepTimes(*program, request);
  std::optional<double> error = steps ? trial.divergence(*program, kPlanSamples) : std::nullopt;
  if (!error)
    return false;
  BudgetState::Uniform &entry =
      state.uniform.emplace_back(BudgetState::Uniform{level, 0, 0, *error});
  for (const StepTime &step : *steps)
    entry.predictedUs += step.predicted, entry.measuredUs += step.measured;
  std::vector<UniformProgram> priced;
  for (const auto &[from, factors] : state.factors) {
    auto has = [&](const BudgetSite &site) {
      return llvm::any_of(site.levels, [&](const BudgetLevel &own) { return own.from == from; });
    };
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

bool BudgetMeasurement::measureMerges() {
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

bool BudgetMeasurement::measureAll() {
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
bool BudgetMeasurement::measureSites() {
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

//===----------------------------------------------------------------------===//
// Whole plans
//===----------------------------------------------------------------------===//

PrecisionRequest BudgetMeasurement::requestOf(const search::Plan &plan) const {
  PrecisionRequest request;
  request.plan = state.planOf(plan);
  if (plan.back() > 0)
    request.mergeTokens = mergeOf(state.merges[plan.back()].level);
  return request;
}

std::optional<double> BudgetMeasurement::errorOf(const search::Plan &plan, unsigned samples) {
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

std::optional<JudgedPlan> BudgetMeasurement::judge(const search::Plan &plan) {
  PrecisionRequest request = requestOf(plan);
  std::optional<TrialProgram> program = trial.compile(request);
  std::optional<PricedForm> price = program ? trial.price(request) : std::nullopt;
  std::optional<Latency> measured = price ? trial.latency(*program) : std::nullopt;
  std::optional<double> error =
      measured ? trial.divergence(*program, trial.samples()) : std::nullopt;
  if (!error)
    return std::nullopt;
  JudgedPlan found{plan,  std::move(program->plan), state.scaled(plan, price->steps), 0, *measured,
                   *error};
  for (const StepTime &step : price->steps)
    found.pricedUs += step.predicted;
  return found;
}

bool BudgetMeasurement::confirm(JudgedPlan &found) {
  std::optional<Latency> again = trial.latencyAnew(requestOf(found.plan));
  if (!again)
    return false;
  found.measured = *again;
  found.confirmed = true;
  return true;
}

} // namespace permalloy
