//===- BudgetState.h - what a search for a plan knows so far -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Costs are what the cost model predicts, scaled by what the whole model measured. For each level there is one factor for
// each kind of site, and one for the steps that no site has:
//
//   factor(level, kind) = sum of measured / sum of predicted, over the steps of the sites of this kind, all at the level
//
// so that costs of a whole model at one level add up to what was measured, and the model says how they divide. Merging tokens
// makes all later layers smaller, which is no sum over sites: for each way to merge the same sites are priced anew, and
// scaled by how f32 with these merges was measured, relative to f32 without.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_LIB_DRIVER_BUDGETSTATE_H
#define PERMALLOY_LIB_DRIVER_BUDGETSTATE_H

#include "BudgetTrial.h"

#include "permalloy/Search/DynamicProgram.h"
#include "permalloy/Search/Evolution.h"

#include <map>

namespace permalloy {

/// The name of no merges at all.
inline constexpr llvm::StringLiteral kNoMerge = "merge0";

/// One level of a site.
struct BudgetLevel {
  std::string level;
  std::string from;            ///< what the whole model was asked for when the site had this level: "bf16+w8" may leave a site bf16
  std::vector<double> us;      ///< of the site's steps, for each entry of BudgetState::merges
  std::optional<double> error; ///< divergence with this site alone at the level; none: not measured yet
  std::string solver = {};     ///< of the weight's format, as the whole model had it: tables have none that needs a calibration
};

/// Operations of one line of a plan.
struct BudgetSite {
  std::string op, kind;
  std::vector<BudgetLevel> levels; ///< the first is f32
};

/// By kind of site; "" is what no site has.
using Factors = std::map<std::string, double>;

/// One way to merge tokens.
struct BudgetMerge {
  std::string level = kNoMerge.str(); ///< as in --levels: "merge8", "merge20..0", "prune8"
  double fixedUs = 0;                 ///< of steps that belong to no site
  double error = 0;                   ///< divergence of f32 with it
  Factors scale = {};                 ///< of factors, relative to those without merges
};

/// What the programs of uniform levels say of sites and their costs. The first is f32, without a plan.
struct UniformProgram {
  std::string level;
  PrecisionPlan plan;
  std::vector<StepTime> steps;
};

/// All measurements. As a file it is JSON, and good for the same model, options, inputs and compiler only: `key` says so.
///
/// A search::Plan has a level for each site, and behind them one of `merges`.
struct BudgetState {
  std::string key;
  std::vector<BudgetSite> sites;
  std::vector<BudgetMerge> merges;  ///< the first is none
  std::map<std::string, Factors> factors; ///< by what the whole model was asked for
  std::vector<std::string> refused; ///< "w8a8: why", levels that no site has
  /// Of the whole model at one level, in the order of levels tried: sums over its steps, and its divergence.
  struct Uniform {
    std::string level;
    double predictedUs = 0, measuredUs = 0, error = 0;
  };
  std::vector<Uniform> uniform;
  search::EvolutionState evolution;

  /// Sites, their costs and factors from measured programs.
  void addSites(llvm::ArrayRef<UniformProgram> programs);
  /// Another way to merge: what f32 with it takes, measured, and the other levels with it, priced.
  void addMerge(BudgetMerge merge, const UniformProgram &f32, llvm::ArrayRef<UniformProgram> levels);
  /// Forgets levels of a site that another one beats in time there, and in divergence for the whole model: each would have to be
  /// measured alone. f32 stays.
  void dropDominated();

  /// Sites with one way to merge.
  search::Sites table(size_t merge) const;
  /// All choices: sites and behind them the ways to merge. Costs are good for their order only.
  search::Sites space() const;
  double costOf(const search::Plan &plan) const;
  /// Sum over sites and merges.
  double errorOf(const search::Plan &plan) const;
  /// Plans that no other with the same merges beats, of all merges, by rising cost and without those that any other beats;
  /// merges of no finite divergence left out.
  Result<std::vector<search::Allocation>> frontier() const;
  /// For each way to merge, of a finite divergence, the best plan within the budget, best first; empty where nothing is.
  Result<std::vector<search::Allocation>> within(double budgetUs) const;
  double f32Us() const;
  /// What a plan's own program takes: its prices, scaled; steps of no site by the mean of the sites' factors for these.
  double scaled(const search::Plan &plan, llvm::ArrayRef<StepTime> steps) const;
  /// The plan with a level for each site, and what is known of each.
  PrecisionPlan planOf(const search::Plan &plan) const;

  std::string toJson() const;
  /// Nothing where the text is no state with this key.
  static std::optional<BudgetState> parse(llvm::StringRef text, llvm::StringRef key);

private:
  double factorOf(const std::string &from, const std::string &kind, size_t merge) const;
  std::vector<double> scaledCosts(const UniformProgram &program, size_t merge) const;
};

} // namespace permalloy

#endif
