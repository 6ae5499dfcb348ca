//===- Trial.cpp - what a kernel's values would be made of ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Trial.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;

Trial::Trial(kern::KernelOp kernel, const GpuTarget &target)
    : target(target), context(KernelContext::Device::Gpu), source(context.parse(textOf(kernel))) {}

bool Trial::succeeds(unsigned threads, unsigned lanes, Emit emit) {
  if (!source)
    return false;
  kern::KernelOp kernel = KernelContext::kernelOf(*source);
  OwningOpRef<ModuleOp> module = ModuleOp::create(kernel.getLoc());
  unsigned buffers = kernel.getBlock().getNumArguments() + kernel.yielded().size();
  GpuBuilder b(*module, kernel.getLoc(), "trial", target, threads, buffers,
               kernel.getSymbols().size());
  b.setLanes(lanes);
  Value scratch = LLVM::ZeroOp::create(b, LLVM::LLVMPointerType::get(b.getContext()));
  b.setWorker(b.i64(0), b.i64(1), scratch);
  KernelFrame frame(b, kernel);
  bool isEmitted = emit(frame, b);
  context.takeError();
  return isEmitted && scratch.use_empty();
}
