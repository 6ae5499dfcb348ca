//===- ContractionLayout.h - sizes that schedules and emission share -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_CODEGEN_CPU_CONTRACTIONLAYOUT_H
#define PERMALLOY_LIB_CODEGEN_CPU_CONTRACTIONLAYOUT_H

#include "ElementOps.h"
#include "Tfm/Panels.h"
#include "permalloy/Codegen/CPU/Contraction.h"

namespace permalloy::codegen {

inline int64_t panelsOf(int64_t n) { return llvm::divideCeil(n, tfm::kPanelColumns); }

/// How the weights of an element type lie in memory.
struct PanelLayout {
  PanelLayout(mlir::Type element, int64_t k, const std::optional<SparseRows> &sparse)
      : pairing(element ? tfm::panelPairing(element) : 1),
        columnBytes(pairing * (element ? Element::of(element).bytes() : 4)),
        rowBytes(tfm::kPanelColumns * columnBytes), slabPanels(sparse ? sparse->panels : 1),
        stepBytes(slabPanels * rowBytes), rows(sparse ? sparse->kept : llvm::divideCeil(k, pairing)),
        bytes(sparse ? rowBytes : rows * rowBytes), slabBytes(rows * stepBytes) {}
  /// Steps of K in a panel row.
  int64_t pairing;
  /// Bytes of one column in a panel row, and of the row.
  int64_t columnBytes, rowBytes;
  /// Panels whose rows lie side by side (1: none), and bytes from one step to the next.
  int64_t slabPanels, stepBytes;
  /// Rows of a panel; from one panel to the next; and of all panels side by side.
  int64_t rows, bytes, slabBytes;
};

inline bool isHalf(mlir::Type element) { return element && Element::of(element).isHalf(); }

/// Bytes of a row of A that is widened or gathered: whole vectors, and an odd number of lines, so
/// that the rows of a tile do not meet in one set of the first cache.
inline int64_t widenedRowBytes(int64_t k) { return (llvm::divideCeil(k, 16) | 1) * 64; }

/// Panels of one tile of the grid: a register tile's, or one of each half.
inline int64_t gridPanels(const ContractionSchedule &schedule, bool gated) {
  return gated ? 2 : schedule.panels;
}

} // namespace permalloy::codegen

#endif
