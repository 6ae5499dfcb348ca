//===- QuantizeKernelTest.cpp - rows to codes, against the interpreter -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "KernelCheck.h"

#include <limits>

using namespace permalloy;
using namespace permalloy::codegen;
using namespace permalloy::codegen::test;
using reference::Tolerance;

namespace {

/// Codes and scale of the rows of `$R`, as a layer of level w8a8 has them.
constexpr const char *kCodes = R"mlir(
    %least = tfm.constant dense<1.0e-30> : tensor<f32>
    %most = tfm.constant dense<127.0> : tensor<f32>
    %step = tfm.constant dense<0.00787401571> : tensor<f32>
    %m = tfm.reduce absmax $R axes [2] {keep_dims} : (tensor<?x?x$Kxf32>) -> tensor<?x?x1xf32>
    %t = tfm.binary max %m, %least : (tensor<?x?x1xf32>, tensor<f32>) -> tensor<?x?x1xf32>
    %s = tfm.binary mul %t, %step : (tensor<?x?x1xf32>, tensor<f32>) -> tensor<?x?x1xf32>
    %d = tfm.binary div %most, %t : (tensor<f32>, tensor<?x?x1xf32>) -> tensor<?x?x1xf32>
    %p = tfm.binary mul $R, %d : (tensor<?x?x$Kxf32>, tensor<?x?x1xf32>) -> tensor<?x?x$Kxf32>
    %q = tfm.quantize %p {symmetric} : (tensor<?x?x$Kxf32>) -> tensor<?x?x$Kxi8>
)mlir";

std::string plain(int64_t k, bool half) {
  std::string text = std::string("func.func @main(%x: tensor<?x?x$Kx$E> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<$K>]}) -> "
                                 "(tensor<?x?x$Kxi8>, tensor<?x?x1xf32>) {\n") +
                     (half ? "%r = tfm.cast %x : (tensor<?x?x$Kxbf16>) -> tensor<?x?x$Kxf32>\n" : "") + kCodes +
                     "return %q, %s : tensor<?x?x$Kxi8>, tensor<?x?x1xf32>\n}";
  return replaceAll(replaceAll(replaceAll(text, "$R", half ? "%r" : "%x"), "$E", half ? "bf16" : "f32"), "$K", std::to_string(k));
}

std::string normed(int64_t k) {
  std::string text = std::string("func.func @main(%x: tensor<?x?x$Kxf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<$K>]}, %g: tensor<$Kxf32>, "
                                 "%b: tensor<$Kxf32>) -> (tensor<?x?x$Kxf32>, tensor<?x?x$Kxi8>, tensor<?x?x1xf32>) {\n"
                                 "%n = tfm.layer_norm %x, %g, %b {axis = 2 : i64, epsilon = 1.0e-12 : f32} : (tensor<?x?x$Kxf32>, "
                                 "tensor<$Kxf32>, tensor<$Kxf32>) -> tensor<?x?x$Kxf32>\n") +
                     kCodes + "return %n, %q, %s : tensor<?x?x$Kxf32>, tensor<?x?x$Kxi8>, tensor<?x?x1xf32>\n}";
  return replaceAll(replaceAll(text, "$R", "%n"), "$K", std::to_string(k));
}

/// The same with `$C` outliers: codes, scale, where they are, and what they are more than their codes.
std::string withOutliers(int64_t k, int64_t count) {
  const char *text = R"mlir(
  func.func @main(%x: tensor<?x?x$Kxf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<$K>]}) -> (tensor<?x?x$Kxi8>, tensor<?x?x1xf32>, tensor<?x?x$Cxi32>, tensor<?x?x$Cxf32>) {
    %least = tfm.constant dense<1.0e-30> : tensor<f32>
    %most = tfm.constant dense<127.0> : tensor<f32>
    %step = tfm.constant dense<0.00787401571> : tensor<f32>
    %m = tfm.outlier_limit %x {count = $C : i64} : (tensor<?x?x$Kxf32>) -> tensor<?x?x1xf32>
    %t = tfm.binary max %m, %least : (tensor<?x?x1xf32>, tensor<f32>) -> tensor<?x?x1xf32>
    %s = tfm.binary mul %t, %step : (tensor<?x?x1xf32>, tensor<f32>) -> tensor<?x?x1xf32>
    %d = tfm.binary div %most, %t : (tensor<f32>, tensor<?x?x1xf32>) -> tensor<?x?x1xf32>
    %p = tfm.binary mul %x, %d : (tensor<?x?x$Kxf32>, tensor<?x?x1xf32>) -> tensor<?x?x$Kxf32>
    %q = tfm.quantize %p {symmetric} : (tensor<?x?x$Kxf32>) -> tensor<?x?x$Kxi8>
    %o = tfm.outlier_positions %x, %t {count = $C : i64} : (tensor<?x?x$Kxf32>, tensor<?x?x1xf32>) -> tensor<?x?x$Cxi32>
    %v = tfm.outlier_values %x, %o : (tensor<?x?x$Kxf32>, tensor<?x?x$Cxi32>) -> tensor<?x?x$Cxf32>
    %w = tfm.binary mul %v, %d : (tensor<?x?x$Cxf32>, tensor<?x?x1xf32>) -> tensor<?x?x$Cxf32>
    %c = tfm.quantize %w {symmetric} : (tensor<?x?x$Cxf32>) -> tensor<?x?x$Cxi8>
    %f = tfm.cast %c : (tensor<?x?x$Cxi8>) -> tensor<?x?x$Cxf32>
    %e = tfm.binary sub %w, %f : (tensor<?x?x$Cxf32>, tensor<?x?x$Cxf32>) -> tensor<?x?x$Cxf32>
    return %q, %s, %o, %e : tensor<?x?x$Kxi8>, tensor<?x?x1xf32>, tensor<?x?x$Cxi32>, tensor<?x?x$Cxf32>
  }
  )mlir";
  return replaceAll(replaceAll(text, "$K", std::to_string(k)), "$C", std::to_string(count));
}

/// Rows of zeros, with equal magnitudes, infinity, NaN in one place and in many.
void makeOdd(llvm::MutableArrayRef<reference::Tensor> inputs, int64_t k) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity(), kNaN = std::numeric_limits<double>::quiet_NaN();
  for (int64_t row = 0; row < inputs[0].size() / k; ++row)
    for (int64_t i = 0; i < k; ++i) {
      int64_t at = row * k + i;
      if (row % 6 == 1)
        inputs[0].setNumber(at, 0);
      else if (row % 6 == 2)
        inputs[0].setNumber(at, i % 2 ? 1 : -1);
      else if (row % 6 == 3 && i == k / 2)
        inputs[0].setNumber(at, -kInfinity);
      else if ((row % 6 == 4 && i == k - 1) || row % 6 == 5)
        inputs[0].setNumber(at, kNaN);
    }
}

class QuantizeKernelTest : public CpuTargetTest {
protected:
  void check(const std::string &text, Tolerance tolerance, KernelCheck::Change change = nullptr) {
    KernelCheck kernel(text, "row");
    ASSERT_TRUE(bool(kernel));
    for (const char *size : {"b=1,s=1", "b=2,s=5", "b=1,s=40"})
      kernel.run(target(), size, tolerance, change);
  }
};

/// What is computed from the input alone has the interpreter's bits.
TEST_P(QuantizeKernelTest, RowsExactly) {
  for (int64_t k : {1, 7, 16, 100, 384})
    for (bool half : {false, true})
      check(plain(k, half), {});
}

TEST_P(QuantizeKernelTest, ZerosAndEnds) {
  check(plain(48, false), {}, [](llvm::MutableArrayRef<reference::Tensor> inputs) {
    for (int64_t i = 0; i < 48; ++i)
      inputs[0].setNumber(i, 0);
    if (inputs[0].size() >= 5 * 48)
      for (int64_t row : {1, 2, 3})
        inputs[0].setNumber(row * 48 + 5, row == 1   ? std::numeric_limits<double>::infinity()
                                          : row == 2 ? std::numeric_limits<double>::quiet_NaN()
                                                     : 1e-38);
  });
}

/// The norm's sums have another order: a code may be the next one.
TEST_P(QuantizeKernelTest, BehindNorm) {
  for (int64_t k : {33, 384})
    check(normed(k), {1e-5, 1.0});
}

TEST_P(QuantizeKernelTest, OutliersExactly) {
  for (int64_t k : {1, 2, 7, 16, 100, 384})
    for (int64_t count : {1, 2, 3, 7})
      check(withOutliers(k, count), {});
}

TEST_P(QuantizeKernelTest, OutliersOfOddRows) {
  for (int64_t k : {3, 48, 100})
    check(withOutliers(k, 2), {}, [&](llvm::MutableArrayRef<reference::Tensor> inputs) { makeOdd(inputs, k); });
}

INSTANTIATE_TEST_SUITE_P(Targets, QuantizeKernelTest, testing::ValuesIn(allTargets()), targetTestName);
INSTANTIATE_TEST_SUITE_P(Gpu, QuantizeKernelTest, testing::ValuesIn(gpuThreads()), targetTestName);

} // namespace
