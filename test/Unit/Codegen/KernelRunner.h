//===- KernelRunner.h - builds, links, maps and calls a kernel --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_TEST_UNIT_CODEGEN_KERNELRUNNER_H
#define PERMALLOY_TEST_UNIT_CODEGEN_KERNELRUNNER_H

#include "permalloy/Artifact/CpuFeatures.h"
#include "permalloy/Codegen/CPU/KernelBuilder.h"
#include "permalloy/Codegen/CPU/Target.h"
#include "permalloy/Codegen/Common/ImageLinker.h"
#include "permalloy/Codegen/Common/ObjectEmission.h"

#include "gtest/gtest.h"

namespace permalloy::codegen::test {

using KernelFunction = void (*)(void *const *buffers, const int64_t *scalars, int64_t begin,
                                int64_t end, void *scratch);

/// A context with the kernel dialects, and a module that the test builds one kernel "kernel" into.
struct KernelModule {
  KernelModule();
  /// The location of everything built.
  mlir::Location loc() { return mlir::UnknownLoc::get(&context); }
  /// Lowers and emits the module; a failure fails the test and gives an empty text.
  std::string assembly(const CpuTarget &target);

  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
};

/// A linked image copied to executable memory, as the runtime does it.
class MappedImage {
public:
  explicit MappedImage(llvm::ArrayRef<char> image);
  ~MappedImage();
  MappedImage(const MappedImage &) = delete;
  KernelFunction at(uint64_t offset) const {
    return reinterpret_cast<KernelFunction>(static_cast<char *>(base) + offset);
  }

private:
  void *base = nullptr;
  size_t size = 0;
};

/// Compiles the module's function "kernel" and keeps it callable.
class CompiledKernel {
public:
  CompiledKernel(KernelModule &module, const CpuTarget &target);
  explicit operator bool() const { return function != nullptr; }
  void operator()(llvm::ArrayRef<void *> buffers, llvm::ArrayRef<int64_t> scalars, int64_t begin,
                  int64_t end, void *scratch = nullptr) const {
    function(buffers.data(), scalars.data(), begin, end, scratch);
  }

private:
  std::unique_ptr<MappedImage> image;
  KernelFunction function = nullptr;
};

/// A fixture run once per target; skips those that this machine cannot run.
class CpuTargetTest : public ::testing::TestWithParam<const CpuTarget *> {
protected:
  void SetUp() override {
    if (!GetParam()->supportedByHost())
      GTEST_SKIP() << "this machine lacks " << GetParam()->name.str();
    if (GetParam()->hasAmx() && !requestAmxPermission())
      GTEST_SKIP() << "Linux refuses the AMX tile state";
  }
  const CpuTarget &target() const { return *GetParam(); }
};

/// The parameters of CpuTargetTest and their names.
std::vector<const CpuTarget *> allTargets();
/// The targets of which kernels have other code when they compute in f32 alone: the instructions that the others have besides are for
/// bf16, f16 and 8-bit integers (TargetCodeTest holds them to it).
std::vector<const CpuTarget *> vectorTargets();
/// The threads of a GPU, whose kernels KernelCheck runs as loops on this CPU.
std::vector<const CpuTarget *> gpuThreads();
std::string targetTestName(const ::testing::TestParamInfo<const CpuTarget *> &info);

} // namespace permalloy::codegen::test

#endif // PERMALLOY_TEST_UNIT_CODEGEN_KERNELRUNNER_H
