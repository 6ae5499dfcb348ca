//===- GpuTuner.cpp - measures schedules of kernels on a GPU ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Measure/GpuTuner.h"
#include "TuningState.h"
#include "permalloy/Codegen/GPU/SchedulePrice.h"
#include "permalloy/Measure/GpuCandidate.h"

using namespace permalloy;
using namespace permalloy::measure;
using namespace mlir;

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

struct GpuTuner::TaskState : TuningState {
  TaskState(const TuningTask &task, const codegen::GpuTarget &target, uint64_t seed);

  /// Puts a schedule on the kernel.
  bool set(const codegen::GpuTarget &target, const Values &values) {
    return succeeded(codegen::setGpuSchedule(*kernel, target, codegen::gpuSchedule(*kernel, *space, values)));
  }

  std::string form; ///< empty: no form takes the kernel
  Values byRule;
  std::map<Values, Prepared> measured;
  std::vector<GpuBuffers> buffers; ///< of each size, while the task is at hand
};

GpuTuner::TaskState::TaskState(const TuningTask &task, const codegen::GpuTarget &target,
                               uint64_t seed)
    : TuningState(task) {
  if (failed(codegen::selectGpuSchedule(*kernel, target, codegen::GpuChooser::Rule)))
    return;
  form = kernel->getScheduleAttr().getAs<StringAttr>("form").str();
  auto schedules = codegen::gpuScheduleSpace(*kernel, target);
  if (!schedules)
    return;
  byRule = llvm::cantFail(schedules->values(numbersOf(kernel->getScheduleAttr())));
  llvm::cantFail(failed(codegen::selectGpuSchedule(*kernel, target)) ? llvm::createStringError("a kernel lost its form") : llvm::Error::success());
  begin(std::move(schedules), seed);
}

GpuTuner::GpuTuner(TuningWriter &writer, GpuSite site, TuningOptions options)
    : TunerBase(writer, std::move(options)), site(std::move(site)) {}

GpuTuner::~GpuTuner() = default;

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
  std::vector<Values> next = candidates(state, {state.byDefault, state.byRule}, nearest(state));
  state.exhausted = next.empty();
  for (const Values &values : next) {
    if (options.stop())
      break;
    std::optional<Prepared> prepared = prepare(state, values);
    if (!prepared)
      continue;
    PERMALLOY_TRY(measure(state, values, [&](size_t size, double &median) {
      return measureAt(state, *prepared, size, median);
    }));
    state.measured[values] = std::move(*prepared);
  }
  PERMALLOY_TRY(confirm(state, [&](const Values &best, size_t size, double &median, double &usual) {
    return confirmAt(state, state.measured[best], state.measured[state.byDefault], size, median,
                     usual);
  }));
  state.buffers.clear();
  return {};
}

/// The neighbours of the best, in the order of the prior.
std::vector<GpuTuner::Values> GpuTuner::nearest(const TaskState &state) const {
  std::vector<std::pair<double, Values>> near;
  codegen::GpuSchedulePricer pricer(*state.kernel, site.target, state.task.sizes);
  for (const Values &values : state.space->neighbours(state.best()))
    if (auto price = pricer.price(codegen::gpuSchedule(*state.kernel, *state.space, values)))
      near.push_back({price->mean(), values});
  llvm::sort(near); // equal ones by their values
  auto sorted = llvm::make_second_range(near);
  return {sorted.begin(), sorted.end()};
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

Status GpuTuner::confirmAt(TaskState &state, Prepared &best, Prepared &byDefault, size_t size,
                           double &median, double &usual) {
  TuningRow row = rowFor(state, best, size);
  row.defaultCode = byDefault.code;
  auto gain = writer.findGain(row), known = writer.find(rowFor(state, byDefault, size));
  if (gain && known) {
    median = *known / *gain, usual = *known;
    return {};
  }
  std::optional<GpuTimer> timers[2];
  Prepared *pair[] = {&best, &byDefault};
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
  median = own.medianNs, usual = usualTiming.medianNs;
  PERMALLOY_TRY(append(state, byDefault, size, usualTiming, usual, byDefault.code));
  return append(state, best, size, own, usual, byDefault.code);
}

TuningRow GpuTuner::rowFor(const TaskState &state, const Prepared &prepared, size_t size) const {
  TuningRow row = state.rowFor(prepared.values, prepared.code, size);
  row.cpu = site.device.name, row.target = site.target.name.str(), row.form = state.form;
  return row;
}

Status GpuTuner::append(TaskState &state, const Prepared &prepared, size_t size,
                        const Timing &timing, double defaultNs, const std::string &defaultCode) {
  TuningRow row = rowFor(state, prepared, size);
  row.weightSpan = double(state.buffers[size].weightSpan());
  row.coldWeights = row.weightSpan > 0;
  row.defaultNs = defaultNs, row.defaultCode = defaultCode;
  const codegen::Cubin &cubin = prepared.image->cubin;
  row.registers = cubin.report.registers, row.spills = cubin.report.spillBytes;
  row.codeBytes = cubin.bytes.empty() ? prepared.image->ptx.size() : cubin.bytes.size();
  codegen::GpuSchedulePricer pricer(*state.kernel, site.target, {state.task.sizes[size]});
  if (auto price = pricer.price(codegen::gpuSchedule(*state.kernel, *state.space, prepared.values)))
    row.estimateNs = 1e3 * price->mean();
  return TunerBase::append(state, std::move(row), size, timing);
}
