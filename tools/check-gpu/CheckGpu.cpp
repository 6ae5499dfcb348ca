//===- CheckGpu.cpp - compiled models on a GPU: numbers, leaks, times -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Runs what scripts/pack-gpu wrote on a machine that has a GPU and nothing of the compiler; scripts/check-gpu starts it. Exit codes:
// 0 all is well, 1 something is wrong, 2 there is nothing to check on (no driver, no pack).
//
//===----------------------------------------------------------------------===//
#include "Device.h"
#include "Model.h"
#include "Tensors.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>

using namespace permalloy::checkgpu;

/// Free memory may differ by that much: other processes use the device, too.
static constexpr double kLeakBytes = 1 << 20;
static constexpr double kSecondsPerTiming = 0.5;

namespace {
struct Options {
  std::string pack, json;
  int device = 0, runs = 1000;
};

/// A line of the table and of the JSON form.
struct Row {
  Row(std::string model, std::string what, double limit = NAN) : model(std::move(model)), what(std::move(what)), limit(limit) {}

  std::string model, what, error;
  double value = NAN, limit; ///< of a check: its metric and bound; of a leak: bytes
  double us = NAN, runUs = NAN, teraflops = NAN, gbps = NAN, share = NAN, peerUs = NAN;
  double graphs = NAN, nodesSet = NAN; ///< of a check: runs as one launch, nodes set anew
  std::string note;
  bool isRight = false;
};

class Checker {
public:
  Checker(const Options &options, const Pack &pack, const Device &device, const permalloy_gpu_info &info)
      : options_(options), pack_(pack), device_(device), info_(info) {}

  void run();
  void print() const;
  bool writeJson(const std::string &path) const;
  bool isRight() const;

private:
  void check(const Case &entry, const Check &check);
  void leaks(const Case &entry);
  void time(const Case &entry, const Timing &timing);
  std::string open(Model &model, const Case &entry) const { return model.open(pack_.folder + "/" + entry.artifact, "cuda:" + std::to_string(options_.device)); }
  std::string load(Model &model, const Check &check) const;
  double peak(const std::string &unit) const;

  const Options &options_;
  const Pack &pack_;
  const Device &device_;
  const permalloy_gpu_info &info_;
  std::vector<Row> rows_;
};
} // namespace

std::string Checker::load(Model &model, const Check &check) const {
  for (const File &input : check.inputs) {
    Array array;
    std::string error;
    if (!readNpy(pack_.folder + "/" + input.path, array, error))
      return error;
    if (error = model.addInput(input.name, array.dims, std::move(array.bytes)); !error.empty())
      return error;
  }
  return "";
}

void Checker::check(const Case &entry, const Check &check) {
  Row row(entry.name, check.metric, check.limit);
  Model model;
  row.error = open(model, entry);
  if (row.error.empty())
    row.error = load(model, check);
  bool isCosine = check.metric == "cosine";
  std::vector<std::string> names;
  if (row.error.empty())
    names = model.outputNames();
  size_t index = 0, compared = 0;
  std::string wrong;
  std::vector<std::vector<char>> bits;
  auto compare = [&](const permalloy_tensor &output) {
    const auto *bytes = static_cast<const char *>(output.data);
    bits.emplace_back(bytes, bytes + (output.strided ? 0 : bytesOf(output)));
    const std::string &name = names[index++];
    for (const File &expected : check.outputs) {
      if (expected.name != name)
        continue;
      Array array;
      if (!readNpy(pack_.folder + "/" + expected.path, array, wrong))
        return;
      double found = (isCosine ? cosine : relativeError)(toNumbers(output), toNumbers(array));
      bool isWorse = std::isnan(row.value) || std::isnan(found) || (isCosine ? found < row.value : found > row.value);
      row.value = compared++ == 0 || (isWorse && !std::isnan(row.value)) ? found : row.value;
    }
  };
  if (row.error.empty())
    row.error = model.run(compare);
  if (row.error.empty())
    row.error = wrong;
  if (row.error.empty())
    row.error = model.repeat(options_.device, bits);
  Graphs graphs = row.error.empty() ? model.graphs() : Graphs();
  if (row.error.empty() && model.repeatsAsGraph() && graphs.launches == 0)
    row.error = "no run was a graph";
  if (row.error.empty() && compared != check.outputs.size())
    row.error = "an expected output is not the model's";
  if (row.error.empty() && std::isnan(row.value))
    row.error = "an output is no number, or of another size";
  row.isRight = row.error.empty() && (isCosine ? row.value >= check.limit : row.value <= check.limit);
  if (row.error.empty()) {
    row.note = model.target() + ", " + std::to_string(graphs.launches) + " graphs, " + std::to_string(graphs.nodesSet) + " nodes set";
    row.graphs = double(graphs.launches), row.nodesSet = double(graphs.nodesSet);
  }
  rows_.push_back(row);
}

/// Runs of one session, and sessions that come and go.
void Checker::leaks(const Case &entry) {
  Row row(entry.name, std::to_string(options_.runs) + " runs", kLeakBytes);
  auto warm = [&](Model &model) {
    std::string error = open(model, entry);
    if (error.empty())
      error = load(model, entry.checks.front());
    for (int i = 0; i < 3 && error.empty(); ++i)
      error = model.run();
    return error;
  };
  Model model;
  row.error = warm(model);
  size_t before = device_.freeBytes();
  for (int i = 0; i < options_.runs && row.error.empty(); ++i)
    row.error = model.run();
  for (int i = 0; i < options_.runs / 100 && row.error.empty(); ++i) {
    Model other;
    row.error = warm(other);
  }
  row.value = double(before) - double(device_.freeBytes());
  row.isRight = row.error.empty() && row.value <= kLeakBytes;
  rows_.push_back(row);
}

double Checker::peak(const std::string &unit) const {
  auto device = pack_.peaks.find(10 * info_.major + info_.minor);
  if (device == pack_.peaks.end() || !device->second.count(unit))
    return NAN;
  return device->second.at(unit);
}

void Checker::time(const Case &entry, const Timing &timing) {
  Row row(entry.name, timing.label);
  Model model;
  Times times;
  row.error = open(model, entry);
  for (const Made &made : timing.inputs)
    if (row.error.empty())
      row.error = model.addInput(made.name, made.dims, makeBytes(made, model.inputType(made.name)));
  if (row.error.empty())
    row.error = model.time(options_.device, kSecondsPerTiming, times);
  row.isRight = row.error.empty();
  if (row.isRight) {
    row.us = times.steps, row.runUs = times.run;
    row.teraflops = timing.flops / times.steps / 1e6, row.gbps = timing.bytes / times.steps / 1e3;
    row.share = std::max(row.teraflops * 1e3 / peak(timing.unit), row.gbps / peak("hbm"));
    row.note = model.target();
  }
  if (row.isRight && timing.product.size() == 3)
    row.peerUs = device_.cublasLtUs(timing.product[0], timing.product[1], timing.product[2], row.note);
  if (row.peerUs < 0)
    row.peerUs = NAN;
  rows_.push_back(row);
}

void Checker::run() {
  for (const Case &entry : pack_.cases) {
    for (const Check &one : entry.checks)
      check(entry, one);
    if (!entry.checks.empty() && entry.timings.empty())
      leaks(entry);
    for (const Timing &timing : entry.timings)
      time(entry, timing);
  }
}

bool Checker::isRight() const {
  for (const Row &row : rows_)
    if (!row.isRight)
      return false;
  return true;
}

static std::string cell(double value, const char *format, double scale = 1) {
  char text[64] = "";
  if (!std::isnan(value))
    std::snprintf(text, sizeof text, format, value * scale);
  return text;
}

void Checker::print() const {
  std::printf("%-24s %-28s %12s %10s %10s %10s %10s %8s %10s  %s\n", "model", "what", "found", "bound", "us", "us a run", "TFLOP/s", "GB/s",
              "of peak", "");
  for (const Row &row : rows_)
    std::printf("%-24s %-28s %12s %10s %10s %10s %10s %8s %10s  %s%s%s%s\n", row.model.c_str(), row.what.c_str(), cell(row.value, "%.7g").c_str(),
                cell(row.limit, "%.4g").c_str(), cell(row.us, "%.1f").c_str(), cell(row.runUs, "%.1f").c_str(), cell(row.teraflops, "%.1f").c_str(),
                cell(row.gbps, "%.0f").c_str(), cell(row.share, "%.0f %%", 100).c_str(), row.isRight ? "" : "WRONG ", row.error.c_str(), row.note.c_str(),
                std::isnan(row.peerUs) ? "" : (", cuBLASLt " + cell(row.peerUs, "%.1f") + " us, " + cell(row.peerUs / row.us, "%.0f %%", 100) + " of it").c_str());
}

static std::string quoted(const std::string &text) {
  std::string result = "\"";
  for (char c : text)
    if (c == '"' || c == '\\')
      result += '\\', result += c;
    else
      result += static_cast<unsigned char>(c) < 32 ? ' ' : c;
  return result + "\"";
}

bool Checker::writeJson(const std::string &path) const {
  std::FILE *file = std::fopen(path.c_str(), "w");
  if (!file)
    return false;
  char date[32];
  std::time_t now = std::time(nullptr);
  std::strftime(date, sizeof date, "%Y-%m-%d", std::gmtime(&now));
  std::fprintf(file, "{\"device\": %s, \"capability\": \"%d.%d\", \"driver\": \"CUDA %d.%d\", \"date\": \"%s\", \"commit\": %s, \"rows\": [\n",
               quoted(info_.name).c_str(), info_.major, info_.minor, device_.version() / 1000, device_.version() % 1000 / 10, date,
               quoted(pack_.commit).c_str());
  for (size_t i = 0; i < rows_.size(); ++i) {
    const Row &row = rows_[i];
    std::fprintf(file, " {\"model\": %s, \"what\": %s, \"ok\": %s", quoted(row.model).c_str(), quoted(row.what).c_str(), row.isRight ? "true" : "false");
    for (auto [name, value] : {std::pair("value", row.value), {"limit", row.limit}, {"us", row.us}, {"run_us", row.runUs},
                               {"tflops", row.teraflops}, {"gbps", row.gbps}, {"share_of_peak", row.share}, {"cublaslt_us", row.peerUs}, {"graphs", row.graphs}, {"nodes_set", row.nodesSet}})
      if (std::isfinite(value))
        std::fprintf(file, ", \"%s\": %.9g", name, value);
    for (auto [name, text] : {std::pair("error", row.error), {"note", row.note}})
      if (!text.empty())
        std::fprintf(file, ", \"%s\": %s", name, quoted(text).c_str());
    std::fprintf(file, "}%s\n", i + 1 < rows_.size() ? "," : "");
  }
  std::fprintf(file, "]}\n");
  return std::fclose(file) == 0;
}

static int fail(const std::string &message) {
  std::fprintf(stderr, "check_gpu: %s\n", message.c_str());
  return 2;
}

static bool parse(int argc, char **argv, Options &options) {
  for (int i = 1; i < argc; ++i) {
    bool hasValue = i + 1 < argc;
    if (std::strcmp(argv[i], "--json") == 0 && hasValue)
      options.json = argv[++i];
    else if (std::strcmp(argv[i], "--device") == 0 && hasValue)
      options.device = std::atoi(argv[++i]);
    else if (std::strcmp(argv[i], "--runs") == 0 && hasValue)
      options.runs = std::atoi(argv[++i]);
    else if (argv[i][0] != '-' && options.pack.empty())
      options.pack = argv[i];
    else
      return false;
  }
  return !options.pack.empty();
}

int main(int argc, char **argv) {
  Options options;
  if (!parse(argc, argv, options))
    return fail("usage: check_gpu PACK [--device N] [--runs N] [--json FILE]");
  Pack pack;
  Device device;
  std::string error;
  if (!pack.read(options.pack, error))
    return fail(error);
  size_t count = 0;
  permalloy_gpu_info info = {};
  info.struct_size = sizeof info;
  if (error = take(permalloy_gpu_count(&count)); !error.empty())
    return fail(error);
  if (error = take(permalloy_gpu(static_cast<size_t>(options.device), &info)); !error.empty())
    return fail(error);
  if (!device.open(options.device, error))
    return fail(error);
  std::printf("%s, compute capability %d.%d, driver for CUDA %d.%d, permalloy %s\n", info.name, info.major, info.minor, device.version() / 1000,
              device.version() % 1000 / 10, pack.commit.c_str());
  Checker checker(options, pack, device, info);
  checker.run();
  checker.print();
  if (!options.json.empty() && !checker.writeJson(options.json))
    return fail("'" + options.json + "' cannot be written");
  return checker.isRight() ? 0 : 1;
}
