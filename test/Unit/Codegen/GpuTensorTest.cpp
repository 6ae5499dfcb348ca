//===- GpuTensorTest.cpp - products on tensor cores, against the interpreter -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "GpuTest.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace permalloy::codegen::test;

namespace {

constexpr Tolerance kHalf = {1.6e-2, 2e-2}, kTf32 = {4e-3, 1.5e-2}, kExact = {0, 0};

/// y = rest(x W + bias): x [s, K] and W in $E, the bias and the result in $R.
std::string linear(const std::string &type, const std::string &result, int64_t depth, int64_t columns, const std::string &activation = "none") {
  const char *text = R"mlir(func.func @main(%x: tensor<?x$Kx$E> {tfm.dims = [#tfm.dim<s>, #tfm.dim<$K>]}, %w: tensor<$Kx$Nx$E>, %b: tensor<$Nx$R>) -> tensor<?x$Nx$R> {
    %0 = tfm.linear %x, %w bias %b activation $A : (tensor<?x$Kx$E>, tensor<$Kx$Nx$E>, tensor<$Nx$R>) -> tensor<?x$Nx$R>
    return %0 : tensor<?x$Nx$R>
  })mlir";
  std::string filled = replaceAll(replaceAll(text, "$K", std::to_string(depth)), "$N", std::to_string(columns));
  return replaceAll(replaceAll(replaceAll(filled, "$E", type), "$R", result), "$A", activation);
}

/// The layer of `text`, of f32, may round to tf32.
std::string tf32(const std::string &text) { return replaceAll(text, " : (tensor<?x", " {tfm.precision = \"tf32\"} : (tensor<?x"); }

std::string integers(int64_t depth, int64_t columns, const std::string &input = "i8", const std::string &weight = "i8") {
  const char *text = R"mlir(func.func @main(%x: tensor<?x$Kx$X> {tfm.dims = [#tfm.dim<s>, #tfm.dim<$K>]}, %w: tensor<$Kx$Nx$W>) -> tensor<?x$Nxi32> {
    %0 = tfm.linear %x, %w : (tensor<?x$Kx$X>, tensor<$Kx$Nx$W>) -> tensor<?x$Nxi32>
    return %0 : tensor<?x$Nxi32>
  })mlir";
  std::string filled = replaceAll(replaceAll(text, "$K", std::to_string(depth)), "$N", std::to_string(columns));
  return replaceAll(replaceAll(filled, "$X", input), "$W", weight);
}

/// A weight of codes: "s4, group 32", its groups, the type of its scales.
struct Format {
  const char *code;
  int groups;
  const char *scale = "f16";
  const char *range = "[-8, 8]";
  bool zeros = false;
  int codebook = 0;
};

std::string coded(const Format &f, int64_t depth, int64_t columns, const std::string &type) {
  std::string text = R"mlir(func.func @main(%x: tensor<?x$Kx$E> {tfm.dims = [#tfm.dim<s>, #tfm.dim<$K>]}, %c: tensor<$Kx$Nx!tfm.q<$C>> {tfm.test_range = $L}, %s: tensor<$Gx$Nx$S>$Z0) -> tensor<?x$Nxf32> {
    %w = tfm.dequantize %c, %s$Z1 : (tensor<$Kx$Nx!tfm.q<$C>>, tensor<$Gx$Nx$S>$Z2) -> tensor<$Kx$Nx$E>
    %0 = tfm.linear %x, %w : (tensor<?x$Kx$E>, tensor<$Kx$Nx$E>) -> tensor<?x$Nxf32>
    return %0 : tensor<?x$Nxf32>
  })mlir";
  std::string table = "tensor<" + std::to_string(f.codebook) + "xf32>";
  std::string arguments = f.zeros ? ", %z: tensor<$Gx$Nx$S> {tfm.test_range = [0, 15]}" : "";
  text = replaceAll(text, "$Z0", arguments + (f.codebook ? ", %t: " + table : ""));
  text = replaceAll(text, "$Z1", std::string(f.zeros ? " zero_points %z" : "") + (f.codebook ? " codebook %t" : ""));
  text = replaceAll(text, "$Z2", std::string(f.zeros ? ", tensor<$Gx$Nx$S>" : "") + (f.codebook ? ", " + table : ""));
  text = replaceAll(replaceAll(replaceAll(text, "$C", f.code), "$G", std::to_string(f.groups)), "$S", f.scale);
  text = replaceAll(replaceAll(text, "$K", std::to_string(depth)), "$N", std::to_string(columns));
  return replaceAll(replaceAll(text, "$E", type), "$L", f.range);
}

using Values = std::array<int64_t, 7>;
mlir::DictionaryAttr scheduleOf(KernelCheck &check, const Values &values) {
  auto [rows, columns, words, warpRows, warpColumns, stages, split] = values;
  return scheduleOf(check, "tensor",
                    {{"block_rows", rows},
                     {"block_columns", columns},
                     {"block_words", words},
                     {"warp_rows", warpRows},
                     {"warp_columns", warpColumns},
                     {"stages", stages},
                     {"split_k", split},
                     {"skinny_panels", 1},
                     {"skinny_loads", 4},
                     {"skinny_split", 1}});
}

/// Against the interpreter, in the form `form`; on tensor cores without conflicts of banks.
void run(const std::string &text, llvm::ArrayRef<const char *> sizes, Tolerance tolerance, const char *form = "tensor",
         std::optional<Values> schedule = {}, KernelCheck::Change change = nullptr) {
  KernelCheck check(text, "contraction");
  ASSERT_TRUE(bool(check));
  if (schedule)
    check.setSchedule(scheduleOf(check, *schedule));
  for (const char *size : sizes) {
    uint64_t before = bankConflicts();
    check.run(thread(), size, tolerance, change);
    EXPECT_TRUE(llvm::StringRef(form) != "tensor" || bankConflicts() == before);
  }
  EXPECT_EQ(formOf(check), form);
}

/// Whole blocks and edges in both directions, one tile of K and several, K that ends within a tile.
TEST(GpuTensorTest, EqualsTheInterpreter) {
  for (const char *type : {"bf16", "f16"})
    for (auto [depth, columns] : {std::pair(32, 64), {96, 100}, {40, 64}, {8, 36}, {168, 30}}) {
      SCOPED_TRACE(std::string(type) + " " + std::to_string(depth) + "x" + std::to_string(columns));
      run(linear(type, type, depth, columns, "gelu_erf"), {"s=1", "s=9", "s=64", "s=70", "s=0"}, kHalf);
    }
}

/// The same in f32 that may be rounded, beside rows in registers, K that ends within a tile and within four words.
TEST(GpuTensorTest, Tf32EqualsTheInterpreter) {
  for (auto [depth, columns] : {std::pair(32, 64), {96, 100}, {20, 64}, {4, 36}, {84, 30}})
    run(tf32(linear("f32", "f32", depth, columns, "gelu_erf")), {"s=1", "s=9", "s=64", "s=70", "s=0"}, kTf32);
  run(tf32(linear("f32", "bf16", 64, 2048)), {"s=130"}, kHalf);
  run(tf32(linear("f32", "f32", 512, 100, "relu")), {"s=9", "s=70"}, {4e-3, 4e-2}, "tensor", Values{64, 64, 16, 32, 32, 3, 4});
}

/// To nearest, ties away from zero, both operands: of x0 - x1 + x2 cutting off loses 7/8 of 2^-10, ties to even 2^-10 less 2^-13, and rounding
/// as it should be 2^-13. Up to 8 rows nothing is rounded.
TEST(GpuTensorTest, Tf32IsRoundedToNearest) {
  const char *text = R"mlir(func.func @main(%x: tensor<?x8xf32> {tfm.dims = [#tfm.dim<s>, #tfm.dim<8>]}, %w: tensor<8x32xf32>) -> tensor<?x32xf32> {
    %0 = tfm.linear %x, %w : (tensor<?x8xf32>, tensor<8x32xf32>) -> tensor<?x32xf32>
    return %0 : tensor<?x32xf32>
  })mlir";
  constexpr double kValues[] = {1 + 0x1p-11, 1 + 3 * 0x1p-11, 1 + 0x1p-10 - 0x1p-13}, kSigns[] = {1, -1, 1};
  auto fill = [&](reference::Tensor &x, const double *of, reference::Tensor &w, const double *factors) {
    for (int64_t i = 0; i < x.size(); ++i)
      x.setNumber(i, i % 8 < 3 ? of[i % 8] : 0);
    for (int64_t i = 0; i < w.size(); ++i)
      w.setNumber(i, i / 32 < 3 ? factors[i / 32] : 0);
  };
  for (double sign : {1.0, -1.0}) {
    double values[3];
    for (int64_t i = 0; i < 3; ++i)
      values[i] = sign * kValues[i];
    auto rows = [&](llvm::MutableArrayRef<reference::Tensor> inputs) { fill(inputs[0], values, inputs[1], kSigns); };
    auto columns = [&](llvm::MutableArrayRef<reference::Tensor> inputs) { fill(inputs[0], kSigns, inputs[1], values); };
    for (const KernelCheck::Change &change : {KernelCheck::Change(rows), KernelCheck::Change(columns)}) {
      run(tf32(text), {"s=20"}, {0, 0x1p-12}, "tensor", {}, change);
      run(tf32(text), {"s=8"}, {0, 0x1p-20}, "tensor", {}, change);
      run(text, {"s=20"}, {0, 0x1p-20}, "fma", {}, change);
    }
  }
}

/// NaN and infinity stay what they are.
TEST(GpuTensorTest, Tf32KeepsWhatIsNoNumber) {
  for (float special : {NAN, INFINITY})
    run(tf32(linear("f32", "f32", 32, 64)), {"s=20"}, kTf32, "tensor", {}, [&](llvm::MutableArrayRef<reference::Tensor> inputs) {
      inputs[0].setNumber(5, special);
      inputs[1].setNumber(70, special);
    });
}

TEST(GpuTensorTest, LargeBlocks) { run(linear("bf16", "f32", 64, 2048), {"s=130"}, kHalf); }

TEST(GpuTensorTest, IntegersAreExact) {
  auto spread = [](llvm::MutableArrayRef<reference::Tensor> inputs) { // random inputs are small
    for (auto [number, tensor] : llvm::enumerate(inputs))
      for (int64_t i = 0; i < tensor.size(); ++i)
        tensor.setInteger(i, uint64_t(i + 7 * number) * 0x9e3779b97f4a7c15 >> 56);
  };
  for (auto [depth, columns] : {std::pair(64, 64), {192, 36}, {80, 64}, {16, 20}})
    run(integers(depth, columns), {"s=1", "s=9", "s=65"}, kExact, "tensor", {}, spread);
  for (auto [input, weight] : {std::pair("ui8", "i8"), {"i8", "ui8"}, {"ui8", "ui8"}})
    run(integers(96, 40, input, weight), {"s=17"}, kExact, "tensor", {}, spread);
}

/// Rows that do not stand in memory as tensor cores take them: computed from others, or in parts of 16 bytes.
TEST(GpuTensorTest, RowsAreComputed) {
  const char *text = R"mlir(func.func @main(%x: tensor<?x$Kxf32> {tfm.dims = [#tfm.dim<s>, #tfm.dim<$K>]}, %g: tensor<$Kxf32>, %w: tensor<$Kx$Nx$E>) -> tensor<?x$Nxf32> {
    %1 = tfm.binary mul %x, %g : (tensor<?x$Kxf32>, tensor<$Kxf32>) -> tensor<?x$Kxf32>
    %2 = tfm.unary silu %1 : (tensor<?x$Kxf32>) -> tensor<?x$Kxf32>
    %3 = tfm.cast %2 : (tensor<?x$Kxf32>) -> tensor<?x$Kx$E>
    %0 = tfm.linear %3, %w : (tensor<?x$Kx$E>, tensor<$Kx$Nx$E>) -> tensor<?x$Nxf32>
    return %0 : tensor<?x$Nxf32>
  })mlir";
  for (const char *type : {"bf16", "f16"})
    for (auto [depth, columns] : {std::pair(96, 64), {44, 36}})
      run(replaceAll(replaceAll(replaceAll(text, "$K", std::to_string(depth)), "$N", std::to_string(columns)), "$E", type), {"s=1", "s=70"}, kHalf);
  run(linear("bf16", "bf16", 44, 64), {"s=1", "s=67"}, kHalf);
  run(integers(36, 64), {"s=67"}, kExact);
}

TEST(GpuTensorTest, Tf32RowsAreComputed) {
  const char *text = R"mlir(func.func @main(%x: tensor<?x$Kxf32> {tfm.dims = [#tfm.dim<s>, #tfm.dim<$K>]}, %g: tensor<$Kxf32>, %w: tensor<$Kx$Nxf32>) -> tensor<?x$Nxf32> {
    %1 = tfm.binary mul %x, %g : (tensor<?x$Kxf32>, tensor<$Kxf32>) -> tensor<?x$Kxf32>
    %2 = tfm.unary silu %1 : (tensor<?x$Kxf32>) -> tensor<?x$Kxf32>
    %0 = tfm.linear %2, %w {tfm.precision = "tf32"} : (tensor<?x$Kxf32>, tensor<$Kx$Nxf32>) -> tensor<?x$Nxf32>
    return %0 : tensor<?x$Nxf32>
  })mlir";
  for (auto [depth, columns] : {std::pair(96, 64), {44, 36}})
    run(replaceAll(replaceAll(text, "$K", std::to_string(depth)), "$N", std::to_string(columns)), {"s=1", "s=70"}, kTf32);
}

/// What tensor cores do not take has another form: f32, which they would round unasked, and rows that end within four elements.
TEST(GpuTensorTest, OtherLayersHaveOtherForms) {
  for (auto [type, depth] : {std::pair("bf16", 42), {"f32", 32}}) {
    KernelCheck check(linear(type, type, depth, 24, "relu"), "contraction");
    ASSERT_TRUE(bool(check));
    check.run(thread(), "s=5", kHalf);
    EXPECT_NE(formOf(check), "tensor") << type;
  }
}

/// Codes become elements between shared memory and the registers: 4 and 8 bits, groups smaller and larger than tiles, and one for all of K.
TEST(GpuTensorTest, CodesBecomeElements) {
  for (const Format &f : {Format{"s4, group 32", 4}, {"u4, group 64", 2, "f16", "[0, 16]", true}, {"s4, group 16", 8, "f32"},
                          {"s8, group 128", 1, "f32", "[-127, 128]"}, {"u8, group 32", 4, "f16", "[0, 256]", true},
                          {"u4, group 32", 4, "f32", "[0, 16]", false, 16}, {"u3, group 64", 2, "f16", "[0, 8]", false, 8}})
    for (const char *type : {"bf16", "f16"})
      for (int64_t columns : {64, 36}) {
        SCOPED_TRACE(std::string(f.code) + " " + type);
        run(coded(f, 128, columns, type), {"s=9", "s=70"}, {4e-2, 4e-2});
      }
  for (const Format &f : {Format{"s4, group 32", 4}, {"u4, group 64", 2, "f16", "[0, 16]", true}, {"s8, group 128", 1, "f32", "[-127, 128]"},
                          {"u8, group 32", 4, "f16", "[0, 256]", true}, {"u3, group 8", 16, "f16", "[0, 8]", false, 8}})
    for (int64_t columns : {64, 36}) {
      SCOPED_TRACE(std::string(f.code) + " tf32");
      bool isByte = f.code[1] == '8'; // weights are up to 16 times as large
      run(tf32(coded(f, 128, columns, "f32")), {"s=3", "s=9", "s=70"}, {2e-2, isByte ? 4 : 1e-1});
    }
  run(coded({"s4, group 32", 3, "f32"}, 72, 64, "bf16"), {"s=65"}, {4e-2, 4e-2});
  run(tf32(coded({"s4, group 32", 3, "f32"}, 72, 64, "f32")), {"s=65"}, {2e-2, 1e-1});
  run(coded({"s8, group 200", 1, "f32", "[-127, 128]"}, 200, 48, "bf16"), {"s=13"}, {4e-2, 4e-2});
  run(coded({"s4, group 24", 4}, 96, 64, "bf16"), {"s=3"}, {1e-1, 1e-1}, "fma"); // no tile of K ends with a group
}

/// Weights are what tfm.dequantize says, products of f32, rounded, for any number of rows: rows of A that have a single one show them, exactly.
TEST(GpuTensorTest, CodesAreRounded) {
  auto pick = [](llvm::MutableArrayRef<reference::Tensor> inputs) {
    int64_t depth = inputs[0].shape().back();
    if (inputs[2].elementType().isF32()) // of code 5: 1 + 2^-8 + 2^-25, of which f32 has a tie of bf16; and one of f16
      for (int64_t i = 0; i < inputs[2].size(); ++i)
        inputs[2].setNumber(i, i % 2 ? 13474202 * 0x1p-26 : 13428327 * 0x1p-26);
    for (int64_t i = 0; i < inputs[0].size(); ++i)
      inputs[0].setNumber(i, i % depth == (i / depth * 37 + 5) % depth);
    if (inputs.size() > 3 && inputs[3].shape().size() == 2) // zero points: whole numbers
      for (int64_t i = 0; i < inputs[3].size(); ++i)
        inputs[3].setNumber(i, i * 5 % 16);
  };
  for (const Format &f : {Format{"s4, group 32", 4}, {"u4, group 64", 2, "f16", "[0, 16]", true}, {"s8, group 128", 1, "f16", "[-127, 128]"},
                          {"u8, group 128", 1, "f16", "[0, 256]", true}, {"u8, group 32", 4, "f16", "[0, 256]", true}, {"s4, group 24", 6}, {"s8, group 128", 1, "f32", "[5, 6]"},
                          {"s4, group 32", 4, "f32"}, {"u4, group 32", 4, "f32", "[0, 16]", false, 16}})
    for (const char *type : {"bf16", "f16", "f32"}) {
      SCOPED_TRACE(std::string(f.code) + " " + type);
      bool isTensor = std::string(type) != "f32" && std::string(f.code) != "s4, group 24";
      run(coded(f, 128, 36, type), {"s=1", "s=2", "s=4", "s=8", "s=9", "s=70"}, kExact, isTensor ? "tensor" : "fma", {}, pick);
    }
}

/// The epilogue of level w8a8 with outliers.
TEST(GpuTensorTest, OutliersAreAdded) {
  const char *text = R"mlir(func.func @main(%x: tensor<?x$Kxi8> {tfm.dims = [#tfm.dim<s>, #tfm.dim<$K>]}, %w: tensor<$Kx$Nxi8>, %at: tensor<?x2xi32> {tfm.dims = [#tfm.dim<s>, #tfm.dim<2>], tfm.test_range = [-1, 100]}, %v: tensor<?x2xf32> {tfm.dims = [#tfm.dim<s>, #tfm.dim<2>]}, %rows: tensor<?x1xf32> {tfm.dims = [#tfm.dim<s>, #tfm.dim<1>]}, %columns: tensor<1x$Nxf32>) -> tensor<?x$Nxbf16> {
    %0 = tfm.linear %x, %w : (tensor<?x$Kxi8>, tensor<$Kx$Nxi8>) -> tensor<?x$Nxi32>
    %1 = tfm.cast %0 : (tensor<?x$Nxi32>) -> tensor<?x$Nxf32>
    %2 = tfm.outlier_linear %v, %at, %w : (tensor<?x2xf32>, tensor<?x2xi32>, tensor<$Kx$Nxi8>) -> tensor<?x$Nxf32>
    %3 = tfm.binary add %1, %2 : (tensor<?x$Nxf32>, tensor<?x$Nxf32>) -> tensor<?x$Nxf32>
    %4 = tfm.binary mul %3, %rows : (tensor<?x$Nxf32>, tensor<?x1xf32>) -> tensor<?x$Nxf32>
    %5 = tfm.binary mul %4, %columns : (tensor<?x$Nxf32>, tensor<1x$Nxf32>) -> tensor<?x$Nxf32>
    %6 = tfm.cast %5 : (tensor<?x$Nxf32>) -> tensor<?x$Nxbf16>
    return %6 : tensor<?x$Nxbf16>
  })mlir";
  for (int64_t columns : {64, 36, 30})
    run(replaceAll(replaceAll(text, "$K", "112"), "$N", std::to_string(columns)), {"s=1", "s=9", "s=65"}, kHalf);
}

/// Blocks that share K, in any order: as many as there are tiles for, fewer, and one where there are many blocks of results.
TEST(GpuTensorTest, PartsOfKAreAdded) {
  for (int64_t split : {2, 3, 4, 16})
    run(linear("bf16", "f32", 512, 100, "relu"), {"s=9", "s=70"}, kHalf, "tensor", Values{64, 64, 16, 32, 32, 3, split});
  run(integers(1024, 64), {"s=33"}, kExact, "tensor", Values{32, 64, 16, 16, 32, 2, 8});
  run(linear("bf16", "f32", 96, 64), {"s=4200"}, kHalf, "tensor", Values{32, 64, 16, 16, 32, 2, 3}); // 132 blocks: alone
  run(coded({"s4, group 64", 8}, 512, 64, "bf16"), {"s=15"}, {6e-2, 6e-2}, "tensor", Values{32, 64, 32, 16, 32, 3, 4});
}

/// Bytes of scratch: the sums of all blocks where some share K, none where each has all of it.
TEST(GpuTensorTest, ScratchIsOfSharedSums) {
  constexpr int64_t kSums = 64 * 64 * 4; // of a block
  for (const std::string &text : {linear("bf16", "f32", 512, 100),
                                  tf32(linear("f32", "f32", 256, 100)), integers(1024, 100)}) {
    KernelCheck check(text, "contraction"); // 2 blocks across, 16 tiles of K
    ASSERT_TRUE(bool(check));
    auto scratch = [&](int64_t split, int64_t rows) -> int64_t {
      EXPECT_EQ(errorOf(check, scheduleOf(check, {64, 64, 16, 32, 32, 3, split})), "");
      std::string error;
      return reference::evaluate(gpuLaunch(check.kernelOp()).scratchBytes, {{"s", rows}}, error)
          .value_or(-1);
    };
    for (int64_t rows : {0, 1, 9, 70, 4096, 8400})
      EXPECT_EQ(scratch(1, rows), 0) << rows;
    EXPECT_EQ(scratch(4, 64), 2 * 4 * kSums);
    EXPECT_EQ(scratch(4, 70), 4 * 4 * kSums);
    EXPECT_EQ(scratch(16, 40 * 64), 80 * 3 * kSums);  // parts for 256 blocks, no more
    EXPECT_EQ(scratch(16, 64 * 64), 128 * 2 * kSums); // the last that share
    EXPECT_EQ(scratch(16, 65 * 64), 0);
  }
}

/// Every legal form of blocks, tiles of K and warps, `all` in number, each with one number of stages and one of parts, as far as they are
/// legal in turn.
void everySchedule(const std::string &text, Tolerance tolerance, int64_t all) {
  KernelCheck check(text, "contraction");
  ASSERT_TRUE(bool(check));
  int64_t legal = 0;
  for (int64_t rows : {32, 64, 128})
    for (int64_t columns : {64, 128})
      for (int64_t words : {16, 32})
        for (int64_t warpRows : {16, 32, 64})
          for (int64_t warpColumns : {32, 64}) {
            Values values;
            auto isLegal = [&](int64_t turn) {
              values = {rows, columns, words, warpRows, warpColumns, 2 + turn % 3, 1 + turn % 2};
              return errorOf(check, scheduleOf(check, values)).empty();
            };
            if (llvm::none_of(llvm::seq(legal, legal + 6), isLegal))
              continue;
            ++legal;
            SCOPED_TRACE(testing::PrintToString(values));
            uint64_t before = bankConflicts();
            check.setSchedule(scheduleOf(check, values));
            check.run(thread(), "s=37", tolerance);
            EXPECT_EQ(bankConflicts(), before);
          }
  EXPECT_EQ(legal, all);
}

TEST(GpuTensorTest, EveryScheduleIsRight) { everySchedule(linear("bf16", "f32", 144, 136), kHalf, 59); }
TEST(GpuTensorTest, EveryScheduleOfTf32IsRight) { everySchedule(tf32(linear("f32", "f32", 76, 136)), kTf32, 59); }

std::string errorOf(const std::string &text, const Values &values) {
  KernelCheck check(text, "contraction");
  return errorOf(check, scheduleOf(check, values));
}

TEST(GpuTensorTest, SchedulesAreChecked) {
  std::string text = linear("bf16", "bf16", 128, 64);
  EXPECT_EQ(errorOf(text, {32, 64, 16, 32, 64, 2, 1}), "");
  EXPECT_THAT(errorOf(text, {32, 64, 32, 32, 64, 2, 1}), HasSubstr("the threads copy 4 rows of A at once, which must be a multiple of 8"));
  EXPECT_THAT(errorOf(text, {64, 64, 16, 32, 32, 2, 5}), HasSubstr("split_k is more than the tiles of K"));
  EXPECT_THAT(errorOf(text, {128, 128, 32, 64, 64, 4, 1}), HasSubstr("the stages need 131072 bytes of shared memory; there are 98304"));
  EXPECT_THAT(errorOf(coded({"s4, group 48", 2}, 96, 64, "bf16"), {64, 64, 16, 32, 32, 3, 1}), HasSubstr("has no form 'tensor': groups of 48 steps"));
}

std::string ptxOf(const std::string &text, const GpuTarget &target, std::optional<Values> schedule = {}) {
  KernelCheck check(text, "contraction");
  return ptxOf(check, target, check && schedule ? scheduleOf(check, *schedule) : nullptr);
}

TEST(GpuTensorTest, UsesTheUnits) {
  std::string ptx = ptxOf(linear("bf16", "bf16", 768, 3072, "gelu_erf"), sm80());
  for (const char *word : {"mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32", "ldmatrix.sync.aligned.m8n8.x4.shared.b16",
                           "cp.async.cg.shared.global", "ld.shared.v4.b32", "bar.sync", "cvt.rn.bf16x2.f32", "st.global.v4.b32"})
    EXPECT_THAT(ptx, HasSubstr(word));
  EXPECT_THAT(ptx, Not(HasSubstr("st.global.b16"))); // results leave 128 bits at a time
  EXPECT_THAT(ptxOf(linear("f16", "f32", 768, 768), sm80()), HasSubstr("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32"));
  EXPECT_THAT(ptxOf(linear("bf16", "f32", 768, 768), sm80()), HasSubstr("ld.global.v4")); // the bias
  EXPECT_THAT(ptxOf(integers(768, 768), sm80()), HasSubstr("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32"));
  std::string rounded = ptxOf(tf32(linear("f32", "f32", 768, 3072, "gelu_erf")), sm80());
  for (const char *word : {"mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32", "cvt.rna.tf32.f32", "ldmatrix.sync.aligned.m8n8.x4.shared.b16",
                           "cp.async.cg.shared.global", "ld.shared.v4.b32", "st.global.v4.b32"})
    EXPECT_THAT(rounded, HasSubstr(word));
  std::string strict = ptxOf(linear("f32", "f32", 768, 3072, "gelu_erf"), sm80());
  EXPECT_THAT(strict, Not(HasSubstr("mma.sync")));
  EXPECT_THAT(strict, Not(HasSubstr("cvt.rna")));
  std::string parts = ptxOf(linear("bf16", "f32", 768, 768), sm80(), Values{64, 64, 16, 32, 32, 4, 4});
  EXPECT_THAT(parts, HasSubstr("atom.global.inc.u32"));
  EXPECT_THAT(parts, HasSubstr("fence.acq_rel.gpu"));
}

/// NVIDIA's assembler keeps all values in registers, for each kind of operand and the largest blocks.
TEST(GpuTensorTest, NothingSpills) {
  std::vector<std::pair<std::string, std::string>> kernels = {
      {"bf16", linear("bf16", "bf16", 768, 768, "gelu_erf")}, {"bf16, wide", linear("bf16", "bf16", 768, 3072, "gelu_erf")},
      {"f16, wide", linear("f16", "f16", 768, 3072)},         {"s8, wide", integers(768, 3072)},
      {"tf32", tf32(linear("f32", "f32", 768, 768, "gelu_erf"))}, {"tf32, wide", tf32(linear("f32", "f32", 768, 3072, "gelu_erf"))},
      {"tf32 w4", tf32(coded({"u4, group 32", 24, "f16", "[0, 16]", true}, 768, 3072, "f32"))}, {"tf32 w8", tf32(coded({"s8, group 768", 1, "f32"}, 768, 768, "f32"))},
      {"w4, wide", coded({"u4, group 32", 24, "f16", "[0, 16]", true}, 768, 3072, "bf16")}, {"w8", coded({"s8, group 768", 1, "f32"}, 768, 768, "bf16")}};
  for (const auto &[name, text] : kernels)
    expectNoSpills(name, [&](const GpuTarget &target) { return ptxOf(text, target); });
}

} // namespace
