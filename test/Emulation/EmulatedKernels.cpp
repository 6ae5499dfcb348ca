//===- EmulatedKernels.cpp - GPU kernels as code for this CPU ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "EmulatedKernels.h"

#include "FakeCuda.h"
#include "permalloy/Codegen/Common/ImageLinker.h"
#include "permalloy/Codegen/Common/ObjectEmission.h"
#include "permalloy/Codegen/GPU/CpuLoops.h"
#include "permalloy/Codegen/GPU/CpuThreads.h"
#include "permalloy/Codegen/GPU/GpuKernel.h"
#include "permalloy/Pipelines/GpuAssembler.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/IR/Verifier.h"

using namespace permalloy;
using namespace permalloy::codegen;

/// Whether threads ask more of each other than their numbers.
static bool worksTogether(mlir::LLVM::LLVMFuncOp kernel) {
  return kernel
      .walk([](mlir::Operation *op) {
        bool isForeign = llvm::isa_and_nonnull<mlir::NVVM::NVVMDialect>(op->getDialect()) &&
                         !llvm::isa<mlir::NVVM::BlockIdXOp, mlir::NVVM::ThreadIdXOp>(op);
        return isForeign || llvm::isa<mlir::LLVM::AtomicRMWOp>(op) ? mlir::WalkResult::interrupt() : mlir::WalkResult::advance();
      })
      .wasInterrupted();
}

static llvm::Expected<llvm::SmallVector<char, 0>> emulate(kern::KernelOp kernel, const GpuTarget &target, llvm::StringRef name) {
  auto failed = [&](const char *what) { return llvm::createStringError("kernel '" + name + "' " + what); };
  mlir::OwningOpRef<mlir::ModuleOp> module = mlir::ModuleOp::create(kernel.getLoc());
  if (mlir::failed(emitGpuKernel(kernel, target, name, *module)) || mlir::failed(mlir::verify(*module)))
    return failed("cannot be built");
  auto function = module->lookupSymbol<mlir::LLVM::LLVMFuncOp>(name);
  fakecuda::FakeImage head;
  head.buffers = llvm::count_if(function.getArgumentTypes().drop_back(), llvm::IsaPred<mlir::LLVM::LLVMPointerType>);
  head.isThread = worksTogether(function);
  if (mlir::failed(head.isThread ? toCpuThread(*module, name) : toCpuLoops(*module, name)) || mlir::failed(lowerToLLVM(*module, cpuLoopsTarget())))
    return failed("has no form on a CPU");
  auto object = emitObject(*module, cpuLoopsTarget());
  if (!object)
    return object.takeError();
  auto image = linkImage({llvm::ArrayRef<char>(*object)});
  if (!image)
    return image.takeError();
  head.entry = image->entries.at(name.str());
  auto elf = llvm::ArrayRef(reinterpret_cast<const std::byte *>(image->bytes.data()), image->bytes.size());
  std::vector<std::byte> bytes = fakecuda::makeImage(head, name.str(), elf);
  auto *first = reinterpret_cast<const char *>(bytes.data());
  return llvm::SmallVector<char, 0>(first, first + bytes.size());
}

void permalloy::test::emulateGpuKernels() { gpuAssembler() = emulate; }
