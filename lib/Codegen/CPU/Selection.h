//===- Selection.h - the best elements of a row ------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_CODEGEN_CPU_SELECTION_H
#define PERMALLOY_LIB_CODEGEN_CPU_SELECTION_H

#include "ElementOps.h"

namespace permalloy::codegen {

/// A row of elements to choose from.
struct Selection {
  Element element;
  mlir::Value size;  ///< elements of the row, i64
  mlir::Value count; ///< how many are chosen, i64, at most `size`
  bool smallest = false;
  llvm::function_ref<mlir::Value(mlir::Value position)> at;
};

/// Calls `take(slot, position)` for slot 0 .. count - 1, in a loop: the positions of the best elements, best first, as
/// tfm.top_k orders them. Each slot takes one walk over the row, which keeps no list.
void emitSelection(KernelBuilder &b, const Selection &selection,
                   llvm::function_ref<void(mlir::Value slot, mlir::Value position)> take);

/// Whether x comes before y whatever their positions. NaN is larger than every number.
mlir::Value isAhead(KernelBuilder &b, Element element, bool smallest, mlir::Value x, mlir::Value y);

} // namespace permalloy::codegen

#endif
