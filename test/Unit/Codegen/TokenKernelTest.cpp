//===- TokenKernelTest.cpp - scoring, merging and unmerging tokens, against the interpreter -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "KernelCheck.h"

#include <limits>

using namespace permalloy;
using namespace permalloy::codegen::test;
using reference::Tensor;
using reference::Tolerance;

namespace {

class TokenKernelTest : public CpuTargetTest {};

std::string text(int64_t x) { return std::to_string(x); }

std::string score(int64_t heads, int64_t size, int64_t protectedTokens, const std::string &kept, bool prune = false,
                  const std::string &element = "f32") {
  std::string k = "tensor<?x?x" + text(heads * size) + "x" + element + ">";
  return "func.func @main(%k: " + k + " {tfm.dims = [#tfm.dim<b>, #tfm.dim<n>, #tfm.dim<" + text(heads * size) +
         ">]}) -> tensor<?x?xi64> {\n  %0 = tfm.token_score %k to #tfm.dim<" + kept + "> {num_heads = " + text(heads) +
         " : i64, protected_tokens = " + text(protectedTokens) + " : i64" + (prune ? ", prune" : "") + "} : (" + k +
         ") -> tensor<?x?xi64>\n  return %0 : tensor<?x?xi64>\n}";
}

TEST_P(TokenKernelTest, Score) {
  auto check = [&](const std::string &text, llvm::ArrayRef<const char *> sizes) {
    KernelCheck kernel(text, "tokens");
    ASSERT_TRUE(bool(kernel));
    for (const char *size : sizes)
      kernel.run(target(), size, Tolerance{0, 0});
  };
  check(score(12, 64, 1, "n + -13"), {"b=1,n=197", "b=2,n=50", "b=3,n=27"});
  check(score(1, 1, 0, "n"), {"b=1,n=1", "b=2,n=2"});
  check(score(2, 20, 0, "(n + 1) floordiv 2"), {"b=1,n=1", "b=2,n=2", "b=1,n=3", "b=1,n=33", "b=1,n=66"});
  check(score(3, 8, 2, "n + -2"), {"b=2,n=6", "b=1,n=7", "b=1,n=40"});
  check(score(2, 24, 3, "n + -1", /*prune=*/true), {"b=2,n=5", "b=1,n=6", "b=1,n=70"});
  for (const char *half : {"f16", "bf16"})
    check(score(4, 16, 1, "n + -8", false, half), {"b=2,n=65"});
}

/// Equal products, tokens of zeros, and numbers that are none.
TEST_P(TokenKernelTest, ScoreOfTies) {
  KernelCheck kernel(score(1, 4, 1, "n + -5"), "tokens");
  ASSERT_TRUE(bool(kernel));
  for (double value : {1.0, 0.0, std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()})
    kernel.run(target(), "b=1,n=43", Tolerance{0, 0}, [&](llvm::MutableArrayRef<Tensor> inputs) {
      for (int64_t i = 0; i < inputs[0].size(); ++i)
        inputs[0].setNumber(i, i / 4 % 5 == 0 ? value : i / 4 % 3 ? 1 : -2);
    });
}

/// A map of n tokens to p positions for each sequence, with some that are dropped.
void drawMap(Tensor &map, int64_t positions) {
  for (int64_t i = 0; i < map.size(); ++i)
    map.setInteger(i, i % 7 == 3 ? -1 : (i * 11 + i / 5) % positions);
}

/// Merges rows of `width` elements, or with 0 single elements, to 5 positions.
std::string merge(int64_t width, bool sizes, bool sum, const std::string &element = "f32") {
  std::string rows = width ? "x" + text(width) : "", dims = width ? ", #tfm.dim<" + text(width) + ">" : "";
  std::string x = "tensor<?x?" + rows + "x" + element + ">", y = "tensor<?x5" + rows + "x" + element + ">";
  std::string grid = " {tfm.dims = [#tfm.dim<b>, #tfm.dim<n>]}";
  return "func.func @main(%x: " + x + " {tfm.dims = [#tfm.dim<b>, #tfm.dim<n>" + dims + "]}, %m: tensor<?x?xi64>" + grid +
         (sizes ? ", %s: tensor<?x?xf32>" + grid : "") + ") -> " + y + " {\n  %0 = tfm.token_merge %x to #tfm.dim<5> by %m " +
         (sizes ? "sizes %s " : "") + (sum ? "{sum} " : "") + ": (" + x + ", tensor<?x?xi64>" +
         (sizes ? ", tensor<?x?xf32>" : "") + ") -> " + y + "\n  return %0 : " + y + "\n}";
}

TEST_P(TokenKernelTest, Merge) {
  auto check = [&](const std::string &text, Tolerance tolerance) {
    KernelCheck kernel(text, "tokens");
    ASSERT_TRUE(bool(kernel));
    for (const char *size : {"b=1,n=1", "b=2,n=9", "b=3,n=40"})
      kernel.run(target(), size, tolerance, [&](llvm::MutableArrayRef<Tensor> inputs) {
        drawMap(inputs[1], 5);
        for (int64_t i = 0; inputs.size() == 3 && i < inputs[2].size(); ++i)
          inputs[2].setNumber(i, i % 4 + 1);
      });
  };
  Tolerance close{1e-6, 1e-6};
  for (bool sizes : {false, true})
    for (int64_t width : {1, 16, 35, 300, 768})
      check(merge(width, sizes, false), close);
  check(merge(0, false, true), close);
  check(merge(24, false, true), close);
  check(merge(40, true, false, "f16"), Tolerance{1e-3, 1e-3});
  check(merge(40, true, false, "bf16"), Tolerance{8e-3, 8e-3});
}

TEST_P(TokenKernelTest, Unmerge) {
  auto check = [&](const std::string &element, int64_t width) {
    std::string w = text(width), y = "tensor<?x?x" + w + "x" + element + ">";
    KernelCheck kernel("func.func @main(%y: " + y + " {tfm.dims = [#tfm.dim<b>, #tfm.dim<p>, #tfm.dim<" + w +
                           ">]}, %m: tensor<?x?xi64> {tfm.dims = [#tfm.dim<b>, #tfm.dim<n>]}) -> " + y +
                           " {\n  %0 = tfm.token_unmerge %y by %m : (" + y + ", tensor<?x?xi64>) -> " + y + "\n  return %0 : " + y + "\n}",
                       "tokens");
    ASSERT_TRUE(bool(kernel));
    for (const char *size : {"b=1,n=1,p=1", "b=2,n=9,p=4", "b=3,n=40,p=21"})
      kernel.run(target(), size, Tolerance{0, 0},
                 [&](llvm::MutableArrayRef<Tensor> inputs) { drawMap(inputs[1], inputs[0].dim(1)); });
  };
  for (const char *element : {"f32", "f16", "bf16"})
    for (int64_t width : {1, 20, 64, 300})
      check(element, width);
}

INSTANTIATE_TEST_SUITE_P(Targets, TokenKernelTest, ::testing::ValuesIn(allTargets()), targetTestName);
INSTANTIATE_TEST_SUITE_P(Gpu, TokenKernelTest, ::testing::ValuesIn(gpuThreads()), targetTestName);

} // namespace
