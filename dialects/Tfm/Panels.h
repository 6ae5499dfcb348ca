//===- Panels.h - where the elements of a packed weight stand ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A weight [K, N] with the encoding #tfm.panels is stored as panels of 16 columns, one after the
// other, zeros past N:
//
//   f32, f64, f16   [ceil(N/16)][K][16]
//   bf16            [ceil(N/16)][ceil(K/2)][16][2]    zeros past K
//   i8, ui8         [ceil(N/16)][ceil(K/4)][16][4]    zeros past K
//
// bf16 keeps two steps of K together because that is how they become f32 without a shuffle: the even
// step is the 32-bit lane shifted up by 16, the odd one the lane with its lower half cleared. It is
// also the operand of vdpbf16ps and of AMX. Four steps of 8-bit integers are that of vpdpbusd and of AMX.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_TFM_PANELS_H
#define PERMALLOY_TFM_PANELS_H

#include "mlir/IR/Types.h"
#include "llvm/Support/MathExtras.h"

namespace permalloy::tfm {

/// Columns of a panel.
constexpr int64_t kPanelColumns = 16;

/// Steps of K that stand side by side for each column.
inline int64_t panelPairing(mlir::Type element) { return element.isInteger(8) ? 4 : element.isBF16() ? 2 : 1; }

/// Steps of K as stored.
inline int64_t panelDepth(mlir::Type element, int64_t k) {
  return llvm::alignTo(k, panelPairing(element));
}

/// Elements of a weight [k, n] as stored, with padding.
inline int64_t panelElements(mlir::Type element, int64_t k, int64_t n) {
  return llvm::alignTo(n, kPanelColumns) * panelDepth(element, k);
}

/// Where element [k, n] of a weight of `depth` stored steps stands, in elements.
inline int64_t panelPosition(mlir::Type element, int64_t depth, int64_t k, int64_t n) {
  int64_t pairing = panelPairing(element), column = n % kPanelColumns;
  int64_t group = n / kPanelColumns * (depth / pairing) + k / pairing;
  return (group * kPanelColumns + column) * pairing + k % pairing;
}

} // namespace permalloy::tfm

#endif // PERMALLOY_TFM_PANELS_H
