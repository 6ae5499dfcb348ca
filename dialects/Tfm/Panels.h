//===- Panels.h - where the elements of a packed weight stand ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A weight [K, N] with the encoding #tfm.panels is stored as panels of 16 columns, one after the
// other, zeros past N:
//
//   f32, f64, f16    [ceil(N/16)][K][16]
//   bf16             [ceil(N/16)][ceil(K/2)][16][2]     zeros past K
//   i8, ui8, codes   [ceil(N/16)][ceil(K/4)][16][4]     zeros past K
//   codes of 4 bits  [ceil(N/16)][ceil(K/8)][16] dwords, zeros past K: byte j of the dword of a column
//                    holds code k + j in its low half and code k + 4 + j in the high one
//
// bf16 keeps two steps of K together because that is how they become f32 without a shuffle: the even
// step is the 32-bit lane shifted up by 16, the odd one the lane with its lower half cleared. It is
// also the operand of vdpbf16ps and of AMX; four bytes of K are the operand of vpdpbusd and of AMX,
// and the halves of bytes become such operands by a mask and a shift.
//
// Codes `!tfm.q` of 2 to 4 bits take 4, those of 5 to 8 take 8; a signed code is in two's complement.
// Scales [G, N] are packed as weights of their element type. Who reads codes past K multiplies them by 0.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_TFM_PANELS_H
#define PERMALLOY_TFM_PANELS_H

#include "Tfm/Tfm.h"
#include "llvm/Support/MathExtras.h"

namespace permalloy::tfm {

/// Columns of a panel.
constexpr int64_t kPanelColumns = 16;

/// Bits that a stored element takes.
inline int64_t panelBits(mlir::Type element) {
  if (auto code = mlir::dyn_cast<QuantType>(element))
    return code.getBits() <= 4 ? 4 : 8;
  return element.getIntOrFloatBitWidth();
}

/// Steps of K that stand side by side for each column.
inline int64_t panelPairing(mlir::Type element) {
  int64_t bits = panelBits(element);
  return bits <= 8 ? 32 / bits : element.isBF16() ? 2 : 1;
}

/// Steps of K as stored.
inline int64_t panelDepth(mlir::Type element, int64_t k) {
  return llvm::alignTo(k, panelPairing(element));
}

/// Elements of a weight [k, n] as stored, with padding.
inline int64_t panelElements(mlir::Type element, int64_t k, int64_t n) {
  return llvm::alignTo(n, kPanelColumns) * panelDepth(element, k);
}

/// Bytes of a weight [k, n] as stored.
inline int64_t panelBytes(mlir::Type element, int64_t k, int64_t n) {
  return panelElements(element, k, n) * panelBits(element) / 8;
}

/// Where element [k, n] of a weight of `depth` stored steps stands, in elements. Of codes of 4 bits the
/// even positions are the low halves of bytes.
inline int64_t panelPosition(mlir::Type element, int64_t depth, int64_t k, int64_t n) {
  int64_t pairing = panelPairing(element), column = n % kPanelColumns;
  int64_t group = n / kPanelColumns * (depth / pairing) + k / pairing, step = k % pairing;
  if (panelBits(element) == 4)
    step = step % 4 * 2 + step / 4;
  return (group * kPanelColumns + column) * pairing + step;
}

} // namespace permalloy::tfm

#endif // PERMALLOY_TFM_PANELS_H
