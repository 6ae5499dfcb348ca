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

/// A schedule to be measured.
struct Tuner::Prepared {
  Values values;
  std::string code;              ///< its name, where the database may have rows of it
  CandidateCompiler::Handle job; ///< null where the database has them all
};

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
  std::vector<Prepared> next; ///< of the round at hand
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

Tuner::Tuner(TuningWriter &writer, TuningOptions options)
    : writer(writer), options(std::move(options)), compiler(*this->options.target) {
  if (this->options.target->hasAmx())
    requestAmxPermission();
}

Tuner::~Tuner() = default;

Status Tuner::run(llvm::ArrayRef<TuningTask> tasks) {
  std::vector<std::unique_ptr<TaskState>> states;
  for (const TuningTask &task : tasks)
    states.push_back(std::make_unique<TaskState>(task, *options.target, options.seed));
  counts.tasks = states.size();
  for (bool more = true; more && !options.stop() && counts.round < options.rounds; ++counts.round) {
    more = false;
    for (size_t index = 0; index < states.size(); ++index) {
      TaskState &state = *states[index];
      counts.task = index + 1;
      if (state.isDone() || options.stop())
        continue;
      PERMALLOY_TRY(prepare(state));
      // While this one is measured the candidates of the one after it are compiled: those of the next round, after the last.
      bool isLast = index + 1 == states.size();
      if (TaskState &after = *states[isLast ? 0 : index + 1];
          &after != &state && !after.isDone() && (!isLast || counts.round + 1 < options.rounds))
        PERMALLOY_TRY(prepare(after));
      PERMALLOY_TRY(runTask(state));
      more |= !state.isDone();
    }
  }
  return {};
}

/// Decides what is measured in the task's next turn, and begins to compile it.
Status Tuner::prepare(TaskState &state) {
  if (!state.next.empty() || state.isDone())
    return {};
  QuietDiagnostics quiet(state.kernel->getContext());
  std::vector<Values> values = candidates(state);
  state.exhausted = values.empty();
  for (Values &each : values) {
    quiet.text.clear();
    Prepared prepared{std::move(each), "", nullptr};
    if (!setSchedule(state, prepared.values)) {
      refuse(quiet.text);
      continue;
    }
    if (writer.knows(state.identity)) {
      auto code = codegen::codeOf(*state.kernel, *options.target);
      if (!code) {
        refuse(llvm::toString(code.takeError()) + ": " + quiet.text);
        continue;
      }
      prepared.code = std::move(*code);
    }
    bool isKnown = !prepared.code.empty();
    for (const reference::Symbols &symbols : state.task.sizes)
      isKnown = isKnown && writer.find(rowFor(state, prepared, symbols)).has_value();
    if (!isKnown)
      prepared.job = compiler.begin(*state.kernel);
    state.next.push_back(std::move(prepared));
  }
  return {};
}

Status Tuner::runTask(TaskState &state) {
  std::vector<Prepared> next = std::exchange(state.next, {});
  for (const reference::Symbols &symbols : state.task.sizes) {
    auto buffers = KernelBuffers::make(*state.kernel, symbols, arena);
    if (!buffers) {
      refuse(llvm::toString(buffers.takeError()));
      state.exhausted = true;
      return {};
    }
    state.buffers.push_back(std::move(*buffers));
  }
  for (Prepared &prepared : next) {
    if (options.stop())
      break;
    PERMALLOY_TRY(measure(state, prepared));
  }
  state.buffers.clear();
  return {};
}

void Tuner::refuse(std::string why) {
  counts.refusal = std::move(why);
  ++counts.refused;
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

bool Tuner::setSchedule(TaskState &state, const Values &values) {
  DictionaryAttr schedule = state.space->attribute(state.kernel->getContext(), values);
  return succeeded(codegen::setSchedule(*state.kernel, *options.target, schedule));
}

Status Tuner::measure(TaskState &state, const Prepared &prepared) {
  QuietDiagnostics quiet(state.kernel->getContext());
  if (!setSchedule(state, prepared.values)) { // tiles and scratch of the launches
    refuse(quiet.text);
    return {};
  }
  double score = 0;
  for (size_t size = 0; size < state.task.sizes.size(); ++size) {
    if (options.stop())
      return {};
    PERMALLOY_TRY(measureAt(state, prepared, size, score));
  }
  if (score != 0 && (state.best.empty() || score < state.bestScore)) {
    state.best = prepared.values;
    state.bestScore = score;
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

/// What is known of a row without measuring.
TuningRow Tuner::rowFor(const TaskState &state, const Prepared &prepared, const reference::Symbols &symbols) {
  kern::KernelOp kernel = *state.kernel;
  TuningRow row;
  row.kernel = state.identity.id;
  row.cpu = Cpu::host().kind();
  row.target = options.target->name.str();
  row.schedule = named(*state.space, prepared.values);
  row.sizes = sizesOf(kernel, symbols);
  row.isDefault = prepared.values == state.byDefault;
  for (Attribute symbol : kernel.getSymbols())
    row.symbols.push_back({cast<StringAttr>(symbol).str(), symbols.lookup(cast<StringAttr>(symbol).getValue())});
  llvm::sort(row.symbols);
  row.code = prepared.code;
  return row;
}

Status Tuner::measureAt(TaskState &state, const Prepared &prepared, size_t size, double &score) {
  const reference::Symbols &symbols = state.task.sizes[size];
  TuningRow row = rowFor(state, prepared, symbols);
  if (auto known = prepared.code.empty() ? std::nullopt : writer.find(row)) {
    ++counts.known;
    score += std::log(*known);
    return {};
  }
  compiler.wait(prepared.job);
  const std::optional<Candidate> &candidate = prepared.job->candidate;
  if (!candidate) {
    refuse(prepared.job->error);
    return {};
  }
  auto sizes = launchSizes(*state.kernel, symbols);
  if (!sizes) {
    refuse(llvm::toString(sizes.takeError()));
    return {};
  }
  Result<Mapping> scratch = Mapping::anonymous(sizes->scratchBytes + 4096);
  if (!scratch.ok())
    return scratch.status();
  KernelBuffers &buffers = state.buffers[size];
  Launch launch{candidate->function(), nullptr, sizes->scalars.data(), sizes->tiles, scratch->data()};
  auto run = [&] {
    launch.buffers = buffers.next();
    runSerial(launch);
  };
  Timing timing = timeCalls(run, reference, options.stop);
  if (timing.repeats < 3 && options.stop())
    return {}; // cut short: no measurement
  row.coldWeights = buffers.hasColdWeights();
  row.minNs = timing.minNs, row.medianNs = timing.medianNs, row.madNs = timing.madNs;
  row.repeats = timing.repeats, row.drift = timing.drift;
  row.code = candidate->code;
  row.instructions = candidate->statistics.instructions;
  row.spills = candidate->statistics.spills;
  row.codeBytes = candidate->codeBytes;
  KernelWork work = workOf(*state.kernel);
  row.flops = valueOf(work.flops, symbols), row.bytes = valueOf(work.bytes, symbols);
  Machine machine;
  machine.lanes = options.target->lanes();
  machine.hasAmx = options.target->hasAmx();
  if (auto estimate = estimateCost(*state.kernel, row.schedule, symbols, machine))
    row.estimateNs = estimate->nanoseconds(machine);
  row.compiler = "permalloy " PERMALLOY_VERSION ", LLVM " LLVM_VERSION_STRING;
  row.date = today();
  score += std::log(timing.medianNs);
  ++counts.measured;
  counts.noisy += !timing.isSteady();
  PERMALLOY_TRY(writer.append(state.identity, row));
  options.progress(counts);
  return {};
}
