//===- KernelFrame.h - a kern.kernel's buffers and dimensions as values -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_CODEGEN_CPU_KERNELFRAME_H
#define PERMALLOY_CODEGEN_CPU_KERNELFRAME_H

#include "Kern/Kern.h"
#include "permalloy/Analysis/SymbolicShapes.h"
#include "permalloy/Codegen/CPU/KernelBuilder.h"

namespace permalloy::codegen {

/// What every emitter asks about the kern.kernel it writes. Buffers are the kernel's arguments in
/// order, then its yielded values; scalars are its symbols in order.
class KernelFrame {
public:
  KernelFrame(KernelBuilder &b, kern::KernelOp kernel) : b(b), op(kernel) {}

  kern::KernelOp kernel() { return op; }
  KernelBuilder &builder() { return b; }

  /// The base address of a block argument.
  mlir::Value argument(mlir::Value tensor) {
    return b.buffer(mlir::cast<mlir::BlockArgument>(tensor).getArgNumber());
  }
  /// The base address of the `index`th yielded value.
  mlir::Value result(unsigned index) { return b.buffer(op.getBlock().getNumArguments() + index); }

  /// Dimensions of any value of the kernel, over its symbols.
  tfm::Dims dims(mlir::Value tensor) { return shapes.dims(tensor); }
  /// An expression over the kernel's symbols, as i64. Emitted where the builder stands; constants
  /// fold, and equal expressions are merged by the later passes.
  mlir::Value emit(tfm::DimExprAttr expr);
  mlir::Value dim(mlir::Value tensor, unsigned index) { return emit(dims(tensor)[index]); }
  /// Product of the dimensions [first, last) of a tensor.
  mlir::Value product(mlir::Value tensor, unsigned first, unsigned last);

private:
  KernelBuilder &b;
  kern::KernelOp op;
  SymbolicShapes shapes;
};

} // namespace permalloy::codegen

#endif // PERMALLOY_CODEGEN_CPU_KERNELFRAME_H
