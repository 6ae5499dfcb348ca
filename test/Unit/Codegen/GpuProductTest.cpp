//===- GpuProductTest.cpp - products without tensor cores, against the interpreter -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "GpuTest.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace permalloy::codegen::test;

namespace {

std::string fill(std::string text, int64_t k, int64_t n) {
  return replaceAll(replaceAll(text, "$K", std::to_string(k)), "$N", std::to_string(n));
}

/// A layer [k, n] of `type` with a bias and a residual, for `$R` rows.
std::string dense(const std::string &type, int64_t k, int64_t n, const std::string &activation = "gelu_tanh") {
  std::string text = R"mlir(func.func @main(%x: tensor<?x$KxT> {tfm.dims = [#tfm.dim<s>, #tfm.dim<$K>]}, %w: tensor<$KxNxT>, %b: tensor<$NxT>, %r: tensor<?x$NxT> {tfm.dims = [#tfm.dim<s>, #tfm.dim<$N>]}) -> tensor<?x$NxT> {
    %0 = tfm.linear %x, %w bias %b activation $A : (tensor<?x$KxT>, tensor<$KxNxT>, tensor<$NxT>) -> tensor<?x$NxT>
    %1 = tfm.binary add %0, %r : (tensor<?x$NxT>, tensor<?x$NxT>) -> tensor<?x$NxT>
    return %1 : tensor<?x$NxT>
  })mlir";
  return replaceAll(replaceAll(fill(replaceAll(text, "xNxT", "x$NxT"), k, n), "xT>", "x" + type + ">"), "$A", activation);
}

/// Half of the blocks of 1 x 16 kept. `isGated`: as the gate of an MLP is used, times another layer's results.
std::string keptBlocks(int64_t k, int64_t n, bool isGated = false) {
  std::string values = std::to_string(n / 16) + "x" + std::to_string(k / 2), text = R"mlir(func.func @main(%x: tensor<?x$Kxf32> {tfm.dims = [#tfm.dim<s>, #tfm.dim<$K>]}, %v: tensor<$Vx16xf32>, %i: tensor<$Vxi32>, %up: tensor<?x$Nxf32> {tfm.dims = [#tfm.dim<s>, #tfm.dim<$N>]}) -> tensor<?x$Nxf32> {
    %w = tfm.expand_blocks %v, %i {block = array<i64: 1, 16>, shape = array<i64: $K, $N>} : (tensor<$Vx16xf32>, tensor<$Vxi32>) -> tensor<$Kx$Nxf32>
    %0 = tfm.linear %x, %w$A : (tensor<?x$Kxf32>, tensor<$Kx$Nxf32>) -> tensor<?x$Nxf32>
    %1 = tfm.binary $B %0, %up : (tensor<?x$Nxf32>, tensor<?x$Nxf32>) -> tensor<?x$Nxf32>
    return %1 : tensor<?x$Nxf32>
  })mlir";
  text = replaceAll(replaceAll(text, "$A", isGated ? " activation silu" : ""), "$B", isGated ? "mul" : "add");
  return fill(replaceAll(text, "$V", values), k, n);
}

/// Without the shape of the rows: `rows` of them.
std::string fixedRows(const std::string &text, int64_t rows) {
  return replaceAll(replaceAll(text, "?x", std::to_string(rows) + "x"), "#tfm.dim<s>", "#tfm.dim<" + std::to_string(rows) + ">");
}

void runAll(const std::string &text, llvm::ArrayRef<const char *> sizes, Tolerance tolerance, KernelCheck::Change change = nullptr) {
  KernelCheck check(text, "contraction");
  ASSERT_TRUE(bool(check));
  for (const char *size : sizes)
    check.run(thread(), size, tolerance, change);
  EXPECT_TRUE(formOf(check) == "fma" || formOf(check) == "tensor") << formOf(check); // up to 8 rows the same code
}

/// Every number of rows that has its own code; columns and steps that end anywhere; several blocks.
TEST(GpuProductTest, Floats) {
  Tolerance tolerance{1e-5, 2e-5};
  runAll(dense("f32", 64, 64), {"s=0", "s=1", "s=2", "s=3", "s=5", "s=8", "s=9", "s=70"}, tolerance);
  for (auto [k, n] : {std::pair<int64_t, int64_t>{1, 1}, {40, 100}, {33, 50}, {700, 20}})
    runAll(dense("f32", k, n), {"s=1", "s=4", "s=65"}, tolerance);
}

/// Blocks of 128 rows.
TEST(GpuProductTest, LargeTiles) { runAll(dense("f32", 36, 2052, "none"), {"s=130"}, {1e-5, 2e-5}); }

TEST(GpuProductTest, Halves) {
  for (auto [type, unit] : {std::pair("f16", 0x1p-11), {"bf16", 0x1p-8}})
    for (auto [k, n] : {std::pair<int64_t, int64_t>{40, 100}, {33, 50}, {520, 16}})
      runAll(dense(type, k, n), {"s=1", "s=9"}, {2 * unit, 32 * unit});
}

std::string integers(const char *rows, const char *weights, int64_t k, int64_t n) {
  std::string text = R"mlir(func.func @main(%x: tensor<?x$KxA> {tfm.dims = [#tfm.dim<s>, #tfm.dim<$K>]}, %w: tensor<$Kx$NxB>) -> tensor<?x$Nxi32> {
    %0 = tfm.linear %x, %w : (tensor<?x$KxA>, tensor<$Kx$NxB>) -> tensor<?x$Nxi32>
    return %0 : tensor<?x$Nxi32>
  })mlir";
  return replaceAll(replaceAll(fill(text, k, n), "xA>", std::string("x") + rows + ">"), "xB>", std::string("x") + weights + ">");
}

/// Signs of both kinds; rows of A in parts of words.
TEST(GpuProductTest, IntegersAreExact) {
  for (auto [rows, weights] : {std::pair("i8", "i8"), {"ui8", "i8"}, {"i8", "ui8"}, {"ui8", "ui8"}})
    runAll(integers(rows, weights, 36, 21), {"s=1", "s=9"}, {0, 0});
  for (int64_t k : {35, 302, 640})
    runAll(integers("ui8", "i8", k, 16), {"s=2", "s=9"}, {0, 0});
}

/// Blocks that share K, in any order of coming: the result does not depend on the schedule.
TEST(GpuProductTest, EveryScheduleOfFewRows) {
  KernelCheck check(fixedRows(dense("f32", 600, 80), 3), "contraction");
  ASSERT_TRUE(bool(check));
  for (int64_t panels : {1, 2, 4})
    for (int64_t loads : {2, 8})
      for (int64_t split : {1, 2, 16}) {
        SCOPED_TRACE(std::to_string(panels) + " panels, " + std::to_string(loads) + " loads, split " + std::to_string(split));
        check.setSchedule(scheduleOf(
            check, "fma",
            {{"skinny_panels", panels}, {"skinny_loads", loads}, {"skinny_split", split}}));
        check.run(thread(), "", Tolerance{1e-5, 2e-5});
      }
}

TEST(GpuProductTest, EveryScheduleOfTiles) {
  KernelCheck check(fixedRows(dense("f32", 84, 72, "none"), 70), "contraction");
  ASSERT_TRUE(bool(check));
  for (int64_t rows : {64, 128})
    for (int64_t columns : {64, 128})
      for (int64_t steps : {16, 32})
        for (int64_t own : {4, 8}) {
          int64_t stages = 2 + (rows + columns + steps) / 64 % 3, threads = rows / own * columns / 8;
          if (threads > 512 || (rows + columns) * steps * 4 * stages > 96 * 1024)
            continue;
          SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(columns) + " x " + std::to_string(steps) + ", " + std::to_string(own) + " rows of a thread");
          check.setSchedule(scheduleOf(check, "fma",
                                       {{"block_rows", rows},
                                        {"block_columns", columns},
                                        {"block_steps", steps},
                                        {"thread_rows", own},
                                        {"stages", stages},
                                        {"split_k", stages - 1}}));
          check.run(thread(), "", Tolerance{1e-5, 2e-5});
        }
}

/// Blocks that share the K of more than 8 rows, in any order: as many as there are tiles for, fewer, and one where there are many
/// blocks of results.
TEST(GpuProductTest, PartsOfKAreAdded) {
  auto split = [](const std::string &text, int64_t parts, llvm::ArrayRef<const char *> sizes, Tolerance tolerance) {
    KernelCheck check(text, "contraction");
    ASSERT_TRUE(bool(check));
    SCOPED_TRACE("split_k " + std::to_string(parts));
    auto schedule = scheduleOf(check, "fma",
                               {{"block_rows", 64},
                                {"block_columns", 64},
                                {"block_steps", 16},
                                {"thread_rows", 4},
                                {"stages", 3},
                                {"split_k", parts},
                                {"skinny_panels", 1},
                                {"skinny_loads", 2},
                                {"skinny_split", 2}});
    check.setSchedule(schedule);
    for (const char *size : sizes)
      check.run(thread(), size, tolerance);
  };
  for (int64_t parts : {2, 3, 4, 16})
    split(dense("f32", 400, 72), parts, {"s=3", "s=9", "s=70"}, {1e-5, 3e-5});
  split(dense("f32", 37, 72), 3, {"s=9"}, {1e-5, 2e-5});
  split(dense("f16", 130, 40), 4, {"s=65"}, {0x1p-10, 0x1p-6});
  split(integers("ui8", "i8", 1030, 40), 8, {"s=9", "s=66"}, {0, 0});
  split(dense("f32", 64, 64, "none"), 4, {"s=8400"}, {1e-5, 2e-5}); // 132 blocks: alone
}

TEST(GpuProductTest, SchedulesAreChecked) {
  auto error = [](const std::string &text, int64_t parts, int64_t rows) {
    KernelCheck check(text, "contraction");
    return errorOf(check, scheduleOf(check, "fma",
                                     {{"block_rows", rows},
                                      {"block_columns", 64},
                                      {"block_steps", 32},
                                      {"thread_rows", 8},
                                      {"stages", 2},
                                      {"split_k", parts}}));
  };
  EXPECT_EQ(error(fixedRows(dense("f32", 128, 64), 70), 4, 128), "");
  EXPECT_THAT(error(fixedRows(dense("f32", 128, 64), 70), 5, 128),
              HasSubstr("split_k is more than the tiles of K"));
  EXPECT_THAT(error(fixedRows(keptBlocks(128, 64), 70), 2, 128),
              HasSubstr("blocks do not share the K of kept blocks"));
}

/// Experts: rows of A are gathered; some experts have none, or all; gated halves.
TEST(GpuProductTest, Experts) {
  auto grouped = [](const char *type, int64_t k, int64_t n, int64_t repeat, bool isGated, const char *activation) {
    std::string text = R"mlir(func.func @main(%x: tensor<?x$KxT> {tfm.dims = [#tfm.dim<t>, #tfm.dim<$K>]}, %g: tensor<?xi64> {tfm.dims = [#tfm.dim<t * $P + 5>]}, %w: tensor<4x$Kx$NxT>, %b: tensor<4x$Nxf32>) -> tensor<?x$Yxf32> {
      %0 = tfm.grouped_linear %x, %g, %w bias %b activation $A {repeat = $P : i64$G} : (tensor<?x$KxT>, tensor<?xi64>, tensor<4x$Kx$NxT>, tensor<4x$Nxf32>) -> tensor<?x$Yxf32>
      return %0 : tensor<?x$Yxf32>
    })mlir";
    text = replaceAll(replaceAll(replaceAll(text, "$P", std::to_string(repeat)), "$G", isGated ? ", gated" : ""), "$A", activation);
    return replaceAll(fill(replaceAll(text, "$Y", std::to_string(isGated ? n / 2 : n)), k, n), "xT>", std::string("x") + type + ">");
  };
  auto check = [&](const std::string &text, llvm::ArrayRef<const char *> sizes, llvm::function_ref<int64_t(int64_t)> choose) {
    KernelCheck kernel(text, "contraction");
    ASSERT_TRUE(bool(kernel));
    auto group = [&](llvm::MutableArrayRef<reference::Tensor> inputs) {
      reference::Tensor &table = inputs[1];
      int64_t rows = table.size() - 5, position = 0;
      table.setInteger(0, 0);
      for (int64_t g = 0; g < 4; ++g) {
        for (int64_t r = 0; r < rows; ++r)
          if (choose(r) == g)
            table.setInteger(5 + position++, r);
        table.setInteger(g + 1, position);
      }
    };
    for (const char *size : sizes)
      kernel.run(thread(), size, Tolerance{1e-5, 3e-5}, group);
    EXPECT_EQ(formOf(kernel), "experts");
  };
  auto spread = [](int64_t row) { return row * 7 % 11 % 4; };
  check(grouped("f32", 40, 96, 2, true, "silu"), {"t=0", "t=1", "t=5", "t=40"}, spread);
  check(grouped("f32", 33, 35, 3, false, "relu"), {"t=3", "t=30"}, spread);
  check(grouped("bf16", 32, 64, 1, true, "gelu_erf"), {"t=7", "t=70"}, [](int64_t) { return 2; });
}

struct Blocks {
  const char *columns, *values, *list; ///< of a block; shapes of values and of the list
};

/// Kept blocks of one step of f32: lists for one panel and for several, rows that many blocks share.
TEST(GpuProductTest, KeptBlocks) {
  for (Blocks blocks : {Blocks{"16", "4x9x16", "4x9"}, {"32", "2x9x32", "2x9"}, {"48", "2x9x48", "2x9"}}) {
    std::string text = R"mlir(func.func @main(%x: tensor<?x20xf32> {tfm.dims = [#tfm.dim<m>, #tfm.dim<20>]}, %v: tensor<$Vxf32>, %i: tensor<$Lxi32>, %bias: tensor<50xf32>, %r: tensor<?x50xf32> {tfm.dims = [#tfm.dim<m>, #tfm.dim<50>]}) -> tensor<?x50xf32> {
      %w = tfm.expand_blocks %v, %i {block = array<i64: 1, $B>, shape = array<i64: 20, 50>} : (tensor<$Vxf32>, tensor<$Lxi32>) -> tensor<20x50xf32>
      %0 = tfm.linear %x, %w bias %bias activation gelu_erf : (tensor<?x20xf32>, tensor<20x50xf32>, tensor<50xf32>) -> tensor<?x50xf32>
      %1 = tfm.binary add %0, %r : (tensor<?x50xf32>, tensor<?x50xf32>) -> tensor<?x50xf32>
      return %1 : tensor<?x50xf32>
    })mlir";
    text = replaceAll(replaceAll(replaceAll(text, "$V", blocks.values), "$L", blocks.list), "$B", blocks.columns);
    auto ascend = [](llvm::MutableArrayRef<reference::Tensor> inputs) {
      for (int64_t i = 0; i < inputs[2].size(); ++i)
        inputs[2].setInteger(i, i % 9 * 2 + i / 9 % 3);
    };
    runAll(text, {"m=1", "m=7", "m=30", "m=130"}, {1e-5, 2e-5}, ascend);
  }
}

/// Blocks of four steps of 8-bit integers; lists that end within a tile, at its end, and run over several.
TEST(GpuProductTest, KeptBlocksOfIntegers) {
  std::string text = R"mlir(func.func @main(%x: tensor<?x280xi8> {tfm.dims = [#tfm.dim<m>, #tfm.dim<280>]}, %v: tensor<5x33x64xi8>, %i: tensor<5x33xi32>) -> tensor<?x70xi32> {
    %w = tfm.expand_blocks %v, %i {block = array<i64: 4, 16>, shape = array<i64: 280, 70>} : (tensor<5x33x64xi8>, tensor<5x33xi32>) -> tensor<280x70xi8>
    %0 = tfm.linear %x, %w : (tensor<?x280xi8>, tensor<280x70xi8>) -> tensor<?x70xi32>
    return %0 : tensor<?x70xi32>
  })mlir";
  auto ascend = [](llvm::MutableArrayRef<reference::Tensor> inputs) {
    for (int64_t i = 0; i < inputs[2].size(); ++i)
      inputs[2].setInteger(i, i % 33 * 2 + i / 33);
  };
  runAll(text, {"m=1", "m=130"}, {0, 0}, ascend);
}

/// Two or one of each four steps; 24 and 12 kept weights end within a word of steps.
TEST(GpuProductTest, Quads) {
  for (int64_t kept : {1, 2}) {
    int64_t depth = 12 * kept, words = (depth + 15) / 16;
    std::string text = R"mlir(func.func @main(%x: tensor<?x48xf32> {tfm.dims = [#tfm.dim<m>, #tfm.dim<48>]}, %v: tensor<3x$Dx16xf32>, %i: tensor<3x$Wx16xi32>, %bias: tensor<40xf32>) -> tensor<?x40xf32> {
      %w = tfm.expand_quads %v, %i {kept = $C : i64, shape = array<i64: 48, 40>} : (tensor<3x$Dx16xf32>, tensor<3x$Wx16xi32>) -> tensor<48x40xf32>
      %0 = tfm.linear %x, %w bias %bias activation relu : (tensor<?x48xf32>, tensor<48x40xf32>, tensor<40xf32>) -> tensor<?x40xf32>
      return %0 : tensor<?x40xf32>
    })mlir";
    text = replaceAll(replaceAll(replaceAll(text, "$D", std::to_string(depth)), "$W", std::to_string(words)), "$C", std::to_string(kept));
    auto choose = [&](llvm::MutableArrayRef<reference::Tensor> inputs) {
      const uint32_t pairs[] = {0b0100, 0b1000, 0b1100, 0b1001, 0b1101, 0b1110};
      for (int64_t word = 0; word < inputs[2].size(); ++word) {
        uint32_t bits = 0;
        int64_t line = word / 16 % words, here = std::min<int64_t>(16, depth - line * 16);
        for (int64_t i = 0; i < here; i += kept)
          bits |= (kept == 2 ? pairs[(word + i) % 6] : (word + i) % 4) << 2 * i;
        inputs[2].setInteger(word, int32_t(bits));
      }
    };
    runAll(text, {"m=1", "m=4", "m=9"}, {1e-5, 2e-5}, choose);
  }
}

std::string ptxOf(const std::string &text, const GpuTarget &target) {
  KernelCheck check(text, "contraction");
  return ptxOf(check, target);
}

TEST(GpuProductTest, WeightsComeInWideLoads) {
  std::string ptx = ptxOf(fixedRows(dense("f32", 4096, 1024, "none"), 1), sm80());
  for (const char *word : {"ld.global.nc.v4.b32", "shfl.sync.bfly", "atom.", "fma.rn.f32"})
    EXPECT_THAT(ptx, HasSubstr(word));
  EXPECT_THAT(ptxOf(fixedRows(integers("ui8", "i8", 1024, 1024), 1), sm80()),
              HasSubstr("dp4a.u32.s32"));
}

TEST(GpuProductTest, NothingSpills) {
  for (const auto &[name, text] :
       {std::pair<const char *, std::string>{"f32", dense("f32", 1024, 1024)},
        {"f32, wide", dense("f32", 1024, 3072)},
        {"f16, wide", dense("f16", 1024, 3072)},
        {"u8", integers("ui8", "i8", 1022, 1024)},
        {"blocks", keptBlocks(768, 3072)},
        {"gated blocks", keptBlocks(512, 1536, /*isGated=*/true)},
        {"gated blocks, wide", keptBlocks(768, 3072, /*isGated=*/true)}})
    expectNoSpills(name, [&](const GpuTarget &target) { return ptxOf(text, target); });
}

} // namespace
