//===- AttentionEmitter.h - the parts of the attention emitter --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_CODEGEN_CPU_ATTENTIONEMITTER_H
#define PERMALLOY_LIB_CODEGEN_CPU_ATTENTIONEMITTER_H

#include "ElementOps.h"
#include "permalloy/Codegen/CPU/Attention.h"
#include "permalloy/Codegen/CPU/MicroKernel.h"

#include <limits>

namespace permalloy::codegen {

/// Registers of queries side by side in a tile of scores are at most these.
constexpr unsigned kMaxQueryVectors = 4;
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kLog2e = 1.44269504f;

/// Offsets of a worker's scratch, in bytes; every part is 64-byte aligned. First what serves the block of
/// queries and keys at hand, then a part for each block of queries of the tile.
struct AttentionScratch {
  int64_t scores = 0, maskRow, newMaximum, rescale, keys, values, blocks, end;
  /// Within the part of a block of queries, and the size of one.
  int64_t queries = 0, output, maximum, sum, blockBytes;

  /// `copies`: blocks of K and V stand here, as f32.
  AttentionScratch(const CpuTarget &target, const AttentionSchedule &s, int64_t headSize, bool copies) {
    int64_t width = attentionQueryBlock(target, s) * 4, padded = llvm::alignTo(headSize, target.lanes());
    int64_t copyBytes = copies ? s.keyBlock * padded * 4 : 0;
    maskRow = scores + s.keyBlock * width;
    newMaximum = llvm::alignTo(maskRow + s.keyBlock * 4, 64);
    rescale = newMaximum + width;
    keys = rescale + width;
    values = keys + copyBytes;
    blocks = values + copyBytes;
    output = queries + padded * width;
    maximum = output + padded * width;
    sum = maximum + width;
    blockBytes = sum + width;
    end = blocks + s.queryBlocks * blockBytes;
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
        paddedSize(llvm::alignTo(a.headSize, lanes)), group(a.heads / a.kvHeads) {}

  /// The rows of one head.
  Value headBase(const HeadTensor &tensor, Value batch, Value head) {
    return b.at(b.at(tensor.base, b.mul(batch, tensor.batchStride)),
                b.mul(head, tensor.headStride));
  }
  /// Calls `body` for each tile [tileBegin, tileEnd) of the grid: tile `number` of a key/value head. The attention is this one,
  /// or with `offsets` that on the rows of one sequence.
  using TileBody = llvm::function_ref<void(const Attention &one, Value batch, Value kvHead, Value number)>;
  void forTiles(TileBody body);
  /// Calls `body` for the blocks of queries of tile `number` of a head, if there are any.
  void forShare(Value number, llvm::function_ref<void(Value firstBlock, Value blockCount)> body);
  /// Calls `body` for each of these blocks, selected; its part of the scratch is `bytes` long, the first at `place`.
  void forBlocks(Value kvHead, Value firstBlock, Value blockCount, int64_t place, int64_t bytes,
                 llvm::function_ref<void()> body);
  /// The first query of these blocks, and their number.
  std::pair<Value, Value> queryRange(Value firstBlock, Value blockCount);
  /// The keys [first, second) that any of the queries [first, first + count) sees: within `attended`, by position.
  std::pair<Value, Value> keyRange(std::pair<Value, Value> attended, Value firstQuery, Value count);
  /// The keys [first, second) outside of which the mask of `batch` hides all from every query and head.
  std::pair<Value, Value> attendedRange(Value batch);
  /// Row `query` of the mask of a head.
  Value maskRowOf(Value batch, Value head, Value query);
  /// How many of `count` keys have vectors in the mask: all that fill one where they are neighbours in memory, else 0.
  Value vectorKeys(Value count);
  /// The mask at `address` as f32 in powers of two: one element, or a vector of neighbours, perhaps of the lanes `valid` only.
  Value maskValue(Value address, bool isVector = false, Value valid = {});
  /// `to` = the mask of the keys [firstKey, firstKey + count) from a row of it.
  void fillMask(Value row, Value firstKey, Value count, Value to);
  /// first, first + 1, ... as i32.
  Value laneNumbers(int32_t first);
  /// Scores in powers of two after the softcap.
  Value capScores(Value scores);
  /// `count` rows of K or V at `place` in scratch, as f32, padded to whole vectors.
  Value copyRows(Value rows, int64_t rowStride, int64_t place, Value count);
  /// 2^x of a vector on AVX-512: fraction by vreduceps, whose power of two is the polynomial `coefficients`, integer part by
  /// vscalefps, which floors. 0 below -126, where subnormal results would take 50 times as long. NaN stays.
  Value emitExp2(Value x, llvm::ArrayRef<float> coefficients);
  /// Replaces the vector of scores at `address` by exp2(scores - shift), all of them <= 0, and returns that.
  Value emitWeight(Value address, Value shift);
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
  int64_t group; ///< Query heads that share a key/value head.
  /// The block of queries at hand, the blockIndex-th of the tile: its part of the scratch, its head, and queries from
  /// firstQuery on.
  Value blockIndex, block, head, firstQuery, queryCount;
  /// The mean of all values, in the columns [column, column + valid), where `sum` says that no key was seen; else `value`.
  Value emptyRow(Value valueRows, Value sum, Value value, int64_t column, unsigned valid);

private:
  Value tilesPerHead();
  Value attends(Value address, bool isVector, Value valid = {});
};

/// Emits one attention kernel; see Attention.h for the algorithm. Attention.cpp has the frame
/// (grid, packing, output), AttentionScores.cpp what happens to a block of queries and one of keys.
class AttentionEmitter : AttentionParts {
public:
  AttentionEmitter(KernelBuilder &b, const Attention &a, const AttentionSchedule &s)
      : AttentionParts(b, a, s), copiesRows(copies(a)),
        layout(b.target(), s, a.headSize, copiesRows),
        width(attentionQueryBlock(b.target(), s)), rowBytes(width * 4) {}

  void emit();

private:
  /// Rows of keys or values that are not f32 one behind another are copied.
  static bool copies(const Attention &a);

  void emitDecode();
  void emitBlocks();
  void emitShare(Value batch, Value kvHead, Value number);
  void emitTile(Value batch, Value kvHead, Value firstBlock, Value blockCount);
  void packQueries();
  void clearOutput();
  void loadKeys(Value firstKey, Value count);
  void emitVisibleKeys(Value firstKey, Value count, std::pair<Value, Value> attended);
  void emitKeyBlock(Value firstKey, Value count);
  void emitAllScores(Value firstKey, Value count);
  void emitScoreTile(Value firstKey, Value row);
  void emitBorderTile(Value firstKey, Value row);
  void fillMaskTile(Value firstKey, Value count);
  void fillMaskSquares(Value row, Value count, unsigned vector);
  llvm::SmallVector<Value> startScores(unsigned rows, unsigned firstVector, unsigned endVector, bool border,
                                       Value firstRow, Value row, Value scores);
  void prefetchKeys(Value row);
  void emitScores(unsigned rows, unsigned firstVector, unsigned endVector, bool border, Value firstKey, Value row);
  void forUsedVectors(llvm::function_ref<void(unsigned)> body);
  Value initialScore(Value score, Value key, unsigned vector);
  void updateMaximum();
  void emitWeights(Value count);
  void emitWeights(Value count, unsigned firstVector, unsigned endVector);
  void emitOutput(Value firstKey, Value count);
  void emitOutputTile(unsigned rows, Value count, Value query, int64_t column, int64_t columns);
  void storeRows();

  /// Steps in one turn of the loop of a register tile.
  unsigned unrolled() const { return b.target().vectorRegisters >= 32 ? 4 : 1; }
  bool hasReach() const { return a.reachRight() || a.windowLeft; }
  bool sharesMask() const { return a.mask && a.mask->sameForAllQueries && a.mask->sameForAllHeads; }
  /// Position of query 0 among the keys.
  Value offsetOfQueries() { return b.sub(a.keys, a.queries); }

  Value ofBlock(int64_t offset) { return b.at(block, offset); }
  Value lanesAt(Value memory, unsigned vector) {
    return b.loadVector(b.at(memory, vector * vectorBytes), vectorBytes);
  }
  void setLanes(Value value, Value memory, unsigned vector) {
    b.store(value, b.at(memory, vector * vectorBytes), vectorBytes);
  }

  bool copiesRows;
  AttentionScratch layout;
  int64_t width, rowBytes;

  // The tile at hand.
  Value batch, keyRows, valueRows;

  // The block of keys at hand: rows of f32, and their mask where it is the same for all queries.
  Value keyBlock, valueBlock, maskRow;
  int64_t keyStride = 0, valueStride = 0;
  /// The rows of the next block, and how many of them each tile of scores fetches.
  Value nextKeys, nextValues, fetchedRows;
};

} // namespace permalloy::codegen

#endif // PERMALLOY_LIB_CODEGEN_CPU_ATTENTIONEMITTER_H
