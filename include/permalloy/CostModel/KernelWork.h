//===- KernelWork.h - what a kernel computes and moves -----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_COSTMODEL_KERNELWORK_H
#define PERMALLOY_COSTMODEL_KERNELWORK_H

#include "Kern/Kern.h"

namespace permalloy {

/// Estimates for profiles, over the kernel's symbols; null where a size depends on data.
struct KernelWork {
  /// Floating point operations: 2 for each product of a contraction and its sum (of attention, only
  /// for keys that a causal mask leaves), 8 an element for layer_norm, 5 for rms_norm and softmax, 3
  /// for rotary, 1 for other elementwise operations and reductions.
  tfm::DimExprAttr flops;
  /// Bytes of every buffer once; of a table that is only gathered or sliced, what is taken.
  tfm::DimExprAttr bytes;
};

KernelWork workOf(kern::KernelOp kernel);

} // namespace permalloy

#endif // PERMALLOY_COSTMODEL_KERNELWORK_H
