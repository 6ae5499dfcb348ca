//===- KernelLowering.cpp - a built kernel to the LLVM dialect --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Codegen/Common/ObjectEmission.h"

#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/Passes.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVMPass.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Transforms/Passes.h"

using namespace permalloy::codegen;
using namespace mlir;

void permalloy::codegen::registerKernelDialects(DialectRegistry &registry) {
  registry.insert<arith::ArithDialect, cf::ControlFlowDialect, LLVM::LLVMDialect, scf::SCFDialect,
                  vector::VectorDialect>();
  registerBuiltinDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
}

/// Whether `type` is a vector that one register holds: 1-D, and as many lanes as the register has
/// of its element. What is narrower may follow the lanes of 32 or 64 bits too, masks (i1) also those of 8 and 16. Or a quarter of a
/// register of f32, which a load broadcasts to all quarters. A thread of a GPU has registers of 32 bits, and accesses of 128: any
/// short vector will do.
static bool fitsRegister(VectorType type, const CpuTarget &target) {
  if (type.getRank() != 1 || type.isScalable())
    return false;
  unsigned bits = type.getElementTypeBitWidth();
  int64_t lanes = type.getNumElements();
  if (target.isGpuThread() && llvm::is_contained({2, 4, 8, 16}, lanes))
    return true;
  if (bits >= 8 && lanes * bits == target.vectorBits)
    return true;
  if (type.getElementType().isF32() && lanes == 4)
    return true;
  if (bits == 1 && (lanes * 16 == target.vectorBits || lanes * 8 == target.vectorBits))
    return true;
  return bits < 32 && (lanes * 32 == target.vectorBits || lanes * 64 == target.vectorBits);
}

static LogicalResult checkTypes(Operation *op, const CpuTarget &target) {
  for (Type type : op->getResultTypes()) {
    auto vector = dyn_cast<VectorType>(type);
    if (vector && !fitsRegister(vector, target))
      return op->emitError("internal error: a kernel for ")
             << target.name << " has a value of type " << vector
             << ", which is not one register of " << target.vectorBits << " bits";
  }
  return success();
}

LogicalResult permalloy::codegen::checkKernel(ModuleOp module, const CpuTarget &target) {
  unsigned count = 0;
  WalkResult walked = module.walk([&](Operation *op) {
    ++count;
    return WalkResult(checkTypes(op, target));
  });
  if (walked.wasInterrupted())
    return failure();
  if (count > kMaxKernelOps)
    return module.emitError("internal error: a kernel has ")
           << count << " operations; at most " << kMaxKernelOps << " are accepted";
  return success();
}

LogicalResult permalloy::codegen::lowerToLLVM(ModuleOp module, const CpuTarget &target) {
  PassManager passes(module.getContext());
  // 1. Constants of the address arithmetic fold; equal addresses and masks are computed once.
  passes.addPass(createCanonicalizerPass());
  passes.addPass(createCSEPass());
  if (failed(passes.run(module)) || failed(checkKernel(module, target)))
    return failure();
  PassManager lowering(module.getContext());
  // 2. Loops become branches; then each dialect becomes llvm.
  lowering.addPass(createSCFToControlFlowPass());
  ConvertVectorToLLVMPassOptions vectorOptions;
  vectorOptions.reassociateFPReductions = true;
  lowering.addPass(createConvertVectorToLLVMPass(vectorOptions));
  lowering.addPass(createArithToLLVMConversionPass());
  lowering.addPass(createConvertControlFlowToLLVMPass());
  lowering.addPass(createReconcileUnrealizedCastsPass());
  return lowering.run(module);
}
