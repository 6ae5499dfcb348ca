//===- Transpose.h - transposing a square of registers ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_CODEGEN_CPU_TRANSPOSE_H
#define PERMALLOY_CODEGEN_CPU_TRANSPOSE_H

#include "permalloy/Codegen/CPU/KernelBuilder.h"

namespace permalloy::codegen {

/// Lanes of two vectors x and y for shuffles that exchange their halves, in units of `size` lanes
/// of `lanes`:
///   low  x0 y0 x2 y2 ...     high  x1 y1 x3 y3 ...
struct ExchangeMasks {
  ExchangeMasks(int64_t lanes, int64_t size);
  llvm::SmallVector<int64_t> low, high;
};

/// `rows` are as many native vectors as one has lanes; result[i] lane j = rows[j] lane i. Takes
/// lanes * log2(lanes) two-operand shuffles.
llvm::SmallVector<mlir::Value> emitTranspose(KernelBuilder &b, llvm::ArrayRef<mlir::Value> rows);

} // namespace permalloy::codegen

#endif // PERMALLOY_CODEGEN_CPU_TRANSPOSE_H
