//===- IndexFunction.h - index tensors as affine functions -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Exporters write x[:, None, None, :] as a gather with computed indices. Here an index tensor is,
// where that is possible, a function of the position in it:
//
//   element at [i0, i1, ...]  =  base + coefficients[0] * i0 + coefficients[1] * i1 + ...
//
//   range from 0 size b                                  base 0   [1]
//   reshape of it to [b, 1, 1, 1]                        base 0   [1, 0, 0, 0]
//   times s, plus range of s as [1, 1, 1, s]             base 0   [s, 0, 0, 1]  over [b, 1, 1, s]
//
// The last one counts 0, 1, 2, ... in row-major order: its coefficients are the strides of its
// dimensions. Base and coefficients are expressions over symbols; the coefficient of a dimension of
// size one is 0.
//
//===----------------------------------------------------------------------===//

#ifndef PERMALLOY_LIB_TRANSFORMS_CLEANUP_INDEXFUNCTION_H
#define PERMALLOY_LIB_TRANSFORMS_CLEANUP_INDEXFUNCTION_H

#include "permalloy/Analysis/SymbolicShapes.h"

namespace permalloy {

struct IndexFunction {
  tfm::DimExprAttr base;
  tfm::Dims coefficients;
  tfm::Dims dims;

  /// Base plus every coefficient times the last position; null when a coefficient may be negative.
  tfm::DimExprAttr largest() const;
  /// The coefficients are the row-major strides of the dimensions.
  bool countsUp() const;
};

/// The function that the elements of `value` are; nullopt when they are not affine in the position.
std::optional<IndexFunction> indexFunction(mlir::Value value, SymbolicShapes &shapes);
/// The same of column `column` of the last dimension of a constant, without that dimension.
std::optional<IndexFunction> columnOfConstant(tfm::ConstantOp op, int64_t column);
/// The same elements seen with other dimensions.
std::optional<IndexFunction> regroup(const IndexFunction &function,
                                     llvm::ArrayRef<tfm::DimExprAttr> dims);
/// a + factor * b, with numpy broadcasting.
std::optional<IndexFunction> addScaled(const IndexFunction &a, const IndexFunction &b,
                                       tfm::DimExprAttr factor);

} // namespace permalloy

#endif
