//===- RowGroups.cpp - which results of a row kernel go together -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "RowGroups.h"
#include "ElementOps.h"
#include "Tfm/Outliers.h"

#include "llvm/ADT/SetVector.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::DimExprAttr;

bool codegen::isRowStatistic(Operation *op) {
  if (op->getNumOperands() == 0)
    return false;
  auto type = dyn_cast<RankedTensorType>(op->getOperand(0).getType());
  if (!type || type.getRank() < 2 || type.getEncoding())
    return false;
  Element e = Element::of(op->getOperand(0));
  if (!e.stored.isF32() && !e.isHalf())
    return false;
  int64_t last = type.getRank() - 1;
  if (auto softmax = dyn_cast<tfm::SoftmaxOp>(op))
    return int64_t(softmax.getAxis()) == last;
  if (auto norm = dyn_cast<tfm::LayerNormOp>(op))
    return int64_t(norm.getAxis()) == last;
  if (auto norm = dyn_cast<tfm::RmsNormOp>(op))
    return int64_t(norm.getAxis()) == last;
  if (isa<tfm::OutlierLimitOp, tfm::OutlierPositionsOp, tfm::OutlierValuesOp>(op))
    return true;
  auto reduce = dyn_cast<tfm::ReduceOp>(op);
  return reduce && reduce.getAxes() == ArrayRef<int64_t>{last};
}

static void collect(Value value, llvm::SetVector<Operation *> &slice) {
  Operation *op = value.getDefiningOp();
  if (!op || slice.contains(op))
    return;
  for (Value operand : op->getOperands())
    collect(operand, slice);
  slice.insert(op);
}

/// Elementwise operations on tensors of one shape and single elements.
static bool isCollapsible(ArrayRef<Operation *> slice, ArrayRef<DimExprAttr> dims, SymbolicShapes &shapes) {
  auto isOne = [](ArrayRef<DimExprAttr> own) {
    return llvm::all_of(own, [](DimExprAttr d) { return d.isConstant(1); });
  };
  return llvm::all_of(slice, [&](Operation *op) {
    auto constant = dyn_cast<tfm::ConstantOp>(op);
    if (constant && constant.getValue().isSplat())
      return true;
    if (!isa<tfm::UnaryOp, tfm::BinaryOp, tfm::CompareOp, tfm::SelectOp, tfm::CastOp, tfm::QuantizeOp>(op))
      return false;
    return llvm::all_of(op->getOperands(), [&](Value operand) {
      tfm::Dims own = shapes.dims(operand);
      return ArrayRef(own) == dims || isOne(own);
    });
  });
}

/// The group of one result by itself; nullopt when it has no vectors or its statistics belong to other rows.
static std::optional<RowGroup> groupOf(kern::KernelOp kernel, unsigned index, SymbolicShapes &shapes) {
  MLIRContext *context = kernel.getContext();
  Value value = kernel.yielded()[index];
  auto type = cast<RankedTensorType>(value.getType());
  if (type.getEncoding() || type.getRank() == 0 || !Element::of(value).hasVectors())
    return std::nullopt;
  RowGroup group;
  group.results = {index};
  group.dims = shapes.dims(value);
  llvm::SetVector<Operation *> slice;
  collect(value, slice);
  for (Operation *op : slice)
    if (isRowStatistic(op))
      group.statistics.push_back(op);
  if (group.statistics.empty()) {
    group.collapsed = group.dims.size() > 1 && isCollapsible(slice.getArrayRef(), group.dims, shapes);
    if (group.collapsed)
      group.dims = {DimExprAttr::product(context, group.dims)};
    group.rows = DimExprAttr::product(context, ArrayRef(group.dims).drop_back());
    return group;
  }
  auto rowsOf = [&](Value tensor) {
    return DimExprAttr::product(context, ArrayRef(shapes.dims(tensor)).drop_back());
  };
  tfm::Dims own = group.dims;
  group.dims = shapes.dims(group.statistics.front()->getOperand(0));
  group.rows = rowsOf(group.statistics.front()->getOperand(0));
  bool sameRows = llvm::all_of(group.statistics, [&](Operation *op) { return rowsOf(op->getOperand(0)) == group.rows; });
  bool byRow =
      !own.empty() && DimExprAttr::product(context, ArrayRef(own).drop_back()) == group.rows;
  bool onePerRow = DimExprAttr::product(context, own) == group.rows;
  if (!sameRows || !(byRow || onePerRow))
    return std::nullopt;
  return group;
}

static void merge(RowGroup &into, const RowGroup &from) {
  into.results.append(from.results);
  for (Operation *op : from.statistics)
    if (!llvm::is_contained(into.statistics, op))
      into.statistics.push_back(op);
}

SmallVector<RowGroup> codegen::rowGroups(kern::KernelOp kernel, SymbolicShapes &shapes) {
  SmallVector<RowGroup> groups, plain;
  for (unsigned index = 0; index < kernel.yielded().size(); ++index) {
    std::optional<RowGroup> group = groupOf(kernel, index, shapes);
    if (!group)
      continue;
    if (group->statistics.empty()) {
      plain.push_back(*group);
      continue;
    }
    auto same = llvm::find_if(groups, [&](RowGroup &other) { return other.rows == group->rows; });
    if (same == groups.end())
      groups.push_back(*group);
    else
      merge(*same, *group);
  }
  // A result without statistics joins a walk over the same rows, or one over the same elements.
  for (RowGroup &group : plain) {
    tfm::Dims dims = shapes.dims(kernel.yielded()[group.results[0]]);
    auto same = llvm::find_if(groups, [&](RowGroup &other) {
      if (other.statistics.empty())
        return other.dims == group.dims && other.collapsed == group.collapsed;
      return dims.size() > 1 &&
             DimExprAttr::product(kernel.getContext(), ArrayRef(dims).drop_back()) == other.rows;
    });
    if (same == groups.end())
      groups.push_back(group);
    else
      merge(*same, group);
  }
  return groups;
}

llvm::DenseMap<Operation *, DimExprAttr> codegen::rowScratch(kern::KernelOp kernel, SymbolicShapes &shapes,
                                                             DimExprAttr first) {
  auto constant = [&](int64_t value) { return DimExprAttr::constant(kernel.getContext(), value); };
  llvm::DenseMap<Operation *, DimExprAttr> offsets;
  for (Operation &op : kernel.getBlock()) {
    if (!isRowStatistic(&op))
      continue;
    offsets[&op] = first;
    DimExprAttr lines = DimExprAttr::ceilDiv(shapes.dims(op.getOperand(0)).back(), constant(16));
    first = DimExprAttr::add(first, DimExprAttr::mul(lines, constant(64)));
  }
  offsets[nullptr] = first;
  return offsets;
}
