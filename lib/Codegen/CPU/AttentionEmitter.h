//===- AttentionEmitter.h - the parts of the attention emitter --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_CODEGEN_CPU_ATTENTIONEMITTER_H
#define PERMALLOY_LIB_CODEGEN_CPU_ATTENTIONEMITTER_H

#include "ElementOps.h"
#include "permalloy/Codegen/CPU/Attention.h"
#include "permalloy/Codegen/CPU/MicroKernel.h"

#include <limits>

namespace permalloy::codegen {

/// Registers of queries side by side in a tile of scores.
constexpr unsigned kQueryVectors = 2;
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kLog2e = 1.44269504f;

/// Offsets of a worker's scratch, in bytes; every part is 64-byte aligned.
struct AttentionScratch {
  int64_t queries = 0, scores, maskRow, maximum, newMaximum, rescale, sum, output, keys, values, end;

  /// `widens`: blocks of K and V stand here as f32.
  AttentionScratch(const CpuTarget &target, const AttentionSchedule &s, int64_t headSize, bool widens) {
    int64_t width = attentionQueryBlock(target) * 4;
    int64_t block = widens ? s.keyBlock * llvm::alignTo(headSize, target.lanes()) * 4 : 0;
    scores = queries + llvm::alignTo(headSize, target.lanes()) * width;
    maskRow = scores + s.keyBlock * width;
    maximum = llvm::alignTo(maskRow + s.keyBlock * 4, 64);
    newMaximum = maximum + width;
    rescale = newMaximum + width;
    sum = rescale + width;
    output = sum + width;
    keys = output + attentionQueryBlock(target) * llvm::alignTo(headSize, target.lanes()) * 4;
    values = keys + block;
    end = values + block;
  }
};

/// Emits one attention kernel; see Attention.h for the algorithm. Attention.cpp has the frame
/// (grid, packing, output), AttentionScores.cpp what happens to a block of keys.
class AttentionEmitter {
public:
  using Value = mlir::Value;

  AttentionEmitter(KernelBuilder &b, const Attention &a, const AttentionSchedule &s)
      : b(b), a(a), s(s), ops(b), element(Element::of(a.element ? a.element : b.getF32Type())),
        layout(b.target(), s, a.headSize, element.isHalf()), lanes(b.target().lanes()),
        width(attentionQueryBlock(b.target())), vectorBytes(lanes * 4), rowBytes(width * 4),
        paddedSize(llvm::alignTo(a.headSize, lanes)) {}

  void emit();

private:
  void emitTile(Value batch, Value head, Value firstQuery);
  void packQueries();
  void emitKeyBlock(Value firstKey, Value count);
  Value asFloat(Value rows, int64_t rowStride, int64_t place, Value count);
  void emitAllScores(Value firstKey, Value count);
  void fillMaskRow(Value firstKey, Value count);
  void fillMaskTile(Value firstKey, Value count);
  Value maskValue(Value address);
  void emitScores(unsigned rows, Value firstKey, Value row);
  Value initialScore(Value score, Value key, unsigned vector);
  void updateMaximum();
  void emitWeights(Value count);
  Value emitWeight(Value address, Value shift);
  void emitOutput(Value firstKey, Value count);
  void emitOutputTile(Value firstKey, Value count, Value query, int64_t column, int64_t columns);
  void storeRows();
  Value emptyRow(Value sum, Value value, int64_t column, unsigned valid);

  Value part(int64_t offset) { return b.at(b.scratch(), offset); }
  Value lanesAt(int64_t offset, unsigned vector) {
    return b.loadVector(part(offset + vector * vectorBytes), vectorBytes);
  }
  void setLanes(Value value, int64_t offset, unsigned vector) {
    b.store(value, part(offset + vector * vectorBytes), vectorBytes);
  }
  /// Calls `body(column, valid lanes)` for the vectors of one head.
  void forColumns(llvm::function_ref<void(int64_t, unsigned)> body) {
    for (int64_t column = 0; column < a.headSize; column += lanes)
      body(column, std::min<int64_t>(lanes, a.headSize - column));
  }

  KernelBuilder &b;
  const Attention &a;
  const AttentionSchedule &s;
  ElementOps ops;
  /// What stands in memory: elements are loaded and stored through `ops`, and f32 in registers and in scratch.
  Element element;
  AttentionScratch layout;
  int64_t lanes, width, vectorBytes, rowBytes, paddedSize;

  // The tile at hand.
  Value queryRows, keyRows, valueRows, outputRows,
      maskBase; ///< Bases of its head; queries from firstQuery on.
  Value firstQuery, queryCount;

  // The block of keys at hand: rows of f32, in place or widened.
  Value keyBlock, valueBlock;
  int64_t keyStride = 0, valueStride = 0;
};

} // namespace permalloy::codegen

#endif // PERMALLOY_LIB_CODEGEN_CPU_ATTENTIONEMITTER_H
