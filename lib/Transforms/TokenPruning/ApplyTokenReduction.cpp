//===- ApplyTokenReduction.cpp - merge tokens behind attention --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Bolya et al.: Token Merging: Your ViT But Faster, 2023. Tokens have a *level*: how many times they have been reduced. Each
// operation that reads reduced tokens is copied, in program order, on operands of one level (TokenReducer); those that cannot
// work on fewer tokens get all of them back.
//
//===----------------------------------------------------------------------===//

#include "../Cleanup/Assumptions.h"
#include "../Rewriting.h"
#include "EncoderBlocks.h"
#include "permalloy/Analysis/SharedNumbers.h"
#include "permalloy/Transforms/Passes.h"
#include "permalloy/Transforms/TokenReduction.h"
#include "permalloy/Transforms/TokenScore.h"

#include <map>

namespace permalloy {
#define GEN_PASS_DEF_APPLYTOKENREDUCTION
#include "permalloy/Transforms/Passes.h.inc"
} // namespace permalloy

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

/// Behind this sum, tokens become fewer.
struct Reduction {
  EncoderBlock block;
  TokenLevel level;
  const TokenScore *score = nullptr;
};

class TokenReducer {
public:
  TokenReducer(OpBuilder &builder, SymbolicShapes &shapes, TokenRows &rows, TokenFlow &flow, int64_t protectedTokens, bool useSizes)
      : builder(builder), shapes(shapes), rows(rows), flow(flow), protectedTokens(protectedTokens), useSizes(useSizes),
        counts(rows.sequence, protectedTokens) {
    levels.push_back({rows.sequence, {}, {}, {}});
  }

  void run(ArrayRef<Reduction> reductions);
  /// Numbers of tokens, from all of them on.
  Dims tokenCounts() const;

private:
  /// What is known of tokens that were reduced so often.
  struct Level {
    DimExprAttr tokens;
    Value map;   ///< from the level before
    Value sizes; ///< [batch, tokens]: how many of the model each stands for; null: one each
    Value mask;  ///< [batch, 1, 1, tokens]: their logarithms, once asked for
  };
  struct Reduced {
    Value value;
    size_t level;
  };

  void reduce(const Reduction &reduction);
  void rewrite(Operation *op);
  void copyRows(Operation *op);
  void copyAttention(AttentionOp op);
  void copyPick(Operation *op);
  void copyMean(ReduceOp op);
  void giveBack(Operation *op);

  size_t levelOf(Operation *op);
  Value atLevel(Value value, size_t level, Rows how);
  Value asGrid(Value value, Rows how);
  Value merged(Value value, size_t level);
  Value unmerged(Value value);
  Value sizesAt(size_t level);
  Value maskAt(size_t level);
  Dims dimsAt(Value value, size_t level);
  void setDims(Operation *copy, ArrayRef<DimExprAttr> dims);

  template <typename OpTy, typename... Args> Value make(Type element, Args &&...args) {
    return tfm::create<OpTy>(builder, loc, shapes, element, std::forward<Args>(args)...);
  }
  Type elementOf(Value value) { return getElementTypeOrSelf(value.getType()); }
  DimExprAttr number(int64_t value) { return DimExprAttr::constant(builder.getContext(), value); }

  OpBuilder &builder;
  SymbolicShapes &shapes;
  TokenRows &rows;
  TokenFlow &flow;
  int64_t protectedTokens;
  bool useSizes;
  TokenCounts counts;
  Location loc = builder.getUnknownLoc();

  SmallVector<Level> levels;
  DenseMap<Value, Reduced> known;                    ///< of values that flow has
  std::map<std::pair<void *, size_t>, Value> others; ///< of other values, at a level
  DenseMap<Value, Value> back;                       ///< reduced values with all tokens again
  SmallVector<Operation *> copied;
};

} // namespace

Dims TokenReducer::tokenCounts() const {
  Dims result;
  for (const Level &level : levels)
    result.push_back(resolveSharedNumbers(level.tokens));
  return result;
}

//===----------------------------------------------------------------------===//
// Sizes
//===----------------------------------------------------------------------===//

/// How many tokens each stands for, in f32; of level 0 ones.
Value TokenReducer::sizesAt(size_t level) {
  if (levels[level].sizes)
    return levels[level].sizes;
  auto type = RankedTensorType::get({1, 1}, builder.getF32Type());
  Value one = ConstantOp::create(builder, loc, cast<ElementsAttr>(DenseElementsAttr::get(type, 1.0f)));
  return createBroadcast(builder, loc, shapes, one, {rows.batch, levels[level].tokens});
}

/// Null where every token counts as one.
Value TokenReducer::maskAt(size_t level) {
  if (!useSizes || !levels[level].sizes)
    return {};
  return levels[level].mask;
}

//===----------------------------------------------------------------------===//
// Values at a level
//===----------------------------------------------------------------------===//

/// [batch, tokens, ...] one level further.
Value TokenReducer::merged(Value value, size_t level) {
  Value result = make<TokenMergeOp>(elementOf(value), value, levels[level].tokens, levels[level].map, levels[level - 1].sizes, false);
  return result;
}

Dims TokenReducer::dimsAt(Value value, size_t level) {
  Dims dims = shapes.dims(value);
  if (rows.rowsOf(value) == Rows::Grid)
    dims[1] = levels[level].tokens;
  else
    dims[0] = DimExprAttr::mul(rows.batch, levels[level].tokens);
  return dims;
}

/// A value that follows tokens in some way, of level 0, as [batch, tokens, ...].
Value TokenReducer::asGrid(Value value, Rows how) {
  Dims dims = shapes.dims(value), grid = {rows.batch, rows.sequence};
  size_t rowAxes = how == Rows::List || how == Rows::ShortPosition ? 1 : 2;
  grid.append(dims.begin() + rowAxes, dims.end());
  if (how == Rows::List)
    return createReshape(builder, loc, shapes, value, grid);
  Dims one = grid;
  one[0] = how == Rows::Grid ? rows.batch : number(1);
  return createBroadcast(builder, loc, shapes, createReshape(builder, loc, shapes, value, one), grid);
}

/// What an operation on tokens of `level` reads instead of `value`.
Value TokenReducer::atLevel(Value value, size_t level, Rows how) {
  if (how == Rows::None || how == Rows::Sequence || level == 0)
    return value;
  auto it = known.find(value);
  if (it != known.end() && it->second.level == level)
    return it->second.value;
  Value &result = others[{value.getAsOpaquePointer(), level}];
  if (result)
    return result;
  Value grid;
  size_t from = 0;
  if (it != known.end()) {
    from = it->second.level;
    grid = it->second.value;
    if (how == Rows::List) {
      Dims dims = {rows.batch, levels[from].tokens};
      llvm::append_range(dims, ArrayRef(shapes.dims(value)).drop_front());
      grid = createReshape(builder, loc, shapes, grid, dims);
    }
  } else {
    grid = asGrid(value, how);
  }
  for (size_t next = from + 1; next <= level; ++next)
    grid = merged(grid, next);
  if (how == Rows::List)
    grid = createReshape(builder, loc, shapes, grid, dimsAt(value, level));
  return result = grid;
}

/// All tokens of a reduced value.
Value TokenReducer::unmerged(Value value) {
  Value &result = back[value];
  if (result)
    return result;
  Reduced reduced = known.lookup(value);
  Value grid = reduced.value;
  bool isList = rows.rowsOf(value) == Rows::List;
  if (isList) {
    Dims dims = {rows.batch, levels[reduced.level].tokens};
    llvm::append_range(dims, ArrayRef(shapes.dims(value)).drop_front());
    grid = createReshape(builder, loc, shapes, grid, dims);
  }
  for (size_t level = reduced.level; level > 0; --level)
    grid = make<TokenUnmergeOp>(elementOf(value), grid, levels[level].map);
  grid = isList ? createReshape(builder, loc, shapes, grid, shapes.dims(value)) : grid;
  grid.setType(value.getType());
  return result = grid;
}

//===----------------------------------------------------------------------===//
// Operations
//===----------------------------------------------------------------------===//

/// The level at which `op` works: that of its most reduced operand.
size_t TokenReducer::levelOf(Operation *op) {
  size_t level = 0;
  for (Value operand : op->getOperands())
    if (auto it = known.find(operand); it != known.end())
      level = std::max(level, it->second.level);
  return level;
}

void TokenReducer::setDims(Operation *copy, ArrayRef<DimExprAttr> dims) {
  if (auto reshape = dyn_cast<ReshapeOp>(copy))
    reshape.setDimsAttr(dimArray(builder.getContext(), dims));
  if (auto broadcast = dyn_cast<BroadcastOp>(copy))
    broadcast.setDimsAttr(dimArray(builder.getContext(), dims));
  if (auto slice = dyn_cast<SliceOp>(copy))
    slice.setSizesAttr(dimArray(builder.getContext(), dims));
}

void TokenReducer::copyRows(Operation *op) {
  size_t level = levelOf(op);
  auto token = rows.match(op);
  IRMapping map;
  for (auto [operand, how] : llvm::zip(op->getOperands(), token->operands))
    map.map(operand, atLevel(operand, level, how));
  Operation *copy = builder.clone(*op, map);
  Value result = op->getResult(0);
  setDims(copy, dimsAt(result, level));
  if (failed(inferResultType(copy, shapes, elementOf(result))))
    llvm::report_fatal_error("internal error: apply-token-reduction matched an operation that does not work token by token");
  known[result] = {copy->getResult(0), level};
  copied.push_back(op);
}

void TokenReducer::copyAttention(AttentionOp op) {
  size_t level = levelOf(op);
  bool isOwn = flow.contains(op.getQuery());
  auto at = [&](Value value) { return atLevel(value, level, Rows::Grid); };
  Value query = isOwn ? at(op.getQuery()) : op.getQuery();
  Dims dims = isOwn ? dimsAt(op.getResult(), level) : shapes.dims(op.getResult());
  auto type = isOwn ? RankedTensorType::get(staticShape(dims), elementOf(op.getResult())) : cast<RankedTensorType>(op.getType());
  AttentionOp copy = op.cloneWith(builder, type, query, at(op.getKey()), at(op.getValue()), maskAt(level));
  if (isOwn)
    known[op.getResult()] = {copy.getResult(), level};
  else
    op.getResult().replaceAllUsesWith(copy.getResult());
  copied.push_back(op);
}

/// Protected tokens stand where they stood.
void TokenReducer::copyPick(Operation *op) { op->setOperand(0, known.lookup(op->getOperand(0)).value); }

/// sum of sizes * x, over the sum of the sizes.
void TokenReducer::copyMean(ReduceOp op) {
  Reduced reduced = known.lookup(op.getInput());
  Value x = reduced.value, result;
  Type element = elementOf(x);
  DimExprAttr one = number(1);
  Value sizes = createReshape(builder, loc, shapes, sizesAt(reduced.level), {rows.batch, levels[reduced.level].tokens, one});
  if (element != elementOf(sizes))
    sizes = make<CastOp>(element, sizes);
  auto sum = [&](Value value) {
    return make<ReduceOp>(element, ReduceKind::Sum, value, op.getAxes(), op.getKeepDims());
  };
  result = sum(make<BinaryOp>(element, BinaryKind::Mul, x, sizes));
  if (op.getKind() == ReduceKind::Mean)
    result = make<BinaryOp>(element, BinaryKind::Div, result, sum(sizes));
  result.setType(op.getType());
  op.getResult().replaceAllUsesWith(result);
  copied.push_back(op);
}

void TokenReducer::giveBack(Operation *op) {
  for (OpOperand &operand : op->getOpOperands())
    if (known.contains(operand.get()))
      operand.set(unmerged(operand.get()));
}

void TokenReducer::rewrite(Operation *op) {
  builder.setInsertionPoint(op);
  loc = op->getLoc();
  switch (flow.useOf(op)) {
  case TokenUse::Rows:
    return copyRows(op);
  case TokenUse::Attend:
    return copyAttention(cast<AttentionOp>(op));
  case TokenUse::Pick:
    return copyPick(op);
  case TokenUse::Mean:
    return copyMean(cast<ReduceOp>(op));
  case TokenUse::Exit:
    return giveBack(op);
  }
}

/// Merges the tokens of a sum, which stands there already, at its level.
void TokenReducer::reduce(const Reduction &reduction) {
  size_t level = levels.size() - 1;
  Value sum = reduction.block.residual->getResult(0);
  Operation *behind = known.contains(sum) ? known.lookup(sum).value.getDefiningOp() : sum.getDefiningOp();
  builder.setInsertionPointAfter(behind);
  loc = behind->getLoc();
  AttentionOp attention = reduction.block.attention;
  Value tokens = atLevel(sum, level, Rows::Grid), keys = atLevel(attention.getKey(), level, Rows::Grid);
  Value values = atLevel(attention.getValue(), level, Rows::Grid);
  Level next;
  next.tokens = counts.next(reduction.level.count);
  // Blocks differ in this number alone.
  if (auto number = next.tokens.asConstant())
    next.tokens = *number == rows.sequence.asConstant() ? rows.sequence : sharedNumber(builder.getContext(), *number);
  if (next.tokens == levels[level].tokens)
    return;
  TokenSite site{keys, int64_t(attention.getNumKvHeads()), values, tokens, protectedTokens, next.tokens, reduction.level.prune, loc};
  next.map = reduction.score->build(builder, shapes, site);
  Value sizes = sizesAt(level);
  bool countsTokens = levels[level].sizes || !reduction.level.prune;
  levels.push_back(next);
  if (countsTokens)
    levels.back().sizes = make<TokenMergeOp>(builder.getF32Type(), sizes, next.tokens, next.map, Value(), true);
  known[sum] = {merged(tokens, level + 1), level + 1};
  if (!countsTokens || !useSizes)
    return;
  Value log = make<UnaryOp>(builder.getF32Type(), UnaryKind::Log, levels.back().sizes);
  levels.back().mask = createReshape(builder, loc, shapes, log, {rows.batch, number(1), number(1), next.tokens});
}

void TokenReducer::run(ArrayRef<Reduction> reductions) {
  DenseMap<Operation *, const Reduction *> sites;
  for (const Reduction &reduction : reductions)
    sites[reduction.block.residual] = &reduction;
  SmallVector<Operation *> ops;
  for (Operation *op = reductions.front().block.residual; op; op = op->getNextNode())
    ops.push_back(op);
  for (Operation *op : ops) {
    if (llvm::any_of(op->getOperands(), [&](Value operand) { return known.contains(operand); }))
      rewrite(op);
    if (const Reduction *reduction = sites.lookup(op))
      reduce(*reduction);
  }
  for (Operation *op : llvm::reverse(copied))
    op->erase();
}

//===----------------------------------------------------------------------===//
// The pass
//===----------------------------------------------------------------------===//

namespace {

class ApplyTokenReduction : public permalloy::impl::ApplyTokenReductionBase<ApplyTokenReduction> {
public:
  using ApplyTokenReductionBase::ApplyTokenReductionBase;

private:
  void runOnOperation() override;
  std::string apply(const EncoderBlocks &blocks, ArrayRef<Reduction> reductions, TokenRows &rows, SymbolicShapes &shapes);
  FailureOr<SmallVector<Reduction>> readPlan(const EncoderBlocks &blocks);
};

} // namespace

FailureOr<SmallVector<Reduction>> ApplyTokenReduction::readPlan(const EncoderBlocks &blocks) {
  SmallVector<Reduction> reductions;
  for (EncoderBlock block : blocks.all()) {
    auto text = block.attention->getAttrOfType<StringAttr>(kTokensAttr);
    if (!text)
      continue;
    auto level = TokenLevel::parse(text);
    if (!level)
      return block.attention.emitError(llvm::toString(level.takeError()));
    auto name = block.attention->getAttrOfType<StringAttr>(kTokenScoreAttr);
    const TokenScore *score = findTokenScore(name ? name.getValue() : "tome");
    if (!score)
      return block.attention.emitError("token score ") << name << " is unknown; there are " << llvm::join(tokenScoreNames(), ", ");
    if (!block.reason.empty())
      return block.attention.emitError("cannot give up tokens: ") << block.reason;
    if (level->count > 0)
      reductions.push_back({block, *level, score});
  }
  return reductions;
}

/// A sentence on what was done.
std::string ApplyTokenReduction::apply(const EncoderBlocks &blocks, ArrayRef<Reduction> reductions, TokenRows &rows,
                                       SymbolicShapes &shapes) {
  auto attribute = getOperation()->getAttrOfType<IntegerAttr>(kProtectedAttr);
  int64_t protectedTokens = attribute ? attribute.getInt() : 0;
  auto n = rows.sequence.asConstant();
  if (n && protectedTokens > *n)
    return "all tokens stay: " + std::to_string(protectedTokens) + " of " + std::to_string(*n) + " are protected";
  TokenFlow flow(rows, shapes, protectedTokens);
  std::string reason;
  if (!flow.trace(reductions.front().block.residual, reason))
    return "all tokens stay: " + reason;
  OpBuilder builder(&getContext());
  TokenReducer reducer(builder, shapes, rows, flow, protectedTokens, sizes);
  reducer.run(reductions);
  Dims counts = reducer.tokenCounts();
  numMerged += counts.size() - 1;
  return std::to_string(counts.size() - 1) + (counts.size() == 2 ? " block" : " blocks") + " from " + counts.front().str() + " to " +
         (counts.back().asConstant() ? counts.back().str() : std::string("fewer")) + " tokens, " + std::to_string(protectedTokens) + " protected";
}

void ApplyTokenReduction::runOnOperation() {
  func::FuncOp function = getOperation();
  if (function.isExternal() || !function->hasAttr(kProtectedAttr))
    return;
  SymbolicShapes shapes;
  EncoderBlocks blocks(function, shapes);
  auto reductions = readPlan(blocks);
  if (failed(reductions))
    return signalPassFailure();
  std::map<std::string, std::pair<unsigned, std::string>> reasons;
  SmallVector<Attribute> plan;
  for (EncoderBlock block : blocks.all()) {
    auto written = [&](StringRef name) { return block.attention->getAttrOfType<StringAttr>(name); };
    auto level = written(kTokensAttr), score = written(kTokenScoreAttr);
    Builder builder(&getContext());
    plan.push_back(builder.getStrArrayAttr({nodeName(block.attention->getLoc()), level ? level.getValue() : "merge0",
                                            score ? score.getValue() : "", block.reason}));
    if (!block.reason.empty()) {
      auto [it, isNew] = reasons.try_emplace(block.reason, 0, nodeName(block.attention->getLoc()));
      ++it->second.first;
    }
    for (StringRef name : {kTokensAttr, kTokenScoreAttr, kTokensReasonAttr})
      block.attention->removeAttr(name);
  }
  std::string text = reductions->empty() ? "all tokens stay" : apply(blocks, *reductions, *blocks.rows(), shapes);
  if (blocks.all().empty())
    text += ": there is no attention";
  for (auto &[reason, first] : reasons)
    text += "; " + std::to_string(first.first) + " left, first \"" + first.second + "\": " + reason;
  function->removeAttr(kProtectedAttr);
  function->setAttr(kTokenPlanAttr, ArrayAttr::get(&getContext(), plan));
  function->setAttr(kTokenReductionAttr, StringAttr::get(&getContext(), text));
}
