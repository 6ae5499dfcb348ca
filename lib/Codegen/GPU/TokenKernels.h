//===- TokenKernels.h - scoring, merging and unmerging tokens ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_CODEGEN_GPU_TOKENKERNELS_H
#define PERMALLOY_LIB_CODEGEN_GPU_TOKENKERNELS_H

#include "permalloy/Codegen/CPU/KernelFrame.h"
#include "permalloy/Codegen/GPU/GpuBuilder.h"

namespace permalloy::codegen {

/// Threads of the block that scores a sequence.
constexpr int64_t kScoreThreads = 512;
/// Bytes of scratch for each sequence of `n` tokens.
tfm::DimExprAttr gpuScoreScratch(tfm::TokenScoreOp op, tfm::DimExprAttr n);
/// A block for each sequence.
void emitGpuTokenScore(KernelFrame &frame, GpuBuilder &b, tfm::TokenScoreOp op);

} // namespace permalloy::codegen

#endif
