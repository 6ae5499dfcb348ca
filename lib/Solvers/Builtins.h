//===- Builtins.h - the solvers of the product -------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_SOLVERS_BUILTINS_H
#define PERMALLOY_LIB_SOLVERS_BUILTINS_H

#include "permalloy/Solvers/WeightSolver.h"

namespace permalloy::solvers {

std::unique_ptr<WeightSolver> makeAbsmax();
std::unique_ptr<WeightSolver> makeGptq();
std::unique_ptr<WeightSolver> makeGptqActOrder();
std::unique_ptr<WeightSolver> makeObs();
std::unique_ptr<WeightSolver> makeMagnitude();
std::unique_ptr<WeightSolver> makeRtn();

/// One line for each solver.
inline constexpr std::unique_ptr<WeightSolver> (*kBuiltins[])() = {
    makeAbsmax,
    makeGptq,
    makeGptqActOrder,
    makeObs,
    makeMagnitude,
    makeRtn,
};

} // namespace permalloy::solvers

#endif
