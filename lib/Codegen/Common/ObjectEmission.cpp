//===- ObjectEmission.cpp - LLVM dialect to object or assembly --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Codegen/Common/ObjectEmission.h"
#include "ModuleEmission.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/Target/TargetOptions.h"
#include "llvm/Transforms/Utils/Cloning.h"

using namespace permalloy::codegen;
using llvm::Expected;
using llvm::StringRef;

static const llvm::Triple &kernelTriple() {
  static const llvm::Triple triple("x86_64-unknown-linux-gnu");
  return triple;
}

/// What stands for a thread of a GPU in tests is compiled more often than it is run.
static llvm::CodeGenOptLevel levelFor(const CpuTarget &target) {
  return target.isGpuThread() ? llvm::CodeGenOptLevel::None : llvm::CodeGenOptLevel::Aggressive;
}

static Expected<std::unique_ptr<llvm::TargetMachine>> createMachine(const CpuTarget &target) {
  static const bool initialized = [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    return true;
  }();
  (void)initialized;
  std::string error;
  const llvm::Target *backend = llvm::TargetRegistry::lookupTarget(kernelTriple(), error);
  if (!backend)
    return llvm::createStringError("this LLVM has no x86 backend: " + error);
  llvm::TargetOptions options;
  // a * b + c may become one fma (decision 20); nothing else is relaxed.
  options.AllowFPOpFusion = llvm::FPOpFusion::Fast;
  options.MCOptions.AsmVerbose = true;
  std::unique_ptr<llvm::TargetMachine> machine(backend->createTargetMachine(
      kernelTriple(), target.llvmCpu, /*Features=*/"", options, llvm::Reloc::PIC_,
      llvm::CodeModel::Small, levelFor(target)));
  if (!machine)
    return llvm::createStringError("LLVM cannot generate code for " + target.name);
  return machine;
}

/// Which intrinsics need which feature, by the beginning of their names.
static constexpr std::pair<StringRef, StringRef> kIntrinsicFeatures[] = {
    {"llvm.x86.avx512bf16.", "avx512bf16"}, {"llvm.x86.avx512fp16.", "avx512fp16"},
    {"llvm.x86.avx512.vpdpbusd.256", "avxvnni"}, {"llvm.x86.avx512.vpdpb", "avx512vnni"}, {"llvm.x86.ldtilecfg", "amx-tile"},
    {"llvm.x86.tile", "amx-tile"},           {"llvm.x86.tdpbf16ps", "amx-bf16"},
    {"llvm.x86.tdpb", "amx-int8"}};

llvm::SmallVector<StringRef> permalloy::codegen::extraFeaturesOf(mlir::ModuleOp module) {
  llvm::SmallSetVector<StringRef, 4> features;
  module.walk([&](mlir::LLVM::CallIntrinsicOp call) {
    for (auto [prefix, feature] : kIntrinsicFeatures)
      if (call.getIntrin().starts_with(prefix)) {
        features.insert(feature);
        return;
      }
  });
  llvm::SmallVector<StringRef> result = features.takeVector();
  llvm::sort(result);
  return result;
}

/// Without these the backend prefers 256-bit registers and splits every AVX-512 value.
static void setTargetAttributes(llvm::Module &module, const CpuTarget &target,
                                llvm::ArrayRef<StringRef> extraFeatures) {
  std::string bits = std::to_string(target.vectorBits);
  std::string features = llvm::join(
      llvm::map_range(extraFeatures, [](StringRef name) { return "+" + name.str(); }), ",");
  for (llvm::Function &function : module) {
    function.addFnAttr("target-cpu", target.llvmCpu);
    function.addFnAttr("tune-cpu", target.llvmTuneCpu);
    if (!features.empty())
      function.addFnAttr("target-features", features);
    function.addFnAttr("prefer-vector-width", bits);
    function.addFnAttr("min-legal-vector-width", bits);
    function.addFnAttr("no-builtins"); // a loop must not turn into a call of memcpy
    if (!function.isDeclaration())
      function.addFnAttr(llvm::Attribute::NoUnwind);
  }
}

static Expected<std::unique_ptr<llvm::Module>> translate(mlir::ModuleOp module,
                                                         const CpuTarget &target,
                                                         llvm::LLVMContext &context,
                                                         llvm::TargetMachine &machine) {
  std::unique_ptr<llvm::Module> result = mlir::translateModuleToLLVMIR(module, context, "kernel");
  if (!result)
    return llvm::createStringError("internal error: a kernel did not translate to LLVM IR");
  result->setTargetTriple(kernelTriple());
  result->setDataLayout(machine.createDataLayout());
  setTargetAttributes(*result, target, extraFeaturesOf(module));
  optimizeModule(*result, machine);
  return result;
}

/// What `write` makes of the optimised IR.
template <typename Result>
static Expected<Result>
emit(mlir::ModuleOp module, const CpuTarget &target,
     llvm::function_ref<Expected<Result>(llvm::Module &, llvm::TargetMachine &)> write) {
  auto machine = createMachine(target);
  if (!machine)
    return machine.takeError();
  llvm::LLVMContext context;
  auto translated = translate(module, target, context, **machine);
  if (!translated)
    return translated.takeError();
  return write(**translated, **machine);
}

Expected<llvm::SmallVector<char, 0>> permalloy::codegen::emitObject(mlir::ModuleOp module,
                                                                    const CpuTarget &target) {
  return emit<llvm::SmallVector<char, 0>>(
      module, target, [](llvm::Module &translated, llvm::TargetMachine &machine) {
        return generateCode(translated, machine, llvm::CodeGenFileType::ObjectFile);
      });
}

Expected<std::string> permalloy::codegen::emitAssembly(mlir::ModuleOp module,
                                                       const CpuTarget &target) {
  return emit<std::string>(module, target, generateAssembly);
}

static Expected<ObjectAndAssembly> generateBoth(llvm::Module &translated,
                                                llvm::TargetMachine &machine) {
  std::unique_ptr<llvm::Module> copy = llvm::CloneModule(translated);
  auto object = generateCode(translated, machine, llvm::CodeGenFileType::ObjectFile);
  if (!object)
    return object.takeError();
  auto assembly = generateAssembly(*copy, machine);
  if (!assembly)
    return assembly.takeError();
  return ObjectAndAssembly{std::move(*object), std::move(*assembly)};
}

Expected<ObjectAndAssembly> permalloy::codegen::emitObjectAndAssembly(mlir::ModuleOp module,
                                                                      const CpuTarget &target) {
  return emit<ObjectAndAssembly>(module, target, generateBoth);
}

Expected<std::string> permalloy::codegen::emitLLVMIR(mlir::ModuleOp module,
                                                     const CpuTarget &target) {
  return emit<std::string>(module, target, [](llvm::Module &translated, llvm::TargetMachine &) {
    std::string text;
    llvm::raw_string_ostream stream(text);
    translated.print(stream, nullptr);
    return Expected<std::string>(text);
  });
}
