//===- MoeKernelTest.cpp - routing and grouped linear kernels, against the interpreter -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "KernelCheck.h"

using namespace permalloy;
using namespace permalloy::codegen::test;
using reference::Tensor;
using reference::Tolerance;

namespace {

class MoeKernelTest : public CpuTargetTest {};

/// Writes a table of `rows` rows in `groups` groups: row r is in group choose(r).
void group(Tensor &table, int64_t groups, llvm::function_ref<int64_t(int64_t)> choose) {
  int64_t rows = table.size() - groups - 1, position = 0;
  table.setInteger(0, 0);
  for (int64_t g = 0; g < groups; ++g) {
    for (int64_t r = 0; r < rows; ++r)
      if (choose(r) == g)
        table.setInteger(groups + 1 + position++, r);
    table.setInteger(g + 1, position);
  }
}

/// Rows and weights of `element`; bias and result of f32.
std::string grouped(int64_t k, int64_t n, int64_t repeat, bool bias, bool gated, const char *activation,
                    const std::string &element = "f32") {
  auto text = [](int64_t x) { return std::to_string(x); };
  std::string x = "tensor<?x" + text(k) + "x" + element + ">", w = "tensor<4x" + text(k) + "x" + text(n) + "x" + element + ">";
  std::string b = "tensor<4x" + text(n) + "xf32>", y = "tensor<?x" + text(gated ? n / 2 : n) + "xf32>";
  std::string rows = "t * " + text(repeat);
  return "func.func @main(%x: " + x + " {tfm.dims = [#tfm.dim<t>, #tfm.dim<" + text(k) +
         ">]}, %g: tensor<?xi64> {tfm.dims = [#tfm.dim<" + rows + " + 5>]}, %w: " + w + (bias ? ", %b: " + b : "") +
         ") -> " + y + " {\n  %0 = tfm.grouped_linear %x, %g, %w " + (bias ? "bias %b " : "") + "activation " +
         activation + " {repeat = " + text(repeat) + " : i64" + (gated ? ", gated" : "") + "} : (" + x +
         ", tensor<?xi64>, " + w + (bias ? ", " + b : "") + ") -> " + y + "\n  return %0 : " + y + "\n}";
}

TEST_P(MoeKernelTest, GroupedLinear) {
  auto check = [&](const std::string &text, llvm::ArrayRef<const char *> sizes, llvm::function_ref<int64_t(int64_t)> choose) {
    KernelCheck kernel(text, "contraction");
    ASSERT_TRUE(bool(kernel));
    for (const char *size : sizes)
      kernel.run(target(), size, Tolerance{1e-5, 2e-5},
                 [&](llvm::MutableArrayRef<Tensor> inputs) { group(inputs[1], 4, choose); });
  };
  auto spread = [](int64_t row) { return row * 7 % 11 % 4; };
  check(grouped(40, 96, 2, false, true, "silu"), {"t=0", "t=1", "t=5", "t=40"}, spread);
  check(grouped(33, 64, 1, true, true, "gelu_erf"), {"t=3", "t=70"}, spread);
  check(grouped(24, 35, 3, true, false, "relu"), {"t=1", "t=9"}, spread);
  // Some groups have no rows, or one has all of them: several blocks.
  check(grouped(32, 100, 1, false, false, "none"), {"t=7", "t=500"}, [](int64_t) { return 2; });
  check(grouped(32, 48, 2, true, false, "tanh"), {"t=4", "t=300"}, [](int64_t row) { return row % 2 * 3; });
}

/// Products accumulate over blocks of K, beside the gathered rows. Halves of order 50 with errors of order 1e-4 are multiplied.
TEST_P(MoeKernelTest, GroupedLinearOverLongRows) {
  for (bool gated : {false, true}) {
    KernelCheck kernel(grouped(2100, 64, 2, false, gated, "none"), "contraction");
    ASSERT_TRUE(bool(kernel));
    kernel.run(target(), "t=20", Tolerance{1e-4, 2e-2},
               [&](llvm::MutableArrayRef<Tensor> inputs) { group(inputs[1], 4, [](int64_t row) { return row % 3; }); });
  }
}

/// On tiles, where there are any. Products are exact, so sums differ by their order only.
TEST_P(MoeKernelTest, GroupedLinearOfHalves) {
  auto check = [&](const std::string &text, llvm::ArrayRef<const char *> sizes, Tolerance tolerance,
                   llvm::function_ref<int64_t(int64_t)> choose) {
    KernelCheck kernel(text, "contraction");
    ASSERT_TRUE(bool(kernel));
    for (const char *size : sizes)
      kernel.run(target(), size, tolerance, [&](llvm::MutableArrayRef<Tensor> inputs) { group(inputs[1], 4, choose); });
  };
  auto spread = [](int64_t row) { return row * 7 % 11 % 4; };
  Tolerance exact{1e-5, 3e-5}, longRows{1e-4, 2e-2};
  check(grouped(40, 96, 2, true, true, "silu", "bf16"), {"t=0", "t=1", "t=5", "t=40", "t=90"}, exact, spread);
  check(grouped(33, 64, 1, true, true, "gelu_erf", "bf16"), {"t=3", "t=70"}, exact, spread);
  check(grouped(24, 35, 3, true, false, "relu", "bf16"), {"t=1", "t=70"}, exact, spread);
  check(grouped(32, 100, 1, true, false, "none", "bf16"), {"t=7", "t=600"}, exact, [](int64_t) { return 2; });
  for (bool gated : {false, true})
    check(grouped(1001, 96, 2, true, gated, "none", "bf16"), {"t=9", "t=60"}, longRows, spread);
}

INSTANTIATE_TEST_SUITE_P(Targets, MoeKernelTest, ::testing::ValuesIn(allTargets()), targetTestName);

} // namespace
