//===- GpuTuner.cpp - measures schedules of kernels on a GPU ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Measure/GpuTuner.h"
#include "permalloy/Codegen/GPU/SchedulePrice.h"
#include "permalloy/CostModel/KernelWork.h"
#include "permalloy/Measure/GpuCandidate.h"

#include "mlir/IR/Diagnostics.h"
#include "llvm/Config/llvm-config.h"

#include <map>
#include <set>

using namespace permalloy;
using namespace permalloy::measure;
using namespace mlir;

/// Gains below this are not worth a second look: compile does not take them (TuningDatabase.cpp).
static constexpr double kLeastGain = 1.03;
/// Of the device's second-level cache, what the copies of weights are at least to take: then they come from memory.
static constexpr double kCaches = 2;
static constexpr unsigned kKernelsOfAContext = 64;
static constexpr const char *kName = "kernel";

/// A schedule to be measured.
struct GpuTuner::Prepared {
  Values values;
  std::string kernel; ///< text, with this schedule
  std::string code;   ///< codegen::gpuCodeOf it
  std::optional<codegen::GpuCode> image; ///< where something is to be measured
};

/// A task on its way through the rounds.
struct GpuTuner::TaskState {
  TaskState(const TuningTask &task, const codegen::GpuTarget &target, uint64_t seed);

  bool isDone() const { return !space || exhausted; }
  const Values &best() const {
    auto least = llvm::min_element(scores, [](auto &a, auto &b) { return a.second < b.second; });
    return least == scores.end() ? byDefault : least->first;
  }
  /// Puts a schedule on the kernel.
  bool set(const codegen::GpuTarget &target, const Values &values) {
    return succeeded(codegen::setGpuSchedule(*kernel, target, codegen::gpuSchedule(*kernel, *space, values)));
  }

  const TuningTask &task;
  OwningOpRef<kern::KernelOp> kernel; ///< takes the schedules
  std::string form;
  KernelIdentity identity;
  std::unique_ptr<codegen::ScheduleSpace> space; ///< null: nothing to choose
  Values byDefault, byRule;
  std::map<Values, double> scores; ///< sums of logarithms of medians at all sizes
  std::map<Values, Prepared> measured;
  std::set<Values> tried, confirmed;
  std::mt19937_64 random;
  bool exhausted = false;
  std::vector<GpuBuffers> buffers; ///< of each size, while the task is at hand
};

/// The parameters of the schedule that stands on a kernel.
static NamedNumbers numbersOf(kern::KernelOp kernel) {
  NamedNumbers numbers;
  for (NamedAttribute entry : kernel.getScheduleAttr())
    if (auto value = dyn_cast<IntegerAttr>(entry.getValue()))
      numbers.push_back({entry.getName().str(), value.getInt()});
  return numbers;
}

GpuTuner::TaskState::TaskState(const TuningTask &task, const codegen::GpuTarget &target, uint64_t seed)
    : task(task), kernel(kern::KernelOp(task.kernel).clone()) {
  auto valuesNow = [&] { return llvm::cantFail(space->values(numbersOf(*kernel))); };
  if (failed(codegen::selectGpuSchedule(*kernel, target, codegen::GpuChooser::Rule)))
    return;
  identity = identityOf(*kernel);
  form = kernel->getScheduleAttr().getAs<StringAttr>("form").str();
  space = codegen::gpuScheduleSpace(*kernel, target);
  if (!space)
    return;
  byRule = valuesNow();
  llvm::cantFail(failed(codegen::selectGpuSchedule(*kernel, target)) ? llvm::createStringError("a kernel lost its form") : llvm::Error::success());
  byDefault = valuesNow();
  // The same candidates at any time and in any order of the tasks.
  random.seed(seed ^ std::stoull(identity.id.substr(0, 16), nullptr, 16));
}

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

GpuTuner::GpuTuner(TuningWriter &writer, GpuSite site, TuningOptions options)
    : writer(writer), site(std::move(site)), options(std::move(options)), arena(this->options.weightBytes) {}

GpuTuner::~GpuTuner() = default;

void GpuTuner::refuse(std::string why) {
  counts.refusal = std::move(why);
  ++counts.refused;
}

Status GpuTuner::run(llvm::ArrayRef<TuningTask> tasks) {
  std::vector<std::unique_ptr<TaskState>> states;
  for (const TuningTask &task : tasks) {
    QuietDiagnostics quiet(kern::KernelOp(task.kernel).getContext());
    states.push_back(std::make_unique<TaskState>(task, site.target, options.seed));
    if (states.back()->form.empty())
      refuse(quiet.text);
  }
  counts.tasks = states.size();
  for (bool more = true; more && !options.stop() && counts.round < options.rounds; ++counts.round) {
    more = false;
    for (auto [index, state] : llvm::enumerate(states)) {
      counts.task = index + 1;
      if (state->isDone() || options.stop())
        continue;
      PERMALLOY_TRY(runTask(*state));
      more |= !state->isDone();
    }
  }
  return {};
}

Status GpuTuner::runTask(TaskState &state) {
  QuietDiagnostics quiet(state.kernel->getContext());
  const GpuRates *rates = GpuRates::of(site.target.name);
  uint64_t span = std::min<uint64_t>(options.weightBytes, rates ? uint64_t(kCaches * double(rates->l2Bytes)) : ~uint64_t(0));
  for (const reference::Symbols &symbols : state.task.sizes) {
    Result<GpuBuffers> buffers = GpuBuffers::make(site.device.number, *state.kernel, symbols, arena, span);
    if (!buffers.ok()) {
      refuse(buffers.status().message());
      state.exhausted = true;
      state.buffers.clear();
      return {};
    }
    state.buffers.push_back(std::move(*buffers));
  }
  std::vector<Values> next = candidates(state);
  state.exhausted = next.empty();
  for (const Values &values : next) {
    if (options.stop())
      break;
    if (std::optional<Prepared> prepared = prepare(state, values))
      PERMALLOY_TRY(measure(state, std::move(*prepared)));
  }
  PERMALLOY_TRY(confirm(state));
  state.buffers.clear();
  return {};
}

/// The default and the rule first; then by turns a neighbour of the best, in the order of the prior, and one at random.
std::vector<GpuTuner::Values> GpuTuner::candidates(TaskState &state) {
  std::vector<Values> result;
  auto take = [&](const Values &values) {
    if (result.size() < options.candidates && state.tried.insert(values).second)
      result.push_back(values);
  };
  take(state.byDefault);
  take(state.byRule);
  std::vector<std::pair<double, Values>> near;
  codegen::GpuSchedulePricer pricer(*state.kernel, site.target, state.task.sizes);
  for (const Values &values : state.space->neighbours(state.best()))
    if (auto price = pricer.price(codegen::gpuSchedule(*state.kernel, *state.space, values)))
      near.push_back({price->mean(), values});
  llvm::sort(near); // equal ones by their values
  auto below = [&](uint64_t n) { return state.random() % n; };
  for (unsigned i = 0; result.size() < options.candidates && i < 8 * options.candidates; ++i) {
    if (i < near.size())
      take(near[i].second);
    if (auto values = state.space->sample(below))
      take(*values);
  }
  return result;
}

/// The name of a candidate's code; nothing where it can have none.
std::optional<GpuTuner::Prepared> GpuTuner::prepare(TaskState &state, const Values &values) {
  if (!state.set(site.target, values))
    return refuse("a schedule is illegal: " + state.space->str(values)), std::nullopt;
  if (!context || ++contextUses % kKernelsOfAContext == 0) // what a context has seen stays in memory
    context = std::make_unique<codegen::KernelContext>(codegen::KernelContext::Device::Gpu);
  Prepared prepared{values, codegen::textOf(*state.kernel), "", std::nullopt};
  OwningOpRef<ModuleOp> module = context->parse(prepared.kernel);
  auto code = module ? codegen::gpuCodeOf(context->kernelOf(*module), site.target) : llvm::createStringError("it cannot be read back");
  std::string why = context->takeError();
  if (!code)
    return refuse(llvm::toString(code.takeError()) + (why.empty() ? "" : ": " + why)), std::nullopt;
  prepared.code = std::move(*code);
  return prepared;
}

bool GpuTuner::compile(Prepared &prepared) {
  if (prepared.image)
    return true;
  OwningOpRef<ModuleOp> module = context->parse(prepared.kernel);
  auto image = site.compile(context->kernelOf(*module), kName);
  std::string why = context->takeError();
  if (!image)
    return refuse(llvm::toString(image.takeError()) + (why.empty() ? "" : ": " + why)), false;
  prepared.image = std::move(*image);
  return true;
}

Status GpuTuner::measure(TaskState &state, Prepared prepared) {
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
  state.measured[prepared.values] = std::move(prepared);
  return {};
}

/// `median` becomes that of the launch, in nanoseconds; it stays 0 where there is none.
Status GpuTuner::measureAt(TaskState &state, Prepared &prepared, size_t size, double &median) {
  if (auto known = writer.find(rowFor(state, prepared, size))) {
    ++counts.known;
    median = *known;
    return {};
  }
  if (!compile(prepared) || !state.set(site.target, prepared.values))
    return {};
  const reference::Symbols &symbols = state.task.sizes[size];
  Result<GpuTimer> timer = gpuTimerFor(site.device.number, *state.kernel, kName, *prepared.image, symbols, state.buffers[size]);
  if (!timer.ok())
    return refuse(timer.status().message()), Status();
  Result<Timing> timing = timeLaunches(*timer, options.stop);
  if (!timing.ok())
    return timing.status(); // a device that failed once fails ever after
  median = timing->medianNs;
  return append(state, prepared, size, *timing);
}

/// As Tuner's: the fastest by turns with the default, which counts from then on.
Status GpuTuner::confirm(TaskState &state) {
  auto usual = state.measured.find(state.byDefault);
  for (unsigned i = 0; i < options.confirmed && usual != state.measured.end() && !options.stop(); ++i) {
    Values best = state.best();
    double gain = (state.scores[state.byDefault] - state.scores[best]) / double(state.task.sizes.size());
    if (gain < std::log(kLeastGain) || !state.confirmed.insert(best).second)
      return {};
    double score = 0, usualScore = 0;
    for (size_t size = 0; size < state.task.sizes.size() && !options.stop(); ++size)
      PERMALLOY_TRY(confirmAt(state, state.measured[best], usual->second, size, score, usualScore));
    if (options.stop())
      return {};
    state.scores[best] = score, state.scores[state.byDefault] = usualScore;
  }
  return {};
}

/// Adds the logarithms of the two medians to their scores.
Status GpuTuner::confirmAt(TaskState &state, Prepared &best, Prepared &usual, size_t size, double &score, double &usualScore) {
  auto add = [&](double bestNs, double usualNs) { score += std::log(bestNs), usualScore += std::log(usualNs); };
  TuningRow row = rowFor(state, best, size);
  row.defaultCode = usual.code;
  auto gain = writer.findGain(row), known = writer.find(rowFor(state, usual, size));
  if (gain && known)
    return add(*known / *gain, *known), Status();
  std::optional<GpuTimer> timers[2];
  Prepared *pair[] = {&best, &usual};
  for (auto [prepared, timer] : llvm::zip_equal(pair, timers)) {
    if (!compile(*prepared) || !state.set(site.target, prepared->values))
      return {};
    Result<GpuTimer> own = gpuTimerFor(site.device.number, *state.kernel, kName, *prepared->image, state.task.sizes[size], state.buffers[size]);
    if (!own.ok())
      return refuse(own.status().message()), Status();
    timer.emplace(std::move(*own));
  }
  auto timings = timeLaunchesByTurns(*timers[0], *timers[1], options.stop);
  if (!timings.ok())
    return timings.status();
  auto &[own, usualTiming] = *timings;
  add(own.medianNs, usualTiming.medianNs);
  PERMALLOY_TRY(append(state, usual, size, usualTiming, &usual, usualTiming.medianNs));
  return append(state, best, size, own, &usual, usualTiming.medianNs);
}

/// What is known of a row without measuring.
TuningRow GpuTuner::rowFor(const TaskState &state, const Prepared &prepared, size_t size) const {
  const reference::Symbols &symbols = state.task.sizes[size];
  kern::KernelOp kernel = *state.kernel;
  TuningRow row;
  row.kernel = state.identity.id;
  row.cpu = site.device.name, row.target = site.target.name.str(), row.form = state.form;
  row.schedule = state.space->named(prepared.values);
  row.sizes = sizesOf(kernel, symbols);
  row.isDefault = prepared.values == state.byDefault;
  for (auto symbol : kernel.getSymbols().getAsRange<StringAttr>())
    row.symbols.push_back({symbol.str(), symbols.lookup(symbol.getValue())});
  llvm::sort(row.symbols);
  row.code = prepared.code;
  return row;
}

static int64_t valueOf(tfm::DimExprAttr expr, const reference::Symbols &symbols) {
  std::string error;
  return expr ? reference::evaluate(expr, symbols, error).value_or(-1) : -1;
}

Status GpuTuner::append(TaskState &state, const Prepared &prepared, size_t size, const Timing &timing, const Prepared *usual, double usualNs) {
  const reference::Symbols &symbols = state.task.sizes[size];
  TuningRow row = rowFor(state, prepared, size);
  row.weightSpan = double(state.buffers[size].weightSpan());
  row.coldWeights = row.weightSpan > 0;
  row.minNs = timing.minNs, row.medianNs = timing.medianNs, row.madNs = timing.madNs, row.repeats = timing.repeats;
  row.defaultNs = usual ? usualNs : 0, row.defaultCode = usual ? usual->code : "";
  row.registers = prepared.image->cubin.report.registers, row.spills = prepared.image->cubin.report.spillBytes;
  row.codeBytes = prepared.image->cubin.bytes.empty() ? prepared.image->ptx.size() : prepared.image->cubin.bytes.size();
  KernelWork work = workOf(*state.kernel);
  row.flops = valueOf(work.flops, symbols), row.bytes = valueOf(work.bytes, symbols);
  codegen::GpuSchedulePricer pricer(*state.kernel, site.target, {symbols});
  if (auto price = pricer.price(codegen::gpuSchedule(*state.kernel, *state.space, prepared.values)))
    row.estimateNs = 1e3 * price->mean();
  row.compiler = "permalloy " PERMALLOY_VERSION ", LLVM " LLVM_VERSION_STRING;
  row.date = dateOfRow();
  ++counts.measured;
  counts.noisy += !timing.isSteady();
  PERMALLOY_TRY(writer.append(state.identity, row));
  options.progress(counts);
  return {};
}
