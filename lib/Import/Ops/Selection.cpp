//===- Selection.cpp - TopK, NonZero and scatters ----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "OpTable.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

/// k is an attribute before opset 10, an input since.
LogicalResult importTopK(OpBinder &b) {
  Value x = b.input(0), count;
  if (b.failed())
    return failure();
  int64_t axis = b.normalizeAxis(b.intAttr("axis", -1), b.rank(x));
  bool smallest = b.opset() >= 11 && !b.intAttr("largest", 1);
  DimExprAttr k;
  if (b.opset() < 10)
    k = DimExprAttr::constant(b.builder.getContext(), b.intAttr("k", 1));
  else
    count = b.input(1);
  if (b.failed())
    return failure();
  if (count) {
    if (b.rank(count) > 1 || b.staticDim(b.reshape(count, {Extent(1)}), 0) != 1)
      return b.error("k must be one number");
    count = b.reshape(count, {Extent(1)});
    if (auto known = b.constantInts(count)) {
      k = DimExprAttr::constant(b.builder.getContext(), known->front());
      count = {};
    }
  }
  Value positions = b.create<TopKOp>(b.builder.getI64Type(), x, count, k,
                                     b.builder.getI64IntegerAttr(axis),
                                     smallest ? b.builder.getUnitAttr() : UnitAttr());
  if (b.hasOutput(0) && failed(b.yield(0, b.gatherElements(x, positions, axis))))
    return failure();
  return b.yield(1, positions);
}

LogicalResult importNonZero(OpBinder &b) {
  Value x = b.input(0);
  return b.yield(b.create<NonZeroOp>(b.builder.getI64Type(), x));
}

std::optional<ScatterReduction> reductionOf(OpBinder &b) {
  std::string name = b.stringAttr("reduction", "none");
  auto reduction = symbolizeScatterReduction(name);
  if (!reduction)
    (void)b.error("reduction '" + name + "' is none of none, add, mul, max, min");
  return reduction;
}

LogicalResult importScatterND(OpBinder &b) {
  Value data = b.input(0), indices = b.input(1), updates = b.input(2);
  auto reduction = reductionOf(b);
  if (b.failed())
    return failure();
  return b.yield(b.create<ScatterOp>(b.elementType(data), *reduction, data, indices, updates,
                                     IntegerAttr()));
}

LogicalResult importScatterElements(OpBinder &b) {
  Value data = b.input(0), indices = b.input(1), updates = b.input(2);
  auto reduction = reductionOf(b);
  if (b.failed())
    return failure();
  int64_t axis = b.normalizeAxis(b.intAttr("axis", 0), b.rank(data));
  return b.yield(b.create<ScatterOp>(b.elementType(data), *reduction, data, indices, updates,
                                     b.builder.getI64IntegerAttr(axis)));
}

constexpr OpClass S = OpClass::Structure;
const OpRow rows[] = {
    {"", "NonZero", 9, 13, S, importNonZero},
    {"", "Scatter", 9, 11, S, importScatterElements},
    {"", "ScatterElements", 11, 18, S, importScatterElements},
    {"", "ScatterND", 11, 18, S, importScatterND},
    {"", "TopK", 1, 24, S, importTopK},
};

} // namespace

ArrayRef<OpRow> permalloy::selectionRows() { return rows; }
