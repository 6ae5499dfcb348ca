//===- ShapeRules.h - what the shape rules share ----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// One rule per operation, asked by the verifier (through TypeOracle), by the importer and by Analysis/SymbolicShapes.
// A null dimension means "unknown"; arithmetic on it gives null again. The rules stand in ShapesOf*.cpp.
//
//===----------------------------------------------------------------------===//

#ifndef PERMALLOY_DIALECTS_TFM_SHAPERULES_H
#define PERMALLOY_DIALECTS_TFM_SHAPERULES_H

#include "Tfm/Tfm.h"

namespace permalloy::tfm {

using namespace mlir;

using Contents = std::optional<Dims>;

inline DimExprAttr cst(MLIRContext *context, int64_t value) { return DimExprAttr::constant(context, value); }

inline LogicalResult fail(std::string &error, const Twine &message) {
  error = message.str();
  return failure();
}

/// Both known and different: an error.
inline bool differ(DimExprAttr a, DimExprAttr b) {
  return a && b && a.asConstant() && b.asConstant() && a != b;
}

/// `dims` broadcasts with `target` and does not widen it.
inline bool broadcastsTo(ArrayRef<DimExprAttr> dims, ArrayRef<DimExprAttr> target) {
  auto joined = broadcastDims(target, dims);
  return dims.size() <= target.size() && joined &&
         llvm::none_of(llvm::zip(*joined, target), [](auto pair) { return differ(std::get<0>(pair), std::get<1>(pair)); });
}

/// Broadcasts all operands of an elementwise operation.
inline LogicalResult broadcastOperands(Operation *op, ShapeOracle &oracle, Dims &dims, std::string &error) {
  Dims result = oracle.dims(op->getOperand(0));
  for (Value operand : op->getOperands().drop_front()) {
    Dims next = oracle.dims(operand);
    auto joined = broadcastDims(result, next);
    if (!joined)
      return fail(error, "shapes " + str(result) + " and " + str(next) + " do not broadcast (" + op->getName().stripDialect() + "_c2)");
    result = *joined;
  }
  dims = result;
  return success();
}

inline int64_t rankOf(Value value) { return cast<RankedTensorType>(value.getType()).getRank(); }

/// Contents that `value` may broadcast to `count` elements.
inline std::optional<DimExprAttr> elementAt(const Dims &contents, size_t index) {
  if (contents.size() == 1)
    return contents.front();
  return index < contents.size() ? std::optional(contents[index]) : std::nullopt;
}

/// Declared type of the first result against the shape rule.
LogicalResult verifyShape(Operation *op);

} // namespace permalloy::tfm

#endif
