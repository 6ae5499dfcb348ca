//===- MatchMoe.cpp - the loop and the batched form --------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "../Splat.h"
#include "MatchExperts.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

static int64_t rankOf(Value value) { return cast<RankedTensorType>(value.getType()).getRank(); }

static Dims withoutOnes(Dims dims) {
  llvm::erase_if(dims, [](DimExprAttr dim) { return dim.isConstant(1); });
  return dims;
}

std::optional<MoeMatch> ExpertMatcher::match(Operation *root) {
  auto sum = dyn_cast<ReduceOp>(root);
  auto result = sum ? matchBatched(sum) : matchLoop(root);
  if (result && extents(result->experts[0].up[0]).first != extents(result->experts[0].down).second)
    return no("what an expert gives is not as wide as its input");
  return result;
}

std::pair<DimExprAttr, DimExprAttr> ExpertMatcher::extents(const ExpertLayer &layer) {
  Dims dims = shapes.dims(layer.weight);
  DimExprAttr rows = dims[dims.size() - 2], columns = dims.back();
  return layer.transposed ? std::pair(columns, rows) : std::pair(rows, columns);
}

bool ExpertMatcher::haveOneForm(const ExpertMlp &a, const ExpertMlp &b) {
  return a.gated == b.gated && a.activation == b.activation && a.up.size() == b.up.size() &&
         bool(a.up[0].bias) == bool(b.up[0].bias) && bool(a.down.bias) == bool(b.down.bias) &&
         extents(a.up[0]) == extents(b.up[0]) && extents(a.down) == extents(b.down);
}

//===----------------------------------------------------------------------===//
// Loop
//===----------------------------------------------------------------------===//

/// One expert's contribution: sum = previous, with `update` added to the rows `tokens`.
struct ExpertMatcher::Step {
  Value previous, tokens, update;
};

static bool isZero(Value value) { return splatNumber(value) == 0.0; }

/// index_add as one scatter; or as a scatter onto zeros that is added: no token chooses an expert
/// twice, so no row is written twice. The updates may be spread over ones, which changes no row.
std::optional<ExpertMatcher::Step> ExpertMatcher::matchStep(Value sum) {
  auto stepOf = [](ScatterOp scatter, Value previous) {
    Value tokens = scatter.getIndices(), update = scatter.getUpdates();
    if (scatter.getAxis()) {
      if (auto spread = tokens.getDefiningOp<BroadcastOp>())
        tokens = spread.getInput();
      if (auto spread = update.getDefiningOp<BroadcastOp>())
        update = spread.getInput();
    }
    return Step{previous, tokens, update};
  };
  auto fits = [](ScatterOp scatter, ScatterReduction reduction) {
    return scatter && scatter.getReduction() == reduction && rankOf(scatter) == 2 &&
           scatter.getAxis().value_or(0) == 0;
  };
  if (auto scatter = sum.getDefiningOp<ScatterOp>(); fits(scatter, ScatterReduction::Add))
    return stepOf(scatter, scatter.getData());
  auto add = sum.getDefiningOp<BinaryOp>();
  if (!add || add.getKind() != BinaryKind::Add)
    return std::nullopt;
  for (auto [rows, previous] :
       {std::pair(add.getRhs(), add.getLhs()), std::pair(add.getLhs(), add.getRhs())})
    if (auto scatter = rows.getDefiningOp<ScatterOp>();
        fits(scatter, ScatterReduction::None) && isZero(scatter.getData()))
      return stepOf(scatter, previous);
  return std::nullopt;
}

/// Column c of the transposed result of a non_zero, or its row c.
std::optional<std::pair<NonZeroOp, int64_t>> ExpertMatcher::matchColumn(Value value) {
  auto slice = strip(value).getDefiningOp<SliceOp>();
  if (!slice || rankOf(slice) != 2)
    return std::nullopt;
  Value table = slice.getInput();
  int64_t axis = 0;
  if (auto transpose = table.getDefiningOp<TransposeOp>()) {
    table = transpose.getInput();
    axis = 1;
  }
  auto hits = table.getDefiningOp<NonZeroOp>();
  auto start = sliceStart(slice, axis);
  if (!hits || !start || !shapes.dim(slice, axis).isConstant(1))
    return std::nullopt;
  return std::pair(hits, *start);
}

/// weights[token, slot] for each hit, as tuples or by number in the flattened weights.
bool ExpertMatcher::choosesWeights(Value scale, NonZeroOp hits, Value &weights) {
  auto isColumn = [&](Value value, int64_t column) {
    auto found = matchColumn(value);
    return found && found->first == hits && found->second == column;
  };
  Value stripped = strip(scale);
  if (auto gather = stripped.getDefiningOp<GatherNDOp>()) {
    auto tuples = gather.getIndices().getDefiningOp<ConcatOp>();
    weights = gather.getInput();
    return gather.getBatchDims() == 0 && tuples && tuples.getInputs().size() == 2 &&
           isColumn(tuples.getInputs()[0], 0) && isColumn(tuples.getInputs()[1], 1);
  }
  auto gather = stripped.getDefiningOp<GatherOp>();
  auto flat = gather ? gather.getInput().getDefiningOp<ReshapeOp>() : ReshapeOp();
  auto number = gather ? strip(gather.getIndices()).getDefiningOp<BinaryOp>() : BinaryOp();
  if (!flat || gather.getAxis() != 0 || !number || number.getKind() != BinaryKind::Add ||
      rankOf(flat.getInput()) != 2)
    return false;
  weights = flat.getInput();
  auto k = shapes.dim(weights, 1).asConstant();
  for (auto [slot, token] : {std::pair(number.getLhs(), number.getRhs()),
                             std::pair(number.getRhs(), number.getLhs())}) {
    auto product = strip(token).getDefiningOp<BinaryOp>();
    if (product && product.getKind() == BinaryKind::Mul && isColumn(slot, 1) && k)
      for (auto [row, width] : {std::pair(product.getLhs(), product.getRhs()),
                                std::pair(product.getRhs(), product.getLhs())})
        if (auto splat = splatNumber(width); splat && *splat == double(*k) && isColumn(row, 0))
          return true;
  }
  return false;
}

/// A linear layer with a weight of the module.
static std::optional<ExpertLayer> plainLayer(Value value) {
  ExpertLayer layer;
  if (auto linear = value.getDefiningOp<LinearOp>())
    layer = {linear.getInput(), linear.getWeight(), false, linear.getBias(),
             linear.getActivation()};
  else if (auto matmul = value.getDefiningOp<MatmulOp>();
           matmul && !matmul.getTransposeA() && rankOf(matmul.getRhs()) == 2)
    layer = {matmul.getLhs(), matmul.getRhs(), matmul.getTransposeB(), Value(), Activation::None};
  if (!layer.weight || !isFoldableParameter(layer.weight) || rankOf(layer.input) != 2)
    return std::nullopt;
  return layer;
}

/// The number of the expert of a step; its layers and routing weights go to `match`, `weights`.
std::optional<int64_t> ExpertMatcher::matchExpert(const Step &step, MoeMatch &match,
                                                  Value &weights) {
  auto token = matchColumn(step.tokens);
  if (!token || token->second != 0)
    return no("the rows that are added to are not those where a mask is set");
  NonZeroOp hits = token->first;
  auto mask = hits.getInput().getDefiningOp<CompareOp>();
  if (!mask || mask.getKind() != CompareKind::Eq)
    return no("the mask of an expert is no comparison");
  bool swapped = splatNumber(mask.getLhs()).has_value();
  auto topK = strip(swapped ? mask.getRhs() : mask.getLhs()).getDefiningOp<TopKOp>();
  auto number = splatNumber(swapped ? mask.getLhs() : mask.getRhs());
  if (!topK || !number || rankOf(hits.getInput()) != 2)
    return no("the mask of an expert does not compare a top_k with its number");
  match.router.topK = topK;
  auto product = step.update.getDefiningOp<BinaryOp>();
  if (!product || product.getKind() != BinaryKind::Mul)
    return no("the rows of an expert are not scaled by routing weights before they are added");
  for (auto [rows, scale] : {std::pair(product.getLhs(), product.getRhs()),
                             std::pair(product.getRhs(), product.getLhs())}) {
    if (!choosesWeights(scale, hits, weights))
      continue;
    reason = "an operand of an expert's layers is no linear layer with a weight";
    auto mlp = matchMlp(rows, plainLayer);
    if (!mlp)
      return std::nullopt;
    Operation *gather = mlp->input().getDefiningOp();
    Value indices;
    if (auto nd = dyn_cast_or_null<GatherNDOp>(gather); nd && nd.getBatchDims() == 0)
      indices = nd.getIndices();
    if (auto plain = dyn_cast_or_null<GatherOp>(gather); plain && plain.getAxis() == 0)
      indices = plain.getIndices();
    auto column = indices ? matchColumn(indices) : std::nullopt;
    if (!column || column->first != hits || column->second != 0)
      return no("the input of an expert is not gathered by the tokens that chose it");
    match.input = gather->getOperand(0);
    match.experts = {*mlp};
    return int64_t(*number);
  }
  return no("the rows of an expert are not scaled by their routing weights");
}

std::optional<MoeMatch> ExpertMatcher::matchLoop(Operation *root) {
  Value sum = root->getResult(0);
  auto step = matchStep(sum);
  if (!step)
    return no("no sum over experts");
  for (Operation *user : sum.getUsers())
    if (auto next = user->getNumResults() == 1 ? matchStep(user->getResult(0)) : std::nullopt;
        next && next->previous == sum)
      return no("another expert is added behind");
  std::map<int64_t, ExpertMlp> experts;
  std::optional<MoeMatch> result;
  Value weights;
  for (; step; step = matchStep(sum)) {
    MoeMatch own;
    Value ownWeights;
    auto number = matchExpert(*step, own, ownWeights);
    if (!number)
      return std::nullopt;
    if (result && (own.input != result->input || ownWeights != weights ||
                   own.router.topK != result->router.topK))
      return no("experts differ in their input or routing weights");
    if (!experts.try_emplace(*number, own.experts.front()).second)
      return no("expert " + Twine(*number) + " is added twice");
    result = own;
    weights = ownWeights;
    sum = step->previous;
  }
  if (!isZero(sum))
    return no("the sum over experts does not begin with zeros");
  auto router = matchRouter(weights);
  if (!router)
    return std::nullopt;
  if (router->topK != result->router.topK)
    return no("experts are chosen by another top_k than their routing weights");
  auto count = shapes.dims(router->logits).back().asConstant();
  if (!count || *count != int64_t(experts.size()) || experts.begin()->first != 0 ||
      experts.rbegin()->first != *count - 1)
    return no("there are " + Twine(experts.size()) + " experts but the router chooses among " +
              (count ? Twine(*count) : Twine("an unknown number")));
  result->router = *router;
  result->experts.clear();
  for (auto &[number, mlp] : experts) {
    if (!haveOneForm(mlp, experts.begin()->second))
      return no("expert " + Twine(number) + " has another activation, form or width than the first");
    result->experts.push_back(mlp);
  }
  return result;
}

//===----------------------------------------------------------------------===//
// Batched
//===----------------------------------------------------------------------===//

/// A batched product of rows with the weights that were gathered for them.
std::optional<ExpertLayer> ExpertMatcher::matchGathered(Value value, TopKOp topK) {
  auto product = strip(value).getDefiningOp<MatmulOp>();
  if (!product || rankOf(product.getLhs()) != 3 || rankOf(product.getRhs()) != 3)
    return no("an expert's product is not batched");
  auto isChosen = [&](Value indices) {
    auto flat = indices.getDefiningOp<ReshapeOp>();
    return flat && flat.getInput() == topK.getResult();
  };
  auto stack = [&](Value operand) {
    Value input;
    if (auto gather = operand.getDefiningOp<GatherOp>();
        gather && gather.getAxis() == 0 && isChosen(gather.getIndices()))
      input = gather.getInput();
    if (auto gather = operand.getDefiningOp<GatherNDOp>();
        gather && gather.getBatchDims() == 0 && isChosen(gather.getIndices()) &&
        shapes.dims(gather.getIndices()).back().isConstant(1))
      input = gather.getInput();
    return input && rankOf(input) == 3 && isFoldableParameter(input) ? input : Value();
  };
  Value left = stack(product.getLhs()), right = stack(product.getRhs());
  if (bool(left) == bool(right))
    return no("neither operand of an expert's product is gathered from stacked weights");
  Value vector = left ? product.getRhs() : product.getLhs();
  bool flipped = left ? product.getTransposeB() : product.getTransposeA();
  int64_t unit = bool(left) != flipped ? 2 : 1; // [P, K, 1] on the right, [P, 1, K] on the left
  if (!shapes.dim(vector, unit).isConstant(1))
    return no("an expert's product takes several rows at once");
  bool transposed = left ? !product.getTransposeA() : product.getTransposeB();
  return ExpertLayer{strip(vector), left ? left : right, transposed, Value(), Activation::None};
}

/// x [T, D] of x repeated k times for each row, [T * k, D].
Value ExpertMatcher::repeatedRows(Value value, int64_t k) {
  Value source = value;
  while (auto reshape = source.getDefiningOp<ReshapeOp>())
    source = reshape.getInput();
  auto spread = source.getDefiningOp<BroadcastOp>();
  if (!spread)
    return k == 1 ? value : Value();
  Dims from = shapes.dims(spread.getInput()), to = shapes.dims(spread);
  if (from.size() != to.size())
    return {};
  int64_t repeated = -1, rows = 0;
  for (auto [i, pair] : llvm::enumerate(llvm::zip(from, to))) {
    auto [before, after] = pair;
    if (before == after)
      continue;
    if (repeated >= 0 || !before.isConstant(1) || !after.isConstant(k))
      return {};
    repeated = i;
  }
  if (repeated < 0) // one copy
    return k == 1 ? strip(spread.getInput()) : Value();
  // Behind the copies stands one row.
  for (size_t i = repeated + 1; i + 1 < from.size(); ++i)
    rows += !from[i].isConstant(1);
  Dims result = withoutOnes(shapes.dims(value));
  bool wide = repeated + 1 < int64_t(from.size()) && result.size() == 2 &&
              from.back() == result.back();
  return rows == 0 && wide ? strip(spread.getInput()) : Value();
}

std::optional<MoeMatch> ExpertMatcher::matchBatched(ReduceOp sum) {
  auto rows = sum.getInput().getDefiningOp<ReshapeOp>();
  if (sum.getKind() != ReduceKind::Sum || sum.getAxes() != ArrayRef<int64_t>{1} || !rows ||
      rankOf(rows) != 3 || rankOf(rows.getInput()) != 2 || sum.getKeepDims())
    return no("no sum over the experts of a token");
  auto product = rows.getInput().getDefiningOp<BinaryOp>();
  if (!product || product.getKind() != BinaryKind::Mul)
    return no("the rows of the experts are not scaled by routing weights");
  for (auto [output, scale] : {std::pair(product.getLhs(), product.getRhs()),
                               std::pair(product.getRhs(), product.getLhs())}) {
    auto flat = scale.getDefiningOp<ReshapeOp>(); // none for one expert: [T, 1] is flat
    Value routing = flat ? flat.getInput() : scale;
    if (rankOf(routing) != 2 || rankOf(scale) != 2 || !shapes.dim(scale, 1).isConstant(1))
      continue;
    auto router = matchRouter(routing);
    if (!router)
      return std::nullopt;
    int64_t k = *router->topK.getK()->asConstant();
    if (shapes.dim(rows, 1) != DimExprAttr::constant(sum.getContext(), k) ||
        shapes.dim(rows, 0) != shapes.dim(router->topK, 0))
      return no("the sum is not over the experts of a token");
    auto mlp = matchMlp(output, [&](Value v) { return matchGathered(v, router->topK); });
    if (!mlp)
      return std::nullopt;
    Value input = repeatedRows(mlp->input(), k);
    if (!input)
      return no("the input of the experts is not each token repeated for its experts");
    return MoeMatch{input, *router, {*mlp}};
  }
  return no("the rows of the experts are not scaled by routing weights");
}
