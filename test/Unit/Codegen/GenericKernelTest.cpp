//===- GenericKernelTest.cpp - every operation through the generic emitter -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "KernelCheck.h"

#include <cmath>

using namespace permalloy;
using namespace permalloy::codegen::test;
using reference::Tolerance;

namespace {
class GenericKernelTest : public CpuTargetTest {
protected:
  void check(const std::string &text, llvm::StringRef sizes, Tolerance tolerance = {},
             KernelCheck::Change change = nullptr) {
    KernelCheck kernel(text, "generic");
    if (kernel)
      kernel.run(target(), sizes, tolerance, change);
  }
};
} // namespace

TEST_P(GenericKernelTest, AddsBroadcast) {
  check(R"mlir(func.func @main(%x: tensor<?x19xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<19>]}, %y: tensor<19xf32>) -> tensor<?x19xf32> {
    %0 = tfm.binary add %x, %y : (tensor<?x19xf32>, tensor<19xf32>) -> tensor<?x19xf32>
    return %0 : tensor<?x19xf32>
  })mlir", "b=5");
}

INSTANTIATE_TEST_SUITE_P(Targets, GenericKernelTest, ::testing::ValuesIn(allTargets()), targetTestName);
