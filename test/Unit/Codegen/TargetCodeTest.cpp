//===- TargetCodeTest.cpp - which targets have the same code -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Kernels without bf16, f16 arithmetic and products of 8-bit integers use none of the instructions that a target has besides its
// baseline: they are the baseline's, to the letter, and tests of such kernels run for the baselines alone (vectorTargets).
//
//===----------------------------------------------------------------------===//
#include "KernelCheck.h"

using namespace permalloy::codegen;
using namespace permalloy::codegen::test;

namespace {

struct Example {
  const char *name, *emitter, *text;
};

const Example kExamples[] = {
    {"Linear", "contraction",
     R"mlir(func.func @main(%x: tensor<?x410xf32> {tfm.dims = [#tfm.dim<s>, #tfm.dim<410>]}, %w: tensor<410x100xf32>, %b: tensor<100xf32>) -> tensor<?x100xf32> {
       %0 = tfm.linear %x, %w bias %b activation gelu_erf : (tensor<?x410xf32>, tensor<410x100xf32>, tensor<100xf32>) -> tensor<?x100xf32>
       return %0 : tensor<?x100xf32>
     })mlir"},
    {"WeightOnly", "contraction",
     R"mlir(func.func @main(%x: tensor<?x128xf32> {tfm.dims = [#tfm.dim<s>, #tfm.dim<128>]}, %c: tensor<128x96x!tfm.q<u4, group 32>>, %s: tensor<4x96xf16>, %z: tensor<4x96xf16>) -> tensor<?x96xf32> {
       %w = tfm.dequantize %c, %s zero_points %z : (tensor<128x96x!tfm.q<u4, group 32>>, tensor<4x96xf16>, tensor<4x96xf16>) -> tensor<128x96xf32>
       %0 = tfm.linear %x, %w : (tensor<?x128xf32>, tensor<128x96xf32>) -> tensor<?x96xf32>
       return %0 : tensor<?x96xf32>
     })mlir"},
    {"Blocks", "contraction",
     R"mlir(func.func @main(%x: tensor<?x200xf32> {tfm.dims = [#tfm.dim<s>, #tfm.dim<200>]}, %v: tensor<4x99x16xf32>, %i: tensor<4x99xi32>) -> tensor<?x50xf32> {
       %w = tfm.expand_blocks %v, %i {block = array<i64: 1, 16>, shape = array<i64: 200, 50>} : (tensor<4x99x16xf32>, tensor<4x99xi32>) -> tensor<200x50xf32>
       %0 = tfm.linear %x, %w : (tensor<?x200xf32>, tensor<200x50xf32>) -> tensor<?x50xf32>
       return %0 : tensor<?x50xf32>
     })mlir"},
    {"Quads", "contraction",
     R"mlir(func.func @main(%x: tensor<?x100xf32> {tfm.dims = [#tfm.dim<s>, #tfm.dim<100>]}, %v: tensor<3x50x16xf32>, %i: tensor<3x4x16xi32>) -> tensor<?x33xf32> {
       %w = tfm.expand_quads %v, %i {kept = 2 : i64, shape = array<i64: 100, 33>} : (tensor<3x50x16xf32>, tensor<3x4x16xi32>) -> tensor<100x33xf32>
       %0 = tfm.linear %x, %w : (tensor<?x100xf32>, tensor<100x33xf32>) -> tensor<?x33xf32>
       return %0 : tensor<?x33xf32>
     })mlir"},
    {"Attention", "attention",
     R"mlir(func.func @main(%q: tensor<?x?x96xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<96>]}, %k: tensor<?x?x96xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<t>, #tfm.dim<96>]}, %v: tensor<?x?x96xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<t>, #tfm.dim<96>]}, %m: tensor<?x1x1x?xi1> {tfm.dims = [#tfm.dim<b>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<t>]}) -> tensor<?x?x96xf32> {
       %0 = tfm.attention %q, %k, %v mask %m {num_heads = 3 : i64, num_kv_heads = 3 : i64, scale = 0.17 : f32, causal} : (tensor<?x?x96xf32>, tensor<?x?x96xf32>, tensor<?x?x96xf32>, tensor<?x1x1x?xi1>) -> tensor<?x?x96xf32>
       return %0 : tensor<?x?x96xf32>
     })mlir"},
    {"Norm", "row",
     R"mlir(func.func @main(%x: tensor<?x70xf32> {tfm.dims = [#tfm.dim<s>, #tfm.dim<70>]}, %g: tensor<70xf32>, %b: tensor<70xf32>) -> tensor<?x70xf32> {
       %0 = tfm.layer_norm %x, %g, %b {axis = 1 : i64, epsilon = 1.0e-5 : f32} : (tensor<?x70xf32>, tensor<70xf32>, tensor<70xf32>) -> tensor<?x70xf32>
       return %0 : tensor<?x70xf32>
     })mlir"},
    {"Structure", "generic",
     R"mlir(func.func @main(%x: tensor<?x70xf32> {tfm.dims = [#tfm.dim<s>, #tfm.dim<70>]}, %i: tensor<5xi64>) -> tensor<70x5xf32> {
       %0 = tfm.unary tanh %x : (tensor<?x70xf32>) -> tensor<?x70xf32>
       %1 = tfm.gather %0, %i {axis = 0 : i64} : (tensor<?x70xf32>, tensor<5xi64>) -> tensor<5x70xf32>
       %2 = tfm.transpose %1 [1, 0] : (tensor<5x70xf32>) -> tensor<70x5xf32>
       return %2 : tensor<70x5xf32>
     })mlir"},
};

class TargetCodeTest : public testing::TestWithParam<Example> {};

TEST_P(TargetCodeTest, KernelsOfF32AreTheBaselines) {
  KernelCheck kernel(GetParam().text, GetParam().emitter);
  ASSERT_TRUE(bool(kernel));
  for (const CpuTarget *baseline : vectorTargets()) {
    std::string expected = kernel.assembly(*baseline);
    ASSERT_FALSE(expected.empty());
    for (const CpuTarget &target : CpuTarget::all())
      if (target.llvmCpu == baseline->llvmCpu && !target.extraFeatures.empty())
        EXPECT_TRUE(kernel.assembly(target) == expected) << target.name.str() << " has other code than " << baseline->name.str();
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, TargetCodeTest, testing::ValuesIn(kExamples), [](const auto &info) { return info.param.name; });

} // namespace
