//===- WeightOnlyKernel.h - tfm.dequantize as a contraction's weight -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_CODEGEN_CPU_WEIGHTONLYKERNEL_H
#define PERMALLOY_LIB_CODEGEN_CPU_WEIGHTONLYKERNEL_H

#include "permalloy/Codegen/CPU/Contraction.h"
#include "permalloy/Codegen/CPU/KernelFrame.h"

namespace permalloy::codegen {

/// What decodes a product's weight in its kernel, or null.
inline tfm::DequantizeOp decodingOf(tfm::LinearOp linear) { return linear.getWeight().getDefiningOp<tfm::DequantizeOp>(); }

/// Why a product with this weight needs the generic emitter, in a few words; empty when it does not.
std::string whyNotWeightOnly(tfm::DequantizeOp decode);

CodeFormat codeFormatOf(tfm::DequantizeOp decode);

/// The weight's parts in the kernel's memory. An error is emitted where one of them is not packed.
mlir::FailureOr<CodedWeight> codedWeightOf(KernelFrame &frame, tfm::DequantizeOp decode);

} // namespace permalloy::codegen

#endif
