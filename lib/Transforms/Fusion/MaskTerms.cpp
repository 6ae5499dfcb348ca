//===- MaskTerms.cpp - what a mask says about positions ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "MaskTerms.h"
#include "../Cleanup/IndexFunction.h"
#include "../Splat.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

/// lower <= key - query <= upper; null where there is no bound.
struct Distance {
  DimExprAttr lower, upper;
};

class Splitter {
public:
  Splitter(ArrayRef<DimExprAttr> scores, SymbolicShapes &shapes) : scores(scores), shapes(shapes) {}
  void split(Value mask, bool negated);
  void splitFloat(Value mask);
  MaskTerms terms;

private:
  std::optional<Distance> distanceOf(Value mask, bool negated);
  std::optional<Distance> ofCompare(CompareOp op, bool negated);
  std::optional<Distance> ofTriangle(SliceOp op, bool negated);
  bool absorb(const Distance &distance);

  ArrayRef<DimExprAttr> scores;
  SymbolicShapes &shapes;
};

} // namespace

static DimExprAttr cst(MLIRContext *context, int64_t value) {
  return DimExprAttr::constant(context, value);
}

/// The operand of an operation that only repeats elements or adds leading dimensions of one; null
/// for any other. Masks broadcast, so it says the same.
static Value withoutBroadcast(Value value, SymbolicShapes &shapes) {
  if (auto broadcast = value.getDefiningOp<BroadcastOp>())
    return broadcast.getInput();
  auto reshape = value.getDefiningOp<ReshapeOp>();
  if (!reshape)
    return {};
  Dims from = shapes.dims(reshape.getInput()), to = shapes.dims(value);
  while (from.size() < to.size())
    from.insert(from.begin(), cst(value.getContext(), 1));
  return from == to ? reshape.getInput() : Value();
}

void Splitter::split(Value mask, bool negated) {
  if (auto number = splatNumber(mask); number && (*number != 0) != negated)
    return; // true everywhere
  if (Value inner = withoutBroadcast(mask, shapes))
    return split(inner, negated);
  if (auto unary = mask.getDefiningOp<UnaryOp>(); unary && unary.getKind() == UnaryKind::Not)
    return split(unary.getInput(), !negated);
  auto binary = mask.getDefiningOp<BinaryOp>();
  if (binary && binary.getKind() == (negated ? BinaryKind::Or : BinaryKind::And)) {
    split(binary.getLhs(), negated);
    return split(binary.getRhs(), negated);
  }
  auto distance = distanceOf(mask, negated);
  if (!distance || !absorb(*distance))
    terms.rest.push_back({mask, negated});
}

/// select(bool, mask, -inf), from the outside to the float mask.
void Splitter::splitFloat(Value mask) {
  if (Value inner = withoutBroadcast(mask, shapes))
    return splitFloat(inner);
  auto select = mask.getDefiningOp<SelectOp>();
  constexpr double infinity = std::numeric_limits<double>::infinity();
  if (select && splatNumber(select.getOnFalse()) == -infinity) {
    split(select.getCondition(), /*negated=*/false);
    return splitFloat(select.getOnTrue());
  }
  if (select && splatNumber(select.getOnTrue()) == -infinity) {
    split(select.getCondition(), /*negated=*/true);
    return splitFloat(select.getOnFalse());
  }
  if (splatNumber(mask) != 0.0)
    terms.added = mask;
}

std::optional<Distance> Splitter::distanceOf(Value mask, bool negated) {
  if (auto compare = mask.getDefiningOp<CompareOp>())
    return ofCompare(compare, negated);
  if (auto slice = mask.getDefiningOp<SliceOp>())
    return ofTriangle(slice, negated);
  return std::nullopt;
}

static CompareKind inverse(CompareKind kind) {
  switch (kind) {
  case CompareKind::Lt:
    return CompareKind::Ge;
  case CompareKind::Le:
    return CompareKind::Gt;
  case CompareKind::Gt:
    return CompareKind::Le;
  case CompareKind::Ge:
    return CompareKind::Lt;
  case CompareKind::Eq:
    return CompareKind::Ne;
  case CompareKind::Ne:
    return CompareKind::Eq;
  }
  llvm_unreachable("a case of the enum");
}

/// A comparison of two affine functions of the positions whose difference is +-(key - query) + base.
std::optional<Distance> Splitter::ofCompare(CompareOp op, bool negated) {
  MLIRContext *context = op.getContext();
  auto a = indexFunction(op.getLhs(), shapes), b = indexFunction(op.getRhs(), shapes);
  auto difference = a && b ? addScaled(*a, *b, cst(context, -1)) : std::nullopt;
  if (!difference || difference->dims.size() < 2)
    return std::nullopt;
  size_t rank = difference->dims.size();
  for (size_t i = 0; i + 2 < rank; ++i)
    if (!difference->coefficients[i].isConstant(0))
      return std::nullopt;
  // The coefficient along a dimension of one is 0 and may stand for any number.
  auto sign = [&](size_t axis, int64_t expected) {
    DimExprAttr c = difference->coefficients[axis];
    return c.isConstant(expected) || (difference->dims[axis].isConstant(1) && c.isConstant(0) &&
                                      scores[4 - rank + axis].isConstant(1));
  };
  int64_t keySign = sign(rank - 1, 1) && sign(rank - 2, -1)   ? 1
                    : sign(rank - 1, -1) && sign(rank - 2, 1) ? -1
                                                              : 0;
  if (keySign == 0)
    return std::nullopt;
  // keySign * (key - query) + base `kind` 0
  CompareKind kind = negated ? inverse(op.getKind()) : op.getKind();
  DimExprAttr minusBase = DimExprAttr::mul(difference->base, cst(context, -1));
  bool isUpper = kind == CompareKind::Lt || kind == CompareKind::Le;
  if (kind == CompareKind::Eq || kind == CompareKind::Ne)
    return std::nullopt;
  DimExprAttr limit = minusBase; // keySign * (key - query) <= or >= limit
  if (kind == CompareKind::Lt)
    limit = DimExprAttr::sub(limit, cst(context, 1));
  if (kind == CompareKind::Gt)
    limit = DimExprAttr::add(limit, cst(context, 1));
  if (keySign < 0) {
    limit = DimExprAttr::mul(limit, cst(context, -1));
    isUpper = !isUpper;
  }
  return isUpper ? Distance{{}, limit} : Distance{limit, {}};
}

/// Elements [r, c] of the last two dimensions are c <= r.
static bool isLowerTriangle(ConstantOp op) {
  auto dense = dyn_cast<DenseIntElementsAttr>(op.getValue());
  auto type = cast<RankedTensorType>(op.getType());
  if (!dense || !dense.getElementType().isInteger(1) || type.getRank() < 2 || dense.isSplat())
    return false;
  int64_t rows = type.getDimSize(type.getRank() - 2), columns = type.getShape().back();
  if (type.getNumElements() != rows * columns)
    return false;
  for (auto [i, value] : llvm::enumerate(dense.getValues<bool>()))
    if (value != (int64_t(i) % columns <= int64_t(i) / columns))
      return false;
  return true;
}

/// GPT-2's buffer `bias`: rows [past, past + queries) and columns [0, keys) of a triangle.
std::optional<Distance> Splitter::ofTriangle(SliceOp op, bool negated) {
  auto constant = op.getInput().getDefiningOp<ConstantOp>();
  if (!constant || !op.getOffsets() || negated || !isLowerTriangle(constant) ||
      llvm::any_of(*op.getStrides(), [](int64_t stride) { return stride != 1; }))
    return std::nullopt;
  Dims offsets = dimsOf(*op.getOffsets()), sizes = shapes.dims(op);
  size_t rank = offsets.size();
  // A row that repeats for all queries says nothing about their positions.
  if (sizes[rank - 2] != scores[2] || sizes[rank - 1] != scores[3])
    return std::nullopt;
  // column + offset of columns <= row + offset of rows
  return Distance{{}, DimExprAttr::sub(offsets[rank - 2], offsets[rank - 1])};
}

/// Adds the bound to the terms when it stands at a known place beside the query's position.
bool Splitter::absorb(const Distance &distance) {
  DimExprAttr offset = DimExprAttr::sub(scores[3], scores[2]);
  if (distance.upper) {
    auto room = DimExprAttr::sub(distance.upper, offset).asConstant();
    if (!room || *room < 0)
      return false;
    if (*room == 0)
      terms.causal = true;
    else
      terms.right = std::min(terms.right.value_or(*room), *room);
    return true;
  }
  auto room = DimExprAttr::sub(offset, distance.lower).asConstant();
  if (!room || *room < 0)
    return false;
  terms.left = std::min(terms.left.value_or(*room), *room);
  return true;
}

MaskTerms permalloy::splitMask(Value mask, ArrayRef<DimExprAttr> scores, SymbolicShapes &shapes) {
  Splitter splitter(scores, shapes);
  if (getElementTypeOrSelf(mask.getType()).isInteger(1))
    splitter.split(mask, /*negated=*/false);
  else
    splitter.splitFloat(mask);
  return splitter.terms;
}
