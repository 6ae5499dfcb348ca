//===- Registry.cpp - solvers by name ----------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Builtins.h"

#include <cmath>
#include <map>

using namespace permalloy::solvers;

using Solvers = std::map<std::string, std::unique_ptr<WeightSolver>, std::less<>>;

static Solvers &registry() {
  static Solvers solvers = [] {
    Solvers result;
    for (auto make : kBuiltins) {
      std::unique_ptr<WeightSolver> solver = make();
      std::string name = solver->name();
      result[name] = std::move(solver);
    }
    return result;
  }();
  return solvers;
}

void permalloy::solvers::registerSolver(std::unique_ptr<WeightSolver> solver) {
  std::string name = solver->name();
  registry()[name] = std::move(solver);
}

const WeightSolver *permalloy::solvers::findSolver(std::string_view name) {
  auto it = registry().find(name);
  return it == registry().end() ? nullptr : it->second.get();
}

std::vector<std::string> permalloy::solvers::solverNames() {
  std::vector<std::string> names;
  for (auto &entry : registry())
    names.push_back(entry.first);
  return names;
}

static std::string joined(const std::vector<std::string> &names) {
  std::string text;
  for (const std::string &name : names)
    text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::string permalloy::solvers::solve(std::string_view name, const Problem &problem, Solution &solution) {
  const WeightSolver *solver = findSolver(name);
  if (!solver)
    return "no solver '" + std::string(name) + "'; there are " + joined(solverNames());
  if (solver->needs() == Statistics::gram && problem.gram.empty())
    return "solver '" + std::string(name) + "' needs the gram matrix of the layer's inputs: calibrate";
  if (solver->needs() == Statistics::channel && problem.second.empty() && problem.gram.empty())
    return "solver '" + std::string(name) + "' needs second moments of the layer's inputs: calibrate";
  for (size_t i = 0; i < problem.weight.size(); ++i)
    if (!std::isfinite(problem.weight[i]))
      return "element [" + std::to_string(i / problem.n) + ", " + std::to_string(i % problem.n) + "] of the weight is " +
             std::to_string(problem.weight[i]) + "; only finite numbers can be quantized or pruned";
  return solver->solve(problem, solution);
}
