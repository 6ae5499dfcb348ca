//===- ValueRotary.cpp - rotary position embedding at an index ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Feature d of a head becomes x[d] * cos + x[partner] * (+-sin). A vector takes neighbours along the head, all of one half:
//
//   halves         x[d ..] * cos[d ..] -+ x[d +- half ..] * sin[d ..]            four plain loads
//   interleaved    x * (cos twice each) + (x with pairs swapped) * (-+sin twice each)    shuffles within the register
//
//===----------------------------------------------------------------------===//
#include "ValueEmitter.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::BinaryKind;
using tfm::DimExprAttr;

namespace {

/// One question for a rotated element or vector.
class Rotation {
public:
  Rotation(ValueEmitter &values, tfm::RotaryOp op, const Site &site)
      : values(values), b(values.builder()), ops(values.elements()), op(op), x(values.toFull(site, values.dims(op.getInput()))),
        own(values.dims(op.getInput())), tables(values.dims(op.getCos())) {
    Element e = Element::of(op.getInput());
    sumType = e.isHalf() ? Element::of(b.getF32Type()) : e;
    packed = own.size() == 3;
    size = packed ? DimExprAttr::floorDiv(own[2], DimExprAttr::constant(op.getContext(), *op.getNumHeads())) : own[3];
    column = packed ? b.rem(x.indices[2], values.extent(size)) : x.indices[3];
    half = values.extent(tables[2]);
  }

  /// Vectors must lie within one half (or, interleaved, hold whole pairs) of one head.
  bool hasVectors() {
    auto width = size.asConstant(), pairs = tables[2].asConstant();
    int64_t lanes = b.target().lanes();
    return width && pairs && *width % lanes == 0 && (op.getInterleaved() ? 2 * *pairs : *pairs) % lanes == 0 &&
           x.lane == int(own.size()) - 1 && x.aligned && !x.mask;
  }

  Value emit() {
    if (DimExprAttr::mul(tables[2], DimExprAttr::constant(op.getContext(), 2)) == size)
      return turned();
    return values.choose(
        b.less(column, b.mul(half, 2)), [&] { return SmallVector<Value>{turned()}; },
        [&] { return SmallVector<Value>{values.vectorAt(op.getInput(), x)}; })[0];
  }

private:
  Value turned() { return !op.getInterleaved() ? turnedHalves() : x.isVector() ? turnedPairs() : turnedPair(); }

  /// x[column] cos + x[partner] sin, by halves.
  Value turnedHalves() {
    Value isFirst = b.less(column, half);
    Value step = b.select(isFirst, half, b.sub(b.i64(0), half));
    // On a GPU LLVM has to see that vectors of the tables are aligned, which it does not through the choice.
    Value pair = b.target().isGpuThread() ? b.rem(column, half) : b.select(isFirst, column, b.sub(column, half));
    Value sign = b.select(isFirst, ops.constant(sumType, -1.0), ops.constant(sumType, 1.0));
    return combine(inputAt(step), table(op.getCos(), pair), binary(BinaryKind::Mul, table(op.getSin(), pair), sign));
  }

  /// The same for one element of interleaved pairs.
  Value turnedPair() {
    Value isFirst = b.equal(b.rem(column, 2), b.i64(0)), pair = b.div(column, 2);
    Value sign = b.select(isFirst, ops.constant(sumType, -1.0), ops.constant(sumType, 1.0));
    Value step = b.select(isFirst, b.i64(1), b.i64(-1));
    return combine(inputAt(step), table(op.getCos(), pair), binary(BinaryKind::Mul, table(op.getSin(), pair), sign));
  }

  /// A vector of whole interleaved pairs.
  Value turnedPairs() {
    SmallVector<int64_t> swapped, twice;
    SmallVector<float> signs;
    for (int64_t i = 0, lanes = b.target().lanes(); i < lanes; ++i) {
      swapped.push_back(i ^ 1);
      twice.push_back(i / 2);
      signs.push_back(i % 2 ? 1.0f : -1.0f);
    }
    auto shuffle = [&](Value v, ArrayRef<int64_t> lanes) { return vector::ShuffleOp::create(b, v, v, lanes).getResult(); };
    Value pair = b.div(column, 2), own = values.vectorAt(op.getInput(), x);
    Value sign = arith::ConstantOp::create(b, DenseElementsAttr::get(b.vectorType(), ArrayRef<float>(signs)));
    Value sin = binary(BinaryKind::Mul, shuffle(table(op.getSin(), pair), twice), sign);
    return combine(shuffle(own, swapped), shuffle(table(op.getCos(), pair), twice), sin);
  }

  Value combine(Value partner, Value cos, Value sin) {
    Value straight = binary(BinaryKind::Mul, values.vectorAt(op.getInput(), x), cos);
    return ops.round(Element::of(op.getResult()), binary(BinaryKind::Add, straight, binary(BinaryKind::Mul, partner, sin)));
  }

  Value binary(BinaryKind kind, Value lhs, Value rhs) { return ops.binary(kind, sumType, lhs, rhs); }

  Value inputAt(Value step) {
    Site partner = x;
    partner.indices.back() = b.add(partner.indices.back(), step);
    return values.vectorAt(op.getInput(), partner);
  }

  /// Entry `pair` of a table at this position, or as many from there on as the vector has pairs.
  Value table(Value table, Value pair) {
    Value batch = x.indices[0];
    if (tables[0].isConstant(1))
      batch = b.i64(0);
    else if (tables[0] != own[0]) // 1 or the same, which the run tells
      batch = b.select(b.equal(values.extent(tables[0]), b.i64(1)), b.i64(0), batch);
    Site site = Site::full({batch, x.indices[packed ? 1 : 2], pair});
    if (!x.isVector())
      return values.at(table, site);
    site.lane = 2;
    site.aligned = !op.getInterleaved();
    if (op.getInterleaved())
      site.mask = firstHalf();
    return values.vectorAt(table, site);
  }

  /// There are half as many pairs as lanes, and none behind the last row.
  Value firstHalf() {
    SmallVector<bool> lanes(b.target().lanes());
    std::fill(lanes.begin(), lanes.begin() + lanes.size() / 2, true);
    return arith::ConstantOp::create(b, DenseElementsAttr::get(b.maskType(), ArrayRef<bool>(lanes)));
  }

  ValueEmitter &values;
  KernelBuilder &b;
  ElementOps &ops;
  tfm::RotaryOp op;
  Site x;
  tfm::Dims own, tables;
  Element sumType;
  bool packed;
  DimExprAttr size; // of a head
  Value column;     // within the head
  Value half;       // pairs of a head that turn
};

} // namespace

Value ValueEmitter::emit(tfm::RotaryOp op, const Site &site) {
  Rotation rotation(*this, op, site);
  if (site.isVector() && !rotation.hasVectors())
    return lose(op, site);
  return rotation.emit();
}
