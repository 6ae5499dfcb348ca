//===- GpuKernel.cpp - chooses and drives the GPU emitters ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Codegen/GPU/GpuKernel.h"
#include "Forms.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;

static LogicalResult select(kern::KernelOp kernel, const GpuForm &form, const GpuTarget &target,
                            DictionaryAttr wanted) {
  if (failed(form.schedule(kernel, target, wanted)))
    return failure();
  NamedAttrList schedule(kernel.getScheduleAttr());
  schedule.set(kForm, StringAttr::get(kernel.getContext(), form.name));
  kernel.setScheduleAttr(schedule.getDictionary(kernel.getContext()));
  return success();
}

LogicalResult codegen::setGpuSchedule(kern::KernelOp kernel, const GpuTarget &target,
                                      DictionaryAttr wanted) {
  kernel.setScheduleAttr(wanted);
  const GpuForm *form = gpuFormOf(kernel);
  if (!form)
    return failure();
  if (std::string reason = form->whyNot(kernel, target); !reason.empty())
    return kernel.emitError("kernel '")
           << kernel.getSymName() << "' has no form '" << form->name << "': " << reason;
  return select(kernel, *form, target, formParameters(kernel));
}

LogicalResult codegen::selectGpuSchedule(kern::KernelOp kernel, const GpuTarget &target) {
  std::string reason;
  for (const GpuForm &form : gpuForms())
    if (reason = form.whyNot(kernel, target); reason.empty())
      return select(kernel, form, target, nullptr);
  return kernel.emitError("kernel '")
         << kernel.getSymName() << "' is unsupported on GPU targets: " << reason;
}

GpuLaunch codegen::gpuLaunch(kern::KernelOp kernel) {
  const GpuForm *form = gpuFormOf(kernel);
  return form ? *form->launch(kernel) : GpuLaunch();
}

LogicalResult codegen::emitGpuKernel(kern::KernelOp kernel, const GpuTarget &target, StringRef name,
                                     ModuleOp module) {
  if (!kernel.getTiles())
    return kernel.emitError("has no schedule; run select-schedules first");
  const GpuForm *form = gpuFormOf(kernel);
  if (!form)
    return failure();
  FailureOr<GpuLaunch> launch = form->launch(kernel);
  if (failed(launch))
    return failure();
  unsigned buffers = kernel.getBlock().getNumArguments() + kernel.yielded().size();
  GpuBuilder b(module, kernel.getLoc(), name, target, launch->threads, buffers,
               kernel.getSymbols().size());
  KernelFrame frame(b, kernel);
  if (failed(form->emit(frame, b)))
    return failure();
  b.finish();
  return success();
}
