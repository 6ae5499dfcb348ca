//===- Reduction.h - what kinds of reductions are made of -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_CODEGEN_CPU_REDUCTION_H
#define PERMALLOY_LIB_CODEGEN_CPU_REDUCTION_H

#include "ElementOps.h"

namespace permalloy::codegen {

/// The operation that joins two elements; of magnitudes for absmax.
tfm::BinaryKind combinerOf(tfm::ReduceKind kind);
/// The element that changes nothing.
mlir::Value neutralOf(ElementOps &ops, Element e, tfm::ReduceKind kind);
/// The type that a reduction adds up in: f32 for halves.
Element accumulatorOf(Element e);

} // namespace permalloy::codegen

#endif
