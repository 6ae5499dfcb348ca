//===- ProductWeight.cpp - weights of products without tensor cores -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "ProductWeight.h"
#include "../CPU/ElementOps.h"
#include "Tfm/Panels.h"
#include "permalloy/Codegen/GPU/WarpBuilder.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <numeric>

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::kPanelColumns;

bool ProductWeight::isHalfRow() const {
  return element && element.isF16() && tfm::panelPairing(element) == 1;
}

int64_t ProductWeight::stepsOfRow() const {
  return coded ? 32 / coded->format.storedBits : tfm::panelPairing(element);
}

int64_t ProductWeight::depth() const {
  return sparse ? sparse->kept : llvm::divideCeil(k, stepsOfRow());
}

int64_t ProductWeight::panelCount() const { return llvm::divideCeil(n, kPanelColumns); }

int64_t ProductWeight::groups() const { return llvm::divideCeil(k, coded->format.group); }

int64_t ProductWeight::rowsOfGroup() const {
  return groups() == 1 ? depth() : coded->format.group / stepsOfRow();
}

//===----------------------------------------------------------------------===//
// Loads
//===----------------------------------------------------------------------===//

Value codegen::loadConstant(KernelBuilder &b, Type type, Value pointer, unsigned alignment) {
  return LLVM::LoadOp::create(b, type, pointer, alignment, /*isVolatile=*/false,
                              /*isNonTemporal=*/false, /*isInvariant=*/true);
}

static Value word(KernelBuilder &b, int64_t bits) {
  return arith::ConstantOp::create(b, b.getI32IntegerAttr(int32_t(bits)));
}

static Value asFloat(KernelBuilder &b, Value bits) {
  return arith::BitcastOp::create(b, b.getF32Type(), bits);
}

/// f32 of 16 bits.
static Value widenHalf(KernelBuilder &b, Type element, Value bits) {
  if (element.isF16()) {
    Value half = arith::BitcastOp::create(b, b.getF16Type(), bits);
    return arith::ExtFOp::create(b, b.getF32Type(), half);
  }
  Value wide = arith::ExtUIOp::create(b, b.getI32Type(), bits);
  return asFloat(b, arith::ShLIOp::create(b, wide, word(b, 16)));
}

std::pair<Value, Value> codegen::widenHalves(KernelBuilder &b, Type element, Value bits) {
  if (element.isBF16())
    return {asFloat(b, arith::ShLIOp::create(b, bits, word(b, 16))),
            asFloat(b, arith::AndIOp::create(b, bits, word(b, int32_t(0xffff0000))))};
  Value low = arith::TruncIOp::create(b, b.getI16Type(), bits);
  Value high = arith::TruncIOp::create(b, b.getI16Type(),
                                       arith::ShRUIOp::create(b, bits, word(b, 16)));
  return {widenHalf(b, element, low), widenHalf(b, element, high)};
}

static SmallVector<Value> parts(KernelBuilder &b, Value vector) {
  SmallVector<Value> result;
  for (int64_t i = 0; i < cast<VectorType>(vector.getType()).getNumElements(); ++i)
    result.push_back(vector::ExtractOp::create(b, vector, i));
  return result;
}

SmallVector<Value> codegen::loadFloats(KernelBuilder &b, Type element, Value pointer, int64_t count,
                                       int64_t alignment) {
  int64_t bytes = Element::of(element).bytes();
  auto part = [&](Type type, int64_t offset, int64_t size) {
    return b.load(type, b.at(pointer, offset), std::min(alignment, size));
  };
  SmallVector<Value> result;
  if (bytes == 4) {
    if (count < 4) {
      for (int64_t i = 0; i < count; ++i)
        result.push_back(part(element, i * 4, 4));
      return result;
    }
    for (int64_t i = 0; i < count; i += 4)
      llvm::append_range(result, parts(b, part(VectorType::get(4, element), i * 4, 16)));
    return result;
  }
  if (count == 1)
    return {widenHalf(b, element, part(b.getI16Type(), 0, 2))};
  SmallVector<Value> words;
  if (count == 2) {
    words = {part(b.getI32Type(), 0, 4)};
  } else if (count == 4) {
    Value both = part(b.getI64Type(), 0, 8);
    Value high = arith::ShRUIOp::create(b, both, b.i64(32));
    words = {arith::TruncIOp::create(b, b.getI32Type(), both),
             arith::TruncIOp::create(b, b.getI32Type(), high)};
  } else {
    words = parts(b, part(VectorType::get(4, b.getI32Type()), 0, 16));
  }
  for (Value each : words) {
    auto [low, high] = widenHalves(b, element, each);
    result.append({low, high});
  }
  return result;
}

Value codegen::loadBytes(KernelBuilder &b, Value row, Value first, int64_t k, bool isInside) {
  Type i32 = b.getI32Type();
  auto whole = [&](Value at) { return b.load(i32, b.at(row, at), std::gcd<int64_t>(k, 4)); };
  if (isInside)
    return whole(first);
  Value none = word(b, 0);
  if (k % 4 == 0)
    return b.select(b.less(first, b.i64(k)), whole(b.min(first, b.i64(k - 4))), none);
  Value result = none;
  for (int64_t i = 0; i < 4; ++i) {
    Value at = b.add(first, i), byte = b.load(b.getI8Type(), b.at(row, b.min(at, b.i64(k - 1))), 1);
    Value wide = arith::ExtUIOp::create(b, i32, byte);
    wide = b.select(b.less(at, b.i64(k)), wide, none);
    result = arith::OrIOp::create(b, result, arith::ShLIOp::create(b, wide, word(b, 8 * i)));
  }
  return result;
}

//===----------------------------------------------------------------------===//
// Panels
//===----------------------------------------------------------------------===//

Value WeightReader::panel(Value number) {
  Value base = w.coded ? w.coded->codes : w.panels;
  int64_t bytes = w.depth() * w.rowStride();
  if (!w.isBlocks() || w.sparse->panels == 1)
    return b.at(base, b.mul(number, bytes));
  Value slab = b.div(number, w.sparse->panels), own = b.rem(number, w.sparse->panels);
  return b.at(base, b.add(b.mul(slab, bytes), b.mul(own, w.rowBytes())));
}

Value WeightReader::chunk(Value pointer) {
  return loadConstant(b, VectorType::get(4, b.getI32Type()), pointer, 16);
}

/// A code as f32 without a conversion, which the hardware does at a quarter of its rate: the bits go
/// where, with the right exponent, they count ones, and what the exponent added is subtracted.
Value WeightReader::bits(Value word_, int64_t first, int64_t width, bool isSigned) {
  constexpr int64_t kMantissa = 23;
  if (first + width > kMantissa)
    word_ = arith::ShRUIOp::create(b, word_, word(b, 16)), first -= 16;
  int64_t exponent = kMantissa - first, mask = ((int64_t(1) << width) - 1) << first;
  int64_t bias = isSigned ? int64_t(1) << (width - 1) : 0;
  int64_t frame = ((127 + exponent) << kMantissa) | bias << first;
  Value own = arith::AndIOp::create(b, word_, word(b, mask));
  Value number = asFloat(b, arith::XOrIOp::create(b, own, word(b, frame)));
  return arith::SubFOp::create(b, number, b.f32(float((int64_t(1) << exponent) + bias)));
}

Value WeightReader::fromCodebook(Value word_, int64_t first) {
  int64_t mask = (int64_t(1) << w.coded->format.bits) - 1;
  Value index = arith::AndIOp::create(
      b, first ? arith::ShRUIOp::create(b, word_, word(b, first)).getResult() : word_,
      word(b, mask));
  Value offset = b.mul(arith::ExtUIOp::create(b, b.getI64Type(), index), 4);
  return loadConstant(b, b.getF32Type(), b.at(w.coded->codebook, offset), 4);
}

SmallVector<Value> WeightReader::elements(Value chunk) {
  SmallVector<Value> words = parts(b, chunk), result;
  if (w.isIntegral())
    return words;
  if (w.coded) {
    const CodeFormat &format = w.coded->format;
    for (int64_t step = 0; step < w.stepsOfRow(); ++step) {
      int64_t first = format.storedBits == 8 ? 8 * step : step % 4 * 8 + step / 4 * 4;
      for (Value each : words)
        result.push_back(format.hasCodebook ? fromCodebook(each, first)
                                            : bits(each, first, format.storedBits, format.isSigned));
    }
    return result;
  }
  if (w.element.isF32())
    return llvm::map_to_vector(words, [&](Value each) { return asFloat(b, each); });
  SmallVector<Value> second;
  for (Value each : words) {
    auto [low, high] = widenHalves(b, w.element, each);
    result.push_back(low);
    (w.columnsOfChunk() == 8 ? result : second).push_back(high);
  }
  llvm::append_range(result, second);
  return result;
}

SmallVector<Value> WeightReader::decode(ArrayRef<Value> codes, ArrayRef<Value> scales,
                                        ArrayRef<Value> zeroPoints) {
  SmallVector<Value> result;
  for (auto [at, value] : llvm::enumerate(codes)) {
    size_t column = at % w.columnsOfChunk();
    Value own = zeroPoints.empty() ? value : arith::SubFOp::create(b, value, zeroPoints[column]);
    result.push_back(b.mulf(own, scales[column]));
  }
  if (!w.roundsCodes())
    return result;
  auto type = w.decoded.isF16() ? OperandType::f16 : OperandType::bf16;
  for (size_t at = 0; at < result.size(); at += 2) { // one conversion rounds two
    Value word = WarpBuilder(b).packHalves(type, result[at], result[at + 1]);
    std::tie(result[at], result[at + 1]) = widenHalves(b, w.decoded, word);
  }
  return result;
}

SmallVector<Value> WeightReader::scales(Value base, Value panelNumber, Value group, Value column) {
  Type type = w.coded->format.scales;
  int64_t bytes = Element::of(type).bytes();
  Value row = b.add(b.mul(panelNumber, w.groups()), group);
  Value element = b.add(b.mul(row, kPanelColumns), column);
  Value pointer = b.at(base, b.mul(element, bytes));
  return loadFloats(b, type, pointer, 4, 16);
}

//===----------------------------------------------------------------------===//
// Kept rows
//===----------------------------------------------------------------------===//

Value WeightReader::denseRow(Value panelNumber, Value row) {
  Value slab = b.div(panelNumber, w.sparse->panels);
  Value index = b.add(b.mul(slab, w.sparse->kept), row);
  Value number = loadConstant(b, b.getI32Type(), b.at(w.sparse->numbers, b.mul(index, 4)), 4);
  return arith::ExtUIOp::create(b, b.getI64Type(), number);
}

SmallVector<Value> WeightReader::quadSteps(Value panelNumber, Value row, Value column) {
  constexpr int64_t kRowsOfWord = 16;
  int64_t words = llvm::divideCeil(w.sparse->kept, kRowsOfWord);
  Value line = b.add(b.mul(panelNumber, words), b.div(row, kRowsOfWord));
  Value element = b.add(b.mul(line, kPanelColumns), column);
  Value pointer = b.at(w.sparse->numbers, b.mul(element, 4));
  Value shift = arith::TruncIOp::create(b, b.getI32Type(), b.mul(b.rem(row, kRowsOfWord), 2));
  SmallVector<Value> result;
  for (Value each : parts(b, loadConstant(b, VectorType::get(4, b.getI32Type()), pointer, 16)))
    result.push_back(arith::ShRUIOp::create(b, each, shift));
  return result;
}
