//===- GenericStructureTest.cpp - structure as index maps, in the generic emitter -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "KernelCheck.h"

using namespace permalloy;
using namespace permalloy::codegen::test;
using reference::Tensor;
using reference::Tolerance;

namespace {
class GenericStructureTest : public CpuTargetTest {
protected:
  void check(const std::string &text, llvm::ArrayRef<const char *> sizes = {""}, KernelCheck::Change change = nullptr,
             Tolerance tolerance = {}) {
    for (llvm::StringRef emitter : {"generic", "row"}) {
      SCOPED_TRACE(text + emitter.str());
      KernelCheck kernel(text, emitter);
      ASSERT_TRUE(bool(kernel));
      for (const char *size : sizes)
        kernel.run(target(), size, tolerance, change);
    }
  }
};
} // namespace

TEST_P(GenericStructureTest, ReshapesAndTransposes) {
  check(R"(func.func @main(%x: tensor<?x?x64xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<64>]})
      -> (tensor<?x2x?x32xf32>, tensor<?x64xf32>, tensor<?x?x64xf32>, tensor<?x2x32x?xf32>, tensor<?xf32>) {
    %0 = tfm.reshape %x dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<32>] : (tensor<?x?x64xf32>) -> tensor<?x?x2x32xf32>
    %1 = tfm.transpose %0 [0, 2, 1, 3] : (tensor<?x?x2x32xf32>) -> tensor<?x2x?x32xf32>
    %2 = tfm.unary neg %x : (tensor<?x?x64xf32>) -> tensor<?x?x64xf32>
    %3 = tfm.reshape %2 dims [#tfm.dim<b * s>, #tfm.dim<64>] : (tensor<?x?x64xf32>) -> tensor<?x64xf32>
    %4 = tfm.transpose %1 [0, 2, 1, 3] : (tensor<?x2x?x32xf32>) -> tensor<?x?x2x32xf32>
    %5 = tfm.unary abs %4 : (tensor<?x?x2x32xf32>) -> tensor<?x?x2x32xf32>
    %6 = tfm.reshape %5 dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<64>] : (tensor<?x?x2x32xf32>) -> tensor<?x?x64xf32>
    %7 = tfm.transpose %0 [0, 2, 3, 1] : (tensor<?x?x2x32xf32>) -> tensor<?x2x32x?xf32>
    %8 = tfm.reshape %7 dims [#tfm.dim<64 * b * s>] : (tensor<?x2x32x?xf32>) -> tensor<?xf32>
    return %1, %3, %6, %7, %8 : tensor<?x2x?x32xf32>, tensor<?x64xf32>, tensor<?x?x64xf32>, tensor<?x2x32x?xf32>, tensor<?xf32>
  })", {"b=1,s=1", "b=2,s=5", "b=3,s=16"});
}

TEST_P(GenericStructureTest, BroadcastsUnknownDimensions) {
  // Each of u and w may be 1 or 6 at run time, which no type tells.
  check(R"(func.func @main(%x: tensor<?x?xf32> {tfm.dims = [#tfm.dim<u>, #tfm.dim<v>]}, %y: tensor<?x?xf32> {tfm.dims = [#tfm.dim<w>, #tfm.dim<t>]})
      -> tensor<?x?xf32> {
    %0 = tfm.binary add %x, %y : (tensor<?x?xf32>, tensor<?x?xf32>) -> tensor<?x?xf32>
    %1 = tfm.binary mul %0, %x : (tensor<?x?xf32>, tensor<?x?xf32>) -> tensor<?x?xf32>
    return %1 : tensor<?x?xf32>
  })", {"u=6,w=6,v=6,t=6", "u=1,w=6,v=6,t=1", "u=6,w=1,v=1,t=6", "u=1,w=1,v=1,t=1"});
}

TEST_P(GenericStructureTest, Gathers) {
  auto wrap = [](llvm::MutableArrayRef<Tensor> inputs) { inputs[1].setInteger(0, -1); };
  check(R"(func.func @main(%t: tensor<11x35xf32>, %i: tensor<?x?xi64> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>], tfm.test_range = [0, 11]},
                           %j: tensor<3xi32> {tfm.test_range = [-35, 35]}) -> (tensor<?x?x35xf32>, tensor<11x3xf32>, tensor<3x35xf32>) {
    %0 = tfm.gather %t, %i {axis = 0 : i64} : (tensor<11x35xf32>, tensor<?x?xi64>) -> tensor<?x?x35xf32>
    %1 = tfm.gather %t, %j {axis = 1 : i64} : (tensor<11x35xf32>, tensor<3xi32>) -> tensor<11x3xf32>
    %c = tfm.constant dense<[[4], [-1], [0]]> : tensor<3x1xi64>
    %2 = tfm.gather_nd %t, %c : (tensor<11x35xf32>, tensor<3x1xi64>) -> tensor<3x35xf32>
    return %0, %1, %2 : tensor<?x?x35xf32>, tensor<11x3xf32>, tensor<3x35xf32>
  })", "b=2,s=3", wrap);
  check(R"(func.func @main(%m: tensor<?x?xi64> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>]}, %i: tensor<?x5x1xi64> {tfm.dims = [#tfm.dim<b>, #tfm.dim<5>, #tfm.dim<1>], tfm.test_range = [0, 4]})
      -> tensor<?x5xi64> {
    %0 = tfm.gather_nd %m, %i {batch_dims = 1 : i64} : (tensor<?x?xi64>, tensor<?x5x1xi64>) -> tensor<?x5xi64>
    return %0 : tensor<?x5xi64>
  })", "b=3,s=4", wrap);
}

TEST_P(GenericStructureTest, SlicesAndConcats) {
  check(R"(func.func @main(%x: tensor<?x48xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<48>]}, %y: tensor<?x48xf32> {tfm.dims = [#tfm.dim<c>, #tfm.dim<48>]}, %z: tensor<2x48xf32>)
      -> (tensor<?x16xf32>, tensor<?x24xf32>, tensor<?x48xf32>, tensor<?x96xf32>) {
    %0 = tfm.slice %x offsets [#tfm.dim<0>, #tfm.dim<32>] sizes [#tfm.dim<b>, #tfm.dim<16>] strides [1, 1] : (tensor<?x48xf32>) -> tensor<?x16xf32>
    %1 = tfm.slice %x offsets [#tfm.dim<0>, #tfm.dim<47>] sizes [#tfm.dim<b>, #tfm.dim<24>] strides [1, -2] : (tensor<?x48xf32>) -> tensor<?x24xf32>
    %2 = tfm.concat %x, %y, %z {axis = 0 : i64} : (tensor<?x48xf32>, tensor<?x48xf32>, tensor<2x48xf32>) -> tensor<?x48xf32>
    %3 = tfm.unary neg %x : (tensor<?x48xf32>) -> tensor<?x48xf32>
    %4 = tfm.concat %x, %3 {axis = 1 : i64} : (tensor<?x48xf32>, tensor<?x48xf32>) -> tensor<?x96xf32>
    return %0, %1, %2, %4 : tensor<?x16xf32>, tensor<?x24xf32>, tensor<?x48xf32>, tensor<?x96xf32>
  })", "b=5,c=1");
  check(R"(func.func @main(%x: tensor<7x9xf32>) -> tensor<3x2xf32> {
    %s = tfm.constant dense<[-2, 1]> : tensor<2xi64>
    %e = tfm.constant dense<[-9223372036854775807, 9223372036854775807]> : tensor<2xi64>
    %t = tfm.constant dense<[-2, 5]> : tensor<2xi64>
    %0 = tfm.slice %x starts %s ends %e steps %t axes [0, 1] : (tensor<7x9xf32>, tensor<2xi64>, tensor<2xi64>, tensor<2xi64>) -> tensor<3x2xf32>
    return %0 : tensor<3x2xf32>
  })");
}

TEST_P(GenericStructureTest, SourcesAndConstants) {
  check(R"(func.func @main(%x: tensor<?x?xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>]})
      -> (tensor<2xi64>, tensor<3xi64>, tensor<i32>, tensor<?xi64>, tensor<?x4xf32>, tensor<2x3xi1>) {
    %0 = tfm.shape_of %x : (tensor<?x?xf32>) -> tensor<2xi64>
    %1 = tfm.dim_values [#tfm.dim<b>, #tfm.dim<12>, #tfm.dim<(b + s) floordiv 2>] : tensor<3xi64>
    %2 = tfm.dim_values [#tfm.dim<s mod 4>] : tensor<i32>
    %3 = tfm.range from #tfm.dim<2> size #tfm.dim<s> step 3 : () -> tensor<?xi64>
    %c = tfm.constant dense<[[1.5, -2.0, 0.25, 7.0]]> : tensor<1x4xf32>
    %4 = tfm.broadcast %c dims [#tfm.dim<b>, #tfm.dim<4>] : (tensor<1x4xf32>) -> tensor<?x4xf32>
    %5 = tfm.constant dense<[[true, false, true], [false, false, true]]> : tensor<2x3xi1>
    return %0, %1, %2, %3, %4, %5 : tensor<2xi64>, tensor<3xi64>, tensor<i32>, tensor<?xi64>, tensor<?x4xf32>, tensor<2x3xi1>
  })", "b=3,s=6");
  check(R"(func.func @main() -> tensor<5xf32> {
    %a = tfm.constant dense<1.0> : tensor<f32>
    %b = tfm.constant dense<3.5> : tensor<f32>
    %d = tfm.constant dense<0.5> : tensor<f32>
    %0 = tfm.range %a, %b, %d : (tensor<f32>, tensor<f32>, tensor<f32>) -> tensor<5xf32>
    return %0 : tensor<5xf32>
  })");
}

TEST_P(GenericStructureTest, EmptyTensors) {
  check(R"(func.func @main(%x: tensor<?x?x19xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<19>]}) -> (tensor<?x?x19xf32>, tensor<?x19xf32>) {
    %0 = tfm.unary exp %x : (tensor<?x?x19xf32>) -> tensor<?x?x19xf32>
    %1 = tfm.reduce max %x axes [1] : (tensor<?x?x19xf32>) -> tensor<?x19xf32>
    return %0, %1 : tensor<?x?x19xf32>, tensor<?x19xf32>
  })", "b=2,s=0");
}

TEST_P(GenericStructureTest, DividesByEmptyDimensions) {
  KernelCheck kernel(R"(func.func @main(%x: tensor<?x?xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>]}) -> tensor<2xi64> {
    %0 = tfm.dim_values [#tfm.dim<b floordiv s>, #tfm.dim<b mod s>] : tensor<2xi64>
    return %0 : tensor<2xi64>
  })", "generic");
  ASSERT_TRUE(kernel);
  auto compiled = kernel.compile(target(), "b=3,s=2");
  ASSERT_TRUE(compiled.function);
  int64_t result[2] = {};
  void *buffers[] = {nullptr, result};
  compiled.scalars = {3, 0};
  compiled(buffers, 0, 1, nullptr); // must not trap
  compiled.scalars = {3, 2};
  compiled(buffers, 0, 1, nullptr);
  EXPECT_EQ(result[0], 1);
  EXPECT_EQ(result[1], 1);
}

TEST_P(GenericStructureTest, TreesOfRowStatistics) {
  // A reduction of a reduction, and one row's statistics used by several results.
  check(R"(func.func @main(%x: tensor<?x3x21xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<3>, #tfm.dim<21>]}, %g: tensor<21xf32>, %h: tensor<21xf32>)
      -> (tensor<?x3x21xf32>, tensor<?x3xf32>, tensor<?x21xf32>) {
    %0 = tfm.layer_norm %x, %g, %h {axis = 2 : i64, epsilon = 1.0e-5 : f32} : (tensor<?x3x21xf32>, tensor<21xf32>, tensor<21xf32>) -> tensor<?x3x21xf32>
    %1 = tfm.softmax %0 {axis = 2 : i64} : (tensor<?x3x21xf32>) -> tensor<?x3x21xf32>
    %2 = tfm.reduce max %1 axes [2] : (tensor<?x3x21xf32>) -> tensor<?x3xf32>
    %3 = tfm.reduce mean %0 axes [1] : (tensor<?x3x21xf32>) -> tensor<?x21xf32>
    return %1, %2, %3 : tensor<?x3x21xf32>, tensor<?x3xf32>, tensor<?x21xf32>
  })", "b=4", nullptr, {1e-5, 1e-5});
}

INSTANTIATE_TEST_SUITE_P(Targets, GenericStructureTest, ::testing::ValuesIn(vectorTargets()), targetTestName);
INSTANTIATE_TEST_SUITE_P(Gpu, GenericStructureTest, ::testing::ValuesIn(gpuThreads()), targetTestName);
