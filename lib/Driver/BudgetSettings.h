//===- BudgetSettings.h - what a search may choose from ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_DRIVER_BUDGETSETTINGS_H
#define PERMALLOY_LIB_DRIVER_BUDGETSETTINGS_H

#include "BudgetTrial.h"

namespace permalloy {

/// What the options of a search ask for.
struct BudgetSettings {
  std::optional<double> budget, maxDrop; ///< share of f32's latency, and of the quality
  std::vector<std::string> levels;       ///< to choose from
};
/// Refuses what is no share, no budget or no level.
Result<BudgetSettings> readBudgetSettings(const CompileSettings &settings);

/// Levels that are tried where none are named, of those that this compiler has.
std::vector<std::string> defaultLevels();

/// The schedule of --merge-tokens in a level like "merge8", "merge20..0" or "prune8"; empty where it is none.
std::string mergeOf(llvm::StringRef level);

/// `text` for all of a model that can have it, heads and small layers too.
Result<PrecisionRequest> uniformRequest(const std::string &text, const std::string &solver);

/// Where a search may go on: the same model, options, inputs and compiler.
std::string keyOf(const CompileCommand &command, const std::vector<std::string> &levels);

} // namespace permalloy

#endif // PERMALLOY_LIB_DRIVER_BUDGETSETTINGS_H
