//===- Positions.h - integer arithmetic on positions of tokens --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef PERMALLOY_LIB_TRANSFORMS_TOKENPRUNING_POSITIONS_H
#define PERMALLOY_LIB_TRANSFORMS_TOKENPRUNING_POSITIONS_H

#include "permalloy/Analysis/SymbolicShapes.h"

namespace permalloy {

/// Builds 1-D tensors of i64 and bool. Operands broadcast; numbers are expressions over dimensions.
class Positions {
public:
  Positions(mlir::OpBuilder &builder, mlir::Location loc, SymbolicShapes &shapes) : builder(builder), loc(loc), shapes(shapes) {}

  using Value = mlir::Value;
  using Dim = tfm::DimExprAttr;

  Dim number(int64_t value) { return Dim::constant(builder.getContext(), value); }
  /// [0, 1, ..., size - 1]
  Value range(Dim size) {
    return tfm::create<tfm::RangeOp>(builder, loc, shapes, i64(), mlir::ValueRange(), number(0), size, builder.getI64IntegerAttr(1));
  }
  Value value(Dim dim) {
    auto type = mlir::RankedTensorType::get({1}, i64());
    return tfm::DimValuesOp::create(builder, loc, type, tfm::dimArray(builder.getContext(), dim));
  }
  Value binary(tfm::BinaryKind kind, Value a, Value b) { return tfm::create<tfm::BinaryOp>(builder, loc, shapes, i64(), kind, a, b); }
  Value binary(tfm::BinaryKind kind, Value a, Dim b) { return binary(kind, a, value(b)); }
  Value binary(tfm::BinaryKind kind, Value a, int64_t b) { return binary(kind, a, number(b)); }
  Value less(Value a, Value b) {
    return tfm::create<tfm::CompareOp>(builder, loc, shapes, builder.getI1Type(), tfm::CompareKind::Lt, a, b);
  }
  Value select(Value condition, Value a, Value b) {
    return tfm::create<tfm::SelectOp>(builder, loc, shapes, i64(), condition, a, b);
  }

private:
  mlir::Type i64() { return builder.getI64Type(); }

  mlir::OpBuilder &builder;
  mlir::Location loc;
  SymbolicShapes &shapes;
};

} // namespace permalloy

#endif
