//===- Evaluate.h - one function per operation -------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// `evaluate` of an operation gets the tensors of its operands (absent optional operands are
// skipped, as in the IR) and gives its result. It checks what only values can show (an index out of
// range, shapes that do not broadcast) and nothing that the verifier checks.
//
//===----------------------------------------------------------------------===//

#ifndef PERMALLOY_LIB_REFERENCE_EVALUATE_H
#define PERMALLOY_LIB_REFERENCE_EVALUATE_H

#include "Kern/Kern.h"
#include "permalloy/Reference/Interpreter.h"

namespace permalloy::reference {

/// What an operation may ask besides its operands, and where it says why it failed.
struct Scope {
  const Symbols &symbols;
  std::string error;

  llvm::LogicalResult fail(const llvm::Twine &message) {
    error = message.str();
    return llvm::failure();
  }
  llvm::FailureOr<int64_t> value(tfm::DimExprAttr expr) {
    std::optional<int64_t> result = reference::evaluate(expr, symbols, error);
    if (!result)
      return llvm::failure();
    return *result;
  }
  llvm::FailureOr<llvm::SmallVector<int64_t>> values(mlir::ArrayAttr dims);
};

using Operands = llvm::ArrayRef<Tensor>;
using Result = llvm::FailureOr<Tensor>;
using Shape = llvm::SmallVector<int64_t>;

// Sources
Result evaluate(tfm::ConstantOp op, Operands in, Scope &scope);
Result evaluate(tfm::DimValuesOp op, Operands in, Scope &scope);
Result evaluate(tfm::ShapeOfOp op, Operands in, Scope &scope);
Result evaluate(tfm::RangeOp op, Operands in, Scope &scope);
// Structure
Result evaluate(tfm::ReshapeOp op, Operands in, Scope &scope);
Result evaluate(tfm::BroadcastOp op, Operands in, Scope &scope);
Result evaluate(tfm::TransposeOp op, Operands in, Scope &scope);
Result evaluate(tfm::GatherOp op, Operands in, Scope &scope);
Result evaluate(tfm::GatherNDOp op, Operands in, Scope &scope);
Result evaluate(tfm::SliceOp op, Operands in, Scope &scope);
Result evaluate(tfm::ConcatOp op, Operands in, Scope &scope);
Result evaluate(tfm::PrefixCountOp op, Operands in, Scope &scope);
Result evaluate(tfm::PackOp op, Operands in, Scope &scope);
// Sparsity
Result evaluate(tfm::PruneWeightOp op, Operands in, Scope &scope);
Result evaluate(tfm::BlockRowsOp op, Operands in, Scope &scope);
Result evaluate(tfm::CompactBlocksOp op, Operands in, Scope &scope);
Result evaluate(tfm::ExpandBlocksOp op, Operands in, Scope &scope);
Result evaluate(tfm::QuadStepsOp op, Operands in, Scope &scope);
Result evaluate(tfm::CompactQuadsOp op, Operands in, Scope &scope);
Result evaluate(tfm::ExpandQuadsOp op, Operands in, Scope &scope);
// Selection
Result evaluate(tfm::TopKOp op, Operands in, Scope &scope);
Result evaluate(tfm::NonZeroOp op, Operands in, Scope &scope);
Result evaluate(tfm::ScatterOp op, Operands in, Scope &scope);
// Elementwise and reductions
Result evaluate(tfm::CastOp op, Operands in, Scope &scope);
Result evaluate(tfm::UnaryOp op, Operands in, Scope &scope);
Result evaluate(tfm::BinaryOp op, Operands in, Scope &scope);
Result evaluate(tfm::CompareOp op, Operands in, Scope &scope);
Result evaluate(tfm::SelectOp op, Operands in, Scope &scope);
Result evaluate(tfm::ReduceOp op, Operands in, Scope &scope);
// Transformer concepts
Result evaluate(tfm::MatmulOp op, Operands in, Scope &scope);
Result evaluate(tfm::LinearOp op, Operands in, Scope &scope);
Result evaluate(tfm::QuantizeOp op, Operands in, Scope &scope);
Result evaluate(tfm::LayerNormOp op, Operands in, Scope &scope);
Result evaluate(tfm::RmsNormOp op, Operands in, Scope &scope);
Result evaluate(tfm::RotaryOp op, Operands in, Scope &scope);
Result evaluate(tfm::SoftmaxOp op, Operands in, Scope &scope);
Result evaluate(tfm::AttentionOp op, Operands in, Scope &scope);
// Mixture of experts
Result evaluate(tfm::MoeOp op, Operands in, Scope &scope);
Result evaluate(tfm::MoeWeightsOp op, Operands in, Scope &scope);
Result evaluate(tfm::GroupByOp op, Operands in, Scope &scope);
Result evaluate(tfm::GroupedLinearOp op, Operands in, Scope &scope);
// Merging of tokens
Result evaluate(tfm::TokenScoreOp op, Operands in, Scope &scope);
Result evaluate(tfm::TokenMergeOp op, Operands in, Scope &scope);
Result evaluate(tfm::TokenUnmergeOp op, Operands in, Scope &scope);
// Quantized weights
Result evaluate(tfm::DequantizeOp op, Operands in, Scope &scope);
Result evaluate(tfm::UnpackBitsOp op, Operands in, Scope &scope);
llvm::FailureOr<llvm::SmallVector<Tensor>> evaluate(tfm::QuantizeWeightOp op, Operands in, Scope &scope);
// Key and value caches
Result evaluate(tfm::KvAppendOp op, Operands in, Scope &scope);
Result evaluate(kern::CacheOp op, Operands in, Scope &scope);
Result evaluate(kern::CacheViewOp op, Operands in, Scope &scope);
/// Gives the capacity of the caches of `function` a value.
llvm::LogicalResult chooseCapacity(mlir::func::FuncOp function, Symbols &symbols,
                                   std::string &error);

/// A product of 8-bit integers.
Tensor evaluateIntegral(tfm::LinearOp op, const Tensor &x, const Tensor &weight);

/// The scalar functions, in double.
double applyUnary(tfm::UnaryKind kind, double x);
double applyActivation(tfm::Activation activation, double x);

//===----------------------------------------------------------------------===//
// Shapes
//===----------------------------------------------------------------------===//

/// Row-major strides, in elements.
Shape stridesOf(llvm::ArrayRef<int64_t> shape);
int64_t product(llvm::ArrayRef<int64_t> shape);
/// numpy broadcasting; nullopt when the shapes do not fit.
std::optional<Shape> broadcastShapes(llvm::ArrayRef<int64_t> a, llvm::ArrayRef<int64_t> b);
/// Strides with which `shape` is read as `target`: 0 along broadcast dimensions.
Shape broadcastStrides(llvm::ArrayRef<int64_t> shape, llvm::ArrayRef<int64_t> target);
/// Calls `visit(i, offsets)` for each element i of `shape` in row-major order, with one offset per
/// stride list.
void forEachIndex(llvm::ArrayRef<int64_t> shape, llvm::ArrayRef<Shape> strides,
                  llvm::function_ref<void(int64_t, llvm::ArrayRef<int64_t>)> visit);
/// Prints `[2, 3]`.
std::string str(llvm::ArrayRef<int64_t> shape);

/// `x` converted as tfm.cast says.
Tensor castElements(const Tensor &x, mlir::Type elementType);

/// Where a slice starts, how far it steps and how many it takes, per dimension.
struct SliceBox {
  Shape offsets, steps, sizes;
};
/// The box of a slice of a tensor of `shape`; `bounds` are the operands after the first.
llvm::FailureOr<SliceBox> sliceBox(tfm::SliceOp op, llvm::ArrayRef<int64_t> shape, Operands bounds,
                                   Scope &scope);

/// An index into a dimension that may count from the end, or a failure.
llvm::FailureOr<int64_t> wrapIndex(Wide index, int64_t extent, Scope &scope);
/// The positions of a row, best first: the larger (or smaller) first, ties by position, NaN above
/// all numbers.
llvm::SmallVector<int64_t> ranking(int64_t n, llvm::function_ref<double(int64_t)> number,
                                   bool smallest);

/// Wraps bytes into the range of codes of fewer bits.
void wrapCodes(tfm::QuantType code, llvm::MutableArrayRef<char> bytes);

/// All floating-point elements, in storage order.
std::vector<float> floats(const Tensor &tensor);
/// A packed matrix, or stack of them, as a plain one.
Tensor unpack(const Tensor &packed);

} // namespace permalloy::reference

#endif
