//===- SparseContractionTest.cpp - products that walk kept rows -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "KernelCheck.h"
#include "KernelRunner.h"
#include "Measurement.h"
#include "permalloy/Codegen/CPU/Contraction.h"
#include "permalloy/Codegen/Common/AssemblyStats.h"

#include <random>

using namespace permalloy;
using namespace permalloy::codegen;
using namespace permalloy::codegen::test;
using mlir::Value;

namespace {

/// A product whose weights are kept in slabs of `slabPanels` panels; kept = 0: a dense one. Or `keptOfFour` of each four steps are
/// kept in each column.
struct Product {
  int64_t n, k, kept, slabPanels, keptOfFour = 0;
  static Product quads(int64_t n, int64_t k, int64_t keptOfFour) { return {n, k, k / 4 * keptOfFour, 1, keptOfFour}; }
  ContractionSize size() const { return {n, k, {}, false, false, false, kept, slabPanels, std::nullopt, keptOfFour}; }
  int64_t scratchBytes(const ContractionSchedule &schedule) const {
    return kept ? sparseScratchBytes(schedule, size()) : contractionScratchBytes(schedule, k);
  }
  int64_t slabs() const { return llvm::divideCeil(n, 16 * slabPanels); }
  ContractionSchedule schedule(const CpuTarget &target) const {
    return kept ? ContractionSchedule::chooseSparse(target, size()) : ContractionSchedule::choose(target, n, k);
  }
  int64_t depth() const { return kept ? kept : k; }
};

/// buffers: A, weights, rows, output; scalars: M.
void build(KernelModule &kernel, const CpuTarget &target, const Product &p, const ContractionSchedule &schedule) {
  KernelBuilder b(*kernel.module, kernel.loc(), "kernel", target, 4, 1);
  auto epilogue = [&](const EpilogueSite &site, Value product) {
    Value element = b.add(b.mul(site.row, p.n), site.column);
    b.storeLanes(product, b.at(b.buffer(3), b.mul(element, 4)), site.lanes);
  };
  Contraction contraction{b.buffer(0), b.buffer(1), b.scalar(0), p.n, p.k, epilogue};
  if (p.kept)
    contraction.sparse = SparseRows{b.buffer(2), p.kept, p.slabPanels, p.keptOfFour};
  emitContraction(b, contraction, schedule);
  b.finish();
}

float *aligned(std::vector<float> &memory) {
  return reinterpret_cast<float *>(llvm::alignTo(reinterpret_cast<uintptr_t>(memory.data()), 64));
}

/// Random weights of a product, and what they are as a dense matrix.
struct Weights {
  Weights(const Product &p, unsigned seed) : values(p.slabs() * p.depth() * p.slabPanels * 16 + 32), rows(p.slabs() * p.depth()) {
    std::mt19937 engine(seed);
    dense.resize(p.k * p.n);
    p.keptOfFour ? fillQuads(p, engine) : fillBlocks(p, engine);
  }
  void fillBlocks(const Product &p, std::mt19937 &engine) {
    std::vector<int32_t> all(p.k);
    for (int64_t slab = 0; slab < p.slabs(); ++slab) {
      std::iota(all.begin(), all.end(), 0);
      std::shuffle(all.begin(), all.end(), engine);
      std::sort(all.begin(), all.begin() + p.depth());
      for (int64_t i = 0; i < p.depth(); ++i) {
        rows[slab * p.depth() + i] = all[i];
        for (int64_t c = 0; c < p.slabPanels * 16 && slab * p.slabPanels * 16 + c < p.n; ++c) {
          float value = float(engine() % 2001) / 1000 - 1;
          dense[all[i] * p.n + slab * p.slabPanels * 16 + c] = value;
          aligned(values)[(slab * p.depth() + i) * p.slabPanels * 16 + c] = value;
        }
      }
    }
  }
  void fillQuads(const Product &p, std::mt19937 &engine) {
    int64_t words = llvm::divideCeil(p.kept, 16);
    rows.assign(p.slabs() * words * 16, 0);
    for (int64_t column = 0; column < p.n; ++column)
      for (int64_t i = 0; i < p.kept; i += p.keptOfFour) {
        std::vector<int> steps = {0, 1, 2, 3};
        std::shuffle(steps.begin(), steps.end(), engine);
        std::sort(steps.begin(), steps.begin() + p.keptOfFour);
        for (int64_t j = i; j < i + p.keptOfFour; ++j) {
          float value = float(engine() % 2001) / 1000 - 1;
          uint32_t step = steps[j - i];
          rows[(column / 16 * words + j / 16) * 16 + column % 16] |= step << (j % 16 * 2);
          aligned(values)[(column / 16 * p.kept + j) * 16 + column % 16] = value;
          dense[(j / p.keptOfFour * 4 + step) * p.n + column] = value;
        }
      }
  }
  std::vector<float> values, dense;
  std::vector<int32_t> rows;
};

std::vector<float> randomFloats(size_t count, unsigned seed) {
  std::mt19937 engine(seed);
  std::vector<float> values(count);
  for (float &value : values)
    value = float(engine() % 2001) / 1000 - 1;
  return values;
}

class SparseContractionTest : public CpuTargetTest {
protected:
  std::unique_ptr<CompiledKernel> compile(const Product &p, const ContractionSchedule &schedule) {
    KernelModule module;
    build(module, target(), p, schedule);
    auto kernel = std::make_unique<CompiledKernel>(module, target());
    EXPECT_TRUE(bool(*kernel));
    return kernel;
  }

  /// The product of `m` rows, by a grid in `parts` ranges.
  std::vector<float> run(CompiledKernel &kernel, const Product &p, const ContractionSchedule &schedule, int64_t m, const std::vector<float> &a,
                         float *weights, int32_t *rows, int64_t parts = 1) {
    std::vector<float> out(m * p.n + 16, -7.0f);
    std::vector<float> scratch(p.scratchBytes(schedule) / 4 + 16);
    int64_t tiles = llvm::divideCeil(m, schedule.blockRows) * contractionGroups(schedule, p.n);
    for (int64_t part = 0; part < parts; ++part)
      kernel({const_cast<float *>(a.data()), weights, rows, out.data()}, {m}, tiles * part / parts, tiles * (part + 1) / parts, aligned(scratch));
    for (int64_t i = 0; i < 16; ++i)
      EXPECT_EQ(-7.0f, out[m * p.n + i]);
    out.resize(m * p.n);
    return out;
  }

  void check(const Product &p, const ContractionSchedule &schedule, llvm::ArrayRef<int64_t> ms) {
    SCOPED_TRACE("n " + std::to_string(p.n) + " k " + std::to_string(p.k) + " kept " + std::to_string(p.kept) + " tile " +
                 std::to_string(schedule.rows) + "x" + std::to_string(schedule.panels) + " of " + std::to_string(p.slabPanels));
    Weights weights(p, 1);
    auto kernel = compile(p, schedule);
    for (int64_t m : ms) {
      std::vector<float> a = randomFloats(m * p.k, 2), out = run(*kernel, p, schedule, m, a, aligned(weights.values), weights.rows.data(), 3);
      double worst = 0;
      for (int64_t row = 0; row < m; ++row)
        for (int64_t col = 0; col < p.n; ++col) {
          double sum = 0;
          for (int64_t step = 0; step < p.k; ++step)
            sum += double(a[row * p.k + step]) * weights.dense[step * p.n + col];
          worst = std::max(worst, std::fabs(sum - out[row * p.n + col]));
        }
      EXPECT_LE(worst, 1e-6 * (p.k + 4)) << "m " << m;
    }
  }
};

TEST_P(SparseContractionTest, DefaultsOverShapes) {
  const int64_t ms[] = {1, 7, 24, 61, 250};
  for (int64_t slab : {1, 2, 3, 5})
    for (Product p : {Product{15, 3, 1, slab}, {100, 65, 31, slab}})
      check(p, p.schedule(target()), ms);
  check({96, 1300, 1100, 3}, Product{96, 1300, 1100, 3}.schedule(target()), {1, 30}); // several blocks of K
}

TEST_P(SparseContractionTest, TilesWithinASlab) {
  for (auto [slab, rows, panels] : {std::tuple<int64_t, unsigned, unsigned>{3, 4, 1}, {2, 4, 1}, {6, 2, 3}, {4, 2, 2}}) {
    ContractionSchedule schedule{rows, panels, int64_t(rows) * 4, 16, 4};
    if (schedule.fits(target()))
      check({150, 50, 29, slab}, schedule, {1, 5, 40});
  }
}

/// K cut, with ends within a word of steps and within a cut, and not; runs that end early.
TEST_P(SparseContractionTest, CutColumns) {
  if (target().isAvx512())
    for (auto [k, kept] : {std::pair<int64_t, int64_t>{1040, 700}, {1100, 20}}) {
      Product p{40, k, kept, 1};
      ContractionSchedule schedule = p.schedule(target());
      check(p, schedule, {16, 61});
      schedule.blockSteps = 256, schedule.runTiles = 2;
      check(p, schedule, {100});
    }
}

TEST_P(SparseContractionTest, Quads) {
  const int64_t ms[] = {1, 7, 15, 16, 61, 270};
  for (auto [n, k, keptOfFour] : {std::tuple<int64_t, int64_t, int64_t>{15, 4, 2}, {100, 100, 2}, {40, 128, 1}, {24, 200, 2}, {24, 200, 1}}) {
    Product p = Product::quads(n, k, keptOfFour);
    check(p, p.schedule(target()), ms);
    ContractionSchedule wide = p.schedule(target());
    wide.laneColumns = 4, wide.rows = 2 * target().lanes(), wide.blockSteps = 64, wide.runTiles = 3;
    check(p, wide, {16, 75});
  }
}

/// Rows without a gap are a dense product: the same bits, whatever the schedules and the parts of the grid.
TEST_P(SparseContractionTest, DensityOneIsDense) {
  for (int64_t slab : {1, 3}) {
    Product sparse{96, 130, 130, slab}, dense{96, 130, 0, 1};
    Weights weights(sparse, 3);
    std::vector<float> panels(96 * 130 + 16), a = randomFloats(29 * 130, 4);
    for (int64_t k = 0; k < 130; ++k)
      for (int64_t n = 0; n < 96; ++n)
        aligned(panels)[(n / 16 * 130 + k) * 16 + n % 16] = weights.dense[k * 96 + n];
    ContractionSchedule whole = dense.schedule(target());
    std::vector<float> expected = run(*compile(dense, whole), dense, whole, 29, a, aligned(panels), nullptr);
    ContractionSchedule cut = sparse.schedule(target());
    cut.blockSteps = 32, cut.laneColumns = 0, cut.rows = std::min(cut.rows, 6u), cut.runTiles = 1;
    cut.blockRows = cut.rows * 2;
    ContractionSchedule lanes = sparse.schedule(target());
    lanes.blockSteps = 48;
    for (const ContractionSchedule &schedule : {sparse.schedule(target()), cut, lanes}) {
      auto kernel = compile(sparse, schedule);
      for (int64_t parts : {1, 2, 5})
        EXPECT_EQ(expected, run(*kernel, sparse, schedule, 29, a, aligned(weights.values), weights.rows.data(), parts));
    }
  }
}

/// Through kern and the interpreter: bias, activation, a residual, columns that end within a slab.
TEST_P(SparseContractionTest, Kernel) {
  for (auto [block, values] : {std::pair<const char *, const char *>{"16", "4x9x16"}, {"32", "2x9x32"}, {"48", "2x9x48"}}) {
    std::string rows = llvm::StringRef(values).rsplit('x').first.str();
    KernelCheck kernel(R"mlir(func.func @main(%x: tensor<?x20xf32> {tfm.dims = [#tfm.dim<m>, #tfm.dim<20>]}, %v: tensor<)mlir" + std::string(values) +
                           "xf32>, %i: tensor<" + rows + R"mlir(xi32>, %bias: tensor<50xf32>, %r: tensor<?x50xf32> {tfm.dims = [#tfm.dim<m>, #tfm.dim<50>]}) -> tensor<?x50xf32> {
      %w = tfm.expand_blocks %v, %i {block = array<i64: 1, )mlir" + block + ">, shape = array<i64: 20, 50>} : (tensor<" + values + "xf32>, tensor<" + rows + R"mlir(xi32>) -> tensor<20x50xf32>
      %0 = tfm.linear %x, %w bias %bias activation gelu_erf : (tensor<?x20xf32>, tensor<20x50xf32>, tensor<50xf32>) -> tensor<?x50xf32>
      %1 = tfm.binary add %0, %r : (tensor<?x50xf32>, tensor<?x50xf32>) -> tensor<?x50xf32>
      return %1 : tensor<?x50xf32>
    })mlir",
                       "contraction");
    auto ascend = [](llvm::MutableArrayRef<reference::Tensor> inputs) {
      for (int64_t i = 0; i < inputs[2].size(); ++i)
        inputs[2].setInteger(i, i % 9 * 2 + i / 9 % 3);
    };
    if (kernel)
      for (const char *size : {"m=1", "m=7", "m=30"})
        kernel.run(target(), size, reference::Tolerance{1e-5, 2e-5}, ascend);
  }
}

/// Steps of kept weights that ascend within each quad, in every order that there is.
void chooseSteps(reference::Tensor &words, int64_t keptOfFour) {
  constexpr int kPairs[] = {0 | 1 << 2, 0 | 2 << 2, 0 | 3 << 2, 1 | 2 << 2, 1 | 3 << 2, 2 | 3 << 2};
  for (int64_t i = 0; i < words.size(); ++i) {
    uint32_t word = 0;
    for (int64_t j = 0; j < 16; j += keptOfFour) {
      unsigned number = unsigned(i * 7 + j * 3);
      word |= (keptOfFour == 2 ? kPairs[number % 6] : number % 4) << 2 * j;
    }
    words.setInteger(i, int32_t(word));
  }
}

/// Through kern and the interpreter: ends of panels, of words of steps and of cuts, few rows, lanes partly filled, and all that an epilogue
/// may be.
TEST_P(SparseContractionTest, QuadsKernel) {
  for (auto [k, n, keptOfFour] : {std::tuple<int64_t, int64_t, int64_t>{100, 33, 2}, {132, 50, 1}}) {
    int64_t depth = k / 4 * keptOfFour;
    std::string text = R"mlir(func.func @main(%x: tensor<?x?x$Kxf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<m>, #tfm.dim<$K>]}, %v: tensor<$Px$Dx16xf32>, %i: tensor<$Px$Wx16xi32>, %bias: tensor<$Nxf32>, %r: tensor<?x?x$Nxf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<m>, #tfm.dim<$N>]}) -> (tensor<?x?x$Nxf32>, tensor<?x?x$Nxbf16>) {
      %w = tfm.expand_quads %v, %i {kept = $C : i64, shape = array<i64: $K, $N>} : (tensor<$Px$Dx16xf32>, tensor<$Px$Wx16xi32>) -> tensor<$Kx$Nxf32>
      %0 = tfm.linear %x, %w bias %bias activation gelu_erf : (tensor<?x?x$Kxf32>, tensor<$Kx$Nxf32>, tensor<$Nxf32>) -> tensor<?x?x$Nxf32>
      %1 = tfm.binary add %0, %r : (tensor<?x?x$Nxf32>, tensor<?x?x$Nxf32>) -> tensor<?x?x$Nxf32>
      %2 = tfm.cast %1 : (tensor<?x?x$Nxf32>) -> tensor<?x?x$Nxbf16>
      return %1, %2 : tensor<?x?x$Nxf32>, tensor<?x?x$Nxbf16>
    })mlir";
    for (auto [name, value] : {std::pair<const char *, int64_t>{"$K", k}, {"$N", n}, {"$P", (n + 15) / 16}, {"$D", depth}, {"$W", (depth + 15) / 16}, {"$C", keptOfFour}})
      text = replaceAll(text, name, std::to_string(value));
    KernelCheck kernel(text, "contraction");
    ASSERT_TRUE(bool(kernel));
    auto choose = [keptOfFour = keptOfFour](llvm::MutableArrayRef<reference::Tensor> inputs) { chooseSteps(inputs[2], keptOfFour); };
    for (const char *size : {"b=1,m=0", "b=1,m=1", "b=1,m=9", "b=1,m=17", "b=3,m=50"})
      kernel.run(target(), size, reference::Tolerance{0x1p-7, 2e-5}, choose);
  }
}

/// Prints times by density beside the dense kernel, in turns, weights from memory as in a model. PERMALLOY_DENSITY="percent ..."
/// chooses densities, PERMALLOY_SHAPE="M N K" one shape, PERMALLOY_SLABS="panels ..." the widths of blocks, PERMALLOY_F32 a schedule.
class SparseSpeedTest : public CpuTargetTest {
protected:
  struct Case {
    Product product;
    ContractionSchedule schedule;
    std::unique_ptr<CompiledKernel> kernel;
    std::vector<std::unique_ptr<Weights>> copies;
    double seconds = 1e9;
  };

  Case makeCase(const Product &p, int64_t copies) {
    Case result;
    result.product = p, result.schedule = p.schedule(target());
    if (const char *text = p.kept ? getenv("PERMALLOY_F32") : nullptr)
      sscanf(text, "%u %u %ld %ld %ld %ld %ld", &result.schedule.rows, &result.schedule.panels, &result.schedule.blockRows,
             &result.schedule.blockSteps, &result.schedule.prefetchPeriod, &result.schedule.laneColumns, &result.schedule.runTiles);
    KernelModule module;
    build(module, target(), p, result.schedule);
    result.kernel = std::make_unique<CompiledKernel>(module, target());
    for (int64_t i = 0; i < copies; ++i)
      result.copies.push_back(std::make_unique<Weights>(p, i));
    return result;
  }

  void time(Case &c, int64_t turn, int64_t m, std::vector<float> &a, std::vector<float> &out, std::vector<float> &scratch) {
    Weights &weights = *c.copies[turn % c.copies.size()];
    int64_t tiles = llvm::divideCeil(m, c.schedule.blockRows) * contractionGroups(c.schedule, c.product.n);
    memset(aligned(scratch), 0, sizeof(int64_t)); // a launch of its own
    double begin = threadSeconds();
    (*c.kernel)({a.data(), aligned(weights.values), weights.rows.data(), out.data()}, {m}, 0, tiles, aligned(scratch));
    c.seconds = std::min(c.seconds, threadSeconds() - begin);
  }

  void measure(int64_t m, int64_t n, int64_t k) {
    int64_t copies = std::clamp<int64_t>(100'000'000 / (n * k * 4), 2, 24);
    std::vector<Case> cases;
    cases.push_back(makeCase({n, k, 0, 1}, copies));
    for (int64_t slab : numbers("PERMALLOY_SLABS", {1, 2, 3}))
      for (int64_t percent : numbers("PERMALLOY_DENSITY", {100, 70, 50, 25, 10, 5}))
        cases.push_back(makeCase({n, k, std::max<int64_t>(1, k * percent / 100), slab}, copies));
    for (int64_t keptOfFour : numbers("PERMALLOY_QUADS", {2, 1}))
      cases.push_back(makeCase(Product::quads(n, k, keptOfFour), copies));
    std::vector<float> a = randomFloats(m * k, 9), out(m * n), scratch((2 << 20) + 16);
    int64_t turns = std::clamp<int64_t>(int64_t(2e9 / (2. * m * n * k)), 10, 100);
    for (int64_t turn = 0; turn < turns; ++turn)
      for (Case &c : cases)
        time(c, turn, m, a, out, scratch);
    double dense = cases[0].seconds;
    printf("%ld x %ld x %ld: dense %.0f us, %.0f GFLOP/s, %.1f GB/s\n", long(m), long(n), long(k), dense * 1e6, 2e-9 * m * n * k / dense,
           4e-9 * n * k / dense);
    for (size_t i = 1; i < cases.size(); ++i) {
      const Product &p = cases[i].product;
      double seconds = cases[i].seconds;
      std::string form = p.keptOfFour ? std::to_string(p.keptOfFour) + ":4" : "1 x " + std::to_string(16 * p.slabPanels);
      printf("  %s, %3.0f%% kept, tile %ux%u: %7.0f us, %.2fx, %.0f GFLOP/s of what is kept, %.1f GB/s\n", form.c_str(),
             100. * p.kept / p.k, cases[i].schedule.rows, cases[i].schedule.panels, seconds * 1e6, dense / seconds,
             2e-9 * m * n * p.kept / seconds, 4e-9 * (n + (p.keptOfFour ? n / 16 : p.slabs())) * p.kept / seconds);
    }
  }
};

TEST_P(SparseSpeedTest, ByDensity) {
  if (!getenv("PERMALLOY_MEASURE"))
    GTEST_SKIP() << "a measurement: set PERMALLOY_MEASURE=1";
  std::vector<int64_t> shape = numbers("PERMALLOY_SHAPE", {});
  if (shape.size() == 3)
    return measure(shape[0], shape[1], shape[2]);
  for (int64_t m : {1, 16, 128})
    for (auto [n, k] : {std::pair<int64_t, int64_t>{768, 768}, {3072, 768}, {768, 3072}})
      measure(m, n, k);
}

/// Assembly needs no machine that runs it.
class SparseAssemblyTest : public ::testing::TestWithParam<const CpuTarget *> {};

TEST_P(SparseAssemblyTest, InnerLoopsHaveNoSpills) {
  const CpuTarget &target = *GetParam();
  for (int64_t slab : {1, 2, 3, 5}) {
    Product p{48 * 4, 128, 64, slab};
    KernelModule module;
    ContractionSchedule schedule = p.schedule(target);
    build(module, target, p, schedule);
    unsigned widest = 0;
    for (const InnerLoop &loop : innermostLoops(module.assembly(target))) {
      EXPECT_EQ(0u, loop.vectorSpills) << "slab " << slab;
      widest = std::max(widest, loop.fmas);
    }
    unsigned fullTile = schedule.rows * (schedule.laneColumns ? schedule.laneColumns : schedule.panels * 16) / target.lanes();
    EXPECT_TRUE(widest == fullTile || widest == fullTile * schedule.prefetchPeriod || widest == fullTile * 2) << slab << ": " << widest;
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, SparseContractionTest, ::testing::ValuesIn(vectorTargets()), targetTestName);
INSTANTIATE_TEST_SUITE_P(Targets, SparseSpeedTest, ::testing::ValuesIn(allTargets()), targetTestName);
INSTANTIATE_TEST_SUITE_P(Targets, SparseAssemblyTest, ::testing::ValuesIn(vectorTargets()), targetTestName);

} // namespace
