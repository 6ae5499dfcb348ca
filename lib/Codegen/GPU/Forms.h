//===- Forms.h - the ways in which a GPU computes a kernel ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A form is one way to spread a kern.kernel over blocks and threads. Each stands in a file of its
// own and says of a kernel why it does not take it; the table (Forms.cpp) lists them from the most
// special to those that take everything. A kernel's schedule says which one it has, beside that
// form's own parameters:
//
//   schedule = {form = "tensor", block_rows = 64, ...}
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_LIB_CODEGEN_GPU_FORMS_H
#define PERMALLOY_LIB_CODEGEN_GPU_FORMS_H

#include "permalloy/Codegen/CPU/KernelFrame.h"
#include "permalloy/Codegen/GPU/GpuBuilder.h"
#include "permalloy/Codegen/GPU/GpuKernel.h"
#include "permalloy/Codegen/ScheduleSpace.h"

#include <memory>

namespace permalloy::codegen {

/// The parameter of a schedule that names its form.
constexpr llvm::StringLiteral kForm = "form";

struct GpuForm {
  llvm::StringLiteral name;
  /// Why this form cannot take a kernel, in a few words; empty when it can. Says nothing of whether
  /// another one is faster.
  std::string (*whyNot)(kern::KernelOp kernel, const GpuTarget &target);
  /// Writes schedule (without `form`), tiles and scratch bytes of a kernel that whyNot takes:
  /// `wanted` where that is not null, the default schedule else. Fails with an error at the kernel
  /// for a schedule that the form does not take.
  mlir::LogicalResult (*schedule)(kern::KernelOp kernel, const GpuTarget &target,
                                  mlir::DictionaryAttr wanted);
  /// The launch of a kernel with a schedule of this form. Fails with an error at the kernel when
  /// that is illegal.
  mlir::FailureOr<GpuLaunch> (*launch)(kern::KernelOp kernel);
  /// Emits the body of a kernel with a schedule of this form.
  mlir::LogicalResult (*emit)(KernelFrame &frame, GpuBuilder &b);
  /// The schedules of a kernel that whyNot takes, as offerSpace makes it of a ScheduleSpaceOf; null:
  /// the form has one schedule.
  std::unique_ptr<ScheduleSpace> (*space)(kern::KernelOp kernel, const GpuTarget &target) = nullptr;
};

/// All forms, in the order in which kernels are offered to them.
llvm::ArrayRef<GpuForm> gpuForms();
/// The form that the kernel's schedule names. Null, after an error at the kernel, where it names
/// none of them.
const GpuForm *gpuFormOf(kern::KernelOp kernel);
/// The parameters of a kernel's schedule without `form`, as a ScheduleSpace reads them.
mlir::DictionaryAttr formParameters(kern::KernelOp kernel);

/// The struct of a kernel's schedule; fails with an error at the kernel.
template <typename S>
mlir::FailureOr<S> readGpuSchedule(kern::KernelOp kernel, const ScheduleSpaceOf<S> &space) {
  auto schedule = space.read(formParameters(kernel));
  if (!schedule)
    return kernel.emitError("schedule ")
           << kernel.getScheduleAttr() << ": " << llvm::toString(schedule.takeError());
  return *schedule;
}

/// Puts a schedule on a kernel and gives it: `wanted`, checked, or `choice` where that is null.
template <typename S>
mlir::FailureOr<S> writeGpuSchedule(kern::KernelOp kernel, const ScheduleSpaceOf<S> &space,
                                    const S &choice, mlir::DictionaryAttr wanted) {
  kernel.setScheduleAttr(wanted ? wanted : space.write(kernel.getContext(), choice));
  return readGpuSchedule(kernel, space);
}

/// Puts the number of blocks on a kernel that needs no scratch.
void setBlocks(kern::KernelOp kernel, tfm::DimExprAttr blocks);
/// The launch of as many blocks as the kernel has tiles, with its scratch.
GpuLaunch launchBlocks(kern::KernelOp kernel, int64_t threads, int64_t sharedBytes = 0);

template <typename S> std::unique_ptr<ScheduleSpace> offerSpace(ScheduleSpaceOf<S> space) {
  return std::make_unique<ScheduleSpaceOf<S>>(std::move(space));
}

extern const GpuForm kTensorForm, kFmaForm, kExpertsForm, kAttentionForm, kAttentionFmaForm,
    kMatmulForm, kMatmulFmaForm, kRouteForm, kTokensForm, kRowForm, kFoldForm, kSelectForm, kVectorForm,
    kElementsForm, kRowsForm;

} // namespace permalloy::codegen

#endif
