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
