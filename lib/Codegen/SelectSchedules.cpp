//===- SelectSchedules.cpp - a schedule for every kernel ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "permalloy/Codegen/GPU/GpuKernel.h"
#include "permalloy/Codegen/KernelEmitter.h"
#include "permalloy/Codegen/Passes.h"

using namespace mlir;
using namespace permalloy;

namespace permalloy::codegen {
#define GEN_PASS_DEF_SELECTSCHEDULES
#include "permalloy/Codegen/Passes.h.inc"
} // namespace permalloy::codegen

namespace {

struct SelectSchedules : codegen::impl::SelectSchedulesBase<SelectSchedules> {
  using SelectSchedulesBase::SelectSchedulesBase;

  LogicalResult scheduleKernel(kern::KernelOp kernel, const codegen::CpuTarget &cpu) {
    if (!kernel.getSchedule())
      return codegen::selectSchedule(kernel, cpu);
    return codegen::setSchedule(kernel, cpu, kernel.getScheduleAttr());
  }

  void printSpace(kern::KernelOp kernel, StringRef kind, StringRef target,
                  std::unique_ptr<codegen::ScheduleSpace> space) {
    codegen::printSpace(llvm::outs(), kernel.getSymName() + ", " + kind + ", " + target,
                        space.get());
  }

  LogicalResult scheduleForGpu() {
    auto gpu = codegen::GpuTarget::parse(target);
    if (!gpu)
      return getOperation().emitError(llvm::toString(gpu.takeError()));
    for (auto kernel : getOperation().getOps<kern::KernelOp>()) {
      if (failed(kernel.getSchedule()
                     ? codegen::setGpuSchedule(kernel, *gpu, kernel.getScheduleAttr())
                     : codegen::selectGpuSchedule(kernel, *gpu)))
        return failure();
      auto form = kernel.getScheduleAttr().getAs<StringAttr>("form");
      if (listSpaces)
        printSpace(kernel, form.getValue(), gpu->name, codegen::gpuScheduleSpace(kernel, *gpu));
    }
    return success();
  }

  // One kernel after the other: selectSchedule listens to the context's diagnostics, which threads
  // share.
  void runOnOperation() override {
    if (codegen::GpuTarget::isGpuName(target))
      return failed(scheduleForGpu()) ? signalPassFailure() : void();
    auto cpu = codegen::CpuTarget::parse(target);
    if (!cpu) {
      getOperation().emitError(llvm::toString(cpu.takeError()));
      return signalPassFailure();
    }
    for (auto kernel : getOperation().getOps<kern::KernelOp>()) {
      if (failed(scheduleKernel(kernel, *cpu)))
        return signalPassFailure();
      if (listSpaces)
        printSpace(kernel, kern::stringifyEmitter(kernel.getEmitter()), cpu->name,
                   codegen::scheduleSpace(kernel, *cpu));
    }
  }
};

} // namespace
