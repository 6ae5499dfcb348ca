//===- BudgetState.cpp - what a search for a plan knows so far ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "BudgetState.h"

#include "permalloy/Support/Text.h"
#include "permalloy/Transforms/Levels.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/JSON.h"

#include <cmath>

namespace permalloy {

namespace json = llvm::json;

search::Sites BudgetState::table() const {
  search::Sites sites;
  sites.fixedCost = fixedUs;
  for (const BudgetSite &site : this->sites) {
    std::vector<search::Level> &levels = sites.levels.emplace_back();
    for (const BudgetLevel &level : site.levels)
      levels.push_back({level.us, level.error.value_or(HUGE_VAL)});
  }
  return sites;
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
      return mine && theirs && one.us <= other.us && *mine < *theirs;
    };
    std::erase_if(site.levels, [&](const BudgetLevel &level) {
      return level.level != "f32" && llvm::any_of(all, [&](const BudgetLevel &other) { return beats(other, level); });
    });
  }
}

double BudgetState::f32Us() const {
  double us = fixedUs;
  for (const BudgetSite &site : sites)
    us += site.levels.front().us;
  return us;
}

PrecisionPlan BudgetState::planOf(const search::Plan &plan, const std::string &solver) const {
  PrecisionPlan result;
  for (size_t i = 0; i < plan.size(); ++i) {
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
    if (const WeightFormat *format = choice.format.empty() ? nullptr : findWeightFormat(choice.format))
      choice.solver = solver == kDefaultSolver ? format->defaultSolver() : solver;
    choice.error = level.error;
    choice.saved = f32.us - level.us;
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
static std::vector<double> costsOf(llvm::ArrayRef<BudgetSite> sites, llvm::ArrayRef<StepTime> steps) {
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
        us.back() += step.us;
      for (size_t i : owners)
        us[i] += step.us / owners.size(), has[i] = true;
    }
  return us;
}

void addSites(BudgetState &state, llvm::ArrayRef<UniformProgram> programs) {
  for (const UniformProgram &program : programs.drop_front())
    for (const PrecisionChoice &choice : program.plan.choices)
      if (llvm::none_of(state.sites, [&](const BudgetSite &site) { return site.op == choice.op && site.kind == choice.kind; }))
        state.sites.push_back({choice.op, choice.kind, {}});
  std::vector<double> base = costsOf(state.sites, programs.front().steps);
  state.fixedUs = base.back();
  for (size_t i = 0; i < state.sites.size(); ++i)
    state.sites[i].levels.push_back({"f32", base[i], 0.0});
  for (const UniformProgram &program : programs.drop_front()) {
    std::vector<double> us = costsOf(state.sites, program.steps);
    auto levelOf = [&](const BudgetSite &site) {
      const PrecisionChoice *choice = program.plan.find(site.op, site.kind);
      return choice ? choice->level() : "f32";
    };
    unsigned changed = llvm::count_if(state.sites, [&](const BudgetSite &site) { return levelOf(site) != "f32"; });
    for (size_t i = 0; i < state.sites.size(); ++i) {
      std::string level = levelOf(state.sites[i]);
      // A layer that cannot have a format may have been given the precision beside it, which it was tried in before.
      if (llvm::none_of(state.sites[i].levels, [&](const BudgetLevel &known) { return known.level == level; }))
        state.sites[i].levels.push_back({level, std::max(us[i] + (us.back() - base.back()) / changed, 0.0), std::nullopt});
    }
    if (changed == 0)
      state.refused.push_back(program.level + ": no operation can have it");
  }
}

//===----------------------------------------------------------------------===//
// JSON
//===----------------------------------------------------------------------===//

static json::Value numberOrNull(std::optional<double> value) {
  if (!value)
    return nullptr;
  return std::isfinite(*value) ? json::Value(*value) : json::Value("infinite");
}

static std::optional<double> numberOf(const json::Object &object, llvm::StringRef name) {
  if (object.getString(name) == "infinite")
    return HUGE_VAL;
  return object.getNumber(name);
}

std::string BudgetState::toJson() const {
  json::Array all, others;
  for (const BudgetSite &site : sites) {
    json::Array levels;
    for (const BudgetLevel &level : site.levels)
      levels.push_back(json::Object{{"level", level.level}, {"us", level.us}, {"error", numberOrNull(level.error)}});
    all.push_back(json::Object{{"op", site.op}, {"kind", site.kind}, {"levels", std::move(levels)}});
  }
  for (const Uniform &entry : uniform)
    others.push_back(json::Object{{"level", entry.level}, {"us", entry.us}, {"error", numberOrNull(entry.error)}});
  json::Object root{{"search", key}, {"fixed_us", fixedUs}, {"sites", std::move(all)}, {"uniform", std::move(others)}, {"refused", refused},
                    {"generation", int64_t(evolution.generation)}, {"parent_error", numberOrNull(evolution.error)}};
  json::Array parent;
  for (size_t level : evolution.parent)
    parent.push_back(int64_t(level));
  root["parent"] = std::move(parent);
  std::string text;
  llvm::raw_string_ostream(text) << llvm::formatv("{0:2}\n", json::Value(std::move(root)));
  return text;
}

static std::optional<BudgetSite> parseSite(const json::Value &value) {
  const json::Object *object = value.getAsObject();
  const json::Array *levels = object ? object->getArray("levels") : nullptr;
  if (!levels || levels->empty() || !object->getString("op") || !object->getString("kind"))
    return std::nullopt;
  BudgetSite site{object->getString("op")->str(), object->getString("kind")->str(), {}};
  for (const json::Value &entry : *levels) {
    const json::Object *level = entry.getAsObject();
    if (!level || !level->getString("level") || !level->getNumber("us"))
      return std::nullopt;
    site.levels.push_back({level->getString("level")->str(), *level->getNumber("us"), numberOf(*level, "error")});
  }
  return site;
}

std::optional<BudgetState> BudgetState::parse(llvm::StringRef text, llvm::StringRef key) {
  if (nestsTooDeeply(text))
    return std::nullopt;
  llvm::Expected<json::Value> value = json::parse(text);
  if (!value)
    return llvm::consumeError(value.takeError()), std::nullopt;
  const json::Object *root = value->getAsObject();
  if (!root || root->getString("search") != key || !root->getArray("sites") || !root->getNumber("fixed_us"))
    return std::nullopt;
  BudgetState state;
  state.key = key.str();
  state.fixedUs = *root->getNumber("fixed_us");
  for (const json::Value &entry : *root->getArray("sites")) {
    std::optional<BudgetSite> site = parseSite(entry);
    if (!site)
      return std::nullopt;
    state.sites.push_back(std::move(*site));
  }
  if (const json::Array *entries = root->getArray("uniform"))
    for (const json::Value &entry : *entries)
      if (const json::Object *object = entry.getAsObject(); object && object->getString("level") && object->getNumber("us"))
        state.uniform.push_back({object->getString("level")->str(), *object->getNumber("us"), numberOf(*object, "error").value_or(HUGE_VAL)});
  if (const json::Array *entries = root->getArray("refused"))
    for (const json::Value &entry : *entries)
      state.refused.push_back(entry.getAsString().value_or("").str());
  const json::Array *parent = root->getArray("parent");
  if (parent && parent->size() == state.sites.size())
    for (auto [level, site] : llvm::zip(*parent, state.sites)) {
      uint64_t at = level.getAsInteger().value_or(0);
      state.evolution.parent.push_back(at < site.levels.size() ? at : 0);
    }
  state.evolution.generation = root->getInteger("generation").value_or(0);
  state.evolution.error = numberOf(*root, "parent_error");
  return state;
}

} // namespace permalloy
