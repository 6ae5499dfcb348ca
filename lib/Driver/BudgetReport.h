//===- BudgetReport.h - what a search for a plan says ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_DRIVER_BUDGETREPORT_H
#define PERMALLOY_LIB_DRIVER_BUDGETREPORT_H

#include "BudgetMeasurement.h"

namespace permalloy {

/// Every level for the whole model, and why some are not among the choices.
void printLevels(const BudgetTrial &trial, const BudgetState &state);
/// One line: predictions, measured latency and divergence.
void printPlan(const BudgetTrial &trial, const BudgetState &state, const JudgedPlan &found);

} // namespace permalloy

#endif // PERMALLOY_LIB_DRIVER_BUDGETREPORT_H
