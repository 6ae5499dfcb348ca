//===- AttentionTf32.cpp - the products of attention in tf32 ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// f32 in shared memory, rounded on the way to mma.m16n8k8. Scores are as those of halves: a word is an element. The second product
// differs, since ldmatrix transposes 16 bits only and a lane has weights of the keys 2 t and 2 t + 1, where operand A wants t and t + 4.
//
//   keys      A sum may be taken in any order: step t of eight keys is key 2 t, step t + 4 is key 2 t + 1. So weights stay where they are.
//   columns   In each 32 columns the j-th of four products takes columns 4 q + j (as in TensorProduct.h): the 16-byte chunk g of a row of
//             values has this lane's word for all four, and a lane has the columns 8 t .. 8 t + 7 of its rows.
//
// NO BANK CONFLICTS. Lanes 4 g + t read chunk g of row 2 t (and of row 2 t + 1), which stands at g ^ 2 t: eight lanes that are served at
// once have two g and all t, so eight places.
//
//===----------------------------------------------------------------------===//
#include "AttentionTensor.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;

/// Columns that four products share, keys of a product, and columns of a lane in a group.
static constexpr int64_t kGroup = 32, kStepKeys = 8, kInGroup = 8;

namespace {

class Tf32Attention final : public TensorAttention {
public:
  Tf32Attention(GpuBuilder &b, const AttentionShape &shape, int64_t warpRows, int64_t tileKeys, bool keepsQueries);

  Values addValues(Values outputs, ArrayRef<Value> weights, Value tile) override;
  void store(Element element, ArrayRef<Value> outputs, Value to, Value exists) override;

private:
  Values operands(Values words) override;
  Values loadFour(Value from);
  void storeFour(Element element, ArrayRef<Value> four, Value to);

  int64_t groups() const { return shape.paddedSize() / kGroup; }
};

} // namespace

Tf32Attention::Tf32Attention(GpuBuilder &b, const AttentionShape &shape, int64_t warpRows, int64_t tileKeys, bool keepsQueries)
    : TensorAttention(b, shape, OperandType::tf32, warpRows, tileKeys, keepsQueries) {
  column = b.mul(b.rem(lane(), 4), kInGroup);
  columns.clear();
  for (int64_t group = 0; group < groups(); ++group)
    for (int64_t i = 0; i < kInGroup; ++i)
      columns.push_back(group * kGroup + i);
}

AttentionProduct::Values Tf32Attention::operands(Values words) {
  for (Value &word : words)
    word = warp.roundTf32(word);
  return words;
}

AttentionProduct::Values Tf32Attention::loadFour(Value from) {
  Value four = b.load(VectorType::get(4, b.getI32Type()), from, kChunkBytes);
  Values words;
  for (int64_t i = 0; i < 4; ++i)
    words.push_back(vector::ExtractOp::create(b, four, i));
  return operands(words);
}

AttentionProduct::Values Tf32Attention::addValues(Values outputs, ArrayRef<Value> weights, Value tile) {
  Value even = b.mul(b.rem(lane(), 4), 2), odd = b.add(even, 1), chunk = b.div(lane(), 4);
  auto placeOf = [&](Value key) {
    return b.at(tile, b.add(b.mul(key, shape.rowBytes()), b.mul(swizzledChunk(b, chunks(), key, chunk), kChunkBytes)));
  };
  Value evenFrom = placeOf(even), oddFrom = placeOf(odd);
  int64_t width = columns.size(), across = keys.size();
  for (int64_t step = 0; step < across / 2; ++step) {
    Values left; // of each 16 rows: (g, key 2 t), (g + 8, 2 t), (g, 2 t + 1), (g + 8, 2 t + 1)
    for (int64_t rowTile = 0; rowTile < rowTiles; ++rowTile)
      for (int64_t word = 0; word < 4; ++word)
        left.push_back(weights[(2 * rowTile + word % 2) * across + 2 * step + word / 2]);
    left = operands(left);
    for (int64_t group = 0; group < groups(); ++group) {
      int64_t offset = step * kStepKeys * shape.rowBytes() + group * kGroup * 4;
      Values low = loadFour(b.at(evenFrom, offset)), high = loadFour(b.at(oddFrom, offset));
      for (int64_t of = 0; of < 4; ++of)
        for (int64_t rowTile = 0; rowTile < rowTiles; ++rowTile) {
          Value *first = &outputs[2 * rowTile * width + group * kInGroup + of];
          Value pairs[2][2] = {{first[0], first[4]}, {first[width], first[width + 4]}};
          multiply(ArrayRef(left).slice(4 * rowTile, 4), {low[of], high[of]}, pairs[0], pairs[1]);
          first[0] = pairs[0][0], first[4] = pairs[0][1], first[width] = pairs[1][0], first[width + 4] = pairs[1][1];
        }
    }
  }
  return outputs;
}

void Tf32Attention::storeFour(Element element, ArrayRef<Value> four, Value to) {
  if (element.stored.isF32())
    return b.store(vector::FromElementsOp::create(b, VectorType::get(4, b.getF32Type()), four), to, 16);
  auto halves = element.stored.isF16() ? OperandType::f16 : OperandType::bf16;
  Value words[2] = {warp.packHalves(halves, four[0], four[1]), warp.packHalves(halves, four[2], four[3])};
  b.store(vector::FromElementsOp::create(b, VectorType::get(2, b.getI32Type()), words), to, 8);
}

void Tf32Attention::store(Element element, ArrayRef<Value> outputs, Value to, Value exists) {
  for (size_t i = 0; i < columns.size(); i += 4) {
    Value first = b.add(column, columns[i]), inside = exists;
    if (shape.headSize % kGroup)
      inside = arith::AndIOp::create(b, exists, b.less(first, b.i64(shape.headSize)));
    b.ifThen(inside, [&] { storeFour(element, outputs.slice(i, 4), b.at(to, b.mul(first, element.bytes()))); });
  }
}

std::unique_ptr<AttentionProduct> codegen::tf32Attention(GpuBuilder &b, const AttentionShape &shape, int64_t rows, int64_t keys, bool keepsQueries) {
  return std::make_unique<Tf32Attention>(b, shape, rows, keys, keepsQueries);
}
