//===- AttentionTensor.cpp - the products of attention on tensor cores -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "AttentionTensor.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;

/// Bytes along K of one mma.
static constexpr int64_t kStepBytes = 32;

AttentionProduct::~AttentionProduct() = default;

Value AttentionProduct::bitXor(Value x, Value y) { return b.createOrFold<arith::XOrIOp>(x, y); }
Value AttentionProduct::lane() { return b.rem(b.threadInBlock(), 32); }

Value codegen::swizzledChunk(KernelBuilder &b, int64_t chunks, Value row, Value chunk) {
  int64_t zone = std::min<int64_t>(8, chunks & -chunks);
  Value turn = b.rem(b.div(row, 8 / zone), zone);
  return b.createOrFold<arith::XOrIOp>(chunk, turn);
}

TensorAttention::TensorAttention(GpuBuilder &b, const AttentionShape &shape, OperandType type, int64_t warpRows, int64_t tileKeys,
                                 bool keepsQueries)
    : AttentionProduct(b, shape), type(type), rowTiles(warpRows / 16), keyPairs(tileKeys / 16), keepsQueries(keepsQueries) {
  row = b.div(lane(), 4);
  key = column = b.mul(b.rem(lane(), 4), 2);
  for (int64_t i = 0; i < warpRows; i += 8)
    rows.push_back(i);
  for (int64_t i = 0; i < tileKeys; i += 8)
    keys.append({i, i + 1});
  for (int64_t i = 0; i < shape.paddedSize(); i += 8)
    columns.append({i, i + 1});
  partners = {1, 2};
}

int64_t TensorAttention::steps() const { return llvm::divideCeil(shape.headSize * shape.elementBytes(), kStepBytes); }

void TensorAttention::multiply(ArrayRef<Value> left, ArrayRef<Value> right, Value *low, Value *high) {
  Values sums = warp.multiply(type, left, right, {low[0], low[1], high[0], high[1]});
  low[0] = sums[0], low[1] = sums[1], high[0] = sums[2], high[1] = sums[3];
}

TensorAttention::Place TensorAttention::placeOf(Value shared, Value row, Value half) {
  return {b.at(shared, b.mul(row, shape.rowBytes())), b.mul(swizzledChunk(b, chunks(), row, half), kChunkBytes)};
}

/// Of a step, and of the row that many later, a multiple of 8: rows and the upper bits of the step are added, the lower ones meet the
/// swizzle.
Value TensorAttention::at(const Place &place, int64_t step, int64_t row) {
  int64_t zone = std::min<int64_t>(8, chunks() & -chunks()) * kChunkBytes, offset = step * kStepBytes;
  Value chunk = bitXor(place.chunk, b.i64(offset % zone));
  return b.at(b.at(place.row, chunk), offset / zone * zone + row * shape.rowBytes());
}

void TensorAttention::takeQueries(Value shared, Value firstRow) {
  queries = placeOf(shared, b.add(firstRow, b.rem(lane(), 16)), b.div(lane(), 16));
  for (int64_t step = 0; keepsQueries && step < steps(); ++step)
    kept.push_back(loadQueries(step));
}

/// Four words for each 16 rows.
AttentionProduct::Values TensorAttention::loadQueries(int64_t step) {
  Values words;
  for (int64_t tile = 0; tile < rowTiles; ++tile)
    llvm::append_range(words, warp.loadMatrix(at(queries, step, tile * 16)));
  return operands(words);
}

/// One ldmatrix gives B of 16 keys: both halves of K of the first 8, then of the others.
AttentionProduct::Values TensorAttention::scores(Value tile) {
  Value inTile = b.add(b.mul(b.div(lane(), 16), 8), b.rem(lane(), 8));
  Place place = placeOf(tile, inTile, b.rem(b.div(lane(), 8), 2));
  int64_t width = keys.size();
  Values result(rows.size() * width, b.f32(0));
  for (int64_t step = 0; step < steps(); ++step) {
    Values left = keepsQueries ? kept[step] : loadQueries(step);
    for (int64_t pair = 0; pair < keyPairs; ++pair) {
      Values right = operands(warp.loadMatrix(at(place, step, pair * 16)));
      for (int64_t part = 0; part < 2; ++part)
        for (int64_t rowTile = 0; rowTile < rowTiles; ++rowTile) {
          Value *low = &result[2 * rowTile * width + 4 * pair + 2 * part];
          multiply(ArrayRef(left).slice(4 * rowTile, 4), ArrayRef(right).slice(2 * part, 2), low, low + width);
        }
    }
  }
  return result;
}

AttentionProduct::Values TensorAttention::addValues(Values outputs, ArrayRef<Value> weights, Value tile) {
  Place place = placeOf(tile, b.rem(lane(), 16), b.div(lane(), 16));
  int64_t width = columns.size(), across = keys.size();
  for (int64_t pair = 0; pair < keyPairs; ++pair) {
    Values left; // the results of two mma over keys are A of one
    for (int64_t rowTile = 0; rowTile < rowTiles; ++rowTile)
      for (int64_t word = 0; word < 4; ++word) {
        int64_t first = (2 * rowTile + word % 2) * across + 4 * pair + word / 2 * 2;
        left.push_back(warp.packHalves(type, weights[first], weights[first + 1]));
      }
    for (int64_t step = 0; step < steps(); ++step) {
      Values right = warp.loadTransposed(at(place, step, pair * 16));
      for (int64_t part = 0; part < 2; ++part)
        for (int64_t rowTile = 0; rowTile < rowTiles; ++rowTile) {
          Value *low = &outputs[2 * rowTile * width + 4 * step + 2 * part];
          multiply(ArrayRef(left).slice(4 * rowTile, 4), ArrayRef(right).slice(2 * part, 2), low, low + width);
        }
    }
  }
  return outputs;
}

/// Lanes of a pair exchange words, so that each has 8 bytes of one of two neighbouring tiles of 8 columns, and a store covers 32 bytes of
/// each row.
void TensorAttention::store(Element element, ArrayRef<Value> outputs, Value to, Value exists) {
  int64_t tiles = shape.headSize / 8;
  Value isOdd = b.equal(b.rem(lane(), 2), b.i64(1));
  auto words = VectorType::get(2, b.getI32Type());
  auto halves = element.stored.isF16() ? OperandType::f16 : OperandType::bf16;
  for (int64_t tile = 0; tile < tiles; ++tile) {
    Value low = outputs[2 * tile], high = outputs[2 * tile + 1];
    Value own = b.at(to, b.mul(column, element.bytes()));
    if (element.stored.isF32()) {
      Value pair = vector::FromElementsOp::create(b, VectorType::get(2, b.getF32Type()), ValueRange{low, high});
      b.ifThen(exists, [&] { b.store(pair, b.at(own, tile * 8 * 4), 8); });
      continue;
    }
    Value word = warp.packHalves(halves, low, high);
    if (tile + 1 == tiles) {
      b.ifThen(exists, [&] { b.store(word, b.at(own, tile * 8 * 2), 4); });
      continue;
    }
    Value next = warp.packHalves(halves, outputs[2 * tile + 2], outputs[2 * tile + 3]);
    Value got = warp.shuffleXor(b.select(isOdd, word, next), 1);
    Value pair = vector::FromElementsOp::create(b, words, ValueRange{b.select(isOdd, got, word), b.select(isOdd, next, got)});
    // Lanes 0 and 2 have columns 0 and 4 of the first tile, lanes 1 and 3 those of the second.
    Value place = b.add(b.mul(b.div(b.rem(lane(), 4), 2), 8), b.select(isOdd, b.i64(16), b.i64(0)));
    b.ifThen(exists, [&] { b.store(pair, b.at(b.at(to, place), tile * 8 * 2), 8); });
    ++tile;
  }
}

std::unique_ptr<AttentionProduct> codegen::tensorAttention(GpuBuilder &b, const AttentionShape &shape, OperandType type, int64_t rows,
                                                           int64_t keys, bool keepsQueries) {
  if (type == OperandType::tf32)
    return tf32Attention(b, shape, rows, keys, keepsQueries);
  return std::make_unique<TensorAttention>(b, shape, type, rows, keys, keepsQueries);
}
