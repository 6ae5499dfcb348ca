//===- BudgetMeasurement.h - how a search learns what it knows ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_DRIVER_BUDGETMEASUREMENT_H
#define PERMALLOY_LIB_DRIVER_BUDGETMEASUREMENT_H

#include "BudgetState.h"
#include "Calibrate.h"

#include "permalloy/Support/Progress.h"

#include <map>

namespace permalloy {

/// A plan, compiled and measured.
struct JudgedPlan {
  search::Plan plan;
  PrecisionPlan carriedOut;
  /// Of its own program: scaled (BudgetState.h), and as the cost model says.
  double predictedUs = 0, pricedUs = 0;
  Latency measured;       ///< the last measurement
  double error = 0;       ///< divergence over all samples
  bool confirmed = false; ///< whether `measured` is of confirm
};

/// Fills a BudgetState by measuring levels, ways to merge tokens and sites, and measures whole
/// plans made of these.
class BudgetMeasurement {
public:
  BudgetMeasurement(const CompileCommand &command, std::vector<std::string> levels)
      : trial(command), command(command), levels(std::move(levels)) {}

  /// Compiles f32 and reads what an earlier run measured. False after an error, which was reported.
  bool open();
  /// Measures what no earlier run did: all levels and ways to merge for the whole model, and each
  /// site alone. False after an error, which was reported.
  bool measureAll();

  /// The divergence of a plan, compiled, on so many samples. Nothing after an error, which was
  /// reported.
  std::optional<double> errorOf(const search::Plan &plan, unsigned samples);
  std::optional<JudgedPlan> judge(const search::Plan &plan);
  /// Times the plan once more, independently: of several plans, the best one may be the one with
  /// the luckiest measurement. False after an error, which was reported.
  bool confirm(JudgedPlan &found);
  /// What compiles a plan.
  PrecisionRequest requestOf(const search::Plan &plan) const;
  /// Writes the state to --search-state, where there is one.
  void save();

  BudgetTrial trial;
  BudgetState state;
  Progress progress;

private:
  bool measureUniform(std::vector<UniformProgram> &programs);
  bool measureMerges();
  bool measureMerge(const std::string &level, bool &nowhere);
  bool measureSites();

  const CompileCommand &command;
  std::vector<std::string> levels;
  std::map<std::pair<search::Plan, unsigned>, double> known; ///< divergences
  std::optional<StatisticsSource> statistics; ///< what solvers read, as long as the search lasts
};

/// Samples that judge a whole level, and a plan in the last stage of the evolution. More change
/// divergences by little: each sample has many rows.
inline constexpr unsigned kPlanSamples = 64;

} // namespace permalloy

#endif // PERMALLOY_LIB_DRIVER_BUDGETMEASUREMENT_H
