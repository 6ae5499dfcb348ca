//===- Rewriting.h - patterns that ask for symbolic shapes -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// SymbolicShapes remembers its answers by value, and a rewriter may make a new operation where an
// erased one stood. The driver here therefore tells the analysis about every erased and modified
// operation, so patterns may ask at any time.
//
//===----------------------------------------------------------------------===//

#ifndef PERMALLOY_LIB_TRANSFORMS_REWRITING_H
#define PERMALLOY_LIB_TRANSFORMS_REWRITING_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Pass/Pass.h"
#include "permalloy/Analysis/SymbolicShapes.h"

namespace permalloy {

/// A pattern that asks `shapes` and counts its successes.
template <typename OpTy> struct ShapePattern : mlir::OpRewritePattern<OpTy> {
  ShapePattern(mlir::MLIRContext *context, SymbolicShapes &shapes, mlir::Pass::Statistic &count,
               mlir::PatternBenefit benefit = 1)
      : mlir::OpRewritePattern<OpTy>(context, benefit), shapes(shapes), count(count) {}
  SymbolicShapes &shapes;
  mlir::Pass::Statistic &count;
};

/// Runs patterns on `function` to a fixed point; an error is emitted at the function when there is
/// none.
mlir::LogicalResult rewriteWithShapes(mlir::func::FuncOp function, SymbolicShapes &shapes,
                                      mlir::RewritePatternSet patterns);

/// Computes each element of its result from the elements of its operands at the same place.
bool isElementwise(mlir::Operation *op);

/// All dimensions can be evaluated when a program starts.
bool allDerived(llvm::ArrayRef<tfm::DimExprAttr> dims);

/// `value` with other dimensions; `value` itself when it has them. All `dims` must be derived.
mlir::Value createReshape(mlir::OpBuilder &builder, mlir::Location loc, SymbolicShapes &shapes,
                          mlir::Value value, llvm::ArrayRef<tfm::DimExprAttr> dims);
/// `value` broadcast to `dims`; `value` itself when it has them.
mlir::Value createBroadcast(mlir::OpBuilder &builder, mlir::Location loc, SymbolicShapes &shapes,
                            mlir::Value value, llvm::ArrayRef<tfm::DimExprAttr> dims);
/// `value` transposed; `value` itself for the identity.
mlir::Value createTranspose(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value value,
                            llvm::ArrayRef<int64_t> perm);
/// A copy of the elementwise `op` on other operands, with the type that these give.
mlir::Value cloneElementwise(mlir::OpBuilder &builder, SymbolicShapes &shapes, mlir::Operation *op,
                             mlir::ValueRange operands);

/// Replaces `op` by `value`, whose type may know more; fails when a user outside of tfm needs the
/// old type.
mlir::LogicalResult replaceRefined(mlir::PatternRewriter &rewriter, mlir::Operation *op,
                                   mlir::Value value);

} // namespace permalloy

#endif
