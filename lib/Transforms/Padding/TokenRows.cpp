//===- TokenRows.cpp - operations that work token by token -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "TokenRows.h"
#include "../Rewriting.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

Rows TokenRows::rowsOfDims(ArrayRef<DimExprAttr> dims) {
  if (dims.size() >= 2 && dims[0] == batch && dims[1] == sequence)
    return Rows::Grid;
  return !dims.empty() && dims[0] == count ? Rows::List : Rows::None;
}

Rows TokenRows::rowsOf(Value value) { return rowsOfDims(shapes.dims(value)); }

Dims TokenRows::packedDims(Rows rows, ArrayRef<DimExprAttr> dims, DimExprAttr tokens) {
  Dims result(dims);
  if (rows == Rows::Grid)
    result[0] = DimExprAttr::constant(tokens.getContext(), 1);
  result[rows == Rows::Grid ? 1 : 0] = tokens;
  return result;
}

std::optional<Rows> TokenRows::broadcastRows(Value operand, Rows result, size_t resultRank) {
  Dims dims = shapes.dims(operand);
  if (dims.size() > resultRank)
    return std::nullopt;
  size_t missing = resultRank - dims.size(), rowAxes = result == Rows::Grid ? 2 : 1;
  if (missing >= rowAxes)
    return Rows::None;
  if (llvm::all_of(ArrayRef(dims).take_front(rowAxes - missing), [](DimExprAttr dim) { return dim.isConstant(1); }))
    return Rows::None;
  if (result == Rows::List)
    return dims[0] == count ? std::optional(Rows::List) : std::nullopt;
  if (missing == 1)
    return dims[0] == sequence ? std::optional(Rows::ShortPosition) : std::nullopt;
  if (dims[0] == batch && dims[1] == sequence)
    return Rows::Grid;
  if (dims[0].isConstant(1) && dims[1] == sequence)
    return Rows::Position;
  if (dims[0] == batch && dims[1].isConstant(1))
    return Rows::Sequence;
  return std::nullopt;
}

/// Operands that broadcast to the result.
bool TokenRows::matchBroadcasting(Operation *op, TokenOp &token) {
  size_t rank = shapes.dims(op->getResult(0)).size();
  for (Value operand : op->getOperands()) {
    auto rows = broadcastRows(operand, token.result, rank);
    if (!rows)
      return false;
    token.operands.push_back(*rows);
  }
  return true;
}

bool TokenRows::matchRotary(RotaryOp op, TokenOp &token) {
  if (token.result != Rows::Grid || shapes.dims(op.getInput()).size() != 3)
    return false;
  return matchBroadcasting(op, token);
}

/// The first operand has the tokens of the result; the others have none.
bool TokenRows::matchFirst(Operation *op, TokenOp &token, bool keepsRows) {
  if (!keepsRows || rowsOf(op->getOperand(0)) != token.result)
    return false;
  token.operands.assign(op->getNumOperands(), Rows::None);
  token.operands[0] = token.result;
  return true;
}

/// `op` does nothing along the first `rowAxes` dimensions.
bool TokenRows::keepsRows(Operation *op, int64_t rowAxes) {
  auto beyond = [&](ArrayRef<int64_t> axes) { return llvm::all_of(axes, [&](int64_t axis) { return axis >= rowAxes; }); };
  if (auto norm = dyn_cast<LayerNormOp>(op))
    return beyond(int64_t(norm.getAxis()));
  if (auto norm = dyn_cast<RmsNormOp>(op))
    return beyond(int64_t(norm.getAxis()));
  if (auto softmax = dyn_cast<SoftmaxOp>(op))
    return beyond(int64_t(softmax.getAxis()));
  if (auto reduce = dyn_cast<ReduceOp>(op))
    return beyond(reduce.getAxes());
  if (auto gather = dyn_cast<GatherOp>(op))
    return beyond(int64_t(gather.getAxis()));
  if (auto matmul = dyn_cast<MatmulOp>(op))
    return !matmul.getTransposeA() && shapes.dims(matmul.getRhs()).size() == 2 &&
           int64_t(shapes.dims(matmul.getLhs()).size()) > rowAxes;
  if (auto transpose = dyn_cast<TransposeOp>(op))
    return llvm::all_of(llvm::seq<int64_t>(0, rowAxes), [&](int64_t axis) { return transpose.getPerm()[axis] == axis; });
  auto slice = dyn_cast<SliceOp>(op);
  if (!slice || !slice.getOffsets())
    return isa<LinearOp>(op) && int64_t(shapes.dims(op->getOperand(0)).size()) > rowAxes;
  Dims offsets = dimsOf(*slice.getOffsets()), sizes = dimsOf(*slice.getSizes()), from = shapes.dims(slice.getInput());
  return llvm::all_of(llvm::seq<int64_t>(0, rowAxes), [&](int64_t axis) {
    return offsets[axis].isConstant(0) && sizes[axis] == from[axis] && (*slice.getStrides())[axis] == 1;
  });
}

std::optional<TokenOp> TokenRows::match(Operation *op) {
  if (op->getNumResults() != 1 || op->getNumOperands() == 0 || !isa<TfmDialect>(op->getDialect()))
    return std::nullopt;
  TokenOp token;
  token.result = rowsOf(op->getResult(0));
  if (token.result == Rows::None || !allDerived(shapes.dims(op->getResult(0))))
    return std::nullopt;
  int64_t rowAxes = token.result == Rows::Grid ? 2 : 1;
  bool matched = false;
  if (isElementwise(op) || isa<BroadcastOp>(op)) {
    matched = (!isa<BroadcastOp>(op) || cast<BroadcastOp>(op).getDims()) && matchBroadcasting(op, token);
  } else if (auto rotary = dyn_cast<RotaryOp>(op)) {
    matched = matchRotary(rotary, token);
  } else if (auto reshape = dyn_cast<ReshapeOp>(op)) {
    // Rows that stay rows, in the same order.
    Rows from = rowsOf(reshape.getInput());
    matched = reshape.getDims() && from != Rows::None;
    token.operands = {from};
  } else if (auto gather = dyn_cast<GatherOp>(op);
             gather && gather.getAxis() == 0 && rowsOf(gather.getIndices()) == token.result) {
    matched = true;
    token.operands = {Rows::None, token.result};
  } else if (auto moe = dyn_cast<MoeOp>(op)) {
    matched = matchFirst(op, token, int64_t(shapes.dims(moe.getInput()).size()) > rowAxes) &&
              rowsOf(moe.getLogits()) == token.result;
    if (matched)
      token.operands[1] = token.result;
  } else if (auto concat = dyn_cast<ConcatOp>(op)) {
    matched = int64_t(concat.getAxis()) >= rowAxes &&
              llvm::all_of(concat.getInputs(), [&](Value input) { return rowsOf(input) == token.result; });
    token.operands.assign(op->getNumOperands(), token.result);
  } else {
    matched = matchFirst(op, token, keepsRows(op, rowAxes));
  }
  return matched ? std::optional(token) : std::nullopt;
}
