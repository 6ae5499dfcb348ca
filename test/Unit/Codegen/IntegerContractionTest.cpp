//===- IntegerContractionTest.cpp - products of 8-bit integers, exactly -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The sums are exact: every target, schedule and sign gives the bits of the interpreter. What the epilogue makes of them is f32.
//
//===----------------------------------------------------------------------===//
#include "KernelCheck.h"
#include "permalloy/Codegen/KernelEmitter.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace permalloy::codegen::test;
using reference::Tolerance;

namespace {

std::string fill(std::string text, int64_t k, int64_t n, const char *input = "i8", const char *weight = "i8") {
  text = replaceAll(replaceAll(text, "$K", std::to_string(k)), "$N", std::to_string(n));
  return replaceAll(replaceAll(text, "$X", input), "$W", weight);
}

std::string sums(int64_t k, int64_t n, const char *input = "i8", const char *weight = "i8") {
  return fill(R"mlir(func.func @main(%x: tensor<?x$Kx$X> {tfm.dims = [#tfm.dim<s>, #tfm.dim<$K>]}, %w: tensor<$Kx$Nx$W>) -> tensor<?x$Nxi32> {
    %0 = tfm.linear %x, %w : (tensor<?x$Kx$X>, tensor<$Kx$Nx$W>) -> tensor<?x$Nxi32>
    return %0 : tensor<?x$Nxi32>
  })mlir", k, n, input, weight);
}

/// What a layer of level w8a8 becomes, its result in f32 and in bf16.
std::string layer(int64_t k, int64_t n) {
  return fill(R"mlir(func.func @main(%x: tensor<?x?x$Kxi8> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<$K>]}, %w: tensor<$Kx$Nxi8>, %rows: tensor<?x?x1xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<1>]}, %columns: tensor<1x$Nxf32>, %bias: tensor<$Nxf32>, %r: tensor<?x?x$Nxf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<$N>]}) -> (tensor<?x?x$Nxf32>, tensor<?x?x$Nxbf16>) {
    %0 = tfm.linear %x, %w : (tensor<?x?x$Kxi8>, tensor<$Kx$Nxi8>) -> tensor<?x?x$Nxi32>
    %1 = tfm.cast %0 : (tensor<?x?x$Nxi32>) -> tensor<?x?x$Nxf32>
    %2 = tfm.binary mul %1, %rows : (tensor<?x?x$Nxf32>, tensor<?x?x1xf32>) -> tensor<?x?x$Nxf32>
    %3 = tfm.binary mul %2, %columns : (tensor<?x?x$Nxf32>, tensor<1x$Nxf32>) -> tensor<?x?x$Nxf32>
    %4 = tfm.binary add %3, %bias : (tensor<?x?x$Nxf32>, tensor<$Nxf32>) -> tensor<?x?x$Nxf32>
    %5 = tfm.unary gelu_erf %4 : (tensor<?x?x$Nxf32>) -> tensor<?x?x$Nxf32>
    %6 = tfm.binary add %5, %r : (tensor<?x?x$Nxf32>, tensor<?x?x$Nxf32>) -> tensor<?x?x$Nxf32>
    %7 = tfm.cast %6 : (tensor<?x?x$Nxf32>) -> tensor<?x?x$Nxbf16>
    return %6, %7 : tensor<?x?x$Nxf32>, tensor<?x?x$Nxbf16>
  })mlir", k, n);
}

/// Sums in f32 with what two elements of each row add to them.
std::string withOutliers(int64_t k, int64_t n, const char *weight) {
  return fill(R"mlir(func.func @main(%x: tensor<?x?x$Kxi8> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<$K>]}, %w: tensor<$Kx$Nx$W>, %at: tensor<?x?x2xi32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>]}, %v: tensor<?x?x2xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>]}) -> tensor<?x?x$Nxf32> {
    %0 = tfm.linear %x, %w : (tensor<?x?x$Kxi8>, tensor<$Kx$Nx$W>) -> tensor<?x?x$Nxi32>
    %1 = tfm.cast %0 : (tensor<?x?x$Nxi32>) -> tensor<?x?x$Nxf32>
    %2 = tfm.outlier_linear %v, %at, %w : (tensor<?x?x2xf32>, tensor<?x?x2xi32>, tensor<$Kx$Nx$W>) -> tensor<?x?x$Nxf32>
    %3 = tfm.binary add %1, %2 : (tensor<?x?x$Nxf32>, tensor<?x?x$Nxf32>) -> tensor<?x?x$Nxf32>
    return %3 : tensor<?x?x$Nxf32>
  })mlir", k, n, "i8", weight);
}

/// Codes of all values; random inputs are small.
void spread(llvm::MutableArrayRef<reference::Tensor> inputs) {
  for (auto [number, tensor] : llvm::enumerate(inputs))
    for (int64_t i = 0; !reference::isFloat(tensor.element()) && i < tensor.size(); ++i)
      tensor.setInteger(i, uint64_t(i + 7 * number) * 0x9e3779b97f4a7c15 >> 56);
}

class IntegerContractionTest : public testing::TestWithParam<const char *> {
protected:
  void SetUp() override {
    target = llvm::cantFail(CpuTarget::parse(GetParam()));
    if (!target.supportedByHost() || (target.hasAmx() && !requestAmxPermission()))
      GTEST_SKIP() << "this machine lacks " << GetParam() << ", or Linux refuses the tile state";
  }
  void check(const std::string &text, llvm::ArrayRef<const char *> sizes, Tolerance tolerance = {},
             llvm::ArrayRef<std::pair<const char *, int64_t>> schedule = {}, KernelCheck::Change change = spread) {
    KernelCheck kernel(text, "contraction");
    ASSERT_TRUE(bool(kernel));
    if (!schedule.empty()) {
      ASSERT_TRUE(succeeded(selectSchedule(kernel.kernelOp(), target)));
      mlir::NamedAttrList list(kernel.kernelOp().getScheduleAttr());
      for (auto [name, value] : schedule)
        list.set(name, mlir::Builder(kernel.kernelOp().getContext()).getI64IntegerAttr(value));
      kernel.setSchedule(list.getDictionary(kernel.kernelOp().getContext()));
    }
    for (const char *size : sizes)
      kernel.run(target, size, tolerance, change);
  }
  CpuTarget target{};
};

TEST_P(IntegerContractionTest, TailsOfRows) {
  check(sums(64, 64), {"s=0", "s=1", "s=5", "s=16", "s=17", "s=31", "s=32", "s=33", "s=49", "s=300"});
}

TEST_P(IntegerContractionTest, TailsOfColumns) {
  for (int64_t n : {1, 15, 16, 17, 31, 33, 48, 50, 100})
    check(sums(64, n), {"s=3", "s=70"});
}

TEST_P(IntegerContractionTest, TailsOfDepth) {
  for (int64_t k : {1, 2, 3, 4, 5, 15, 63, 64, 65, 66, 130, 200})
    check(sums(k, 40), {"s=3", "s=70"});
}

TEST_P(IntegerContractionTest, Signs) {
  for (const char *input : {"i8", "ui8"})
    for (const char *weight : {"i8", "ui8"})
      for (int64_t k : {67, 128})
        check(sums(k, 50, input, weight), {"s=2", "s=40"});
}

/// No partial sum may saturate.
TEST_P(IntegerContractionTest, Ends) {
  for (const char *input : {"i8", "ui8"})
    for (const char *weight : {"i8", "ui8"})
      check(sums(256, 48, input, weight), {"s=40"}, {}, {}, [](llvm::MutableArrayRef<reference::Tensor> inputs) {
        for (reference::Tensor &tensor : inputs)
          for (int64_t i = 0; i < tensor.size(); ++i)
            tensor.setInteger(i, tensor.elementType().isUnsignedInteger() ? 255 : &tensor == &inputs[0] ? -128 : (i % 3 ? -128 : 127));
      });
}

TEST_P(IntegerContractionTest, BlocksOfDepth) {
  for (int64_t k : {3072, 4100, 5003})
    check(sums(k, 48), {"s=2", "s=100"});
}

TEST_P(IntegerContractionTest, EverySchedule) {
  if (target.hasAmx()) {
    for (int64_t blockRows : {32, 64})
      for (int64_t blockSteps : {64, 192, 640})
        for (int64_t epilogueRows : {1, 3, 8})
          check(layer(600, 80), {"b=1,s=100"}, Tolerance{0x1p-7, 1e-3},
                {{"block_rows", blockRows}, {"block_steps", blockSteps}, {"epilogue_rows", epilogueRows}});
    return check(sums(75, 272), {"s=300"}, {}, {{"group_pairs", 4}, {"block_rows", 512}, {"block_steps", 128}});
  }
  for (int64_t rows : {1, 3, 4})
    for (int64_t panels : {1, 2})
      for (int64_t blockSteps : {64, 208, 608})
        for (int64_t period : {0, 4})
          if (target.isAvx512() || panels == 1)
            check(sums(600, 80), {"s=100"}, {},
                  {{"tile_rows", rows}, {"tile_panels", panels}, {"block_rows", 12 * rows}, {"block_steps", blockSteps}, {"prefetch_period", period}});
}

TEST_P(IntegerContractionTest, Epilogue) {
  for (auto [k, n] : {std::pair<int64_t, int64_t>{64, 64}, {384, 100}, {1536, 48}})
    check(layer(k, n), {"b=1,s=1", "b=2,s=9", "b=1,s=128"}, Tolerance{0x1p-7, 1e-3});
}

/// Positions of every step of a dword, the first and the last row of the weight, and none.
TEST_P(IntegerContractionTest, Outliers) {
  for (const char *weight : {"i8", "ui8"})
    for (auto [k, n] : {std::pair<int64_t, int64_t>{64, 64}, {7, 100}, {203, 48}, {1, 16}})
      check(withOutliers(k, n, weight), {"b=1,s=1", "b=2,s=9", "b=1,s=70"}, {}, {}, [&](llvm::MutableArrayRef<reference::Tensor> inputs) {
        spread(inputs);
        for (int64_t i = 0; i < inputs[2].size(); ++i)
          inputs[2].setInteger(i, i % 7 == 6 ? -1 : i * 5 % k);
      });
}

/// A weight in blocks of 4 x 16 of which `kept` stay in each panel, in the layer of level w8a8 where `full`, else its sums.
std::string blocks(int64_t k, int64_t n, int64_t kept, bool full, const char *input = "i8") {
  std::string text = full ? layer(k, n) : sums(k, n, input), shape = std::to_string((n + 15) / 16) + "x" + std::to_string(kept);
  text = replaceAll(text, fill("%w: tensor<$Kx$Nxi8>", k, n), "%v: tensor<" + shape + "x64xi8>, %i: tensor<" + shape + "xi32>");
  std::string decode = fill("%w = tfm.expand_blocks %v, %i {block = array<i64: 4, 16>, shape = array<i64: $K, $N>} : (tensor<" + shape +
                            "x64xi8>, tensor<" + shape + "xi32>) -> tensor<$Kx$Nxi8>\n    ", k, n);
  return replaceAll(text, "%0 = tfm.linear", decode + "%0 = tfm.linear");
}

/// Random codes, and lists that ascend, to the last block and not.
KernelCheck::Change listing(int64_t k, int64_t kept) {
  return [=](llvm::MutableArrayRef<reference::Tensor> inputs) {
    spread(inputs);
    for (int64_t i = 0; i < inputs[2].size(); ++i)
      inputs[2].setInteger(i, i % kept * (k / 4 - 1) / kept + (i / kept) % 2);
  };
}

TEST_P(IntegerContractionTest, Blocks) {
  for (auto [k, n, kept] : {std::tuple<int64_t, int64_t, int64_t>{16, 15, 1}, {260, 50, 33}})
    check(blocks(k, n, kept, false), {"s=0", "s=1", "s=2", "s=7", "s=8", "s=9", "s=15", "s=16", "s=17", "s=63", "s=150"}, {}, {}, listing(k, kept));
  check(blocks(64, 40, 9, false, "ui8"), {"s=3", "s=40"}, {}, {}, listing(64, 9));
  check(blocks(4800, 20, 1100, false), {"s=3", "s=100"}, {}, {}, listing(4800, 1100)); // K in several parts
}

TEST_P(IntegerContractionTest, BlocksWithAnEpilogue) {
  for (auto [k, n, kept] : {std::tuple<int64_t, int64_t, int64_t>{64, 64, 9}, {384, 100, 40}})
    check(blocks(k, n, kept, true), {"b=1,s=1", "b=2,s=9", "b=1,s=128"}, Tolerance{0x1p-7, 1e-3}, {}, listing(k, kept));
}

/// Sums of codes at the ends of their range: no part of one may saturate.
TEST_P(IntegerContractionTest, BlocksOfEnds) {
  check(blocks(256, 48, 64, false), {"s=5", "s=40"}, {}, {}, [](llvm::MutableArrayRef<reference::Tensor> inputs) {
    for (int64_t i = 0; i < inputs[0].size(); ++i)
      inputs[0].setInteger(i, -128);
    for (int64_t i = 0; i < inputs[1].size(); ++i)
      inputs[1].setInteger(i, i % 3 ? -128 : 127);
    for (int64_t i = 0; i < inputs[2].size(); ++i)
      inputs[2].setInteger(i, i % 64);
  });
}

/// Rows in the lanes and rows broadcast, K cut or not: the same sums.
TEST_P(IntegerContractionTest, EveryScheduleOfBlocks) {
  bool lanes = target.isAvx512() && target.hasVnni();
  for (int64_t columns : {0, 4, 8, 16})
    for (int64_t steps : {64, 208})
      for (int64_t period : {0, 4})
        if (columns == 0 || lanes) {
          llvm::SmallVector<std::pair<const char *, int64_t>> schedule = {
              {"tile_rows", columns == 0 ? 4 : columns == 16 ? 16 : 48}, {"tile_panels", 1}, {"block_rows", 48}, {"block_steps", steps}, {"prefetch_period", period}};
          if (lanes)
            schedule.append({{"lane_columns", columns}, {"run_tiles", columns ? 3 : 1}});
          check(blocks(1600, 72, 170, false), {"s=100"}, {}, schedule, listing(1600, 170));
        }
}

INSTANTIATE_TEST_SUITE_P(Targets, IntegerContractionTest,
                         testing::Values("sapphirerapids", "icelake-server", "x86-64-v4", "alderlake", "x86-64-v3"),
                         [](auto &info) { return replaceAll(info.param, "-", "_"); });

} // namespace
