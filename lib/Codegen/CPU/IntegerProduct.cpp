//===- IntegerProduct.cpp - products of 8-bit integers in vectors -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "IntegerProduct.h"

#include "llvm/Support/MathExtras.h"

using namespace permalloy::codegen;
using namespace mlir;

static constexpr int64_t kLineBytes = 64;

int64_t permalloy::codegen::integerOddBytes(int64_t k) { return llvm::alignTo(std::max<int64_t>(k, 1), kLineBytes); }

/// An odd number of lines, so that the rows of a tile do not meet in one set of the first cache.
int64_t permalloy::codegen::integerRowBytes(int64_t k) { return (2 * integerOddBytes(k) / kLineBytes | 1) * kLineBytes; }

Value IntegerProduct::words(int32_t bits) {
  return arith::ConstantOp::create(b, DenseElementsAttr::get(b.intVectorType(), bits));
}

Value IntegerProduct::widened(Value bytes, bool odd, bool isSigned) {
  auto type = VectorType::get(2 * b.target().lanes(), b.getI16Type());
  Value x = LLVM::BitcastOp::create(b, type, bytes);
  auto constant = [&](int16_t value) { return arith::ConstantOp::create(b, DenseElementsAttr::get(type, value)); };
  if (isSigned) {
    x = odd ? x : arith::ShLIOp::create(b, x, constant(8)).getResult();
    x = arith::ShRSIOp::create(b, x, constant(8));
  } else {
    x = odd ? arith::ShRUIOp::create(b, x, constant(8)).getResult() : arith::AndIOp::create(b, x, constant(0xff)).getResult();
  }
  return LLVM::BitcastOp::create(b, b.intVectorType(), x);
}

void IntegerProduct::packRow(Value from, Value to) {
  int64_t vectorBytes = b.target().lanes() * 4, whole = k / vectorBytes * vectorBytes, odd = integerOddBytes(k);
  b.loop(b.i64(0), b.i64(whole), vectorBytes, [&](Value offset) {
    Value bytes = b.load(b.intVectorType(), b.at(from, offset), 1);
    if (usesDot) {
      b.store(flips() ? arith::XOrIOp::create(b, bytes, words(int32_t(0x80808080))).getResult() : bytes, b.at(to, offset), vectorBytes);
      return;
    }
    b.store(widened(bytes, false, signedRows), b.at(to, offset), vectorBytes);
    b.store(widened(bytes, true, signedRows), b.at(b.at(to, odd), offset), vectorBytes);
  });
  // The rest one by one. What stands behind it meets zeros of W.
  b.loop(b.i64(whole), b.i64(k), 1, [&](Value step) {
    Value byte = b.load(b.getI8Type(), b.at(from, step), 1);
    if (usesDot) {
      Value sign = arith::ConstantOp::create(b, b.getI8IntegerAttr(int8_t(0x80)));
      b.store(flips() ? arith::XOrIOp::create(b, byte, sign).getResult() : byte, b.at(to, step), 1);
      return;
    }
    Value word = signedRows ? arith::ExtSIOp::create(b, b.getI16Type(), byte).getResult()
                            : arith::ExtUIOp::create(b, b.getI16Type(), byte).getResult();
    Value within = b.rem(step, 4), place = b.add(b.mul(b.div(step, 4), 4), b.mul(b.div(within, 2), 2));
    b.store(word, b.at(b.at(to, place), b.mul(b.rem(within, 2), odd)), 2);
  });
}

Value IntegerProduct::stored(Value rows) {
  if (!flips())
    return rows;
  Value bytes = LLVM::BitcastOp::create(b, b.intVectorType(), rows);
  return LLVM::BitcastOp::create(b, rows.getType(), arith::XOrIOp::create(b, bytes, words(int32_t(0x80808080))));
}

Value IntegerProduct::dot(Value acc, Value a, Value w) {
  auto bytes = VectorType::get(4 * b.target().lanes(), b.getI8Type());
  Value first = LLVM::BitcastOp::create(b, bytes, signedWeights ? a : w);
  Value second = LLVM::BitcastOp::create(b, bytes, signedWeights ? w : a);
  auto name = b.getStringAttr(b.target().isAvx512() ? "llvm.x86.avx512.vpdpbusd.512" : "llvm.x86.avx512.vpdpbusd.256");
  return LLVM::CallIntrinsicOp::create(b, b.intVectorType(), name, ValueRange{acc, first, second}).getResult(0);
}

Value IntegerProduct::multiplyAdd(Value acc, Value a, Value w) {
  auto pairs = VectorType::get(2 * b.target().lanes(), b.getI16Type());
  SmallVector<Value> factors = {LLVM::BitcastOp::create(b, pairs, a), LLVM::BitcastOp::create(b, pairs, w)};
  auto name = b.getStringAttr(b.target().isAvx512() ? "llvm.x86.avx512.pmaddw.d.512" : "llvm.x86.avx2.pmadd.wd");
  Value sum = LLVM::CallIntrinsicOp::create(b, b.intVectorType(), name, factors).getResult(0);
  return arith::AddIOp::create(b, acc, sum);
}

Value IntegerProduct::initial(Value panel, int64_t rows) {
  if (!usesDot || !flips())
    return words(0);
  Value sum = b.loop(b.i64(0), b.i64(rows), 1, {words(0)}, [&](Value row, ValueRange so) {
    Value w = b.load(b.intVectorType(), b.at(panel, b.mul(row, kLineBytes)), 4);
    return SmallVector<Value>{dot(so[0], words(0x01010101), w)};
  })[0];
  return lackingOf(sum);
}

/// What products with flipped signs lack, of the sum of a column.
Value IntegerProduct::lackingOf(Value sum) {
  sum = arith::ShLIOp::create(b, sum, words(7));
  return signedWeights ? arith::SubIOp::create(b, words(0), sum).getResult() : sum;
}

SmallVector<Value> IntegerProduct::withSums(unsigned rows, ValueRange accumulators) {
  unsigned vectors = accumulators.size() / (rows + 1);
  SmallVector<Value> result;
  for (unsigned i = 0; i < rows * vectors; ++i) {
    Value sums = LLVM::BitcastOp::create(b, b.intVectorType(), accumulators[rows * vectors + i % vectors]);
    Value products = LLVM::BitcastOp::create(b, b.intVectorType(), accumulators[i]);
    Value sum = arith::AddIOp::create(b, products, lackingOf(sums));
    result.push_back(LLVM::BitcastOp::create(b, accumulators[i].getType(), sum));
  }
  return result;
}

SmallVector<Value> IntegerProduct::step(unsigned rows, int64_t aRowStride, Value aStep, ValueRange bs, ValueRange accumulators) {
  SmallVector<Value> result(accumulators);
  for (bool odd : {false, true}) {
    if (odd && usesDot)
      break;
    SmallVector<Value> factors(bs);
    if (!usesDot)
      factors = llvm::map_to_vector(bs, [&](Value bytes) { return widened(bytes, odd, signedWeights); });
    for (unsigned row = 0; row < rows; ++row) {
      Value scalar = b.load(b.getI32Type(), b.at(aStep, row * aRowStride + (odd ? integerOddBytes(k) : 0)), 4);
      Value a = vector::BroadcastOp::create(b, b.intVectorType(), scalar);
      for (auto [v, factor] : llvm::enumerate(factors)) {
        Value &sum = result[row * bs.size() + v];
        sum = usesDot ? dot(sum, a, factor) : multiplyAdd(sum, a, factor);
      }
    }
  }
  for (unsigned v = 0; sumsBeside && v < bs.size(); ++v)
    result[rows * bs.size() + v] = dot(result[rows * bs.size() + v], words(0x01010101), bs[v]);
  return result;
}
