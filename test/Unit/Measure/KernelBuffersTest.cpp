//===- KernelBuffersTest.cpp - arguments of kernels that are timed *- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Measure/KernelBuffers.h"

#include "mlir/Parser/Parser.h"
#include "gmock/gmock.h"

#include <algorithm>
#include <set>

using namespace permalloy;
using namespace permalloy::measure;

namespace {

class KernelBuffersTest : public testing::Test {
protected:
  KernelBuffersTest() {
    context.loadDialect<tfm::TfmDialect, kern::KernDialect>();
    symbols["d0"] = 4;
  }
  KernelBuffers make(const char *text) {
    module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
    return llvm::cantFail(KernelBuffers::make(*module->getOps<kern::KernelOp>().begin(), symbols, arena));
  }

  mlir::MLIRContext context;
  reference::Symbols symbols;
  WeightArena arena{size_t(1) << 20};
  mlir::OwningOpRef<mlir::ModuleOp> module;
};

/// Lists of zeros would have a kernel read one row of A again and again.
TEST_F(KernelBuffersTest, ListsOfBlocksAreSpreadAndMoveOnWithTheBlocks) {
  KernelBuffers buffers = make(R"mlir(kern.kernel @k contraction attributes {arg_dims = [[#tfm.dim<d0>, #tfm.dim<768>], [#tfm.dim<48>, #tfm.dim<384>, #tfm.dim<16>], [#tfm.dim<48>, #tfm.dim<384>]], symbols = ["d0"]} {
  ^bb0(%x: tensor<?x768xf32>, %v: tensor<48x384x16xf32>, %r: tensor<48x384xi32>):
    %w = tfm.expand_blocks %v, %r {block = array<i64: 1, 16>, shape = array<i64: 768, 768>} : (tensor<48x384x16xf32>, tensor<48x384xi32>) -> tensor<768x768xf32>
    %0 = tfm.linear %x, %w : (tensor<?x768xf32>, tensor<768x768xf32>) -> tensor<?x768xf32>
    kern.yield %0 : tensor<?x768xf32>
  })mlir");
  EXPECT_TRUE(buffers.hasColdWeights());
  std::set<const void *> values, lists;
  for (int launch = 0; launch < 4; ++launch) {
    void *const *arguments = buffers.next();
    values.insert(arguments[1]), lists.insert(arguments[2]);
    auto *rows = static_cast<const int32_t *>(arguments[2]);
    for (int slab = 0; slab < 48; ++slab, rows += 384) {
      EXPECT_TRUE(std::is_sorted(rows, rows + 384) && std::adjacent_find(rows, rows + 384) == rows + 384);
      EXPECT_GE(rows[0], 0);
      EXPECT_LT(rows[0], 4);
      EXPECT_GE(rows[383], 764);
      EXPECT_LT(rows[383], 768);
    }
  }
  EXPECT_EQ(values.size(), lists.size()); // a list moves on with its blocks
  EXPECT_EQ(1u, values.size()); // 1.2 MB: more than the model's
  WeightArena larger(size_t(8) << 20);
  KernelBuffers turns = llvm::cantFail(KernelBuffers::make(*module->getOps<kern::KernelOp>().begin(), symbols, larger));
  std::set<const void *> seen;
  for (int launch = 0; launch < 4; ++launch)
    seen.insert(turns.next()[2]);
  EXPECT_EQ(4u, seen.size());
}

/// Codes and scales of a weight are of several types, each with its own memory, which is filled once.
TEST_F(KernelBuffersTest, CodesAndScalesTakeTurnsApart) {
  KernelBuffers buffers = make(R"mlir(kern.kernel @k contraction attributes {arg_dims = [[#tfm.dim<d0>, #tfm.dim<64>], [#tfm.dim<64>, #tfm.dim<48>], [#tfm.dim<2>, #tfm.dim<48>]], symbols = ["d0"]} {
  ^bb0(%x: tensor<?x64xf32>, %c: tensor<64x48x!tfm.q<s4, group 32>, #tfm.panels>, %s: tensor<2x48xf16, #tfm.panels>):
    %w = tfm.dequantize %c, %s : (tensor<64x48x!tfm.q<s4, group 32>, #tfm.panels>, tensor<2x48xf16, #tfm.panels>) -> tensor<64x48xf32>
    %0 = tfm.linear %x, %w : (tensor<?x64xf32>, tensor<64x48xf32>) -> tensor<?x48xf32>
    kern.yield %0 : tensor<?x48xf32>
  })mlir");
  std::vector<void *> first(buffers.next(), buffers.next() + 3);
  void *const *then = buffers.next();
  EXPECT_NE(first[1], then[1]);
  EXPECT_NE(first[2], then[2]);
  auto *codes = static_cast<const uint8_t *>(first[1]);
  EXPECT_GT(std::set<uint8_t>(codes, codes + 64 * 24).size(), 200u);
  auto *scales = static_cast<const _Float16 *>(first[2]);
  EXPECT_TRUE(std::all_of(scales, scales + 96, [](_Float16 s) { return s > _Float16(-1.01f) && s < _Float16(1.01f); }));
}

} // namespace
