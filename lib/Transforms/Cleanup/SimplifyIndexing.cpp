//===- SimplifyIndexing.cpp - gathers that are reshapes or slices -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "../Rewriting.h"
#include "Assumptions.h"
#include "DimBounds.h"
#include "IndexFunction.h"
#include "permalloy/Transforms/Passes.h"

namespace permalloy {
#define GEN_PASS_DEF_SIMPLIFYINDEXING
#include "permalloy/Transforms/Passes.h.inc"
} // namespace permalloy

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

/// The corner of `input` of these sizes.
static Value createCorner(PatternRewriter &rewriter, Location loc, Value input,
                          ArrayRef<DimExprAttr> sizes) {
  Dims offsets(sizes.size(), DimExprAttr::constant(rewriter.getContext(), 0));
  SmallVector<int64_t> strides(sizes.size(), 1);
  auto type = RankedTensorType::get(staticShape(sizes), getElementTypeOrSelf(input.getType()));
  return SliceOp::create(rewriter, loc, type, input, Value(), Value(), Value(),
                         DenseI64ArrayAttr(), dimArray(rewriter.getContext(), offsets),
                         dimArray(rewriter.getContext(), sizes),
                         rewriter.getDenseI64ArrayAttr(strides));
}

namespace {

/// gather whose indices count up from a constant.
struct SimplifyGather : ShapePattern<GatherOp> {
  SimplifyGather(MLIRContext *context, SymbolicShapes &shapes, Pass::Statistic &reshapes,
                 Pass::Statistic &slices, DimBounds &bounds, Assumptions &assumptions)
      : ShapePattern(context, shapes, reshapes), slices(slices), bounds(bounds),
        assumptions(assumptions) {}

  LogicalResult matchAndRewrite(GatherOp op, PatternRewriter &rewriter) const override {
    auto index = indexFunction(op.getIndices(), shapes);
    if (!index)
      return rewriter.notifyMatchFailure(op,
                                         "the indices are no affine function of their position");
    if (!index->countsUp() || !index->base.asConstant() || *index->base.asConstant() < 0)
      return sliceCorner(op, *index, rewriter);
    Dims result = shapes.dims(op.getResult()), input = shapes.dims(op.getInput());
    DimExprAttr count = DimExprAttr::product(op.getContext(), index->dims),
                extent = input[op.getAxis()];
    if (!allDerived(result) || !allDerived(input))
      return rewriter.notifyMatchFailure(op, "a dimension depends on data");
    Value source = op.getInput();
    if (!index->base.isConstant(0) || count != extent) {
      if (!isInside(op, DimExprAttr::add(index->base, count), extent))
        return rewriter.notifyMatchFailure(op, "the indices may lie outside of the input");
      source = createSlice(op, rewriter, *index, count);
      ++slices;
    } else {
      ++count_();
    }
    return replaceRefined(rewriter, op,
                          createReshape(rewriter, op.getLoc(), shapes, source, result));
  }

private:
  Pass::Statistic &count_() const { return ShapePattern::count; }

  /// gather(reshape(x), i) whose indices walk through a corner of x: its rows are longer than what is
  /// read of each.
  LogicalResult sliceCorner(GatherOp op, const IndexFunction &index,
                            PatternRewriter &rewriter) const {
    auto reshape = op.getInput().getDefiningOp<ReshapeOp>();
    if (!Assumptions::mayAssume(op))
      return rewriter.notifyMatchFailure(op, "the operation need not run");
    Dims input = shapes.dims(op.getInput()), result = shapes.dims(op.getResult());
    if (!reshape || !index.base.isConstant(0) || op.getAxis() != 0 ||
        !llvm::all_of(ArrayRef(input).drop_front(), [](DimExprAttr d) { return d.isConstant(1); }))
      return rewriter.notifyMatchFailure(op, "the indices do not count up from a constant");
    Value source = reshape.getInput();
    auto sizes = cornerSizes(index, shapes.dims(source));
    if (!sizes || !allDerived(*sizes) || !allDerived(result))
      return rewriter.notifyMatchFailure(op, "the indices do not walk through a corner of the input");
    for (auto [size, extent] : llvm::zip(*sizes, shapes.dims(source)))
      assumptions.require(size, extent, op.getLoc());
    ++slices;
    Value corner = createCorner(rewriter, op.getLoc(), source, *sizes);
    return replaceRefined(rewriter, op,
                          createReshape(rewriter, op.getLoc(), shapes, corner, result));
  }

  /// How many elements of each dimension of `extents` are read: those whose strides the coefficients
  /// are.
  static std::optional<Dims> cornerSizes(const IndexFunction &index, const Dims &extents) {
    DimExprAttr one = DimExprAttr::constant(index.base.getContext(), 1), stride = one;
    Dims sizes(extents.size(), one);
    int64_t next = int64_t(index.dims.size()) - 1;
    for (int64_t i = int64_t(extents.size()) - 1; i >= 0; --i) {
      while (next >= 0 && index.dims[next].isConstant(1))
        --next;
      if (next >= 0 && index.coefficients[next] == stride && !extents[i].isConstant(1))
        sizes[i] = index.dims[next--];
      stride = DimExprAttr::mul(stride, extents[i]);
    }
    while (next >= 0 && index.dims[next].isConstant(1))
      --next;
    return next < 0 ? std::optional(sizes) : std::nullopt;
  }

  /// `end` <= `extent`, perhaps because a larger symbol would index outside of the input and so
  /// fail; that is known of operations that always run.
  bool isInside(GatherOp op, DimExprAttr end, DimExprAttr extent) const {
    if (bounds.atMost(end, extent))
      return true;
    if (end.getKind() != DimKind::Symbol || !extent.asConstant() || !Assumptions::mayAssume(op))
      return false;
    bounds.add(end.getName(), *extent.asConstant());
    return true;
  }

  Value createSlice(GatherOp op, PatternRewriter &rewriter, const IndexFunction &index,
                    DimExprAttr count) const {
    Dims sizes = shapes.dims(op.getInput());
    Dims offsets(sizes.size(), DimExprAttr::constant(op.getContext(), 0));
    SmallVector<int64_t> strides(sizes.size(), 1);
    sizes[op.getAxis()] = count;
    offsets[op.getAxis()] = index.base;
    auto type = RankedTensorType::get(staticShape(sizes), getElementTypeOrSelf(op.getType()));
    return SliceOp::create(rewriter, op.getLoc(), type, op.getInput(), Value(), Value(), Value(),
                           DenseI64ArrayAttr(), dimArray(op.getContext(), offsets),
                           dimArray(op.getContext(), sizes),
                           rewriter.getDenseI64ArrayAttr(strides));
  }

  Pass::Statistic &slices;
  DimBounds &bounds;
  Assumptions &assumptions;
};

/// gather_nd whose tuples count through all of the leading dimensions, or through a corner of them.
struct SimplifyGatherND : ShapePattern<GatherNDOp> {
  SimplifyGatherND(MLIRContext *context, SymbolicShapes &shapes, Pass::Statistic &reshapes,
                   Assumptions &assumptions)
      : ShapePattern(context, shapes, reshapes), assumptions(assumptions) {}

  LogicalResult matchAndRewrite(GatherNDOp op, PatternRewriter &rewriter) const override {
    auto columns = columnFunctions(op.getIndices());
    Dims input = shapes.dims(op.getInput()), result = shapes.dims(op.getResult());
    if (op.getBatchDims() != 0 || columns.empty())
      return rewriter.notifyMatchFailure(op, "the columns of the indices are not known, or there are batch dimensions");
    if (!allDerived(result) || !allDerived(input))
      return rewriter.notifyMatchFailure(op, "a dimension depends on data");
    if (auto sizes = cornerSizes(columns, input); sizes && Assumptions::mayAssume(op)) {
      for (auto [size, extent] : llvm::zip(*sizes, input))
        assumptions.require(size, extent, op.getLoc());
      Value corner = op.getInput();
      if (*sizes != input)
        corner = createCorner(rewriter, op.getLoc(), corner, *sizes);
      ++count;
      return replaceRefined(rewriter, op,
                            createReshape(rewriter, op.getLoc(), shapes, corner, result));
    }
    std::optional<IndexFunction> flat;
    for (auto [k, index] : llvm::enumerate(columns)) {
      if (!index)
        return rewriter.notifyMatchFailure(
            op, "a column of the indices is no affine function of its position");
      DimExprAttr largest = index->largest();
      DimExprAttr room = DimExprAttr::sub(input[k], largest);
      if (!room || !room.asConstant() || *room.asConstant() < 1 || !index->base.asConstant() ||
          *index->base.asConstant() < 0)
        return rewriter.notifyMatchFailure(op, "a column may lie outside of its dimension");
      DimExprAttr stride = DimExprAttr::product(
          op.getContext(), ArrayRef(input).slice(k + 1, columns.size() - k - 1));
      IndexFunction zero{DimExprAttr::constant(op.getContext(), 0),
                         Dims(index->dims.size(), DimExprAttr::constant(op.getContext(), 0)),
                         index->dims};
      flat = addScaled(flat ? *flat : zero, *index, stride);
      if (!flat)
        return rewriter.notifyMatchFailure(op, "the columns do not broadcast");
    }
    DimExprAttr extent =
        DimExprAttr::product(op.getContext(), ArrayRef(input).take_front(columns.size()));
    if (!flat->countsUp() || !flat->base.isConstant(0) ||
        DimExprAttr::product(op.getContext(), flat->dims) != extent)
      return rewriter.notifyMatchFailure(op, "the tuples do not count through all of the input");
    ++count;
    return replaceRefined(rewriter, op,
                          createReshape(rewriter, op.getLoc(), shapes, op.getInput(), result));
  }

  /// The sizes of a corner of `input` where each column counts up along a dimension of its own, in
  /// order.
  std::optional<Dims> cornerSizes(ArrayRef<std::optional<IndexFunction>> columns, const Dims &input) const {
    Dims sizes = input;
    size_t next = 0;
    for (auto [k, index] : llvm::enumerate(columns)) {
      if (!index || !index->base.isConstant(0))
        return std::nullopt;
      Dims dims = index->dims;
      auto isWalked = [&](size_t i) { return !index->coefficients[i].isConstant(0); };
      while (next < dims.size() && !isWalked(next) && dims[next].isConstant(1))
        ++next;
      if (next == dims.size() || !index->coefficients[next].isConstant(1))
        return std::nullopt;
      for (size_t i = next + 1; i < dims.size(); ++i)
        if (isWalked(i))
          return std::nullopt;
      sizes[k] = dims[next++];
      // Dimensions after the last column's are its own, or repeat the element.
      if (k + 1 == columns.size())
        for (; next < dims.size(); ++next)
          if (!dims[next].isConstant(1))
            return std::nullopt;
    }
    return allDerived(sizes) ? std::optional(sizes) : std::nullopt;
  }

  /// The columns of tuples, null where one is no affine function of its position; none when they cannot be told apart.
  SmallVector<std::optional<IndexFunction>> columnFunctions(Value indices) const {
    SmallVector<std::optional<IndexFunction>> columns;
    size_t rank = shapes.dims(indices).size();
    if (auto constant = indices.getDefiningOp<ConstantOp>(); constant && rank > 0)
      for (int64_t k : llvm::seq(cast<RankedTensorType>(indices.getType()).getShape().back()))
        columns.push_back(columnOfConstant(constant, k));
    auto concat = indices.getDefiningOp<ConcatOp>();
    if (concat && concat.getAxis() + 1 == rank)
      for (Value column : concat.getInputs())
        columns.push_back(columnFunction(column));
    return columns;
  }

  /// The index function of a column [..., 1] without its last dimension.
  std::optional<IndexFunction> columnFunction(Value column) const {
    auto index = indexFunction(column, shapes);
    if (!index || index->dims.empty() || !index->dims.back().isConstant(1))
      return std::nullopt;
    index->dims.pop_back();
    index->coefficients.pop_back();
    return index;
  }

  Assumptions &assumptions;
};

class SimplifyIndexing : public permalloy::impl::SimplifyIndexingBase<SimplifyIndexing> {
  void runOnOperation() override {
    SymbolicShapes shapes;
    DimBounds bounds(getOperation());
    Assumptions assumptions(getOperation());
    RewritePatternSet patterns(&getContext());
    patterns.add<SimplifyGather>(&getContext(), shapes, numReshapes, numSlices, bounds,
                                 assumptions);
    patterns.add<SimplifyGatherND>(&getContext(), shapes, numReshapes, assumptions);
    if (failed(rewriteWithShapes(getOperation(), shapes, std::move(patterns))))
      return signalPassFailure();
    bounds.store(getOperation());
    assumptions.store(getOperation());
  }
};

} // namespace
