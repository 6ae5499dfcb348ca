//===- MatchExperts.cpp - routers and the layers of experts ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "MatchExperts.h"
#include "Match.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

static int64_t rankOf(Value value) { return cast<RankedTensorType>(value.getType()).getRank(); }

bool permalloy::isFoldableParameter(Value value) {
  Operation *op = value.getDefiningOp();
  if (isa_and_nonnull<GetWeightOp, ConstantOp>(op))
    return true;
  return isa_and_nonnull<TransposeOp, CastOp, ReshapeOp, SliceOp, ConcatOp, GatherOp>(op) &&
         llvm::all_of(op->getOperands(), isFoldableParameter);
}

static Dims withoutOnes(Dims dims) {
  llvm::erase_if(dims, [](DimExprAttr dim) { return dim.isConstant(1); });
  return dims;
}

Value ExpertMatcher::strip(Value value) {
  while (auto reshape = value.getDefiningOp<ReshapeOp>()) {
    if (withoutOnes(shapes.dims(value)) != withoutOnes(shapes.dims(reshape.getInput())))
      break;
    value = reshape.getInput();
  }
  return value;
}

Value ExpertMatcher::stripRows(Value value) {
  while (Operation *op = value.getDefiningOp()) {
    bool keeps = isa<CastOp>(op) && isa<FloatType>(getElementTypeOrSelf(op->getOperand(0)));
    if (isa<ReshapeOp>(op) && rankOf(value) > 0 && rankOf(op->getOperand(0)) > 0)
      keeps = shapes.dims(value).back() == shapes.dims(op->getOperand(0)).back();
    if (!keeps)
      break;
    value = op->getOperand(0);
  }
  return value;
}

//===----------------------------------------------------------------------===//
// Router
//===----------------------------------------------------------------------===//

/// gather_nd(x, [row, i[row, j]]): the elements of x at the positions that a top_k found in its rows.
bool ExpertMatcher::takesAlong(GatherNDOp gather, TopKOp &topK) {
  auto tuples = gather.getIndices().getDefiningOp<ConcatOp>();
  if (gather.getBatchDims() != 0 || !tuples || tuples.getInputs().size() != 2 ||
      rankOf(tuples) != 3 || tuples.getAxis() != 2)
    return false;
  topK = strip(tuples.getInputs()[1]).getDefiningOp<TopKOp>();
  if (!topK || topK.getSmallest() || rankOf(topK) != 2 || topK.getAxis() != 1)
    return false;
  Value rows = strip(tuples.getInputs()[0]);
  if (auto spread = rows.getDefiningOp<BroadcastOp>()) {
    Dims dims = shapes.dims(spread.getInput()); // [T, 1]: spread over the chosen, not over the rows
    if (dims.size() != 2 || !dims[1].isConstant(1))
      return false;
    rows = strip(spread.getInput());
  } else if (!shapes.dim(topK, 1).isConstant(1)) {
    return false;
  }
  auto range = rows.getDefiningOp<RangeOp>();
  return range && range.getFrom() && range.getFrom()->isConstant(0) && range.getStep() == 1 &&
         shapes.dim(range, 0) == shapes.dim(topK, 0);
}

static SoftmaxOp lastAxisSoftmax(Value value) {
  auto softmax = value.getDefiningOp<SoftmaxOp>();
  return softmax && int64_t(softmax.getAxis()) == rankOf(softmax) - 1 ? softmax : SoftmaxOp();
}

std::optional<RouterMatch> ExpertMatcher::matchRouter(Value weights) {
  RouterMatch match;
  weights = stripRows(weights);
  if (auto quotient = weights.getDefiningOp<BinaryOp>();
      quotient && quotient.getKind() == BinaryKind::Div) {
    auto sum = stripRows(quotient.getRhs()).getDefiningOp<ReduceOp>();
    if (!sum || sum.getKind() != ReduceKind::Sum || sum.getInput() != quotient.getLhs() ||
        sum.getAxes() != ArrayRef<int64_t>{rankOf(sum.getInput()) - 1} || !sum.getKeepDims())
      return no("the routing weights are divided by something else than their sum");
    match.normalize = true;
    weights = stripRows(quotient.getLhs());
  }
  if (auto softmax = lastAxisSoftmax(weights)) {
    match.score = MoeScore::TopSoftmax;
    weights = stripRows(softmax.getInput());
  }
  auto gather = weights.getDefiningOp<GatherNDOp>();
  if (!gather || !takesAlong(gather, match.topK))
    return no("the routing weights are not taken at the positions of a top_k");
  Value scores = stripRows(gather.getInput()), ordered = stripRows(match.topK.getInput());
  match.logits = scores;
  if (match.score == MoeScore::Softmax) {
    auto softmax = lastAxisSoftmax(scores);
    if (!softmax)
      return no("the routing weights are no softmax");
    match.logits = stripRows(softmax.getInput());
  }
  // The order of the probabilities is that of the logits.
  if (ordered != scores && ordered != match.logits)
    return no("the experts are chosen by other values than the routing weights");
  if (!match.topK.getK() || !match.topK.getK()->asConstant())
    return no("the number of experts of a token is not known");
  return match;
}

//===----------------------------------------------------------------------===//
// Layers of an expert
//===----------------------------------------------------------------------===//

/// The input and the kind of an activation: one operation, or x * sigmoid(x).
static std::optional<std::pair<Value, Activation>> matchActivation(Value value) {
  if (auto unary = value.getDefiningOp<UnaryOp>())
    if (auto activation = activationOf(unary.getKind()))
      return std::pair(unary.getInput(), *activation);
  auto product = value.getDefiningOp<BinaryOp>();
  if (!product || product.getKind() != BinaryKind::Mul)
    return std::nullopt;
  if (Value x = matchSilu(product))
    return std::pair(x, Activation::Silu);
  return std::nullopt;
}

/// Where a slice that takes all of the other dimensions starts along `axis`, in steps of one.
std::optional<int64_t> ExpertMatcher::sliceStart(SliceOp op, int64_t axis) {
  if (op.getSizes()) {
    Dims offsets = dimsOf(*op.getOffsets()), sizes = dimsOf(*op.getSizes()),
         input = shapes.dims(op.getInput());
    for (auto [i, size] : llvm::enumerate(sizes))
      if ((*op.getStrides())[i] != 1 ||
          (int64_t(i) != axis && (!offsets[i].isConstant(0) || size != input[i])))
        return std::nullopt;
    return offsets[axis].asConstant();
  }
  auto constant = [&](Value list) -> std::optional<int64_t> {
    auto contents = shapes.contents(list);
    return contents && contents->size() == 1 && contents->front() ? contents->front().asConstant()
                                                                   : std::nullopt;
  };
  auto start = constant(op.getStarts());
  if (op.getAxes() != ArrayRef<int64_t>{axis} || !start || *start < 0 ||
      (op.getSteps() && constant(op.getSteps()) != 1))
    return std::nullopt;
  return start;
}

/// One half of the columns of a value, by where it starts.
std::optional<std::pair<Value, int64_t>> ExpertMatcher::matchHalf(Value value) {
  auto slice = value.getDefiningOp<SliceOp>();
  if (!slice)
    return std::nullopt;
  int64_t axis = rankOf(value) - 1;
  auto columns = shapes.dim(slice.getInput(), axis).asConstant(),
       half = shapes.dim(value, axis).asConstant(), start = sliceStart(slice, axis);
  if (!columns || !half || !start || *columns != 2 * *half || (*start != 0 && *start != *half))
    return std::nullopt;
  return std::pair(slice.getInput(), *start);
}

std::optional<ExpertMlp> ExpertMatcher::matchGated(BinaryOp product, LayerMatcher layer) {
  ExpertMlp mlp;
  mlp.gated = true;
  for (auto [g, u] : {std::pair(product.getLhs(), product.getRhs()),
                      std::pair(product.getRhs(), product.getLhs())}) {
    auto activation = matchActivation(g);
    mlp.activation = activation ? activation->second : Activation::None;
    Value gate = activation ? activation->first : g;
    auto first = matchHalf(gate), second = matchHalf(u);
    if (first && second && first->first == second->first) {
      if (first->second != 0 || second->second == 0)
        continue;
      auto both = layer(first->first);
      if (!both)
        return std::nullopt;
      if (both->activation != Activation::None)
        return no("the activation is on both the gate and what it gates");
      mlp.up = {*both};
      return mlp;
    }
    auto gateLayer = layer(gate), upLayer = layer(u);
    if (!gateLayer || !upLayer || gateLayer->input != upLayer->input ||
        gateLayer->transposed != upLayer->transposed || upLayer->activation != Activation::None ||
        bool(gateLayer->bias) != bool(upLayer->bias) || extents(*gateLayer) != extents(*upLayer))
      continue;
    if (activation && gateLayer->activation != Activation::None)
      return no("the gate of an expert has two activations");
    if (gateLayer->activation != Activation::None)
      mlp.activation = std::exchange(gateLayer->activation, Activation::None);
    mlp.up = {*gateLayer, *upLayer};
    return mlp;
  }
  return no("the hidden values of an expert are no gated product of linear layers");
}

std::optional<ExpertMlp> ExpertMatcher::matchMlp(Value output, LayerMatcher layer) {
  auto down = layer(output);
  if (!down)
    return std::nullopt;
  if (down->activation != Activation::None)
    return no("there is an activation behind the last layer of an expert");
  Value hidden = strip(down->input);
  auto activation = matchActivation(hidden);
  auto product = hidden.getDefiningOp<BinaryOp>();
  std::optional<ExpertMlp> mlp;
  if (!activation && product && product.getKind() == BinaryKind::Mul) {
    mlp = matchGated(product, layer);
  } else if (auto up = layer(activation ? activation->first : hidden)) {
    if (activation && up->activation != Activation::None)
      return no("the first layer of an expert has two activations");
    mlp.emplace();
    mlp->activation = activation ? activation->second : up->activation;
    up->activation = Activation::None;
    mlp->up = {*up};
  }
  if (mlp)
    mlp->down = *down;
  return mlp;
}
