//===- GpuPtx.cpp - PTX of a test's kernel, and what ptxas says of it -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "GpuPtx.h"
#include "permalloy/Codegen/GPU/GpuKernel.h"

using namespace permalloy;
using namespace permalloy::codegen;

std::string test::ptxOf(KernelCheck &check, const GpuTarget &target, mlir::DictionaryAttr schedule) {
  if (!check)
    return "";
  kern::KernelOp kernel = check.kernelOp();
  if (failed(schedule ? setGpuSchedule(kernel, target, schedule) : selectGpuSchedule(kernel, target)))
    return "";
  auto lowered = lowerGpuKernel(kernel, target, "kernel");
  auto ptx = lowered ? emitPtx(**lowered, target) : llvm::Expected<std::string>(lowered.takeError());
  if (ptx)
    return *ptx;
  ADD_FAILURE() << llvm::toString(ptx.takeError());
  return "";
}

std::vector<GpuTarget> test::assembledTargets() {
  return {llvm::cantFail(GpuTarget::parse("sm_80")), llvm::cantFail(GpuTarget::parse("sm_90a"))};
}

std::optional<Cubin> test::assembled(const std::string &ptx, const GpuTarget &target, const std::string &ptxas) {
  auto cubin = assemblePtx(ptx, target, ptxas);
  if (cubin)
    return std::move(*cubin);
  std::string why = llvm::toString(cubin.takeError());
  EXPECT_NE(why.find("is not defined for option 'gpu-name'"), std::string::npos) << why;
  return std::nullopt;
}

void test::expectNoSpills(const std::string &name,
                          llvm::function_ref<std::string(const GpuTarget &)> ptx,
                          unsigned mostRegisters) {
  std::optional<std::string> ptxas = findPtxas();
  if (!ptxas && ::testing::Test::IsSkipped())
    return; // it was said
  if (!ptxas)
    GTEST_SKIP() << "this machine has no ptxas";
  for (const GpuTarget &target : assembledTargets()) {
    auto cubin = assembled(ptx(target), target, *ptxas);
    if (!cubin)
      continue;
    std::string kernel = target.name.str() + " " + name;
    EXPECT_EQ(cubin->report.spillBytes, 0u) << kernel;
    EXPECT_LE(cubin->report.registers, mostRegisters) << kernel;
    ::testing::Test::RecordProperty(kernel, int(cubin->report.registers));
    if (getenv("PERMALLOY_MEASURE"))
      llvm::errs() << kernel << ": " << cubin->report.registers << " registers\n";
  }
}
