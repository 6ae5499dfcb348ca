//===- SparseQuads.h - products with some of each four steps ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Weights of which each column keeps one or two of each four steps of K (tfm.expand_quads). Two forms:
//
//   lanes    rows of A are in the lanes (SparseColumns.h): a kept weight is broadcast and multiplied with the vectors of its step,
//            which are operands in memory: V + 1 loads for V products, where a dense product does 2 V. The two bits that say which step
//            become an offset by a shift and a mask.
//   few      columns of a panel are in the lanes: the four inputs of a quad are broadcast to each quarter of a vector, and vpermilps
//            takes to each lane the one whose number its two bits are. A shuffle and a product for each kept weight, where a dense
//            product has two products: no gain in arithmetic, but 56% of the bytes, which is what few rows wait for.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_LIB_CODEGEN_CPU_SPARSEQUADS_H
#define PERMALLOY_LIB_CODEGEN_CPU_SPARSEQUADS_H

#include "permalloy/Codegen/CPU/Contraction.h"

namespace permalloy::codegen {

/// Kept weights whose steps share a word, and the steps of K that they are of.
inline constexpr int64_t kQuadsWord = 16;
inline int64_t quadsWordSteps(int64_t keptOfFour) { return kQuadsWord / keptOfFour * 4; }

/// One tile of rows times some columns of a panel, over whole words and perhaps a part of one.
struct QuadsTile {
  mlir::Value a;            ///< [steps][rows of a tile], f32
  int64_t stepBytes;        ///< from one step to the next
  mlir::Value values;       ///< [kept][16] from the first column on
  mlir::Value words;        ///< [words][16] likewise
  mlir::Value wholeWords;   ///< i64
  int64_t rest = 0;         ///< kept weights in the word behind
  mlir::Value hasRest = {}; ///< i1, where there are any
  int64_t keptOfFour = 2;
  /// Asked for before part `part` of `columns` of word `word`, to spread prefetches evenly.
  llvm::function_ref<void(mlir::Value word, unsigned part)> fetch = nullptr;
};

/// The sums of `columns` columns and `vectors` vectors of rows, row-major like `init`.
llvm::SmallVector<mlir::Value> emitQuadsTile(KernelBuilder &b, const QuadsTile &tile, unsigned columns, unsigned vectors, mlir::ValueRange init);

/// Emits the tiles [tileBegin, tileEnd) of a product of so few rows that they are one block.
void emitFewQuads(KernelBuilder &b, const Contraction &contraction);

} // namespace permalloy::codegen

#endif
