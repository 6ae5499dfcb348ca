//===- RouteKernelTest.cpp - choosing and grouping, against the interpreter -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "KernelCheck.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace permalloy::codegen::test;
using reference::Tensor;
using reference::Tolerance;

namespace {

class RouteKernelTest : public CpuTargetTest {};

TEST_P(RouteKernelTest, Route) {
  for (const char *options : {"", "{normalize}", "score top_softmax"}) {
    KernelCheck kernel(std::string(R"mlir(func.func @main(%l: tensor<?x7xf32> {tfm.dims = [#tfm.dim<t>, #tfm.dim<7>]}) -> (tensor<?x3xf32>, tensor<?xi64>) {
      %e = tfm.top_k %l k #tfm.dim<3> {axis = 1 : i64} : (tensor<?x7xf32>) -> tensor<?x3xi64>
      %w = tfm.moe_weights %l, %e )mlir") +
                           options + R"mlir( : (tensor<?x7xf32>, tensor<?x3xi64>) -> tensor<?x3xf32>
      %g = tfm.group_by %e {groups = 7 : i64} : (tensor<?x3xi64>) -> tensor<?xi64>
      return %w, %g : tensor<?x3xf32>, tensor<?xi64>
    })mlir",
                       "route");
    ASSERT_TRUE(bool(kernel));
    for (const char *sizes : {"t=0", "t=1", "t=50"})
      kernel.run(target(), sizes, Tolerance{1e-5, 1e-6});
    // Ties go to the lower expert.
    kernel.run(target(), "t=4", Tolerance{1e-5, 1e-6}, [](llvm::MutableArrayRef<Tensor> inputs) {
      for (int64_t i = 0; i < inputs[0].size(); ++i)
        inputs[0].setNumber(i, i % 3 == 0 ? 1.0 : 2.0);
    });
  }
}

TEST_P(RouteKernelTest, GroupsAlone) {
  KernelCheck kernel(R"mlir(func.func @main(%x: tensor<?x3xi64> {tfm.dims = [#tfm.dim<t>, #tfm.dim<3>]}) -> tensor<?xi64> {
    %g = tfm.group_by %x {groups = 4 : i64} : (tensor<?x3xi64>) -> tensor<?xi64>
    return %g : tensor<?xi64>
  })mlir", "route");
  ASSERT_TRUE(bool(kernel));
  for (const char *sizes : {"t=0", "t=1", "t=50"}) // random integers are in [0, 4)
    kernel.run(target(), sizes, Tolerance{});
}

TEST_P(RouteKernelTest, TopK) {
  auto check = [&](const std::string &type, const std::string &options) {
    KernelCheck kernel("func.func @main(%x: tensor<?x6x" + type + "> {tfm.dims = [#tfm.dim<t>, #tfm.dim<6>]}) -> tensor<?x4xi64> {\n" +
                           "  %0 = tfm.top_k %x k #tfm.dim<4> {axis = 1 : i64" + options + "} : (tensor<?x6x" + type + ">) -> tensor<?x4xi64>\n" +
                           "  return %0 : tensor<?x4xi64>\n}",
                       "generic");
    ASSERT_TRUE(bool(kernel));
    for (const char *sizes : {"t=1", "t=9"})
      kernel.run(target(), sizes, Tolerance{});
  };
  for (const char *type : {"f32", "f16", "f64", "i64", "ui8", "i32"})
    for (const char *options : {"", ", smallest"})
      check(type, options);
}

TEST_P(RouteKernelTest, Scatter) {
  auto limit = [](int64_t extent) {
    return [extent](llvm::MutableArrayRef<Tensor> inputs) {
      for (int64_t i = 0; i < inputs[1].size(); ++i)
        inputs[1].setInteger(i, i * 5 % (2 * extent) - extent);
    };
  };
  for (const char *kind : {"none", "add", "mul", "max", "min"}) {
    KernelCheck slices(std::string(R"mlir(func.func @main(%x: tensor<3x5x4xf32>, %i: tensor<?x2xi64> {tfm.dims = [#tfm.dim<n>, #tfm.dim<2>]}, %u: tensor<?x4xf32> {tfm.dims = [#tfm.dim<n>, #tfm.dim<4>]}) -> tensor<3x5x4xf32> {
      %0 = tfm.scatter )mlir") + kind + R"mlir( %x, %i, %u : (tensor<3x5x4xf32>, tensor<?x2xi64>, tensor<?x4xf32>) -> tensor<3x5x4xf32>
      return %0 : tensor<3x5x4xf32>
    })mlir", "generic");
    ASSERT_TRUE(bool(slices));
    slices.run(target(), "n=0", Tolerance{});
    slices.run(target(), "n=9", Tolerance{1e-6, 1e-6}, limit(3));
    KernelCheck elements(std::string(R"mlir(func.func @main(%x: tensor<5x6xi32>, %i: tensor<?x4xi64> {tfm.dims = [#tfm.dim<n>, #tfm.dim<4>]}, %u: tensor<?x4xi32> {tfm.dims = [#tfm.dim<n>, #tfm.dim<4>]}) -> tensor<5x6xi32> {
      %0 = tfm.scatter )mlir") + kind + R"mlir( %x, %i, %u {axis = 0 : i64} : (tensor<5x6xi32>, tensor<?x4xi64>, tensor<?x4xi32>) -> tensor<5x6xi32>
      return %0 : tensor<5x6xi32>
    })mlir", "generic");
    ASSERT_TRUE(bool(elements));
    elements.run(target(), "n=7", Tolerance{}, limit(5));
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, RouteKernelTest, ::testing::ValuesIn(allTargets()), targetTestName);
INSTANTIATE_TEST_SUITE_P(Gpu, RouteKernelTest, ::testing::ValuesIn(gpuThreads()), targetTestName);

} // namespace
