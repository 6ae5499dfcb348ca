//===- PtxEmission.cpp - LLVM dialect to PTX --------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Codegen/GPU/PtxEmission.h"
#include "permalloy/Codegen/Common/ObjectEmission.h"
#include "permalloy/Codegen/GPU/GpuKernel.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Target/LLVMIR/Dialect/NVVM/NVVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
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

static void optimize(llvm::Module &module, llvm::TargetMachine &machine) {
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager callGraph;
  llvm::ModuleAnalysisManager modules;
  llvm::PipelineTuningOptions tuning;
  tuning.LoopVectorization = tuning.SLPVectorization = false;
  tuning.LoopInterleaving = tuning.LoopUnrolling = false;
  llvm::PassBuilder builder(&machine, tuning);
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(callGraph);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, callGraph, modules);
  builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O2).run(module, modules);
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
  }
  optimize(*result, machine);
  return result;
}

Expected<std::string> codegen::emitGpuLLVMIR(mlir::ModuleOp module, const GpuTarget &target) {
  auto machine = createMachine(target);
  if (!machine)
    return machine.takeError();
  llvm::LLVMContext context;
  auto translated = translate(module, context, **machine);
  if (!translated)
    return translated.takeError();
  std::string text;
  llvm::raw_string_ostream stream(text);
  (*translated)->print(stream, nullptr);
  return text;
}

Expected<std::string> codegen::emitPtx(mlir::ModuleOp module, const GpuTarget &target) {
  auto machine = createMachine(target);
  if (!machine)
    return machine.takeError();
  llvm::LLVMContext context;
  auto translated = translate(module, context, **machine);
  if (!translated)
    return translated.takeError();
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream stream(bytes);
  llvm::legacy::PassManager passes;
  if ((*machine)->addPassesToEmitFile(passes, stream, nullptr, llvm::CodeGenFileType::AssemblyFile))
    return llvm::createStringError("LLVM cannot emit PTX for " + target.name);
  passes.run(**translated);
  return std::string(bytes.begin(), bytes.end());
}

Expected<mlir::OwningOpRef<mlir::ModuleOp>> codegen::lowerGpuKernel(kern::KernelOp kernel, const GpuTarget &target, StringRef name) {
  mlir::OwningOpRef<mlir::ModuleOp> module = mlir::ModuleOp::create(kernel.getLoc());
  if (failed(emitGpuKernel(kernel, target, name, *module)) || failed(mlir::verify(*module)) ||
      failed(lowerToLLVM(*module, target.thread())))
    return llvm::createStringError("kernel '" + name + "' could not be compiled for " + target.name);
  return module;
}
