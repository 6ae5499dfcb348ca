//===- GpuKernel.cpp - chooses and drives the GPU emitters ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Codegen/GPU/GpuKernel.h"
#include "Forms.h"
#include "permalloy/Codegen/GPU/SchedulePrice.h"

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

/// Forms are tried in the order of their table: what distinguishes them (tensor cores, threads of a row) is no matter of sizes, and
/// the prior compares schedules of one form better than it compares forms.
LogicalResult codegen::selectGpuSchedule(kern::KernelOp kernel, const GpuTarget &target, GpuChooser chooser, double *gain) {
  std::string reason;
  const GpuForm *form = llvm::find_if(gpuForms(), [&](const GpuForm &each) {
    return (reason = each.whyNot(kernel, target)).empty();
  });
  if (form == gpuForms().end())
    return kernel.emitError("kernel '")
           << kernel.getSymName() << "' is unsupported on GPU targets: " << reason;
  if (failed(select(kernel, *form, target, nullptr)))
    return failure();
  auto faster = chooser == GpuChooser::Prior ? fasterGpuSchedule(kernel, target) : std::nullopt;
  if (gain)
    *gain = faster ? faster->gain : 1;
  return faster ? setGpuSchedule(kernel, target, faster->schedule) : success();
}

std::unique_ptr<ScheduleSpace> codegen::gpuScheduleSpace(kern::KernelOp kernel, const GpuTarget &target) {
  const GpuForm *form = gpuFormOf(kernel);
  return form && form->space ? form->space(kernel, target) : nullptr;
}

DictionaryAttr codegen::gpuSchedule(kern::KernelOp kernel, const ScheduleSpace &space, ArrayRef<int64_t> values) {
  NamedAttrList schedule(space.attribute(kernel.getContext(), values));
  schedule.set(kForm, kernel.getScheduleAttr().get(kForm));
  return schedule.getDictionary(kernel.getContext());
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
