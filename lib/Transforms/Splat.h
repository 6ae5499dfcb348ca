//===- Splat.h - values whose elements are all one number --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef PERMALLOY_LIB_TRANSFORMS_SPLAT_H
#define PERMALLOY_LIB_TRANSFORMS_SPLAT_H

#include "Tfm/Tfm.h"
#include "mlir/IR/PatternMatch.h"

namespace permalloy {

/// The element that all of `value` hold (IntegerAttr or FloatAttr), looking through operations that
/// only move or repeat elements; null when there is none.
mlir::Attribute splatElement(mlir::Value value);
/// The same as a number; bool is 0 or 1.
std::optional<double> splatNumber(mlir::Value value);
/// Every element is `expected` to 1e-6 relative.
bool isSplatOf(mlir::Value value, double expected);
/// `value` is `expected` to 1e-6 relative, or as near as two roundings to `element` (f16, bf16) leave it.
bool isNear(double value, double expected, mlir::Type element = {});

/// The operand of a product or quotient that is not the number, and what it is multiplied by.
struct Scaled {
  mlir::Value value;
  double factor = 1;
};
/// Walks up through products and quotients with one number that keep the shape of the other
/// operand.
Scaled stripScale(mlir::Value value);
/// One step of `stripScale`: nullopt when `value` is no product or quotient with a number.
std::optional<Scaled> stripOneScale(mlir::Value value);

/// A value of `dims` whose every element is `element`: a constant, or a scalar constant that is
/// broadcast.
mlir::Value createSplat(mlir::OpBuilder &builder, mlir::Location loc, mlir::TypedAttr element,
                        llvm::ArrayRef<tfm::DimExprAttr> dims);

} // namespace permalloy

#endif
