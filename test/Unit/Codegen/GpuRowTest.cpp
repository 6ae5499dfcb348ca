//===- GpuRowTest.cpp - rows by warps and blocks, vectors of elements -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The suites of the CPU's row, token and route kernels run on the GPU's forms, too (Gpu/RowKernelTest and so on). Here stands what only
// these forms have: schedules, instructions, registers.
//
//===----------------------------------------------------------------------===//
#include "GpuTest.h"

#include <cmath>

using namespace permalloy;
using namespace permalloy::codegen;
using namespace permalloy::codegen::test;

namespace {

/// A residual sum that is a result too, normalised; rows of `width`.
std::string addNorm(const std::string &width, const std::string &type = "f32") {
  std::string text = R"(func.func @main(%x: tensor<?x$x%> {tfm.dims = [#tfm.dim<s>, #tfm.dim<$>]}, %y: tensor<?x$x%> {tfm.dims = [#tfm.dim<s>, #tfm.dim<$>]},
      %g: tensor<$x%>, %h: tensor<$x%>) -> (tensor<?x$x%>, tensor<?x$x%>) {
    %0 = tfm.binary add %x, %y : (tensor<?x$x%>, tensor<?x$x%>) -> tensor<?x$x%>
    %1 = tfm.layer_norm %0, %g, %h {axis = 1 : i64, epsilon = 1.0e-5 : f32} : (tensor<?x$x%>, tensor<$x%>, tensor<$x%>) -> tensor<?x$x%>
    return %0, %1 : tensor<?x$x%>, tensor<?x$x%>
  })";
  return replaceAll(replaceAll(text, "x%>", "x" + type + ">"), "$", width);
}

const char *const kSoftmax = R"(func.func @main(%x: tensor<?x?xf32> {tfm.dims = [#tfm.dim<s>, #tfm.dim<k>]}) -> tensor<?x?xf32> {
  %0 = tfm.softmax %x {axis = 1 : i64} : (tensor<?x?xf32>) -> tensor<?x?xf32>
  return %0 : tensor<?x?xf32>
})";

/// Scores and a mask of their keys, which all rows share; softmax of the sum, or the sum itself.
std::string masked(bool isSoftmax, const std::string &type = "f32") {
  std::string text = R"(func.func @main(%x: tensor<?x3x?x%> {tfm.dims = [#tfm.dim<b>, #tfm.dim<3>, #tfm.dim<t>]}, %m: tensor<?x1x?x%> {tfm.dims = [#tfm.dim<b>, #tfm.dim<1>, #tfm.dim<t>]}) -> tensor<?x3x?x%> {
    %0 = tfm.binary add %x, %m : (tensor<?x3x?x%>, tensor<?x1x?x%>) -> tensor<?x3x?x%>
    %1 = $ %0 : (tensor<?x3x?x%>) -> tensor<?x3x?x%>
    return %1 : tensor<?x3x?x%>
  })";
  text = replaceAll(text, "x%>", "x" + type + ">");
  return replaceAll(isSoftmax ? replaceAll(text, "%1 = $ %0", "%1 = tfm.softmax %0 {axis = 2 : i64}") : text, "$", "tfm.unary relu");
}

std::string biasGelu(const std::string &width, const std::string &type = "f32") {
  std::string text = R"(func.func @main(%x: tensor<?x$x%> {tfm.dims = [#tfm.dim<s>, #tfm.dim<$>]}, %c: tensor<$x%>) -> tensor<?x$x%> {
    %0 = tfm.binary add %x, %c : (tensor<?x$x%>, tensor<$x%>) -> tensor<?x$x%>
    %1 = tfm.unary gelu_erf %0 : (tensor<?x$x%>) -> tensor<?x$x%>
    return %1 : tensor<?x$x%>
  })";
  return replaceAll(replaceAll(text, "x%>", "x" + type + ">"), "$", width);
}

/// Heads split: a transpose that keeps the last dimension.
const char *const kHeads = R"(func.func @main(%x: tensor<?x?x3x16xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<3>, #tfm.dim<16>]}) -> tensor<?x3x?x16xf32> {
  %0 = tfm.transpose %x [0, 2, 1, 3] : (tensor<?x?x3x16xf32>) -> tensor<?x3x?x16xf32>
  return %0 : tensor<?x3x?x16xf32>
})";

const char *const kSum = R"(func.func @main(%x: tensor<?x?xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>]}, %y: tensor<?x?xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>]}) -> tensor<?x?xf32> {
  %0 = tfm.binary add %x, %y : (tensor<?x?xf32>, tensor<?x?xf32>) -> tensor<?x?xf32>
  return %0 : tensor<?x?xf32>
})";

/// The mean of a sentence's tokens, those that a mask names.
const char *const kPooling = R"(func.func @main(%x: tensor<?x?x48xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<48>]}, %m: tensor<?x?x1xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<1>]}) -> tensor<?x48xf32> {
  %least = tfm.constant dense<1.0e-9> : tensor<f32>
  %0 = tfm.binary mul %x, %m : (tensor<?x?x48xf32>, tensor<?x?x1xf32>) -> tensor<?x?x48xf32>
  %1 = tfm.reduce sum %0 axes [1] : (tensor<?x?x48xf32>) -> tensor<?x48xf32>
  %2 = tfm.broadcast %m dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<48>] : (tensor<?x?x1xf32>) -> tensor<?x?x48xf32>
  %3 = tfm.reduce sum %2 axes [1] : (tensor<?x?x48xf32>) -> tensor<?x48xf32>
  %4 = tfm.binary max %3, %least : (tensor<?x48xf32>, tensor<f32>) -> tensor<?x48xf32>
  %5 = tfm.binary div %1, %4 : (tensor<?x48xf32>, tensor<?x48xf32>) -> tensor<?x48xf32>
  return %5 : tensor<?x48xf32>
})";

/// A reduction of everything, and one over the last dimensions, of integers.
const char *const kTotal = R"(func.func @main(%x: tensor<?x?x7xi64> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<7>]}) -> tensor<?x1x1xi64> {
  %0 = tfm.reduce max %x axes [1, 2] {keep_dims} : (tensor<?x?x7xi64>) -> tensor<?x1x1xi64>
  return %0 : tensor<?x1x1xi64>
})";

std::string argmax(const std::string &k) {
  return replaceAll(R"(func.func @main(%x: tensor<?x?xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>]}) -> tensor<?x$xi64> {
    %0 = tfm.top_k %x k #tfm.dim<$> {axis = 1 : i64} : (tensor<?x?xf32>) -> tensor<?x$xi64>
    return %0 : tensor<?x$xi64>
  })", "$", k);
}

std::string ptxOf(const std::string &text, const GpuTarget &target, mlir::DictionaryAttr *schedule = nullptr) {
  KernelCheck check(text, "row");
  std::string ptx = ptxOf(check, target);
  if (check && schedule)
    *schedule = check.kernelOp().getScheduleAttr();
  return ptx;
}

TEST(GpuRowTest, FormsByKernel) {
  for (auto [text, form] : {std::pair<std::string, std::string>{addNorm("64"), "row"}, {kSoftmax, "row"}, {biasGelu("64"), "vector"},
                            {biasGelu("37"), "vector"}, {kHeads, "vector"}, {kSum, "vector"}, {kPooling, "fold"}, {kTotal, "fold"}, {argmax("1"), "select"}}) {
    KernelCheck check(text, "row");
    ASSERT_TRUE(check && succeeded(selectGpuSchedule(check.kernelOp(), sm80()))) << text;
    EXPECT_EQ(formOf(check), form) << text;
  }
}

/// A thread keeps parts of a known row in registers, or reads them again.
TEST(GpuRowTest, EverySchedule) {
  for (const char *width : {"96", "70"})
    for (auto [perRow, rows] : {std::pair(8, 4), {8, 16}, {16, 8}, {32, 1}, {32, 4}, {64, 1}, {128, 1}, {256, 1}, {512, 1}})
      for (int64_t elements : {1, 4}) {
        KernelCheck check(addNorm(width), "row");
        ASSERT_TRUE(bool(check));
        SCOPED_TRACE(std::to_string(perRow) + " threads a row, " + std::to_string(rows) + " rows, " + std::to_string(elements));
        check.setSchedule(scheduleOf(check, "row", {{"threads_per_row", perRow}, {"rows_per_block", rows}, {"elements", elements}}));
        check.run(thread(), "s=5", Tolerance{2e-5, 2e-5});
      }
}

TEST(GpuRowTest, LongRows) {
  for (const char *width : {"1024", "1500", "4096", "20000", "9001"}) {
    KernelCheck check(addNorm(width), "row");
    ASSERT_TRUE(bool(check));
    check.run(thread(), "s=3", Tolerance{5e-5, 5e-5});
  }
  KernelCheck softmax(kSoftmax, "row");
  ASSERT_TRUE(bool(softmax));
  for (const char *sizes : {"s=3,k=1000", "s=4,k=31", "s=1,k=1", "s=5,k=0", "s=0,k=7"})
    softmax.run(thread(), sizes, Tolerance{2e-6, 1e-7});
  softmax.setSchedule(scheduleOf(softmax, "row", {{"threads_per_row", 128}, {"rows_per_block", 1}, {"elements", 4}}));
  softmax.run(thread(), "s=2,k=300", Tolerance{2e-6, 1e-7});
}

/// Rows whose length turns out to be whole vectors, or not.
TEST(GpuRowTest, RowsOfUnknownLength) {
  for (bool isSoftmax : {true, false})
    for (const char *type : {"f32", "bf16", "f16"}) {
      KernelCheck check(masked(isSoftmax, type), "row");
      ASSERT_TRUE(bool(check));
      for (const char *sizes : {"b=2,t=8", "b=1,t=136", "b=2,t=12", "b=2,t=37", "b=1,t=1", "b=2,t=0", "b=0,t=8"})
        check.run(thread(), sizes,
                  type[0] == 'f' && type[1] == '3' ? Tolerance{2e-6, 1e-6} : Tolerance{2e-2, 2e-2});
      EXPECT_EQ(formOf(check), isSoftmax ? "row" : "vector");
    }
}

TEST(GpuRowTest, Halves) {
  for (const char *type : {"bf16", "f16"})
    for (const char *width : {"64", "768", "37", "2048"}) {
      KernelCheck norm(addNorm(width, type), "row"), gelu(biasGelu(width, type), "row");
      ASSERT_TRUE(norm && gelu);
      norm.run(thread(), "s=3", Tolerance{2e-2, 2e-2});
      gelu.run(thread(), "s=3", Tolerance{2e-2, 2e-2});
    }
}

TEST(GpuRowTest, ForeignSchedulesAreRefused) {
  auto error = [](const std::string &text, const char *form, Parameters parameters) {
    KernelCheck check(text, "row");
    return errorOf(check, scheduleOf(check, form, parameters));
  };
  EXPECT_THAT(error(biasGelu("64"), "row", {{"threads_per_row", 32}, {"rows_per_block", 4}, {"elements", 4}}), HasSubstr("it has no statistics"));
  EXPECT_THAT(error(addNorm("64"), "vector", {{"threads", 256}, {"elements", 4}}), HasSubstr("it keeps statistics of rows"));
  EXPECT_THAT(error(addNorm("64"), "row", {{"threads_per_row", 24}, {"rows_per_block", 4}, {"elements", 4}}), HasSubstr("must be a power of two"));
  EXPECT_THAT(error(addNorm("64"), "row", {{"threads_per_row", 64}, {"rows_per_block", 4}, {"elements", 4}}), HasSubstr("are a block"));
  EXPECT_THAT(error(biasGelu("64"), "vector", {{"threads", 100}, {"elements", 4}}), HasSubstr("multiple of 32"));
}

TEST(GpuFoldTest, EverySchedule) {
  for (const char *text : {kPooling, kTotal})
    for (auto [columns, depth] : {std::pair(32, 1), {32, 4}, {32, 8}, {32, 16}, {1, 32}, {1, 128}}) {
      KernelCheck check(text, "generic");
      ASSERT_TRUE(bool(check));
      SCOPED_TRACE(std::to_string(columns) + " columns, " + std::to_string(depth));
      check.setSchedule(scheduleOf(check, "fold", {{"columns", columns}, {"depth", depth}}));
      for (const char *sizes : {"b=1,s=1", "b=2,s=70"})
        check.run(thread(), sizes, Tolerance{1e-5, 1e-5});
    }
}

TEST(GpuSelectTest, EverySchedule) {
  for (const char *k : {"1", "5"})
    for (int64_t threads : {32, 128, 256, 512}) {
      KernelCheck check(argmax(k), "generic");
      ASSERT_TRUE(bool(check));
      check.setSchedule(scheduleOf(check, "select", {{"threads", threads}}));
      for (const char *sizes : {"b=1,s=5", "b=3,s=37", "b=2,s=1000"})
        check.run(thread(), sizes, Tolerance{});
      // Ties go to the first; NaN is the largest.
      check.run(thread(), "b=2,s=300", Tolerance{},
                [](llvm::MutableArrayRef<reference::Tensor> inputs) {
                  for (int64_t i = 0; i < inputs[0].size(); ++i)
                    inputs[0].setNumber(i, i % 300 == 77 ? NAN : i % 7 == 3 ? 2.0 : 1.0);
                });
    }
}

TEST(GpuVectorTest, EverySchedule) {
  for (const std::string &text : {biasGelu("64"), biasGelu("37"), std::string(kHeads), std::string(kSum)})
    for (int64_t threads : {64, 128, 256, 512})
      for (int64_t elements : {1, 4, 8}) {
        KernelCheck check(text, "row");
        ASSERT_TRUE(bool(check));
        check.setSchedule(scheduleOf(check, "vector", {{"threads", threads}, {"elements", elements}}));
        for (const char *sizes : {"b=1,s=1", "b=2,s=9", "b=3,s=37"})
          check.run(thread(), sizes, Tolerance{1e-5, 1e-6});
      }
}

TEST(GpuRowTest, UsesTheUnits) {
  std::string warp = ptxOf(addNorm("768"), sm80()), block = ptxOf(addNorm("4096"), sm80());
  for (const std::string &ptx : {warp, block}) {
    EXPECT_THAT(ptx, HasSubstr("shfl.sync.bfly.b32"));
    EXPECT_THAT(ptx, HasSubstr("ld.global.v4.b32"));
    EXPECT_THAT(ptx, HasSubstr("st.global.v4.b32"));
    EXPECT_THAT(ptx, Not(HasSubstr("div.u64")));
    EXPECT_THAT(ptx, Not(HasSubstr("call")));
  }
  EXPECT_THAT(warp, Not(HasSubstr("bar")));
  EXPECT_THAT(block, HasSubstr("bar.sync"));
  for (const std::string &text : {std::string(kSoftmax), masked(true), masked(false), masked(true, "bf16")}) { // whole vectors, and others
    std::string unknown = ptxOf(text, sm80());
    for (const char *word : {"ld.global.v4.b32", "st.global.v4.b32"})
      EXPECT_THAT(unknown, HasSubstr(word)) << text;
    EXPECT_THAT(unknown, HasSubstr(text.find("bf16") == std::string::npos ? "ld.global.b32" : "ld.global.b16")) << text;
    EXPECT_THAT(unknown, Not(HasSubstr("call"))) << text;
  }
  std::string half = ptxOf(addNorm("768", "bf16"), sm80());
  EXPECT_THAT(half, HasSubstr("st.global.v4.b32")); // 8 of 16 bits
}

TEST(GpuVectorTest, UsesTheUnits) {
  for (const std::string &text : {biasGelu("768"), std::string(kHeads), std::string(kSum)}) {
    std::string ptx = ptxOf(text, sm80());
    EXPECT_THAT(ptx, HasSubstr("ld.global.v4.b32"));
    EXPECT_THAT(ptx, HasSubstr("st.global.v4.b32"));
    EXPECT_THAT(ptx, Not(HasSubstr("div.u64")));
    EXPECT_THAT(ptx, Not(HasSubstr("rem.u64")));
    EXPECT_THAT(ptx, Not(HasSubstr("call")));
  }
}

TEST(GpuRowTest, NothingSpills) {
  for (const auto &[name, text] : {std::pair<const char *, std::string>{"norm 768", addNorm("768")},
                                   {"norm 1024", addNorm("1024")},
                                   {"norm 4096", addNorm("4096")},
                                   {"norm 1000", addNorm("1000")},
                                   {"norm 37", addNorm("37")},
                                   {"norm 768 bf16", addNorm("768", "bf16")},
                                   {"softmax", kSoftmax},
                                   {"masked softmax", masked(true)},
                                   {"mask", masked(false)},
                                   {"masked softmax bf16", masked(true, "bf16")},
                                   {"gelu", biasGelu("3072")},
                                   {"heads", kHeads}})
    expectNoSpills(
        name, [&](const GpuTarget &target) { return ptxOf(text, target); }, /*mostRegisters=*/128);
}

} // namespace
