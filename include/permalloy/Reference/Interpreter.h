//===- Interpreter.h - slow, obvious, correct --------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Runs functions of `tfm` and `kern` operations on concrete tensors: the oracle of every test, so
// any stage of the pipeline can be interpreted and must give what the stage before gave. Each
// operation computes in double (integers in 128 bits) and rounds once to its element type; sums of
// matmul, linear, attention and reductions are accumulated in double.
//
// Symbols: `tfm.dims` of the arguments bind names to the sizes of the inputs (two sizes for one
// name are an error); the scalars of a kern.launch bind the symbols of its kernel.
//
//===----------------------------------------------------------------------===//

#ifndef PERMALLOY_REFERENCE_INTERPRETER_H
#define PERMALLOY_REFERENCE_INTERPRETER_H

#include "permalloy/Reference/Tensor.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/MemoryBuffer.h"

namespace permalloy::reference {

/// Values of dimension names.
using Symbols = llvm::StringMap<int64_t>;

struct InterpreterOptions {
  /// Called after each operation of the function and of its kernels; failure stops the run.
  std::function<llvm::LogicalResult(mlir::Operation *, llvm::ArrayRef<Tensor>)> afterOp;
};

/// The results of `function` on `inputs`, one per argument. On failure an error was emitted at the
/// operation.
llvm::FailureOr<llvm::SmallVector<Tensor>> interpret(mlir::func::FuncOp function,
                                                     llvm::ArrayRef<Tensor> inputs,
                                                     const InterpreterOptions &options = {});

/// The results of one operation of `tfm` without regions or symbols from outside. On failure
/// `error` says why, nothing is emitted.
llvm::FailureOr<llvm::SmallVector<Tensor>> interpretOp(mlir::Operation *op,
                                                       llvm::ArrayRef<Tensor> operands,
                                                       const Symbols &symbols, std::string &error);

/// Folds an operation over constants. `constants` has one attribute per operand; fails silently
/// when one is null or no dense tensor, when the operation is not foldable, or when a result would
/// take more than `maxBytes`.
llvm::LogicalResult foldWithInterpreter(mlir::Operation *op,
                                        llvm::ArrayRef<mlir::Attribute> constants,
                                        llvm::SmallVectorImpl<mlir::Attribute> &results,
                                        int64_t maxBytes = 1024);

/// Mapped files by path.
using FileCache = llvm::StringMap<std::shared_ptr<llvm::MemoryBuffer>>;

/// The bytes of a weight whose source is `#tfm.file`, still in the mapped file. On failure an error
/// was emitted.
llvm::FailureOr<Tensor> readWeightFile(tfm::WeightOp weight, FileCache &files);

/// The value of a weight: file region, seeded elements, or interpreted body.
llvm::FailureOr<Tensor> weightValue(tfm::WeightOp weight);

/// `expr` at the given sizes; nullopt and a message when a symbol has no value or a divisor is
/// zero.
std::optional<int64_t> evaluate(tfm::DimExprAttr expr, const Symbols &symbols, std::string &error);

/// Binds the `tfm.dims` of the arguments of `function` to the sizes of `shapes`; emits an error at
/// the function when they contradict each other or the argument types. Names in `outer` have a value
/// already.
llvm::FailureOr<Symbols> bindSymbols(mlir::func::FuncOp function,
                                     llvm::ArrayRef<llvm::ArrayRef<int64_t>> shapes,
                                     const Symbols &outer = {});

} // namespace permalloy::reference

#endif
