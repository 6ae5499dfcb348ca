//===- SelectSchedules.cpp - a schedule for every kernel ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "permalloy/Codegen/KernelEmitter.h"
#include "permalloy/Codegen/Passes.h"

using namespace permalloy;

namespace permalloy::codegen {
#define GEN_PASS_DEF_SELECTSCHEDULES
#include "permalloy/Codegen/Passes.h.inc"
} // namespace permalloy::codegen

namespace {

struct SelectSchedules : codegen::impl::SelectSchedulesBase<SelectSchedules> {
  using SelectSchedulesBase::SelectSchedulesBase;

  // One kernel after the other: selectSchedule listens to the context's diagnostics, which threads share.
  void runOnOperation() override {
    auto cpu = codegen::CpuTarget::parse(target);
    if (!cpu) {
      getOperation().emitError(llvm::toString(cpu.takeError()));
      return signalPassFailure();
    }
    for (auto kernel : getOperation().getOps<kern::KernelOp>())
      if (!kernel.getSchedule() && failed(codegen::selectSchedule(kernel, *cpu)))
        return signalPassFailure();
  }
};

} // namespace
