//===- Structure.cpp - operators that move data ------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "OpTable.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

/// Axes from the input (newer opsets) or the attribute; nullopt when neither is there or on
/// failure.
std::optional<Ints> axesOf(OpBinder &b, size_t inputIndex) {
  if (b.hasInput(inputIndex))
    return b.constantInput(inputIndex, "axes");
  return b.intsAttr("axes");
}

SmallVector<Extent> extentsOf(OpBinder &b, Value x) {
  SmallVector<Extent> extents;
  for (int64_t i = 0; i < b.rank(x); ++i)
    extents.push_back(Extent(x, i));
  return extents;
}

LogicalResult importShape(OpBinder &b) {
  Value x = b.input(0);
  if (b.failed())
    return failure();
  int64_t rank = b.rank(x);
  auto clamp = [&](int64_t i) { return std::clamp<int64_t>(i < 0 ? i + rank : i, 0, rank); };
  int64_t start = clamp(b.intAttr("start", 0)), end = clamp(b.intAttr("end", rank));
  Value shape = b.create<ShapeOfOp>(b.builder.getI64Type(), x);
  return b.yield(start == 0 && end == rank ? shape : b.slice1D(shape, start, std::max(start, end)));
}

LogicalResult importSize(OpBinder &b) {
  Value x = b.input(0);
  if (b.failed())
    return failure();
  Value shape = b.shapeTensor(Extent(x, 0, b.rank(x)));
  return b.yield(b.reshape(shape, {}));
}

LogicalResult importReshape(OpBinder &b) {
  Value x = b.input(0), shape = b.input(1);
  if (b.failed())
    return failure();
  if (b.rank(shape) != 1)
    return b.error("the shape must have rank 1, not " + Twine(b.rank(shape)));
  UnitAttr allowZero = b.intAttr("allowzero", 0) ? b.builder.getUnitAttr() : UnitAttr();
  shape = b.cast(shape, b.builder.getI64Type());
  return b.yield(b.create<ReshapeOp>(b.elementType(x), x, shape, ArrayAttr(), allowZero));
}

LogicalResult importFlatten(OpBinder &b) {
  Value x = b.input(0);
  if (b.failed())
    return failure();
  int64_t rank = b.rank(x), axis = b.intAttr("axis", 1);
  if (axis < -rank || axis > rank)
    return b.error("axis " + Twine(axis) + " is outside of rank " + Twine(rank));
  axis = axis < 0 ? axis + rank : axis;
  return b.yield(b.reshape(x, {Extent(x, 0, axis), Extent(x, axis, rank)}));
}

LogicalResult importSqueeze(OpBinder &b) {
  Value x = b.input(0);
  auto axes = axesOf(b, 1);
  if (b.failed())
    return failure();
  if (axes) {
    *axes = b.normalizeAxes(*axes, b.rank(x));
  } else {
    axes.emplace();
    for (int64_t i = 0; i < b.rank(x); ++i) {
      auto extent = b.staticDim(x, i);
      if (!extent)
        return b.unsupported("without axes, while dimension " + Twine(i) +
                             " of the input is dynamic and might be 1");
      if (*extent == 1)
        axes->push_back(i);
    }
  }
  SmallVector<Extent> extents;
  for (int64_t i = 0; i < b.rank(x); ++i) {
    bool squeezed = llvm::is_contained(*axes, i);
    if (squeezed && b.staticDim(x, i).value_or(1) != 1)
      return b.error("axis " + Twine(i) + " has " + Twine(*b.staticDim(x, i)) + " elements, not 1");
    if (!squeezed)
      extents.push_back(Extent(x, i));
  }
  return b.yield(b.reshape(x, extents));
}

LogicalResult importUnsqueeze(OpBinder &b) {
  Value x = b.input(0);
  auto axes = axesOf(b, 1);
  if (!b.failed() && !axes)
    return b.error("axes are missing");
  if (b.failed())
    return failure();
  int64_t rank = b.rank(x) + int64_t(axes->size());
  *axes = b.normalizeAxes(*axes, rank);
  SmallVector<Extent> extents;
  for (int64_t i = 0, source = 0; i < rank && !b.failed(); ++i)
    extents.push_back(llvm::is_contained(*axes, i) ? Extent(1) : Extent(x, source++));
  return b.yield(b.reshape(x, extents));
}

LogicalResult importExpand(OpBinder &b) {
  Value x = b.input(0), shape = b.input(1);
  if (b.failed())
    return failure();
  shape = b.cast(shape, b.builder.getI64Type());
  return b.yield(b.create<BroadcastOp>(b.elementType(x), x, shape, ArrayAttr()));
}

LogicalResult importTranspose(OpBinder &b) {
  Value x = b.input(0);
  if (b.failed())
    return failure();
  Ints perm = llvm::to_vector(llvm::reverse(llvm::to_vector(llvm::seq<int64_t>(0, b.rank(x)))));
  return b.yield(b.transpose(x, b.intsAttr("perm").value_or(perm)));
}

LogicalResult importConcat(OpBinder &b) {
  SmallVector<Value> inputs;
  for (size_t i = 0; i < b.numInputs(); ++i)
    inputs.push_back(b.input(i));
  if (b.failed() || inputs.empty())
    return b.error("has no input");
  int64_t axis = b.normalizeAxis(b.intAttr("axis", 0), b.rank(inputs.front()));
  for (Value input : inputs)
    if (b.elementType(input) != b.elementType(inputs.front()))
      return b.error("inputs have elements of different types");
  return b.yield(b.concat(inputs, axis));
}

/// Sizes from the input or attribute; otherwise equal parts, the last one smaller when they do not
/// divide (opset 18).
std::optional<Ints> splitSizes(OpBinder &b, Value x, int64_t axis) {
  if (b.hasInput(1))
    return b.constantInput(1, "the sizes");
  if (auto sizes = b.intsAttr("split"))
    return sizes;
  int64_t parts = b.intAttr("num_outputs", int64_t(b.node.outputs.size()));
  auto extent = b.staticDim(x, axis);
  if (!extent) {
    (void)b.unsupported("into equal parts along a dynamic dimension");
    return std::nullopt;
  }
  if (parts <= 0 || parts > *extent + 1 || (*extent % parts && !b.hasAttr("num_outputs"))) {
    (void)b.error("cannot split " + Twine(*extent) + " elements into " + Twine(parts) + " parts");
    return std::nullopt;
  }
  int64_t chunk = (*extent + parts - 1) / parts;
  Ints sizes(parts, chunk);
  sizes.back() = *extent - chunk * (parts - 1);
  return sizes;
}

LogicalResult importSplit(OpBinder &b) {
  Value x = b.input(0);
  if (b.failed())
    return failure();
  int64_t axis = b.normalizeAxis(b.intAttr("axis", 0), b.rank(x));
  auto sizes = splitSizes(b, x, axis);
  if (b.failed())
    return failure();
  if (sizes->size() != b.node.outputs.size())
    return b.error("has " + Twine(b.node.outputs.size()) + " outputs but " + Twine(sizes->size()) +
                   " sizes");
  int64_t offset = 0;
  for (auto [i, size] : llvm::enumerate(*sizes)) {
    if (size < 0)
      return b.error("part " + Twine(i) + " has size " + Twine(size));
    Value part = b.create<SliceOp>(b.elementType(x), x, b.ints({offset}), b.ints({offset + size}),
                                   Value(), b.builder.getDenseI64ArrayAttr({axis}), ArrayAttr(),
                                   ArrayAttr(), DenseI64ArrayAttr());
    if (failed(b.yield(i, part)))
      return failure();
    offset += size;
  }
  if (b.staticDim(x, axis).value_or(offset) != offset)
    return b.error("the sizes add up to " + Twine(offset) + ", not to " +
                   Twine(*b.staticDim(x, axis)));
  return success();
}

/// [d0, d1] repeated (r0, r1) times: [1, d0, 1, d1] broadcast to [r0, d0, r1, d1], then [r0 * d0,
/// r1 * d1].
LogicalResult importKnownTile(OpBinder &b, Value x, ArrayRef<int64_t> repeats) {
  SmallVector<Extent> split, wide, joined;
  for (auto [i, count] : llvm::enumerate(repeats)) {
    if (count < 0)
      return b.error("repeats " + Twine(count) + " times");
    Extent whole(x, int64_t(i));
    whole.constant = count;
    joined.push_back(whole);
    for (Extent extent : {Extent(1), Extent(x, int64_t(i))})
      split.push_back(extent);
    for (Extent extent : {Extent(count), Extent(x, int64_t(i))})
      wide.push_back(extent);
  }
  return b.yield(b.reshape(b.broadcast(b.reshape(x, split), wide), joined));
}

/// Repeats that follow from dimensions: a dimension of 1 is broadcast, any other split, broadcast and joined again.
LogicalResult importTile(OpBinder &b) {
  Value x = b.input(0), repeats = b.input(1);
  if (b.failed())
    return failure();
  auto length = b.rank(repeats) == 1 ? b.staticDim(repeats, 0) : std::nullopt;
  if (length != b.rank(x))
    return b.error("the repeats must have shape [" + Twine(b.rank(x)) + "]");
  if (auto known = b.constantInts(repeats))
    return importKnownTile(b, x, *known);
  SmallVector<Extent> split;
  SmallVector<Value> wide;
  bool allOnes = true;
  for (int64_t i = 0, rank = b.rank(x); i < rank; ++i) {
    Value count = b.slice1D(repeats, i, i + 1);
    bool isOnce = !b.failed() && b.constantInts(count) == Ints{1}, isOne = b.staticDim(x, i) == 1;
    split.append(isOnce || isOne ? 0 : 1, Extent(1));
    split.push_back(Extent(x, i));
    if (!isOnce)
      wide.push_back(count);
    if (!isOne)
      wide.push_back(b.shapeTensor(Extent(x, i)));
    else if (isOnce)
      wide.push_back(b.ints({1}));
    allOnes &= isOnce || isOne;
  }
  Value tall = b.create<BroadcastOp>(b.elementType(x), b.reshape(x, split), b.concat(wide, 0), ArrayAttr());
  if (allOnes || b.failed())
    return b.yield(tall);
  SmallVector<Extent> whole = extentsOf(b, x);
  return b.yield(b.create<ReshapeOp>(b.elementType(x), tall, b.mul(repeats, b.shapeTensor(whole)), ArrayAttr(),
                                     b.builder.getUnitAttr()));
}

constexpr OpClass S = OpClass::Structure, D = OpClass::Decomposed;
const OpRow rows[] = {
    {"", "Concat", 4, 13, S, importConcat},       {"", "Expand", 8, 13, S, importExpand},
    {"", "Flatten", 1, 25, S, importFlatten},     {"", "Reshape", 5, 25, S, importReshape},
    {"", "Shape", 1, 25, S, importShape},         {"", "Size", 1, 25, S, importSize},
    {"", "Split", 2, 18, S, importSplit},         {"", "Squeeze", 1, 25, S, importSqueeze},
    {"", "Tile", 6, 13, D, importTile},           {"", "Transpose", 1, 25, S, importTranspose},
    {"", "Unsqueeze", 1, 25, S, importUnsqueeze},
};

} // namespace

ArrayRef<OpRow> permalloy::structureRows() { return rows; }
