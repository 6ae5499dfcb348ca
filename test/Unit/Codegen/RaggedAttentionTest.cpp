//===- RaggedAttentionTest.cpp - attention of sequences without padding -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "KernelCheck.h"

#include <numeric>

using namespace permalloy::codegen;
using namespace permalloy::codegen::test;
using permalloy::reference::Tensor;
using permalloy::reference::Tolerance;

namespace {

/// Lengths of sequences, of at most 150 tokens.
using Lengths = std::vector<int64_t>;

std::string attentionText(const std::string &element, int64_t heads, int64_t kvHeads, int64_t size, const std::string &options) {
  std::string text = R"mlir(func.func @main(
      %q: tensor<1x?xQxT> {tfm.dims = [#tfm.dim<1>, #tfm.dim<t>, #tfm.dim<Q>]}, %k: tensor<1x?xKxT> {tfm.dims = [#tfm.dim<1>, #tfm.dim<t>, #tfm.dim<K>]},
      %v: tensor<1x?xKxT> {tfm.dims = [#tfm.dim<1>, #tfm.dim<t>, #tfm.dim<K>]}, %o: tensor<?xi64> {tfm.dims = [#tfm.dim<n>]}) -> tensor<1x?xQxT> {
    %0 = tfm.attention %q, %k, %v offsets %o longest #tfm.dim<150> {num_heads = H : i64, num_kv_heads = G : i64, scale = 0.2 : f32 OPTIONS} : (tensor<1x?xQxT>, tensor<1x?xKxT>, tensor<1x?xKxT>, tensor<?xi64>) -> tensor<1x?xQxT>
    return %0 : tensor<1x?xQxT>
  })mlir";
  text = replaceAll(text, "OPTIONS", options);
  text = replaceAll(text, "xQxT", "x" + std::to_string(heads * size) + "x" + element);
  text = replaceAll(text, "xKxT", "x" + std::to_string(kvHeads * size) + "x" + element);
  text = replaceAll(text, "<Q>", "<" + std::to_string(heads * size) + ">");
  text = replaceAll(text, "<K>", "<" + std::to_string(kvHeads * size) + ">");
  text = replaceAll(text, "num_heads = H", "num_heads = " + std::to_string(heads));
  return replaceAll(text, "num_kv_heads = G", "num_kv_heads = " + std::to_string(kvHeads));
}

class RaggedAttentionTest : public CpuTargetTest {
protected:
  /// Compiles the kernel once, for batches of several lengths.
  void check(const std::string &text, llvm::ArrayRef<Lengths> batches, Tolerance tolerance = {1e-5, 1e-5}) {
    KernelCheck kernel(text, "attention");
    ASSERT_TRUE(bool(kernel));
    for (const Lengths &lengths : batches)
      run(kernel, lengths, tolerance);
  }
  void run(KernelCheck &kernel, const Lengths &lengths, Tolerance tolerance) {
    int64_t tokens = std::accumulate(lengths.begin(), lengths.end(), int64_t(0));
    std::string sizes = "t=" + std::to_string(tokens) + ",n=" + std::to_string(lengths.size() + 1);
    kernel.run(target(), sizes, tolerance, [&](llvm::MutableArrayRef<Tensor> inputs) {
      int64_t offset = 0;
      inputs[3].setInteger(0, 0);
      for (size_t i = 0; i < lengths.size(); ++i)
        inputs[3].setInteger(i + 1, offset += lengths[i]);
    });
  }
};

TEST_P(RaggedAttentionTest, LengthsAndHeads) {
  std::string text = attentionText("f32", 4, 2, 32, "");
  check(text, {Lengths{1}, {150}, {5, 1, 32, 33, 8, 150, 40}});
  check(attentionText("f32", 3, 3, 20, ""), Lengths{9, 31, 64});
}

TEST_P(RaggedAttentionTest, SequencesWithoutTokens) {
  std::string text = attentionText("f32", 2, 2, 16, "");
  check(text, {Lengths{0, 3, 0, 0, 40, 0}, {0, 0, 1}});
}

TEST_P(RaggedAttentionTest, CausalAndWindows) {
  check(attentionText("f32", 2, 2, 16, ", causal"), Lengths{7, 70, 1, 33});
  check(attentionText("f32", 2, 2, 16, ", window_left = 3 : i64, window_right = 9 : i64"), Lengths{7, 70, 1, 33});
}

TEST_P(RaggedAttentionTest, HalfPrecision) {
  check(attentionText("f16", 2, 2, 32, ""), Lengths{7, 70, 0, 33}, {2e-3, 2e-3});
  check(attentionText("bf16", 2, 2, 32, ""), Lengths{7, 70, 0, 33}, {2e-2, 2e-2});
}

class PrefixCountTest : public CpuTargetTest {};

TEST_P(PrefixCountTest, EqualsTheInterpreter) {
  KernelCheck kernel(R"mlir(func.func @main(%x: tensor<?x3xi1> {tfm.dims = [#tfm.dim<t>, #tfm.dim<3>]}) -> tensor<?xi64> {
    %0 = tfm.prefix_count %x : (tensor<?x3xi1>) -> tensor<?xi64>
    return %0 : tensor<?xi64>
  })mlir", "route");
  ASSERT_TRUE(bool(kernel));
  for (const char *sizes : {"t=0", "t=1", "t=50"})
    kernel.run(target(), sizes, Tolerance{});
}

INSTANTIATE_TEST_SUITE_P(Targets, RaggedAttentionTest, ::testing::ValuesIn(allTargets()), targetTestName);
INSTANTIATE_TEST_SUITE_P(Gpu, RaggedAttentionTest, ::testing::ValuesIn(gpuThreads()), targetTestName);
INSTANTIATE_TEST_SUITE_P(Targets, PrefixCountTest, ::testing::ValuesIn(allTargets()), targetTestName);

} // namespace
