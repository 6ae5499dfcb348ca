//===- Tuner.cpp - measures schedules of kernels into a database *- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Measure/Tuner.h"
#include "permalloy/Artifact/CpuFeatures.h"
#include "permalloy/Codegen/KernelEmitter.h"
#include "permalloy/CostModel/Prior.h"
#include "permalloy/CostModel/KernelWork.h"
#include "permalloy/Measure/Candidate.h"
#include "permalloy/Runtime/ThreadPool.h"

#include "mlir/IR/Diagnostics.h"
#include "llvm/Config/llvm-config.h"

#include <chrono>
#include <map>
#include <set>

using namespace permalloy;
using namespace permalloy::measure;
using namespace mlir;

/// Gains below this are not worth a second look: compile does not take them (TuningDatabase.cpp).
static constexpr double kLeastGain = 1.03;

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

  /// The fastest so far, the default before there is any.
  const Values &best() const {
    auto least = llvm::min_element(scores, [](auto &a, auto &b) { return a.second < b.second; });
    return least == scores.end() ? byDefault : least->first;
  }

  const TuningTask &task;
  OwningOpRef<kern::KernelOp> kernel; ///< takes the schedules
  bool scheduled;
  KernelIdentity identity;
  std::unique_ptr<codegen::ScheduleSpace> space; ///< null: nothing to choose
  Values byDefault;
  std::map<Values, double> scores; ///< sums of logarithms of medians at all sizes
  std::map<Values, Prepared> measured;
  std::set<Values> tried, confirmed;
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
    : writer(writer), options(std::move(options)), arena(this->options.weightBytes), compiler(*this->options.target) {
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
  PERMALLOY_TRY(confirm(state));
  for (auto &[values, measured] : state.measured)
    if (values != state.byDefault && values != state.best())
      measured.job = nullptr; // each holds mappings, of which a process has so many
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
  std::vector<Values> near = state.space->neighbours(state.best());
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
  double score = 0;
  for (size_t size = 0; size < state.task.sizes.size(); ++size) {
    double median = 0;
    if (!options.stop())
      PERMALLOY_TRY(measureAt(state, prepared, size, median));
    if (median == 0)
      return {};
    score += std::log(median);
  }
  state.scores[prepared.values] = score;
  state.measured[prepared.values] = prepared;
  return {};
}

/// Measures the fastest by turns with the default, if they gain enough, and corrects what is known of them: what the best of some
/// fifty measurements gains is mostly chance, and the machine's speed a minute ago was another.
Status Tuner::confirm(TaskState &state) {
  auto byDefault = state.measured.find(state.byDefault);
  for (unsigned i = 0; i < options.confirmed && byDefault != state.measured.end() && !options.stop(); ++i) {
    Values best = state.best();
    double gain = (state.scores[state.byDefault] - state.scores[best]) / double(state.task.sizes.size());
    if (gain < std::log(kLeastGain) || !state.confirmed.insert(best).second)
      return {};
    double score = 0, usual = 0;
    for (size_t size = 0; size < state.task.sizes.size(); ++size)
      PERMALLOY_TRY(confirmAt(state, state.measured[best], byDefault->second, size, score, usual));
    if (options.stop())
      return {};
    state.scores[best] = score;
    state.scores[state.byDefault] = usual;
  }
  return {};
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
  row.schedule = state.space->named(prepared.values);
  row.sizes = sizesOf(kernel, symbols);
  row.isDefault = prepared.values == state.byDefault;
  for (Attribute symbol : kernel.getSymbols())
    row.symbols.push_back({cast<StringAttr>(symbol).str(), symbols.lookup(cast<StringAttr>(symbol).getValue())});
  llvm::sort(row.symbols);
  row.code = prepared.code;
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
  TuningRow row = rowFor(state, prepared, state.task.sizes[size]);
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

/// Adds the logarithms of the two medians to their scores.
Status Tuner::confirmAt(TaskState &state, const Prepared &best, const Prepared &byDefault, size_t size, double &score,
                        double &usual) {
  const reference::Symbols &symbols = state.task.sizes[size];
  auto add = [&](double bestNs, double defaultNs) {
    score += std::log(bestNs);
    usual += std::log(defaultNs);
  };
  TuningRow row = rowFor(state, best, symbols);
  row.defaultCode = byDefault.code;
  auto gain = writer.findGain(row), known = writer.find(rowFor(state, byDefault, symbols));
  if (gain && known) {
    add(*known / *gain, *known);
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
  add(timing.medianNs, usualTiming.medianNs);
  const std::string &code = pair[1].job->candidate->code;
  PERMALLOY_TRY(append(state, pair[1], size, usualTiming, usualTiming.medianNs, code));
  return append(state, pair[0], size, timing, usualTiming.medianNs, code);
}

Status Tuner::append(TaskState &state, const Prepared &prepared, size_t size, const Timing &timing, double defaultNs,
                     const std::string &defaultCode) {
  const reference::Symbols &symbols = state.task.sizes[size];
  const Candidate &candidate = *prepared.job->candidate;
  TuningRow row = rowFor(state, prepared, symbols);
  row.coldWeights = state.buffers[size].hasColdWeights();
  row.minNs = timing.minNs, row.medianNs = timing.medianNs, row.madNs = timing.madNs;
  row.repeats = timing.repeats, row.drift = timing.drift, row.speed = timing.speed;
  row.weightSpan = row.coldWeights ? double(arena.bytes()) : 0;
  row.defaultNs = defaultNs, row.defaultCode = defaultCode;
  row.code = candidate.code;
  row.instructions = candidate.statistics.instructions;
  row.spills = candidate.statistics.spills;
  row.codeBytes = candidate.codeBytes;
  KernelWork work = workOf(*state.kernel);
  row.flops = valueOf(work.flops, symbols), row.bytes = valueOf(work.bytes, symbols);
  if (auto facts = factsOf(*state.kernel, symbols)) {
    facts->weightSpan = row.weightSpan;
    row.estimateNs = estimateCost(*facts, row.schedule, Machine(rates.at(row.speed), unitsOf(row.target))).nanoseconds();
  }
  row.compiler = "permalloy " PERMALLOY_VERSION ", LLVM " LLVM_VERSION_STRING;
  row.date = dateOfRow();
  ++counts.measured;
  counts.noisy += !timing.isSteady();
  PERMALLOY_TRY(writer.append(state.identity, row));
  options.progress(counts);
  return {};
}
