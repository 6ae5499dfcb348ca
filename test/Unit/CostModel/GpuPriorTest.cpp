//===- GpuPriorTest.cpp - occupancy and the roofline of GPUs ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/CostModel/CostModel.h"

#include "gmock/gmock.h"

using namespace permalloy;
using ::testing::HasSubstr;

namespace {

const GpuRates &gpu(const char *target) { return *GpuRates::of(target); }

TEST(GpuOccupancyTest, EqualsNvidiasExamples) {
  // The CUDA best practices guide, "Calculating Occupancy": 65,536 registers and 64 warps, 37 registers a thread.
  GpuOccupancy small = occupancyOf(gpu("sm_80"), 128, 37, 0);
  EXPECT_EQ(small.blocks, 12u);
  EXPECT_DOUBLE_EQ(small.share, 0.75);
  EXPECT_STREQ(small.limit, "registers");
  GpuOccupancy large = occupancyOf(gpu("sm_80"), 320, 37, 0);
  EXPECT_EQ(large.blocks, 4u);
  EXPECT_DOUBLE_EQ(large.share, 0.625);
  // "For a multiprocessor to have 100% occupancy, each thread can use at most 32 registers."
  EXPECT_DOUBLE_EQ(occupancyOf(gpu("sm_80"), 256, 32, 0).share, 1);
  EXPECT_LT(occupancyOf(gpu("sm_80"), 256, 33, 0).share, 1);
}

TEST(GpuOccupancyTest, EveryLimitEnds) {
  // 128 x 128 results by four warps: 7,168 registers a warp, so two warps in each quarter.
  EXPECT_EQ(occupancyOf(gpu("sm_80"), 128, 222, 0).blocks, 2u);
  EXPECT_EQ(occupancyOf(gpu("sm_80"), 128, 255, 0).blocks, 2u);
  EXPECT_STREQ(occupancyOf(gpu("sm_80"), 128, 222, 64 << 10).limit, "registers");
  GpuOccupancy shared = occupancyOf(gpu("sm_80"), 128, 222, 96 << 10);
  EXPECT_EQ(shared.blocks, 1u);
  EXPECT_STREQ(shared.limit, "shared memory");
  EXPECT_EQ(occupancyOf(gpu("sm_90a"), 128, 222, 96 << 10).blocks, 2u);
  EXPECT_EQ(occupancyOf(gpu("sm_89"), 128, 32, 100 << 10).blocks, 0u) << "99 KB is the most for a block";
  EXPECT_EQ(occupancyOf(gpu("sm_80"), 32, 16, 0).blocks, 32u);
  EXPECT_STREQ(occupancyOf(gpu("sm_80"), 32, 16, 0).limit, "blocks");
  EXPECT_EQ(occupancyOf(gpu("sm_89"), 1024, 32, 0).blocks, 1u) << "1,536 threads";
  EXPECT_EQ(occupancyOf(gpu("sm_80"), 1024, 80, 0).blocks, 0u) << "more registers than there are";
}

KernelFacts product(double m, double n, double k, double bits) {
  KernelFacts facts;
  facts.emitter = kern::Emitter::Contraction;
  facts.m = m, facts.n = n, facts.k = k, facts.groups = 1;
  facts.inputBits = facts.weightBits = bits;
  facts.weightBytes = n * k * bits / 8;
  facts.flops = 2 * m * n * k, facts.bytes = (m * k + n * k + m * n) * bits / 8;
  return facts;
}

/// A launch of blocks of `size` x `size` results, four warps.
GpuGrid tiles(const KernelFacts &facts, int64_t size, int64_t stages = 4) {
  GpuGrid grid;
  grid.form = "tensor";
  grid.schedule = {{"block_columns", size}, {"block_rows", size}, {"block_words", 16}, {"stages", stages}, {"warp_columns", size / 2}, {"warp_rows", size / 2}};
  grid.threads = 128, grid.sharedBytes = uint64_t(stages * size * 2 * 64);
  grid.blocks = std::ceil(facts.m / double(size)) * std::ceil(facts.n / double(size));
  return grid;
}

GpuEstimate priceOf(const KernelFacts &facts, const GpuGrid &grid, const char *target = "sm_80") { return estimateGpu(facts, grid, gpu(target)); }

TEST(GpuPriorTest, LargeProductsAreBoundByTensorCores) {
  KernelFacts facts = product(4096, 4096, 4096, 16);
  GpuEstimate estimate = priceOf(facts, tiles(facts, 128));
  EXPECT_STREQ(estimate.bound(), "tensor");
  double ideal = facts.flops / 312e3 / 1e3;
  EXPECT_GT(estimate.us(), ideal);
  EXPECT_LT(estimate.us(), 1.5 * ideal);
  EXPECT_TRUE(estimate.hasEstimatedRegisters);
  EXPECT_NEAR(estimate.registers, 222, 5);
  EXPECT_EQ(estimate.occupancy.blocks, 2u);
}

TEST(GpuPriorTest, F32OnTensorCoresHasTheRateOfTf32) {
  KernelFacts facts = product(4096, 4096, 4096, 32);
  GpuGrid grid = tiles(facts, 128);
  EXPECT_DOUBLE_EQ(priceOf(facts, grid).peakGflops, gpu("sm_80").tf32);
  grid.form = "fma";
  EXPECT_DOUBLE_EQ(priceOf(facts, grid).peakGflops, gpu("sm_80").fma);
  KernelFacts attention;
  attention.batch = 1, attention.heads = attention.kvHeads = 16, attention.queries = attention.keys = attention.seenKeys = 4096, attention.headSize = 128;
  GpuGrid rows{"attention", {{"keys", 32}, {"stages", 1}, {"warp_rows", 16}, {"warps", 4}}, 128, 168, 1024, 64 << 10};
  EXPECT_DOUBLE_EQ(priceOf(attention, rows).peakGflops, gpu("sm_80").tf32);
  EXPECT_GT(priceOf(attention, rows).tensor, 0);
  rows.form = "attention_fma";
  EXPECT_DOUBLE_EQ(priceOf(attention, rows).peakGflops, gpu("sm_80").fma);
  EXPECT_EQ(priceOf(attention, rows).tensor, 0);
}

TEST(GpuPriorTest, OneRowIsBoundByMemory) {
  KernelFacts facts = product(1, 32000, 4096, 16);
  GpuGrid grid{"fma", {{"block_columns", 128}, {"block_rows", 128}, {"skinny_panels", 1}}, 256, 32, 32000.0 / 16, 0};
  GpuEstimate estimate = priceOf(facts, grid, "sm_90a");
  EXPECT_STREQ(estimate.bound(), "HBM");
  EXPECT_NEAR(estimate.us(), facts.bytes / 3352e3 + kGpuLaunchUs, 0.2 * estimate.us());
}

TEST(GpuPriorTest, SmallOnesAreBoundByTheLaunch) {
  KernelFacts facts;
  facts.bytes = 4096, facts.flops = facts.vectorOps = 1024;
  GpuEstimate estimate = priceOf(facts, {"elements", {}, 256, 20, 4, 0});
  EXPECT_STREQ(estimate.bound(), "launch");
  EXPECT_LT(estimateGpu(facts, {"elements", {}, 256, 20, 4, 0}, gpu("sm_80"), kGpuGraphLaunchUs).us(), estimate.us());
}

TEST(GpuPriorTest, WavesAreWhole) {
  // 108 multiprocessors: one block more than they take begins another wave.
  KernelFacts whole = product(128 * 108, 128, 4096, 16), more = product(128 * 109, 128, 4096, 16);
  double first = priceOf(whole, tiles(whole, 128)).tensor, second = priceOf(more, tiles(more, 128)).tensor;
  EXPECT_GT(second / first, 1.5);
  EXPECT_LT(second / first, 1.9) << "two blocks of a multiprocessor hide each other's loads";
  KernelFacts two = product(128 * 216, 128, 4096, 16), three = product(128 * 217, 128, 4096, 16);
  EXPECT_GT(priceOf(three, tiles(three, 128)).tensor, 1.4 * priceOf(two, tiles(two, 128)).tensor);
}

TEST(GpuPriorTest, SmallBlocksAreBetterForFewRows) {
  KernelFacts few = product(128, 768, 768, 16), many = product(16384, 4096, 4096, 16);
  EXPECT_LT(priceOf(few, tiles(few, 64)).us(), priceOf(few, tiles(few, 128)).us());
  EXPECT_GT(priceOf(many, tiles(many, 64)).us(), priceOf(many, tiles(many, 128)).us());
}

TEST(GpuPriorTest, FastFormsAreFaster) {
  KernelFacts facts = product(512, 768, 768, 16);
  GpuGrid elements{"elements", {}, 256, 30, 512 * 768 / 256, 0};
  EXPECT_LT(priceOf(facts, tiles(facts, 64)).us(), priceOf(facts, elements).us());
}

TEST(GpuPriorTest, SharingKPaysWhereBlocksAreFew) {
  auto split = [](const KernelFacts &facts, int64_t parts) {
    GpuGrid grid = tiles(facts, 64);
    grid.schedule.push_back({"split_k", parts});
    llvm::sort(grid.schedule);
    grid.blocks *= double(parts);
    return priceOf(facts, grid).us();
  };
  KernelFacts deep = product(64, 768, 8192, 16), shallow = product(64, 768, 128, 16), wide = product(4096, 4096, 4096, 16);
  EXPECT_LT(split(deep, 8), split(deep, 1)) << "12 blocks for 108 multiprocessors";
  EXPECT_GT(split(shallow, 8), split(shallow, 1)) << "the meeting takes longer than 4 tiles of K";
  EXPECT_GE(split(wide, 8), split(wide, 1));
}

TEST(GpuPriorTest, WarpsHideEachOthersLoads) {
  // The same tile of a block by four warps and by sixteen, whose own are small: more shared memory is read.
  KernelFacts facts = product(8192, 4096, 4096, 16);
  GpuGrid four = tiles(facts, 128), sixteen = four;
  sixteen.schedule = {{"block_columns", 128}, {"block_rows", 128}, {"block_words", 16}, {"stages", 4}, {"warp_columns", 32}, {"warp_rows", 32}};
  sixteen.threads = 512;
  EXPECT_NEAR(priceOf(facts, sixteen).shared / priceOf(facts, four).shared, 4.0 * 5 / (4 * 3), 0.02);
  // One warp a quarter waits for its operands in between.
  GpuGrid alone = tiles(facts, 64);
  alone.registers = 255, alone.sharedBytes = 100 << 10;
  EXPECT_GT(priceOf(facts, alone).tensor, 1.2 * priceOf(facts, tiles(facts, 64)).tensor);
}

TEST(GpuPriorTest, PeaksAreTheDevices) {
  // An A100 has 64 multiply-adds a cycle and multiprocessor, an H100 128.
  KernelFacts facts = product(4096, 4096, 4096, 32);
  GpuGrid grid{"fma", {{"block_columns", 128}, {"block_rows", 128}, {"block_steps", 16}, {"stages", 3}, {"thread_rows", 8}}, 256, 128, 1024, 48 << 10};
  for (const char *target : {"sm_80", "sm_90a"}) {
    GpuEstimate estimate = priceOf(facts, grid, target);
    EXPECT_STREQ(estimate.bound(), "FMA");
    double ideal = facts.flops / gpu(target).fma / 1e3;
    EXPECT_GT(estimate.us(), ideal);
    EXPECT_LT(estimate.us(), 1.6 * ideal);
  }
}

TEST(GpuPriorTest, TallWarpsReadKeysOnce) {
  KernelFacts facts;
  facts.heads = facts.kvHeads = 16, facts.batch = 1, facts.queries = facts.keys = facts.seenKeys = 2048, facts.headSize = 64, facts.keyBits = 16;
  facts.bytes = 4 * 2048 * 1024 * 2, facts.flops = 4.0 * 16 * 2048 * 2048 * 64;
  auto grid = [&](int64_t rows) {
    double blocks = 16.0 * 2048 / double(4 * rows);
    return GpuGrid{"attention", {{"few_keys", 32}, {"few_rows", 16}, {"keys", 64}, {"split_keys", 128}, {"stages", 1}, {"warp_rows", rows}, {"warps", 4}},
                   128, 168, blocks, 24 << 10};
  };
  EXPECT_GT(priceOf(facts, grid(16)).shared, 1.5 * priceOf(facts, grid(32)).shared);
  EXPECT_GT(priceOf(facts, grid(32)).tensor, facts.flops / 312e3 / 1e3);
  // A step of a decoder: blocks that share the keys of a head cover more of the memory's latency, and meet.
  facts.queries = 1;
  GpuGrid one = grid(16), eight = one;
  one.blocks = 16, eight.blocks = 128;
  EXPECT_LT(priceOf(facts, eight).us(), priceOf(facts, one).us());
  // Keys and values that were cached: all weights of the model went through L2 since.
  EXPECT_EQ(priceOf(facts, eight).memoryBytes, 0);
  facts.hasCache = true;
  EXPECT_EQ(priceOf(facts, eight).memoryBytes, 2.0 * 2047 * 1024 * 2);
}

/// Many small matrices are no parts of K, and tiles end with each of them.
TEST(GpuPriorTest, ProductsOfTwoValuesAreManyMatrices) {
  KernelFacts facts = product(12 * 96, 256, 64, 16);
  facts.groups = 0, facts.weightBytes = 0, facts.matrices = 12;
  GpuGrid grid = tiles(facts, 64);
  grid.form = "matmul", grid.blocks = 12 * 2 * 4;
  GpuEstimate estimate = priceOf(facts, grid);
  // Rows are read for each of 4 tiles across, columns for both down.
  double left = 12 * 96 * 64 * 2, right = 12 * 256 * 64 * 2;
  EXPECT_DOUBLE_EQ(estimate.l2Bytes, facts.bytes + 3 * left + right);
}

TEST(GpuPriorTest, RegistersAndForms) {
  EXPECT_EQ(mostRegisters(128), 255u);
  EXPECT_EQ(mostRegisters(512), 128u);
  EXPECT_EQ(mostRegisters(1024), 64u);
  EXPECT_TRUE(ranksSchedules("tensor") && ranksSchedules("attention_fma"));
  EXPECT_FALSE(ranksSchedules("row") || ranksSchedules("vector") || ranksSchedules("toy") || ranksSchedules("matmul"));
  GpuGrid grid{"tensor", {{"warp_columns", 128}, {"warp_rows", 64}}, 128, 0, 1, 0};
  EXPECT_GT(registerDemand(grid), 255);
  EXPECT_EQ(estimatedRegisters(grid), 255u);
  grid.wantedRegisters = 100;
  EXPECT_EQ(estimatedRegisters(grid), 100u);
}

TEST(GpuPriorTest, ModelsSayWhatTheyKnow) {
  KernelFacts facts = product(512, 768, 768, 16);
  auto prior = CostModel::make("prior", MachineRates::committed("any")), trees = CostModel::make("trees", MachineRates::committed("any"));
  ASSERT_TRUE(prior.ok() && trees.ok());
  EXPECT_TRUE((*prior)->predictGpu(facts, tiles(facts, 64), "sm_90a").ok());
  EXPECT_FALSE((*prior)->predictGpu(facts, tiles(facts, 64), "sm_70").ok());
  auto refused = (*trees)->predictGpu(facts, tiles(facts, 64), "sm_90a");
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.status().message(), HasSubstr("'trees' has no measured rows for 'sm_90a'"));
}

} // namespace
