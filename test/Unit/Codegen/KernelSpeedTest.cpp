//===- KernelSpeedTest.cpp - products as a share of the peak, measured together -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Not a test of a threshold, since machines are shared: it prints. Run it on one quiet core with
//   PERMALLOY_MEASURE=1 taskset -c 1 PermalloyCodegenTests --gtest_filter='*KernelSpeed*'
//
//===----------------------------------------------------------------------===//
#include "../../../lib/Codegen/CPU/AmxContraction.h"
#include "../../../lib/Codegen/CPU/ElementOps.h"
#include "KernelRunner.h"
#include "Measurement.h"
#include "permalloy/Codegen/CPU/Contraction.h"
#include "permalloy/Codegen/CPU/VectorMath.h"

#include <sys/mman.h>

using namespace permalloy;
using namespace permalloy::codegen;
using namespace permalloy::codegen::test;
using mlir::Value;

namespace {

double secondsOf(llvm::function_ref<void()> run) {
  double begin = threadSeconds();
  run();
  return threadSeconds() - begin;
}

/// Independent FMA chains in registers, enough to fill both units.
unsigned peakChains(const CpuTarget &target) { return target.isAvx512() ? 24 : 12; }

void buildPeak(KernelModule &kernel, const CpuTarget &target) {
  KernelBuilder b(*kernel.module, kernel.loc(), "kernel", target, 1, 0);
  llvm::SmallVector<Value> init;
  for (unsigned i = 0; i < peakChains(target); ++i)
    init.push_back(b.loadVector(b.at(b.buffer(0), 64 * i)));
  auto chains = b.loop(b.tileBegin(), b.tileEnd(), 1, init, [&](Value, mlir::ValueRange carried) {
    llvm::SmallVector<Value> next;
    for (Value chain : carried)
      next.push_back(b.fma(init[0], init[1], chain));
    return next;
  });
  for (auto [i, chain] : llvm::enumerate(chains))
    b.store(chain, b.at(b.buffer(0), 64 * i));
  b.finish();
}

/// What a worker does for one product: its grid and scratch.
struct Grid {
  int64_t blockRows, groups, scratchBytes;
};

/// From a variable of the environment, to try schedules: PERMALLOY_AMX="block_rows block_steps epilogue_rows prefetch group_pairs".
AmxSchedule amxSchedule(const ContractionSize &size) {
  AmxSchedule schedule = AmxSchedule::choose(size);
  if (const char *text = getenv("PERMALLOY_AMX"))
    sscanf(text, "%ld %ld %ld %ld %ld", &schedule.blockRows, &schedule.blockSteps, &schedule.epilogueRows,
           &schedule.prefetch, &schedule.groupPairs);
  return schedule;
}

/// From PERMALLOY_F32="tile_rows tile_panels block_rows block_steps prefetch_period run_tiles", as above.
ContractionSchedule linearSchedule(const CpuTarget &target, int64_t n, int64_t k, mlir::Type element) {
  ContractionSchedule schedule = ContractionSchedule::choose(target, n, k, element);
  if (const char *text = getenv("PERMALLOY_F32"))
    sscanf(text, "%u %u %ld %ld %ld %ld", &schedule.rows, &schedule.panels, &schedule.blockRows, &schedule.blockSteps,
           &schedule.prefetchPeriod, &schedule.runTiles);
  return schedule;
}

/// C = gelu(A W + bias), or without the gelu; A and W of `element`, C too where that is bf16 on AMX, the rest f32. buffers: A,
/// W, bias, C; scalars: M.
Grid buildLinear(KernelModule &kernel, const CpuTarget &target, int64_t n, int64_t k, bool gelu,
                 mlir::Type element, bool wide = false) {
  KernelBuilder b(*kernel.module, kernel.loc(), "kernel", target, 4, 1);
  auto epilogue = [&](const EpilogueSite &site, Value value) {
    value = b.addf(value, b.loadLanes(b.at(b.buffer(2), b.mul(site.column, 4)), site.lanes));
    Element e = Element::of(runsOnAmx(target, {n, k, element}) && !wide ? element : mlir::Type(b.getF32Type()));
    Value offset = b.mul(b.add(b.mul(site.row, n), site.column), e.bytes());
    ElementOps(b).storeLanes(e, gelu ? emitGeluErf(b, value) : value, b.at(b.buffer(3), offset), site.lanes);
  };
  Contraction contraction{b.buffer(0), b.buffer(1), b.scalar(0), n, k, epilogue, element};
  if (runsOnAmx(target, {n, k, element})) {
    ContractionSize size{n, k, element};
    AmxSchedule schedule = amxSchedule(size);
    emitAmxContraction(b, contraction, schedule);
    b.finish();
    return {schedule.blockRows, amxGroups(size), amxScratchBytes(schedule, size)};
  }
  ContractionSchedule schedule = linearSchedule(target, n, k, element);
  emitContraction(b, contraction, schedule);
  b.finish();
  return {schedule.blockRows, contractionGroups(schedule, n), contractionScratchBytes(schedule, k, element)};
}

/// f32, f16 or bf16 in a module's context.
mlir::Type elementCalled(llvm::StringRef name, mlir::MLIRContext &context) {
  mlir::Builder builder(&context);
  return name == "f16" ? builder.getF16Type() : name == "bf16" ? builder.getBF16Type() : builder.getF32Type();
}

/// Memory as the runtime gives it to outputs.
struct LargePages {
  explicit LargePages(size_t bytes) {
    constexpr size_t page = 2 << 20;
    bytes = llvm::alignTo(bytes, page);
    memory = std::aligned_alloc(page, bytes);
    madvise(memory, bytes, MADV_HUGEPAGE);
  }
  ~LargePages() { std::free(memory); }
  void *memory;
};

class KernelSpeedTest : public CpuTargetTest {
protected:
  int repeats = 40;
  /// `cold`: weights from memory; `wide`: a result of f32, whatever A and W are.
  void measure(int64_t m, int64_t n, int64_t k, bool gelu, const char *name = "f32", bool cold = false,
               bool wide = false) {
    KernelModule peakModule, linearModule;
    mlir::Type element = elementCalled(name, linearModule.context);
    buildPeak(peakModule, target());
    Grid grid = buildLinear(linearModule, target(), n, k, gelu, element, wide);
    CompiledKernel peak(peakModule, target()), linear(linearModule, target());
    ASSERT_TRUE(peak && linear);
    // Numbers of both halves of a f32 are harmless in f16 and bf16 too.
    LargePages output(m * n * 4);
    auto *c = static_cast<float *>(output.memory);
    std::vector<float> a(m * k, 0.01f), bias(n, 0.1f), w((n + 31) / 16 * 16 * (k + 1), 0.02f);
    alignas(64) static float chains[24 * 16];
    std::vector<float> scratch(grid.scratchBytes / 4 + 32);
    auto aligned = [](std::vector<float> &memory) {
      return reinterpret_cast<float *>(llvm::alignTo(reinterpret_cast<uintptr_t>(memory.data()), 64));
    };
    int64_t tiles = llvm::divideCeil(m, grid.blockRows) * grid.groups;
    constexpr int64_t steps = 100000;
    double peakSeconds = 1e9, seconds = 1e9;
    // Weights that come from memory: another copy each time, of more than the caches hold.
    size_t copyBytes = llvm::alignTo(w.size() * 4, 64);
    std::vector<float> copies(cold ? 800'000'000 / 4 : 0, 0.02f);
    for (int repeat = 0; repeat < repeats; ++repeat) {
      float *weights = aligned(w);
      if (cold)
        weights = aligned(copies) + repeat % (700'000'000 / copyBytes) * (copyBytes / 4);
      peakSeconds = std::min(peakSeconds, secondsOf([&] { peak({chains}, {}, 0, steps); }));
      seconds = std::min(seconds, secondsOf([&] {
                           memset(aligned(scratch), 0, sizeof(int64_t)); // a launch of its own
                           linear({a.data(), weights, bias.data(), c}, {m}, 0, tiles, aligned(scratch));
                         }));
    }
    double speed = 2e-9 * m * n * k / seconds;
    double best = 2e-9 * steps * peakChains(target()) * target().lanes() / peakSeconds;
    double bytes = 1e-9 * n * k * element.getIntOrFloatBitWidth() / 8 / seconds;
    printf("%4ld x %4ld x %4ld %s%s%s: %.0f GFLOP/s, %.0f%% of %.0f; weights at %.1f GB/s\n", long(m), long(n), long(k),
           name, gelu ? " gelu" : "", cold ? ", weights from memory" : "", speed, 100 * speed / best, best, bytes);
  }
};

TEST_P(KernelSpeedTest, Linear) {
  if (!getenv("PERMALLOY_MEASURE"))
    GTEST_SKIP() << "a measurement: set PERMALLOY_MEASURE=1";
  for (int64_t m : {1, 16, 128, 512})
    for (auto [n, k] : {std::pair<int64_t, int64_t>{384, 384},
                        {1536, 384},
                        {384, 1536},
                        {768, 768},
                        {3072, 768},
                        {768, 3072}})
      measure(m, n, k, n > k);
}

/// The products of MiniLM, BERT and GPT-2 on tiles, in bf16.
TEST_P(KernelSpeedTest, LinearOnAmx) {
  if (!getenv("PERMALLOY_MEASURE"))
    GTEST_SKIP() << "a measurement: set PERMALLOY_MEASURE=1";
  if (!target().hasAmx())
    GTEST_SKIP() << "has no AMX";
  long onlyRows = getenv("PERMALLOY_ROWS") ? atol(getenv("PERMALLOY_ROWS")) : 0;
  for (int64_t m : {1, 8, 16, 128, 512, 1024})
    for (auto [n, k] : {std::pair<int64_t, int64_t>{384, 384},
                        {1536, 384},
                        {384, 1536},
                        {768, 768},
                        {3072, 768},
                        {768, 3072},
                        {2048, 768}})
      if (!onlyRows || m == onlyRows)
        measure(m, n, k, n == 4 * k, "bf16");
  for (auto [n, k] : {std::pair<int64_t, int64_t>{768, 768}, {3072, 768}, {768, 3072}})
    measure(128, n, k, n == 4 * k, "bf16", /*cold=*/true);
}

/// The heads of GPT-2 and of a Llama, results in f32.
TEST_P(KernelSpeedTest, HeadOnAmx) {
  if (!getenv("PERMALLOY_MEASURE"))
    GTEST_SKIP() << "a measurement: set PERMALLOY_MEASURE=1";
  if (!target().hasAmx())
    GTEST_SKIP() << "has no AMX";
  repeats = 5;
  for (int64_t m : {1, 32, 128, 1024})
    for (int64_t n : {50257, 32000})
      measure(m, n, 768, false, "bf16", /*cold=*/false, /*wide=*/true);
}

/// PERMALLOY_SHAPE="M N K": one product in f32, 0.3 s or so; with PERMALLOY_COLD weights come from memory, 2 s.
TEST_P(KernelSpeedTest, LinearOfOneShape) {
  const char *text = getenv("PERMALLOY_SHAPE");
  if (!getenv("PERMALLOY_MEASURE") || !text)
    GTEST_SKIP() << "a measurement: set PERMALLOY_MEASURE=1 and PERMALLOY_SHAPE";
  long m = 0, n = 0, k = 0;
  ASSERT_EQ(3, sscanf(text, "%ld %ld %ld", &m, &n, &k));
  repeats = std::clamp(int(60e9 / (2. * m * n * k)), 3, 100);
  measure(m, n, k, false, "f32", /*cold=*/getenv("PERMALLOY_COLD"));
}

/// M = 128 from the caches, and M = 1 with more weights than they hold.
TEST_P(KernelSpeedTest, LinearOfEachPrecision) {
  if (!getenv("PERMALLOY_MEASURE"))
    GTEST_SKIP() << "a measurement: set PERMALLOY_MEASURE=1";
  for (const char *element : {"f32", "f16", "bf16"}) {
    measure(128, 768, 768, false, element);
    measure(128, 3072, 768, false, element);
    measure(128, 768, 3072, false, element);
    measure(1, 65536, 4096, false, element);
    measure(1, 349440, 768, false, element);
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, KernelSpeedTest, ::testing::ValuesIn(allTargets()),
                         targetTestName);

} // namespace
