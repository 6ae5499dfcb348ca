//===- Calibrate.cpp - `--calibrate` for solvers -----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Calibrate.h"

#include "CalibrationData.h"
#include "ImportModel.h"
#include "Model.h"
#include "Report.h"

#include "permalloy/Artifact/Hash.h"
#include "permalloy/Support/Progress.h"
#include "permalloy/Support/Text.h"
#include "permalloy/Transforms/Calibration.h"

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>

namespace permalloy {

namespace fs = std::filesystem;

/// What the cache may hold; the oldest files go first.
static constexpr uintmax_t kCachedBytes = uintmax_t(4) << 30;

static bool addFile(Hasher128 &hasher, const std::string &path) {
  std::unique_ptr<std::FILE, int (*)(std::FILE *)> file(std::fopen(path.c_str(), "rb"), std::fclose);
  std::vector<char> piece(1 << 20); // rather than mapped: the samples need not fit into memory
  while (size_t count = file ? std::fread(piece.data(), 1, piece.size(), file.get()) : 0)
    hasher.update(piece.data(), count);
  if (!file || std::ferror(file.get()))
    return fail(Status(StatusCode::notFound, "cannot read '" + path + "': " + std::strerror(errno))), false;
  return true;
}

/// Hash of all that the model is: its file and those that hold its weights. Empty after an error.
static std::string modelHash(const CompileCommand &command) {
  ToolContext context(command.settings.jobs);
  mlir::OwningOpRef<mlir::ModuleOp> module = importModel(command.model, command.settings.dims, context.get());
  if (!module)
    return "";
  std::vector<std::string> files = {command.model};
  for (auto weight : module->getOps<tfm::WeightOp>())
    if (auto file = llvm::dyn_cast_if_present<tfm::FileAttr>(weight.getSource().value_or(nullptr)))
      if (std::string path = file.getPath().str(); !llvm::is_contained(files, path))
        files.push_back(path);
  Hasher128 hasher;
  for (const std::string &file : files)
    if (!addFile(hasher, file))
      return "";
  for (const std::string &dim : command.settings.dims)
    hasher.update(dim.data(), dim.size() + 1);
  hasher.update(&command.settings.packPadding, 1);
  return hasher.digest().hex();
}

/// Removes the oldest files of a cache that is too large, but not `keep`.
static void evict(const std::string &folder, const std::string &keep) {
  std::error_code ignored;
  std::vector<std::pair<fs::file_time_type, fs::directory_entry>> files;
  uintmax_t size = 0;
  for (const fs::directory_entry &entry : fs::directory_iterator(folder, ignored)) {
    size += entry.file_size(ignored);
    if (entry.path() != keep)
      files.push_back({entry.last_write_time(ignored), entry});
  }
  std::ranges::sort(files, [](const auto &a, const auto &b) { return a.first < b.first; });
  for (const auto &[time, entry] : files) {
    if (size <= kCachedBytes)
      break;
    size -= std::min(size, entry.file_size(ignored));
    fs::remove(entry.path(), ignored);
  }
}

/// Compiles the model that returns what layers read.
static std::optional<OpenModel> openCalibration(const CompileCommand &command, std::vector<CalibrationValue> &values) {
  Result<TempFolder> folder = TempFolder::create();
  if (!folder.ok())
    return fail(folder.status()), std::nullopt;
  CompileCommand part;
  part.model = command.model;
  part.settings.targets = {"host"};
  part.settings.dims = command.settings.dims;
  part.settings.jobs = command.settings.jobs;
  part.settings.packPadding = command.settings.packPadding;
  part.settings.noCache = command.settings.noCache;
  part.settings.noDatabase = true;
  part.output = folder->file("calibrate.alloy");
  PrecisionRequest request;
  request.calibration = &values;
  ToolContext context(command.settings.jobs);
  if (!compileModelWith(part, /*summary=*/false, request, context))
    return std::nullopt;
  Result<std::optional<OpenModel>> opened = openModel(part.output, part.settings, part.settings.jobs);
  if (!opened.ok())
    return fail(opened.status()), std::nullopt;
  (*opened)->folder = std::move(*folder);
  return std::move(*opened);
}

/// Whether all are numbers: infinity times zero is not.
static bool areFinite(const float *values, int64_t count) {
  float sum = 0;
  for (int64_t i = 0; i < count; ++i)
    sum += values[i] * 0;
  return sum == 0;
}

/// Runs all samples and adds what comes out.
static Status runSamples(const CompileCommand &command, OpenModel &model, CalibrationData &data, StatisticsWriter &writer) {
  Progress progress;
  for (int64_t run = 0; run < data.runs(); ++run) {
    progress.update("calibrate", unsigned(run), unsigned(data.runs()));
    Result<std::vector<NamedArray>> inputs = data.next();
    if (!inputs.ok())
      return inputs.status();
    Result<std::vector<NamedArray>> outputs = model.run(*inputs);
    if (!outputs.ok())
      return outputs.status();
    for (size_t i = 0; i < writer.values().size(); ++i) {
      const Array &array = (*outputs)[i].array;
      int64_t k = writer.values()[i].k;
      if (!areFinite(reinterpret_cast<const float *>(array.data.data()), int64_t(array.elements())))
        return {StatusCode::invalidArgument, "what layer '" + writer.values()[i].layers.front() + "' reads is not finite in run " +
                                                 std::to_string(run) + " of '" + command.settings.calibrate + "' (--calibrate)"};
      writer.add(i, reinterpret_cast<const float *>(array.data.data()), int64_t(array.elements()) / k);
    }
  }
  return {};
}

/// Writes `path`. False after an error, which was reported.
static bool collect(const CompileCommand &command, solvers::Statistics level, const std::string &path,
                    const StatisticsWriter::Origin &origin) {
  auto start = std::chrono::steady_clock::now();
  std::vector<CalibrationValue> values;
  std::optional<OpenModel> model = openCalibration(command, values);
  if (!model)
    return false;
  Result<CalibrationData> data = CalibrationData::open(command.settings.calibrate, model->artifact().manifest());
  if (!data.ok())
    return fail(data.status()), false;
  StatisticsWriter::Origin of = origin;
  of.runs = data->runs();
  Result<std::unique_ptr<StatisticsWriter>> writer = StatisticsWriter::create(path, values, level, of);
  if (!writer.ok())
    return fail(writer.status()), false;
  if (Status status = runSamples(command, *model, *data, **writer); !status.ok())
    return fail(status), false;
  if (Status status = (*writer)->finish(); !status.ok())
    return fail(status), false;
  std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  if (command.settings.verbose)
    llvm::errs() << "calibrated " << formatCount(values.size(), "value") << " on " << formatCount(uint64_t(data->runs()), "run") << " in "
                 << formatSeconds(seconds.count()) << "\n";
  return true;
}

std::optional<StatisticsSource> calibrate(const CompileCommand &command, solvers::Statistics level) {
  const CompileSettings &settings = command.settings;
  StatisticsSource source;
  if (settings.calibrate.empty()) { // as collected before
    source.path = settings.statistics;
    return source;
  }
  StatisticsWriter::Origin origin;
  Hasher128 data;
  origin.model = modelHash(command);
  if (origin.model.empty() || !addFile(data, settings.calibrate))
    return std::nullopt;
  origin.data = data.digest().hex();
  if (!settings.statistics.empty()) {
    source.path = settings.statistics;
    return collect(command, level, source.path, origin) ? std::optional(std::move(source)) : std::nullopt;
  }
  std::string cache = settings.noCache ? "" : cacheFolder("statistics");
  if (cache.empty() || !createFolders(cache).ok()) {
    Result<TempFolder> folder = TempFolder::create();
    if (!folder.ok())
      return fail(folder.status()), std::nullopt;
    source.path = folder->file("statistics");
    source.folder = std::move(*folder);
    return collect(command, level, source.path, origin) ? std::optional(std::move(source)) : std::nullopt;
  }
  std::string key = origin.model + origin.data + (level == solvers::Statistics::gram ? "g" : "c") + PERMALLOY_VERSION;
  source.path = cache + "/" + hash128(key.data(), key.size()).hex() + ".safetensors";
  std::error_code ignored;
  if (fs::exists(source.path, ignored)) {
    fs::last_write_time(source.path, fs::file_time_type::clock::now(), ignored);
    return source;
  }
  if (!collect(command, level, source.path, origin))
    return std::nullopt;
  evict(cache, source.path);
  return source;
}

} // namespace permalloy
