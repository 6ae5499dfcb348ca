//===- Budget.h - `--budget latency=0.6x --max-drop 1%` ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Finds a level for each site (linear layer, attention, mixture of experts) and how many tokens to
// keep, by measurements on calibration inputs (BudgetTrial.h says what divergence and latency are):
//
//   1. Every level is compiled for the whole model. That says which sites it may have. The cost
//      model prices each step, scaled by what the whole model measured (BudgetState.h); the steps
//      of a site's nodes are its cost, what no site accounts for is shared by the sites that
//      changed. f32 with each way to merge tokens is measured likewise, and the levels with it are
//      priced.
//   2. Each site alone at each of its levels gives its divergence.
//   3. Dynamic programming (Search/DynamicProgram.h) takes the plan of least summed divergence
//      within the budget, for each way to merge tokens; the best of some, measured, is gone on
//      with. It is timed in turns with f32, and the budget of the search corrected until it uses
//      the budget.
//   4. Evolution (Search/Evolution.h) goes on from there with the divergence of whole plans,
//      compiled and run, for --search-minutes.
//   5. The plan is compiled and timed again, and what is chosen once more, independently: the plan
//      that looks best of several is likely to be one that was measured too fast. Where that does
//      not show it within the budget, the budget of the search is tightened and 3 repeated; in the
//      end the best plan is taken that it does show within.
//
// With --max-drop alone 3 to 5 become: the cheapest plan of those that no other beats whose
// measured drop is within the limit, and f32 where neither that plan nor some dearer ones are
// measured to be faster.
//
// All measurements go into the state file, from which the same command goes on. Ctrl-C ends the
// step at hand: what was found by then is compiled.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_LIB_DRIVER_BUDGET_H
#define PERMALLOY_LIB_DRIVER_BUDGET_H

#include "CompileModel.h"

#include "permalloy/Artifact/Status.h"

namespace permalloy {

/// What a search found.
struct SearchedPlan {
  PrecisionPlan plan;
  std::string mergeTokens; ///< as --merge-tokens; empty: none
};

/// The plan for `command.model` under its settings; nothing after an error, which was reported.
std::optional<SearchedPlan> searchPlan(const CompileCommand &command);

/// The share of f32's latency in "latency=0.6x", "latency=60%".
Result<double> parseBudget(const std::string &text);
/// "1%" or "0.01".
Result<double> parseShare(const std::string &text);

} // namespace permalloy

#endif
