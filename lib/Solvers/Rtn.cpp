//===- Rtn.cpp - rounding to nearest -----------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// `absmax` takes the range of each group as it is, the floor that others are measured against. `rtn` tries clips of it and
// takes the one of least squared error, weighted by the second moments of the inputs where there are any.
//
//===----------------------------------------------------------------------===//

#include "Builtins.h"
#include "Group.h"

using namespace permalloy::solvers;

namespace {

class RoundToNearest : public WeightSolver {
public:
  RoundToNearest(const char *name, FitGroup fit) : solverName(name), fit(fit) {}
  std::string name() const override { return solverName; }
  Statistics needs() const override { return Statistics::none; }
  std::string solve(const Problem &problem, Solution &solution) const override {
    if (!problem.grid)
      return "solver '" + solverName + "' rounds to a grid and prunes nothing";
    roundGroups(problem, solution, fit);
    return {};
  }

private:
  std::string solverName;
  FitGroup fit;
};

} // namespace

std::unique_ptr<WeightSolver> permalloy::solvers::makeAbsmax() {
  return std::make_unique<RoundToNearest>("absmax", [](const Grid &grid, std::span<const float> values, std::span<const float>) {
    return rangeScale(grid, rangeOf(values), 1);
  });
}

std::unique_ptr<WeightSolver> permalloy::solvers::makeRtn() { return std::make_unique<RoundToNearest>("rtn", fitGroup); }
