//===- Padding.cpp - Pad -----------------------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Constant padding concatenates blocks; the other modes take elements of the input, one axis after
// the other, at positions that are clamped (edge), mirrored (reflect) or counted around (wrap).
// Negative pads cut.
//
//===----------------------------------------------------------------------===//

#include "OpTable.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

struct AxisPad {
  int64_t axis, before, after;
};

/// The pads of each axis, from attributes before opset 11 and inputs since.
std::optional<SmallVector<AxisPad>> readPads(OpBinder &b, Value x) {
  std::optional<Ints> pads = b.opset() < 11 ? b.intsAttr("pads") : b.constantInput(1, "the pads");
  if (b.failed() || !pads) {
    (void)b.error("pads are missing");
    return std::nullopt;
  }
  Ints axes = llvm::to_vector(llvm::seq<int64_t>(0, b.rank(x)));
  if (b.hasInput(3))
    axes = b.constantInput(3, "axes").value_or(Ints());
  if (!b.failed() && pads->size() != 2 * axes.size())
    (void)b.error(Twine(pads->size()) + " pads for " + Twine(axes.size()) + " axes");
  if (b.failed())
    return std::nullopt;
  SmallVector<AxisPad> result;
  for (auto [i, axis] : llvm::enumerate(axes))
    result.push_back({b.normalizeAxis(axis, b.rank(x)), (*pads)[i], (*pads)[i + axes.size()]});
  return b.failed() ? std::nullopt : std::optional(result);
}

Value cut(OpBinder &b, Value x, const AxisPad &pad) {
  if (b.failed() || (pad.before >= 0 && pad.after >= 0))
    return x;
  Value starts = b.ints({std::max<int64_t>(0, -pad.before)});
  Value ends = b.ints({pad.after < 0 ? pad.after : INT64_MAX});
  return b.create<SliceOp>(b.elementType(x), x, starts, ends, Value(),
                           b.builder.getDenseI64ArrayAttr({pad.axis}), ArrayAttr(), ArrayAttr(),
                           DenseI64ArrayAttr());
}

Value padConstant(OpBinder &b, Value x, const AxisPad &pad, Value fill) {
  auto block = [&](int64_t count) {
    SmallVector<Extent> extents;
    for (int64_t i = 0; i < b.rank(x); ++i)
      extents.push_back(i == pad.axis ? Extent(count) : Extent(x, i));
    return b.broadcast(fill, extents);
  };
  SmallVector<Value> parts;
  if (b.failed())
    return {};
  if (pad.before > 0)
    parts.push_back(block(pad.before));
  parts.push_back(x);
  if (pad.after > 0)
    parts.push_back(block(pad.after));
  return parts.size() > 1 ? b.concat(parts, pad.axis) : x;
}

enum class Mode { Constant, Edge, Reflect, Wrap };

/// Positions of the elements that stand before, in and behind the input.
Value padIndices(OpBinder &b, Value x, const AxisPad &pad, Mode mode) {
  Type i64 = b.builder.getI64Type();
  Value size = b.reduce(ReduceKind::Sum, b.shapeTensor(Extent(x, pad.axis)), {0}, false);
  Value one = b.scalar(i64, 1), zero = b.scalar(i64, 0), last = b.sub(size, one);
  Value limit = b.add(size, b.scalar(i64, double(std::max<int64_t>(0, pad.after))));
  if (b.failed())
    return {};
  SmallVector<Value> bounds = {b.scalar(i64, double(std::min<int64_t>(0, -pad.before))), limit,
                               one};
  Value at =
      b.create<RangeOp>(i64, bounds, DimExprAttr(), DimExprAttr(), b.builder.getI64IntegerAttr(1));
  if (mode == Mode::Edge)
    return b.binary(BinaryKind::Max, b.binary(BinaryKind::Min, at, last), zero);
  if (mode == Mode::Wrap)
    return b.binary(BinaryKind::Mod, at, size);
  // 0 1 2 3 2 1 0 1 ...: the distance to the nearest multiple of 2 (size - 1); a single element has
  // 0.
  Value period = b.add(last, last);
  Value around = b.binary(BinaryKind::Mod, at, b.binary(BinaryKind::Max, period, one));
  return b.binary(BinaryKind::Min, around, b.sub(period, around));
}

LogicalResult importPad(OpBinder &b) {
  Value x = b.input(0);
  std::string name = b.stringAttr("mode", "constant");
  auto mode = llvm::StringSwitch<std::optional<Mode>>(name)
                  .Case("constant", Mode::Constant)
                  .Case("edge", Mode::Edge)
                  .Case("reflect", Mode::Reflect)
                  .Case("wrap", Mode::Wrap)
                  .Default(std::nullopt);
  if (!mode)
    return b.error("mode '" + name + "'; accepted are constant, edge, reflect, wrap");
  if (b.failed())
    return failure();
  auto pads = readPads(b, x);
  Value fill = b.opset() < 11 ? b.scalar(x, b.floatAttr("value", 0)) : b.optionalInput(2);
  if (!pads || b.failed())
    return failure();
  fill = fill ? b.reshape(fill, {}) : b.scalar(x, 0);
  for (const AxisPad &pad : *pads) {
    x = cut(b, x, pad);
    if (*mode == Mode::Constant)
      x = padConstant(b, x, pad, fill);
    else if (pad.before > 0 || pad.after > 0)
      x = b.gather(x, padIndices(b, x, pad, *mode), pad.axis);
  }
  return b.yield(x);
}

const OpRow rows[] = {
    {"", "Pad", 2, 25, OpClass::Decomposed, importPad},
};

} // namespace

ArrayRef<OpRow> permalloy::paddingRows() { return rows; }
