//===- KernelWork.cpp - what a kernel computes and moves ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "permalloy/CostModel/KernelWork.h"
#include "permalloy/Analysis/SymbolicShapes.h"
#include "permalloy/Reference/Tensor.h"

#include "llvm/ADT/StringSwitch.h"

using namespace mlir;
using namespace permalloy;
using tfm::DimExprAttr;

namespace {

class WorkCounter {
public:
  explicit WorkCounter(kern::KernelOp kernel) : kernel(kernel) {}

  DimExprAttr flops();
  DimExprAttr bytes();

private:
  DimExprAttr number(int64_t value) { return DimExprAttr::constant(kernel.getContext(), value); }
  DimExprAttr times(int64_t factor, DimExprAttr expr) { return DimExprAttr::mul(number(factor), expr); }
  DimExprAttr flopsOf(Operation &op);
  DimExprAttr attentionFlops(tfm::AttentionOp attention);
  DimExprAttr bytesOf(Value value);
  DimExprAttr liveBytes(Value cache, DimExprAttr length);
  DimExprAttr bytesRead(Value argument);
  DimExprAttr bytesGathered(Value argument, tfm::DequantizeOp decode);

  kern::KernelOp kernel;
  SymbolicShapes shapes;
};

/// Operations for each element of the result.
int64_t flopsPerElement(StringRef op) {
  return llvm::StringSwitch<int64_t>(op)
      .Case("layer_norm", 8)
      .Cases({"rms_norm", "softmax"}, 5)
      .Cases({"rotary", "quantize"}, 3)
      .Cases({"unary", "binary", "compare", "select"}, 1)
      .Default(0);
}

/// Scores and the weighted sum: the columns of q times the keys it sees, and those keys times the
/// columns of the result. Under a causal mask, queries see keys - (queries - 1) / 2 on average.
DimExprAttr WorkCounter::attentionFlops(tfm::AttentionOp attention) {
  auto sequence = [&](Value value) {
    tfm::Dims dims = shapes.dims(value);
    return dims[dims.size() - 2];
  };
  DimExprAttr keys = attention.getKvLengthAttr() ? attention.getKvLengthAttr() : sequence(attention.getKey());
  DimExprAttr twiceSeen = times(2, keys);
  if (attention.getCausal())
    twiceSeen = DimExprAttr::add(DimExprAttr::sub(twiceSeen, sequence(attention.getQuery())), number(1));
  // A packed result is as wide as all heads, like one that is split.
  DimExprAttr columns = DimExprAttr::add(shapes.numElements(attention.getQuery()), shapes.numElements(attention.getResult()));
  return DimExprAttr::mul(columns, twiceSeen);
}

DimExprAttr WorkCounter::flopsOf(Operation &op) {
  if (auto linear = dyn_cast<tfm::LinearOp>(op)) {
    DimExprAttr depth = shapes.dims(linear.getInput()).back();
    if (auto blocks = linear.getWeight().getDefiningOp<tfm::ExpandBlocksOp>()) // what is not kept is not multiplied
      depth = number(std::min(blocks.kept() * blocks.blockDepth(), blocks.getShape()[0]));
    else if (auto quads = linear.getWeight().getDefiningOp<tfm::ExpandQuadsOp>())
      depth = number(quads.depth());
    return times(2, DimExprAttr::mul(shapes.numElements(linear.getResult()), depth));
  }
  if (auto matmul = dyn_cast<tfm::MatmulOp>(op)) {
    tfm::Dims dims = shapes.dims(matmul.getLhs());
    DimExprAttr depth = dims[dims.size() - (matmul.getTransposeA() ? 2 : 1)];
    return times(2, DimExprAttr::mul(shapes.numElements(matmul.getResult()), depth));
  }
  if (auto grouped = dyn_cast<tfm::GroupedLinearOp>(op)) {
    tfm::Dims weight = shapes.dims(grouped.getWeight());
    DimExprAttr rows = shapes.dims(grouped.getResult())[0];
    return times(2, DimExprAttr::mul(rows, DimExprAttr::mul(weight[1], weight[2])));
  }
  if (auto attention = dyn_cast<tfm::AttentionOp>(op))
    return attentionFlops(attention);
  if (auto reduce = dyn_cast<tfm::ReduceOp>(op))
    return shapes.numElements(reduce.getInput());
  int64_t each = op.getNumResults() == 1 ? flopsPerElement(op.getName().stripDialect()) : 0;
  return each == 0 ? number(0) : times(each, shapes.numElements(op.getResult(0)));
}

DimExprAttr WorkCounter::flops() {
  DimExprAttr sum = number(0);
  for (Operation &op : kernel.getBlock().without_terminator())
    sum = DimExprAttr::add(sum, flopsOf(op));
  return sum;
}

DimExprAttr WorkCounter::bytesOf(Value value) {
  auto type = cast<RankedTensorType>(value.getType());
  if (isa<tfm::QuantType>(type.getElementType()) && type.getEncoding()) // of 4 bits perhaps
    return number(reference::storageBytes(type));
  return times(reference::elementBytes(reference::elementOf(getElementTypeOrSelf(value.getType()))), shapes.numElements(value));
}

/// Of a cache, the rows that exist.
DimExprAttr WorkCounter::liveBytes(Value cache, DimExprAttr length) {
  tfm::Dims dims = shapes.dims(cache);
  DimExprAttr bytes = number(reference::elementBytes(reference::elementOf(getElementTypeOrSelf(cache.getType()))));
  for (DimExprAttr factor : {dims[0], dims[1], length, dims[3]})
    bytes = DimExprAttr::mul(bytes, factor);
  return bytes;
}

/// Of codes or scales of a weight, the part that gathers of the decoded weight take; null where something else reads it.
DimExprAttr WorkCounter::bytesGathered(Value argument, tfm::DequantizeOp decode) {
  DimExprAttr taken = number(0);
  for (OpOperand &use : decode->getUses()) {
    if (!isa<tfm::GatherOp>(use.getOwner()) || use.getOperandNumber() != 0)
      return {};
    taken = DimExprAttr::add(taken, shapes.numElements(use.getOwner()->getResult(0)));
  }
  auto type = cast<RankedTensorType>(argument.getType()), whole = cast<RankedTensorType>(decode.getType());
  if (!whole.hasStaticShape())
    return {};
  return DimExprAttr::ceilDiv(DimExprAttr::mul(taken, number(reference::storageBytes(type))), number(whole.getNumElements()));
}

DimExprAttr WorkCounter::bytesRead(Value argument) {
  DimExprAttr sum = number(0);
  for (OpOperand &use : argument.getUses()) {
    Operation *user = use.getOwner();
    auto decode = dyn_cast<tfm::DequantizeOp>(user);
    if (DimExprAttr gathered = decode ? bytesGathered(argument, decode) : DimExprAttr()) {
      sum = DimExprAttr::add(sum, gathered);
      continue;
    }
    if (isa<tfm::KvAppendOp>(user) && use.getOperandNumber() == 0)
      continue; // the result is its memory
    auto attention = dyn_cast<tfm::AttentionOp>(user);
    if (attention && attention.getKvLengthAttr() && argument != attention.getQuery() && argument != attention.getMask()) {
      sum = DimExprAttr::add(sum, liveBytes(argument, attention.getKvLengthAttr()));
      continue;
    }
    bool partly = isa<tfm::SliceOp>(user) || (isa<tfm::GatherOp>(user) && use.getOperandNumber() == 0);
    if (!partly)
      return bytesOf(argument);
    sum = DimExprAttr::add(sum, bytesOf(user->getResult(0)));
  }
  return sum;
}

DimExprAttr WorkCounter::bytes() {
  DimExprAttr sum = number(0);
  for (BlockArgument argument : kernel.getBlock().getArguments())
    sum = DimExprAttr::add(sum, bytesRead(argument));
  for (Value value : kernel.yielded()) {
    auto append = value.getDefiningOp<tfm::KvAppendOp>();
    sum = DimExprAttr::add(sum, bytesOf(append ? append.getRows() : value));
  }
  return sum;
}

DimExprAttr known(DimExprAttr expr) { return isDerived(expr) ? expr : DimExprAttr(); }

} // namespace

KernelWork permalloy::workOf(kern::KernelOp kernel) {
  WorkCounter counter(kernel);
  return {known(counter.flops()), known(counter.bytes())};
}
