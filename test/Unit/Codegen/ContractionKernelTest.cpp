//===- ContractionKernelTest.cpp - linear and attention kernels, against the interpreter -*- C++
//-*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "KernelCheck.h"
#include "permalloy/Codegen/KernelEmitter.h"

#include "mlir/IR/Diagnostics.h"

using namespace permalloy;
using namespace permalloy::codegen::test;
using reference::Tolerance;

namespace {

class ContractionKernelTest : public CpuTargetTest {
protected:
  void check(llvm::StringRef emitter, const std::string &text, llvm::ArrayRef<const char *> sizes) {
    KernelCheck kernel(text, emitter);
    if (kernel)
      for (const char *size : sizes)
        kernel.run(target(), size, Tolerance{1e-5, 2e-5});
  }
};

TEST_P(ContractionKernelTest, Linear) {
  check(
      "contraction",
      R"mlir(func.func @main(%x: tensor<?x?x40xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<40>]}, %w: tensor<40x100xf32>) -> tensor<?x?x100xf32> {
    %0 = tfm.linear %x, %w : (tensor<?x?x40xf32>, tensor<40x100xf32>) -> tensor<?x?x100xf32>
    return %0 : tensor<?x?x100xf32>
  })mlir",
      {"b=1,s=1", "b=2,s=7", "b=3,s=128", "b=0,s=4"});
}

TEST_P(ContractionKernelTest, BiasActivationResidual) {
  for (const char *activation :
       {"none", "relu", "gelu_erf", "gelu_tanh", "silu", "tanh", "sigmoid"})
    check(
        "contraction",
        std::string(
            R"mlir(func.func @main(%x: tensor<?x?x33xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<33>]}, %w: tensor<33x50xf32>, %bias: tensor<50xf32>, %r: tensor<?x?x50xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<50>]}) -> tensor<?x?x50xf32> {
      %0 = tfm.linear %x, %w bias %bias activation )mlir") +
            activation +
            R"mlir( : (tensor<?x?x33xf32>, tensor<33x50xf32>, tensor<50xf32>) -> tensor<?x?x50xf32>
      %1 = tfm.binary add %0, %r : (tensor<?x?x50xf32>, tensor<?x?x50xf32>) -> tensor<?x?x50xf32>
      return %1 : tensor<?x?x50xf32>
    })mlir",
        {"b=1,s=3", "b=2,s=17"});
}

TEST_P(ContractionKernelTest, EpilogueTreesBroadcast) {
  check(
      "contraction",
      R"mlir(func.func @main(%x: tensor<?x?x24xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<24>]}, %w: tensor<24x35xf32>, %p: tensor<?x35xf32> {tfm.dims = [#tfm.dim<s>, #tfm.dim<35>]}, %row: tensor<?x?x1xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<1>]}) -> (tensor<?x?x35xf32>, tensor<?x?x35xf32>) {
    %c = tfm.constant dense<0.5> : tensor<35xf32>
    %half = tfm.constant dense<0.25> : tensor<f32>
    %0 = tfm.linear %x, %w bias %c : (tensor<?x?x24xf32>, tensor<24x35xf32>, tensor<35xf32>) -> tensor<?x?x35xf32>
    %1 = tfm.binary add %0, %p : (tensor<?x?x35xf32>, tensor<?x35xf32>) -> tensor<?x?x35xf32>
    %2 = tfm.binary mul %1, %row : (tensor<?x?x35xf32>, tensor<?x?x1xf32>) -> tensor<?x?x35xf32>
    %3 = tfm.unary tanh %2 : (tensor<?x?x35xf32>) -> tensor<?x?x35xf32>
    %4 = tfm.binary mul %3, %half : (tensor<?x?x35xf32>, tensor<f32>) -> tensor<?x?x35xf32>
    return %4, %1 : tensor<?x?x35xf32>, tensor<?x?x35xf32>
  })mlir",
      {"b=1,s=1", "b=3,s=9"});
}

TEST_P(ContractionKernelTest, AttentionOverPackedHeads) {
  check(
      "attention",
      R"mlir(func.func @main(%q: tensor<?x?x96xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<96>]}, %k: tensor<?x?x96xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<96>]}, %v: tensor<?x?x96xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<96>]}, %m: tensor<?x1x1x?xi1> {tfm.dims = [#tfm.dim<b>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<s>]}) -> tensor<?x?x96xf32> {
    %0 = tfm.attention %q, %k, %v mask %m empty_rows zero {num_heads = 3 : i64, num_kv_heads = 3 : i64, scale = 0.17 : f32} : (tensor<?x?x96xf32>, tensor<?x?x96xf32>, tensor<?x?x96xf32>, tensor<?x1x1x?xi1>) -> tensor<?x?x96xf32>
    return %0 : tensor<?x?x96xf32>
  })mlir",
      {"b=1,s=1", "b=2,s=7", "b=3,s=40", "b=1,s=150"});
}

TEST_P(ContractionKernelTest, AttentionOverSplitHeads) {
  // The mask's batch is only known at run time to be 1.
  check(
      "attention",
      R"mlir(func.func @main(%q: tensor<?x4x?x24xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<4>, #tfm.dim<s>, #tfm.dim<24>]}, %k: tensor<?x2x?x24xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<t>, #tfm.dim<24>]}, %v: tensor<?x2x?x24xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<t>, #tfm.dim<24>]}, %m: tensor<?x1x?x?xf32> {tfm.dims = [#tfm.dim<n>, #tfm.dim<1>, #tfm.dim<s>, #tfm.dim<t>]}) -> tensor<?x4x?x24xf32> {
    %0 = tfm.attention %q, %k, %v mask %m {num_heads = 4 : i64, num_kv_heads = 2 : i64, scale = 0.2 : f32, causal} : (tensor<?x4x?x24xf32>, tensor<?x2x?x24xf32>, tensor<?x2x?x24xf32>, tensor<?x1x?x?xf32>) -> tensor<?x4x?x24xf32>
    return %0 : tensor<?x4x?x24xf32>
  })mlir",
      {"b=1,s=5,t=5,n=1", "b=3,s=33,t=40,n=1", "b=2,s=9,t=130,n=2"});
}

TEST_P(ContractionKernelTest, GivesTheRestToTheGenericEmitter) {
  // A mask that is a constant of the kernel, and an epilogue without a vector form.
  check(
      "attention",
      R"mlir(func.func @main(%q: tensor<1x3x32xf32>, %k: tensor<1x3x32xf32>, %v: tensor<1x3x32xf32>) -> tensor<1x3x32xf32> {
    %m = tfm.constant dense<[[[[true, false, true]]]]> : tensor<1x1x1x3xi1>
    %0 = tfm.attention %q, %k, %v mask %m {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.25 : f32} : (tensor<1x3x32xf32>, tensor<1x3x32xf32>, tensor<1x3x32xf32>, tensor<1x1x1x3xi1>) -> tensor<1x3x32xf32>
    return %0 : tensor<1x3x32xf32>
  })mlir",
      {""});
  check("contraction",
        R"mlir(func.func @main(%x: tensor<3x8xf32>, %w: tensor<8x20xf32>) -> tensor<3x20xf32> {
    %0 = tfm.linear %x, %w : (tensor<3x8xf32>, tensor<8x20xf32>) -> tensor<3x20xf32>
    %1 = tfm.unary sin %0 : (tensor<3x20xf32>) -> tensor<3x20xf32>
    return %1 : tensor<3x20xf32>
  })mlir",
        {""});
}

TEST_P(ContractionKernelTest, RefusesWeightsThatAreNotPacked) {
  KernelCheck kernel(
      R"mlir(func.func @main(%x: tensor<4x8xf32>, %w: tensor<8x16xf32>) -> tensor<4x16xf32> {
    %0 = tfm.linear %x, %w : (tensor<4x8xf32>, tensor<8x16xf32>) -> tensor<4x16xf32>
    return %0 : tensor<4x16xf32>
  })mlir",
      "generic");
  kernel.kernelOp().setEmitter(kern::Emitter::Contraction);
  ASSERT_TRUE(succeeded(codegen::selectSchedule(kernel.kernelOp(), target())));
  std::string message;
  mlir::ScopedDiagnosticHandler handler(kernel.kernelOp().getContext(),
                                        [&](mlir::Diagnostic &d) { message = d.str(); });
  mlir::OwningOpRef<mlir::ModuleOp> module = mlir::ModuleOp::create(kernel.kernelOp().getLoc());
  EXPECT_TRUE(failed(codegen::emitKernel(kernel.kernelOp(), target(), "kernel", *module)));
  EXPECT_NE(std::string::npos, message.find("run pack-weights first")) << message;
}

INSTANTIATE_TEST_SUITE_P(Targets, ContractionKernelTest, ::testing::ValuesIn(vectorTargets()),
                         targetTestName);
INSTANTIATE_TEST_SUITE_P(Gpu, ContractionKernelTest, ::testing::ValuesIn(gpuThreads()), targetTestName);

} // namespace
