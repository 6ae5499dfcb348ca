//===- SparseIntegerSpeedTest.cpp - kept blocks of 8-bit integers -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Prints times by density beside the dense kernel of the same target, in turns, weights from memory as in a model:
//   PERMALLOY_MEASURE=1 taskset -c 1 PermalloyCodegenTests --gtest_filter='*SparseIntegerSpeed*'
// PERMALLOY_DENSITY="percent ..." chooses densities, PERMALLOY_SHAPE="M N K" one shape, PERMALLOY_SCHEDULE="tile_rows tile_panels
// block_rows block_steps prefetch_period lane_columns run_tiles" a schedule of the blocks.
//
//===----------------------------------------------------------------------===//
#include "../../../lib/Codegen/CPU/AmxContraction.h"
#include "KernelRunner.h"
#include "Measurement.h"
#include "permalloy/Codegen/CPU/Contraction.h"

#include <random>

using namespace permalloy;
using namespace permalloy::codegen;
using namespace permalloy::codegen::test;
using mlir::Value;

namespace {

/// One kernel, C = A W as f32, with as many copies of its weight as caches do not hold.
struct Case {
  int64_t kept = 0; ///< 0: dense
  int64_t blockRows = 0, groups = 0;
  KernelModule module;
  std::unique_ptr<CompiledKernel> kernel;
  std::vector<int8_t> scratch;
  std::vector<std::vector<int8_t>> weights;
  std::vector<std::vector<int32_t>> lists;
  double seconds = 1e9;

  static char *aligned(std::vector<int8_t> &memory) {
    return reinterpret_cast<char *>(llvm::alignTo(reinterpret_cast<uintptr_t>(memory.data()), 64));
  }
};

ContractionSchedule scheduleOf(const CpuTarget &target, const ContractionSize &size) {
  if (!size.kept)
    return ContractionSchedule::choose(target, size.n, size.k, size.element);
  ContractionSchedule schedule = ContractionSchedule::chooseSparse(target, size);
  if (const char *text = getenv("PERMALLOY_SCHEDULE"))
    sscanf(text, "%u %u %ld %ld %ld %ld %ld", &schedule.rows, &schedule.panels, &schedule.blockRows, &schedule.blockSteps,
           &schedule.prefetchPeriod, &schedule.laneColumns, &schedule.runTiles);
  return schedule;
}

/// buffers: A, weights, list, C; scalars: M.
void build(Case &c, const CpuTarget &target, int64_t n, int64_t k) {
  KernelBuilder b(*c.module.module, c.module.loc(), "kernel", target, 4, 1);
  auto epilogue = [&](const EpilogueSite &site, Value sums) {
    Value value = mlir::arith::SIToFPOp::create(b, b.vectorType(), sums);
    b.storeLanes(value, b.at(b.buffer(3), b.mul(b.add(b.mul(site.row, n), site.column), 4)), site.lanes);
  };
  Contraction contraction{b.buffer(0), b.buffer(1), b.scalar(0), n, k, epilogue, b.getI8Type()};
  ContractionSize size{n, k, b.getI8Type()};
  size.kept = c.kept, size.slabPanels = c.kept ? 1 : 0;
  if (c.kept)
    contraction.sparse = SparseRows{b.buffer(2), c.kept, 1};
  int64_t scratch;
  if (runsOnAmx(target, size)) {
    AmxSchedule schedule = AmxSchedule::choose(size);
    emitAmxContraction(b, contraction, schedule);
    c.blockRows = schedule.blockRows, c.groups = amxGroups(size), scratch = amxScratchBytes(schedule, size);
  } else {
    ContractionSchedule schedule = scheduleOf(target, size);
    emitContraction(b, contraction, schedule);
    c.blockRows = schedule.blockRows, c.groups = contractionGroups(schedule, n);
    scratch = c.kept ? sparseScratchBytes(schedule, size) : contractionScratchBytes(schedule, k, size.element);
  }
  b.finish();
  c.scratch.resize(scratch + 64);
  c.kernel = std::make_unique<CompiledKernel>(c.module, target);
}

void fill(Case &c, int64_t n, int64_t k, int64_t copies) {
  std::mt19937 engine(int(c.kept) + 1);
  int64_t panels = llvm::divideCeil(n, 16), rows = c.kept ? c.kept : k / 4;
  c.weights.resize(copies), c.lists.resize(copies);
  for (int64_t copy = 0; copy < copies; ++copy) {
    c.weights[copy].resize(panels * rows * 64 + 64);
    for (int8_t &code : c.weights[copy])
      code = int8_t(engine() % 255 - 127);
    for (int64_t panel = 0; panel < panels; ++panel)
      for (int64_t i = 0; i < c.kept; ++i) {
        int64_t begin = i * (k / 4) / c.kept, end = (i + 1) * (k / 4) / c.kept;
        c.lists[copy].push_back(int32_t(begin + int64_t(engine() % (end - begin))));
      }
  }
}

class SparseIntegerSpeedTest : public testing::TestWithParam<const char *> {
protected:
  void measure(const CpuTarget &target, int64_t m, int64_t n, int64_t k) {
    int64_t copies = std::clamp<int64_t>(100'000'000 / (n * k), 2, 48);
    std::vector<std::unique_ptr<Case>> cases;
    std::vector<int64_t> densities = numbers("PERMALLOY_DENSITY", {100, 70, 50, 25, 10});
    densities.insert(densities.begin(), 0);
    for (int64_t percent : densities) {
      cases.push_back(std::make_unique<Case>());
      cases.back()->kept = k / 4 * percent / 100;
      build(*cases.back(), target, n, k);
      fill(*cases.back(), n, k, copies);
    }
    std::vector<int8_t> a(m * k + 64);
    std::mt19937 engine(3);
    for (int8_t &code : a)
      code = int8_t(engine() % 255 - 127);
    std::vector<float> out(m * n + 16);
    int64_t turns = std::clamp<int64_t>(int64_t(8e9 / (2. * m * n * k)), 20, 200);
    for (int64_t turn = 0; turn < turns; ++turn)
      for (auto &c : cases) {
        int64_t copy = turn % copies, tiles = llvm::divideCeil(m, c->blockRows) * c->groups;
        memset(Case::aligned(c->scratch), 0, sizeof(int64_t)); // a launch of its own
        double begin = threadSeconds();
        (*c->kernel)({a.data(), Case::aligned(c->weights[copy]), c->lists[copy].data(), out.data()}, {m}, 0, tiles, Case::aligned(c->scratch));
        c->seconds = std::min(c->seconds, threadSeconds() - begin);
      }
    double dense = cases[0]->seconds;
    printf("%ld x %ld x %ld: dense %.1f us, %.0f GOP/s, %.1f GB/s;", long(m), long(n), long(k), dense * 1e6, 2e-9 * m * n * k / dense, 1e-9 * n * k / dense);
    for (size_t i = 1; i < cases.size(); ++i)
      printf(" %ld%%: %.1f us, %.2fx;", long(densities[i]), cases[i]->seconds * 1e6, dense / cases[i]->seconds);
    printf("\n");
  }
};

TEST_P(SparseIntegerSpeedTest, ByDensity) {
  if (!getenv("PERMALLOY_MEASURE"))
    GTEST_SKIP() << "a measurement: set PERMALLOY_MEASURE=1";
  CpuTarget target = llvm::cantFail(CpuTarget::parse(GetParam()));
  if (!target.supportedByHost() || (target.hasAmx() && !requestAmxPermission()))
    GTEST_SKIP() << "this machine lacks " << GetParam() << ", or Linux refuses the tile state";
  std::vector<int64_t> shape = numbers("PERMALLOY_SHAPE", {});
  if (shape.size() == 3)
    return measure(target, shape[0], shape[1], shape[2]);
  for (int64_t m : {1, 16, 128})
    for (auto [n, k] : {std::pair<int64_t, int64_t>{768, 768}, {3072, 768}, {768, 3072}})
      measure(target, m, n, k);
}

INSTANTIATE_TEST_SUITE_P(Targets, SparseIntegerSpeedTest, testing::Values("sapphirerapids", "icelake-server", "x86-64-v4", "alderlake", "x86-64-v3"),
                         [](auto &info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

} // namespace
