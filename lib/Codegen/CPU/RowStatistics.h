//===- RowStatistics.h - sums and maxima of one row in vectors ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_CODEGEN_CPU_ROWSTATISTICS_H
#define PERMALLOY_LIB_CODEGEN_CPU_ROWSTATISTICS_H

#include "Tfm/Outliers.h"
#include "ValueEmitter.h"

namespace permalloy::codegen {

/// Calls `body` for each native vector of the columns [first, end); the last one may be partial and then has a mask of the
/// lanes that exist (else null). `width` is the constant end - first where known.
void forEachVector(ValueEmitter &values, mlir::Value first, mlir::Value end, std::optional<int64_t> width,
                   llvm::function_ref<void(mlir::Value column, mlir::Value mask)> body);

/// Computes the row statistics of the row `row`, and binds the values that follow from them for sites of this row.
class RowStatistics {
public:
  using Value = mlir::Value;
  RowStatistics(ValueEmitter &values, Value row);

  /// `op` is a row statistic (see RowGroups.h) whose producers are prepared.
  void prepare(mlir::Operation *op);

private:
  using Step = llvm::function_ref<Value(Value accumulator, const Site &site)>;
  Value fold(tfm::DimExprAttr width, tfm::ReduceKind kind, bool isLong, Step step);
  using Steps = llvm::function_ref<llvm::SmallVector<Value>(mlir::ValueRange carried, const Site &site)>;
  llvm::SmallVector<Value> walk(mlir::ValueRange init, Steps step);
  /// The vector of the row from `column` on.
  Site siteAt(Value column) const;
  bool isLong(Value value) const;
  Value readInput(const Site &site);
  void keepInput();
  void bindScratch(Value tensor, Value factor);
  bool isHere(const Site &site) const;

  void prepare(tfm::SoftmaxOp op);
  void prepare(tfm::LayerNormOp op);
  void prepare(tfm::RmsNormOp op);
  void prepare(tfm::ReduceOp op);
  // RowOutliers.cpp
  void prepare(tfm::OutlierLimitOp op);
  void prepare(tfm::OutlierPositionsOp op);
  void prepare(tfm::OutlierValuesOp op);
  void bindNumber(Value tensor, Value number);
  void bindFew(Value tensor, Value from);

  ValueEmitter &values;
  KernelBuilder &b;
  ElementOps &ops;
  Value row;
  Element f32;
  llvm::DenseMap<mlir::Operation *, tfm::DimExprAttr> offsets;
  SymbolicShapes shapes;
  llvm::DenseSet<Value> kept;
  // Of the statistic being prepared:
  Value input, memory;
  tfm::DimExprAttr width;
};

} // namespace permalloy::codegen

#endif
