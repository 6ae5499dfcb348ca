//===- BudgetReport.cpp - what a search for a plan says ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "BudgetReport.h"

#include "Report.h"

#include "permalloy/Support/Text.h"

namespace permalloy {

void printLevels(const BudgetTrial &trial, const BudgetState &state) {
  const BudgetState::Uniform &f32 = state.uniform.front();
  llvm::errs() << "levels for the whole model (share of f32's latency as '" << trial.costModel()
               << "' predicts it, the same measured, "
               << (trial.hasLogits() ? "KL divergence" : "1 - cosine") << "):\n";
  Table table("  ");
  for (const BudgetState::Uniform &entry : state.uniform)
    table.row({entry.level, formatNumber(entry.predictedUs / f32.predictedUs) + "x",
               formatNumber(entry.measuredUs / f32.measuredUs) + "x", formatNumber(entry.error)});
  table.print(llvm::errs());
  for (const std::string &reason : state.refused)
    llvm::errs() << "  " << reason << "\n";
}

void printPlan(const BudgetTrial &trial, const BudgetState &state, const JudgedPlan &found) {
  const Latency &measured = found.measured;
  llvm::errs() << "plan: predicted " << formatNumber(found.predictedUs / state.f32Us()) << "x ("
               << formatSeconds(found.predictedUs * 1e-6)
               << "; before scaling by what was measured "
               << formatNumber(found.pricedUs / state.uniform.front().predictedUs)
               << "x), measured " << formatNumber(measured.ratio) << "x ("
               << formatNumber(measured.low) << "x to " << formatNumber(measured.high) << "x; "
               << formatSeconds(measured.us * 1e-6) << "; f32 "
               << formatSeconds(measured.reference * 1e-6) << "); "
               << (trial.hasLogits() ? "KL divergence " : "1 - cosine ")
               << formatNumber(found.error) << " (sum of sites "
               << formatNumber(state.errorOf(found.plan)) << "), drop "
               << formatNumber(100 * trial.dropOf(found.error)) << "%\n";
}

} // namespace permalloy
