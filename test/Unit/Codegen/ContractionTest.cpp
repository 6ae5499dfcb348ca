//===- ContractionTest.cpp - products with packed weights, against a naive sum -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Codegen/CPU/Contraction.h"
#include "KernelRunner.h"
#include "permalloy/Codegen/Common/AssemblyStats.h"

#include <cmath>
#include <random>

using namespace permalloy::codegen;
using namespace permalloy::codegen::test;
using llvm::SmallVector;
using mlir::Value;

namespace {

/// buffers: A, weights, bias, output; scalars: M. The epilogue adds the bias. `element`: what A and the weights hold.
void buildBiasKernel(KernelModule &kernel, const CpuTarget &target, int64_t n, int64_t k,
                     const ContractionSchedule &schedule, mlir::Type element = {}) {
  KernelBuilder b(*kernel.module, kernel.loc(), "kernel", target, 4, 1);
  auto epilogue = [&](const EpilogueSite &site, Value product) {
    Value bias = b.loadLanes(b.at(b.buffer(2), b.mul(site.column, 4)), site.lanes);
    Value element = b.add(b.mul(site.row, n), site.column);
    b.storeLanes(b.addf(product, bias), b.at(b.buffer(3), b.mul(element, 4)), site.lanes);
  };
  Contraction contraction{b.buffer(0), b.buffer(1), b.scalar(0), n, k, epilogue, element};
  emitContraction(b, contraction, schedule);
  b.finish();
}

std::vector<float> randomFloats(size_t count, unsigned seed) {
  std::mt19937 engine(seed);
  std::vector<float> values(count);
  for (float &value : values)
    value = static_cast<float>(engine() % 2001) / 1000.0f - 1.0f;
  return values;
}

/// W [K, N] in panels [ceil(N/16)][K][16] with zeros past N, at a 64-byte aligned address.
struct Panels {
  Panels(const std::vector<float> &w, int64_t k, int64_t n) : storage((n + 15) / 16 * 16 * k + 16) {
    data =
        reinterpret_cast<float *>(llvm::alignTo(reinterpret_cast<uintptr_t>(storage.data()), 64));
    for (int64_t row = 0; row < k; ++row)
      for (int64_t col = 0; col < n; ++col)
        data[(col / 16 * k + row) * 16 + col % 16] = w[row * n + col];
  }
  std::vector<float> storage;
  float *data;
};

class ContractionTest : public CpuTargetTest {
protected:
  /// Runs one kernel over several M and compares with a sum in double; memory round the output must
  /// stay untouched.
  void check(int64_t n, int64_t k, ContractionSchedule schedule, llvm::ArrayRef<int64_t> ms) {
    SCOPED_TRACE("n " + std::to_string(n) + " k " + std::to_string(k) + " tile " +
                 std::to_string(schedule.rows) + "x" + std::to_string(schedule.panels));
    KernelModule module;
    buildBiasKernel(module, target(), n, k, schedule);
    CompiledKernel kernel(module, target());
    ASSERT_TRUE(bool(kernel));
    std::vector<float> w = randomFloats(k * n, 1), bias = randomFloats(n, 2);
    Panels panels(w, k, n);
    for (int64_t m : ms) {
      std::vector<float> a = randomFloats(m * k, 3), out(m * n + 32, -7.0f);
      int64_t blocks = llvm::divideCeil(m, schedule.blockRows);
      alignas(64) static char scratch[1 << 18];
      ASSERT_LE(contractionScratchBytes(schedule, k), int64_t(sizeof(scratch)));
      kernel({a.data(), panels.data, bias.data(), out.data() + 16}, {m}, 0,
             blocks * contractionGroups(schedule, n), scratch);
      compare(a, w, bias, out, m, n, k);
    }
  }

  static void compare(const std::vector<float> &a, const std::vector<float> &w,
                      const std::vector<float> &bias, const std::vector<float> &out, int64_t m,
                      int64_t n, int64_t k) {
    double worst = 0;
    for (int64_t row = 0; row < m; ++row)
      for (int64_t col = 0; col < n; ++col) {
        double sum = bias[col];
        for (int64_t step = 0; step < k; ++step)
          sum += double(a[row * k + step]) * w[step * n + col];
        worst = std::max(worst, std::fabs(sum - out[16 + row * n + col]));
      }
    EXPECT_LE(worst, 1e-6 * (k + 4)) << "m " << m;
    for (int i = 0; i < 16; ++i) {
      EXPECT_EQ(-7.0f, out[i]);
      EXPECT_EQ(-7.0f, out[16 + m * n + i]);
    }
  }
};

TEST_P(ContractionTest, DefaultSchedulesOverShapes) {
  const int64_t ms[] = {1, 2, 3, 5, 7, 8, 13, 16, 61, 250, 600};
  for (auto [n, k] : {std::pair<int64_t, int64_t>{1, 1},
                      {2, 7},
                      {15, 16},
                      {16, 3},
                      {17, 33},
                      {31, 8},
                      {48, 64},
                      {64, 17},
                      {80, 20},
                      {96, 96},
                      {100, 40},
                      {384, 64}})
    check(n, k, ContractionSchedule::choose(target(), n, k), ms);
}

/// Every register tile that fits this target, largest heights only (smaller ones are its tails).
SmallVector<ContractionSchedule> tiles(const CpuTarget &target, mlir::Type element = {}) {
  SmallVector<ContractionSchedule> result;
  for (unsigned panels = 1; panels <= 6; ++panels)
    for (unsigned rows = 16; rows >= 1; --rows) {
      ContractionSchedule schedule{rows, panels, 4 * rows, 16, 8};
      if (!schedule.fits(target, element))
        continue;
      result.push_back(schedule);
      break;
    }
  SmallVector<std::pair<unsigned, unsigned>> usual = {{6, 1}}; // what most layers take
  if (target.isAvx512())
    usual = {{8, 3}, {12, 2}, {12, 1}};
  if (!element)
    for (auto [rows, panels] : usual)
      result.push_back({rows, panels, 4 * rows, 16, 4});
  return result;
}

TEST_P(ContractionTest, DefaultsForNoSteps) {
  ContractionSchedule schedule = ContractionSchedule::choose(target(), 16, 0);
  EXPECT_LT(0, schedule.blockSteps);
  EXPECT_LT(0, schedule.blockRows);
}

TEST_P(ContractionTest, EveryRegisterTile) {
  for (const ContractionSchedule &schedule : tiles(target()))
    check(90, 24, schedule, {1, 19, 100});
}

TEST_P(ContractionTest, ResultsDoNotDependOnTheSchedule) {
  std::vector<float> a = randomFloats(37 * 50, 3), w = randomFloats(50 * 70, 1),
                     bias = randomFloats(70, 2);
  Panels panels(w, 50, 70);
  std::vector<float> expected;
  for (ContractionSchedule schedule : tiles(target())) {
    KernelModule module;
    buildBiasKernel(module, target(), 70, 50, schedule);
    CompiledKernel kernel(module, target());
    std::vector<float> out(37 * 70);
    int64_t count = llvm::divideCeil(37, schedule.blockRows) * contractionGroups(schedule, 70);
    alignas(64) static char scratch[1 << 18];
    // One tile at a time, backwards: any division of the grid gives the same bits.
    for (int64_t tile = count - 1; tile >= 0; --tile)
      kernel({a.data(), panels.data, bias.data(), out.data()}, {37}, tile, tile + 1, scratch);
    if (expected.empty())
      expected = out;
    EXPECT_EQ(expected, out);
  }
}

/// Tiles of the grid that are taken together for many rows: with whole K and with K in blocks, in any division of the grid, for
/// few rows, too.
TEST_P(ContractionTest, RunsOfTilesGiveTheSameBits) {
  const int64_t n = 230, k = 40;
  std::vector<float> w = randomFloats(k * n, 1), bias = randomFloats(n, 2);
  Panels panels(w, k, n);
  alignas(64) static char scratch[1 << 20];
  for (int64_t m : {5, 300, 601}) {
    std::vector<float> a = randomFloats(m * k, 3), expected;
    for (auto [runTiles, blockSteps] : {std::pair<int64_t, int64_t>{1, k}, {3, k}, {4, 16}}) {
      ContractionSchedule schedule = ContractionSchedule::choose(target(), n, k);
      schedule.blockRows = 50 * schedule.rows, schedule.blockSteps = blockSteps, schedule.runTiles = runTiles;
      ASSERT_LE(contractionScratchBytes(schedule, k), int64_t(sizeof(scratch)));
      KernelModule module;
      buildBiasKernel(module, target(), n, k, schedule);
      CompiledKernel kernel(module, target());
      int64_t tiles = llvm::divideCeil(m, schedule.blockRows) * contractionGroups(schedule, n);
      for (int64_t share : {tiles, int64_t(2)}) {
        std::vector<float> out(m * n);
        for (int64_t tile = 0; tile < tiles; tile += share)
          kernel({a.data(), panels.data, bias.data(), out.data()}, {m}, tile, std::min(tile + share, tiles), scratch);
        if (expected.empty())
          expected = out;
        EXPECT_EQ(expected, out) << "m " << m << " run " << runTiles << " steps " << blockSteps << " share " << share;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, ContractionTest, ::testing::ValuesIn(vectorTargets()),
                         targetTestName);

/// Assembly needs no machine that runs it.
class ContractionAssemblyTest : public ::testing::TestWithParam<const CpuTarget *> {};

TEST_P(ContractionAssemblyTest, InnerLoopsHaveNoSpills) {
  const CpuTarget &target = *GetParam();
  for (const ContractionSchedule &schedule : tiles(target)) {
    KernelModule module;
    buildBiasKernel(module, target, 16 * schedule.panels * 4, 64, schedule);
    unsigned fullTile = schedule.rows * schedule.panels * 16 / target.lanes(), widest = 0;
    for (const InnerLoop &loop : innermostLoops(module.assembly(target))) {
      // The bias epilogue has no FMA; every loop that has some is one over K. Of several steps it may reload one address, and 16
      // rows with the address that they fetch ahead one in each step: no more fit the registers.
      EXPECT_EQ(0u, loop.vectorSpills) << schedule.rows << "x" << schedule.panels;
      unsigned reloads = schedule.rows >= 16 ? loop.fmas / fullTile : 1;
      if (loop.fmas)
        EXPECT_LE(loop.spills, loop.fmas > fullTile ? reloads : 0u) << schedule.rows << "x" << schedule.panels;
      widest = std::max(widest, loop.fmas);
    }
    // A turn of the loop is one step, or as many as stand between two prefetches.
    EXPECT_TRUE(widest == fullTile || widest == fullTile * schedule.prefetchPeriod)
        << schedule.rows << "x" << schedule.panels << ": " << widest;
  }
}

/// f16 costs a conversion a vector of B, bf16 a shift and a mask each for two steps of K; no register more than counted.
TEST_P(ContractionAssemblyTest, HalvesHaveNoSpills) {
  const CpuTarget &target = *GetParam();
  mlir::MLIRContext context;
  for (mlir::Type element : {mlir::Type(mlir::Float16Type::get(&context)), mlir::Type(mlir::BFloat16Type::get(&context))})
    for (const ContractionSchedule &schedule : tiles(target, element)) {
      KernelModule module;
      mlir::Type own = element.isF16() ? mlir::Type(mlir::Float16Type::get(&module.context))
                                       : mlir::Type(mlir::BFloat16Type::get(&module.context));
      buildBiasKernel(module, target, 16 * schedule.panels * 4, 64, schedule, own);
      unsigned steps = element.isBF16() ? 2 : 1, widest = 0;
      for (const InnerLoop &loop : innermostLoops(module.assembly(target))) {
        EXPECT_EQ(0u, loop.vectorSpills) << schedule.rows << "x" << schedule.panels;
        widest = std::max(widest, loop.fmas);
      }
      EXPECT_EQ(steps * schedule.rows * schedule.panels * 16 / target.lanes(), widest);
    }
}

INSTANTIATE_TEST_SUITE_P(Targets, ContractionAssemblyTest, ::testing::ValuesIn(vectorTargets()),
                         targetTestName);

} // namespace
