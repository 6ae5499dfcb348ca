//===- RowGroups.h - which results of a row kernel go together ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_CODEGEN_CPU_ROWGROUPS_H
#define PERMALLOY_LIB_CODEGEN_CPU_ROWGROUPS_H

#include "Kern/Kern.h"
#include "permalloy/Analysis/SymbolicShapes.h"

namespace permalloy::codegen {

/// Results that one walk over rows writes.
struct RowGroup {
  /// Indices of yielded values.
  llvm::SmallVector<unsigned> results;
  /// Dimensions that are walked: rows of columns, or one number for all elements.
  tfm::Dims dims;
  /// Product of the leading dimensions.
  tfm::DimExprAttr rows;
  /// Row statistics under the results, producers first: softmax, layer_norm and reduce over the last dimension.
  llvm::SmallVector<mlir::Operation *> statistics;
  /// All operands have the results' shape or one element: elements are numbered through.
  bool collapsed = false;
};

/// The groups of a kernel. Results whose elements have no vectors, or whose statistics run over other rows than their
/// elements, are in no group.
llvm::SmallVector<RowGroup> rowGroups(kern::KernelOp kernel, SymbolicShapes &shapes);

/// A softmax, layer_norm or reduction over the last dimension of f32, f16 or bf16, or what finds and takes the outliers of its rows.
bool isRowStatistic(mlir::Operation *op);

/// Scratch rows of the statistics' inputs, behind `first` bytes: offsets, and the end under the null operation.
llvm::DenseMap<mlir::Operation *, tfm::DimExprAttr> rowScratch(kern::KernelOp kernel, SymbolicShapes &shapes,
                                                               tfm::DimExprAttr first);

} // namespace permalloy::codegen

#endif
