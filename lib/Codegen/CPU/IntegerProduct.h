//===- IntegerProduct.h - products of 8-bit integers in vectors --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Four steps of K stand in each 32-bit lane of a panel row (Panels.h), and a lane of the accumulators is one column's i32. Two ways
// to multiply, both exact:
//
//   dot     vpdpbusd, where the target has VNNI: four products of u8 and s8 a lane, one instruction. Rows of A are copied so that one
//           factor is unsigned and the other signed: where A and W are both signed, or both not, A is stored with its sign bits
//           flipped, a + 128 or a - 128, and the sums begin at -128 or +128 times the sums of W's columns.
//   widened the even and the odd steps as i16: two vpmaddwd and two additions a lane. Rows of A are stored widened: the pairs of even
//           steps, then the pairs of odd ones. (vpmaddubsw, one instruction less, saturates, or takes a sign per row.)
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_LIB_CODEGEN_CPU_INTEGERPRODUCT_H
#define PERMALLOY_LIB_CODEGEN_CPU_INTEGERPRODUCT_H

#include "permalloy/Codegen/CPU/MicroKernel.h"

namespace permalloy::codegen {

/// Bytes between the rows of A in scratch, and from the even steps of a row to the odd ones.
int64_t integerRowBytes(int64_t k);
int64_t integerOddBytes(int64_t k);

/// Builds the parts of a product of a row-major A[.., k] and W in panels.
class IntegerProduct {
public:
  using Value = mlir::Value;
  IntegerProduct(KernelBuilder &b, int64_t k, bool signedRows, bool signedWeights)
      : b(b), k(k), signedRows(signedRows), signedWeights(signedWeights), usesDot(b.target().hasVnni()) {}

  /// Whether B needs registers besides those of a step of f32.
  bool widens() const { return !usesDot; }
  /// Copies a row of A from `from` into scratch at `to`.
  void packRow(Value from, Value to);
  /// A vector of rows of A, with VNNI, as it is stored: unsigned where W is signed. In bits of the vector's type.
  Value stored(Value rows);
  /// What the sums of the columns of a vector begin at, in bits: `panel` is the first row of its panel, of `rows` rows 64 bytes apart,
  /// from that vector on.
  Value initial(Value panel, int64_t rows);
  /// Where rows are so few that W passes once: sums of its columns are taken beside the products, in one more row of accumulators, which
  /// begin at 0, instead of `initial`.
  void takeSumsBeside() { sumsBeside = usesDot && flips(); }
  bool takesSumsBeside() const { return sumsBeside; }
  /// The products of `rows` rows, without that row.
  llvm::SmallVector<Value> withSums(unsigned rows, mlir::ValueRange accumulators);
  /// accumulators += four steps of A times `bs`, vectors of i32; A's rows begin at `aStep`.
  llvm::SmallVector<Value> step(unsigned rows, int64_t aRowStride, Value aStep, mlir::ValueRange bs, mlir::ValueRange accumulators);

private:
  Value dot(Value acc, Value a, Value w);
  Value multiplyAdd(Value acc, Value a, Value w);
  /// Even or odd bytes as i16, in a vector of i32.
  Value widened(Value bytes, bool odd, bool isSigned);
  Value words(int32_t bits);
  Value lackingOf(Value sum);
  bool flips() const { return signedRows == signedWeights; }

  KernelBuilder &b;
  int64_t k;
  bool signedRows, signedWeights, usesDot, sumsBeside = false;
};

} // namespace permalloy::codegen

#endif
