//===- AttentionHeads.cpp - grouped and packed heads of attention -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "AttentionPatterns.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

/// Keys or values before each head was repeated for its group of query heads.
struct Repeated {
  Value heads; ///< [B, G, S, D]
  int64_t times;
};

/// Grouped heads: K and V [B, H, S, D] that repeat each of G heads are read as [B, G, S, D].
struct ShareHeads : ShapePattern<AttentionOp> {
  using ShapePattern::ShapePattern;

  LogicalResult matchAndRewrite(AttentionOp op, PatternRewriter &rewriter) const override {
    if (op.keyAxis() != 2)
      return rewriter.notifyMatchFailure(op, "keys and values are packed");
    auto key = repeated(op.getKey()), value = repeated(op.getValue());
    if (!key || !value || key->times != value->times || op.getNumKvHeads() % key->times != 0)
      return rewriter.notifyMatchFailure(op, "keys and values do not repeat heads alike");
    rewriter.modifyOpInPlace(op, [&] {
      op.getKeyMutable().assign(key->heads);
      op.getValueMutable().assign(value->heads);
      op.setNumKvHeads(op.getNumKvHeads() / key->times);
    });
    ++count;
    return success();
  }

private:
  std::optional<Repeated> repeated(Value value) const {
    if (auto reshape = value.getDefiningOp<ReshapeOp>())
      return ofReshape(reshape);
    if (auto gather = value.getDefiningOp<GatherOp>())
      return ofGather(gather);
    return std::nullopt;
  }

  /// reshape(x, [B, H, S, D]) of what says [B, G, R, S, D] with one element for all R.
  std::optional<Repeated> ofReshape(ReshapeOp op) const {
    Dims to = shapes.dims(op.getResult()), wide = shapes.dims(op.getInput());
    if (to.size() != 4 || wide.size() != 5 || wide[0] != to[0] || wide[3] != to[2] ||
        wide[4] != to[3] || !wide[1].asConstant() || !wide[2].asConstant())
      return std::nullopt;
    Value source;
    if (auto broadcast = op.getInput().getDefiningOp<BroadcastOp>()) {
      source = broadcast.getInput();
    } else if (auto concat = op.getInput().getDefiningOp<ConcatOp>()) {
      if (concat.getAxis() != 2 || !llvm::all_equal(concat.getInputs()))
        return std::nullopt;
      source = concat.getInputs().front();
    }
    auto unsqueeze = source ? source.getDefiningOp<ReshapeOp>() : ReshapeOp();
    Dims single = wide;
    single[2] = DimExprAttr::constant(op.getContext(), 1);
    if (!unsqueeze || shapes.dims(source) != single ||
        shapes.dims(unsqueeze.getInput()) != Dims{wide[0], wide[1], wide[3], wide[4]})
      return std::nullopt;
    return Repeated{unsqueeze.getInput(), *wide[2].asConstant()};
  }

  /// gather(x, [0, 0, 1, 1, ...]) along the heads.
  std::optional<Repeated> ofGather(GatherOp op) const {
    auto constant = op.getIndices().getDefiningOp<ConstantOp>();
    auto dense =
        constant ? dyn_cast<DenseIntElementsAttr>(constant.getValue()) : DenseIntElementsAttr();
    auto heads = shapes.dim(op.getInput(), op.getAxis()).asConstant();
    if (!dense || op.getAxis() != 1 || dense.getType().getRank() != 1 || !heads || *heads == 0 ||
        dense.getNumElements() % *heads != 0)
      return std::nullopt;
    int64_t times = dense.getNumElements() / *heads;
    for (auto [i, index] : llvm::enumerate(dense.getValues<APInt>()))
      if (index.getSExtValue() != int64_t(i) / times)
        return std::nullopt;
    return Repeated{op.getInput(), times};
  }
};

/// Attention on heads that were all split off a packed layout works on that layout: the query and
/// the result apart from keys and values.
struct PackHeads : ShapePattern<AttentionOp> {
  using ShapePattern::ShapePattern;
  LogicalResult matchAndRewrite(AttentionOp op, PatternRewriter &rewriter) const override {
    Dims result = shapes.dims(op.getResult());
    if (!allDerived(result))
      return rewriter.notifyMatchFailure(op, "a dimension depends on data");
    bool query = op.queryAxis() == 2 && canPack(op.getQuery());
    bool keys = op.keyAxis() == 2 && !op.getKvLength() && worthPacking(op.getKey(), op) &&
                worthPacking(op.getValue(), op);
    if (!query && !keys)
      return rewriter.notifyMatchFailure(op, "neither the query nor keys and values are a transpose "
                                             "of [batch, sequence, heads, size] of their own");
    Value key = keys ? pack(op.getKey(), rewriter) : op.getKey();
    Value value = keys ? pack(op.getValue(), rewriter) : op.getValue();
    ++count;
    if (!query) {
      rewriter.modifyOpInPlace(op, [&] {
        op.getKeyMutable().assign(key);
        op.getValueMutable().assign(value);
      });
      return success();
    }
    Dims packed = {result[0], result[2], DimExprAttr::mul(result[1], result[3])};
    auto type = RankedTensorType::get(staticShape(packed), getElementTypeOrSelf(op.getType()));
    Value attention =
        op.cloneWith(rewriter, type, pack(op.getQuery(), rewriter), key, value, op.getMask());
    Value split = createReshape(rewriter, op.getLoc(), shapes, attention,
                                {result[0], result[2], result[1], result[3]});
    return replaceRefined(rewriter, op,
                          createTranspose(rewriter, op.getLoc(), split, {0, 2, 1, 3}));
  }

private:
  static bool isSplit(Value operand) {
    auto transpose = operand.getDefiningOp<TransposeOp>();
    return transpose && transpose.getPerm() == ArrayRef<int64_t>{0, 2, 1, 3};
  }

  /// The heads were split by a transpose, or there is one head or one position, so that none is
  /// needed.
  bool canPack(Value operand) const {
    Dims dims = shapes.dims(operand);
    return allDerived(dims) && (isSplit(operand) || dims[1].isConstant(1) || dims[2].isConstant(1));
  }

  /// Heads that are split for others as well (a result of the model, a concat) are there anyway.
  bool worthPacking(Value operand, AttentionOp op) const {
    return canPack(operand) && llvm::all_of(operand.getUsers(), [&](Operation *user) {
             return isa<AttentionOp>(user);
           });
  }

  /// [batch, heads, sequence, size] as [batch, sequence, heads * size].
  Value pack(Value operand, PatternRewriter &rewriter) const {
    Dims dims = shapes.dims(operand);
    Value rows = isSplit(operand) ? operand.getDefiningOp()->getOperand(0) : operand;
    return createReshape(rewriter, operand.getLoc(), shapes, rows,
                         {dims[0], dims[2], DimExprAttr::mul(dims[1], dims[3])});
  }
};

} // namespace

void permalloy::addSharedHeadPatterns(RewritePatternSet &patterns, SymbolicShapes &shapes,
                                      Pass::Statistic &count) {
  patterns.add<ShareHeads>(patterns.getContext(), shapes, count);
}

void permalloy::addPackedHeadPatterns(RewritePatternSet &patterns, SymbolicShapes &shapes,
                                      Pass::Statistic &count) {
  patterns.add<PackHeads>(patterns.getContext(), shapes, count);
}
