//===- TokenKernels.h - scoring, merging and unmerging tokens ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_CODEGEN_CPU_TOKENKERNELS_H
#define PERMALLOY_LIB_CODEGEN_CPU_TOKENKERNELS_H

#include "permalloy/Codegen/CPU/KernelFrame.h"

namespace permalloy::codegen {

/// The one operation of a kernel of the emitter "tokens", or null with the reason why the kernel is none.
mlir::Operation *tokenRoot(kern::KernelOp kernel, std::string &reason);
/// Elements behind the first two dimensions.
int64_t tokenRowElements(mlir::Value tensor);

/// Why tfm.token_score cannot be emitted; empty when it can.
std::string whyNotTokenScore(tfm::TokenScoreOp op);
/// Bytes of scratch for `n` tokens.
tfm::DimExprAttr tokenScoreScratch(tfm::TokenScoreOp op, tfm::DimExprAttr n, const CpuTarget &target);
/// A tile for each sequence.
void emitTokenScore(KernelFrame &frame, tfm::TokenScoreOp op);

} // namespace permalloy::codegen

#endif
