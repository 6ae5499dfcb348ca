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

/// What both ways of attention share.
class AttentionParts {
public:
  using Value = mlir::Value;

protected:
  AttentionParts(KernelBuilder &b, const Attention &a, const AttentionSchedule &s)
      : b(b), a(a), s(s), ops(b), element(Element::of(a.element ? a.element : b.getF32Type())),
        outputElement(a.outputElement ? Element::of(a.outputElement) : element),
        maskElement(a.maskElement ? Element::of(a.maskElement) : element),
        lanes(b.target().lanes()), vectorBytes(lanes * 4),
        paddedSize(llvm::alignTo(a.headSize, lanes)) {}

  /// The rows of one head.
  Value headBase(const HeadTensor &tensor, Value batch, Value head) {
    return b.at(b.at(tensor.base, b.mul(batch, tensor.batchStride)),
                b.mul(head, tensor.headStride));
  }
  /// The keys [first, second) that any of the queries [first, first + count) sees, by position.
  std::pair<Value, Value> keyRange(Value firstQuery, Value count);
  /// The mask at `address` as f32 in powers of two.
  Value maskValue(Value address);
  /// first, first + 1, ... as i32.
  Value laneNumbers(int32_t first);
  /// Scores in powers of two after the softcap.
  Value capScores(Value scores);
  /// `count` rows of K or V as f32: in place, or widened at `place` in scratch.
  Value asFloat(Value rows, int64_t rowStride, int64_t place, Value count);
  /// Bytes between the rows that asFloat gives.
  int64_t floatStride(const HeadTensor &tensor) const {
    return element.isHalf() ? paddedSize * 4 : tensor.rowStride;
  }
  /// to = from / sum for the elements of one head; what NoKeys says where the sum is 0.
  void storeOutputRow(Value from, Value to, Value sum, Value valueRows);
  /// Calls `body(column, valid lanes)` for the vectors of one head.
  void forColumns(llvm::function_ref<void(int64_t, unsigned)> body) {
    for (int64_t column = 0; column < a.headSize; column += lanes)
      body(column, std::min<int64_t>(lanes, a.headSize - column));
  }
  Value part(int64_t offset) { return b.at(b.scratch(), offset); }

  KernelBuilder &b;
  const Attention &a;
  const AttentionSchedule &s;
  ElementOps ops;
  /// What stands in memory: elements are loaded and stored through `ops`, and f32 in registers and
  /// in scratch.
  Element element, outputElement, maskElement;
  int64_t lanes, vectorBytes, paddedSize;

private:
  Value emptyRow(Value valueRows, Value sum, Value value, int64_t column, unsigned valid);
};

/// Emits one attention kernel; see Attention.h for the algorithm. Attention.cpp has the frame
/// (grid, packing, output), AttentionScores.cpp what happens to a block of keys.
class AttentionEmitter : AttentionParts {
public:
  AttentionEmitter(KernelBuilder &b, const Attention &a, const AttentionSchedule &s)
      : AttentionParts(b, a, s), layout(b.target(), s, a.headSize, element.isHalf()),
        width(attentionQueryBlock(b.target())), rowBytes(width * 4) {}

  void emit();

private:
  void emitDecode();
  void emitBlocks();
  void emitTile(Value batch, Value head, Value firstQuery);
  void packQueries();
  void emitKeyBlock(Value firstKey, Value count);
  void emitAllScores(Value firstKey, Value count);
  void fillMaskRow(Value firstKey, Value count);
  void fillMaskTile(Value firstKey, Value count);
  llvm::SmallVector<Value> startScores(unsigned rows, Value firstRow, Value row, Value scores);
  void emitScores(unsigned rows, Value firstKey, Value row);
  Value initialScore(Value score, Value key, unsigned vector);
  void updateMaximum();
  void emitWeights(Value count);
  Value emitWeight(Value address, Value shift);
  void emitOutput(Value firstKey, Value count);
  void emitOutputTile(Value firstKey, Value count, Value query, int64_t column, int64_t columns);
  void storeRows();

  Value lanesAt(int64_t offset, unsigned vector) {
    return b.loadVector(part(offset + vector * vectorBytes), vectorBytes);
  }
  void setLanes(Value value, int64_t offset, unsigned vector) {
    b.store(value, part(offset + vector * vectorBytes), vectorBytes);
  }

  AttentionScratch layout;
  int64_t width, rowBytes;

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
