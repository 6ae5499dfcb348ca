//===- PtxEmission.cpp - LLVM dialect to PTX --------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Codegen/GPU/PtxEmission.h"
#include "permalloy/Codegen/Common/KernelCache.h"
#include "../Common/ModuleEmission.h"
#include "permalloy/Codegen/Common/ObjectEmission.h"
#include "permalloy/Codegen/GPU/GpuKernel.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Target/LLVMIR/Dialect/NVVM/NVVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/Instructions.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/Target/TargetOptions.h"

using namespace permalloy;
using namespace permalloy::codegen;
using llvm::Expected;
using llvm::StringRef;

void codegen::registerGpuDialects(mlir::DialectRegistry &registry) {
  registry.insert<mlir::NVVM::NVVMDialect>();
  mlir::registerNVVMDialectTranslation(registry);
}

/// The operating system "cuda" lets the backend take pointer parameters of kernels as global.
static const llvm::Triple &kernelTriple() {
  static const llvm::Triple triple("nvptx64-nvidia-cuda");
  return triple;
}

static Expected<std::unique_ptr<llvm::TargetMachine>> createMachine(const GpuTarget &target) {
  static const bool initialized = [] {
    LLVMInitializeNVPTXTargetInfo();
    LLVMInitializeNVPTXTarget();
    LLVMInitializeNVPTXTargetMC();
    LLVMInitializeNVPTXAsmPrinter();
    return true;
  }();
  (void)initialized;
  std::string error;
  const llvm::Target *backend = llvm::TargetRegistry::lookupTarget(kernelTriple(), error);
  if (!backend)
    return llvm::createStringError("this LLVM has no NVPTX backend: " + error);
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Fast; // as on CPUs: a * b + c may become one fma
  std::unique_ptr<llvm::TargetMachine> machine(backend->createTargetMachine(kernelTriple(), target.name, target.ptxFeature, options,
                                                                            std::nullopt, std::nullopt,
                                                                            llvm::CodeGenOptLevel::Aggressive));
  if (!machine)
    return llvm::createStringError("LLVM cannot generate code for " + target.name);
  return machine;
}

/// What a warp does together stays where all its threads come by: no pass may move it behind a branch, or copy it into both. LLVM 22
/// declares products of tensor cores as functions that know nothing of other threads, which may be sunk to where results are stored.
static void keepConvergent(llvm::Function &kernel) {
  for (llvm::Instruction &instruction : llvm::instructions(kernel)) {
    auto *call = llvm::dyn_cast<llvm::CallInst>(&instruction);
    const llvm::Function *callee = call ? call->getCalledFunction() : nullptr;
    if (callee && callee->getName().starts_with("llvm.nvvm.mma."))
      call->setConvergent();
  }
}

static Expected<std::unique_ptr<llvm::Module>> translate(mlir::ModuleOp module, llvm::LLVMContext &context,
                                                         llvm::TargetMachine &machine) {
  std::unique_ptr<llvm::Module> result = mlir::translateModuleToLLVMIR(module, context, "kernel");
  if (!result)
    return llvm::createStringError("internal error: a kernel did not translate to LLVM IR");
  result->setTargetTriple(kernelTriple());
  result->setDataLayout(machine.createDataLayout());
  for (llvm::Function &function : *result) {
    function.addFnAttr("target-cpu", machine.getTargetCPU());
    function.addFnAttr("no-builtins"); // a loop must not turn into a call of memcpy
    if (!function.isDeclaration())
      function.addFnAttr(llvm::Attribute::NoUnwind);
    keepConvergent(function);
  }
  optimizeModule(*result, machine);
  return result;
}

/// What `write` makes of the optimised IR.
static Expected<std::string> emit(mlir::ModuleOp module, const GpuTarget &target,
                                  llvm::function_ref<Expected<std::string>(llvm::Module &, llvm::TargetMachine &)> write) {
  auto machine = createMachine(target);
  if (!machine)
    return machine.takeError();
  llvm::LLVMContext context;
  auto translated = translate(module, context, **machine);
  if (!translated)
    return translated.takeError();
  return write(**translated, **machine);
}

Expected<std::string> codegen::emitGpuLLVMIR(mlir::ModuleOp module, const GpuTarget &target) {
  return emit(module, target, [](llvm::Module &translated, llvm::TargetMachine &) {
    std::string text;
    llvm::raw_string_ostream stream(text);
    translated.print(stream, nullptr);
    return Expected<std::string>(text);
  });
}

Expected<std::string> codegen::emitPtx(mlir::ModuleOp module, const GpuTarget &target) {
  return emit(module, target, generateAssembly);
}

Expected<std::string> codegen::gpuCodeOf(kern::KernelOp kernel, const GpuTarget &target) {
  auto module = lowerGpuKernel(kernel, target, "kernel"); // not its own name, by which equal code would differ
  if (!module)
    return module.takeError();
  return KernelCache::keyOf(**module, target, "");
}

Expected<mlir::OwningOpRef<mlir::ModuleOp>> codegen::lowerGpuKernel(kern::KernelOp kernel, const GpuTarget &target, StringRef name) {
  mlir::OwningOpRef<mlir::ModuleOp> module = mlir::ModuleOp::create(kernel.getLoc());
  if (failed(emitGpuKernel(kernel, target, name, *module)) || failed(mlir::verify(*module)) ||
      failed(lowerToLLVM(*module, target.thread())))
    return llvm::createStringError("kernel '" + name + "' could not be compiled for " + target.name);
  return module;
}
