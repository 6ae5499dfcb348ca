//===- PaddingMask.h - which positions a mask hides --------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Masks say the same in many types and shapes: bool [batch, 1, 1, seq] in attention, f32 [batch, seq, 1] in a mean over tokens,
// 0 and -3.4e38 in older exports. All are functions, element by element, of one value [batch, seq], the `source`:
//
//   %mask : [batch, seq] of i64                                     source
//   cast to bool, reshape [batch, 1, 1, seq]                        0 -> 0, 1 -> 1        hides 0
//   (1 - cast to f32) * -3.4e38, reshape [batch, 1, 1, seq]         0 -> -3.4e38, 1 -> 0  hides 0
//   cast to f32, reshape [batch, seq, 1]                            0 -> 0, 1 -> 1        0 wherever those hide
//
// A source holds 0 and 1, and the numbers that it is compared with.
//
//===----------------------------------------------------------------------===//

#ifndef PERMALLOY_LIB_TRANSFORMS_PADDING_PADDINGMASK_H
#define PERMALLOY_LIB_TRANSFORMS_PADDING_PADDINGMASK_H

#include "permalloy/Analysis/SymbolicShapes.h"

#include <set>

namespace permalloy {

/// A value as a function of the elements of one value [batch, sequence].
struct MaskFunction {
  mlir::Value source;
  /// Where the batch and the sequence of the source stand in the value; -1 where that is a dimension of 1.
  int64_t batchAxis = -1, sequenceAxis = -1;
};

/// Knows the mask that an attention hides its padding by.
class PaddingMask {
public:
  /// The mask of `attention` over keys alone, [batch or 1, 1, 1, keys]; nullopt, with the reason, for another.
  static std::optional<PaddingMask> of(tfm::AttentionOp attention, SymbolicShapes &shapes, std::string &reason);

  tfm::DimExprAttr batch, sequence;
  mlir::Value source;
  /// The operand of the attention; bool, or numbers of which 0 means real.
  mlir::Value mask;

  /// `attention` hides the same keys.
  bool agreesWith(tfm::AttentionOp attention, SymbolicShapes &shapes) const;
  /// `value`, [batch, sequence, ...], is `expected` at every hidden position.
  bool isAtPadding(mlir::Value value, double expected, SymbolicShapes &shapes) const;

private:
  /// Values of the source that mean padding.
  std::set<double> hidden, seen;
};

} // namespace permalloy

#endif
