//===- EncoderBlocks.cpp - where tokens can become fewer --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "EncoderBlocks.h"
#include "../Rewriting.h"

#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

//===----------------------------------------------------------------------===//
// Blocks
//===----------------------------------------------------------------------===//

std::string permalloy::whyNotMergedKeys(AttentionOp op) {
  if (op.getCausal())
    return "it is causal";
  if (op.getKvLength())
    return "its keys stand in a cache";
  if (op.getWindowLeft() || op.getWindowRight())
    return "it has a window";
  if (op.getOffsets())
    return "its batch is packed";
  if (op.getMask())
    return "it has a mask, which would have to be merged, too";
  return op.keyAxis() == 1 && op.queryAxis() == 1 ? "" : "its heads stand outside of its tokens";
}

std::string EncoderBlocks::whyNot(AttentionOp op) {
  if (std::string reason = whyNotMergedKeys(op); !reason.empty())
    return reason;
  Dims query = shapes.dims(op.getQuery()), key = shapes.dims(op.getKey());
  if (query[1] != key[1])
    return "its keys are not its own tokens";
  if (!allDerived({query[0], query[1]}) || query[1].isConstant(1) || !key[2].asConstant())
    return "its number of tokens depends on data, or is 1";
  if (tokenRows && (query[0] != tokenRows->batch || query[1] != tokenRows->sequence))
    return "it has other tokens than the first block";
  return "";
}

/// `value` is computed, token by token, from a norm of `input`.
bool EncoderBlocks::readsNormOf(Value value, Value input, unsigned depth) {
  Operation *op = value.getDefiningOp();
  if (!op || depth == 0 || tokenRows->rowsOf(value) == Rows::None)
    return false;
  if (isa<LayerNormOp, RmsNormOp>(op) && op->getOperand(0) == input)
    return true;
  return !isa<AttentionOp>(op) &&
         llvm::any_of(op->getOperands(), [&](Value operand) { return readsNormOf(operand, input, depth - 1); });
}

/// The sum of what follows the attention, token by token, with what its norm reads.
BinaryOp EncoderBlocks::findResidual(AttentionOp op) {
  Value value = op.getResult();
  for (unsigned step = 0; step < 8 && value.hasOneUse(); ++step) {
    Operation *user = *value.user_begin();
    auto sum = dyn_cast<BinaryOp>(user);
    if (sum && sum.getKind() == BinaryKind::Add && shapes.dims(sum.getResult()).size() == 3) {
      Value other = sum.getLhs() == value ? sum.getRhs() : sum.getLhs();
      if (tokenRows->rowsOf(other) == Rows::Grid && readsNormOf(op.getQuery(), other, 8) && readsNormOf(op.getKey(), other, 8))
        return sum;
    }
    if (!tokenRows->match(user))
      return {};
    value = user->getResult(0);
  }
  return {};
}

EncoderBlocks::EncoderBlocks(func::FuncOp function, SymbolicShapes &shapes) : function(function), shapes(shapes) {
  for (auto op : function.getOps<AttentionOp>()) {
    EncoderBlock block{op, {}, whyNot(op)};
    if (block.reason.empty()) {
      bool isFirst = !tokenRows;
      if (isFirst)
        tokenRows = std::make_unique<TokenRows>(shapes.dim(op.getQuery(), 0), shapes.dim(op.getQuery(), 1), shapes);
      block.residual = findResidual(op);
      if (!block.residual)
        block.reason = "its block is not pre-norm: no sum of its result with what its norm reads";
      if (isFirst && !block.residual)
        tokenRows.reset();
    }
    blocks.push_back(block);
  }
}

SmallVector<EncoderBlock> EncoderBlocks::reducible() const {
  SmallVector<EncoderBlock> result;
  llvm::copy_if(blocks, std::back_inserter(result), [](const EncoderBlock &block) { return block.reason.empty(); });
  return result;
}

//===----------------------------------------------------------------------===//
// Protected tokens
//===----------------------------------------------------------------------===//

/// Computed from weights and constants alone.
static bool isParameter(Value value) {
  Operation *op = value.getDefiningOp();
  return op && op->getNumResults() == 1 && isa<TfmDialect>(op->getDialect()) && !isa<IfOp, WhileOp>(op) &&
         llvm::all_of(op->getOperands(), isParameter);
}

/// Leading parameters of the concat that made the tokens.
int64_t EncoderBlocks::countInFront(Value tokens) {
  for (unsigned step = 0; step < 16; ++step) {
    Operation *op = tokens.getDefiningOp();
    if (auto concat = dyn_cast_or_null<ConcatOp>(op); concat && concat.getAxis() == 1) {
      int64_t count = 0;
      for (Value input : concat.getInputs()) {
        auto known = shapes.dim(input, 1).asConstant();
        if (!isParameter(input) || !known)
          return count;
        count += *known;
      }
      return 0; // nothing of the input is in it
    }
    auto token = op ? tokenRows->match(op) : std::nullopt;
    if (!token)
      return 0;
    // The way on is the operand with tokens that is no parameter.
    Value next;
    for (auto [operand, how] : llvm::zip(op->getOperands(), token->operands))
      if (how == Rows::Grid && !isParameter(operand))
        next = operand;
    if (!next)
      return 0;
    tokens = next;
  }
  return 0;
}

std::optional<std::pair<int64_t, int64_t>> permalloy::pickedPositions(Operation *op) {
  if (auto slice = dyn_cast<SliceOp>(op)) {
    if (!slice.getOffsets() || slice.getStrides()->size() < 2 || (*slice.getStrides())[1] != 1)
      return std::nullopt;
    auto from = dimsOf(*slice.getOffsets())[1].asConstant(), size = dimsOf(*slice.getSizes())[1].asConstant();
    if (!from || !size || *size < 1 || *from < 0)
      return std::nullopt;
    return std::pair(*from, *from + *size - 1);
  }
  auto gather = dyn_cast<GatherOp>(op);
  DenseElementsAttr indices;
  if (!gather || gather.getAxis() != 1 || !matchPattern(gather.getIndices(), m_Constant(&indices)) || indices.empty())
    return std::nullopt;
  std::pair<int64_t, int64_t> range(std::numeric_limits<int64_t>::max(), -1);
  for (const APInt &index : indices.getValues<APInt>())
    range = {std::min(range.first, index.getSExtValue()), std::max(range.second, index.getSExtValue())};
  return range.first >= 0 ? std::optional(range) : std::nullopt;
}

/// Leading tokens that are read by position behind the last block; pickers of many are no pickers of class tokens.
int64_t EncoderBlocks::countPicked() {
  constexpr int64_t kMost = 16;
  int64_t count = 0;
  Operation *last = blocks.empty() ? nullptr : blocks.back().attention.getOperation();
  for (Operation &op : function.getBody().front()) {
    if (!last || !last->isBeforeInBlock(&op) || op.getNumOperands() == 0 || tokenRows->rowsOf(op.getOperand(0)) != Rows::Grid)
      continue;
    auto picked = pickedPositions(&op);
    bool keepsAll = op.getNumResults() == 1 && tokenRows->rowsOf(op.getResult(0)) == Rows::Grid;
    if (picked && !keepsAll && picked->second < kMost)
      count = std::max(count, picked->second + 1);
  }
  return count;
}

int64_t EncoderBlocks::findProtected() {
  for (EncoderBlock block : reducible())
    for (Value operand : block.residual->getOperands())
      if (readsNormOf(block.attention.getQuery(), operand, 8))
        return std::max(countInFront(operand), countPicked());
  return 0;
}

//===----------------------------------------------------------------------===//
// Flow
//===----------------------------------------------------------------------===//

/// Token by token, with operands that can be reduced alike.
bool TokenFlow::usesRows(Operation *op) const {
  auto token = rows.match(op);
  if (!token)
    return false;
  for (auto [operand, how] : llvm::zip(op->getOperands(), token->operands)) {
    bool isReduced = reduced.contains(operand);
    if (isReduced && how != Rows::Grid && how != Rows::List)
      return false;
    // Others would be averaged, which positions in an angle cannot be.
    bool followsTokens = !isReduced && how != Rows::None && how != Rows::Sequence;
    if (followsTokens && (isa<RotaryOp>(op) || !isa<FloatType>(getElementTypeOrSelf(operand.getType()))))
      return false;
  }
  return true;
}

bool TokenFlow::picks(Operation *op) const {
  if (!isa<SliceOp, GatherOp>(op) || !reduced.contains(op->getOperand(0)) || rows.rowsOf(op->getOperand(0)) != Rows::Grid)
    return false;
  auto slice = dyn_cast<SliceOp>(op);
  bool wholeBatch = !slice || (slice.getOffsets() && dimsOf(*slice.getOffsets())[0].isConstant(0) &&
                               dimsOf(*slice.getSizes())[0] == shapes.dim(slice.getInput(), 0));
  auto picked = pickedPositions(op);
  return wholeBatch && picked && picked->second < protectedTokens;
}

bool TokenFlow::averages(Operation *op) const {
  auto reduce = dyn_cast<ReduceOp>(op);
  return reduce && (reduce.getKind() == ReduceKind::Mean || reduce.getKind() == ReduceKind::Sum) &&
         reduce.getAxes() == ArrayRef<int64_t>{1} && rows.rowsOf(reduce.getInput()) == Rows::Grid &&
         shapes.dims(reduce.getInput()).size() == 3 && isa<FloatType>(getElementTypeOrSelf(reduce.getType()));
}

bool TokenFlow::attends(AttentionOp op) const {
  auto isGrid = [&](Value value) { return reduced.contains(value) && rows.rowsOf(value) == Rows::Grid; };
  bool queryFits = isGrid(op.getQuery()) || !reduced.contains(op.getQuery());
  return whyNotMergedKeys(op).empty() && isGrid(op.getKey()) && isGrid(op.getValue()) && queryFits;
}

TokenUse TokenFlow::useOf(Operation *op) const {
  if (auto attention = dyn_cast<AttentionOp>(op))
    return attends(attention) ? TokenUse::Attend : TokenUse::Exit;
  if (picks(op))
    return TokenUse::Pick;
  if (averages(op))
    return TokenUse::Mean;
  return usesRows(op) ? TokenUse::Rows : TokenUse::Exit;
}

/// An attention that `op` reaches, or null.
static AttentionOp attentionBehind(Operation *op) {
  SmallVector<Operation *> work = {op};
  DenseSet<Operation *> seen;
  while (!work.empty()) {
    Operation *next = work.pop_back_val();
    if (!seen.insert(next).second)
      continue;
    if (auto attention = dyn_cast<AttentionOp>(next))
      return attention;
    llvm::append_range(work, next->getUsers());
  }
  return {};
}

bool TokenFlow::trace(BinaryOp first, std::string &reason) {
  reduced = {first.getResult()};
  // In program order every operand is decided before its users.
  for (Operation *op = first->getNextNode(); op; op = op->getNextNode()) {
    if (llvm::none_of(op->getOperands(), [&](Value operand) { return reduced.contains(operand); }))
      continue;
    TokenUse use = useOf(op);
    auto attention = dyn_cast<AttentionOp>(op);
    bool staysReduced = use == TokenUse::Rows || (use == TokenUse::Attend && reduced.contains(attention.getQuery()));
    if (staysReduced)
      reduced.insert(op->getResult(0));
    if (use != TokenUse::Exit)
      continue;
    AttentionOp behind = attentionBehind(op);
    if (!behind)
      continue;
    std::string name = op->getName().stripDialect().str();
    if (attention)
      reason = "the attention behind it cannot work on fewer tokens: " +
               (whyNotMergedKeys(attention).empty() ? "it reads them beside others" : whyNotMergedKeys(attention));
    else
      reason = "tokens meet in " + name + " before the next attention";
    return false;
  }
  return true;
}
