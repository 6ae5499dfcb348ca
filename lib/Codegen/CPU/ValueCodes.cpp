//===- ValueCodes.cpp - weights of codes and scales at an index --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What reads few elements of a weight, a row of an embedding say, or takes any form of it. Products that read all of it are in
// WeightOnly.cpp.
//
//===----------------------------------------------------------------------===//
#include "Tfm/Panels.h"
#include "ValueEmitter.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::DimExprAttr;

namespace {
/// Reads codes of one weight as i32.
class CodeLoader {
public:
  CodeLoader(ValueEmitter &values, Value codes, const Site &full)
      : values(values), b(values.builder()), full(full), type(cast<tfm::QuantType>(getElementTypeOrSelf(codes.getType()))),
        base(values.kernelFrame().argument(codes)), dims(values.dims(codes)), rank(dims.size()), k(full.indices[rank - 2]),
        n(full.indices[rank - 1]), bits(tfm::panelBits(type)), steps(tfm::panelPairing(type)),
        rows(b.ceilDiv(values.extent(dims[rank - 2]), steps)) {
    panels = b.ceilDiv(values.extent(dims[rank - 1]), tfm::kPanelColumns);
  }

  /// One code in a byte each.
  Value plain() { return widen(b.load(b.getI8Type(), b.at(base, values.linearize(full.indices, dims)), 1), b.i64(0), 8); }
  Value packed() {
    Value dword = b.load(b.getI32Type(), dwordAt(b.div(k, steps)), 4);
    return widen(dword, firstBit(b.rem(k, steps)), bits);
  }
  /// Columns side by side, of one panel.
  Value columns() {
    Value dwords = b.load(b.intVectorType(), dwordAt(b.div(k, steps)), 4);
    return widen(dwords, firstBit(b.rem(k, steps)), bits);
  }
  /// Steps of K one after the other, from a multiple of their number on, or of the vector's lanes where those are fewer.
  Value column();

private:
  /// The dword of the column in a row of its panel.
  Value dwordAt(Value row) {
    Value panel = b.div(n, tfm::kPanelColumns);
    if (rank == 3)
      panel = b.add(b.mul(full.indices[0], panels), panel);
    Value index = b.add(b.mul(b.add(b.mul(panel, rows), row), tfm::kPanelColumns), b.rem(n, tfm::kPanelColumns));
    return b.at(base, b.mul(index, 4));
  }
  /// Where a step of a row begins in its dword: see Panels.h.
  Value firstBit(Value step) {
    return bits == 8 ? b.mul(step, 8) : b.add(b.mul(b.rem(step, 4), 8), b.mul(b.div(step, 4), 4));
  }
  Value widen(Value stored, Value bit, int64_t width);
  Value signExtended(Value dwords, int64_t width);
  Value constant(ArrayRef<int32_t> lanes) {
    return arith::ConstantOp::create(b, DenseElementsAttr::get(b.intVectorType(), lanes));
  }

  ValueEmitter &values;
  KernelBuilder &b;
  const Site &full;
  tfm::QuantType type;
  Value base;
  tfm::Dims dims;
  size_t rank;
  Value k, n;
  int64_t bits, steps;
  Value rows, panels;
};
} // namespace

/// The bits [bit, bit + width) of integers as i32.
Value CodeLoader::widen(Value stored, Value bit, int64_t width) {
  Type i32 = b.getI32Type();
  if (stored.getType().isInteger(8))
    stored = arith::ExtUIOp::create(b, i32, stored);
  Value shift = arith::TruncIOp::create(b, i32, bit);
  if (isa<VectorType>(stored.getType()))
    shift = b.broadcast(shift);
  return signExtended(arith::ShRUIOp::create(b, stored, shift), width);
}

/// The lowest bits of i32, as the codes' type has them.
Value CodeLoader::signExtended(Value dwords, int64_t width) {
  TypedAttr spare = b.getI32IntegerAttr(32 - width);
  if (auto vector = dyn_cast<VectorType>(dwords.getType()))
    spare = DenseElementsAttr::get(vector, Attribute(spare));
  Value count = arith::ConstantOp::create(b, spare), upper = arith::ShLIOp::create(b, dwords, count);
  if (type.getIsSigned())
    return arith::ShRSIOp::create(b, upper, count);
  return arith::ShRUIOp::create(b, upper, count);
}

Value CodeLoader::column() {
  int64_t lanes = b.target().lanes();
  Value first = b.div(k, steps), last = b.sub(rows, 1), dwords;
  for (int64_t lane = 0; lane < lanes; lane += steps) {
    Value row = b.min(b.add(first, lane / steps), last); // past K there is no row
    Value next = b.broadcast(b.load(b.getI32Type(), dwordAt(row), 4));
    SmallVector<bool> isNew(lanes);
    std::fill(isNew.begin() + lane, isNew.end(), true);
    Value mask = arith::ConstantOp::create(b, DenseElementsAttr::get(b.maskType(), ArrayRef<bool>(isNew)));
    dwords = dwords ? arith::SelectOp::create(b, mask, next, dwords).getResult() : next;
  }
  SmallVector<int32_t> shifts;
  for (int64_t lane = 0; lane < lanes; ++lane)
    shifts.push_back(bits == 8 ? lane % 4 * 8 : lane % 4 * 8 + lane / 4 % 2 * 4);
  Value shift = constant(shifts);
  if (lanes < steps) // the vector may begin in the middle of its dwords
    shift = arith::AddIOp::create(b, shift, b.broadcast(arith::TruncIOp::create(b, b.getI32Type(), firstBit(b.rem(k, steps)))));
  return signExtended(arith::ShRUIOp::create(b, dwords, shift), bits);
}

Value ValueEmitter::emit(tfm::DequantizeOp op, const Site &site) {
  Value codes = op.getCodes();
  if (!isa<BlockArgument>(codes))
    return unsupportedHere(op, "codes that are computed in the kernel");
  Site full = toFull(site, dims(op.getResult()));
  int rank = full.indices.size();
  auto type = cast<tfm::QuantType>(getElementTypeOrSelf(codes.getType()));
  bool isPacked = bool(cast<RankedTensorType>(codes.getType()).getEncoding());
  bool alongColumns = full.lane == rank - 1, alongSteps = full.lane == rank - 2;
  std::optional<int64_t> depth = dims(op.getResult())[rank - 2].asConstant();
  bool isOneGroup = depth && type.getGroup() >= *depth, sharesScale = isOneGroup || type.getGroup() % b.target().lanes() == 0;
  if (full.isVector() && (op.getCodebook() || !isPacked || !full.aligned || !(alongColumns || (alongSteps && sharesScale))))
    return lose(op, site);
  CodeLoader loader(*this, codes, full);
  Value code = !isPacked ? loader.plain() : alongColumns ? loader.columns() : alongSteps ? loader.column() : loader.packed();
  Element f32 = Element::of(b.getF32Type()), i32 = Element::of(b.getI32Type());
  Value value;
  if (op.getCodebook())
    value = at(op.getCodebook(), Site::full({arith::ExtUIOp::create(b, b.getI64Type(), code)}));
  else
    value = ops.cast(i32, f32, code);
  Site scale = full;
  scale.indices[rank - 2] = isOneGroup ? b.i64(0) : b.div(full.indices[rank - 2], type.getGroup());
  if (alongSteps)
    scale.lane = -1, scale.mask = {};
  auto apply = [&](tfm::BinaryKind kind, Value operand) {
    Value other = ops.cast(Element::of(operand), f32, at(operand, scale));
    ops.match(value, other);
    value = ops.binary(kind, f32, value, other);
  };
  if (op.getZeroPoints())
    apply(tfm::BinaryKind::Sub, op.getZeroPoints());
  apply(tfm::BinaryKind::Mul, op.getScales());
  return ops.cast(f32, Element::of(op.getResult()), value);
}
