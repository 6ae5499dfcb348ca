//===- KernelRunner.cpp - builds, links, maps and calls a kernel -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "KernelRunner.h"
#include "permalloy/Codegen/GPU/Target.h"

#include <sys/mman.h>

using namespace permalloy::codegen;
using namespace permalloy::codegen::test;

KernelModule::KernelModule() {
  mlir::DialectRegistry registry;
  registerKernelDialects(registry);
  context.appendDialectRegistry(registry);
  context.loadAllAvailableDialects();
  context.disableMultithreading();
  module = mlir::ModuleOp::create(mlir::UnknownLoc::get(&context));
}

std::string KernelModule::assembly(const CpuTarget &target) {
  if (mlir::failed(mlir::verify(*module)) || mlir::failed(lowerToLLVM(*module, target))) {
    ADD_FAILURE() << "the kernel does not lower";
    return "";
  }
  auto text = emitAssembly(*module, target);
  if (!text) {
    ADD_FAILURE() << llvm::toString(text.takeError());
    return "";
  }
  return *text;
}

MappedImage::MappedImage(llvm::ArrayRef<char> image) : size(image.size()) {
  base = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED) {
    base = nullptr;
    return;
  }
  memcpy(base, image.data(), size);
  mprotect(base, size, PROT_READ | PROT_EXEC);
}

MappedImage::~MappedImage() {
  if (base)
    munmap(base, size);
}

CompiledKernel::CompiledKernel(KernelModule &module, const CpuTarget &target) {
  if (mlir::failed(mlir::verify(*module.module)) ||
      mlir::failed(lowerToLLVM(*module.module, target))) {
    ADD_FAILURE() << "the kernel does not lower";
    return;
  }
  auto object = emitObject(*module.module, target);
  if (!object) {
    ADD_FAILURE() << llvm::toString(object.takeError());
    return;
  }
  auto linked = linkImage({llvm::ArrayRef<char>(*object)});
  if (!linked) {
    ADD_FAILURE() << llvm::toString(linked.takeError());
    return;
  }
  image = std::make_unique<MappedImage>(linked->bytes);
  function = image->at(linked->entries.at("kernel"));
}

std::vector<const CpuTarget *> permalloy::codegen::test::allTargets() {
  std::vector<const CpuTarget *> result;
  for (const CpuTarget &target : CpuTarget::all())
    if (target.hasAmx() || !target.hasVnni()) // products of integers are what VNNI differs in: IntegerContractionTest
      result.push_back(&target);
  return result;
}

std::vector<const CpuTarget *> permalloy::codegen::test::vectorTargets() {
  std::vector<const CpuTarget *> result;
  for (const CpuTarget &target : CpuTarget::all())
    if (target.extraFeatures.empty())
      result.push_back(&target);
  return result;
}

std::vector<const CpuTarget *> permalloy::codegen::test::gpuThreads() { return {&GpuTarget::all().front().thread()}; }

std::string
permalloy::codegen::test::targetTestName(const ::testing::TestParamInfo<const CpuTarget *> &info) {
  std::string name = info.param->name.str();
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}
