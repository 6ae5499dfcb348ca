//===- BudgetState.cpp - what a search for a plan knows so far ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "BudgetState.h"

#include "permalloy/Transforms/Levels.h"

#include "llvm/ADT/STLExtras.h"

#include <cmath>

namespace permalloy {

search::Sites BudgetState::table(size_t merge) const {
  search::Sites result;
  result.fixedCost = merges[merge].fixedUs;
  for (const BudgetSite &site : sites) {
    std::vector<search::Level> &levels = result.levels.emplace_back();
    for (const BudgetLevel &level : site.levels)
      levels.push_back({level.us[merge], level.error.value_or(HUGE_VAL)});
  }
  return result;
}

search::Sites BudgetState::space() const {
  search::Sites result = table(0);
  search::Plan f32(sites.size() + 1, 0);
  std::vector<search::Level> &ways = result.levels.emplace_back();
  for (size_t merge = 0; merge < merges.size(); ++merge) {
    f32.back() = merge;
    ways.push_back({costOf(f32), merges[merge].error});
  }
  return result;
}

double BudgetState::costOf(const search::Plan &plan) const {
  double us = merges[plan.back()].fixedUs;
  for (auto [site, level] : llvm::zip_first(sites, plan))
    us += site.levels[level].us[plan.back()];
  return us;
}

double BudgetState::errorOf(const search::Plan &plan) const {
  double error = merges[plan.back()].error;
  for (auto [site, level] : llvm::zip_first(sites, plan))
    error += site.levels[level].error.value_or(HUGE_VAL);
  return error;
}

double BudgetState::f32Us() const { return costOf(search::Plan(sites.size() + 1, 0)); }

static search::Allocation withMerge(search::Allocation allocation, size_t merge, double error) {
  allocation.plan.push_back(merge);
  allocation.error += error;
  return allocation;
}

/// Calls `visit` with the sites' frontier of each way to merge that has a finite divergence.
static Status
forEachFrontier(const BudgetState &state,
                llvm::function_ref<void(size_t merge, const search::Frontier &)> visit) {
  for (size_t merge = 0; merge < state.merges.size(); ++merge) {
    if (!std::isfinite(state.merges[merge].error))
      continue;
    Result<search::Frontier> own = search::Frontier::of(state.table(merge));
    if (!own.ok())
      return own.status();
    visit(merge, *own);
  }
  return {};
}

Result<std::vector<search::Allocation>> BudgetState::frontier() const {
  std::vector<search::Allocation> all, kept;
  PERMALLOY_TRY(forEachFrontier(*this, [&](size_t merge, const search::Frontier &own) {
    for (search::Allocation &allocation : own.all())
      all.push_back(withMerge(std::move(allocation), merge, merges[merge].error));
  }));
  llvm::sort(all, [](const auto &a, const auto &b) { return std::tie(a.cost, a.error, a.plan) < std::tie(b.cost, b.error, b.plan); });
  for (search::Allocation &allocation : all)
    if (kept.empty() || allocation.error < kept.back().error)
      kept.push_back(std::move(allocation));
  return kept;
}

Result<std::vector<search::Allocation>> BudgetState::within(double budgetUs) const {
  std::vector<search::Allocation> result;
  PERMALLOY_TRY(forEachFrontier(*this, [&](size_t merge, const search::Frontier &own) {
    if (Result<search::Allocation> best = own.best(budgetUs); best.ok())
      result.push_back(withMerge(std::move(*best), merge, merges[merge].error));
  }));
  llvm::sort(result, [](const auto &a, const auto &b) { return std::tie(a.error, a.cost, a.plan) < std::tie(b.error, b.cost, b.plan); });
  return result;
}

void BudgetState::dropDominated() {
  auto errorOf = [&](const BudgetLevel &level) -> std::optional<double> {
    for (const Uniform &entry : uniform)
      if (entry.level == level.level)
        return entry.error;
    return std::nullopt;
  };
  for (BudgetSite &site : sites) {
    std::vector<BudgetLevel> all = site.levels;
    auto beats = [&](const BudgetLevel &one, const BudgetLevel &other) {
      std::optional<double> mine = errorOf(one), theirs = errorOf(other);
      return mine && theirs && one.us.front() <= other.us.front() && *mine < *theirs;
    };
    std::erase_if(site.levels, [&](const BudgetLevel &level) {
      return level.level != "f32" && llvm::any_of(all, [&](const BudgetLevel &other) { return beats(other, level); });
    });
  }
}

PrecisionPlan BudgetState::planOf(const search::Plan &plan) const {
  PrecisionPlan result;
  for (size_t i = 0; i < sites.size(); ++i) {
    const BudgetLevel &f32 = sites[i].levels.front(), &level = sites[i].levels[plan[i]];
    PrecisionChoice choice;
    choice.op = sites[i].op;
    choice.kind = sites[i].kind;
    // Levels come from plans of this compiler, or from a state that it wrote; of any other text the compilation will complain.
    if (llvm::Expected<Level> parsed = Level::parse(level.level)) {
      choice.precision = parsed->precision;
      choice.format = parsed->format;
    } else {
      choice.precision = llvm::toString(parsed.takeError());
    }
    choice.solver = level.solver;
    choice.error = level.error;
    choice.saved = f32.us[plan.back()] - level.us[plan.back()];
    if (plan[i] == 0)
      choice.reason = "the budget does not need it";
    result.choices.push_back(std::move(choice));
  }
  return result;
}

//===----------------------------------------------------------------------===//
// Sites from uniform programs
//===----------------------------------------------------------------------===//

/// Microseconds of each site in a program, and of the steps that belong to none, last. A step that several sites have a part
/// in (a gate is multiplied into the product beside it) is its own of the one that has no step yet.
static std::vector<double> costsOf(llvm::ArrayRef<BudgetSite> sites, llvm::ArrayRef<StepTime> steps, double StepTime::*time) {
  std::vector<double> us(sites.size() + 1, 0);
  std::vector<bool> has(sites.size(), false);
  auto ownersOf = [&](const StepTime &step) {
    llvm::SmallVector<size_t> owners;
    for (size_t i = 0; i < sites.size(); ++i)
      if (llvm::is_contained(step.nodes, sites[i].op))
        owners.push_back(i);
    return owners;
  };
  for (bool alone : {true, false})
    for (const StepTime &step : steps) {
      llvm::SmallVector<size_t> owners = ownersOf(step);
      if (alone ? owners.size() > 1 : owners.size() < 2)
        continue;
      llvm::SmallVector<size_t> without;
      llvm::copy_if(owners, std::back_inserter(without), [&](size_t i) { return !has[i]; });
      if (!alone && !without.empty())
        owners = without;
      if (owners.empty())
        us.back() += step.*time;
      for (size_t i : owners)
        us[i] += step.*time / owners.size(), has[i] = true;
    }
  return us;
}

static std::string levelOf(const PrecisionPlan &plan, const BudgetSite &site) {
  const PrecisionChoice *choice = plan.find(site.op, site.kind);
  return choice ? choice->level() : "f32";
}

static std::string solverOf(const PrecisionPlan &plan, const BudgetSite &site) {
  const PrecisionChoice *choice = plan.find(site.op, site.kind);
  return choice ? choice->solver : "";
}

static llvm::SmallVector<bool> changedBy(const UniformProgram &program, llvm::ArrayRef<BudgetSite> sites) {
  llvm::SmallVector<bool> changed;
  for (const BudgetSite &site : sites)
    changed.push_back(levelOf(program.plan, site) != "f32");
  return changed;
}

/// What the prices of a program are off by, for each kind of site; of another level than f32, sites that stayed there do not count.
static Factors factorsOf(llvm::ArrayRef<BudgetSite> sites, const UniformProgram &program) {
  std::vector<double> predicted = costsOf(sites, program.steps, &StepTime::predicted), measured = costsOf(sites, program.steps, &StepTime::measured);
  llvm::SmallVector<bool> changed = changedBy(program, sites);
  bool any = llvm::is_contained(changed, true);
  Factors sums, result;
  for (size_t i = 0; i <= sites.size(); ++i)
    if (i == sites.size() || changed[i] || !any) {
      std::string kind = i < sites.size() ? sites[i].kind : "";
      sums[kind] += predicted[i], result[kind] += measured[i];
    }
  for (auto &[kind, factor] : result)
    factor = sums[kind] > 0 && factor > 0 ? factor / sums[kind] : 1;
  return result;
}

double BudgetState::factorOf(const std::string &from, const std::string &kind, size_t merge) const {
  auto at = [&](const Factors &all) {
    auto found = all.find(kind);
    return found == all.end() ? 1.0 : found->second;
  };
  auto own = factors.find(from);
  return (own == factors.end() ? 1.0 : at(own->second)) * at(merges[merge].scale);
}

double BudgetState::scaled(const search::Plan &plan, llvm::ArrayRef<StepTime> steps) const {
  std::vector<double> us = costsOf(sites, steps, &StepTime::predicted);
  double sum = 0, others = 0;
  for (size_t i = 0; i < sites.size(); ++i) {
    const std::string &from = sites[i].levels[plan[i]].from;
    sum += us[i] * factorOf(from, sites[i].kind, plan.back());
    others += factorOf(from, "", plan.back()) / double(sites.size());
  }
  return sum + us.back() * (sites.empty() ? factorOf("f32", "", plan.back()) : others);
}

/// Of each site in a program at `level`; what the steps of no site got slower or faster is shared by the sites that changed.
static std::vector<double> sharedCosts(std::vector<double> us, double fixedUs, llvm::ArrayRef<bool> changed) {
  double share = (us.back() - fixedUs) / std::max<size_t>(llvm::count(changed, true), 1);
  for (size_t i = 0; i < changed.size(); ++i)
    us[i] = changed[i] ? std::max(us[i] + share, 0.0) : us[i];
  return us;
}

std::vector<double> BudgetState::scaledCosts(const UniformProgram &program, size_t merge) const {
  std::vector<double> us = costsOf(sites, program.steps, &StepTime::predicted);
  for (size_t i = 0; i <= sites.size(); ++i)
    us[i] *= factorOf(program.level, i < sites.size() ? sites[i].kind : "", merge);
  return us;
}

void BudgetState::addSites(llvm::ArrayRef<UniformProgram> programs) {
  for (const UniformProgram &program : programs.drop_front())
    for (const PrecisionChoice &choice : program.plan.choices)
      if (llvm::none_of(sites, [&](const BudgetSite &site) { return site.op == choice.op && site.kind == choice.kind; }))
        sites.push_back({choice.op, choice.kind, {}});
  for (const UniformProgram &program : programs)
    factors[program.level] = factorsOf(sites, program);
  merges = {{}};
  std::vector<double> base = scaledCosts(programs.front(), 0);
  merges.front().fixedUs = base.back();
  for (size_t i = 0; i < sites.size(); ++i)
    sites[i].levels.push_back({"f32", "f32", {base[i]}, 0.0});
  for (const UniformProgram &program : programs.drop_front()) {
    llvm::SmallVector<bool> changed = changedBy(program, sites);
    std::vector<double> us = sharedCosts(scaledCosts(program, 0), base.back(), changed);
    for (size_t i = 0; i < sites.size(); ++i) {
      std::string level = levelOf(program.plan, sites[i]);
      // A layer that cannot have a format may have been given the precision beside it, which it was tried in before.
      if (llvm::none_of(sites[i].levels, [&](const BudgetLevel &known) { return known.level == level; }))
        sites[i].levels.push_back({level, program.level, {us[i]}, std::nullopt, solverOf(program.plan, sites[i])});
    }
    if (!llvm::is_contained(changed, true))
      refused.push_back(program.level + ": no operation can have it");
  }
}

void BudgetState::addMerge(BudgetMerge merge, const UniformProgram &f32, llvm::ArrayRef<UniformProgram> levels) {
  size_t index = merges.size();
  merge.scale = factorsOf(sites, f32);
  for (auto &[kind, factor] : merge.scale)
    factor /= factors.at("f32").at(kind);
  merges.push_back(std::move(merge));
  std::vector<double> base = scaledCosts(f32, index);
  merges.back().fixedUs = base.back();
  for (size_t i = 0; i < sites.size(); ++i)
    for (BudgetLevel &level : sites[i].levels)
      level.us.push_back(base[i]); // the others follow; a level that no program has is no gain then
  for (const UniformProgram &program : levels) {
    llvm::SmallVector<bool> changed = changedBy(program, sites);
    std::vector<double> us = sharedCosts(scaledCosts(program, index), base.back(), changed);
    for (size_t i = 0; i < sites.size(); ++i)
      for (BudgetLevel &level : sites[i].levels)
        if (changed[i] && level.from == program.level)
          level.us.back() = us[i];
  }
}

} // namespace permalloy
