//===- BudgetSettings.cpp - what a search may choose from --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "BudgetSettings.h"
#include "Budget.h"

#include "permalloy/CostModel/MachineRates.h"
#include "permalloy/CostModel/TuningDatabase.h"
#include "permalloy/Support/Text.h"
#include "permalloy/Transforms/Levels.h"

#include "llvm/Support/Error.h"

#include <cmath>
#include <sys/stat.h>

namespace permalloy {

/// Weights of fewer elements save nothing.
static constexpr int64_t kLeastElements = 1 << 12;

Result<double> parseShare(const std::string &text) {
  llvm::StringRef number = text;
  double scale = number.consume_back("%") ? 0.01 : 1, value = 0;
  if (number.getAsDouble(value) || !(value >= 0) || value * scale > 1)
    return Status(StatusCode::invalidArgument, "'" + text + "' is no share, expected one like 1% or 0.01");
  return value * scale;
}

Result<double> parseBudget(const std::string &text) {
  llvm::StringRef rest = text;
  double scale = 1, value = 0;
  bool known = rest.consume_front("latency=");
  if (rest.consume_back("%"))
    scale = 0.01;
  else
    known &= rest.consume_back("x");
  if (!known || rest.getAsDouble(value) || !(value > 0) || !std::isfinite(value))
    return Status(StatusCode::invalidArgument, "'" + text + "' is no budget, expected latency=0.6x: the share of f32's latency");
  return value * scale;
}

std::vector<std::string> defaultLevels() {
  std::vector<std::string> levels;
  for (const char *level : {"bf16", "w8a8", "bf16+w8a8", "w8", "w4g32", "bf16+w8", "bf16+w4g32", "block50"})
    if (llvm::Expected<Level> parsed = Level::parse(level))
      levels.push_back(level);
    else
      llvm::consumeError(parsed.takeError());
  for (const char *merge : {"merge4", "merge8", "merge16", "merge20..0"})
    levels.push_back(merge);
  return levels;
}

/// Every level compiles the model, so names that nothing takes are found before.
static Status checkLevels(const std::vector<std::string> &levels) {
  for (const std::string &level : levels)
    if (mergeOf(level).empty())
      if (llvm::Expected<Level> parsed = Level::parse(level); !parsed)
        return {StatusCode::invalidArgument,
                "--levels: " + llvm::toString(parsed.takeError()) +
                    "; schedules of tokens are like merge8, merge20..0, prune8"};
  return {};
}

Result<BudgetSettings> readBudgetSettings(const CompileSettings &settings) {
  BudgetSettings result;
  if (!settings.budget.empty()) {
    Result<double> share = parseBudget(settings.budget);
    if (!share.ok())
      return Status(share.status().code(), "--budget: " + share.status().message());
    result.budget = *share;
  }
  if (!settings.maxDrop.empty()) {
    Result<double> share = parseShare(settings.maxDrop);
    if (!share.ok())
      return Status(share.status().code(), "--max-drop: " + share.status().message());
    result.maxDrop = *share;
  }
  if (settings.calibrate.empty())
    return Status(StatusCode::invalidArgument,
                  "--budget and --max-drop measure on inputs: --calibrate FILE.npz names them");
  if (Status known = checkLevels(settings.levels); !known.ok())
    return known;
  result.levels = settings.levels.empty() ? defaultLevels() : settings.levels;
  return result;
}

std::string mergeOf(llvm::StringRef level) {
  llvm::StringRef rest = level;
  bool merges = rest.consume_front("merge"), known = merges || rest.consume_front("prune");
  if (!known || rest.empty() || !llvm::isDigit(rest.front()))
    return "";
  return merges ? rest.str() : level.str();
}

Result<PrecisionRequest> uniformRequest(const std::string &text, const std::string &solver) {
  llvm::Expected<Level> level = Level::parse(text);
  if (!level)
    return Status(StatusCode::invalidArgument, llvm::toString(level.takeError()));
  if (level->precision == kSplitPrecision || level->precision == kTf32Precision)
    return Status(StatusCode::unsupported, "unsupported in a search");
  PrecisionRequest request;
  request.uniform = level->precision;
  if (!level->format.empty())
    request.quantization = QuantizationRequest{level->format, level->format, solver, kLeastElements};
  return request;
}

std::string keyOf(const CompileCommand &command, const std::vector<std::string> &levels) {
  auto stamp = [](const std::string &path) {
    struct stat info = {};
    ::stat(path.c_str(), &info);
    return path + ":" + std::to_string(info.st_size) + ":" + std::to_string(info.st_mtim.tv_sec) + "." + std::to_string(info.st_mtim.tv_nsec);
  };
  const CompileSettings &settings = command.settings;
  std::string database = settings.database.empty() ? TuningDatabase::defaultPath() : settings.database;
  return joined({stamp("/proc/self/exe"), stamp(command.model), stamp(settings.calibrate),
                 stamp(settings.statistics), joined(levels, ","), settings.solver,
                 joined(settings.targets, ","), joined(settings.dims, ","),
                 settings.packPadding ? "packed" : "padded", stamp(settings.costModel),
                 stamp(MachineRates::defaultPath()),
                 settings.noDatabase ? "none" : stamp(database)},
                " ");
}

} // namespace permalloy
