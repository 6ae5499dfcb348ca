//===- WeightOnlyEmitter.h - what both ways of a coded product share -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_CODEGEN_CPU_WEIGHTONLYEMITTER_H
#define PERMALLOY_LIB_CODEGEN_CPU_WEIGHTONLYEMITTER_H

#include "ContractionLayout.h"
#include "WeightOnly.h"
#include "WeightOnlyCodes.h"

namespace permalloy::codegen {

/// Emits one product; few rows in WeightOnly.cpp, more in WeightOnlyDense.cpp.
class WeightOnlyEmitter {
public:
  using Value = mlir::Value;
  WeightOnlyEmitter(KernelBuilder &b, const Contraction &c, const WeightOnlySchedule &s);
  void emit();

private:
  /// Rows of A that share what is decoded in registers.
  unsigned fewTileRows() const { return b.target().isAvx512() ? 8 : 4; }

  /// Some rows of A and panels side by side, from their first element on.
  struct Pass {
    unsigned rows;
    int64_t vectors, panels;
    Value codes, scales, zeroPoints = {}, a = {}, sums = {}, products = {};
  };

  void stageRow(Value from, Value to);
  void stageOnce(Value number, llvm::function_ref<void()> stage);
  void openTile(Value tile);
  void emitEpilogues(Value row, Value count);

  void emitFew();
  void stageFew();
  void sumGroups(Value from, Value to);
  void scaleSteps(Value row);
  void emitFewRows(unsigned rows, Value row);
  void emitPass(const Pass &pass);
  Value scaleAt(Value base, Value group, int64_t vector);
  int64_t rowsOfTurn(unsigned rows) const;
  llvm::SmallVector<Value> emitGroup(const Pass &pass, Value group, int64_t groupRows);
  llvm::SmallVector<Value> emitRows(const Pass &pass, Value row, int64_t count, llvm::ArrayRef<Value> so);
  Value aheadOf(const Pass &pass, Value position, int64_t ahead, int64_t bytes);
  void fetchCodes(const Pass &pass, Value row, int64_t count);
  void fetchScales(const Pass &pass, Value group);

  /// The register tile of many rows.
  unsigned denseRows() const { return b.target().isAvx512() ? 12 : 6; }
  int64_t densePanels() const { return b.target().isAvx512() && panels % 2 == 0 ? 2 : 1; }
  void emitMany();
  void emitBlock(Value block, Value height);
  void decodePanels();
  void decodeGroup(Value panel, Value group, int64_t groupRows);
  void emitDenseRows(unsigned rows, Value row);

  KernelBuilder &b;
  const Contraction &c;
  const WeightOnlySchedule &s;
  const CodedWeight &weight;
  CodeLayout layout;
  WeightOnlyScratch scratch;
  CodeReader reader;
  /// Whether few rows read codes in place, from rows of A whose steps are scaled.
  bool inPlace;
  /// Panels of a tile of the grid, of the weight, and tiles for a block of rows.
  int64_t panels, allPanels, groups;
  int64_t productRowBytes, laneBytes, aRowBytes = 0;
  Value products;

  // The rows at hand and A from the first of them on, the sums of its groups, and the tile.
  Value first, last, a, sums;
  Value firstPanel, startPanel, column, isLast;
};

} // namespace permalloy::codegen

#endif
