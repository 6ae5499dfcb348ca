//===- KernelEmitter.cpp - chooses the emitter of a kernel ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Codegen/KernelEmitter.h"
#include "permalloy/Codegen/CPU/Emitters.h"
#include "permalloy/Codegen/Common/ObjectEmission.h"

#include "mlir/IR/Verifier.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;

static LogicalResult scheduleFor(kern::KernelOp kernel, const CpuTarget &target,
                                 DictionaryAttr wanted = {}) {
  switch (kernel.getEmitter()) {
  case kern::Emitter::Contraction:
    return scheduleContractionKernel(kernel, target, wanted);
  case kern::Emitter::Attention:
    return scheduleAttentionKernel(kernel, target, wanted);
  case kern::Emitter::Route:
    return scheduleRouteKernel(kernel, target, wanted);
  case kern::Emitter::Tokens:
    return scheduleTokensKernel(kernel, target, wanted);
  case kern::Emitter::Row:
    return scheduleRowKernel(kernel, target, wanted);
  case kern::Emitter::Generic:
    return scheduleGenericKernel(kernel, target, wanted);
  }
  llvm_unreachable("an emitter of the enum");
}

std::unique_ptr<ScheduleSpace> permalloy::codegen::scheduleSpace(kern::KernelOp kernel, const CpuTarget &target) {
  switch (kernel.getEmitter()) {
  case kern::Emitter::Contraction:
    return contractionKernelSpace(kernel, target);
  case kern::Emitter::Attention:
    return attentionKernelSpace(kernel, target);
  case kern::Emitter::Row:
  case kern::Emitter::Generic:
    return tiledKernelSpace();
  case kern::Emitter::Route:
  case kern::Emitter::Tokens:
    return nullptr;
  }
  llvm_unreachable("an emitter of the enum");
}

LogicalResult permalloy::codegen::setSchedule(kern::KernelOp kernel, const CpuTarget &target,
                                              DictionaryAttr schedule) {
  return scheduleFor(kernel, target, schedule);
}

LogicalResult permalloy::codegen::selectSchedule(kern::KernelOp kernel, const CpuTarget &target) {
  if (kernel.getEmitter() == kern::Emitter::Generic)
    return scheduleFor(kernel, target);
  std::string reason;
  {
    ScopedDiagnosticHandler handler(kernel.getContext(), [&](Diagnostic &diagnostic) {
      reason += (reason.empty() ? "" : "; ") + diagnostic.str();
      return success();
    });
    if (succeeded(scheduleFor(kernel, target)))
      return success();
  }
  kernel.emitWarning("kernel '") << kernel.getSymName() << "' takes the generic emitter, which is slow: " << reason;
  kernel.setEmitter(kern::Emitter::Generic);
  return scheduleFor(kernel, target);
}

static LogicalResult emitBody(KernelFrame &frame) {
  switch (frame.kernel().getEmitter()) {
  case kern::Emitter::Contraction:
    return emitContractionKernel(frame);
  case kern::Emitter::Attention:
    return emitAttentionKernel(frame);
  case kern::Emitter::Route:
    return emitRouteKernel(frame);
  case kern::Emitter::Tokens:
    return emitTokensKernel(frame);
  case kern::Emitter::Row:
    return emitRowKernel(frame);
  case kern::Emitter::Generic:
    return emitGenericKernel(frame);
  }
  llvm_unreachable("an emitter of the enum");
}

LogicalResult permalloy::codegen::emitKernel(kern::KernelOp kernel, const CpuTarget &target, StringRef name,
                                             ModuleOp module) {
  if (!kernel.getTiles())
    return kernel.emitError("has no schedule; run select-schedules first");
  unsigned buffers = kernel.getBlock().getNumArguments() + kernel.yielded().size();
  KernelBuilder b(module, kernel.getLoc(), name, target, buffers, kernel.getSymbols().size());
  KernelFrame frame(b, kernel);
  if (failed(emitBody(frame)))
    return failure();
  b.finish();
  return success();
}

llvm::Expected<OwningOpRef<ModuleOp>> permalloy::codegen::lowerKernel(kern::KernelOp kernel, const CpuTarget &target,
                                                                      StringRef name) {
  OwningOpRef<ModuleOp> module = ModuleOp::create(kernel.getLoc());
  if (failed(emitKernel(kernel, target, name, *module)) || failed(verify(*module)) || failed(lowerToLLVM(*module, target)))
    return llvm::createStringError("kernel '" + name + "' could not be compiled");
  return module;
}

llvm::Expected<std::string> permalloy::codegen::codeOf(kern::KernelOp kernel, const CpuTarget &target) {
  auto module = lowerKernel(kernel, target, "kernel"); // not its own name, by which equal code would differ
  if (!module)
    return module.takeError();
  return KernelCache::keyOf(**module, target);
}

llvm::Expected<CompiledObject> permalloy::codegen::compileKernel(kern::KernelOp kernel,
                                                                 const CpuTarget &target,
                                                                 StringRef name,
                                                                 const KernelCache *cache) {
  auto lowered = lowerKernel(kernel, target, name);
  if (!lowered)
    return lowered.takeError();
  ModuleOp module = **lowered;
  CompiledObject result{{}, extraFeaturesOf(module)};
  std::string key = cache ? KernelCache::keyOf(module, target) : "";
  if (cache)
    if (auto known = cache->lookup(key)) {
      result.bytes = std::move(*known);
      result.fromCache = true;
      return result;
    }
  auto object = emitObject(module, target);
  if (!object)
    return object.takeError();
  result.bytes = std::move(*object);
  if (cache)
    cache->store(key, result.bytes);
  return result;
}
