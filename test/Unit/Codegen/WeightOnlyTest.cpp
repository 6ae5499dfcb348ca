//===- WeightOnlyTest.cpp - products with codes and scales, against a sum in double -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The loops alone; kernels of tfm operations are in WeightOnlyKernelTest.cpp. Speed, which prints and tests nothing:
//   PERMALLOY_MEASURE=1 taskset -c 1 PermalloyCodegenTests --gtest_filter='*WeightOnlyTest.Speed*'
//
//===----------------------------------------------------------------------===//
#include "../../../lib/Codegen/CPU/WeightOnly.h"
#include "KernelRunner.h"
#include "Tfm/Panels.h"
#include "permalloy/Codegen/Common/AssemblyStats.h"

#include <cmath>
#include <cstring>
#include <random>
#include <sys/mman.h>
#include <time.h>

using namespace permalloy;
using namespace permalloy::codegen;
using namespace permalloy::codegen::test;
using llvm::SmallVector;
using mlir::Value;

namespace {

/// Memory of lines.
template <typename T> struct Lines {
  explicit Lines(size_t count) : storage(count * sizeof(T) + 4096) {
    data = reinterpret_cast<T *>(llvm::alignTo(reinterpret_cast<uintptr_t>(storage.data()), 64));
  }
  std::vector<char> storage;
  T *data;
};

CodeFormat format(bool isSigned, unsigned bits, int64_t group, bool zeros = false, bool codebook = false) {
  return {isSigned, bits, bits <= 4 ? 4 : 8, group, {}, zeros, codebook};
}

/// A weight of random codes, as numbers and as packed.
struct Weight {
  Weight(const CodeFormat &format, int64_t n, int64_t k)
      : format(format), n(n), k(k), groups(llvm::divideCeil(k, format.group)), panels(llvm::divideCeil(n, 16)),
        steps(32 / format.storedBits), rows(llvm::divideCeil(k, steps)), codes(panels * rows * 64), scales(panels * groups * 16),
        zeros(panels * groups * 16), table(16), plain(k * n) {
    std::mt19937 engine(1);
    for (int i = 0; i < 16; ++i)
      table.data[i] = float(engine() % 1000) / 500 - 1;
    for (int64_t i = 0; i < panels * groups * 16; ++i)
      scales.data[i] = float(engine() % 1000) / 1000 + 0.5f, zeros.data[i] = float(engine() % (1 << format.bits));
    for (int64_t col = 0; col < n; ++col)
      for (int64_t step = 0; step < k; ++step)
        set(step, col, engine() % (1u << format.bits));
  }

  void set(int64_t step, int64_t col, unsigned bits) {
    int64_t at = step % steps, scale = (col / 16 * groups + step / format.group) * 16 + col % 16;
    uint8_t &byte = codes.data[((col / 16 * rows + step / steps) * 16 + col % 16) * 4 + at % 4];
    float value = bits;
    if (format.isSigned && bits >= (1u << (format.bits - 1)))
      value -= 1u << format.bits;
    byte = format.storedBits == 8 ? int(value) : byte | (int(value) & 15) << (at / 4 * 4);
    if (format.hasCodebook)
      value = table.data[bits];
    if (format.hasZeroPoints)
      value -= zeros.data[scale];
    plain[step * n + col] = value * scales.data[scale];
  }

  CodeFormat format;
  int64_t n, k, groups, panels, steps, rows;
  Lines<uint8_t> codes;
  Lines<float> scales, zeros, table;
  std::vector<float> plain;
};

/// buffers: A, codes, scales, zero points, codebook, C; scalars: M. C = A W, f32.
void buildKernel(KernelModule &kernel, const CpuTarget &target, CodeFormat format, int64_t n, int64_t k,
                 const WeightOnlySchedule &schedule) {
  KernelBuilder b(*kernel.module, kernel.loc(), "kernel", target, 6, 1);
  if (!format.scales)
    format.scales = b.getF32Type();
  auto epilogue = [&](const EpilogueSite &site, Value product) {
    Value element = b.add(b.mul(site.row, n), site.column);
    b.storeLanes(product, b.at(b.buffer(5), b.mul(element, 4)), site.lanes);
  };
  Contraction contraction{b.buffer(0), {}, b.scalar(0), n, k, epilogue};
  contraction.coded = CodedWeight{format, b.buffer(1), b.buffer(2), format.hasZeroPoints ? b.buffer(3) : Value(),
                                  format.hasCodebook ? b.buffer(4) : Value()};
  emitWeightOnly(b, contraction, schedule);
  b.finish();
}

int64_t scratchBytes(const WeightOnlySchedule &schedule, const CpuTarget &target, int64_t n, int64_t k, CodeFormat format) {
  mlir::MLIRContext context;
  if (!format.scales)
    format.scales = mlir::Float32Type::get(&context);
  ContractionSize size{n, k};
  size.coded = format;
  return weightOnlyScratchBytes(schedule, target, size);
}

class WeightOnlyTest : public CpuTargetTest {
protected:
  void check(const CodeFormat &format, int64_t n, int64_t k, std::optional<WeightOnlySchedule> wanted = {},
             llvm::ArrayRef<int64_t> ms = {1, 2, 3, 5, 8, 13, 17, 70}) {
    SCOPED_TRACE("n " + std::to_string(n) + " k " + std::to_string(k) + " bits " + std::to_string(format.bits) + " group " +
                 std::to_string(format.group));
    auto schedule = wanted.value_or(WeightOnlySchedule::choose(target(), {n, k}));
    KernelModule module;
    buildKernel(module, target(), format, n, k, schedule);
    CompiledKernel kernel(module, target());
    ASSERT_TRUE(bool(kernel));
    Weight weight(format, n, k);
    for (int64_t m : ms) {
      std::mt19937 engine(3);
      std::vector<float> a(m * k), out(m * n + 32, -7.0f);
      for (float &value : a)
        value = float(engine() % 2001) / 1000 - 1;
      int64_t tiles = llvm::divideCeil(m, schedule.blockRows) * weightOnlyGroups(schedule, n);
      Lines<char> scratch(scratchBytes(schedule, target(), n, k, format));
      SmallVector<void *> buffers = {a.data(), weight.codes.data, weight.scales.data, weight.zeros.data, weight.table.data,
                                     out.data() + 16};
      for (int64_t tile = 0; tile < tiles; tile += 3) {
        std::memset(scratch.data, 0, 8);
        kernel(buffers, {m}, tile, std::min(tile + 3, tiles), scratch.data);
      }
      compare(weight, a, out, m);
    }
  }

  static void compare(const Weight &weight, const std::vector<float> &a, const std::vector<float> &out, int64_t m) {
    int64_t n = weight.n, k = weight.k;
    double worst = 0;
    for (int64_t row = 0; row < m; ++row)
      for (int64_t col = 0; col < n; ++col) {
        double sum = 0, size = 1e-6;
        for (int64_t step = 0; step < k; ++step) {
          double term = double(a[row * k + step]) * weight.plain[step * n + col];
          sum += term, size += std::fabs(term);
        }
        worst = std::max(worst, std::fabs(sum - out[16 + row * n + col]) / size);
      }
    EXPECT_LE(worst, 4e-6) << "m " << m;
    for (int i = 0; i < 16; ++i) {
      EXPECT_EQ(-7.0f, out[i]);
      EXPECT_EQ(-7.0f, out[16 + m * n + i]);
    }
  }
};

TEST_P(WeightOnlyTest, FormatsOfFourBits) {
  check(format(true, 4, 32), 96, 128);
  check(format(true, 4, 64), 64, 192);
  check(format(true, 4, 128), 32, 256);
  check(format(false, 4, 32, true), 80, 96);
  check(format(false, 4, 32), 48, 64);
  check(format(true, 3, 16), 64, 64);
  check(format(false, 2, 32, true), 64, 64);
  check(format(false, 4, 32, false, true), 64, 96);
  check(format(false, 3, 64, false, true), 64, 128);
  check(format(true, 4, 32, true), 64, 128);
}

TEST_P(WeightOnlyTest, FormatsOfEightBits) {
  check(format(true, 8, 1 << 20), 96, 128);
  check(format(true, 8, 64), 64, 192);
  check(format(false, 8, 32, true), 80, 96);
  check(format(true, 6, 32), 48, 64);
}

TEST_P(WeightOnlyTest, TailsOfColumnsStepsAndGroups) {
  const int64_t ms[] = {1, 5, 17};
  for (auto [n, k] : {std::pair<int64_t, int64_t>{1, 1}, {5, 7}, {17, 33}, {100, 100}, {130, 51}}) {
    check(format(true, 4, 32), n, k, {}, ms);
    check(format(false, 8, 32, true), n, k, {}, ms);
  }
  check(format(false, 4, 128, true), 65, 129, {}, ms);
  check(format(true, 8, 1 << 20), 33, 40, {}, ms);
}

TEST_P(WeightOnlyTest, SchedulesGiveTheSameSums) {
  for (int64_t panels : {1, 2, 4})
    for (int64_t ahead : {0, 4096}) {
      if (panels == 4 && !target().isAvx512())
        continue;
      check(format(true, 4, 32), 132, 96, WeightOnlySchedule{panels, ahead, 48}, {1, 3, 6, 100});
    }
}

/// On AVX-512 a turn of one row of A, 128 FMAs and its group's end, not at all; of several rows now and then a value, as LLVM's
/// scheduler pleases; on AVX2 also masks, which are constants.
TEST_P(WeightOnlyTest, InnerLoopsHardlySpill) {
  for (auto wanted : {format(true, 4, 32), format(false, 4, 32, true), format(true, 4, 128), format(true, 8, 1 << 20)}) {
    SCOPED_TRACE(std::to_string(wanted.bits) + " " + std::to_string(wanted.group));
    KernelModule module;
    buildKernel(module, target(), wanted, 768, 768, WeightOnlySchedule::choose(target(), {768, 768}));
    unsigned fmas = 0;
    for (const InnerLoop &loop : innermostLoops(module.assembly(target()))) {
      SCOPED_TRACE(std::to_string(loop.instructions) + " instructions, " + std::to_string(loop.fmas) + " FMAs");
      if (target().isAvx512() && loop.fmas < 140)
        EXPECT_EQ(0u, loop.vectorSpills);
      EXPECT_LE(loop.vectorSpills * (target().isAvx512() ? 40 : 8), loop.instructions);
      fmas += loop.fmas;
    }
    EXPECT_LT(100u, fmas);
  }
}

double seconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec + 1e-9 * now.tv_nsec;
}

/// PERMALLOY_WEIGHT_ONLY="tile_panels ahead_bytes block_rows" tries a schedule.
TEST_P(WeightOnlyTest, Speed) {
  if (!getenv("PERMALLOY_MEASURE"))
    GTEST_SKIP() << "a measurement: set PERMALLOY_MEASURE=1";
  constexpr size_t arena = 400u << 20; // many copies of each weight, so that they come from memory
  static char *memory = [] {
    auto *p = static_cast<char *>(mmap(nullptr, arena, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    madvise(p, arena, MADV_NOHUGEPAGE);
    for (size_t i = 0; i < arena; i += 4)
      *reinterpret_cast<uint32_t *>(p + i) = 0x1c5a3c2fu + i * 7;
    return p;
  }();
  mlir::MLIRContext context;
  for (auto [name, wanted] : {std::pair("w4g32", format(true, 4, 32)), {"w4g32asym", format(false, 4, 32, true)},
                              {"w4g128", format(true, 4, 128)}, {"w8", format(true, 8, 1 << 20)}, {"w8g64", format(true, 8, 64)}})
    for (auto [n, k] : {std::pair<int64_t, int64_t>{768, 768}, {3072, 768}, {768, 3072}, {50257, 768}})
      for (int64_t m : {1, 2, 4, 8, 16, 17, 32, 128}) {
        if (m > 1 && (wanted.group != 32 || n == 50257))
          continue;
        auto schedule = WeightOnlySchedule::choose(target(), {n, k});
        if (const char *text = getenv("PERMALLOY_WEIGHT_ONLY"))
          sscanf(text, "%ld %ld %ld", &schedule.panels, &schedule.aheadBytes, &schedule.blockRows);
        KernelModule module;
        CodeFormat form = wanted;
        form.scales = mlir::Float16Type::get(&module.context);
        buildKernel(module, target(), form, n, k, schedule);
        CompiledKernel kernel(module, target());
        ASSERT_TRUE(bool(kernel));
        int64_t panels = llvm::divideCeil(n, 16), codeBytes = panels * 16 * k * form.storedBits / 8,
                scaleBytes = panels * 32 * llvm::divideCeil(k, form.group), bytes = codeBytes + scaleBytes * (1 + form.hasZeroPoints);
        int64_t stride = llvm::alignTo(bytes, 4096), copies = arena / stride - 1;
        std::vector<float> a(m * k, 0.5f), out(m * n);
        Lines<char> scratch(scratchBytes(schedule, target(), n, k, form));
        int64_t tiles = llvm::divideCeil(m, schedule.blockRows) * weightOnlyGroups(schedule, n);
        double best = 1e9, begin = seconds();
        for (int64_t copy = 0; copy < copies && seconds() - begin < 0.3; ++copy) {
          char *w = memory + copy * stride;
          double start = seconds();
          std::memset(scratch.data, 0, 8);
          kernel({a.data(), w, w + codeBytes, w + codeBytes + scaleBytes, nullptr, out.data()}, {m}, 0, tiles, scratch.data);
          best = std::min(best, seconds() - start);
        }
        printf("%-10s %4ld x %5ld x %4ld: %8.1f us, %5.1f GB/s, %6.1f GFLOP/s\n", name, m, n, k, best * 1e6, bytes / best * 1e-9,
               2.0 * m * n * k / best * 1e-9);
        fflush(stdout);
      }
}

INSTANTIATE_TEST_SUITE_P(Targets, WeightOnlyTest, ::testing::ValuesIn(vectorTargets()), targetTestName);

} // namespace
