//===- Inputs.h - inputs for interpreted functions ---------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef PERMALLOY_REFERENCE_INPUTS_H
#define PERMALLOY_REFERENCE_INPUTS_H

#include "permalloy/Reference/Interpreter.h"

namespace permalloy::reference {

/// On a function argument, `[lo, hi]`: what random inputs lie in (hi excluded). Integers default to
/// [0, 4).
inline constexpr llvm::StringLiteral kTestRangeAttr = "tfm.test_range";

/// Reads `batch=2,seq=5`. On failure `error` says what is wrong with the text.
llvm::FailureOr<Symbols> parseSizes(llvm::StringRef text, std::string &error);

/// The names in the `tfm.dims` of the arguments, in order of appearance.
llvm::SmallVector<std::string> dimensionNames(mlir::func::FuncOp function);

/// Pseudo-random inputs at the given sizes; the same seed gives the same inputs everywhere. Floats
/// are normal (0, 1), integers in [0, 4), bools fair, unless the argument has a `tfm.test_range`.
/// Fails with an error at the function when a dimension has no size.
llvm::FailureOr<llvm::SmallVector<Tensor>> randomInputs(mlir::func::FuncOp function,
                                                        const Symbols &sizes, uint64_t seed);

/// The name of an argument or result: its `tfm.name`, or `#index`.
std::string argumentName(mlir::func::FuncOp function, unsigned index);
std::string resultName(mlir::func::FuncOp function, unsigned index);

/// Interprets a function on inputs by name. Fails with an error at the function that names what is
/// missing or unknown.
llvm::FailureOr<llvm::SmallVector<Tensor>> interpretNamed(mlir::func::FuncOp function,
                                                          const llvm::StringMap<Tensor> &inputs,
                                                          const InterpreterOptions &options = {});

} // namespace permalloy::reference

#endif
