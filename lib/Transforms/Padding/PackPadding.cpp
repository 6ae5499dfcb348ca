//===- PackPadding.cpp - compute real tokens only ----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Zhai et al.: ByteTransformer: A High-Performance Transformer Boosted for Variable-Length Inputs, 2022. The pass finds what
// depends on padding (all behind an attention that hides it), makes sure that every way out of there is one that the padding
// does not take (TaintedPart), and builds the same operations on [1, tokens, ...] beside them (Packer).
//
//===----------------------------------------------------------------------===//

#include "../Cleanup/Assumptions.h"
#include "../Rewriting.h"
#include "PaddingMask.h"
#include "TokenRows.h"
#include "permalloy/Transforms/Passes.h"

#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SetVector.h"

#include <map>

namespace permalloy {
#define GEN_PASS_DEF_PACKPADDING
#include "permalloy/Transforms/Passes.h.inc"
} // namespace permalloy

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

//===----------------------------------------------------------------------===//
// What depends on padding
//===----------------------------------------------------------------------===//

/// The operations behind attentions with one mask, as far as padded positions reach. Their values at real tokens follow from
/// those at real tokens; what they are at padded ones nobody may ask but the model's user.
class TaintedPart {
public:
  TaintedPart(const PaddingMask &mask, TokenRows &rows, SymbolicShapes &shapes) : mask(mask), rows(rows), shapes(shapes) {}

  /// Collects the part. False, with the reason, where padded positions reach real ones.
  bool collect(ArrayRef<AttentionOp> attentions, std::string &reason);
  bool contains(Value value) const { return value.getDefiningOp() && ops.contains(value.getDefiningOp()); }
  /// In program order.
  SmallVector<Operation *> sorted() const;

private:
  bool canPack(AttentionOp op, std::string &reason);
  bool admit(Operation *user, Value value, std::string &reason);
  bool usesTokensOnly(Operation *op, const TokenOp &token);
  bool hidesPadding(Operation *user, Value value);
  bool picksTokens(Operation *user, Value value);
  bool movesToResult(Operation *user);

  const PaddingMask &mask;
  TokenRows &rows;
  SymbolicShapes &shapes;
  SetVector<Operation *> ops;
  SmallVector<Operation *> work;
};

bool TaintedPart::canPack(AttentionOp op, std::string &reason) {
  auto no = [&](const Twine &why) { return reason = "it " + why.str(), false; };
  Type element = getElementTypeOrSelf(op.getType());
  if (!element.isF32() && !element.isF16() && !element.isBF16())
    return no("is not in f32, f16 or bf16");
  for (Value value : {op.getQuery(), op.getKey(), op.getValue()})
    if (shapes.dims(value).size() != 3 || rows.rowsOf(value) != Rows::Grid)
      return no("has queries, keys or values that are not [batch, sequence, heads * size] of the mask");
  Dims q = shapes.dims(op.getQuery()), k = shapes.dims(op.getKey()), v = shapes.dims(op.getValue());
  auto width = q[2].asConstant();
  if (k[2] != v[2] || !width || *width / int64_t(op.getNumHeads()) > 512)
    return no("has heads of two sizes or wider than 512");
  if (op.getWindowLeft() || op.getWindowRight())
    return no("has a window, which holes in the mask would move");
  return true;
}

bool TaintedPart::collect(ArrayRef<AttentionOp> attentions, std::string &reason) {
  for (AttentionOp op : attentions) {
    if (!canPack(op, reason))
      return false;
    ops.insert(op);
    work.push_back(op);
  }
  while (!work.empty()) {
    Value value = work.pop_back_val()->getResult(0);
    for (Operation *user : value.getUsers())
      if (!ops.contains(user) && !admit(user, value, reason))
        return false;
  }
  // Tokens of an operation that came in late may stand where no token is expected.
  for (Operation *op : ops)
    if (auto token = rows.match(op); token && !usesTokensOnly(op, *token))
      return reason = "\"" + nodeName(op->getLoc()) + "\" joins tokens with something else", false;
  return true;
}

/// Operands of the part are used as tokens.
bool TaintedPart::usesTokensOnly(Operation *op, const TokenOp &token) {
  return llvm::all_of(llvm::zip(op->getOperands(), token.operands), [&](auto pair) {
    auto [operand, how] = pair;
    return !contains(operand) || how == Rows::Grid || how == Rows::List;
  });
}

bool TaintedPart::admit(Operation *user, Value value, std::string &reason) {
  if (isa<func::ReturnOp>(user) || hidesPadding(user, value) || picksTokens(user, value))
    return true;
  if (auto token = rows.match(user)) {
    ops.insert(user);
    work.push_back(user);
    return true;
  }
  if (movesToResult(user))
    return true;
  reason = "\"" + nodeName(user->getLoc()) + "\" (" + user->getName().stripDialect().str() +
           ") mixes positions of the padding with others";
  return false;
}

/// x * 0 at padded positions, or an attention with the mask that reads x as keys or values.
bool TaintedPart::hidesPadding(Operation *user, Value value) {
  if (auto attention = dyn_cast<AttentionOp>(user))
    return attention.getQuery() != value && rows.rowsOf(value) == Rows::Grid && attention.getMask() &&
           mask.agreesWith(attention, shapes);
  bool isGrid = rows.rowsOf(value) == Rows::Grid && shapes.dims(user->getResult(0)).size() == shapes.dims(value).size();
  auto product = dyn_cast<BinaryOp>(user);
  if (product && product.getKind() == BinaryKind::Mul && isGrid) {
    Value other = product.getLhs() == value ? product.getRhs() : product.getLhs();
    return shapes.dims(other).size() == shapes.dims(value).size() && mask.isAtPadding(other, 0, shapes);
  }
  auto select = dyn_cast<SelectOp>(user);
  if (!select || !isGrid || select.getOnTrue() == select.getOnFalse() ||
      shapes.dims(select.getCondition()).size() != shapes.dims(value).size())
    return false;
  return mask.isAtPadding(select.getCondition(), select.getOnFalse() == value, shapes);
}

/// One position of each sequence, such as that of the class token, or those that an index says.
bool TaintedPart::picksTokens(Operation *user, Value value) {
  if (rows.rowsOf(value) != Rows::Grid)
    return false;
  if (auto slice = dyn_cast<SliceOp>(user))
    return slice.getSizes() && dimsOf(*slice.getSizes())[1].isConstant(1);
  if (auto gather = dyn_cast<GatherOp>(user)) {
    Dims indices = shapes.dims(gather.getIndices());
    return gather.getInput() == value && gather.getAxis() == 1 &&
           llvm::all_of(indices, [](DimExprAttr dim) { return dim.isConstant(1); });
  }
  auto gather = dyn_cast<GatherNDOp>(user);
  if (!gather || gather.getInput() != value)
    return false;
  // At most one tuple for each sequence; how many depend on data are chosen by the model for what they hold.
  Dims indices = shapes.dims(gather.getIndices());
  auto tuples = ArrayRef(indices).drop_back();
  auto wide = llvm::count_if(tuples, [](DimExprAttr dim) { return !dim.isConstant(1); });
  return !allDerived(tuples) || wide == 0 || (wide == 1 && llvm::is_contained(tuples, mask.batch));
}

/// Operations that only move elements, up to the results of the function.
bool TaintedPart::movesToResult(Operation *user) {
  if (isa<func::ReturnOp>(user))
    return true;
  return isa<ReshapeOp, TransposeOp, SliceOp>(user) && llvm::all_of(user->getUsers(), [&](Operation *next) { return movesToResult(next); });
}

SmallVector<Operation *> TaintedPart::sorted() const {
  SmallVector<Operation *> result(ops.begin(), ops.end());
  llvm::sort(result, [](Operation *a, Operation *b) { return a->isBeforeInBlock(b); });
  return result;
}

//===----------------------------------------------------------------------===//
// The same without padding
//===----------------------------------------------------------------------===//

class Packer {
public:
  Packer(const PaddingMask &mask, TokenRows &rows, TaintedPart &part, SymbolicShapes &shapes, OpBuilder &builder)
      : mask(mask), rows(rows), part(part), shapes(shapes), builder(builder) {}

  void run(unsigned dataSizes);

private:
  void countTokens(unsigned dataSizes);
  void packTainted(Operation *op);
  Value packOperation(Operation *op, const TokenOp &token);
  Value packAttention(AttentionOp op);
  Value packed(Value value, Rows how);
  Value gathered(Value value, Rows how);
  Value unpacked(Value value);
  void setDims(Operation *op, Rows how, ArrayRef<DimExprAttr> dims);
  void reuse(Operation *op);

  template <typename OpTy, typename... Args> Value make(Type element, Args &&...args) {
    return tfm::create<OpTy>(builder, loc, shapes, element, std::forward<Args>(args)...);
  }
  Value binary(BinaryKind kind, Value a, Value b) { return make<BinaryOp>(builder.getI64Type(), kind, a, b); }
  Value slice(Value value, DimExprAttr offset, DimExprAttr size) {
    return make<SliceOp>(builder.getI64Type(), value, Value(), Value(), Value(), DenseI64ArrayAttr(), dimArray(context(), offset),
                         dimArray(context(), size), builder.getDenseI64ArrayAttr({1}));
  }
  Value range(DimExprAttr size) {
    return make<RangeOp>(builder.getI64Type(), ValueRange(), number(0), size, builder.getI64IntegerAttr(1));
  }
  Value dimValue(DimExprAttr value) {
    return DimValuesOp::create(builder, loc, RankedTensorType::get({1}, builder.getI64Type()), dimArray(context(), value));
  }
  Value reshape(Value value, ArrayRef<DimExprAttr> dims) { return createReshape(builder, loc, shapes, value, dims); }
  DimExprAttr number(int64_t value) { return DimExprAttr::constant(context(), value); }
  MLIRContext *context() { return builder.getContext(); }

  const PaddingMask &mask;
  TokenRows &rows;
  TaintedPart &part;
  SymbolicShapes &shapes;
  OpBuilder &builder;
  Location loc = builder.getUnknownLoc();

  Value real;        ///< [batch, sequence] of bool
  Value tokenOf;     ///< [batch * sequence]: the token at each position, where it is real; any other elsewhere
  Value positions;   ///< [tokens]: where each stands in the list of positions
  Value offsets;     ///< [batch + 1]: where the tokens of each sequence begin
  DimExprAttr tokens;
  DenseMap<std::pair<Value, int>, Value> known;
};

/// At least one token, if only to keep every size positive: when all is padding, the last sequence gets the first position,
/// and nobody reads what comes of it.
void Packer::countTokens(unsigned dataSizes) {
  Type boolean = builder.getI1Type(), i64 = builder.getI64Type();
  DimExprAttr one = number(1), count = rows.count, batch = rows.batch;
  real = mask.mask;
  if (!getElementTypeOrSelf(real.getType()).isInteger(1)) {
    Type element = getElementTypeOrSelf(real.getType());
    Value zero = ConstantOp::create(builder, loc, cast<ElementsAttr>(builder.getZeroAttr(RankedTensorType::get({}, element))));
    real = make<CompareOp>(boolean, CompareKind::Eq, real, zero);
  }
  Dims grid = {batch, rows.sequence};
  real = createReshape(builder, loc, shapes, createBroadcast(builder, loc, shapes, real, {batch, one, one, rows.sequence}), grid);
  Value before = make<PrefixCountOp>(i64, real);
  Value total = binary(BinaryKind::Max, slice(before, count, one), dimValue(DimExprAttr::min(one, count)));
  auto function = cast<func::FuncOp>(builder.getInsertionBlock()->getParentOp());
  std::string symbol = (kDataSymbolPrefix + function.getName() + "." + Twine(dataSizes)).str();
  BindSizeOp::create(builder, loc, symbol, total);
  tokens = DimExprAttr::symbol(context(), symbol);
  // Padding behind the last token would count one further.
  tokenOf = binary(BinaryKind::Min, slice(before, number(0), count), dimValue(DimExprAttr::sub(tokens, one)));
  Value isPadding = make<CastOp>(i64, make<UnaryOp>(boolean, UnaryKind::Not, real));
  positions = slice(make<GroupByOp>(i64, isPadding, 2), number(3), tokens);
  Value starts = binary(BinaryKind::Mul, range(batch), dimValue(rows.sequence));
  offsets = make<ConcatOp>(i64, ValueRange{make<GatherOp>(i64, before, starts, 0), total}, 0);
}

/// Rows of a value with padding, by token.
Value Packer::gathered(Value value, Rows how) {
  Dims dims = shapes.dims(value);
  size_t rowAxes = how == Rows::List || how == Rows::ShortPosition ? 1 : 2;
  Dims rest(ArrayRef(dims).drop_front(rowAxes)), flat = rest, packed = rest;
  Value indices = positions;
  DimExprAttr extent = rows.count;
  if (how == Rows::Position || how == Rows::ShortPosition) {
    indices = binary(BinaryKind::Mod, positions, dimValue(rows.sequence));
    extent = rows.sequence;
  } else if (how == Rows::Sequence) {
    indices = binary(BinaryKind::Div, positions, dimValue(rows.sequence));
    extent = rows.batch;
  }
  flat.insert(flat.begin(), extent);
  packed.insert(packed.begin(), tokens);
  if (how != Rows::List)
    packed.insert(packed.begin(), number(1));
  return reshape(make<GatherOp>(getElementTypeOrSelf(value.getType()), reshape(value, flat), indices, 0), packed);
}

/// `value` without padding. What is computed token by token before any attention is computed anew.
Value Packer::packed(Value value, Rows how) {
  if (how == Rows::None)
    return value;
  Value &place = known[{value, int(how)}];
  if (place)
    return place;
  Operation *op = value.getDefiningOp();
  auto token = op && how == rows.rowsOf(value) ? rows.match(op) : std::nullopt;
  Value result = token ? packOperation(op, *token) : gathered(value, how);
  return known[{value, int(how)}] = result;
}

/// The attribute that gives dimensions of the result, for one without padding.
void Packer::setDims(Operation *op, Rows how, ArrayRef<DimExprAttr> dims) {
  Dims packed = rows.packedDims(how, dims, tokens);
  if (auto reshape = dyn_cast<ReshapeOp>(op))
    reshape.setDimsAttr(dimArray(context(), packed));
  if (auto broadcast = dyn_cast<BroadcastOp>(op))
    broadcast.setDimsAttr(dimArray(context(), packed));
  if (auto slice = dyn_cast<SliceOp>(op))
    slice.setSizesAttr(dimArray(context(), packed));
}

Value Packer::packOperation(Operation *op, const TokenOp &token) {
  IRMapping map;
  for (auto [operand, how] : llvm::zip(op->getOperands(), token.operands))
    if (how != Rows::None)
      map.map(operand, packed(operand, how));
  Operation *copy = builder.clone(*op, map);
  setDims(copy, token.result, shapes.dims(op->getResult(0)));
  if (failed(inferResultType(copy, shapes, getElementTypeOrSelf(op->getResult(0).getType()))))
    llvm::report_fatal_error("internal error: pack-padding matched an operation that does not work token by token");
  return copy->getResult(0);
}

Value Packer::packAttention(AttentionOp op) {
  Value q = packed(op.getQuery(), Rows::Grid), k = packed(op.getKey(), Rows::Grid), v = packed(op.getValue(), Rows::Grid);
  Dims dims = rows.packedDims(Rows::Grid, shapes.dims(op.getResult()), tokens);
  auto type = RankedTensorType::get(staticShape(dims), getElementTypeOrSelf(op.getType()));
  AttentionOp copy = op.cloneWith(builder, type, q, k, v, Value());
  copy.getOffsetsMutable().assign(offsets);
  copy.setLongestAttr(rows.sequence);
  return copy;
}

/// The value at every position: 0 where there is padding.
Value Packer::unpacked(Value value) {
  Rows how = rows.rowsOf(value);
  Type element = getElementTypeOrSelf(value.getType());
  Dims dims = shapes.dims(value), rest(ArrayRef(dims).drop_front(how == Rows::Grid ? 2 : 1));
  Dims list = rest, flat = rest, mask(dims.size(), number(1));
  list.insert(list.begin(), tokens);
  flat.insert(flat.begin(), rows.count);
  std::copy_n(dims.begin(), dims.size() - rest.size(), mask.begin());
  Value chosen = make<GatherOp>(element, reshape(packed(value, how), list), tokenOf, 0);
  Value zero = ConstantOp::create(builder, loc, cast<ElementsAttr>(builder.getZeroAttr(RankedTensorType::get({}, element))));
  Value result = make<SelectOp>(element, reshape(real, mask), reshape(chosen, dims), zero);
  result.setType(value.getType());
  return result;
}

void Packer::packTainted(Operation *op) {
  builder.setInsertionPoint(op);
  loc = op->getLoc();
  auto attention = dyn_cast<AttentionOp>(op);
  Value value = op->getResult(0), result = attention ? packAttention(attention) : packOperation(op, *rows.match(op));
  known[{value, int(rows.rowsOf(value))}] = result;
  auto isOutside = [&](OpOperand &use) { return use.getOwner()->getNumResults() == 0 || !part.contains(use.getOwner()->getResult(0)); };
  if (llvm::any_of(value.getUses(), isOutside))
    value.replaceUsesWithIf(unpacked(value), isOutside);
}

void Packer::run(unsigned dataSizes) {
  SmallVector<Operation *> ops = part.sorted();
  builder.setInsertionPoint(ops.front());
  loc = mask.mask.getLoc();
  countTokens(dataSizes);
  for (Operation *op : ops)
    packTainted(op);
  for (Operation *op : llvm::reverse(ops))
    op->erase();
}

//===----------------------------------------------------------------------===//
// The pass
//===----------------------------------------------------------------------===//

class PackPadding : public permalloy::impl::PackPaddingBase<PackPadding> {
  void runOnOperation() override;
  unsigned pack(ArrayRef<AttentionOp> attentions, std::string &reason);
};

} // namespace

/// Packs the first of `attentions` together with those that hide the same. How many they were; 0, with the reason, for none.
unsigned PackPadding::pack(ArrayRef<AttentionOp> attentions, std::string &reason) {
  SymbolicShapes shapes;
  auto mask = PaddingMask::of(attentions.front(), shapes, reason);
  if (!mask)
    return 0;
  if (mask->sequence.isConstant(1) || !allDerived({mask->batch, mask->sequence}))
    return reason = "its mask has one position, or a size that depends on data", 0;
  TokenRows rows(mask->batch, mask->sequence, shapes);
  TaintedPart part(*mask, rows, shapes);
  SmallVector<AttentionOp> alike;
  for (AttentionOp op : attentions)
    if (mask->agreesWith(op, shapes) && (op == attentions.front() || rows.rowsOf(op.getQuery()) == Rows::Grid))
      alike.push_back(op);
  if (!part.collect(alike, reason))
    return 0;
  OpBuilder builder(&getContext());
  Packer(*mask, rows, part, shapes, builder).run(llvm::range_size(getOperation().getOps<BindSizeOp>()));
  return alike.size();
}

void PackPadding::runOnOperation() {
  func::FuncOp function = getOperation();
  if (function.isExternal() || function.isPrivate() || function->hasAttr(kPaddingAttr))
    return;
  llvm::MapVector<std::string, SmallVector<AttentionOp>, std::map<std::string, unsigned>> reasons;
  unsigned packed = 0;
  DenseSet<Operation *> left; // attentions that cannot be packed
  while (true) {
    SmallVector<AttentionOp> attentions;
    for (auto op : function.getOps<AttentionOp>())
      if (op.getMask() && !left.contains(op))
        attentions.push_back(op);
    if (attentions.empty())
      break;
    std::string reason;
    unsigned count = pack(attentions, reason);
    packed += count;
    if (count > 0)
      continue;
    left.insert(attentions.front());
    reasons[reason].push_back(attentions.front());
  }
  std::string text = std::to_string(packed) + (packed == 1 ? " attention" : " attentions") + " without padding";
  for (auto &[reason, ops] : reasons)
    text += "; " + std::to_string(ops.size()) + " left, first \"" + nodeName(ops.front()->getLoc()) + "\": " + reason;
  if (packed == 0 && left.empty())
    text += "; none has a mask";
  function->setAttr(kPaddingAttr, StringAttr::get(&getContext(), text));
  numPacked += packed;
}
