//===- Generic.h - the emitter that takes everything -------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_CODEGEN_CPU_GENERIC_H
#define PERMALLOY_LIB_CODEGEN_CPU_GENERIC_H

#include "ValueEmitter.h"

namespace permalloy::codegen {

/// Whether what `emit` asks of `values`, on the tiles of a frame, has a vector form, found by
/// emitting it for nothing.
bool hasVectorForm(kern::KernelOp kernel, const CpuTarget &target,
                   llvm::function_ref<void(KernelFrame &frame, ValueEmitter &values)> emit);

/// Walks yielded value `index` of the kernel over the function's tiles, element by element.
void emitGenericResult(KernelFrame &frame, ValueEmitter &values, unsigned index);

/// The dimensions that the yielded values are walked in: their own, or the panel rows of packed ones.
llvm::SmallVector<tfm::Dims> genericWalks(kern::KernelOp kernel, SymbolicShapes &shapes);

/// Computes and stores one element of yielded value `index`: `row` and `column` of its walk.
void emitGenericElement(KernelFrame &frame, ValueEmitter &values, unsigned index, mlir::Value row, mlir::Value column);

/// The same for a native vector from `column` on, a multiple of the lanes; `values` says whether there is one (lostLanes). The result
/// is not packed.
void emitGenericVector(KernelFrame &frame, ValueEmitter &values, unsigned index, mlir::Value row, mlir::Value column);

} // namespace permalloy::codegen

#endif
