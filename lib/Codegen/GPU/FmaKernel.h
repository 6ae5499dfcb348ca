//===- FmaKernel.h - what kernels of a tfm.linear share ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_CODEGEN_GPU_FMAKERNEL_H
#define PERMALLOY_LIB_CODEGEN_GPU_FMAKERNEL_H

#include "ProductEpilogue.h"
#include "SkinnyProduct.h"

namespace permalloy::codegen {

/// The weight of a layer, without its addresses.
ProductWeight productWeightOf(tfm::LinearOp linear);

/// Rows of A of a kernel with one tfm.linear.
tfm::DimExprAttr rowsOf(kern::KernelOp kernel);

/// The product of a kernel with one tfm.linear, whose input is an argument; an error was emitted where
/// it fails. `epilogue` stays where it is.
mlir::FailureOr<BlockProduct> blockProductOf(KernelFrame &frame, GpuBuilder &b,
                                             ProductEpilogue &epilogue);

/// Emits one block of few rows: all of them, times some panels and a part of K. Counters and partial
/// sums are at the launch's scratch.
void emitFewRows(GpuBuilder &b, const BlockProduct &product, const SkinnySchedule &schedule);

} // namespace permalloy::codegen

#endif
