//===- ResolveShapes.cpp - shape arithmetic becomes dimensions ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "../Rewriting.h"
#include "DimBounds.h"
#include "permalloy/Transforms/Passes.h"

namespace permalloy {
#define GEN_PASS_DEF_RESOLVESHAPES
#include "permalloy/Transforms/Passes.h.inc"
} // namespace permalloy

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

class ResolveShapes : public permalloy::impl::ResolveShapesBase<ResolveShapes> {
  void runOnOperation() override;

  void refineArguments(func::FuncOp function);
  void refineType(Value value, ArrayRef<DimExprAttr> dims);
  void resolve(Operation *op);
  bool replaceByContents(Operation *op);
  bool resolveOperands(Operation *op, ArrayRef<DimExprAttr> dims);
  bool resolveRange(RangeOp op, DimExprAttr size);
  bool resolveSlice(SliceOp op, ArrayRef<DimExprAttr> sizes);
  void removeIdentity(Operation *op);
  void removeDead(func::FuncOp function);
  void refineSignature(func::FuncOp function);

  SymbolicShapes shapes;
  std::optional<DimBounds> bounds;
};

} // namespace

void ResolveShapes::runOnOperation() {
  func::FuncOp function = getOperation();
  if (function.isExternal())
    return;
  shapes = SymbolicShapes();
  bounds.emplace(function);
  refineArguments(function);
  bounds->addImplied(function);
  for (Block &block : function.getBody())
    for (Operation &op : llvm::make_early_inc_range(block))
      resolve(&op);
  removeDead(function);
  refineSignature(function);
  bounds->store(function);
}

/// A dimension that `tfm.dims` gives as a number is static.
void ResolveShapes::refineArguments(func::FuncOp function) {
  for (BlockArgument argument : function.getArguments())
    if (auto dims =
            function.getArgAttrOfType<ArrayAttr>(argument.getArgNumber(), TfmDialect::kDimsAttr))
      refineType(argument, dimsOf(dims));
}

void ResolveShapes::refineType(Value value, ArrayRef<DimExprAttr> dims) {
  auto type = cast<RankedTensorType>(value.getType());
  auto refined =
      RankedTensorType::get(staticShape(dims), type.getElementType(), type.getEncoding());
  bool accepted = llvm::all_of(value.getUsers(), [](Operation *user) {
    return isa<TfmDialect>(user->getDialect()) || isa<func::ReturnOp>(user);
  });
  if (refined != type && accepted)
    value.setType(refined);
}

void ResolveShapes::resolve(Operation *op) {
  if (!isa<ShapeOpInterface>(op))
    return;
  Value result = op->getResult(0);
  Dims dims = llvm::map_to_vector(shapes.dims(result),
                                  [&](DimExprAttr dim) { return bounds->simplify(dim); });
  shapes.setDims(result, dims);
  refineType(result, dims);
  if (isa<ConstantOp, DimValuesOp>(op) || replaceByContents(op))
    return;
  if (allDerived(dims) && resolveOperands(op, dims))
    ++numResolved;
  removeIdentity(op);
}

/// An integer or bool value whose every element is known before the run is an operation without
/// operands.
bool ResolveShapes::replaceByContents(Operation *op) {
  Value result = op->getResult(0);
  std::optional<Dims> contents = shapes.contents(result);
  auto type = cast<RankedTensorType>(result.getType());
  if (!contents || !allDerived(*contents) || !type.hasStaticShape() ||
      type.getNumElements() != int64_t(contents->size()))
    return false;
  for (DimExprAttr &element : *contents)
    element = bounds->simplify(element);
  OpBuilder builder(op);
  bool constant = llvm::all_of(*contents, [](DimExprAttr e) { return e.asConstant().has_value(); });
  Value value;
  if (constant) {
    SmallVector<APInt> elements;
    for (DimExprAttr element : *contents)
      elements.push_back(APInt(type.getElementTypeBitWidth(), *element.asConstant(), true, true));
    value = ConstantOp::create(builder, op->getLoc(), DenseElementsAttr::get(type, elements));
  } else if (!type.getElementType().isInteger(1)) {
    value = DimValuesOp::create(builder, op->getLoc(), type, dimArray(&getContext(), *contents));
  } else {
    return false;
  }
  result.replaceAllUsesWith(value);
  ++numValues;
  return true;
}

bool ResolveShapes::resolveOperands(Operation *op, ArrayRef<DimExprAttr> dims) {
  ArrayAttr array = dimArray(&getContext(), dims);
  if (auto reshape = dyn_cast<ReshapeOp>(op)) {
    bool run = bool(reshape.getShape());
    reshape.getShapeMutable().clear();
    reshape.setDimsAttr(array);
    reshape.setAllowZero(false);
    return run;
  }
  if (auto broadcast = dyn_cast<BroadcastOp>(op)) {
    bool run = bool(broadcast.getShape());
    broadcast.getShapeMutable().clear();
    broadcast.setDimsAttr(array);
    return run;
  }
  if (auto range = dyn_cast<RangeOp>(op))
    return resolveRange(range, dims.front());
  if (auto slice = dyn_cast<SliceOp>(op))
    return resolveSlice(slice, dims);
  return false;
}

bool ResolveShapes::resolveRange(RangeOp op, DimExprAttr size) {
  if (op.getSize()) {
    op.setSizeAttr(size);
    return false;
  }
  auto scalar = [&](unsigned i) {
    auto contents = shapes.contents(op.getBounds()[i]);
    return contents && contents->size() == 1 ? contents->front() : DimExprAttr();
  };
  DimExprAttr start = scalar(0), step = scalar(2);
  if (!isDerived(start) || !step || !step.asConstant() ||
      !isa<IntegerType>(getElementTypeOrSelf(op.getType())))
    return false;
  op.getBoundsMutable().clear();
  op.setFromAttr(bounds->simplify(start));
  op.setSizeAttr(size);
  op.setStep(*step.asConstant());
  return true;
}

/// Offsets follow ONNX's clamping; a negative step is resolved for a whole reversal only, as the
/// shape rule derives no other.
bool ResolveShapes::resolveSlice(SliceOp op, ArrayRef<DimExprAttr> sizes) {
  Builder builder(&getContext());
  if (op.getSizes()) {
    op.setSizesAttr(dimArray(&getContext(), sizes));
    return false;
  }
  Dims input = shapes.dims(op.getInput());
  auto starts = shapes.contents(op.getStarts());
  auto steps = op.getSteps() ? shapes.contents(op.getSteps()) : std::nullopt;
  if (!starts || (op.getSteps() && !steps))
    return false;
  Dims offsets(input.size(), DimExprAttr::constant(&getContext(), 0));
  SmallVector<int64_t> strides(input.size(), 1);
  for (auto [i, axis] : llvm::enumerate(*op.getAxes())) {
    strides[axis] = steps ? *(*steps)[i].asConstant() : 1;
    DimExprAttr last = DimExprAttr::sub(input[axis], DimExprAttr::constant(&getContext(), 1));
    offsets[axis] =
        strides[axis] < 0 ? last : bounds->simplify(clampSliceBound((*starts)[i], input[axis]));
  }
  if (!allDerived(offsets))
    return false;
  op.getStartsMutable().clear();
  op.getEndsMutable().clear();
  op.getStepsMutable().clear();
  op.removeAxesAttr();
  op.setOffsetsAttr(dimArray(&getContext(), offsets));
  op.setSizesAttr(dimArray(&getContext(), sizes));
  op.setStridesAttr(builder.getDenseI64ArrayAttr(strides));
  return true;
}

void ResolveShapes::removeIdentity(Operation *op) {
  bool keeps = isa<ReshapeOp, BroadcastOp>(op);
  if (auto slice = dyn_cast<SliceOp>(op))
    keeps =
        slice.getStrides() && llvm::all_of(*slice.getStrides(), [](int64_t s) { return s == 1; });
  if (!keeps)
    return;
  Value input = op->getOperand(0), result = op->getResult(0);
  if (input.getType() != result.getType() || !shapes.equalShapes(input, result))
    return;
  result.replaceAllUsesWith(input);
  ++numIdentities;
}

void ResolveShapes::removeDead(func::FuncOp function) {
  for (Block &block : function.getBody())
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(block)))
      if (isOpTriviallyDead(&op))
        op.erase();
}

/// The types of what is returned, and its dimensions where all of them have names.
void ResolveShapes::refineSignature(func::FuncOp function) {
  auto returned = dyn_cast<func::ReturnOp>(function.getBody().back().getTerminator());
  if (!returned || !function.getBody().hasOneBlock())
    return;
  function.setType(FunctionType::get(&getContext(), function.getBody().getArgumentTypes(),
                                     returned.getOperandTypes()));
  for (auto [i, value] : llvm::enumerate(returned.getOperands()))
    if (Dims dims = shapes.dims(value); allDerived(dims))
      function.setResultAttr(i, TfmDialect::kDimsAttr, dimArray(&getContext(), dims));
}
