//===- AttentionKernel.h - what the emitters of attention read from a kernel -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// For kernels that whyNotAttention (Emitters.h) takes, on CPUs and GPUs alike.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_LIB_CODEGEN_CPU_ATTENTIONKERNEL_H
#define PERMALLOY_LIB_CODEGEN_CPU_ATTENTIONKERNEL_H

#include "permalloy/Codegen/CPU/Attention.h"
#include "permalloy/Codegen/CPU/KernelFrame.h"

namespace permalloy::codegen {

/// The one tfm.attention of a kernel, or null.
tfm::AttentionOp findAttention(kern::KernelOp kernel);

/// Size of a head of the query; kDynamic when it is not static.
int64_t attentionHeadSize(tfm::AttentionOp op);

/// Over the kernel's symbols. With offsets: sequences, and the length of the longest.
struct AttentionSizes {
  tfm::DimExprAttr batch, queries, keys;
};
AttentionSizes attentionSizes(tfm::AttentionOp op, kern::KernelOp kernel);

/// The attention of the frame's kernel: addresses, strides and sizes as values.
Attention readAttention(KernelFrame &frame);

} // namespace permalloy::codegen

#endif // PERMALLOY_LIB_CODEGEN_CPU_ATTENTIONKERNEL_H
