//===- RowFolds.h - sums and maxima of a row by several threads -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What CPU/RowStatistics.h is for one worker. A thread has parts of its row: vectors (or, where rows are
// no whole vectors, single elements), each beside that of the next thread:
//
//   part p of thread t      columns (p * threads + t) * elements ...
//
// Where a row has few enough parts they are written out. A thread then asks ValueEmitter for the same
// columns in every pass, which remembers its answers: the values stay in registers from the first pass
// to the stores. Longer rows, and those of unknown length, are loops that compute the values again;
// where the length turns out to be a multiple of the vectors', their elements are taken as these.
// Columns past the row's end are column 0, read for nothing and left out.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_LIB_CODEGEN_GPU_ROWFOLDS_H
#define PERMALLOY_LIB_CODEGEN_GPU_ROWFOLDS_H

#include "../CPU/ValueEmitter.h"
#include "RowThreads.h"
#include "Tfm/Outliers.h"

namespace permalloy::codegen {

class RowFolds {
public:
  using Value = mlir::Value;

  /// Of the row `row`, which exists. Parts have up to `elements` elements: 1 or the builder's lanes.
  /// `whole`: a width that is not known but a multiple of them; may be null.
  RowFolds(ValueEmitter &values, RowThreads &threads, Value row, int64_t elements,
           tfm::DimExprAttr whole = {});

  /// Computes a row statistic (see CPU/RowGroups.h) whose producers are prepared, and binds the values
  /// that follow from it for sites of this row.
  void prepare(mlir::Operation *op);

  /// Calls `body` for the thread's parts of a row of `width` elements; `exists` is null for those that
  /// every thread has.
  using Body = llvm::function_ref<void(const Site &site, Value exists)>;
  void forEachPart(tfm::DimExprAttr width, Body body);

private:
  using Step = llvm::function_ref<llvm::SmallVector<Value>(mlir::ValueRange carried, const Site &site)>;
  llvm::SmallVector<Value> walk(tfm::DimExprAttr width, mlir::ValueRange init, Step step);
  using Term = llvm::function_ref<Value(Value accumulator, Value x)>;
  Value fold(Value tensor, tfm::ReduceKind kind, Term term);
  Value acrossRow(Value own, RowThreads::Combine combine);
  Value combine(tfm::ReduceKind kind, Value x, Value y);
  Value like(Value shape, Value scalar);
  bool hasVectors(tfm::DimExprAttr width) const;
  Site siteAt(Value column, int64_t elements);
  bool isHere(const Site &site) const;
  Value widthOf(Value tensor);

  void prepare(tfm::SoftmaxOp op);
  void prepare(tfm::LayerNormOp op);
  void prepare(tfm::RmsNormOp op);
  void prepare(tfm::ReduceOp op);
  void bindNumber(Value tensor, Value number);
  // RowOutliers.cpp
  void prepare(tfm::OutlierLimitOp op);
  void prepare(tfm::OutlierPositionsOp op);
  void prepare(tfm::OutlierValuesOp op);
  void bindFew(Value tensor, llvm::ArrayRef<Value> elements);
  Value numberWords(const Site &site);

  struct Part {
    Value column, exists;
  };
  ValueEmitter &values;
  KernelBuilder &b;
  ElementOps &ops;
  RowThreads &threads;
  Value row;
  int64_t elements;
  tfm::DimExprAttr whole;
  Element f32;
  llvm::DenseMap<int64_t, llvm::SmallVector<Part>> parts; ///< by width
};

} // namespace permalloy::codegen

#endif
