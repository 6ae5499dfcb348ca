//===- AttentionFma.cpp - the products of attention in f32 ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "AttentionProduct.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;

/// Elements of a chunk; lanes across and down a warp.
static constexpr int64_t kInChunk = 4, kAcross = 8, kDown = 4;

namespace {

class FmaAttention final : public AttentionProduct {
public:
  FmaAttention(GpuBuilder &b, const AttentionShape &shape, int64_t warpRows, int64_t tileKeys, Value weightRows);

  void takeQueries(Value shared, Value firstRow) override;
  Values scores(Value tile) override;
  Values addValues(Values outputs, ArrayRef<Value> weights, Value tile) override;
  void store(Element element, ArrayRef<Value> outputs, Value to, Value exists) override;

private:
  Values load(Value chunk);
  void addOuter(Values &sums, ArrayRef<Values> left, ArrayRef<Values> right, int64_t depth);

  int64_t chunks() const { return shape.rowBytes() / kChunkBytes; }
  /// Weights of 8 neighbouring rows lie in different banks.
  int64_t weightStride() const { return (tileKeys + 8) * 4; }

  int64_t tileKeys;
  Value weightRows;         ///< this lane's first
  Value queryRow, queryTurn; ///< its address, and what its chunks' numbers are turned by
};

} // namespace

FmaAttention::FmaAttention(GpuBuilder &b, const AttentionShape &shape, int64_t warpRows, int64_t tileKeys, Value weights)
    : AttentionProduct(b, shape), tileKeys(tileKeys) {
  row = b.div(lane(), kAcross), key = b.rem(lane(), kAcross), column = b.mul(key, kInChunk);
  for (int64_t i = 0; i < warpRows; i += kDown)
    rows.push_back(i);
  for (int64_t i = 0; i < tileKeys; i += kAcross)
    keys.push_back(i);
  for (int64_t i = 0; i < shape.paddedSize(); i += kAcross * kInChunk)
    columns.append({i, i + 1, i + 2, i + 3});
  partners = {1, 2, 4};
  weightRows = b.at(weights, b.mul(row, weightStride()));
}

void FmaAttention::takeQueries(Value shared, Value firstRow) {
  Value first = b.add(firstRow, row);
  queryRow = b.at(shared, b.mul(first, shape.rowBytes()));
  queryTurn = swizzledChunk(b, chunks(), first, b.i64(0));
}

AttentionProduct::Values FmaAttention::load(Value chunk) {
  Value loaded = b.load(VectorType::get(kInChunk, b.getF32Type()), chunk, kChunkBytes);
  Values result;
  for (int64_t i = 0; i < kInChunk; ++i)
    result.push_back(vector::ExtractOp::create(b, loaded, i));
  return result;
}

/// sums[i][j] += the dot product of left[i] and right[j].
void FmaAttention::addOuter(Values &sums, ArrayRef<Values> left, ArrayRef<Values> right, int64_t depth) {
  for (int64_t k = 0; k < depth; ++k)
    for (size_t i = 0; i < left.size(); ++i)
      for (size_t j = 0; j < right.size(); ++j)
        sums[i * right.size() + j] = b.fma(left[i][k], right[j][k], sums[i * right.size() + j]);
}

/// Rows of queries are 4 apart, so their turns differ in bit 2 at most; rows of keys are 8 apart.
AttentionProduct::Values FmaAttention::scores(Value tile) {
  Value keyRow = b.at(tile, b.mul(key, shape.rowBytes())), keyTurn = swizzledChunk(b, chunks(), key, b.i64(0));
  Values init(rows.size() * keys.size(), b.f32(0));
  return b.loop(b.i64(0), b.i64(shape.headSize / kInChunk), 1, init, [&](Value chunk, ValueRange carried) {
    Values sums(carried);
    SmallVector<Values> left, right;
    auto offset = [&](Value turn) { return b.mul(bitXor(chunk, turn), kChunkBytes); };
    Value even = offset(queryTurn), odd = offset(bitXor(queryTurn, b.i64(kDown)));
    for (auto [index, first] : llvm::enumerate(rows))
      left.push_back(load(b.at(b.at(queryRow, index % 2 ? odd : even), first * shape.rowBytes())));
    for (int64_t first : keys)
      right.push_back(load(b.at(b.at(keyRow, offset(keyTurn)), first * shape.rowBytes())));
    addOuter(sums, left, right, kInChunk);
    return sums;
  });
}

/// Eight keys a turn, the period of the swizzle.
AttentionProduct::Values FmaAttention::addValues(Values outputs, ArrayRef<Value> weights, Value tile) {
  for (size_t i = 0; i < rows.size(); ++i)
    for (size_t j = 0; j < keys.size(); ++j)
      b.store(weights[i * keys.size() + j],
              b.at(b.at(weightRows, b.mul(key, 4)), rows[i] * weightStride() + keys[j] * 4));
  warp.barrierOfWarp();
  Values sums = b.loop(b.i64(0), b.i64(tileKeys), 8, outputs, [&](Value first, ValueRange carried) {
    Values result(carried);
    Value from = b.at(tile, b.mul(first, shape.rowBytes())), weightsAt = b.at(weightRows, b.mul(first, 4));
    for (int64_t half = 0; half < 8; half += kInChunk) {
      SmallVector<Values> left;
      for (int64_t row : rows)
        left.push_back(load(b.at(weightsAt, row * weightStride() + half * 4)));
      for (int64_t k = 0; k < kInChunk; ++k) {
        int64_t inPeriod = half + k;
        Value chunk = b.at(from, b.mul(swizzledChunk(b, chunks(), b.i64(inPeriod), key), kChunkBytes));
        for (size_t part = 0; part < columns.size() / kInChunk; ++part) {
          Values right = load(b.at(chunk, inPeriod * shape.rowBytes() + int64_t(part) * kAcross * kChunkBytes));
          for (size_t i = 0; i < rows.size(); ++i)
            for (int64_t e = 0; e < kInChunk; ++e) {
              Value &sum = result[i * columns.size() + part * kInChunk + e];
              sum = b.fma(left[i][k], right[e], sum);
            }
        }
      }
    }
    return result;
  });
  warp.barrierOfWarp(); // before the next weights
  return sums;
}

void FmaAttention::store(Element element, ArrayRef<Value> outputs, Value to, Value exists) {
  for (size_t part = 0; part < columns.size(); part += kInChunk) {
    Value first = b.add(column, columns[part]), pointer = b.at(to, b.mul(first, element.bytes()));
    Value inside = exists;
    if (shape.headSize % (kAcross * kInChunk))
      inside = arith::AndIOp::create(b, exists, b.less(first, b.i64(shape.headSize)));
    ArrayRef<Value> four = outputs.slice(part, kInChunk);
    b.ifThen(inside, [&] {
      if (element.stored.isF32())
        return b.store(vector::FromElementsOp::create(b, VectorType::get(kInChunk, b.getF32Type()), four), pointer, kChunkBytes);
      for (int64_t i = 0; i < kInChunk; ++i)
        ElementOps(b).store(element, four[i], b.at(pointer, i * element.bytes()));
    });
  }
}

std::unique_ptr<AttentionProduct> codegen::fmaAttention(GpuBuilder &b, const AttentionShape &shape, int64_t rows, int64_t keys,
                                                        Value weights) {
  return std::make_unique<FmaAttention>(b, shape, rows, keys, weights);
}
