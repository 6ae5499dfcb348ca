//===- DimBounds.h - largest values of symbols -------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A model of 512 positions slices them to seq and so makes min(512, seq) rows, which it adds to seq
// rows. For seq > 512 that addition fails; so seq <= 512 holds in every run that succeeds, min(512,
// seq) is seq, and the runtime checks the bound. The bounds of a function stand in its attribute
// `tfm.dim_ranges`.
//
//===----------------------------------------------------------------------===//

#ifndef PERMALLOY_LIB_TRANSFORMS_CLEANUP_DIMBOUNDS_H
#define PERMALLOY_LIB_TRANSFORMS_CLEANUP_DIMBOUNDS_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "permalloy/Analysis/SymbolicShapes.h"

namespace permalloy {

class DimBounds {
public:
  /// Reads `tfm.dim_ranges`.
  explicit DimBounds(mlir::func::FuncOp function);
  /// Adds the bounds that the broadcasts of the function imply.
  void addImplied(mlir::func::FuncOp function);
  /// Writes `tfm.dim_ranges`.
  void store(mlir::func::FuncOp function) const;

  std::optional<int64_t> max(llvm::StringRef symbol) const;
  void add(llvm::StringRef symbol, int64_t max);
  /// `symbol` is `other` from now on, which takes the narrower of both ranges.
  void merge(llvm::StringRef symbol, llvm::StringRef other);
  /// `expr` with each min(constant, symbol) that the bounds decide replaced.
  tfm::DimExprAttr simplify(tfm::DimExprAttr expr) const;
  /// `expr` <= `limit` in every run, by the bounds.
  bool atMost(tfm::DimExprAttr expr, tfm::DimExprAttr limit) const;

private:
  struct Range {
    int64_t low = 0, high = INT64_MAX;
  };
  std::map<std::string, Range> ranges;
};

} // namespace permalloy

#endif
