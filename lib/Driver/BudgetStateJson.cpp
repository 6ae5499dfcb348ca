//===- BudgetStateJson.cpp - a search's measurements as a file ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "BudgetState.h"

#include "permalloy/Support/Text.h"

#include "llvm/Support/JSON.h"

#include <cmath>

namespace permalloy {

namespace json = llvm::json;

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

static json::Array numbers(llvm::ArrayRef<double> values) { return json::Array(values); }

static json::Object factorsToJson(const Factors &factors) {
  json::Object result;
  for (const auto &[kind, factor] : factors)
    result[kind] = factor;
  return result;
}

static json::Object siteToJson(const BudgetSite &site) {
  json::Array levels;
  for (const BudgetLevel &level : site.levels)
    levels.push_back(json::Object{{"level", level.level}, {"from", level.from}, {"us", numbers(level.us)}, {"error", numberOrNull(level.error)},
                                  {"solver", level.solver}});
  return json::Object{{"op", site.op}, {"kind", site.kind}, {"levels", std::move(levels)}};
}

std::string BudgetState::toJson() const {
  json::Array all, others, ways, parent;
  for (const BudgetSite &site : sites)
    all.push_back(siteToJson(site));
  for (const Uniform &entry : uniform)
    others.push_back(json::Object{{"level", entry.level}, {"predicted_us", entry.predictedUs}, {"measured_us", entry.measuredUs},
                                  {"error", numberOrNull(entry.error)}});
  for (const BudgetMerge &merge : merges)
    ways.push_back(json::Object{{"level", merge.level}, {"fixed_us", merge.fixedUs}, {"error", numberOrNull(merge.error)},
                                {"scale", factorsToJson(merge.scale)}});
  json::Object byLevel;
  for (const auto &[level, own] : factors)
    byLevel[level] = factorsToJson(own);
  for (size_t level : evolution.parent)
    parent.push_back(int64_t(level));
  json::Object root{{"search", key},
                    {"sites", std::move(all)},
                    {"merges", std::move(ways)},
                    {"factors", std::move(byLevel)},
                    {"uniform", std::move(others)},
                    {"refused", refused},
                    {"generation", int64_t(evolution.generation)},
                    {"parent_error", numberOrNull(evolution.error)},
                    {"parent", std::move(parent)}};
  std::string text;
  llvm::raw_string_ostream(text) << llvm::formatv("{0:2}\n", json::Value(std::move(root)));
  return text;
}

static Factors parseFactors(const json::Object *object) {
  Factors factors;
  for (const auto &[kind, value] : object ? *object : json::Object())
    if (std::optional<double> factor = value.getAsNumber())
      factors[kind.str()] = *factor;
  return factors;
}

/// `ways` is the number of merges.
static std::optional<BudgetSite> parseSite(const json::Value &value, size_t ways) {
  const json::Object *object = value.getAsObject();
  const json::Array *levels = object ? object->getArray("levels") : nullptr;
  if (!levels || levels->empty() || !object->getString("op") || !object->getString("kind"))
    return std::nullopt;
  BudgetSite site{object->getString("op")->str(), object->getString("kind")->str(), {}};
  for (const json::Value &entry : *levels) {
    const json::Object *level = entry.getAsObject();
    const json::Array *us = level ? level->getArray("us") : nullptr;
    if (!us || us->size() != ways || !level->getString("level") || !level->getString("from"))
      return std::nullopt;
    BudgetLevel &read = site.levels.emplace_back(BudgetLevel{level->getString("level")->str(), level->getString("from")->str(), {}, numberOf(*level, "error"),
                                                              level->getString("solver").value_or("").str()});
    for (const json::Value &time : *us)
      read.us.push_back(time.getAsNumber().value_or(0));
  }
  return site;
}

static std::optional<BudgetMerge> parseMerge(const json::Value &value) {
  const json::Object *object = value.getAsObject();
  if (!object || !object->getString("level") || !object->getNumber("fixed_us"))
    return std::nullopt;
  return BudgetMerge{object->getString("level")->str(), *object->getNumber("fixed_us"), numberOf(*object, "error").value_or(HUGE_VAL),
                     parseFactors(object->getObject("scale"))};
}

static std::vector<BudgetState::Uniform> parseUniform(const json::Array *entries) {
  std::vector<BudgetState::Uniform> result;
  for (const json::Value &entry : entries ? *entries : json::Array())
    if (const json::Object *object = entry.getAsObject(); object && object->getString("level"))
      result.push_back({object->getString("level")->str(), object->getNumber("predicted_us").value_or(0), object->getNumber("measured_us").value_or(0),
                        numberOf(*object, "error").value_or(HUGE_VAL)});
  return result;
}

/// Nothing where it is no plan over these sites and ways to merge.
static search::Plan parseParent(const json::Array *parent, const BudgetState &state) {
  search::Plan plan;
  if (!parent || parent->size() != state.sites.size() + 1)
    return plan;
  for (size_t i = 0; i < parent->size(); ++i) {
    uint64_t at = (*parent)[i].getAsInteger().value_or(0);
    plan.push_back(at < (i < state.sites.size() ? state.sites[i].levels.size() : state.merges.size()) ? at : 0);
  }
  return plan;
}

std::optional<BudgetState> BudgetState::parse(llvm::StringRef text, llvm::StringRef key) {
  if (nestsTooDeeply(text))
    return std::nullopt;
  llvm::Expected<json::Value> value = json::parse(text);
  if (!value)
    return llvm::consumeError(value.takeError()), std::nullopt;
  const json::Object *root = value->getAsObject();
  if (!root || root->getString("search") != key || !root->getArray("sites") || !root->getArray("merges") || root->getArray("merges")->empty())
    return std::nullopt;
  BudgetState state;
  state.key = key.str();
  for (const json::Value &entry : *root->getArray("merges"))
    if (std::optional<BudgetMerge> merge = parseMerge(entry))
      state.merges.push_back(std::move(*merge));
  for (const json::Value &entry : *root->getArray("sites")) {
    std::optional<BudgetSite> site = parseSite(entry, state.merges.size());
    if (!site)
      return std::nullopt;
    state.sites.push_back(std::move(*site));
  }
  if (const json::Object *factors = root->getObject("factors"))
    for (const auto &[level, own] : *factors)
      state.factors[level.str()] = parseFactors(own.getAsObject());
  state.uniform = parseUniform(root->getArray("uniform"));
  if (state.uniform.empty() || state.uniform.front().level != "f32")
    return std::nullopt;
  if (const json::Array *entries = root->getArray("refused"))
    for (const json::Value &entry : *entries)
      state.refused.push_back(entry.getAsString().value_or("").str());
  state.evolution.parent = parseParent(root->getArray("parent"), state);
  state.evolution.generation = root->getInteger("generation").value_or(0);
  state.evolution.error = numberOf(*root, "parent_error");
  return state;
}

} // namespace permalloy
