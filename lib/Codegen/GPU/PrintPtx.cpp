//===- PrintPtx.cpp - the code of GPU kernels, for tests and eyes -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "permalloy/Codegen/GPU/GpuKernel.h"
#include "permalloy/Codegen/GPU/PtxEmission.h"
#include "permalloy/Codegen/KernelContext.h"
#include "permalloy/Codegen/Passes.h"

using namespace mlir;
using namespace permalloy;

namespace permalloy::codegen {
#define GEN_PASS_DEF_PRINTPTX
#include "permalloy/Codegen/Passes.h.inc"
} // namespace permalloy::codegen

namespace {

struct PrintPtx : codegen::impl::PrintPtxBase<PrintPtx> {
  using PrintPtxBase::PrintPtxBase;

  /// In a context of its own, which may load dialects while passes run.
  LogicalResult print(kern::KernelOp kernel, const codegen::GpuTarget &gpu) {
    codegen::KernelContext context(codegen::KernelContext::Device::Gpu);
    OwningOpRef<ModuleOp> source = context.parse(codegen::textOf(kernel));
    auto lowered = codegen::lowerGpuKernel(context.kernelOf(*source), gpu, kernel.getSymName());
    auto ptx = lowered ? codegen::emitPtx(**lowered, gpu) : llvm::Expected<std::string>(lowered.takeError());
    if (!ptx)
      return kernel.emitError(llvm::toString(ptx.takeError())) << ": " << context.takeError();
    llvm::outs() << *ptx;
    return success();
  }

  void runOnOperation() override {
    auto gpu = codegen::GpuTarget::parse(target);
    if (!gpu) {
      getOperation().emitError(llvm::toString(gpu.takeError()));
      return signalPassFailure();
    }
    for (auto kernel : getOperation().getOps<kern::KernelOp>())
      if ((!kernel.getSchedule() && failed(codegen::selectGpuSchedule(kernel, *gpu))) || failed(print(kernel, *gpu)))
        return signalPassFailure();
  }
};

} // namespace
