//===- Rewriting.cpp - patterns that ask for symbolic shapes -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Rewriting.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {
struct ForgetChanged : RewriterBase::Listener {
  explicit ForgetChanged(SymbolicShapes &shapes) : shapes(shapes) {}
  void notifyOperationErased(Operation *op) override { forget(op); }
  void notifyOperationModified(Operation *op) override { forget(op); }
  void forget(Operation *op) {
    for (Value result : op->getResults())
      shapes.forget(result);
  }
  SymbolicShapes &shapes;
};
} // namespace

LogicalResult permalloy::rewriteWithShapes(func::FuncOp function, SymbolicShapes &shapes,
                                           RewritePatternSet patterns) {
  ForgetChanged listener(shapes);
  GreedyRewriteConfig config;
  config.setListener(&listener).setUseTopDownTraversal(true).setRegionSimplificationLevel(
      GreedySimplifyRegionLevel::Disabled);
  if (succeeded(applyPatternsGreedily(function, std::move(patterns), config)))
    return success();
  return function.emitError("rewriting found no fixed point; this is an error of the compiler");
}

bool permalloy::isElementwise(Operation *op) {
  return isa_and_nonnull<UnaryOp, CastOp, BinaryOp, CompareOp, SelectOp>(op);
}

bool permalloy::allDerived(ArrayRef<DimExprAttr> dims) { return llvm::all_of(dims, isDerived); }

static RankedTensorType typeOf(Value value, ArrayRef<DimExprAttr> dims) {
  return RankedTensorType::get(staticShape(dims), getElementTypeOrSelf(value.getType()));
}

Value permalloy::createReshape(OpBuilder &builder, Location loc, SymbolicShapes &shapes,
                               Value value, ArrayRef<DimExprAttr> dims) {
  if (ArrayRef(shapes.dims(value)) == dims)
    return value;
  return ReshapeOp::create(builder, loc, typeOf(value, dims), value, Value(),
                           dimArray(builder.getContext(), dims), false);
}

Value permalloy::createBroadcast(OpBuilder &builder, Location loc, SymbolicShapes &shapes,
                                 Value value, ArrayRef<DimExprAttr> dims) {
  if (ArrayRef(shapes.dims(value)) == dims)
    return value;
  return BroadcastOp::create(builder, loc, typeOf(value, dims), value, Value(),
                             dimArray(builder.getContext(), dims));
}

Value permalloy::createTranspose(OpBuilder &builder, Location loc, Value value,
                                 ArrayRef<int64_t> perm) {
  auto type = cast<RankedTensorType>(value.getType());
  if (llvm::is_sorted(perm))
    return value;
  SmallVector<int64_t> shape;
  for (int64_t axis : perm)
    shape.push_back(type.getDimSize(axis));
  return TransposeOp::create(builder, loc, RankedTensorType::get(shape, type.getElementType()),
                             value, perm);
}

Value permalloy::cloneElementwise(OpBuilder &builder, SymbolicShapes &shapes, Operation *op,
                                  ValueRange operands) {
  Dims dims = shapes.dims(operands.front());
  for (Value operand : operands.drop_front())
    dims = *broadcastDims(dims, shapes.dims(operand));
  IRMapping map;
  map.map(op->getOperands(), operands);
  Operation *copy = builder.clone(*op, map);
  copy->getResult(0).setType(typeOf(op->getResult(0), dims));
  return copy->getResult(0);
}

LogicalResult permalloy::replaceRefined(PatternRewriter &rewriter, Operation *op, Value value) {
  Type type = op->getResult(0).getType();
  auto needsType = [](Operation *user) { return !isa<TfmDialect>(user->getDialect()); };
  if (value.getType() != type && llvm::any_of(op->getUsers(), needsType)) {
    // A new operation may declare less than is known of it; a constant cannot, and what others use
    // keeps its type.
    if (auto constant = value.getDefiningOp<ConstantOp>()) {
      Dims dims = dimsOfType(cast<RankedTensorType>(value.getType()));
      value = BroadcastOp::create(rewriter, op->getLoc(), type, constant, Value(),
                                  dimArray(rewriter.getContext(), dims));
    } else if (!value.use_empty() || !value.getDefiningOp<ShapeOpInterface>()) {
      return rewriter.notifyMatchFailure(op, "a user outside of tfm needs the type as it is");
    } else {
      value.setType(type);
    }
  }
  rewriter.replaceOp(op, value);
  return success();
}
