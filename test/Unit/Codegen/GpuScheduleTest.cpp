//===- GpuScheduleTest.cpp - schedules of GPU kernels, priced ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "GpuTest.h"
#include "permalloy/Codegen/GPU/SchedulePrice.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace permalloy::codegen::test;

namespace {

/// A linear layer in bf16, of 768 x `columns`.
std::string linear(int64_t columns) {
  std::string n = std::to_string(columns), x = "tensor<?x768xbf16>", w = "tensor<768x" + n + "xbf16>", y = "tensor<?x" + n + "xbf16>";
  return "func.func @main(%x: " + x + " {tfm.dims = [#tfm.dim<s>, #tfm.dim<768>]}, %w: " + w + ") -> " + y +
         " {\n  %0 = tfm.linear %x, %w : (" + x + ", " + w + ") -> " + y + "\n  return %0 : " + y + "\n}";
}

class GpuScheduleTest : public ::testing::Test {
protected:
  GpuScheduleTest() : check(linear(3072).c_str(), "contraction") {}

  /// The default schedule with some parameters changed.
  mlir::DictionaryAttr with(std::initializer_list<std::pair<const char *, int64_t>> changes) {
    EXPECT_TRUE(mlir::succeeded(selectGpuSchedule(check.kernelOp(), target)));
    mlir::NamedAttrList schedule(check.kernelOp().getScheduleAttr());
    mlir::Builder b(check.kernelOp().getContext());
    for (auto [name, value] : changes)
      schedule.set(name, b.getI64IntegerAttr(value));
    return schedule.getDictionary(b.getContext());
  }

  /// All of its sizes.
  reference::Symbols symbolsOf(int64_t size) {
    reference::Symbols symbols;
    for (auto symbol : check.kernelOp().getSymbols().getAsRange<mlir::StringAttr>())
      symbols[symbol.getValue()] = size;
    return symbols;
  }

  const GpuTarget &target = sm80();
  KernelCheck check;
};

TEST_F(GpuScheduleTest, PricesWhatTheFormTakes) {
  ASSERT_TRUE(bool(check));
  mlir::DictionaryAttr usual = with({}), illegal = with({{"stages", 1}}), deep = with({{"stages", 4}}), shallow = with({{"stages", 2}});
  GpuSchedulePricer pricer(check.kernelOp(), target);
  auto price = pricer.price(usual);
  ASSERT_TRUE(price.has_value());
  EXPECT_EQ(price->us.size(), 5u) << "1 to 2,048 rows";
  EXPECT_GT(price->mean(), kGpuLaunchUs);
  EXPECT_GT(price->registers, 32);
  auto deepPrice = pricer.price(deep), shallowPrice = pricer.price(shallow);
  ASSERT_TRUE(deepPrice && shallowPrice);
  EXPECT_LE(deepPrice->mean(), shallowPrice->mean());
  EXPECT_LT(deepPrice->us[1], shallowPrice->us[1]) << "16 rows: fewer bytes are under way";
  unsigned said = 0;
  mlir::ScopedDiagnosticHandler count(check.kernelOp().getContext(), [&](mlir::Diagnostic &) {
    ++said;
    return mlir::success();
  });
  EXPECT_FALSE(pricer.price(illegal).has_value());
  EXPECT_EQ(said, 0u) << "an illegal candidate is no error";
}

TEST_F(GpuScheduleTest, WhatIsChosenIsSafe) {
  ASSERT_TRUE(bool(check));
  kern::KernelOp kernel = check.kernelOp();
  for (const GpuTarget &each : GpuTarget::all()) {
    ASSERT_TRUE(mlir::succeeded(selectGpuSchedule(kernel, each, GpuChooser::Rule)));
    mlir::DictionaryAttr rule = kernel.getScheduleAttr();
    auto faster = fasterGpuSchedule(kernel, each);
    EXPECT_EQ(kernel.getScheduleAttr(), rule) << "asking changes nothing";
    double gain = 0;
    ASSERT_TRUE(mlir::succeeded(selectGpuSchedule(kernel, each, GpuChooser::Prior, &gain)));
    EXPECT_EQ(kernel.getScheduleAttr(), faster ? faster->schedule : rule);
    EXPECT_EQ(gain, faster ? faster->gain : 1);
    if (!faster)
      continue;
    EXPECT_GE(gain, 1.1);
    GpuSchedulePricer pricer(kernel, each);
    auto own = pricer.price(faster->schedule), usual = pricer.price(rule);
    for (auto [us, other] : llvm::zip_equal(own->us, usual->us))
      EXPECT_LE(us, 1.005 * other);
    EXPECT_LE(own->registers, mostRegisters(own->threads));
  }
}

/// 128 rows of BERT-base: the rule's tiles leave most multiprocessors idle.
TEST(GpuScheduleChoiceTest, FewBlocksShareK) {
  std::string text = linear(768);
  for (size_t at; (at = text.find("tensor<?x")) != std::string::npos;)
    text.replace(at, 9, "tensor<128x");
  text.replace(text.find("#tfm.dim<s>"), 11, "#tfm.dim<128>");
  KernelCheck check(text.c_str(), "contraction");
  ASSERT_TRUE(bool(check));
  unsigned chosen = 0;
  for (const GpuTarget &each : GpuTarget::all()) {
    double gain = 0;
    ASSERT_TRUE(mlir::succeeded(selectGpuSchedule(check.kernelOp(), each, GpuChooser::Prior, &gain)));
    chosen += gain > 1;
  }
  EXPECT_GT(chosen, 0u);
}

/// With the batch fixed, [sequence, past] vary as what they are.
TEST(GpuScheduleSizesTest, RolesComeFromTheOperation) {
  KernelCheck check("func.func @main(%q: tensor<1x?x96xf32> {tfm.dims = [#tfm.dim<1>, #tfm.dim<s>, #tfm.dim<96>]}, "
                    "%k: tensor<1x?x96xf32> {tfm.dims = [#tfm.dim<1>, #tfm.dim<t>, #tfm.dim<96>]}, "
                    "%v: tensor<1x?x96xf32> {tfm.dims = [#tfm.dim<1>, #tfm.dim<t>, #tfm.dim<96>]}) -> tensor<1x?x96xf32> {\n"
                    "  %0 = tfm.attention %q, %k, %v {num_heads = 3 : i64, num_kv_heads = 3 : i64, scale = 0.17 : f32} : (tensor<1x?x96xf32>, "
                    "tensor<1x?x96xf32>, tensor<1x?x96xf32>) -> tensor<1x?x96xf32>\n  return %0 : tensor<1x?x96xf32>\n}", "attention");
  ASSERT_TRUE(bool(check));
  std::vector<std::pair<int64_t, int64_t>> sizes; // queries, keys
  for (const reference::Symbols &symbols : usualSizes(check.kernelOp())) {
    auto facts = factsOf(check.kernelOp(), symbols);
    ASSERT_TRUE(facts.has_value());
    EXPECT_EQ(facts->batch, 1);
    sizes.push_back({int64_t(facts->queries), int64_t(facts->keys)});
  }
  EXPECT_EQ(sizes, (std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {16, 16}, {128, 128}, {512, 512}, {2048, 2048}, {1, 512}, {1, 2048}}));
}

TEST_F(GpuScheduleTest, BadSchedulesAreLeft) {
  ASSERT_TRUE(bool(check));
  // Two stages and the smallest tiles of one warp each.
  mlir::DictionaryAttr bad = with({{"block_rows", 32}, {"block_columns", 64}, {"warp_rows", 16}, {"warp_columns", 32}, {"stages", 2}, {"split_k", 1}, {"skinny_split", 16}});
  ASSERT_TRUE(mlir::succeeded(setGpuSchedule(check.kernelOp(), target, bad)));
  auto faster = fasterGpuSchedule(check.kernelOp(), target);
  ASSERT_TRUE(faster.has_value());
  EXPECT_GT(faster->gain, 1.1);
  EXPECT_TRUE(mlir::succeeded(setGpuSchedule(check.kernelOp(), target, faster->schedule)));
}

TEST_F(GpuScheduleTest, NeighboursAreRanked) {
  ASSERT_TRUE(bool(check));
  ASSERT_TRUE(mlir::succeeded(setGpuSchedule(check.kernelOp(), target, with({}))));
  auto ranked = rankedGpuNeighbours(check.kernelOp(), target, symbolsOf(4096), 3);
  ASSERT_EQ(ranked.size(), 3u);
  EXPECT_LE(ranked[0].second, ranked[1].second);
  EXPECT_LE(ranked[1].second, ranked[2].second);
  auto space = gpuScheduleSpace(check.kernelOp(), target);
  for (const auto &[schedule, share] : ranked) {
    EXPECT_GT(share, 0.5);
    auto values = space->values(schedule);
    EXPECT_TRUE(bool(values));
    llvm::consumeError(values.takeError());
  }
}

/// The prior does not know what threads of a row are worth.
TEST(GpuScheduleRulesTest, RowsKeepTheirRule) {
  KernelCheck check("func.func @main(%x: tensor<?x64xf32> {tfm.dims = [#tfm.dim<s>, #tfm.dim<64>]}) -> tensor<?x64xf32> {\n"
                    "  %0 = tfm.softmax %x {axis = 1 : i64} : (tensor<?x64xf32>) -> tensor<?x64xf32>\n  return %0 : tensor<?x64xf32>\n}", "row");
  ASSERT_TRUE(bool(check));
  ASSERT_TRUE(mlir::succeeded(selectGpuSchedule(check.kernelOp(), sm80())));
  EXPECT_TRUE(gpuScheduleSpace(check.kernelOp(), sm80()) != nullptr);
  EXPECT_FALSE(fasterGpuSchedule(check.kernelOp(), sm80()).has_value());
  EXPECT_TRUE(rankedGpuNeighbours(check.kernelOp(), sm80(), {}, 3).empty());
}

TEST_F(GpuScheduleTest, GridsFollowSizes) {
  ASSERT_TRUE(bool(check));
  ASSERT_TRUE(mlir::succeeded(setGpuSchedule(check.kernelOp(), target, with({}))));
  auto grid = gridOf(check.kernelOp(), symbolsOf(300), 200);
  ASSERT_TRUE(grid.has_value());
  EXPECT_EQ(grid->form, "tensor");
  EXPECT_EQ(grid->registers, 200u);
  EXPECT_GE(grid->blocks, 3.0 * 24);
  EXPECT_GT(grid->sharedBytes, 0u);
}

} // namespace
