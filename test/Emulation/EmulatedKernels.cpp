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
#include "mlir/IR/Verifier.h"

using namespace permalloy;
using namespace permalloy::codegen;

static llvm::Expected<llvm::SmallVector<char, 0>> emulate(kern::KernelOp kernel, const GpuTarget &target, llvm::StringRef name) {
  auto failed = [&](const char *what) { return llvm::createStringError("kernel '" + name + "' " + what); };
  mlir::OwningOpRef<mlir::ModuleOp> module = mlir::ModuleOp::create(kernel.getLoc());
  if (mlir::failed(emitGpuKernel(kernel, target, name, *module)) || mlir::failed(mlir::verify(*module)))
    return failed("cannot be built");
  auto function = module->lookupSymbol<mlir::LLVM::LLVMFuncOp>(name);
  fakecuda::FakeImage head;
  head.buffers = llvm::count_if(function.getArgumentTypes().drop_back(), llvm::IsaPred<mlir::LLVM::LLVMPointerType>);
  head.isThread = std::getenv("PERMALLOY_GPU_CHECK") || !threadsAreIndependent(*module, name);
  if (mlir::failed(head.isThread ? toCpuThread(*module, name, kernel) : toCpuLoops(*module, name)) || mlir::failed(lowerToLLVM(*module, cpuLoopsTarget())))
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
