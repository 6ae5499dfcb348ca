//===- AmxPacking.h - rows and panels as tiles load them ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_CODEGEN_CPU_AMXPACKING_H
#define PERMALLOY_LIB_CODEGEN_CPU_AMXPACKING_H

#include "AmxSchedule.h"

namespace permalloy::codegen {

/// Copies what the tiles of a contraction load (AmxContraction.h) to where it stands as they need it. `memory` outlives it.
class AmxPacking {
public:
  using Value = mlir::Value;
  AmxPacking(KernelBuilder &b, const Contraction &c, const AmxScratch &memory);

  /// The row of A at `from`: 64 bytes to each tile, from `to` on, zeros behind the last element. Split: high parts, then low parts.
  void packRow(Value from, Value to);
  /// Two panels of f32 as bf16 in scratch: where the high parts of both begin. The low parts lie two such panels behind.
  std::pair<Value, Value> splitPanels(Value panels, Value second);
  /// Where K ends within a tile: the last rows of two panels, to `lastRows`, zeros behind them.
  void keepLastRows(Value panels, Value second, Value lastRows);

private:
  std::pair<Value, Value> splitVector(Value value);

  KernelBuilder &b;
  const Contraction &c;
  const AmxScratch &memory;
  /// Steps of K in a tile, bytes of an element, steps of whole tiles, and the rest of K.
  int64_t tileSteps, elementBytes, wholeSteps, tailSteps;
};

} // namespace permalloy::codegen

#endif
