//===- Tuner.cpp - measures schedules of kernels into a database *- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Measure/Tuner.h"
#include "TuningState.h"
#include "permalloy/Artifact/CpuFeatures.h"
#include "permalloy/Codegen/KernelEmitter.h"
#include "permalloy/CostModel/Prior.h"
#include "permalloy/Measure/Candidate.h"
#include "permalloy/Runtime/ThreadPool.h"

using namespace permalloy;
using namespace permalloy::measure;
using namespace mlir;

/// A schedule to be measured.
struct Tuner::Prepared {
  Values values;
  std::string code;              ///< its name, where the database may have rows of it
  CandidateCompiler::Handle job; ///< null where the database has them all
};

/// A candidate at the sizes of a launch; each call is one, on the next copy of the weights.
struct Tuner::Runner {
  KernelFunction function;
  LaunchSizes sizes;
  Mapping scratch;
  KernelBuffers *buffers;

  void operator()() {
    Launch launch{function, nullptr, sizes.scalars.data(), sizes.tiles, scratch.data()};
    launch.buffers = buffers->next();
    runSerial(launch);
  }
};

struct Tuner::TaskState : TuningState {
  TaskState(const TuningTask &task, const codegen::CpuTarget &target, uint64_t seed)
      : TuningState(task) {
    if (succeeded(codegen::selectSchedule(*kernel, target)))
      begin(codegen::scheduleSpace(*kernel, target), seed);
  }

  std::map<Values, Prepared> measured;
  std::vector<Prepared> next;         ///< of the round at hand
  std::vector<KernelBuffers> buffers; ///< of each size, while the task is at hand
};

Tuner::Tuner(TuningWriter &writer, TuningOptions options)
    : TunerBase(writer, std::move(options)), compiler(*this->options.target) {
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
  std::vector<Values> near = state.space->neighbours(state.best());
  llvm::shuffle(near.begin(), near.end(), state.random);
  std::vector<Values> values = candidates(state, state.byDefault, near);
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
    for (size_t size = 0; size < state.task.sizes.size(); ++size)
      isKnown = isKnown && writer.find(rowFor(state, prepared, size)).has_value();
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
      state.buffers.clear();
      return {};
    }
    state.buffers.push_back(std::move(*buffers));
  }
  for (Prepared &prepared : next) {
    if (options.stop())
      break;
    PERMALLOY_TRY(measure(state, prepared.values, [&](size_t size, double &median) {
      return measureAt(state, prepared, size, median);
    }));
    state.measured[prepared.values] = std::move(prepared);
  }
  PERMALLOY_TRY(confirm(state, [&](const Values &best, size_t size, double &median, double &usual) {
    return confirmAt(state, state.measured[best], state.measured[state.byDefault], size, median,
                     usual);
  }));
  for (auto &[values, measured] : state.measured)
    if (values != state.byDefault && values != state.best())
      measured.job = nullptr; // each holds mappings, of which a process has so many
  state.buffers.clear();
  return {};
}

bool Tuner::setSchedule(TaskState &state, const Values &values) {
  DictionaryAttr schedule = state.space->attribute(state.kernel->getContext(), values);
  return succeeded(codegen::setSchedule(*state.kernel, *options.target, schedule));
}

TuningRow Tuner::rowFor(const TaskState &state, const Prepared &prepared, size_t size) const {
  TuningRow row = state.rowFor(prepared.values, prepared.code, size);
  row.cpu = Cpu::host().kind(), row.target = options.target->name.str();
  return row;
}

std::optional<Tuner::Runner> Tuner::runner(TaskState &state, const Prepared &prepared, size_t size) {
  QuietDiagnostics quiet(state.kernel->getContext());
  if (!setSchedule(state, prepared.values)) { // tiles and scratch of the launch
    refuse(quiet.text);
    return std::nullopt;
  }
  compiler.wait(prepared.job);
  if (!prepared.job->candidate) {
    refuse(prepared.job->error);
    return std::nullopt;
  }
  auto sizes = launchSizes(*state.kernel, state.task.sizes[size]);
  if (!sizes) {
    refuse(llvm::toString(sizes.takeError()));
    return std::nullopt;
  }
  Result<Mapping> scratch = Mapping::anonymous(sizes->scratchBytes + 4096);
  if (!scratch.ok()) {
    refuse(scratch.status().message());
    return std::nullopt;
  }
  return Runner{prepared.job->candidate->function(), std::move(*sizes), std::move(*scratch), &state.buffers[size]};
}

/// `median` becomes that of the launch, in nanoseconds; it stays 0 where there is none.
Status Tuner::measureAt(TaskState &state, const Prepared &prepared, size_t size, double &median) {
  TuningRow row = rowFor(state, prepared, size);
  if (auto known = prepared.code.empty() ? std::nullopt : writer.find(row)) {
    ++counts.known;
    median = *known;
    return {};
  }
  std::optional<Runner> run = runner(state, prepared, size);
  if (!run)
    return {};
  Timing timing = timeCalls(*run, yardstick, options.stop);
  if (timing.repeats < 3 && options.stop())
    return {}; // cut short: no measurement
  median = timing.medianNs;
  return append(state, prepared, size, timing);
}

Status Tuner::confirmAt(TaskState &state, const Prepared &best, const Prepared &byDefault,
                        size_t size, double &median, double &usual) {
  TuningRow row = rowFor(state, best, size);
  row.defaultCode = byDefault.code;
  auto gain = writer.findGain(row), known = writer.find(rowFor(state, byDefault, size));
  if (gain && known) {
    median = *known / *gain, usual = *known;
    return {};
  }
  Prepared pair[] = {best, byDefault};
  std::optional<Runner> runs[2];
  for (auto [prepared, run] : llvm::zip_equal(pair, runs)) {
    if (!prepared.job) { // the database had its rows, or it was compiled turns ago
      if (!setSchedule(state, prepared.values))
        return {};
      prepared.job = compiler.begin(*state.kernel);
    }
    run = runner(state, prepared, size);
    if (!run)
      return {};
  }
  auto [timing, usualTiming] = timeByTurns(*runs[0], *runs[1], yardstick, options.stop);
  if (timing.repeats < 3 && options.stop())
    return {};
  median = timing.medianNs, usual = usualTiming.medianNs;
  const std::string &code = pair[1].job->candidate->code;
  PERMALLOY_TRY(append(state, pair[1], size, usualTiming, usual, code));
  return append(state, pair[0], size, timing, usual, code);
}

Status Tuner::append(TaskState &state, const Prepared &prepared, size_t size, const Timing &timing,
                     double defaultNs, const std::string &defaultCode) {
  const Candidate &candidate = *prepared.job->candidate;
  TuningRow row = rowFor(state, prepared, size);
  row.coldWeights = state.buffers[size].hasColdWeights();
  row.weightSpan = row.coldWeights ? double(arena.bytes()) : 0;
  row.defaultNs = defaultNs, row.defaultCode = defaultCode;
  row.code = candidate.code;
  row.instructions = candidate.statistics.instructions;
  row.spills = candidate.statistics.spills;
  row.codeBytes = candidate.codeBytes;
  if (auto facts = factsOf(*state.kernel, state.task.sizes[size])) {
    facts->weightSpan = row.weightSpan;
    row.estimateNs =
        estimateCost(*facts, row.schedule, Machine(rates.at(timing.speed), unitsOf(row.target)))
            .nanoseconds();
  }
  return TunerBase::append(state, std::move(row), size, timing);
}
