//===- HalfKernelTest.cpp - f16 and bf16 kernels, against the interpreter -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The interpreter computes an operation in double and rounds its result; a kernel computes in f32 and rounds what it stores.
// So a result may be off by one rounding of itself, and by one of each operation before it in the kernel: with the unit
// roundoff u (2^-11 for f16, 2^-8 for bf16) rtol = 2 u and atol = `depth` * 2 u for elements of about 1.
//
//===----------------------------------------------------------------------===//
#include "KernelCheck.h"
#include "permalloy/Codegen/Common/AssemblyStats.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace permalloy::codegen::test;
using reference::Tolerance;

namespace {

/// `text` with the element type T replaced.
std::string inType(const std::string &text, const std::string &type) {
  return replaceAll(replaceAll(text, "xT", "x" + type), "<T>", "<" + type + ">");
}

class HalfKernelTest : public CpuTargetTest {
protected:
  /// Runs `text` with T replaced by f16 and by bf16.
  void check(llvm::StringRef emitter, const std::string &text, llvm::ArrayRef<const char *> sizes, double depth = 1) {
    for (auto [type, unit] : {std::pair("f16", 0x1p-11), {"bf16", 0x1p-8}}) {
      SCOPED_TRACE(type);
      KernelCheck kernel(inType(text, type), emitter);
      if (!kernel)
        continue;
      for (const char *size : sizes)
        kernel.run(target(), size, Tolerance{2 * unit, 2 * depth * unit});
      EXPECT_EQ(emitter, kern::stringifyEmitter(kernel.kernelOp().getEmitter())) << "fell back";
    }
  }
};

/// A linear layer of [k, n] with everything that its epilogue may have.
std::string linear(int64_t k, int64_t n) {
  std::string text = R"mlir(func.func @main(%x: tensor<?x?xKxT> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<K>]}, %w: tensor<KxNxT>, %bias: tensor<NxT>, %r: tensor<?x?xNxT> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<N>]}) -> tensor<?x?xNxT> {
    %0 = tfm.linear %x, %w bias %bias activation gelu_tanh : (tensor<?x?xKxT>, tensor<KxNxT>, tensor<NxT>) -> tensor<?x?xNxT>
    %1 = tfm.binary add %0, %r : (tensor<?x?xNxT>, tensor<?x?xNxT>) -> tensor<?x?xNxT>
    return %1 : tensor<?x?xNxT>
  })mlir";
  text = replaceAll(text, "xKx", "x" + std::to_string(k) + "x");
  text = replaceAll(text, "<Kx", "<" + std::to_string(k) + "x");
  text = replaceAll(text, "<K>", "<" + std::to_string(k) + ">");
  text = replaceAll(text, "xNx", "x" + std::to_string(n) + "x");
  text = replaceAll(text, "<Nx", "<" + std::to_string(n) + "x");
  return replaceAll(text, "<N>", "<" + std::to_string(n) + ">");
}

/// Three packed heads with a mask of bools.
const char *const kPackedAttention = R"mlir(func.func @main(%q: tensor<?x?x96xT> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<96>]}, %k: tensor<?x?x96xT> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<96>]}, %v: tensor<?x?x96xT> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<96>]}, %m: tensor<?x1x1x?xi1> {tfm.dims = [#tfm.dim<b>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<s>]}) -> tensor<?x?x96xT> {
    %0 = tfm.attention %q, %k, %v mask %m empty_rows zero {num_heads = 3 : i64, num_kv_heads = 3 : i64, scale = 0.17 : f32} : (tensor<?x?x96xT>, tensor<?x?x96xT>, tensor<?x?x96xT>, tensor<?x1x1x?xi1>) -> tensor<?x?x96xT>
    return %0 : tensor<?x?x96xT>
  })mlir";

/// A residual sum that is a result too, normalised.
const char *const kAddNorm = R"mlir(func.func @main(%x: tensor<?x?xWxT> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<W>]}, %y: tensor<?x?xWxT> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<W>]}, %g: tensor<WxT>, %h: tensor<WxT>) -> (tensor<?x?xWxT>, tensor<?x?xWxT>) {
    %0 = tfm.binary add %x, %y : (tensor<?x?xWxT>, tensor<?x?xWxT>) -> tensor<?x?xWxT>
    %1 = tfm.layer_norm %0, %g, %h {axis = 2 : i64, epsilon = 1.0e-5 : f32} : (tensor<?x?xWxT>, tensor<WxT>, tensor<WxT>) -> tensor<?x?xWxT>
    return %0, %1 : tensor<?x?xWxT>, tensor<?x?xWxT>
  })mlir";

/// A norm as f32 and as T, both results of one walk over the rows.
const char *const kNormAndCast = R"mlir(func.func @main(%x: tensor<?x?xWxf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<W>]}, %g: tensor<Wxf32>) -> (tensor<?x?xWxf32>, tensor<?x?xWxT>) {
    %0 = tfm.rms_norm %x, %g {axis = 2 : i64, epsilon = 1.0e-5 : f32} : (tensor<?x?xWxf32>, tensor<Wxf32>) -> tensor<?x?xWxf32>
    %1 = tfm.cast %0 : (tensor<?x?xWxf32>) -> tensor<?x?xWxT>
    return %0, %1 : tensor<?x?xWxf32>, tensor<?x?xWxT>
  })mlir";

/// A softmax as exporters spell it.
const char *const kMaskedSoftmax = R"mlir(func.func @main(%x: tensor<?x4x?x?xT> {tfm.dims = [#tfm.dim<b>, #tfm.dim<4>, #tfm.dim<q>, #tfm.dim<k>]}, %m: tensor<?x1x1x?xT> {tfm.dims = [#tfm.dim<b>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<k>]}) -> tensor<?x4x?x?xT> {
    %c = tfm.constant dense<0.125> : tensor<T>
    %0 = tfm.binary mul %x, %c : (tensor<?x4x?x?xT>, tensor<T>) -> tensor<?x4x?x?xT>
    %1 = tfm.binary add %0, %m : (tensor<?x4x?x?xT>, tensor<?x1x1x?xT>) -> tensor<?x4x?x?xT>
    %2 = tfm.softmax %1 {axis = 3 : i64} : (tensor<?x4x?x?xT>) -> tensor<?x4x?x?xT>
    return %2 : tensor<?x4x?x?xT>
  })mlir";

TEST_P(HalfKernelTest, Linear) {
  for (auto [k, n] : {std::pair<int64_t, int64_t>{1, 1}, {33, 50}, {40, 100}, {64, 96}, {17, 16}, {7, 35}})
    check("contraction", linear(k, n), {"b=1,s=1", "b=2,s=7", "b=0,s=4", "b=3,s=100"}, /*depth=*/8);
}

/// As `--precision bf16` writes it: operands T, bias, residual and sum f32, and the sum once more as T.
TEST_P(HalfKernelTest, LinearOfHalvesIntoFloats) {
  for (const char *width : {"96", "35"})
    check("contraction", replaceAll(R"mlir(func.func @main(%x: tensor<?x?x33xT> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<33>]}, %w: tensor<33xNxT>, %bias: tensor<Nxf32>, %r: tensor<?x?xNxf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<N>]}) -> (tensor<?x?xNxf32>, tensor<?x?xNxT>) {
    %0 = tfm.linear %x, %w bias %bias activation gelu_tanh : (tensor<?x?x33xT>, tensor<33xNxT>, tensor<Nxf32>) -> tensor<?x?xNxf32>
    %1 = tfm.binary add %0, %r : (tensor<?x?xNxf32>, tensor<?x?xNxf32>) -> tensor<?x?xNxf32>
    %2 = tfm.cast %1 : (tensor<?x?xNxf32>) -> tensor<?x?xNxT>
    return %1, %2 : tensor<?x?xNxf32>, tensor<?x?xNxT>
  })mlir", "N", width), {"b=1,s=1", "b=2,s=7", "b=3,s=100"}, /*depth=*/2);
}

/// Operands of the epilogue that are widened where they are read, and repeat along rows or columns.
TEST_P(HalfKernelTest, EpilogueWidensItsOperands) {
  check("contraction", R"mlir(func.func @main(%x: tensor<?x33xT> {tfm.dims = [#tfm.dim<s>, #tfm.dim<33>]}, %w: tensor<33x35xT>, %b: tensor<35xT>, %c: tensor<?x1xT> {tfm.dims = [#tfm.dim<s>, #tfm.dim<1>]}) -> (tensor<?x35xf32>, tensor<?x35xT>) {
    %0 = tfm.linear %x, %w : (tensor<?x33xT>, tensor<33x35xT>) -> tensor<?x35xf32>
    %1 = tfm.cast %b : (tensor<35xT>) -> tensor<35xf32>
    %2 = tfm.binary add %0, %1 : (tensor<?x35xf32>, tensor<35xf32>) -> tensor<?x35xf32>
    %3 = tfm.cast %c : (tensor<?x1xT>) -> tensor<?x1xf32>
    %4 = tfm.binary mul %2, %3 : (tensor<?x35xf32>, tensor<?x1xf32>) -> tensor<?x35xf32>
    %5 = tfm.cast %4 : (tensor<?x35xf32>) -> tensor<?x35xT>
    return %4, %5 : tensor<?x35xf32>, tensor<?x35xT>
  })mlir", {"s=0", "s=1", "s=40"}, /*depth=*/2);
}

TEST_P(HalfKernelTest, LinearOverBlocksOfK) {
  check("contraction", linear(2051, 40), {"b=1,s=1", "b=1,s=13"}, /*depth=*/64);
}

TEST_P(HalfKernelTest, AttentionOverPackedHeads) {
  check("attention", kPackedAttention,
        {"b=1,s=1", "b=2,s=7", "b=1,s=150"});
}

/// Operands, mask and result of three element types, for blocks of queries and for few.
TEST_P(HalfKernelTest, AttentionOfHalvesIntoFloats) {
  std::string text = replaceAll(kPackedAttention, "96xT> {\n", "96xf32> {\n");
  text = replaceAll(replaceAll(text, "xi1", "xf32"), "(tensor<?x?x96xT>, tensor<?x?x96xT>, tensor<?x?x96xT>, tensor<?x1x1x?xf32>) -> tensor<?x?x96xT>",
                    "(tensor<?x?x96xT>, tensor<?x?x96xT>, tensor<?x?x96xT>, tensor<?x1x1x?xf32>) -> tensor<?x?x96xf32>");
  text = replaceAll(text, "return %0 : tensor<?x?x96xT>", "return %0 : tensor<?x?x96xf32>");
  check("attention", text, {"b=1,s=1", "b=2,s=7", "b=1,s=150"});
}

TEST_P(HalfKernelTest, AttentionOfFloatsIntoHalves) {
  std::string text = replaceAll(kPackedAttention, "xT", "xf32");
  text = replaceAll(text, "-> tensor<?x?x96xf32>", "-> tensor<?x?x96xT>");
  text = replaceAll(text, "return %0 : tensor<?x?x96xf32>", "return %0 : tensor<?x?x96xT>");
  check("attention", text, {"b=1,s=1", "b=2,s=7", "b=1,s=150"});
}

TEST_P(HalfKernelTest, AttentionOverSplitHeads) {
  // Heads that are no whole vectors, a mask of numbers, fewer heads of keys than of queries.
  check("attention", R"mlir(func.func @main(%q: tensor<?x4x?x20xT> {tfm.dims = [#tfm.dim<b>, #tfm.dim<4>, #tfm.dim<s>, #tfm.dim<20>]}, %k: tensor<?x2x?x20xT> {tfm.dims = [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<t>, #tfm.dim<20>]}, %v: tensor<?x2x?x20xT> {tfm.dims = [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<t>, #tfm.dim<20>]}, %m: tensor<?x1x?x?xT> {tfm.dims = [#tfm.dim<n>, #tfm.dim<1>, #tfm.dim<s>, #tfm.dim<t>]}) -> tensor<?x4x?x20xT> {
    %0 = tfm.attention %q, %k, %v mask %m empty_rows uniform {num_heads = 4 : i64, num_kv_heads = 2 : i64, scale = 0.2 : f32, causal} : (tensor<?x4x?x20xT>, tensor<?x2x?x20xT>, tensor<?x2x?x20xT>, tensor<?x1x?x?xT>) -> tensor<?x4x?x20xT>
    return %0 : tensor<?x4x?x20xT>
  })mlir",
        {"b=1,s=5,t=5,n=1", "b=2,s=33,t=140,n=1", "b=2,s=9,t=7,n=2"});
}

TEST_P(HalfKernelTest, AddAndLayerNorm) {
  for (const char *width : {"48", "37"})
    check("row", replaceAll(kAddNorm, "W", width), {"b=2,s=9", "b=0,s=4"}, /*depth=*/4);
}

TEST_P(HalfKernelTest, NormAndItsCast) {
  for (const char *width : {"48", "37"})
    check("row", replaceAll(kNormAndCast, "W", width), {"b=2,s=9", "b=0,s=4"}, /*depth=*/1);
}

/// From elements of twice a register's width, in vectors and in what they leave.
TEST_P(HalfKernelTest, CastsOfWiderElements) {
  for (const char *from : {"f64", "i64", "i32", "i8", "i1"})
    for (const char *emitter : {"row", "generic"})
      check(emitter, replaceAll(R"mlir(func.func @main(%x: tensor<?x37xFROM> {tfm.dims = [#tfm.dim<s>, #tfm.dim<37>]}) -> tensor<?x37xT> {
        %0 = tfm.cast %x : (tensor<?x37xFROM>) -> tensor<?x37xT>
        return %0 : tensor<?x37xT>
      })mlir", "FROM", from), {"s=3"}, /*depth=*/1);
}

TEST_P(HalfKernelTest, MaskedSoftmax) {
  check("row", kMaskedSoftmax, {"b=2,q=3,k=5", "b=1,q=2,k=48", "b=1,q=1,k=133"}, /*depth=*/2);
}

/// Between operations values are f32; what tells neighbours apart sees them rounded.
TEST_P(HalfKernelTest, StepsSeeRoundedValues) {
  check("row", R"mlir(func.func @main(%x: tensor<?x40xT> {tfm.dims = [#tfm.dim<s>, #tfm.dim<40>]}, %y: tensor<?x40xT> {tfm.dims = [#tfm.dim<s>, #tfm.dim<40>]}) -> (tensor<?x40xi1>, tensor<?x40xT>, tensor<?x40xi32>) {
    %c = tfm.constant dense<1.0e+03> : tensor<T>
    %0 = tfm.binary mul %x, %c : (tensor<?x40xT>, tensor<T>) -> tensor<?x40xT>
    %1 = tfm.binary mul %y, %c : (tensor<?x40xT>, tensor<T>) -> tensor<?x40xT>
    %2 = tfm.compare lt %0, %1 : (tensor<?x40xT>, tensor<?x40xT>) -> tensor<?x40xi1>
    %3 = tfm.unary floor %0 : (tensor<?x40xT>) -> tensor<?x40xT>
    %4 = tfm.cast %0 : (tensor<?x40xT>) -> tensor<?x40xi32>
    return %2, %3, %4 : tensor<?x40xi1>, tensor<?x40xT>, tensor<?x40xi32>
  })mlir", {"s=1", "s=50"}, /*depth=*/0);
}

TEST_P(HalfKernelTest, PacksWeights) {
  check("generic", R"mlir(func.func @main(%w: tensor<33x50xT>) -> tensor<33x50xT, #tfm.panels> {
    %0 = tfm.pack %w : (tensor<33x50xT>) -> tensor<33x50xT, #tfm.panels>
    return %0 : tensor<33x50xT, #tfm.panels>
  })mlir", {""}, /*depth=*/0);
}

/// Assembly needs no machine that runs it.
class HalfAssemblyTest : public ::testing::TestWithParam<const CpuTarget *> {};

TEST_P(HalfAssemblyTest, InnerLoopsHaveNoVectorSpills) {
  const std::pair<const char *, std::string> cases[] = {
      {"attention", kPackedAttention}, {"row", replaceAll(kAddNorm, "W", "384")}, {"row", kMaskedSoftmax}};
  for (const char *type : {"f16", "bf16"})
    for (const auto &[emitter, text] : cases) {
      SCOPED_TRACE(std::string(type) + " " + emitter);
      KernelCheck kernel(inType(text, type), emitter);
      ASSERT_TRUE(bool(kernel));
      unsigned spills = 0;
      for (const InnerLoop &loop : innermostLoops(kernel.assembly(*GetParam())))
        spills += loop.vectorSpills;
      EXPECT_EQ(spills, 0u);
    }
}

INSTANTIATE_TEST_SUITE_P(Targets, HalfAssemblyTest, ::testing::ValuesIn(allTargets()), targetTestName);

INSTANTIATE_TEST_SUITE_P(Targets, HalfKernelTest, ::testing::ValuesIn(allTargets()), targetTestName);

} // namespace
