//===- EncoderBlocks.h - where tokens can become fewer ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//   %x ──norm──q, k, v──attention──linear──(+ %x)──▶ tokens may merge here ──norm──mlp──(+)──▶ next block
//
//===----------------------------------------------------------------------===//

#ifndef PERMALLOY_LIB_TRANSFORMS_TOKENPRUNING_ENCODERBLOCKS_H
#define PERMALLOY_LIB_TRANSFORMS_TOKENPRUNING_ENCODERBLOCKS_H

#include "../Padding/TokenRows.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

#include <memory>

namespace permalloy {

/// An attention, and the sum behind which its block can reduce tokens; without one, the reason.
struct EncoderBlock {
  tfm::AttentionOp attention;
  tfm::BinaryOp residual;
  std::string reason;
};

/// The blocks of a function that share their tokens [batch, tokens, ...] with the first that can reduce them.
class EncoderBlocks {
public:
  EncoderBlocks(mlir::func::FuncOp function, SymbolicShapes &shapes);

  /// All attentions in program order.
  llvm::ArrayRef<EncoderBlock> all() const { return blocks; }
  /// Those that can reduce tokens.
  llvm::SmallVector<EncoderBlock> reducible() const;
  /// Leading tokens that the model itself puts in front of the others, or that its output picks; see plan-token-reduction.
  int64_t findProtected();
  /// What tokens are; null when no block can reduce them.
  TokenRows *rows() { return tokenRows.get(); }

private:
  std::string whyNot(tfm::AttentionOp op);
  tfm::BinaryOp findResidual(tfm::AttentionOp op);
  bool readsNormOf(mlir::Value value, mlir::Value input, unsigned depth);
  int64_t countInFront(mlir::Value tokens);
  int64_t countPicked();

  mlir::func::FuncOp function;
  SymbolicShapes &shapes;
  llvm::SmallVector<EncoderBlock> blocks;
  std::unique_ptr<TokenRows> tokenRows;
};

/// Why an attention cannot work on merged keys; empty when it can.
std::string whyNotMergedKeys(tfm::AttentionOp op);

/// How an operation uses tokens that are fewer than it thinks.
enum class TokenUse {
  Rows,   ///< token by token: it works on those that are left
  Attend, ///< attention of tokens, or of others, to tokens
  Pick,   ///< takes protected tokens out
  Mean,   ///< mean or sum over all tokens
  Exit,   ///< anything else: it gets all tokens back
};

/// Follows tokens from the sums behind which they become fewer.
class TokenFlow {
public:
  TokenFlow(TokenRows &rows, SymbolicShapes &shapes, int64_t protectedTokens)
      : rows(rows), shapes(shapes), protectedTokens(protectedTokens) {}

  /// Collects what holds reduced tokens behind `first`. False, with the reason, where an attention would need tokens that
  /// something between gets back.
  bool trace(tfm::BinaryOp first, std::string &reason);
  /// The value has fewer tokens than its type says.
  bool contains(mlir::Value value) const { return reduced.contains(value); }
  /// How `op`, which reads a reduced value, uses it.
  TokenUse useOf(mlir::Operation *op) const;

private:
  bool usesRows(mlir::Operation *op) const;
  bool picks(mlir::Operation *op) const;
  bool averages(mlir::Operation *op) const;
  bool attends(tfm::AttentionOp op) const;

  TokenRows &rows;
  SymbolicShapes &shapes;
  int64_t protectedTokens;
  llvm::DenseSet<mlir::Value> reduced;
};

/// The positions that a slice or gather along axis 1 takes from its input: the first and the last one, when they are known.
std::optional<std::pair<int64_t, int64_t>> pickedPositions(mlir::Operation *op);

} // namespace permalloy

#endif
