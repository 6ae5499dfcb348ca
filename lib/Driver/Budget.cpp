//===- Budget.cpp - `--budget latency=0.6x --max-drop 1%` --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Budget.h"

#include "BudgetReport.h"
#include "BudgetSettings.h"
#include "Interrupt.h"
#include "Report.h"

#include "permalloy/Support/Text.h"

#include <chrono>
#include <cmath>

namespace permalloy {

/// Shares of the budget: what the search aims at, and what a plan may be measured to take, so that
/// measuring it again (two measurements differ by about 1%) gives a latency within the budget, too.
static constexpr double kAim = 0.97, kMostOfBudget = 0.985;
/// A plan that is not measured to be faster than f32 by this share is none that gains.
static constexpr double kNoise = 0.02;
/// A plan that leaves more of the budget than this is sought again with a budget that uses it.
static constexpr double kUnused = 0.05;
static constexpr int kMostAttempts = 4;
/// Ways to merge tokens whose best plan is measured before one of them is taken.
static constexpr size_t kMostWays = 3;

namespace {

class BudgetSearch {
public:
  BudgetSearch(const CompileCommand &command, BudgetSettings settings)
      : command(command), budget(settings.budget), maxDrop(settings.maxDrop),
        bench(command, std::move(settings.levels)) {}
  std::optional<SearchedPlan> run();

private:
  void evolve(double budgetUs);
  bool startFrom(double budgetUs);
  bool fitBudget(double &allowed);
  bool findLeast();
  double corrected(double allowed, double share) const;
  void keep(const JudgedPlan &found);
  bool holds(const JudgedPlan &found) const;
  std::optional<SearchedPlan> withinLatency();
  std::optional<SearchedPlan> bestKept();
  std::optional<size_t> cheapestWithinDrop(llvm::ArrayRef<search::Allocation> all);
  std::optional<SearchedPlan> withinDrop();
  std::optional<SearchedPlan> finish(const JudgedPlan &found);

  const CompileCommand &command;
  std::optional<double> budget, maxDrop; ///< share of f32's latency, and of the quality
  BudgetMeasurement bench;
  BudgetTrial &trial = bench.trial;
  BudgetState &state = bench.state;
  double least = 0; ///< share of f32's latency that the cheapest plan is predicted to take
  std::vector<JudgedPlan> kept; ///< plans that were measured within the budget, each once
};

} // namespace

//===----------------------------------------------------------------------===//
// Search
//===----------------------------------------------------------------------===//

/// The best of the dynamic programs of all ways to merge, and of what an earlier run found; false when no plan is within the budget.
bool BudgetSearch::startFrom(double budgetUs) {
  Result<std::vector<search::Allocation>> found = state.within(budgetUs);
  if (!found.ok())
    return fail(found.status()), false;
  if (found->empty() && !kept.empty())
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
    std::optional<double> fresh =
        allocation.plan == parent ? best : bench.errorOf(allocation.plan, kPlanSamples);
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
  search::Evolution evolution(
      sites, budgetUs, options,
      [&](const search::Plan &plan, unsigned samples) -> std::optional<double> {
        return stop() ? std::nullopt : bench.errorOf(plan, samples);
      });
  while (!stop()) {
    bench.progress.update("generations", state.evolution.generation + 1);
    if (!evolution.step(state.evolution))
      break;
    bench.save();
  }
}

void BudgetSearch::keep(const JudgedPlan &found) {
  llvm::erase_if(kept, [&](const JudgedPlan &each) { return each.plan == found.plan; });
  if (found.measured.ratio <= *budget)
    kept.push_back(found);
}

/// Whether a measurement that chose nothing says that the plan is within the budget.
bool BudgetSearch::holds(const JudgedPlan &found) const {
  return found.confirmed && found.measured.high <= *budget;
}

/// False after an error, which was reported.
bool BudgetSearch::findLeast() {
  Result<std::vector<search::Allocation>> all = state.frontier();
  if (!all.ok())
    return fail(all.status()), false;
  least = all->front().cost / state.f32Us();
  return true;
}

/// What the search may spend after its plan took `share` of the aim: less than that plan is
/// predicted to take where it took too much, but as much as the cheapest plan (but for rounding),
/// which may be what is measured to be fast enough.
double BudgetSearch::corrected(double allowed, double share) const {
  double spent = state.costOf(state.evolution.parent) / state.f32Us();
  return std::max((share > 1 ? std::min(allowed, spent) : allowed) / share, least * (1 + 1e-9));
}

/// Corrects what the search may spend, `allowed`, until the dynamic program's plan is measured to use the budget, so that the evolution
/// starts with the right one. False after an error, which was reported.
bool BudgetSearch::fitBudget(double &allowed) {
  search::Plan last;
  double aim = kAim * *budget;
  for (int attempt = 0; attempt < kMostAttempts && (attempt == 0 || !wasInterrupted()); ++attempt) {
    if (!startFrom(allowed * state.f32Us()))
      return !kept.empty();
    if (state.evolution.parent == last)
      break;
    bench.progress.update("measure");
    std::optional<JudgedPlan> found = bench.judge(state.evolution.parent);
    if (!found)
      return false;
    keep(*found);
    double share = found->measured.ratio / aim;
    // A plan of no error has no use for more time.
    if (share <= 1 && (share >= 1 - kUnused || found->error == 0))
      break;
    last = found->plan;
    allowed = std::min(corrected(allowed, share), 2 * *budget);
  }
  return true;
}

std::optional<SearchedPlan> BudgetSearch::withinLatency() {
  double allowed = *budget;
  if (!findLeast() || !fitBudget(allowed))
    return std::nullopt;
  evolve(allowed * state.f32Us());
  std::optional<JudgedPlan> found;
  for (int attempt = 0; attempt < kMostAttempts; ++attempt) {
    bench.progress.update("measure");
    found = bench.judge(state.evolution.parent);
    if (!found)
      return std::nullopt;
    double most = kMostOfBudget * *budget, share = found->measured.ratio / most;
    if (share <= 1) {
      if (!bench.confirm(*found))
        return std::nullopt;
      share = found->measured.high / most;
    }
    keep(*found);
    if (holds(*found) || wasInterrupted())
      break;
    double less = corrected(allowed, share);
    if (less >= allowed)
      break; // that was the cheapest plan
    allowed = less;
    if (!startFrom(allowed * state.f32Us())) {
      if (kept.empty())
        return std::nullopt;
      break;
    }
  }
  return kept.empty() ? finish(*found) : bestKept();
}

/// Of the plans measured within the budget the one of least divergence that a second measurement
/// confirms, plans below the budget first. Where it confirms none, the one that it finds least
/// above.
std::optional<SearchedPlan> BudgetSearch::bestKept() {
  auto rank = [&](const JudgedPlan &each) {
    return std::pair(each.measured.ratio > kMostOfBudget * *budget, each.error);
  };
  llvm::sort(kept, [&](const auto &a, const auto &b) { return rank(a) < rank(b); });
  for (JudgedPlan &each : kept) {
    bench.progress.update("measure again");
    if (!each.confirmed && !bench.confirm(each))
      return std::nullopt;
    if (holds(each))
      return finish(each);
  }
  auto end = [](const JudgedPlan &each) { return each.measured.high; };
  return finish(
      *llvm::min_element(kept, [&](const auto &a, const auto &b) { return end(a) < end(b); }));
}

/// The first of the plans by rising cost whose measured drop is within the limit, by bisection:
/// measured divergences fall about as their sums do.
std::optional<size_t> BudgetSearch::cheapestWithinDrop(llvm::ArrayRef<search::Allocation> all) {
  size_t low = 0, high = all.size() - 1; // the dearest is f32's error, 0
  while (low < high && !wasInterrupted()) {
    size_t middle = (low + high) / 2;
    bench.progress.update("plans");
    std::optional<double> error = bench.errorOf(all[middle].plan, trial.samples());
    if (!error)
      return std::nullopt;
    if (trial.dropOf(*error) <= *maxDrop)
      high = middle;
    else
      low = middle + 1;
  }
  return high;
}

/// The cheapest of the plans that no other beats. Where it is not measured to be faster than f32, a
/// few dearer ones, which lose less, are tried, and then f32 is taken.
std::optional<SearchedPlan> BudgetSearch::withinDrop() {
  Result<std::vector<search::Allocation>> all = state.frontier();
  if (!all.ok())
    return fail(all.status()), std::nullopt;
  std::optional<size_t> at = cheapestWithinDrop(*all);
  if (!at)
    return std::nullopt;
  const search::Plan f32(state.sites.size() + 1, 0);
  const size_t last = all->size() - 1;
  std::string why = "predicted to be faster";
  for (int attempt = 0; attempt < kMostAttempts && (*all)[*at].plan != f32; ++attempt) {
    bench.progress.update("measure");
    std::optional<JudgedPlan> found = bench.judge((*all)[*at].plan);
    if (!found)
      return std::nullopt;
    if (found->measured.ratio <= 1 - kNoise && trial.dropOf(found->error) <= *maxDrop)
      return finish(*found);
    why = "measured more than " + formatNumber(100 * kNoise) + "% faster";
    if (*at == last)
      break;
    *at = (*at + last + 1) / 2;
  }
  bench.progress.update("measure");
  std::optional<JudgedPlan> found = bench.judge(f32);
  if (!found)
    return std::nullopt;
  std::optional<SearchedPlan> plan = finish(*found);
  if (!wasInterrupted())
    llvm::errs() << "f32 stays: no plan that loses at most " << formatNumber(100 * *maxDrop)
                 << "% is " << why << " here\n";
  return plan;
}

std::optional<SearchedPlan> BudgetSearch::run() {
  stopOnInterrupt();
  if (!bench.open() || !bench.measureAll())
    return std::nullopt;
  std::optional<SearchedPlan> plan = budget ? withinLatency() : withinDrop();
  bench.save();
  return plan;
}

/// Nothing, with an error, when the plan is not what was asked for.
std::optional<SearchedPlan> BudgetSearch::finish(const JudgedPlan &found) {
  double drop = trial.dropOf(found.error), ratio = found.measured.ratio;
  bench.progress.finish();
  printLevels(trial, state);
  printPlan(trial, state, found);
  if (budget && ratio > *budget)
    return fail(Status(StatusCode::invalidArgument, "--budget " + command.settings.budget + ": the best plan is measured at " + formatNumber(ratio) + "x")), std::nullopt;
  if (maxDrop && drop > *maxDrop)
    return fail(Status(StatusCode::invalidArgument, "--max-drop " + formatNumber(100 * *maxDrop) + "%: the best plan within " + command.settings.budget +
                                                        " has a drop of " + formatNumber(100 * drop) + "%")),
           std::nullopt;
  if (budget && found.measured.high > *budget)
    warn("the latency of this plan may be above the budget: its interval ends at " +
         formatNumber(found.measured.high) + "x");
  SearchedPlan result{state.planOf(found.plan), bench.requestOf(found.plan).mergeTokens};
  result.plan.error = found.error;
  result.plan.tokens = found.carriedOut.tokens;
  return result;
}

std::optional<SearchedPlan> searchPlan(const CompileCommand &command) {
  Result<BudgetSettings> settings = readBudgetSettings(command.settings);
  if (!settings.ok())
    return fail(settings.status()), std::nullopt;
  return BudgetSearch(command, std::move(*settings)).run();
}

} // namespace permalloy
