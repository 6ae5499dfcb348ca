//===- WeightOnlyKernelTest.cpp - kernels that decode weights, against the interpreter -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "KernelCheck.h"

using namespace permalloy;
using namespace permalloy::codegen::test;
using reference::Tolerance;

namespace {

struct Format {
  std::string code; ///< "s4, group 32"
  int groups;
  std::string scale = "f16";
  std::string range = "[-8, 8]";
  bool zeros = false, codebook = false;
};

class WeightOnlyKernelTest : public CpuTargetTest {
protected:
  void check(llvm::StringRef emitter, const std::string &text, llvm::ArrayRef<const char *> sizes, Tolerance tolerance = {1e-4, 2e-5}) {
    KernelCheck kernel(text, emitter);
    if (kernel)
      for (const char *size : sizes)
        kernel.run(target(), size, tolerance);
  }

  /// Arguments %c, %s, %z, %t of a weight [k, n], and %w, the weight.
  static std::pair<std::string, std::string> weight(const Format &f, int64_t k, int64_t n) {
    std::string shape = std::to_string(k) + "x" + std::to_string(n) + "x";
    std::string codes = "tensor<" + shape + "!tfm.q<" + f.code + ">>";
    std::string scales = "tensor<" + std::to_string(f.groups) + "x" + std::to_string(n) + "x" + f.scale + ">";
    int entries = f.code.substr(1, 1) == "4" ? 16 : 8;
    std::string table = "tensor<" + std::to_string(entries) + "xf32>";
    std::string arguments = "%c: " + codes + " {tfm.test_range = " + f.range + "}, %s: " + scales, types = codes + ", " + scales, operands = "%c, %s";
    if (f.zeros)
      arguments += ", %z: " + scales + " {tfm.test_range = [0, 15]}", types += ", " + scales, operands += " zero_points %z";
    if (f.codebook)
      arguments += ", %t: " + table, types += ", " + table, operands += " codebook %t";
    return {arguments, "%w = tfm.dequantize " + operands + " : (" + types + ") -> tensor<" + shape + "f32>\n"};
  }

  void checkLinear(const Format &f, int64_t k, int64_t n, llvm::StringRef emitter = "contraction") {
    SCOPED_TRACE(f.code);
    auto [arguments, decode] = weight(f, k, n);
    std::string K = std::to_string(k), N = std::to_string(n), x = "tensor<?x" + K + "xf32>", y = "tensor<?x" + N + "xf32>";
    std::string text = "func.func @main(%x: " + x + " {tfm.dims = [#tfm.dim<m>, #tfm.dim<" + K + ">]}, %b: tensor<" + N + "xf32>, %r: " + y +
                       " {tfm.dims = [#tfm.dim<m>, #tfm.dim<" + N + ">]}, " + arguments + ") -> " + y + " {\n" + decode +
                       "%0 = tfm.linear %x, %w bias %b activation gelu_tanh : (" + x + ", tensor<" + K + "x" + N + "xf32>, tensor<" + N +
                       "xf32>) -> " + y + "\n%1 = tfm.binary add %0, %r : (" + y + ", " + y + ") -> " + y + "\nreturn %1 : " + y + "\n}";
    bool isWide = f.code[1] == '8'; // sums of thousands
    check(emitter, text, {"m=1", "m=6", "m=130"}, {isWide ? 2e-3 : 1e-4, 2e-5});
  }
};

TEST_P(WeightOnlyKernelTest, Linear) {
  checkLinear({"s4, group 32", 4}, 128, 96);
  checkLinear({"s4, group 32", 3, "f32"}, 70, 37);
  checkLinear({"u4, group 64", 2, "f16", "[0, 16]", true}, 128, 50);
  checkLinear({"s8, group 128", 1, "f32", "[-127, 128]"}, 100, 64);
  checkLinear({"u8, group 32", 3, "f16", "[0, 256]", true}, 96, 33);
  checkLinear({"u4, group 32", 3, "f16", "[0, 16]", false, true}, 96, 48);
}

/// What the contraction emitter does not take, and byte codes that are not packed.
TEST_P(WeightOnlyKernelTest, Generic) {
  checkLinear({"s4, group 32", 3, "f32"}, 70, 37, "generic");
  checkLinear({"u3, group 5", 4, "f16", "[0, 8]", true}, 20, 33, "contraction");
  checkLinear({"u4, group 32", 3, "f16", "[0, 16]", false, true}, 96, 48, "generic");
}

/// A table [hidden, vocabulary] by columns: the embedding that is tied to a head.
TEST_P(WeightOnlyKernelTest, GatherOfColumns) {
  for (const Format &f : {Format{"s4, group 32", 3}, {"s8, group 96", 1, "f32", "[-127, 128]"}, {"u4, group 32", 3, "f16", "[0, 16]", true},
                          {"u4, group 32", 3, "f16", "[0, 16]", false, true}, {"s4, group 12", 8}})
    for (const char *emitter : {"row", "generic"}) {
      SCOPED_TRACE(f.code + " " + emitter);
      auto [arguments, decode] = weight(f, 96, 50);
      check(emitter,
            "func.func @main(%i: tensor<?xi64> {tfm.dims = [#tfm.dim<s>], tfm.test_range = [0, 50]}, " + arguments +
                ") -> tensor<?x96xf32> {\n" + decode +
                R"mlir(%0 = tfm.gather %w, %i {axis = 1 : i64} : (tensor<96x50xf32>, tensor<?xi64>) -> tensor<96x?xf32>
                %1 = tfm.transpose %0 [1, 0] : (tensor<96x?xf32>) -> tensor<?x96xf32>
                return %1 : tensor<?x96xf32>
              })mlir",
            {"s=1", "s=7"});
    }
}

TEST_P(WeightOnlyKernelTest, GatherOfRows) {
  auto [arguments, decode] = weight({"s4, group 16", 4}, 50, 96);
  check("row",
        "func.func @main(%i: tensor<?xi64> {tfm.dims = [#tfm.dim<s>], tfm.test_range = [0, 50]}, " + arguments + ") -> tensor<?x96xf32> {\n" +
            decode +
            R"mlir(%0 = tfm.gather %w, %i {axis = 0 : i64} : (tensor<50x96xf32>, tensor<?xi64>) -> tensor<?x96xf32>
            return %0 : tensor<?x96xf32>
          })mlir",
        {"s=1", "s=7"});
}

INSTANTIATE_TEST_SUITE_P(Targets, WeightOnlyKernelTest, ::testing::ValuesIn(vectorTargets()), targetTestName);
INSTANTIATE_TEST_SUITE_P(Gpu, WeightOnlyKernelTest, ::testing::ValuesIn(gpuThreads()), targetTestName);

} // namespace
