//===- TokenRows.h - operations that work token by token ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A value of tokens has them in its leading dimensions: a grid [batch, sequence, ...] or a list [batch * sequence, ...]. An
// operation works token by token when the elements of its result at a token follow from the elements of its operands at that
// token, and from operands that know neither, such as weights. Without padding, a grid becomes [1, tokens, ...] and a list
// [tokens, ...], so that ranks, axes and broadcasts stay what they are:
//
//   %x + %positions    [batch, seq, 384] + [1, seq, 384]     grid, position    [1, tokens, 384] + [1, tokens, 384]
//   linear %x, %w      [batch, seq, 384] x [384, 1536]       grid, none        [1, tokens, 384] x [384, 1536]
//
//===----------------------------------------------------------------------===//

#ifndef PERMALLOY_LIB_TRANSFORMS_PADDING_TOKENROWS_H
#define PERMALLOY_LIB_TRANSFORMS_PADDING_TOKENROWS_H

#include "permalloy/Analysis/SymbolicShapes.h"

namespace permalloy {

/// How the leading dimensions of a value say which token an element belongs to.
enum class Rows {
  None,          ///< they do not
  Grid,          ///< [batch, sequence, ...]
  List,          ///< [batch * sequence, ...]
  Position,      ///< [1, sequence, ...]: the same in each sequence
  ShortPosition, ///< [sequence, ...], broadcast to a grid
  Sequence,      ///< [batch, 1, ...]: the same for all tokens of a sequence
};

/// An operation that works token by token.
struct TokenOp {
  Rows result = Rows::None; ///< Grid or List
  llvm::SmallVector<Rows> operands;
};

/// Knows what the tokens of a function are.
class TokenRows {
public:
  TokenRows(tfm::DimExprAttr batch, tfm::DimExprAttr sequence, SymbolicShapes &shapes)
      : batch(batch), sequence(sequence), count(tfm::DimExprAttr::mul(batch, sequence)), shapes(shapes) {}

  /// Grid, List or None.
  Rows rowsOf(mlir::Value value);
  /// How `op` works token by token; nullopt when it does not. Attention does not.
  std::optional<TokenOp> match(mlir::Operation *op);
  /// `dims` of a value of tokens without padding.
  tfm::Dims packedDims(Rows rows, llvm::ArrayRef<tfm::DimExprAttr> dims, tfm::DimExprAttr tokens);

  tfm::DimExprAttr batch, sequence, count;

private:
  Rows rowsOfDims(llvm::ArrayRef<tfm::DimExprAttr> dims);
  /// An operand of rank at most that of the result, which broadcasts to it; nullopt when that cannot be told.
  std::optional<Rows> broadcastRows(mlir::Value operand, Rows result, size_t resultRank);
  bool matchBroadcasting(mlir::Operation *op, TokenOp &token);
  bool matchRotary(tfm::RotaryOp op, TokenOp &token);
  bool matchFirst(mlir::Operation *op, TokenOp &token, bool keepsRows);
  bool keepsRows(mlir::Operation *op, int64_t rowAxes);

  SymbolicShapes &shapes;
};

} // namespace permalloy

#endif
