//===- PriorTest.cpp - a roofline with the schedule in it ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/CostModel/KernelWork.h"
#include "permalloy/CostModel/Prior.h"

#include "mlir/Parser/Parser.h"
#include "gtest/gtest.h"

using namespace permalloy;

namespace {

class PriorTest : public testing::Test {
protected:
  PriorTest() { context.loadDialect<tfm::TfmDialect, kern::KernDialect>(); }

  kern::KernelOp parse(const std::string &text) {
    modules.push_back(mlir::parseSourceString<mlir::ModuleOp>(text, &context));
    return *modules.back()->getOps<kern::KernelOp>().begin();
  }

  /// Cycles of a linear layer in f32.
  double linear(int64_t m, int64_t n, int64_t k, NamedNumbers schedule = {}, Machine machine = avx512()) {
    std::string width = std::to_string(n), depth = std::to_string(k);
    std::string x = "tensor<?x" + depth + "xf32>", w = "tensor<" + depth + "x" + width + "xf32, #tfm.panels>", y = "tensor<?x" + width + "xf32>";
    kern::KernelOp kernel = parse("kern.kernel @k contraction attributes {arg_dims = [[#tfm.dim<d0>, #tfm.dim<" + depth + ">], [#tfm.dim<" +
                                  depth + ">, #tfm.dim<" + width + ">]], symbols = [\"d0\"]} {\n^bb0(%x: " + x + ", %w: " + w +
                                  "):\n  %0 = tfm.linear %x, %w : (" + x + ", " + w + ") -> " + y + "\n  kern.yield %0 : " + y + "\n}");
    reference::Symbols symbols;
    symbols["d0"] = m;
    auto facts = factsOf(kernel, symbols);
    EXPECT_TRUE(facts.has_value());
    return facts ? estimateCost(*facts, schedule, machine).cycles() : 0;
  }

  /// A machine whatever this one is.
  static Machine avx512() { return Machine(MachineRates::committed("GenuineIntel-6-167-926136e5"), unitsOf("x86-64-v4")); }

  mlir::MLIRContext context;
  std::vector<mlir::OwningOpRef<mlir::ModuleOp>> modules;
};

NamedNumbers tile(int64_t panels, int64_t rows) {
  return {{"block_rows", 240 / rows * rows}, {"block_steps", 768}, {"prefetch_period", 8}, {"tile_panels", panels}, {"tile_rows", rows}};
}

TEST_F(PriorTest, GrowsWithEveryDimension) {
  for (int64_t m : {1, 8, 100, 500})
    for (int64_t n : {64, 768}) {
      EXPECT_LT(linear(m, n, 768), linear(m + 20, n, 768));
      EXPECT_LT(linear(m, n, 768), linear(m, n + 48, 768));
      EXPECT_LT(linear(m, n, 768), linear(m, n, 1000));
    }
}

TEST_F(PriorTest, WeightsComeFromTheCacheThatHoldsThemAll) {
  Machine machine = avx512();
  EXPECT_EQ(machine.weightRate(0), machine.memoryBytes); // not known: as from memory
  EXPECT_DOUBLE_EQ(machine.weightRate(machine.l3Size / 2), machine.l3Bytes);
  EXPECT_DOUBLE_EQ(machine.weightRate(4 * machine.l3Size), machine.memoryBytes);
  EXPECT_LT(machine.weightRate(1.2 * machine.l3Size), machine.weightRate(machine.l3Size));
}

TEST_F(PriorTest, FollowsTheSpeedOfTheMachine) {
  MachineRates rates = MachineRates::committed("GenuineIntel-6-167-926136e5");
  Machine usual(rates, unitsOf("x86-64-v4")), fast(rates.at({1.1 * rates.avx512Gflops, rates.memory}), unitsOf("x86-64-v4"));
  // As many cycles, of a tenth less time.
  EXPECT_NEAR(linear(512, 768, 768, tile(3, 8), fast), linear(512, 768, 768, tile(3, 8), usual), 0.01 * linear(512, 768, 768, tile(3, 8), usual));
  EXPECT_DOUBLE_EQ(fast.gigahertz, 1.1 * usual.gigahertz);
}

TEST_F(PriorTest, LiesAboveTheRoofline) {
  Machine machine = avx512();
  double products = 512.0 * 768 * 768 / machine.lanes / machine.fmaPorts;
  EXPECT_GT(linear(512, 768, 768, tile(3, 8)), products);
  EXPECT_LT(linear(512, 768, 768, tile(3, 8)), 1.5 * products);
  EXPECT_GT(linear(1, 4096, 4096), 4096.0 * 4096 * 4 / machine.memoryBytes);
}

TEST_F(PriorTest, KnowsGoodTiles) {
  // 1 x 1 waits for its sums, 12 x 1 for its broadcasts.
  EXPECT_LT(linear(512, 768, 768, tile(3, 8)), linear(512, 768, 768, tile(1, 12)));
  EXPECT_LT(linear(512, 768, 768, tile(1, 12)), 0.5 * linear(512, 768, 768, tile(1, 1)));
  // Four panels leave a rest of two: half of a tile's columns.
  EXPECT_LT(linear(512, 96, 768, tile(2, 12)), linear(512, 96, 768, tile(4, 6)));
  // Where memory decides, tiles do not matter.
  EXPECT_NEAR(linear(1, 4096, 4096, tile(3, 8)) / linear(1, 4096, 4096, tile(2, 12)), 1, 0.05);
  Machine avx2(MachineRates::committed(""), unitsOf("x86-64-v3"));
  EXPECT_GT(linear(512, 768, 768, tile(1, 6), avx2), 1.8 * linear(512, 768, 768, tile(3, 8)));
}

/// What is not kept is neither multiplied nor read.
TEST_F(PriorTest, KeptBlocks) {
  kern::KernelOp kernel = parse(R"mlir(kern.kernel @k contraction attributes {arg_dims = [[#tfm.dim<d0>, #tfm.dim<768>], [#tfm.dim<48>, #tfm.dim<384>, #tfm.dim<16>], [#tfm.dim<48>, #tfm.dim<384>]], symbols = ["d0"]} {
  ^bb0(%x: tensor<?x768xf32>, %v: tensor<48x384x16xf32>, %r: tensor<48x384xi32>):
    %w = tfm.expand_blocks %v, %r {block = array<i64: 1, 16>, shape = array<i64: 768, 768>} : (tensor<48x384x16xf32>, tensor<48x384xi32>) -> tensor<768x768xf32>
    %0 = tfm.linear %x, %w : (tensor<?x768xf32>, tensor<768x768xf32>) -> tensor<?x768xf32>
    kern.yield %0 : tensor<?x768xf32>
  })mlir");
  reference::Symbols symbols;
  symbols["d0"] = 128;
  std::string error;
  KernelWork work = workOf(kernel);
  EXPECT_EQ(2 * 128 * 768 * 384, *reference::evaluate(work.flops, symbols, error));
  EXPECT_EQ(4 * (2 * 128 * 768 + 48 * 384 * 17), *reference::evaluate(work.bytes, symbols, error));
  double sparse = estimateCost(*factsOf(kernel, symbols), {}, avx512()).cycles();
  EXPECT_LT(sparse, 0.6 * linear(128, 768, 768));
  EXPECT_GT(sparse, 0.45 * linear(128, 768, 768));
}

TEST_F(PriorTest, AttentionGrowsAndCausalityHalvesIt) {
  auto attention = [&](int64_t queries, int64_t keys, const char *causal) {
    std::string q = "tensor<1x?x768xf32>";
    kern::KernelOp kernel = parse(
        "kern.kernel @k attention attributes {arg_dims = [[#tfm.dim<1>, #tfm.dim<d0>, #tfm.dim<768>], [#tfm.dim<1>, #tfm.dim<d1>, "
        "#tfm.dim<768>], [#tfm.dim<1>, #tfm.dim<d1>, #tfm.dim<768>]], symbols = [\"d0\", \"d1\"]} {\n^bb0(%q: " + q + ", %k: " + q +
        ", %v: " + q + "):\n  %0 = tfm.attention %q, %k, %v {" + causal + "num_heads = 12 : i64, num_kv_heads = 12 : i64, scale = 0.125 : f32} : (" +
        q + ", " + q + ", " + q + ") -> " + q + "\n  kern.yield %0 : " + q + "\n}");
    reference::Symbols symbols;
    symbols["d0"] = queries;
    symbols["d1"] = keys;
    return estimateCost(*factsOf(kernel, symbols), {{"block_keys", 128}, {"query_vectors", 2}, {"tile_keys", 8}, {"tile_queries", 8}}, avx512()).cycles();
  };
  EXPECT_LT(attention(128, 128, ""), attention(256, 256, ""));
  EXPECT_LT(attention(1, 128, ""), attention(1, 512, ""));
  EXPECT_NEAR(attention(1024, 1024, "causal, ") / attention(1024, 1024, ""), 0.5, 0.05);
}

TEST_F(PriorTest, AnswersForRowsAndNamesWhatBindsThem) {
  kern::KernelOp row = parse("kern.kernel @k row attributes {arg_dims = [[#tfm.dim<d0>]], symbols = [\"d0\"]} {\n^bb0(%x: tensor<?xf32>):\n"
                             "  %0 = tfm.unary relu %x : (tensor<?xf32>) -> tensor<?xf32>\n  kern.yield %0 : tensor<?xf32>\n}");
  EXPECT_FALSE(factsOf(row, {}).has_value());
  auto at = [&](int64_t size) {
    reference::Symbols symbols;
    symbols["d0"] = size;
    return estimateCost(*factsOf(row, symbols), {}, avx512());
  };
  EXPECT_LT(at(1000).cycles(), at(100000).cycles());
  EXPECT_STREQ(at(16).bound(), "launch");
  EXPECT_STREQ(at(4 << 20).bound(), "L3");
}

} // namespace
