//===- Tuner.cpp - measures schedules of kernels into a database *- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Measure/Tuner.h"
#include "permalloy/Artifact/CpuFeatures.h"
#include "permalloy/Codegen/KernelEmitter.h"
#include "permalloy/CostModel/AnalyticalModel.h"
#include "permalloy/CostModel/KernelWork.h"
#include "permalloy/Measure/Candidate.h"
#include "permalloy/Runtime/ThreadPool.h"

#include "mlir/IR/Diagnostics.h"
#include "llvm/Config/llvm-config.h"

#include <chrono>
#include <ctime>
#include <set>

using namespace permalloy;
using namespace permalloy::measure;
using namespace mlir;

static std::string today() {
  std::time_t now = std::time(nullptr);
  std::tm utc;
  char text[32];
  ::gmtime_r(&now, &utc);
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

/// A task on its way through the rounds.
struct Tuner::TaskState {
  TaskState(const TuningTask &task, const codegen::CpuTarget &target, uint64_t seed)
      : task(task), kernel(kern::KernelOp(task.kernel).clone()), scheduled(succeeded(codegen::selectSchedule(*kernel, target))) {
    if (!scheduled)
      return;
    identity = identityOf(*kernel);
    space = codegen::scheduleSpace(*kernel, target);
    if (space)
      byDefault = llvm::cantFail(space->values(kernel->getScheduleAttr()));
    // The same candidates at any time and in any order of the tasks.
    random.seed(seed ^ std::stoull(identity.id.substr(0, 16), nullptr, 16));
  }

  bool isDone() const { return !space || exhausted; }

  const TuningTask &task;
  OwningOpRef<kern::KernelOp> kernel; ///< takes the schedules
  bool scheduled;
  KernelIdentity identity;
  std::unique_ptr<codegen::ScheduleSpace> space; ///< null: nothing to choose
  Values byDefault, best;
  double bestScore = 0; ///< sum of logarithms of medians
  std::set<Values> tried;
  std::mt19937_64 random;
  bool exhausted = false;
  // While the task is at hand:
  std::vector<KernelBuffers> buffers;
};

namespace {
/// Keeps errors off the user's terminal and for the tuner's report.
class QuietDiagnostics {
public:
  explicit QuietDiagnostics(MLIRContext *context) : handler(context, [this](Diagnostic &d) {
      text += (text.empty() ? "" : "; ") + d.str();
      return success();
    }) {}
  std::string text;

private:
  ScopedDiagnosticHandler handler;
};
} // namespace

namespace permalloy::measure {
/// A schedule on its way through the sizes of a task; compiled when the first has no row yet.
struct Compiled {
  std::string code;
  std::optional<Candidate> candidate;
  double score = 0;
};
} // namespace permalloy::measure

Tuner::Tuner(TuningWriter &writer, TuningOptions options) : writer(writer), options(std::move(options)) {
  if (this->options.target->hasAmx())
    requestAmxPermission();
}

Status Tuner::run(llvm::ArrayRef<TuningTask> tasks) {
  std::vector<std::unique_ptr<TaskState>> states;
  for (const TuningTask &task : tasks)
    states.push_back(std::make_unique<TaskState>(task, *options.target, options.seed));
  counts.tasks = states.size();
  for (bool more = true; more && !options.stop() && counts.round < options.rounds; ++counts.round) {
    more = false;
    counts.task = 0;
    for (auto &state : states) {
      ++counts.task;
      if (state->isDone() || options.stop())
        continue;
      PERMALLOY_TRY(runTask(*state));
      more |= !state->isDone();
    }
  }
  return {};
}

Status Tuner::runTask(TaskState &state) {
  QuietDiagnostics quiet(state.kernel->getContext());
  for (const reference::Symbols &symbols : state.task.sizes) {
    auto buffers = KernelBuffers::make(*state.kernel, symbols, arena);
    if (!buffers) {
      counts.refusal = llvm::toString(buffers.takeError());
      ++counts.refused;
      state.exhausted = true;
      return {};
    }
    state.buffers.push_back(std::move(*buffers));
  }
  std::vector<Values> next = candidates(state);
  state.exhausted = next.empty();
  for (const Values &values : next) {
    if (options.stop())
      break;
    PERMALLOY_TRY(measure(state, values));
  }
  state.buffers.clear();
  return {};
}

/// The default first; then by turns a neighbour of the best and one at random.
std::vector<Tuner::Values> Tuner::candidates(TaskState &state) {
  std::vector<Values> result;
  auto take = [&](const Values &values) {
    if (result.size() < options.candidates && state.tried.insert(values).second)
      result.push_back(values);
  };
  take(state.byDefault);
  std::vector<Values> near = state.space->neighbours(state.best.empty() ? state.byDefault : state.best);
  llvm::shuffle(near.begin(), near.end(), state.random);
  auto below = [&](uint64_t n) { return state.random() % n; };
  for (unsigned i = 0; result.size() < options.candidates && i < 8 * options.candidates; ++i) {
    if (i < near.size())
      take(near[i]);
    if (auto values = state.space->sample(below))
      take(*values);
  }
  return result;
}

Status Tuner::measure(TaskState &state, const Values &values) {
  auto refuse = [&](std::string why) {
    counts.refusal = std::move(why);
    ++counts.refused;
    return Status();
  };
  QuietDiagnostics quiet(state.kernel->getContext());
  DictionaryAttr schedule = state.space->attribute(state.kernel->getContext(), values);
  if (failed(codegen::setSchedule(*state.kernel, *options.target, schedule)))
    return refuse(quiet.text);
  Compiled compiled;
  if (writer.knows(state.identity)) {
    auto code = Candidate::codeOf(*state.kernel, *options.target);
    if (!code)
      return refuse(llvm::toString(code.takeError()) + ": " + quiet.text);
    compiled.code = *code;
  }
  for (size_t size = 0; size < state.task.sizes.size(); ++size) {
    if (options.stop())
      return {};
    PERMALLOY_TRY(measureAt(state, values, size, compiled));
  }
  if (compiled.score != 0 && (state.best.empty() || compiled.score < state.bestScore)) {
    state.best = values;
    state.bestScore = compiled.score;
  }
  return {};
}

static NamedNumbers named(const codegen::ScheduleSpace &space, ArrayRef<int64_t> values) {
  NamedNumbers result;
  for (auto [parameter, value] : llvm::zip_equal(space.parameters(), values))
    result.push_back({parameter.name, value});
  llvm::sort(result);
  return result;
}

static int64_t valueOf(tfm::DimExprAttr expr, const reference::Symbols &symbols) {
  std::string error;
  return expr ? reference::evaluate(expr, symbols, error).value_or(-1) : -1;
}

Status Tuner::measureAt(TaskState &state, const Values &values, size_t size, Compiled &compiled) {
  const reference::Symbols &symbols = state.task.sizes[size];
  TuningRow row;
  row.kernel = state.identity.id;
  row.cpu = Cpu::host().kind();
  row.target = options.target->name.str();
  row.schedule = named(*state.space, values);
  row.sizes = sizesOf(*state.kernel, symbols);
  row.isDefault = values == state.byDefault;
  for (Attribute symbol : state.kernel->getSymbols())
    row.symbols.push_back({cast<StringAttr>(symbol).str(), symbols.lookup(cast<StringAttr>(symbol).getValue())});
  llvm::sort(row.symbols);
  row.code = compiled.code;
  if (auto known = compiled.code.empty() ? std::nullopt : writer.find(row)) {
    ++counts.known;
    compiled.score += std::log(*known);
    return {};
  }
  auto sizes = launchSizes(*state.kernel, symbols);
  if (sizes && !compiled.candidate) {
    auto candidate = Candidate::compile(*state.kernel, *options.target);
    if (!candidate)
      sizes = candidate.takeError();
    else
      compiled.candidate = std::move(*candidate);
  }
  if (!sizes) {
    counts.refusal = llvm::toString(sizes.takeError());
    ++counts.refused;
    return {};
  }
  Result<Mapping> scratch = Mapping::anonymous(sizes->scratchBytes + 4096);
  if (!scratch.ok())
    return scratch.status();
  KernelBuffers &buffers = state.buffers[size];
  Launch launch{compiled.candidate->function(), nullptr, sizes->scalars.data(), sizes->tiles, scratch->data()};
  auto run = [&] {
    launch.buffers = buffers.next();
    runSerial(launch);
  };
  Timing timing = timeCalls(run, reference, options.stop);
  KernelWork work = workOf(*state.kernel);
  row.coldWeights = buffers.hasColdWeights();
  row.minNs = timing.minNs, row.medianNs = timing.medianNs, row.madNs = timing.madNs;
  row.repeats = timing.repeats, row.drift = timing.drift;
  row.code = compiled.candidate->code;
  row.instructions = compiled.candidate->statistics.instructions;
  row.spills = compiled.candidate->statistics.spills;
  row.codeBytes = compiled.candidate->codeBytes;
  row.flops = valueOf(work.flops, symbols), row.bytes = valueOf(work.bytes, symbols);
  Machine machine;
  machine.lanes = options.target->lanes();
  machine.hasAmx = options.target->hasAmx();
  if (auto estimate = estimateCost(*state.kernel, row.schedule, symbols, machine))
    row.estimateNs = estimate->nanoseconds(machine);
  row.compiler = "permalloy " PERMALLOY_VERSION ", LLVM " LLVM_VERSION_STRING;
  row.date = today();
  if (timing.repeats < 3 && options.stop())
    return {}; // cut short: no measurement
  compiled.score += std::log(timing.medianNs);
  ++counts.measured;
  counts.noisy += !timing.isSteady();
  PERMALLOY_TRY(writer.append(state.identity, row));
  options.progress(counts);
  return {};
}
