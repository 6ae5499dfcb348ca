//===- AmxTiles.h - tile registers by number ---------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// AMX has 8 registers of up to 16 rows x 64 bytes. Emitters use them by number, through the intrinsics with immediate tile
// numbers: LLVM's allocator of tile registers takes no part, so nothing is spilled and each call is one instruction, in the
// order in which they are built. What a product of bf16 needs:
//
//   C[16][16] f32 += A[16][32] bf16 * B[32][16] bf16        tdpbf16ps C, A, B: 16 cycles
//
// where row p of the register B holds rows 2 p and 2 p + 1 of the matrix, interleaved: 16 rows of a panel (Panels.h).
// 8-bit integers stand in fours: C i32 += A[16][64] * B[64][16], tdpbssd and, for unsigned ones, tdpbsud, tdpbusd, tdpbuud.
// Products of bf16 are exact in f32; the sums round to nearest even, in the instruction's order, and subnormals are zero.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_LIB_CODEGEN_CPU_AMXTILES_H
#define PERMALLOY_LIB_CODEGEN_CPU_AMXTILES_H

#include "permalloy/Codegen/CPU/KernelBuilder.h"

namespace permalloy::codegen {

/// Builds tile instructions at the builder's place, for targets that hasAmx(). Between `configure` and `release`, which a
/// kernel builds once each, at its entry and at its exit, tiles keep their values; other vector code may stand between.
class AmxTiles {
public:
  using Value = mlir::Value;
  static constexpr unsigned kTiles = 8, kRows = 16, kRowBytes = 64, kBytes = kRows * kRowBytes;
  /// Steps of K in one product of bf16, and of one of 8-bit integers.
  static constexpr int64_t kSteps = 32, kIntegerSteps = 64;

  /// Rows and bytes of a row of one tile.
  struct Shape {
    unsigned rows = kRows;
    unsigned rowBytes = kRowBytes;
  };

  explicit AmxTiles(KernelBuilder &b) : b(b) {}

  /// Gives tiles 0 to shapes.size() - 1 their shapes and zeroes all. The 64 bytes of configuration stand on the stack.
  void configure(llvm::ArrayRef<Shape> shapes);
  /// All eight tiles of 16 rows x 64 bytes.
  void configure();
  /// Gives the tile state back to the system: without it every later switch of threads saves 8 KB.
  void release();

  void zero(unsigned tile);
  /// Rows `stride` bytes apart (64: 1 KB as it lies).
  void load(unsigned tile, Value pointer, Value stride);
  /// The same with the hint that the memory is read once: what stays in the first cache stays there.
  void loadStream(unsigned tile, Value pointer, Value stride);
  void store(unsigned tile, Value pointer, Value stride);
  /// c += a * b in bf16.
  void multiply(unsigned c, unsigned a, unsigned b);
  /// c += a * b in integers: 8 bits each, signed or not, sums in i32.
  void multiplyIntegers(unsigned c, unsigned a, unsigned b, bool aSigned, bool bSigned);

private:
  void call(llvm::StringRef name, llvm::ArrayRef<unsigned> tiles, llvm::ArrayRef<Value> operands = {});

  KernelBuilder &b;
};

} // namespace permalloy::codegen

#endif
