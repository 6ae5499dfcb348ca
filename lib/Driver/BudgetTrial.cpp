//===- BudgetTrial.cpp - forms of a model, judged ----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "BudgetTrial.h"

#include "CalibrationData.h"
#include "Compare.h"
#include "ImportModel.h"
#include "Report.h"
#include "Statistics.h"

#include "permalloy/Measure/Calibration.h"
#include "permalloy/Support/Text.h"

#include <chrono>
#include <cmath>
#include <numeric>

namespace permalloy {

static constexpr int kThreads = 1;
/// Runs of which a step's least time counts, and turns of two programs.
static constexpr int kStepRuns = 15, kTurns = 25;
/// A turn of a program that takes less than these seconds has the median of so many runs, others one.
static constexpr double kShortRun = 0.05;
static constexpr int kShortRuns = 3;

static bool isFloat(artifact::DType type) {
  return type == artifact::DType::f32 || type == artifact::DType::f16 || type == artifact::DType::bf16 || type == artifact::DType::f64;
}

double BudgetTrial::dropOf(double divergence) const { return logits ? std::expm1(divergence) : divergence; }

/// Whether Linux refused AMX, so that the file's first image runs.
static bool runsFallback(const OpenModel &model) {
  return model.session->targetIndex() + 1 < model.artifact().program().targets.size();
}

std::optional<TrialProgram> BudgetTrial::compile(const PrecisionRequest &request) const {
  TrialProgram program;
  Result<TempFolder> folder = TempFolder::create();
  if (!folder.ok())
    return fail(folder.status()), std::nullopt;
  CompileCommand part = command;
  part.output = folder->file("model.alloy");
  part.emit = "alloy";
  part.fusionReport = false;
  PrecisionRequest own = request;
  own.carriedOut = &program.plan;
  own.statistics = statistics;
  own.memo = &memo;
  own.fallback = !f32.model.session || runsFallback(f32.model);
  ToolContext context(command.settings.jobs);
  if (!compileModelWith(part, /*summary=*/false, own, context))
    return std::nullopt;
  Result<std::optional<OpenModel>> opened = openModel(part.output, command.settings, kThreads);
  if (!opened.ok())
    return fail(opened.status()), std::nullopt;
  program.model = std::move(**opened);
  program.model.folder = std::move(*folder);
  return program;
}

//===----------------------------------------------------------------------===//
// Calibration inputs
//===----------------------------------------------------------------------===//

/// Part `index` of the leading axis.
static Array sampleOf(const Array &array, int64_t index) {
  Array part{array.dtype, array.dims, {}};
  size_t bytes = array.data.size() / array.dims.front();
  part.dims.front() = 1;
  part.data.assign(array.data.begin() + index * bytes, array.data.begin() + (index + 1) * bytes);
  return part;
}

/// Where all inputs have the same leading axis, each part of it is a sample; else the file is one sample.
bool BudgetTrial::readFeeds() {
  const std::string &path = command.settings.calibrate;
  Result<std::vector<NamedArray>> given = readNpz(path);
  if (!given.ok())
    return fail(given.status()), false;
  Feed all;
  for (const artifact::TensorInfo &input : f32.model.artifact().manifest().inputs) {
    auto found = std::find_if(given->begin(), given->end(), [&](const NamedArray &entry) { return entry.name == input.name; });
    if (found == given->end())
      return fail(Status(StatusCode::invalidArgument, "input '" + input.name + "' is missing in '" + path + "' (--calibrate)")), false;
    if (Status status = refuseNaN(path, *found); !status.ok())
      return fail(status), false;
    asType(found->array, input.dtype);
    all.push_back(*found);
  }
  auto leading = [](const NamedArray &entry) { return entry.array.dims.empty() ? 0 : entry.array.dims.front(); };
  int64_t count = all.empty() ? 0 : leading(all.front());
  for (const artifact::TensorInfo &input : f32.model.artifact().manifest().inputs)
    if (int64_t fixed; !input.dims.empty() && !llvm::StringRef(input.dims.front().text).getAsInteger(10, fixed) && fixed != 1 && count > 1)
      return fail(Status(StatusCode::unsupported, "input '" + input.name + "' always has " + input.dims.front().text +
                                                      " rows: --budget and --max-drop run one sample of --calibrate at a time, so its first "
                                                      "dimension must be able to be 1")),
             false;
  bool splits = count > 0 && std::all_of(all.begin(), all.end(), [&](const NamedArray &entry) { return leading(entry) == count; });
  for (int64_t i = 0; splits && i < count; ++i) {
    Feed &feed = feeds.emplace_back();
    for (const NamedArray &entry : all)
      feed.push_back({entry.name, sampleOf(entry.array, i)});
  }
  if (!splits)
    feeds.push_back(std::move(all));
  return true;
}

bool BudgetTrial::open() {
  Result<std::unique_ptr<CostModel>> known = costModelOf(command.settings);
  if (!known.ok())
    return fail(known.status()), false;
  model = std::move(*known);
  std::optional<TrialProgram> program = compile({});
  if (!program)
    return false;
  f32 = std::move(*program);
  for (const artifact::TensorInfo &output : f32.model.artifact().manifest().outputs)
    logits |= output.name == "logits" && isFloat(output.dtype);
  if (!readFeeds())
    return false;
  for (const Feed &feed : feeds) {
    std::optional<std::vector<Rows>> rows = rowsOf(f32.model, feed);
    if (!rows)
      return false;
    expected.push_back(std::move(*rows));
  }
  if (expected.front().empty())
    return fail("--budget compares floating-point outputs, and this model has none"), false;
  return true;
}

//===----------------------------------------------------------------------===//
// Divergence
//===----------------------------------------------------------------------===//

static void toLogProbabilities(std::span<float> row) {
  float most = *std::max_element(row.begin(), row.end());
  double sum = 0;
  for (float value : row)
    sum += std::exp(double(value) - most);
  for (float &value : row)
    value -= most + float(std::log(sum));
}

std::optional<std::vector<BudgetTrial::Rows>> BudgetTrial::rowsOf(OpenModel &model, const Feed &feed) {
  Result<std::vector<NamedArray>> outputs = model.run(feed);
  if (!outputs.ok())
    return fail(outputs.status()), std::nullopt;
  std::vector<Rows> result;
  for (size_t i = 0; i < outputs->size(); ++i) {
    const auto &[name, array] = (*outputs)[i];
    if (!isFloat(array.dtype) || (logits && name != "logits") || array.elements() == 0)
      continue;
    Rows &rows = result.emplace_back(Rows{i, array.dims.empty() ? 1 : array.dims.back(), {}});
    rows.values.resize(array.elements());
    for (uint64_t at = 0; at < rows.values.size(); ++at)
      rows.values[at] = float(elementAt(array, at));
    for (size_t at = 0; logits && at < rows.values.size(); at += rows.width)
      toLogProbabilities({rows.values.data() + at, size_t(rows.width)});
  }
  return result;
}

static double kullbackLeibler(const float *actual, const float *expected, int64_t width) {
  double sum = 0;
  for (int64_t i = 0; i < width; ++i)
    sum += std::exp(double(expected[i])) * (double(expected[i]) - actual[i]);
  return sum;
}

static double oneMinusCosine(const float *actual, const float *expected, int64_t width) {
  double product = 0, mine = 0, theirs = 0;
  for (int64_t i = 0; i < width; ++i) {
    product += double(actual[i]) * expected[i];
    mine += double(actual[i]) * actual[i];
    theirs += double(expected[i]) * expected[i];
  }
  if (mine == 0 || theirs == 0)
    return mine == theirs ? 0 : 1;
  return 1 - product / std::sqrt(mine * theirs);
}

double BudgetTrial::divergenceOf(const Feed &feed, const Rows &actual, const Rows &expected) const {
  if (actual.values.size() != expected.values.size())
    return HUGE_VAL;
  size_t count = expected.values.size() / expected.width;
  const Array *mask = nullptr;
  for (const NamedArray &entry : feed)
    if (entry.name == "attention_mask" && entry.array.elements() == count)
      mask = &entry.array;
  double sum = 0, counted = 0;
  for (size_t row = 0; row < count; ++row) {
    if (mask && elementAt(*mask, row) == 0)
      continue;
    const float *mine = actual.values.data() + row * expected.width, *theirs = expected.values.data() + row * expected.width;
    sum += logits ? kullbackLeibler(mine, theirs, expected.width) : oneMinusCosine(mine, theirs, expected.width);
    ++counted;
  }
  return counted > 0 ? sum / counted : 0;
}

std::optional<double> BudgetTrial::divergence(TrialProgram &program, unsigned samples) {
  samples = std::min<unsigned>(samples, feeds.size());
  double sum = 0;
  for (unsigned i = 0; i < samples; ++i) {
    std::optional<std::vector<Rows>> rows = rowsOf(program.model, feeds[i]);
    if (!rows)
      return std::nullopt;
    double error = 0;
    for (size_t output = 0; output < rows->size(); ++output)
      error += divergenceOf(feeds[i], (*rows)[output], expected[i][output]) / double(rows->size());
    sum += error;
  }
  // Rounding alone may give less than nothing, which would read as a gain.
  return std::isfinite(sum) ? std::max(sum / samples, 0.0) : HUGE_VAL;
}

//===----------------------------------------------------------------------===//
// Prices
//===----------------------------------------------------------------------===//

/// The nodes of a step, from its name.
static std::vector<std::string> nodesOf(llvm::StringRef name) {
  llvm::SmallVector<llvm::StringRef> nodes;
  name.split(nodes, " + ");
  return {nodes.begin(), nodes.end()};
}

std::vector<StepTime> stepsOf(const ProgramPrice &price) {
  std::vector<StepTime> steps;
  for (const LaunchPrice &launch : price.launches)
    steps.push_back({nodesOf(launch.name), launch.us, 0});
  return steps;
}

std::vector<int64_t> symbolValues(const artifact::Manifest &manifest,
                                  llvm::ArrayRef<NamedArray> feed) {
  std::vector<int64_t> values(manifest.symbols.size(), 1);
  size_t at = 0;
  for (const artifact::Symbol &symbol : manifest.inputSymbols())
    values[at++] = feed[symbol.input].array.dims[symbol.axis];
  return values;
}

Result<std::unique_ptr<CostModel>> costModelOf(const CompileSettings &settings) {
  Result<MachineRates> rates = measure::calibrateOnce(); // fails where it cannot keep them
  const std::string &kind = settings.costModel;
  return CostModel::named(kind.empty() || kind == "none" ? "trees" : kind,
                          rates.ok() ? *rates : MachineRates::of());
}

//===----------------------------------------------------------------------===//
// Times
//===----------------------------------------------------------------------===//

/// Of one run, memory for the outputs included, but not what the driver does with them.
static Result<double> secondsOf(OpenModel &model, std::span<const NamedArray> feed, std::span<int64_t> stepNanoseconds = {}) {
  std::vector<OutputTensor> outputs(model.artifact().manifest().outputs.size());
  std::vector<InputTensor> inputs = inputTensors(feed);
  RunOptions options;
  options.stepNanoseconds = stepNanoseconds;
  auto start = std::chrono::steady_clock::now();
  Status status = model.session->run(inputs, outputs, options);
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  for (OutputTensor &output : outputs)
    output.release();
  if (!status.ok())
    return status;
  return seconds;
}

std::optional<ProgramPrice> BudgetTrial::priceOf(const PrecisionRequest &request, PrecisionPlan *plan) const {
  const Session &session = *f32.model.session;
  PriceRequest price;
  price.model = model.get();
  price.target = f32.model.artifact().program().targets[session.targetIndex()].name;
  price.sizes = [&](const artifact::Manifest &manifest) -> Result<std::vector<int64_t>> {
    return symbolValues(manifest, feeds.front());
  };
  PrecisionRequest own = request;
  own.carriedOut = plan;
  own.statistics = statistics;
  ToolContext context(command.settings.jobs);
  return priceModelWith(command, price, own, context);
}

std::optional<PricedForm> BudgetTrial::price(const PrecisionRequest &request) const {
  PricedForm form;
  std::optional<ProgramPrice> price = priceOf(request, &form.plan);
  if (!price)
    return std::nullopt;
  form.steps = stepsOf(*price);
  form.steps.push_back({{}, betweenUs, 0});
  return form;
}

std::optional<std::vector<StepTime>> BudgetTrial::stepTimes(TrialProgram &program, const PrecisionRequest &request) {
  std::optional<ProgramPrice> price = priceOf(request, nullptr);
  if (!price)
    return std::nullopt;
  const std::vector<artifact::Step> &steps = program.model.artifact().program().steps;
  std::vector<int64_t> nanoseconds(steps.size());
  std::vector<double> least(steps.size(), HUGE_VAL);
  double leastRun = HUGE_VAL;
  for (int i = 0; i < kStepRuns; ++i) {
    Result<double> run = secondsOf(program.model, feeds.front(), nanoseconds);
    if (!run.ok())
      return fail(run.status()), std::nullopt;
    leastRun = std::min(leastRun, *run * 1e6);
    for (size_t step = 0; step < steps.size(); ++step)
      least[step] = std::min(least[step], double(nanoseconds[step]));
  }
  std::vector<StepTime> result;
  for (size_t step = 0; step < steps.size(); ++step)
    result.push_back({nodesOf(steps[step].name), least[step] * 1e-3, least[step] * 1e-3});
  for (const LaunchPrice &launch : price->launches)
    if (launch.step < result.size())
      result[launch.step].predicted = launch.us;
  double between = std::max(leastRun - std::accumulate(least.begin(), least.end(), 0.0) * 1e-3, 0.0);
  if (&program == &f32)
    betweenUs = between;
  result.push_back({{}, betweenUs, between});
  return result;
}

/// One turn in seconds: the untimed run brings back the caches that the other program took.
static Result<double> turnOf(OpenModel &model, const std::vector<NamedArray> &feed) {
  Result<double> untimed = secondsOf(model, feed);
  if (!untimed.ok())
    return untimed.status();
  std::vector<double> timed;
  for (int run = 0; run < (*untimed < kShortRun ? kShortRuns : 1); ++run) {
    Result<double> seconds = secondsOf(model, feed);
    if (!seconds.ok())
      return seconds.status();
    timed.push_back(*seconds);
  }
  return median(std::move(timed));
}

static std::optional<Latency> latencyOf(OpenModel &program, OpenModel &f32,
                                        const std::vector<NamedArray> &feed) {
  std::vector<double> own, reference, ratios;
  for (int turn = 0; turn < kTurns; ++turn) {
    for (int second : {0, 1}) { // they change places: a busy moment meets either first
      bool isOwn = (turn + second) % 2;
      Result<double> seconds = turnOf(isOwn ? program : f32, feed);
      if (!seconds.ok())
        return fail(seconds.status()), std::nullopt;
      (isOwn ? own : reference).push_back(*seconds * 1e6);
    }
    ratios.push_back(own.back() / reference.back());
  }
  MedianInterval ratio = medianInterval(std::move(ratios));
  return Latency{median(std::move(own)), median(std::move(reference)), ratio.median, ratio.low,
                 ratio.high};
}

std::optional<Latency> BudgetTrial::latency(TrialProgram &program) {
  return latencyOf(program.model, f32.model, feeds.front());
}

std::optional<Latency> BudgetTrial::latencyAnew(const PrecisionRequest &request) const {
  std::optional<TrialProgram> reference = compile({});
  std::optional<TrialProgram> program = reference ? compile(request) : std::nullopt;
  return program ? latencyOf(program->model, reference->model, feeds.front()) : std::nullopt;
}

} // namespace permalloy
