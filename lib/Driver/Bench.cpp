//===- Bench.cpp - `permalloy bench` -----------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Times are taken turn by turn, ours then the peer's, on the same inputs, so that whatever the
// machine does beside us hits both; the ratio is the median of the pairs' ratios. Outputs are
// compared before anything is timed.
//
//===----------------------------------------------------------------------===//
#include "Compare.h"
#include "Inputs.h"
#include "Model.h"
#include "Peer.h"
#include "Report.h"
#include "Statistics.h"

#include "permalloy/Runtime/Gpu.h"
#include "permalloy/Support/Text.h"

#include "llvm/Support/JSON.h"
#include "llvm/Support/MemoryBuffer.h"

#include <chrono>
#include <cstdlib>
#include <thread>

namespace permalloy {

using Clock = std::chrono::steady_clock;

/// Above this, the machine was not quiet enough for the numbers to mean much.
static constexpr double kNoisyVariation = 0.05;
static constexpr unsigned kWarmUp = 5, kLeastRuns = 10, kMostRuns = 10000;

namespace {
/// What was measured on one combination of sizes.
struct Measured {
  std::string shapes;   ///< of the inputs
  bool inState = false; ///< our past lies in a state
  Sizes sizes;
  std::vector<double> ours, theirs; ///< seconds
  double relativeError = 0;         ///< largest over the outputs; only with a peer

  MedianInterval ratio() const {
    std::vector<double> ratios;
    for (size_t i = 0; i < theirs.size(); ++i)
      ratios.push_back(ours[i] / theirs[i]);
    return medianInterval(std::move(ratios));
  }
};

/// Runs the model again and again without giving its outputs back. A model with caches runs on a
/// state that holds the past; each run begins from there again.
class Repeater {
public:
  Repeater(OpenModel &model, std::span<const NamedArray> arrays)
      : session(*model.session), inputs(inputTensors(arrays)),
        outputs(model.artifact().manifest().outputs.size()) {}
  ~Repeater() {
    for (OutputTensor &output : outputs)
      output.release();
  }

  /// Copies the past into a state, where the model has caches.
  Status prepare() {
    const artifact::Manifest &manifest = session.artifact().manifest();
    if (manifest.caches.empty())
      return {};
    const InputTensor &past = inputs[manifest.caches[0].input];
    Result<std::unique_ptr<CacheState>> made = session.createState(past.dims[0]);
    if (!made.ok())
      return made.status();
    state = std::move(*made);
    return session.loadState(*state, inputs);
  }

  /// Seconds of one run, memory for the outputs included, as in the peer's.
  Result<double> run() {
    for (OutputTensor &output : outputs)
      output.release();
    if (state)
      if (Status status = state->truncate(pastRows()); !status.ok())
        return status;
    RunOptions options;
    options.state = state.get();
    Clock::time_point start = Clock::now();
    Status status = session.run(inputs, outputs, options);
    double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    if (!status.ok())
      return status;
    return seconds;
  }

private:
  int64_t pastRows() const {
    const artifact::Manifest &manifest = session.artifact().manifest();
    return inputs[manifest.caches[0].input].dims[artifact::kCacheAxis];
  }

  Session &session;
  std::vector<InputTensor> inputs;
  std::vector<OutputTensor> outputs;
  std::unique_ptr<CacheState> state;
};
} // namespace

/// Whether our outputs are the peer's within the tolerance; the largest relative error.
static Result<double> compareOutputs(OpenModel &model, Peer &peer,
                                     std::span<const NamedArray> inputs,
                                     std::optional<double> tolerance) {
  Result<std::vector<NamedArray>> ours = model.run(inputs);
  if (!ours.ok())
    return ours.status();
  Result<std::vector<NamedArray>> theirs = peer.run();
  if (!theirs.ok())
    return theirs.status();
  if (model.packsPadding()) {
    clearPadding(inputs, *ours);
    clearPadding(inputs, *theirs);
  }
  double worst = 0;
  for (const NamedArray &expected : *theirs)
    for (const NamedArray &actual : *ours) {
      if (actual.name != expected.name)
        continue;
      Difference difference = compareArrays(actual.array, expected.array);
      worst = std::max(worst, difference.relative());
      double usual = std::max(defaultTolerance(actual.array.dtype), productTolerance(model));
      double allowed = tolerance.value_or(usual);
      if (!difference.within(allowed))
        return Status(StatusCode::invalidArgument,
                      "output '" + actual.name + "' differs from onnxruntime's: " +
                          (difference.mismatch.empty()
                               ? formatNumber(difference.relative()) +
                                     " of its largest magnitude, allowed are " +
                                     formatNumber(allowed)
                               : difference.mismatch) +
                          "; `permalloy verify --bisect` finds the node, and nothing was timed");
    }
  return worst;
}

/// Between turns with more than one thread: onnxruntime's workers spin for about 25 ms after a call
/// (its process uses that much CPU time while it is asked for nothing), and would take a core from
/// ours.
static void settle(int threads) {
  if (threads > 1)
    std::this_thread::sleep_for(std::chrono::milliseconds(40));
}

static Status measure(OpenModel &model, Peer *peer, std::span<const NamedArray> inputs,
                      const BenchCommand &command, Measured &measured) {
  Repeater repeater(model, inputs);
  if (Status status = repeater.prepare(); !status.ok())
    return status;
  Clock::time_point start = Clock::now();
  auto elapsed = [&] { return std::chrono::duration<double>(Clock::now() - start).count(); };
  for (unsigned i = 0; i < kWarmUp + kMostRuns; ++i) {
    if (i == kWarmUp)
      start = Clock::now();
    unsigned runs = i < kWarmUp ? 0 : i - kWarmUp;
    if (command.repeats ? runs >= command.repeats
                        : runs >= kLeastRuns && elapsed() > command.seconds)
      break;
    Result<double> ours = repeater.run();
    if (!ours.ok())
      return ours.status();
    settle(peer ? command.threads : 1);
    Result<int64_t> theirs = peer ? peer->time() : Result<int64_t>(int64_t(0));
    if (!theirs.ok())
      return theirs.status();
    settle(peer ? command.threads : 1);
    if (i < kWarmUp)
      continue;
    measured.ours.push_back(*ours);
    if (peer)
      measured.theirs.push_back(static_cast<double>(*theirs) * 1e-9);
  }
  return {};
}

//===-- Output ------------------------------------------------------------===//

static std::string cpuModel() {
  auto file = llvm::MemoryBuffer::getFileAsStream("/proc/cpuinfo");
  if (!file)
    return "unknown CPU";
  llvm::StringRef text = (*file)->getBuffer();
  size_t at = text.find("model name");
  if (at == llvm::StringRef::npos)
    return "unknown CPU";
  return text.substr(at).split('\n').first.split(':').second.trim().str();
}

/// What the models ran on.
static std::string machineOf(const BenchCommand &command) {
  Result<int> number = parseDevice(command.device);
  if (!number.ok() || *number == kHostMemory)
    return cpuModel();
  Result<GpuInfo> gpu = findGpu(*number);
  return gpu.ok() ? gpu->text() : command.device;
}

static void printRow(Table &table, const std::string &who, const std::vector<double> &times) {
  Summary summary = summarize(times);
  table.row({who, formatSeconds(summary.median), formatSeconds(summary.minimum),
             formatSeconds(summary.p90), formatSeconds(summary.p99),
             formatNumber(100 * summary.variation, 2) + " %"});
}

static void printMeasured(const Measured &measured, const std::string &peerName) {
  llvm::outs() << measured.shapes << (measured.inState ? ", past in a state, " : ", ")
               << formatCount(measured.ours.size(), measured.theirs.empty() ? "run" : "pair")
               << "\n";
  Table table("  ");
  table.alignRight({1, 2, 3, 4, 5});
  table.row({"", "median", "min", "p90", "p99", "variation"});
  printRow(table, "permalloy", measured.ours);
  if (!measured.theirs.empty())
    printRow(table, peerName, measured.theirs);
  table.print(llvm::outs());
  if (!measured.theirs.empty()) {
    MedianInterval ratio = measured.ratio();
    llvm::outs() << "  permalloy takes " << formatNumber(ratio.median) << "x of " << peerName
                 << "'s time (95% interval " << formatNumber(ratio.low) << " to "
                 << formatNumber(ratio.high) << "), outputs within "
                 << formatNumber(measured.relativeError, 2) << " of their largest magnitude\n";
  }
  for (const std::vector<double> *times : {&measured.ours, &measured.theirs})
    if (double variation = summarize(*times).variation; variation > kNoisyVariation)
      warn((times == &measured.ours ? "permalloy" : peerName) + "'s times vary by " +
           formatNumber(100 * variation, 2) + " %: the machine is not quiet; use more --seconds");
}

static llvm::json::Object timesJson(const std::vector<double> &times) {
  Summary summary = summarize(times);
  return llvm::json::Object{{"median_s", summary.median},
                            {"min_s", summary.minimum},
                            {"p90_s", summary.p90},
                            {"p99_s", summary.p99},
                            {"mean_s", summary.mean},
                            {"coefficient_of_variation", summary.variation},
                            {"runs", static_cast<int64_t>(times.size())}};
}

static llvm::json::Object measuredJson(const Measured &measured) {
  llvm::json::Object sizes, object;
  for (const auto &[name, value] : measured.sizes)
    sizes[name] = value;
  object["dimensions"] = std::move(sizes);
  object["inputs"] = measured.shapes;
  if (measured.inState)
    object["form"] = "state";
  object["permalloy"] = timesJson(measured.ours);
  if (!measured.theirs.empty()) {
    MedianInterval ratio = measured.ratio();
    object["peer"] = timesJson(measured.theirs);
    object["ratio"] = llvm::json::Object{
        {"median", ratio.median}, {"low_95", ratio.low}, {"high_95", ratio.high}};
    object["relative_error"] = measured.relativeError;
  }
  return object;
}

/// What was measured on one model.
struct ModelResults {
  std::string model, target;
  double compileSeconds = 0;
  std::vector<Measured> rows;
};

static void printText(const BenchCommand &command, const std::string &peerName,
                      const std::vector<ModelResults> &models) {
  llvm::outs() << machineOf(command) << ", "
               << formatCount(static_cast<uint64_t>(command.threads), "thread") << ", permalloy "
               << PERMALLOY_VERSION << " " << command.settings.precision << " "
               << models.front().target << (peerName.empty() ? "" : ", " + peerName + " CPU f32")
               << "\n";
  for (const ModelResults &model : models) {
    if (models.size() > 1)
      llvm::outs() << model.model << "\n";
    for (const Measured &measured : model.rows)
      printMeasured(measured, command.against);
  }
}

static void printJson(const BenchCommand &command, const std::string &peerName,
                      const std::vector<ModelResults> &models) {
  llvm::json::Array results;
  for (const ModelResults &model : models)
    for (const Measured &measured : model.rows) {
      llvm::json::Object row = measuredJson(measured);
      row["model"] = model.model;
      row["compile_s"] = model.compileSeconds;
      row["target"] = model.target;
      results.push_back(std::move(row));
    }
  llvm::json::OStream json(llvm::outs(), 2);
  json.value(llvm::json::Object{{"machine", machineOf(command)},
                                {"threads", command.threads},
                                {"permalloy", PERMALLOY_VERSION},
                                {"precision", command.settings.precision},
                                {"peer", peerName},
                                {"results", std::move(results)}});
  llvm::outs() << "\n";
}

//===-- The command -------------------------------------------------------===//

static Result<Measured> benchOne(OpenModel &model, Peer *peer, const BenchCommand &command,
                                 const Sizes &sizes) {
  InputSettings settings = command.inputs;
  settings.random = true;
  Result<std::vector<NamedArray>> inputs = makeInputs(model.artifact(), settings, sizes);
  if (!inputs.ok())
    return inputs.status();
  Measured measured;
  measured.sizes = sizes;
  measured.shapes = shapesText(*inputs);
  measured.inState = !model.artifact().manifest().caches.empty();
  if (peer) {
    if (Status status = peer->feed(*inputs); !status.ok())
      return status;
    Result<double> error = compareOutputs(model, *peer, *inputs, command.tolerance);
    if (!error.ok())
      return error.status();
    measured.relativeError = *error;
  }
  if (Status status = measure(model, peer, *inputs, command, measured); !status.ok())
    return status;
  return measured;
}

namespace {
/// A model to time and, where it is compiled already, its artifact.
struct Subject {
  std::string model, artifact;
};
} // namespace

static Result<std::vector<Subject>> subjectsOf(const BenchCommand &command) {
  std::vector<Subject> subjects;
  for (const std::string &file : command.files) {
    if (!isArtifact(file))
      subjects.push_back({file, ""});
    else if (!subjects.empty() && subjects.back().artifact.empty())
      subjects.back().artifact = file;
    else if (command.against.empty())
      subjects.push_back({file, file});
    else
      return Status(StatusCode::invalidArgument,
                    "--against " + command.against + " needs the .onnx model that '" + file +
                        "' was compiled from; write: permalloy bench MODEL.onnx " + file);
  }
  return subjects;
}

/// Times one model at all sizes. Nothing when the compiler failed, which it has reported itself.
static Result<std::optional<ModelResults>> benchModel(const Subject &subject, Peer *peer,
                                                      const BenchCommand &command,
                                                      std::span<const Sizes> combinations) {
  if (peer)
    if (Status status = peer->load(subject.model, command.threads); !status.ok())
      return status;
  Result<std::optional<OpenModel>> opened =
      openModel(subject.artifact.empty() ? subject.model : subject.artifact, command.settings,
                command.threads, command.device);
  if (!opened.ok())
    return opened.status();
  if (!*opened)
    return std::optional<ModelResults>();
  OpenModel &model = **opened;
  std::string target = model.session->target();
  ModelResults results{subject.model, target, model.compileSeconds, {}};
  for (const Sizes &sizes : combinations) {
    Result<Measured> measured = benchOne(model, peer, command, sizes);
    if (!measured.ok())
      return measured.status();
    results.rows.push_back(std::move(*measured));
  }
  return std::optional<ModelResults>(std::move(results));
}

int runBench(const BenchCommand &command) {
  Result<std::vector<Sizes>> combinations = parseSizes(command.inputs.sizes);
  if (!combinations.ok())
    return fail(combinations.status());
  Result<std::vector<Subject>> subjects = subjectsOf(command);
  if (!subjects.ok())
    return fail(subjects.status());
  std::optional<Peer> peer;
  if (!command.against.empty()) {
    Result<Peer> started = Peer::start();
    if (!started.ok())
      return fail(started.status());
    peer.emplace(std::move(*started));
  }
  std::vector<ModelResults> models;
  for (const Subject &subject : *subjects) {
    Result<std::optional<ModelResults>> results =
        benchModel(subject, peer ? &*peer : nullptr, command, *combinations);
    if (!results.ok())
      return fail(results.status());
    if (!*results)
      return 1;
    models.push_back(std::move(**results));
  }
  std::string peerName = peer ? command.against + " " + peer->version() : "";
  if (command.json)
    printJson(command, peerName, models);
  else
    printText(command, peerName, models);
  return 0;
}

} // namespace permalloy
