//===- BudgetState.h - what a search for a plan knows so far -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_DRIVER_BUDGETSTATE_H
#define PERMALLOY_LIB_DRIVER_BUDGETSTATE_H

#include "BudgetTrial.h"

#include "permalloy/Search/Evolution.h"

namespace permalloy {

/// One level of a site.
struct BudgetLevel {
  std::string level;
  double us = 0;               ///< of the site's steps
  std::optional<double> error; ///< divergence with this site alone at the level; none: not measured yet
};

/// Operations of one line of a plan.
struct BudgetSite {
  std::string op, kind;
  std::vector<BudgetLevel> levels; ///< the first is f32
};

/// All measurements. As a file it is JSON, and good for the same model, options, inputs and compiler only: `key` says so.
struct BudgetState {
  std::string key;
  double fixedUs = 0; ///< of steps that belong to no site
  std::vector<BudgetSite> sites;
  std::vector<std::string> refused; ///< "w8a8: why", levels that no site has
  /// Of the whole model at one level: what it takes as the sum of its sites, its divergence, in the order of levels tried.
  struct Uniform {
    std::string level;
    double us = 0, error = 0;
  };
  std::vector<Uniform> uniform;
  search::EvolutionState evolution;

  /// Forgets levels of a site that another one beats in time there, and in divergence for the whole model: each would have to be
  /// measured alone. f32 stays.
  void dropDominated();

  search::Sites table() const;
  double f32Us() const;
  /// The plan with a level for each site, and what is known of each. `solver` is that of weights in a format.
  PrecisionPlan planOf(const search::Plan &plan, const std::string &solver) const;

  std::string toJson() const;
  /// Nothing where the text is no state with this key.
  static std::optional<BudgetState> parse(llvm::StringRef text, llvm::StringRef key);
};

/// What the programs of uniform levels say of sites and their costs. The first is f32, without a plan.
struct UniformProgram {
  std::string level;
  PrecisionPlan plan;
  std::vector<StepTime> steps;
};
void addSites(BudgetState &state, llvm::ArrayRef<UniformProgram> programs);

} // namespace permalloy

#endif
