//===- ScheduleChoice.cpp - a schedule that the cost model prefers *- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "ScheduleChoice.h"

#include <random>

using namespace permalloy;
using namespace mlir;

using Values = codegen::ScheduleSpace::Values;

/// Steps of the search, and schedules at random beside it. A query takes microseconds, a compilation has ten or twenty kernels.
static constexpr unsigned kSteps = 4, kSamples = 48;
/// Rows of the usual requests, where a dimension varies.
static constexpr int64_t kUsualLengths[] = {1, 16, 128, 512};

std::vector<KernelFacts> permalloy::usualFacts(kern::KernelOp kernel) {
  std::vector<KernelFacts> result;
  auto add = [&](int64_t length) {
    reference::Symbols symbols;
    for (auto [index, symbol] : llvm::enumerate(kernel.getSymbols().getAsRange<StringAttr>()))
      symbols[symbol.getValue()] = index == 0 && kernel.getSymbols().size() > 1 ? 1 : length; // the first is the batch
    if (auto facts = factsOf(kernel, symbols))
      result.push_back(std::move(*facts));
  };
  if (kernel.getSymbols().empty())
    add(1);
  else
    llvm::for_each(kUsualLengths, add);
  return result;
}

namespace {
/// The search from one schedule.
class Search {
public:
  Search(const codegen::ScheduleSpace &space, const Values &start, ArrayRef<KernelFacts> facts, const CostModel &model, const std::string &target)
      : space(space), facts(facts), model(model), target(target), best(start), start(start), bestScore(scoreOf(start)) {}

  std::optional<ChosenSchedule> run();

private:
  double scoreOf(const Values &values) const {
    NamedNumbers schedule = space.named(values);
    double sum = 0;
    for (const KernelFacts &at : facts)
      sum += model.score(at, schedule, target);
    return sum;
  }
  bool improve(const Values &values);

  const codegen::ScheduleSpace &space;
  ArrayRef<KernelFacts> facts;
  const CostModel &model;
  const std::string &target;
  Values best;
  const Values &start;
  double bestScore;
};
} // namespace

bool Search::improve(const Values &values) {
  double score = scoreOf(values);
  if (score >= bestScore)
    return false;
  best = values, bestScore = score;
  return true;
}

std::optional<ChosenSchedule> Search::run() {
  std::mt19937_64 random(0);
  for (unsigned i = 0; i < kSamples; ++i)
    if (auto values = space.sample([&](uint64_t n) { return random() % n; }))
      improve(*values);
  for (unsigned step = 0; step < kSteps; ++step) {
    bool improved = false;
    for (const Values &values : space.neighbours(best))
      improved |= improve(values);
    if (!improved)
      break;
  }
  if (best == start)
    return std::nullopt;
  NamedNumbers schedule = space.named(best), usual = space.named(start);
  bool sure = false;
  CostGain least{INFINITY, 0};
  for (const KernelFacts &at : facts) {
    CostGain gain = model.compare(at, schedule, usual, target);
    sure |= gain.isSure();
    if (gain.gain < least.gain)
      least = gain;
  }
  if (!sure || least.gain < 0)
    return std::nullopt;
  return ChosenSchedule{best, least};
}

std::optional<ChosenSchedule> permalloy::chooseSchedule(const codegen::ScheduleSpace &space, const Values &start, ArrayRef<KernelFacts> facts,
                                                        const CostModel &model, const std::string &target) {
  return facts.empty() ? std::nullopt : Search(space, start, facts, model, target).run();
}

std::vector<std::pair<NamedNumbers, double>> permalloy::rankedNeighbours(const codegen::ScheduleSpace &space, const Values &start,
                                                                         const KernelFacts &facts, const CostModel &model,
                                                                         const std::string &target, size_t count) {
  NamedNumbers usual = space.named(start);
  double us = model.predict(facts, usual, target).us;
  std::vector<std::pair<NamedNumbers, double>> ranked;
  for (const Values &values : space.neighbours(start)) {
    NamedNumbers schedule = space.named(values);
    // Relative to the one that is taken: the ranking head says by how much.
    ranked.push_back({schedule, us * std::exp(-model.compare(facts, schedule, usual, target).gain)});
  }
  llvm::sort(ranked, [](const auto &a, const auto &b) { return a.second < b.second; });
  ranked.resize(std::min(ranked.size(), count));
  return ranked;
}
