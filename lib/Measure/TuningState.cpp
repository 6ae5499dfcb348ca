//===- TuningState.cpp - what the tuners of CPUs and GPUs share --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "TuningState.h"
#include "permalloy/CostModel/KernelWork.h"

#include "llvm/Config/llvm-config.h"

#include <cmath>

using namespace permalloy;
using namespace permalloy::measure;
using namespace mlir;

/// Gains below this are not worth a second look: compile does not take them (TuningDatabase.cpp).
static constexpr double kLeastGain = 1.03;

void TuningState::begin(std::unique_ptr<codegen::ScheduleSpace> schedules, uint64_t seed) {
  space = std::move(schedules);
  if (!space)
    return;
  identity = identityOf(*kernel);
  byDefault = llvm::cantFail(space->values(numbersOf(kernel->getScheduleAttr())));
  // The same candidates at any time and in any order of the tasks.
  random.seed(seed ^ std::stoull(identity.id.substr(0, 16), nullptr, 16));
}

const TuningState::Values &TuningState::best() const {
  auto least = llvm::min_element(scores, [](auto &a, auto &b) { return a.second < b.second; });
  return least == scores.end() ? byDefault : least->first;
}

TuningRow TuningState::rowFor(const Values &values, const std::string &code, size_t size) const {
  const reference::Symbols &symbols = task.sizes[size];
  kern::KernelOp own = *kernel;
  TuningRow row;
  row.kernel = identity.id;
  row.schedule = space->named(values);
  row.sizes = sizesOf(own, symbols);
  row.isDefault = values == byDefault;
  for (auto symbol : own.getSymbols().getAsRange<StringAttr>())
    row.symbols.push_back({symbol.str(), symbols.lookup(symbol.getValue())});
  llvm::sort(row.symbols);
  row.code = code;
  return row;
}

TunerBase::TunerBase(TuningWriter &writer, TuningOptions options)
    : writer(writer), options(std::move(options)), arena(this->options.weightBytes) {}

void TunerBase::refuse(std::string why) {
  counts.refusal = std::move(why);
  ++counts.refused;
}

std::vector<TunerBase::Values> TunerBase::candidates(TuningState &state, ArrayRef<Values> first,
                                                     ArrayRef<Values> near) const {
  std::vector<Values> result;
  auto take = [&](const Values &values) {
    if (result.size() < options.candidates && state.tried.insert(values).second)
      result.push_back(values);
  };
  llvm::for_each(first, take);
  auto below = [&](uint64_t n) { return state.random() % n; };
  for (unsigned i = 0; result.size() < options.candidates && i < 8 * options.candidates; ++i) {
    if (i < near.size())
      take(near[i]);
    if (auto values = state.space->sample(below))
      take(*values);
  }
  return result;
}

Status TunerBase::measure(TuningState &state, const Values &values, MeasureAt measureAt) {
  double score = 0;
  for (size_t size = 0; size < state.task.sizes.size(); ++size) {
    double median = 0;
    if (!options.stop())
      PERMALLOY_TRY(measureAt(size, median));
    if (median == 0)
      return {};
    score += std::log(median);
  }
  state.scores[values] = score;
  return {};
}

Status TunerBase::confirm(TuningState &state, ConfirmAt confirmAt) {
  auto byDefault = state.scores.find(state.byDefault);
  for (unsigned i = 0; i < options.confirmed && byDefault != state.scores.end(); ++i) {
    Values best = state.best();
    double gain = (byDefault->second - state.scores[best]) / double(state.task.sizes.size());
    if (gain < std::log(kLeastGain) || !state.confirmed.insert(best).second)
      return {};
    double score = 0, usualScore = 0;
    for (size_t size = 0; size < state.task.sizes.size(); ++size) {
      double median = 0, usual = 0;
      if (!options.stop())
        PERMALLOY_TRY(confirmAt(best, size, median, usual));
      if (median == 0)
        return {};
      score += std::log(median), usualScore += std::log(usual);
    }
    state.scores[best] = score, byDefault->second = usualScore;
  }
  return {};
}

static int64_t valueOf(tfm::DimExprAttr expr, const reference::Symbols &symbols) {
  std::string error;
  return expr ? reference::evaluate(expr, symbols, error).value_or(-1) : -1;
}

Status TunerBase::append(const TuningState &state, TuningRow row, size_t size,
                         const Timing &timing) {
  row.minNs = timing.minNs, row.medianNs = timing.medianNs, row.madNs = timing.madNs;
  row.repeats = timing.repeats, row.drift = timing.drift, row.speed = timing.speed;
  KernelWork work = workOf(*state.kernel);
  row.flops = valueOf(work.flops, state.task.sizes[size]);
  row.bytes = valueOf(work.bytes, state.task.sizes[size]);
  row.compiler = "permalloy " PERMALLOY_VERSION ", LLVM " LLVM_VERSION_STRING;
  row.date = dateOfRow();
  ++counts.measured;
  counts.noisy += !timing.isSteady();
  PERMALLOY_TRY(writer.append(state.identity, row));
  options.progress(counts);
  return {};
}
