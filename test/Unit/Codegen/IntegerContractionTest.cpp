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

INSTANTIATE_TEST_SUITE_P(Targets, IntegerContractionTest,
                         testing::Values("sapphirerapids", "icelake-server", "x86-64-v4", "alderlake", "x86-64-v3"),
                         [](auto &info) { return replaceAll(info.param, "-", "_"); });

} // namespace
