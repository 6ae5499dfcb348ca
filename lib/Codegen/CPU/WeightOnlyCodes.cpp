//===- WeightOnlyCodes.cpp - packed codes as f32 in registers ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "WeightOnlyCodes.h"
#include "Tfm/Panels.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

#include <cmath>

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;

static constexpr int64_t kRowBytes = 64, kColumns = tfm::kPanelColumns;

CodeLayout::CodeLayout(const CodeFormat &format, int64_t k)
    : steps(32 / format.storedBits), rows(llvm::divideCeil(k, steps)), bytes(rows * kRowBytes),
      groups(llvm::divideCeil(k, format.group)), groupRows(std::min(rows, format.group / steps)),
      lastRows(rows - (groups - 1) * groupRows),
      scaleRowBytes(kColumns * Element::of(format.scales).bytes()), scaleBytes(groups * scaleRowBytes) {}

/// The value of code `bits` without a codebook.
static float plainValue(const CodeFormat &format, unsigned bits) {
  return format.isSigned && bits >= 8 ? float(bits) - 16 : float(bits);
}

/// Codes of 4 bits are looked up on AVX-512, where vpermps reads the lowest 4 bits of a lane and no others: shift and look-up
/// are all. On AVX2 a table takes two look-ups, so there only codebooks are tables.
CodeReader::CodeReader(KernelBuilder &b, const CodedWeight &weight) : b(b), format(weight.format) {
  unsigned lanes = b.target().lanes();
  if (!weight.table.empty()) {
    for (size_t first = 0; first < weight.table.size(); first += lanes)
      addTable(ArrayRef(weight.table).drop_front(first).take_front(lanes));
    return;
  }
  if (weight.codebook) {
    for (unsigned first = 0; first < (1u << format.bits); first += lanes)
      table.push_back(b.loadLanes(b.at(weight.codebook, first * 4), std::min(lanes, (1u << format.bits) - first)));
    return;
  }
  if (format.storedBits != 4 || !b.target().isAvx512())
    return;
  SmallVector<float> values;
  for (unsigned code = 0; code < 16; ++code)
    values.push_back(plainValue(format, code));
  addTable(values);
}

void CodeReader::addTable(ArrayRef<float> values) {
  SmallVector<float> all(values);
  all.resize(b.target().lanes());
  table.push_back(arith::ConstantOp::create(b, DenseElementsAttr::get(b.vectorType(), ArrayRef(all))));
}

Value CodeReader::integer(int32_t value) {
  return arith::ConstantOp::create(b, DenseElementsAttr::get(b.intVectorType(), value));
}

Value CodeReader::load(Value pointer) { return b.load(b.intVectorType(), pointer, b.target().lanes() * 4); }

Value CodeReader::scales(Value pointer) {
  return ElementOps(b).loadLanes(Element::of(format.scales), pointer, b.target().lanes());
}

/// The entry that the lowest bits of each lane name; the others do not count.
Value CodeReader::fromTable(Value index) {
  auto look = [&](Value part) {
    StringRef name = b.target().isAvx512() ? "llvm.x86.avx512.permvar.sf.512" : "llvm.x86.avx2.permps";
    return LLVM::CallIntrinsicOp::create(b, b.vectorType(), b.getStringAttr(name), ValueRange{part, index}).getResult(0);
  };
  if (table.size() == 1)
    return look(table[0]);
  Value isUpper = arith::CmpIOp::create(b, arith::CmpIPredicate::slt, arith::ShLIOp::create(b, index, integer(28)), integer(0));
  return arith::SelectOp::create(b, isUpper, look(table[1]), look(table[0]));
}

Value CodeReader::value(Value dwords, int64_t step) {
  int32_t first = firstBit(step), above = 32 - format.storedBits - first;
  auto shifted = [&](Value x, int32_t left, int32_t right, bool isSigned) -> Value {
    if (left)
      x = arith::ShLIOp::create(b, x, integer(left));
    if (!right)
      return x;
    return isSigned ? arith::ShRSIOp::create(b, x, integer(right)).getResult()
                    : arith::ShRUIOp::create(b, x, integer(right)).getResult();
  };
  if (!table.empty())
    return fromTable(shifted(dwords, 0, first, false));
  Value code;
  if (format.isSigned || above == 0)
    code = shifted(dwords, above, 32 - format.storedBits, format.isSigned);
  else
    code = arith::AndIOp::create(b, shifted(dwords, 0, first, false), integer((1 << format.storedBits) - 1));
  return arith::SIToFPOp::create(b, b.vectorType(), code);
}

//===----------------------------------------------------------------------===//
// In place
//===----------------------------------------------------------------------===//

bool CodeReader::takesInPlace() const {
  return !b.target().isAvx512() && format.storedBits == 4 && !format.hasCodebook;
}

/// The last code would be a sign: it is shifted down.
static constexpr int64_t kSignStep = 7;

SmallVector<float> CodeReader::placeFactors() const {
  SmallVector<float> factors;
  for (int64_t step = 0; step < 32 / format.storedBits; ++step)
    factors.push_back(step == kSignStep ? 1.0f : std::ldexp(1.0f, -firstBit(step)));
  return factors;
}

Value CodeReader::loadInPlace(Value pointer) {
  Value dwords = load(pointer);
  return format.isSigned ? arith::XOrIOp::create(b, dwords, integer(int32_t(0x88888888))).getResult() : dwords;
}

Value CodeReader::valueInPlace(Value dwords, int64_t step) {
  Value code = step == kSignStep ? arith::ShRUIOp::create(b, dwords, integer(28)).getResult()
                                 : arith::AndIOp::create(b, dwords, integer(15 << firstBit(step))).getResult();
  return arith::SIToFPOp::create(b, b.vectorType(), code);
}
