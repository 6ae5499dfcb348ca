//===- RowKernelTest.cpp - row kernels of encoders, and their inner loops -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "KernelCheck.h"
#include "permalloy/Codegen/Common/AssemblyStats.h"
#include "permalloy/Codegen/KernelEmitter.h"

#include <limits>

using namespace permalloy;
using namespace permalloy::codegen;
using namespace permalloy::codegen::test;
using reference::Tensor;
using reference::Tolerance;

namespace {

/// `$` in `pattern` replaced by `with`.
std::string fill(std::string pattern, const std::string &with) { return replaceAll(std::move(pattern), "$", with); }

/// A residual sum that is a result too, normalised.
std::string addNorm(const std::string &width) {
  return fill(R"(func.func @main(%x: tensor<?x?x$xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<$>]},
      %y: tensor<?x?x$xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<$>]}, %g: tensor<$xf32>, %h: tensor<$xf32>)
      -> (tensor<?x?x$xf32>, tensor<?x?x$xf32>) {
    %0 = tfm.binary add %x, %y : (tensor<?x?x$xf32>, tensor<?x?x$xf32>) -> tensor<?x?x$xf32>
    %1 = tfm.layer_norm %0, %g, %h {axis = 2 : i64, epsilon = 1.0e-12 : f32} : (tensor<?x?x$xf32>, tensor<$xf32>, tensor<$xf32>) -> tensor<?x?x$xf32>
    return %0, %1 : tensor<?x?x$xf32>, tensor<?x?x$xf32>
  })", width);
}

/// Word, type and position embeddings, summed and normalised.
std::string embeddings(const std::string &width) {
  return fill(R"(func.func @main(%w: tensor<50x$xf32>, %t: tensor<2x$xf32>, %p: tensor<1x64x$xf32>,
      %i: tensor<?x?xi64> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>], tfm.test_range = [0, 50]},
      %j: tensor<?x?xi64> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>], tfm.test_range = [0, 2]}, %g: tensor<$xf32>, %h: tensor<$xf32>) -> tensor<?x?x$xf32> {
    %0 = tfm.gather %w, %i {axis = 0 : i64} : (tensor<50x$xf32>, tensor<?x?xi64>) -> tensor<?x?x$xf32>
    %1 = tfm.gather %t, %j {axis = 0 : i64} : (tensor<2x$xf32>, tensor<?x?xi64>) -> tensor<?x?x$xf32>
    %2 = tfm.slice %p offsets [#tfm.dim<0>, #tfm.dim<0>, #tfm.dim<0>] sizes [#tfm.dim<1>, #tfm.dim<s>, #tfm.dim<$>] strides [1, 1, 1] : (tensor<1x64x$xf32>) -> tensor<1x?x$xf32>
    %3 = tfm.binary add %0, %1 : (tensor<?x?x$xf32>, tensor<?x?x$xf32>) -> tensor<?x?x$xf32>
    %4 = tfm.binary add %3, %2 : (tensor<?x?x$xf32>, tensor<1x?x$xf32>) -> tensor<?x?x$xf32>
    %5 = tfm.layer_norm %4, %g, %h {axis = 2 : i64, epsilon = 1.0e-12 : f32} : (tensor<?x?x$xf32>, tensor<$xf32>, tensor<$xf32>) -> tensor<?x?x$xf32>
    return %5 : tensor<?x?x$xf32>
  })", width);
}

const char *const kMaskedSoftmax = R"(func.func @main(%x: tensor<?x4x?x?xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<4>, #tfm.dim<q>, #tfm.dim<k>]},
    %m: tensor<?x1x1x?xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<k>]}) -> tensor<?x4x?x?xf32> {
  %c = tfm.constant dense<0.125> : tensor<f32>
  %0 = tfm.binary mul %x, %c : (tensor<?x4x?x?xf32>, tensor<f32>) -> tensor<?x4x?x?xf32>
  %1 = tfm.binary add %0, %m : (tensor<?x4x?x?xf32>, tensor<?x1x1x?xf32>) -> tensor<?x4x?x?xf32>
  %2 = tfm.softmax %1 {axis = 3 : i64} : (tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  return %2 : tensor<?x4x?x?xf32>
})";

const char *const kGelu = R"(func.func @main(%x: tensor<?x?x48xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<48>]}, %c: tensor<48xf32>)
    -> (tensor<?x?x48xf32>, tensor<?x?x48xf32>) {
  %0 = tfm.unary gelu_erf %x : (tensor<?x?x48xf32>) -> tensor<?x?x48xf32>
  %1 = tfm.binary add %x, %c : (tensor<?x?x48xf32>, tensor<48xf32>) -> tensor<?x?x48xf32>
  %2 = tfm.unary gelu_tanh %1 : (tensor<?x?x48xf32>) -> tensor<?x?x48xf32>
  return %0, %2 : tensor<?x?x48xf32>, tensor<?x?x48xf32>
})";

/// The same in the manner of Llama.
std::string addRmsNorm(const std::string &width) {
  return fill(R"(func.func @main(%x: tensor<?x?x$xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<$>]},
      %y: tensor<?x?x$xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<$>]}, %g: tensor<$xf32>)
      -> (tensor<?x?x$xf32>, tensor<?x?x$xf32>) {
    %0 = tfm.binary add %x, %y : (tensor<?x?x$xf32>, tensor<?x?x$xf32>) -> tensor<?x?x$xf32>
    %1 = tfm.rms_norm %0, %g {axis = 2 : i64, epsilon = 1.0e-6 : f32} : (tensor<?x?x$xf32>, tensor<$xf32>) -> tensor<?x?x$xf32>
    return %0, %1 : tensor<?x?x$xf32>, tensor<?x?x$xf32>
  })", width);
}

/// Heads of `size` features, split and turned; `pairs` of them per head.
std::string splitAndRotate(const std::string &size, const std::string &pairs, const std::string &attributes) {
  std::string text = fill(R"(func.func @main(%x: tensor<?x?x3x$xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<3>, #tfm.dim<$>]},
      %c: tensor<1x?xPxf32> {tfm.dims = [#tfm.dim<1>, #tfm.dim<s>, #tfm.dim<P>]},
      %t: tensor<1x?xPxf32> {tfm.dims = [#tfm.dim<1>, #tfm.dim<s>, #tfm.dim<P>]}) -> tensor<?x3x?x$xf32> {
    %0 = tfm.transpose %x [0, 2, 1, 3] : (tensor<?x?x3x$xf32>) -> tensor<?x3x?x$xf32>
    %1 = tfm.rotary %0, %c, %t ATTRIBUTES : (tensor<?x3x?x$xf32>, tensor<1x?xPxf32>, tensor<1x?xPxf32>) -> tensor<?x3x?x$xf32>
    return %1 : tensor<?x3x?x$xf32>
  })", size);
  for (size_t at; (at = text.find('P')) != std::string::npos;)
    text.replace(at, 1, pairs);
  return text.replace(text.find("ATTRIBUTES"), 10, attributes);
}

class RowKernelTest : public CpuTargetTest {
protected:
  /// Compiles the kernel once and runs it at all `sizes`, with each of `changes`.
  void check(const std::string &text, llvm::ArrayRef<const char *> sizes, Tolerance tolerance, llvm::ArrayRef<KernelCheck::Change> changes = {nullptr}) {
    SCOPED_TRACE(text);
    KernelCheck kernel(text, "row");
    ASSERT_TRUE(bool(kernel));
    for (const char *size : sizes)
      for (const KernelCheck::Change &change : changes)
        kernel.run(target(), size, tolerance, change);
  }
  /// The innermost loops hold vectors in registers: no value goes to the stack.
  void checkNoSpills(const std::string &text) {
    SCOPED_TRACE(text);
    if (target().isGpuThread())
      return; // GpuRowTest asks ptxas
    KernelCheck kernel(text, "row");
    ASSERT_TRUE(kernel);
    std::string assembly = kernel.assembly(target());
    auto loops = innermostLoops(assembly);
    EXPECT_FALSE(loops.empty());
    for (const InnerLoop &loop : loops)
      EXPECT_EQ(loop.spills, 0u) << assembly;
    std::string registers = target().isAvx512() ? "zmm" : "ymm";
    EXPECT_NE(assembly.find(registers), std::string::npos) << "no native vectors";
  }
};

} // namespace

TEST_P(RowKernelTest, AddsAndNormalizes) {
  for (const char *width : {"384", "768", "64", "48", "37", "5", "16"})
    check(addNorm(width), {"b=1,s=1", "b=3,s=7", "b=2,s=0"}, {2e-5, 2e-5});
}

TEST_P(RowKernelTest, AddsAndNormalizesByRootMeanSquare) {
  for (const char *width : {"384", "48", "37", "5", "16"})
    check(addRmsNorm(width), {"b=1,s=1", "b=3,s=7", "b=2,s=0"}, {2e-5, 2e-5});
  checkNoSpills(addRmsNorm("384"));
}

TEST_P(RowKernelTest, Rotates) {
  for (const char *attributes : {"", "{interleaved}"}) {
    for (auto [size, pairs] : {std::pair("64", "32"), {"64", "16"}, {"10", "5"}, {"24", "6"}, {"32", "8"}})
      check(splitAndRotate(size, pairs, attributes), {"b=1,s=1", "b=3,s=7"}, {1e-6, 1e-6});
    checkNoSpills(splitAndRotate("64", "32", attributes));
  }
}

TEST_P(RowKernelTest, JoinsAlongTheRow) {
  for (const char *width : {"48", "20"}) {
    std::string text = fill(R"(func.func @main(%x: tensor<?x16xf32> {tfm.dims = [#tfm.dim<n>, #tfm.dim<16>]},
        %y: tensor<?x$xf32> {tfm.dims = [#tfm.dim<n>, #tfm.dim<$>]}, %z: tensor<?x5xf32> {tfm.dims = [#tfm.dim<n>, #tfm.dim<5>]}) -> tensor<?xWxf32> {
      %0 = tfm.concat %x, %y, %z {axis = 1 : i64} : (tensor<?x16xf32>, tensor<?x$xf32>, tensor<?x5xf32>) -> tensor<?xWxf32>
      return %0 : tensor<?xWxf32>
    })", width);
    for (size_t at; (at = text.find('W')) != std::string::npos;)
      text.replace(at, 1, std::to_string(16 + 5 + atoi(width)));
    check(text, "n=7", {});
  }
}

TEST_P(RowKernelTest, NormalizesConstantAndSpecialRows) {
  auto change = [](llvm::MutableArrayRef<Tensor> inputs) {
    for (int64_t i = 0; i < 37; ++i) {
      inputs[0].setNumber(i, 3.0);
      inputs[1].setNumber(i, -1.0);
    }
    inputs[0].setNumber(50, std::numeric_limits<double>::quiet_NaN());
    inputs[0].setNumber(80, std::numeric_limits<double>::infinity());
  };
  check(addNorm("37"), "b=1,s=5", {2e-5, 2e-5}, KernelCheck::Change(change));
}

TEST_P(RowKernelTest, EmbedsAndNormalizes) {
  for (const char *width : {"384", "37"})
    check(embeddings(width), {"b=1,s=1", "b=2,s=9", "b=3,s=64"}, {2e-5, 2e-5});
}

TEST_P(RowKernelTest, MaskedSoftmax) {
  const double infinity = std::numeric_limits<double>::infinity();
  KernelCheck::Change maskRow = [&](llvm::MutableArrayRef<Tensor> inputs) { // all of one row's keys, some of another's
    int64_t keys = inputs[1].dim(3);
    for (int64_t i = 0; i < keys; ++i)
      inputs[1].setNumber(i, -infinity);
    for (int64_t i = keys / 2; i < keys && inputs[1].dim(0) > 1; ++i)
      inputs[1].setNumber(keys + i, -infinity);
  };
  check(kMaskedSoftmax, {"b=1,q=1,k=1", "b=2,q=3,k=5", "b=2,q=2,k=16", "b=2,q=2,k=71", "b=2,q=2,k=128", "b=1,q=2,k=0"}, {2e-6, 1e-7},
        {nullptr, maskRow});
}

TEST_P(RowKernelTest, Pointwise) {
  check(kGelu, {"b=1,s=1", "b=3,s=7", "b=2,s=300"}, {1e-6, 1e-6});
  // A mask: integers to an additive row.
  check(R"(func.func @main(%m: tensor<?x?xi64> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>], tfm.test_range = [0, 2]}) -> (tensor<?x1x1x?xf32>, tensor<?x1x1x?xi1>) {
    %0 = tfm.reshape %m dims [#tfm.dim<b>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<s>] : (tensor<?x?xi64>) -> tensor<?x1x1x?xi64>
    %1 = tfm.cast %0 : (tensor<?x1x1x?xi64>) -> tensor<?x1x1x?xi1>
    %a = tfm.constant dense<0.0> : tensor<f32>
    %b = tfm.constant dense<0xFF800000> : tensor<f32>
    %2 = tfm.select %1, %a, %b : (tensor<?x1x1x?xi1>, tensor<f32>, tensor<f32>) -> tensor<?x1x1x?xf32>
    return %2, %1 : tensor<?x1x1x?xf32>, tensor<?x1x1x?xi1>
  })", "b=3,s=37", {});
  // bool, i32 and bf16 in vectors.
  check(R"(func.func @main(%x: tensor<5x37xbf16>, %i: tensor<5x37xi32>, %c: tensor<5x37xi1>) -> (tensor<5x37xbf16>, tensor<5x37xi32>, tensor<5x37xi1>) {
    %0 = tfm.unary tanh %x : (tensor<5x37xbf16>) -> tensor<5x37xbf16>
    %1 = tfm.binary mul %i, %i : (tensor<5x37xi32>, tensor<5x37xi32>) -> tensor<5x37xi32>
    %2 = tfm.unary not %c : (tensor<5x37xi1>) -> tensor<5x37xi1>
    return %0, %1, %2 : tensor<5x37xbf16>, tensor<5x37xi32>, tensor<5x37xi1>
  })", "", {1.6e-2, 1e-6});
  // One wide row is cut into columns.
  check(R"(func.func @main(%x: tensor<1x9001xf32>, %y: tensor<9001xf32>) -> (tensor<1x9001xf32>, tensor<9001xf32>) {
    %0 = tfm.binary add %x, %y : (tensor<1x9001xf32>, tensor<9001xf32>) -> tensor<1x9001xf32>
    %1 = tfm.unary neg %y : (tensor<9001xf32>) -> tensor<9001xf32>
    return %0, %1 : tensor<1x9001xf32>, tensor<9001xf32>
  })", "", {});
}

TEST_P(RowKernelTest, ReducesRows) {
  for (std::string kind : {"sum", "mean", "max", "min", "prod"})
    check(R"(func.func @main(%x: tensor<?x?x?xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<k>]}) -> (tensor<?x?x1xf32>, tensor<?x?xf32>, tensor<?x?x?xf32>) {
      %0 = tfm.reduce )" + kind + R"( %x axes [2] {keep_dims} : (tensor<?x?x?xf32>) -> tensor<?x?x1xf32>
      %1 = tfm.unary sigmoid %x : (tensor<?x?x?xf32>) -> tensor<?x?x?xf32>
      %2 = tfm.reduce )" + kind + R"( %1 axes [2] : (tensor<?x?x?xf32>) -> tensor<?x?xf32>
      %3 = tfm.binary sub %x, %0 : (tensor<?x?x?xf32>, tensor<?x?x1xf32>) -> tensor<?x?x?xf32>
      return %0, %2, %3 : tensor<?x?x1xf32>, tensor<?x?xf32>, tensor<?x?x?xf32>
    })", {"b=2,s=3,k=1", "b=1,s=5,k=37", "b=2,s=2,k=100", "b=2,s=2,k=0"}, {2e-5, 2e-5});
}

TEST_P(RowKernelTest, ChainsStatistics) {
  check(R"(func.func @main(%x: tensor<1x1x40xf32>, %g: tensor<40xf32>) -> (tensor<1x1x40xf32>, tensor<1x1x40xf32>) {
    %0 = tfm.unary exp %x : (tensor<1x1x40xf32>) -> tensor<1x1x40xf32>
    %1 = tfm.softmax %0 {axis = 2 : i64} : (tensor<1x1x40xf32>) -> tensor<1x1x40xf32>
    %2 = tfm.layer_norm %1, %g {axis = 2 : i64, epsilon = 1.0e-5 : f32} : (tensor<1x1x40xf32>, tensor<40xf32>) -> tensor<1x1x40xf32>
    %3 = tfm.binary mul %2, %0 : (tensor<1x1x40xf32>, tensor<1x1x40xf32>) -> tensor<1x1x40xf32>
    return %3, %1 : tensor<1x1x40xf32>, tensor<1x1x40xf32>
  })", "", {5e-5, 5e-5});
}

TEST_P(RowKernelTest, RefusesForeignSchedules) {
  if (target().isGpuThread())
    GTEST_SKIP() << "schedules of a CPU";
  for (auto [from, to, message] :
       {std::tuple("4096", "64", "tiles, but its schedule cuts its results into"), {"4096", "0", "tile_elements must be positive"}}) {
    KernelCheck kernel(addNorm("384"), "row");
    ASSERT_TRUE(kernel);
    kern::KernelOp op = kernel.kernelOp();
    ASSERT_TRUE(succeeded(selectSchedule(op, target())));
    mlir::Builder builder(op.getContext());
    op.setScheduleAttr(builder.getDictionaryAttr(builder.getNamedAttr("tile_elements", builder.getI64IntegerAttr(std::stoi(to)))));
    std::string text;
    mlir::ScopedDiagnosticHandler handler(op.getContext(), [&](mlir::Diagnostic &d) { text += d.str(); return mlir::success(); });
    mlir::OwningOpRef<mlir::ModuleOp> module = mlir::ModuleOp::create(op.getLoc());
    EXPECT_TRUE(failed(emitKernel(op, target(), "kernel", *module)));
    EXPECT_NE(text.find(message), std::string::npos) << from << ": " << text;
  }
}

TEST_P(RowKernelTest, InnerLoopsDoNotSpill) {
  checkNoSpills(addNorm("384"));
  checkNoSpills(addNorm("1024"));
  checkNoSpills(embeddings("384"));
  checkNoSpills(kMaskedSoftmax);
  checkNoSpills(kGelu);
}

INSTANTIATE_TEST_SUITE_P(Targets, RowKernelTest, ::testing::ValuesIn(allTargets()), targetTestName);
INSTANTIATE_TEST_SUITE_P(Gpu, RowKernelTest, ::testing::ValuesIn(gpuThreads()), targetTestName);
