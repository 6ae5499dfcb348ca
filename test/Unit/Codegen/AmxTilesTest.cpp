//===- AmxTilesTest.cpp - tile registers by number ---------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "../../../lib/Codegen/CPU/AmxTiles.h"
#include "KernelRunner.h"

using namespace permalloy::codegen;
using namespace permalloy::codegen::test;

namespace {

const CpuTarget &sapphireRapids() {
  static const CpuTarget target = llvm::cantFail(CpuTarget::parse("sapphirerapids"));
  return target;
}

/// C = A B for one tile each; buffers: A, B, C.
void buildProduct(KernelModule &kernel, unsigned rows) {
  KernelBuilder b(*kernel.module, kernel.loc(), "kernel", sapphireRapids(), 3, 0);
  AmxTiles tiles(b);
  tiles.configure({{rows, 64}, {rows, 64}, {16, 64}});
  tiles.zero(0);
  tiles.loadStream(1, b.buffer(0), b.i64(64));
  tiles.load(2, b.buffer(1), b.i64(64));
  tiles.multiply(0, 1, 2);
  tiles.store(0, b.buffer(2), b.i64(64));
  tiles.release();
  b.finish();
}

uint16_t bf16(float value) { return llvm::bit_cast<uint32_t>(value) >> 16; }

TEST(AmxTiles, EachCallIsOneInstruction) {
  KernelModule kernel;
  buildProduct(kernel, 16);
  std::string text = kernel.assembly(sapphireRapids());
  for (const char *instruction : {"ldtilecfg", "tilezero\t%tmm0", "tileloaddt1", "tileloadd\t",
                                  "tdpbf16ps\t%tmm2, %tmm1, %tmm0", "tilestored", "tilerelease"})
    EXPECT_EQ(1u, llvm::StringRef(text).count(instruction)) << instruction << "\n" << text;
}

TEST(AmxTiles, KernelsSayWhatTheyNeed) {
  KernelModule kernel;
  buildProduct(kernel, 16);
  ASSERT_TRUE(mlir::succeeded(lowerToLLVM(*kernel.module, sapphireRapids())));
  EXPECT_EQ((llvm::SmallVector<llvm::StringRef>{"amx-bf16", "amx-tile"}), extraFeaturesOf(*kernel.module));
}

TEST(AmxTiles, Multiplies) {
  if (!sapphireRapids().supportedByHost() || !permalloy::requestAmxPermission())
    GTEST_SKIP() << "this machine lacks sapphirerapids, or Linux refuses the tile state";
  constexpr unsigned rows = 5;
  KernelModule kernel;
  buildProduct(kernel, rows);
  CompiledKernel product(kernel, sapphireRapids());
  alignas(64) uint16_t a[16][32], b[16][16][2];
  alignas(64) float c[16][16];
  std::fill_n(&c[0][0], 256, -1.0f);
  auto at = [](unsigned i, unsigned j) { return float((3 * i + 5 * j) % 7) - 3; };
  for (unsigned k = 0; k < 32; ++k)
    for (unsigned i = 0; i < 16; ++i) {
      a[i][k] = bf16(at(i, k));
      b[k / 2][i][k % 2] = bf16(at(k + 1, i));
    }
  ASSERT_TRUE(bool(product));
  product({a, b, c}, {}, 0, 1);
  for (unsigned i = 0; i < 16; ++i)
    for (unsigned j = 0; j < 16; ++j) {
      float sum = 0;
      for (unsigned k = 0; k < 32; ++k)
        sum += at(i, k) * at(k + 1, j);
      EXPECT_EQ(i < rows ? sum : -1.0f, c[i][j]) << i << ", " << j;
    }
}

} // namespace
