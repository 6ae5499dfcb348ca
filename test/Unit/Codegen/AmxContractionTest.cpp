//===- AmxContractionTest.cpp - products on tiles, against the interpreter -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Products of bf16 are exact and their sums are f32, so results that stay f32 agree as those of f32 kernels do.
//
//===----------------------------------------------------------------------===//
#include "KernelCheck.h"
#include "permalloy/Codegen/KernelEmitter.h"

#include <bit>
#include <limits>

using namespace permalloy;
using namespace permalloy::codegen;
using namespace permalloy::codegen::test;
using reference::Tolerance;

namespace {

const CpuTarget &sapphireRapids() {
  static const CpuTarget target = llvm::cantFail(CpuTarget::parse("sapphirerapids"));
  return target;
}

/// A layer of bf16 with a residual of f32, both as f32 and as bf16.
std::string layer(int64_t k, int64_t n, const char *activation = "gelu_erf") {
  std::string text = R"mlir(func.func @main(%x: tensor<?x?x$Kxbf16> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<$K>]}, %w: tensor<$Kx$Nxbf16>, %bias: tensor<$Nxf32>, %r: tensor<?x?x$Nxf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<$N>]}) -> (tensor<?x?x$Nxf32>, tensor<?x?x$Nxbf16>) {
    %0 = tfm.linear %x, %w bias %bias activation $A : (tensor<?x?x$Kxbf16>, tensor<$Kx$Nxbf16>, tensor<$Nxf32>) -> tensor<?x?x$Nxf32>
    %1 = tfm.binary add %0, %r : (tensor<?x?x$Nxf32>, tensor<?x?x$Nxf32>) -> tensor<?x?x$Nxf32>
    %2 = tfm.cast %1 : (tensor<?x?x$Nxf32>) -> tensor<?x?x$Nxbf16>
    return %1, %2 : tensor<?x?x$Nxf32>, tensor<?x?x$Nxbf16>
  })mlir";
  return replaceAll(replaceAll(replaceAll(text, "$K", std::to_string(k)), "$N", std::to_string(n)), "$A", activation);
}

class AmxContractionTest : public testing::Test {
protected:
  void SetUp() override {
    if (!sapphireRapids().supportedByHost() || !requestAmxPermission())
      GTEST_SKIP() << "this machine lacks sapphirerapids, or Linux refuses the tile state";
  }
  /// `schedule`: parameters other than the default's.
  void check(const std::string &text, llvm::ArrayRef<const char *> sizes, Tolerance tolerance,
             llvm::ArrayRef<std::pair<const char *, int64_t>> schedule = {}) {
    KernelCheck kernel(text, "contraction");
    ASSERT_TRUE(bool(kernel));
    if (!schedule.empty()) {
      ASSERT_TRUE(succeeded(selectSchedule(kernel.kernelOp(), sapphireRapids())));
      mlir::NamedAttrList list(kernel.kernelOp().getScheduleAttr());
      for (auto [name, value] : schedule)
        list.set(name, mlir::Builder(kernel.kernelOp().getContext()).getI64IntegerAttr(value));
      kernel.setSchedule(list.getDictionary(kernel.kernelOp().getContext()));
    }
    for (const char *size : sizes)
      kernel.run(sapphireRapids(), size, tolerance);
  }
};

/// One result is rounded to bf16: neighbours are up to 2^-7 of it apart.
constexpr Tolerance kRounded{0x1p-7, 1e-3};

TEST_F(AmxContractionTest, TailsOfRows) {
  check(layer(64, 64), {"b=1,s=1", "b=1,s=5", "b=2,s=8", "b=1,s=17", "b=1,s=31", "b=1,s=32", "b=3,s=11", "b=1,s=49",
                        "b=0,s=4", "b=1,s=600"},
        kRounded);
}

TEST_F(AmxContractionTest, TailsOfColumns) {
  for (int64_t n : {1, 16, 17, 31, 33, 48, 50, 100})
    check(layer(64, n, "none"), {"b=1,s=3", "b=1,s=70"}, kRounded);
}

TEST_F(AmxContractionTest, TailsOfDepth) {
  for (int64_t k : {1, 2, 15, 31, 33, 34, 63, 100})
    check(layer(k, 40, "none"), {"b=1,s=3", "b=1,s=70"}, kRounded);
}

TEST_F(AmxContractionTest, BlocksOfDepth) {
  for (int64_t k : {1024, 1100, 1633})
    check(layer(k, 48, "none"), {"b=1,s=2", "b=1,s=100"}, {0x1p-7, 1e-2});
}

TEST_F(AmxContractionTest, EverySchedule) {
  for (int64_t blockRows : {32, 64})
    for (int64_t blockSteps : {32, 96, 320})
      for (int64_t epilogueRows : {1, 2, 3, 8})
        check(layer(300, 80, "relu"), {"b=1,s=100"}, kRounded,
              {{"block_rows", blockRows}, {"block_steps", blockSteps}, {"epilogue_rows", epilogueRows}, {"prefetch", epilogueRows % 2}});
}

TEST_F(AmxContractionTest, GroupsOfPairs) {
  for (auto [n, k] : {std::pair<int64_t, int64_t>{32, 64}, {100, 75}, {272, 64}, {304, 75}})
    check(layer(k, n, "relu"), {"b=0,s=4", "b=1,s=50", "b=1,s=257", "b=2,s=300"}, kRounded,
          {{"group_pairs", 4}, {"block_rows", 512}});
  check(layer(32, 8200, "none"), {"b=1,s=3", "b=1,s=273"}, kRounded);
}

/// Operands of f32 as sums of two of bf16: 16 bits of each. Where K ends within a tile it is the product of f32.
TEST_F(AmxContractionTest, Split) {
  for (auto [n, k] : {std::pair<int64_t, int64_t>{16, 32}, {80, 320}, {100, 768}, {48, 75}}) {
    std::string text = R"mlir(func.func @main(%x: tensor<?x$Kxf32> {tfm.dims = [#tfm.dim<s>, #tfm.dim<$K>]}, %w: tensor<$Kx$Nxf32>, %bias: tensor<$Nxf32>) -> tensor<?x$Nxf32> {
      %0 = tfm.linear %x, %w bias %bias {tfm.precision = "bf16x3"} : (tensor<?x$Kxf32>, tensor<$Kx$Nxf32>, tensor<$Nxf32>) -> tensor<?x$Nxf32>
      return %0 : tensor<?x$Nxf32>
    })mlir";
    check(replaceAll(replaceAll(text, "$K", std::to_string(k)), "$N", std::to_string(n)),
          {"s=1", "s=17", "s=40", "s=200", "s=600"}, Tolerance{3e-5, 1e-3}); // of bf16 alone: 0.1
  }
}

/// NaN of any payload stays NaN, the largest numbers stay finite.
TEST_F(AmxContractionTest, SplitKeepsExtremes) {
  KernelCheck kernel(R"mlir(func.func @main(%x: tensor<?x64xf32> {tfm.dims = [#tfm.dim<s>, #tfm.dim<64>]}, %w: tensor<64x48xf32>) -> tensor<?x48xf32> {
    %0 = tfm.linear %x, %w {tfm.precision = "bf16x3"} : (tensor<?x64xf32>, tensor<64x48xf32>) -> tensor<?x48xf32>
    return %0 : tensor<?x48xf32>
  })mlir", "contraction");
  ASSERT_TRUE(bool(kernel));
  kernel.run(sapphireRapids(), "s=40", Tolerance{3e-5, 1e-3}, [](llvm::MutableArrayRef<reference::Tensor> inputs) {
    for (int64_t column = 0; column < 48; ++column)
      inputs[1].setNumber(column, 0.25);
    inputs[0].setNumber(64, std::bit_cast<double>(0x7fffffffffffffff)); // 0x7fffffff as f32
    inputs[0].setNumber(128, std::numeric_limits<float>::max());
    inputs[0].setNumber(192, -std::numeric_limits<float>::max());
  });
}

/// What accumulates in f32 is not rounded on its way.
TEST_F(AmxContractionTest, SumsAreF32) {
  check(R"mlir(func.func @main(%x: tensor<?x2048xbf16> {tfm.dims = [#tfm.dim<s>, #tfm.dim<2048>]}, %w: tensor<2048x64xbf16>) -> tensor<?x64xf32> {
    %0 = tfm.linear %x, %w : (tensor<?x2048xbf16>, tensor<2048x64xbf16>) -> tensor<?x64xf32>
    return %0 : tensor<?x64xf32>
  })mlir", {"s=1", "s=40"}, Tolerance{1e-5, 3e-4});
}

/// Assembly needs no machine that runs it.
TEST(AmxAssembly, LoopsHoldTilesOnly) {
  for (const char *activation : {"none", "gelu_erf", "gelu_tanh", "silu"}) {
    SCOPED_TRACE(activation);
    KernelCheck kernel(layer(3072, 768, activation), "contraction");
    ASSERT_TRUE(bool(kernel));
    std::string assembly = kernel.assembly(sapphireRapids());
    llvm::StringRef text = assembly;
    // Blocks of 2 x 2 tiles with and without an epilogue beside them, and of 1 x 2.
    EXPECT_EQ(10u, text.count("tdpbf16ps"));
    EXPECT_EQ(5u, text.count("tileloaddt1"));
    EXPECT_EQ(4u, text.count("tilestored"));
    EXPECT_EQ(1u, text.count("ldtilecfg"));
    EXPECT_EQ(1u, text.count("tilerelease"));
    EXPECT_NE(0u, text.count("vcvtneps2bf16"));
    // No vector goes to the stack.
    for (llvm::StringRef rest = text; !rest.empty();) {
      auto [line, after] = rest.split('\n');
      EXPECT_FALSE(line.contains("-byte Spill") && line.contains("zmm")) << line.str();
      rest = after;
    }
  }
}

TEST(AmxAssembly, OtherElementsKeepToVectors) {
  KernelCheck kernel(replaceAll(layer(64, 64), "bf16", "f16"), "contraction");
  ASSERT_TRUE(bool(kernel));
  EXPECT_EQ(0u, llvm::StringRef(kernel.assembly(sapphireRapids())).count("tmm"));
}

} // namespace
