//===- Elements.h - numbers of elements, for forms through ValueEmitter -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_CODEGEN_GPU_ELEMENTS_H
#define PERMALLOY_LIB_CODEGEN_GPU_ELEMENTS_H

#include "permalloy/Codegen/CPU/KernelFrame.h"
#include "permalloy/Codegen/GPU/GpuBuilder.h"
#include "permalloy/Codegen/ScheduleSpace.h"

namespace permalloy::codegen {

/// Why ValueEmitter does not know a kernel's operations, in a few words; empty when it does.
std::string whyNotValues(kern::KernelOp kernel);

/// Emits `body` twice: for a `width` that is a multiple of `elements`, and for any other. Which one runs
/// is the same for all threads.
void chooseVectors(KernelFrame &frame, tfm::DimExprAttr width, int64_t elements,
                   llvm::function_ref<void(bool isWhole)> body);

/// Lengths of vectors that a schedule space declares: those of 1, 4 and 8 elements up to `most`.
ScheduleSpace::Values elementChoices(int64_t most);

/// GpuBuilder::shortenDivisions for the largest of the kernel's tensors, those between its operations
/// included.
void shortenDivisions(KernelFrame &frame, GpuBuilder &b);

} // namespace permalloy::codegen

#endif
