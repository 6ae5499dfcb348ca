//===- Indexing.cpp - gather, slice and what counts positions ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "OpTable.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

LogicalResult importGather(OpBinder &b) {
  Value x = b.input(0), indices = b.input(1);
  if (b.failed())
    return failure();
  return b.yield(b.gather(x, indices, b.normalizeAxis(b.intAttr("axis", 0), b.rank(x))));
}

LogicalResult importGatherND(OpBinder &b) {
  Value x = b.input(0), indices = b.input(1);
  if (b.failed())
    return failure();
  return b.yield(b.create<GatherNDOp>(b.elementType(x), x, indices,
                                      b.builder.getI64IntegerAttr(b.intAttr("batch_dims", 0))));
}

LogicalResult importGatherElements(OpBinder &b) {
  Value x = b.input(0), indices = b.input(1);
  if (b.failed())
    return failure();
  int64_t rank = b.rank(x), axis = b.normalizeAxis(b.intAttr("axis", 0), rank);
  if (b.rank(indices) != rank)
    return b.error("indices of rank " + Twine(b.rank(indices)) + " for an input of rank " +
                   Twine(rank));
  return b.yield(b.gatherElements(x, indices, axis));
}

/// Attributes before opset 10, inputs since.
LogicalResult importSlice(OpBinder &b) {
  Value x = b.input(0), starts, ends, steps;
  if (b.failed())
    return failure();
  std::optional<Ints> axes;
  if (b.opset() < 10) {
    auto from = b.intsAttr("starts"), to = b.intsAttr("ends");
    if (!from || !to)
      return b.error("starts or ends are missing");
    starts = b.ints(*from);
    ends = b.ints(*to);
    axes = b.intsAttr("axes");
  } else {
    starts = b.input(1);
    ends = b.input(2);
    if (b.hasInput(3))
      axes = b.constantInput(3, "axes");
    steps = b.optionalInput(4);
  }
  if (b.failed())
    return failure();
  if (b.rank(starts) != 1 || b.rank(ends) != 1 || (steps && b.rank(steps) != 1))
    return b.error("starts, ends and steps must have rank 1");
  if (!axes) {
    auto count = b.staticDim(starts, 0);
    if (!count)
      return b.unsupported("with a dynamic number of axes");
    axes = llvm::to_vector(llvm::seq<int64_t>(0, *count));
  }
  for (int64_t &axis : *axes)
    axis = b.normalizeAxis(axis, b.rank(x));
  for (Value list : {starts, ends, steps})
    if (list && b.staticDim(list, 0).value_or(axes->size()) != int64_t(axes->size()))
      return b.error("starts, ends, axes and steps differ in length");
  return b.yield(b.create<SliceOp>(b.elementType(x), x, starts, ends, steps,
                                   b.builder.getDenseI64ArrayAttr(*axes), ArrayAttr(), ArrayAttr(),
                                   DenseI64ArrayAttr()));
}

LogicalResult importRange(OpBinder &b) {
  SmallVector<Value> bounds;
  for (size_t i = 0; i < 3; ++i)
    bounds.push_back(b.input(i));
  if (b.failed())
    return failure();
  for (Value &bound : bounds)
    if (b.rank(bound) != 0) // some exporters write one element instead of a scalar
      bound = b.reshape(bound, {});
  Type type = b.elementType(bounds[0]), computed = type;
  if (type.isF16() || type.isBF16()) // stash_type: steps of a long range vanish in 16 bits
    computed = b.builder.getF32Type();
  for (Value &bound : bounds)
    bound = b.cast(bound, computed);
  Value range = b.create<RangeOp>(computed, bounds, DimExprAttr(), DimExprAttr(),
                                  b.builder.getI64IntegerAttr(1));
  return b.yield(b.cast(range, type));
}

/// The mask j >= i + k (upper) or j <= i + k of shape [n, m].
Value triangle(OpBinder &b, const Extent &n, const Extent &m, bool upper, Value k) {
  Value row = b.alongAxis(b.iota(n), 0, 2), column = b.iota(m);
  if (k)
    row = b.add(row, k);
  return b.compare(upper ? CompareKind::Ge : CompareKind::Le, column, row);
}

LogicalResult importTrilu(OpBinder &b) {
  Value x = b.input(0), k = b.optionalInput(1);
  if (b.failed())
    return failure();
  int64_t rank = b.rank(x);
  if (rank < 2)
    return b.error("takes a matrix, not rank " + Twine(rank));
  if (k)
    k = b.reshape(k, {});
  Value mask = triangle(b, Extent(x, rank - 2), Extent(x, rank - 1), b.intAttr("upper", 1), k);
  return b.yield(b.select(mask, x, b.scalar(x, 0)));
}

/// Sums of prefixes as a masked sum over pairs (i, j): y[i] = sum of x[j] where j <= i. Quadratic
/// in the length of the axis, which is a sequence (RoBERTa counts positions so).
LogicalResult importCumSum(OpBinder &b) {
  Value x = b.input(0);
  auto axisInput = b.constantInput(1, "the axis");
  if (b.failed() || axisInput->size() != 1)
    return b.error("the axis must be one number");
  int64_t rank = b.rank(x), axis = b.normalizeAxis(axisInput->front(), rank);
  if (b.failed())
    return failure();
  bool reverse = b.intAttr("reverse", 0);
  Value k =
      b.intAttr("exclusive", 0) ? b.scalar(b.builder.getI64Type(), reverse ? 1 : -1) : Value();
  Value mask = triangle(b, Extent(x, axis), Extent(x, axis), /*upper=*/reverse, k); // [i, j]
  SmallVector<Extent> pairs, maskExtents;
  for (int64_t i = 0; i < rank; ++i) {
    if (i == axis)
      pairs.push_back(Extent(1));
    pairs.push_back(Extent(x, i));
  }
  for (int64_t i = axis; i < rank + 1; ++i)
    maskExtents.push_back(i < axis + 2 ? Extent(x, axis) : Extent(1));
  Value masked = b.select(b.reshape(mask, maskExtents), b.reshape(x, pairs), b.scalar(x, 0));
  return b.yield(b.reduce(ReduceKind::Sum, masked, {axis + 1}, /*keepDims=*/false));
}

/// A one-hot vector of known integers: the TorchScript exporter writes the repeats of
/// repeat_interleave so, and they must be known to tile by them.
Value knownOneHot(OpBinder &b, Value indices, int64_t depth, int64_t axis) {
  auto position = b.constantInts(indices), values = b.constantInts(b.input(2));
  if (b.failed() || !position || !values || position->size() != 1 || values->size() != 2 ||
      depth < 1 || depth > 64)
    return {};
  Ints elements(depth, (*values)[0]);
  int64_t hit = position->front() < 0 ? position->front() + depth : position->front();
  if (hit >= 0 && hit < depth)
    elements[hit] = (*values)[1];
  Ints shape(b.rank(indices) + 1, 1);
  shape[axis] = depth;
  auto type = RankedTensorType::get(shape, b.builder.getI64Type());
  return b.cast(b.constant(DenseIntElementsAttr::get(type, elements)), b.elementType(b.input(2)));
}

/// The depth of a OneHot: one number, of any type.
std::optional<Ints> constantDepth(OpBinder &b) {
  Value depth = b.input(1);
  auto constant = depth ? depth.getDefiningOp<ConstantOp>() : ConstantOp();
  auto floats =
      constant ? dyn_cast<DenseFPElementsAttr>(constant.getValue()) : DenseFPElementsAttr();
  if (!floats || floats.getNumElements() != 1)
    return b.constantInput(1, "the depth");
  double value = floats.getValues<FloatAttr>()[0].getValueAsDouble();
  return value >= 0 && value <= INT32_MAX ? std::optional(Ints{int64_t(value)}) : std::nullopt;
}

/// indices == 0 .. depth - 1 along a new axis chooses between values[1] and values[0].
LogicalResult importOneHot(OpBinder &b) {
  Value indices = b.input(0), values = b.input(2);
  auto depth = constantDepth(b);
  if (b.failed() || !depth || depth->size() != 1)
    return b.error("the depth must be one number");
  int64_t rank = b.rank(indices) + 1, axis = b.normalizeAxis(b.intAttr("axis", -1), rank);
  Type i64 = b.builder.getI64Type();
  if (Value known = knownOneHot(b, indices, depth->front(), axis))
    return b.yield(known);
  indices = b.cast(indices, i64);
  Value size = b.scalar(i64, double(depth->front()));
  indices = b.select(b.compare(CompareKind::Lt, indices, b.scalar(i64, 0)), b.add(indices, size),
                     indices);
  SmallVector<Extent> extents;
  for (int64_t i = 0, source = 0; i < rank && !b.failed(); ++i)
    extents.push_back(i == axis ? Extent(1) : Extent(indices, source++));
  Value hit = b.compare(CompareKind::Eq, b.reshape(indices, extents),
                        b.alongAxis(b.iota(Extent(depth->front())), axis, rank));
  Value off = b.gather(values, b.scalar(i64, 0), 0), on = b.gather(values, b.scalar(i64, 1), 0);
  return b.yield(b.select(hit, on, off));
}

/// The first (or last) position that holds the extreme value.
template <ReduceKind kind> LogicalResult importArg(OpBinder &b) {
  Value x = b.input(0);
  if (b.failed())
    return failure();
  int64_t rank = b.rank(x), axis = b.normalizeAxis(b.intAttr("axis", 0), rank);
  bool last = b.intAttr("select_last_index", 0), keepDims = b.intAttr("keepdims", 1);
  Type i64 = b.builder.getI64Type();
  Value hit = b.compare(CompareKind::Eq, x, b.reduce(kind, x, {axis}, /*keepDims=*/true));
  Value position = b.alongAxis(b.iota(Extent(x, axis)), axis, rank);
  Value candidates = b.select(hit, position, b.scalar(i64, last ? -1.0 : double(INT32_MAX)));
  return b.yield(b.reduce(last ? ReduceKind::Max : ReduceKind::Min, candidates, {axis}, keepDims));
}

constexpr OpClass S = OpClass::Structure, D = OpClass::Decomposed;
const OpRow rows[] = {
    {"", "ArgMax", 1, 13, D, importArg<ReduceKind::Max>},
    {"", "ArgMin", 1, 13, D, importArg<ReduceKind::Min>},
    {"", "CumSum", 11, 14, D, importCumSum},
    {"", "Gather", 1, 13, S, importGather},
    {"", "GatherElements", 11, 13, D, importGatherElements},
    {"", "GatherND", 11, 13, S, importGatherND},
    {"", "OneHot", 9, 28, D, importOneHot},
    {"", "Range", 11, 27, S, importRange},
    {"", "Slice", 1, 13, S, importSlice},
    {"", "Trilu", 14, 14, D, importTrilu},
};

} // namespace

ArrayRef<OpRow> permalloy::indexingRows() { return rows; }
