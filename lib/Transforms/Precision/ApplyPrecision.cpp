//===- ApplyPrecision.cpp - operands of products to bf16 ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Three steps, each of which leaves a correct function:
//
//   1. operands of the operations that are marked are cast to bf16, each value once, right behind it; weights as well, which
//      fold-weights records;
//   2. from the last operation to the first, a result that is only wanted in bf16 is given in bf16, so that its kernel rounds
//      what it stores and nothing casts it;
//   3. attention takes keys and values where the layers wrote them, not a transposed copy.
//
//===----------------------------------------------------------------------===//

#include "../Rewriting.h"
#include "permalloy/Transforms/Passes.h"
#include "permalloy/Transforms/Precision.h"

namespace permalloy {
#define GEN_PASS_DEF_APPLYPRECISION
#include "permalloy/Transforms/Passes.h.inc"
} // namespace permalloy

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

RankedTensorType typeOf(Value value) { return cast<RankedTensorType>(value.getType()); }
RankedTensorType withElement(Type type, Type element) {
  auto tensor = cast<RankedTensorType>(type);
  return RankedTensorType::get(tensor.getShape(), element, tensor.getEncoding());
}
bool isLayout(Operation *op) { return isa<ReshapeOp, TransposeOp, SliceOp>(op); }

class Narrower {
public:
  explicit Narrower(func::FuncOp function)
      : function(function), bf16(BFloat16Type::get(function.getContext())), f32(Float32Type::get(function.getContext())) {}

  /// Step 1; false for an operation that is not marked.
  bool lower(Operation *op);
  /// Step 2.
  void narrowResults();
  /// Step 3.
  void unsplitKeys();

  /// Weights that are read in bf16.
  SmallVector<StringAttr> weights;

private:
  Value narrow(Value value);
  Value widen(Value value, Operation *before);
  void narrowOperand(OpOperand &operand) { operand.set(narrow(operand.get())); }
  bool isNarrowing(Operation *op) { return isa<CastOp>(op) && typeOf(op->getResult(0)).getElementType() == bf16; }
  bool onlyNarrowed(Value value, bool behindLayout, bool &wanted, bool &returned);
  void retype(Value value);

  func::FuncOp function;
  Type bf16, f32;
  DenseMap<Value, Value> casts;
};

/// `value` in bf16. The cast stands before reshapes, which are views, so that the kernel that makes the value can write it.
Value Narrower::narrow(Value value) {
  if (typeOf(value).getElementType() == bf16)
    return value;
  Value &known = casts[value];
  if (known)
    return known;
  if (auto reshape = value.getDefiningOp<ReshapeOp>(); reshape && reshape.getDims()) {
    Value input = narrow(reshape.getInput());
    OpBuilder builder(reshape);
    builder.setInsertionPointAfter(reshape);
    Operation *copy = builder.clone(*reshape);
    copy->setOperand(0, input);
    copy->getResult(0).setType(withElement(value.getType(), bf16));
    return casts[value] = copy->getResult(0);
  }
  OpBuilder builder(function.getContext());
  builder.setInsertionPointAfterValue(value);
  if (auto decode = value.getDefiningOp<DequantizeOp>()) { // rounds once, to what is wanted
    Operation *copy = builder.clone(*decode);
    copy->getResult(0).setType(withElement(value.getType(), bf16));
    return casts[value] = copy->getResult(0);
  }
  if (auto weight = value.getDefiningOp<GetWeightOp>())
    weights.push_back(weight.getWeightAttr().getAttr());
  return casts[value] = CastOp::create(builder, value.getLoc(), withElement(value.getType(), bf16), value);
}

Value Narrower::widen(Value value, Operation *before) {
  OpBuilder builder(before);
  return CastOp::create(builder, value.getLoc(), withElement(value.getType(), f32), value);
}

bool Narrower::lower(Operation *op) {
  auto precision = op->getAttrOfType<StringAttr>(kPrecisionAttr);
  if (precision && precision != kSplitPrecision && precision != kTf32Precision) // what a target makes of those, its code generator decides
    op->removeAttr(kPrecisionAttr);
  op->removeAttr(kPrecisionReasonAttr);
  if (!precision || precision != "bf16")
    return false;
  if (auto linear = dyn_cast<LinearOp>(op)) {
    if (isa_and_nonnull<ExpandBlocksOp, ExpandQuadsOp>(linear.getWeight().getDefiningOp()))
      return false; // what is kept is multiplied in f32
    narrowOperand(linear.getInputMutable());
    narrowOperand(linear.getWeightMutable());
  } else if (auto attention = dyn_cast<AttentionOp>(op)) {
    for (OpOperand *operand : {&attention.getQueryMutable(), &attention.getKeyMutable(), &attention.getValueMutable()})
      narrowOperand(*operand);
  } else if (auto moe = dyn_cast<MoeOp>(op)) {
    for (OpOperand *operand : {&moe.getInputMutable(), &moe.getUpMutable(), &moe.getDownMutable()})
      narrowOperand(*operand);
  } else {
    return false;
  }
  return true;
}

/// Whether nobody needs more of `value` than bf16. `wanted`: somebody reads it in bf16. A result of the function, moved, may be
/// rounded where only attention reads it: it holds the keys or values that attention saw. `returned` says that there is one.
bool Narrower::onlyNarrowed(Value value, bool behindLayout, bool &wanted, bool &returned) {
  auto wants = [&](bool bf16) {
    wanted |= bf16;
    return bf16;
  };
  return llvm::all_of(value.getUses(), [&](OpOperand &use) {
    Operation *user = use.getOwner();
    if (isNarrowing(user)) {
      auto feedsAttention = [](Operation *reader) { return isa<AttentionOp>(reader); };
      wanted = true;
      return !returned || llvm::all_of(user->getUsers(), feedsAttention);
    }
    if (auto rotary = dyn_cast<RotaryOp>(user))
      return !returned && wants(rotary.getInput() == value && typeOf(rotary).getElementType() == bf16);
    if (isLayout(user) && use.getOperandNumber() == 0)
      return onlyNarrowed(user->getResult(0), true, wanted, returned);
    if (auto product = dyn_cast<BinaryOp>(user); product && product.getKind() == BinaryKind::Mul && product->hasOneUse())
      return !returned && wants(isNarrowing(*product->user_begin()));
    bool isKept = isa<func::ReturnOp>(user) && behindLayout;
    returned |= isKept;
    return isKept;
  });
}

/// Gives `value` in bf16 to all that onlyNarrowed has seen.
void Narrower::retype(Value value) {
  value.setType(withElement(value.getType(), bf16));
  for (OpOperand &use : llvm::make_early_inc_range(value.getUses())) {
    Operation *user = use.getOwner();
    if (isNarrowing(user)) {
      user->getResult(0).replaceAllUsesWith(value);
      user->erase();
    } else if (isLayout(user)) {
      retype(user->getResult(0));
    } else if (isa<BinaryOp, func::ReturnOp>(user)) {
      use.set(widen(value, user));
    }
  }
}

void Narrower::narrowResults() {
  SmallVector<Operation *> producers;
  function.walk([&](Operation *op) {
    if (isa<LinearOp, RotaryOp, AttentionOp>(op))
      producers.push_back(op);
  });
  for (Operation *op : llvm::reverse(producers)) {
    Value result = op->getResult(0);
    bool wanted = false, returned = false;
    if (typeOf(result).getElementType() != f32 || !onlyNarrowed(result, false, wanted, returned) || !wanted)
      continue;
    // Again, now that `returned` is known from the first use on.
    if (returned && !onlyNarrowed(result, false, wanted, returned))
      continue;
    retype(result);
  }
}

/// A kernel that begins with a layer stores the value.
static bool isStoredByLayer(Value value) {
  Operation *op = value.getDefiningOp();
  while (op && isa<UnaryOp, BinaryOp, CastOp>(op))
    op = op->getOperand(0).getDefiningOp();
  return isa_and_nonnull<LinearOp>(op);
}

/// [batch, sequence, heads * size] that `value`, [batch, heads, sequence, size], was split from; null where it was not, or
/// where no layer stored it so.
static Value packedRows(Value value, SymbolicShapes &shapes) {
  auto transpose = value.getDefiningOp<TransposeOp>();
  if (!transpose || transpose.getPerm() != ArrayRef<int64_t>{0, 2, 1, 3})
    return {};
  auto split = transpose.getInput().getDefiningOp<ReshapeOp>();
  if (!split || !isStoredByLayer(split.getInput()) || typeOf(split.getInput()).getRank() != 3)
    return {};
  Dims from = shapes.dims(split.getInput()), to = shapes.dims(split);
  bool splits = from[0] == to[0] && from[1] == to[1] && from[2] == DimExprAttr::mul(to[2], to[3]);
  return splits ? split.getInput() : Value();
}

void Narrower::unsplitKeys() {
  SymbolicShapes shapes;
  for (auto attention : function.getOps<AttentionOp>()) {
    if (typeOf(attention.getKey()).getElementType() != bf16 || attention.getKvLength())
      continue;
    Value key = packedRows(attention.getKey(), shapes), value = packedRows(attention.getValue(), shapes);
    if (!key || !value)
      continue;
    for (auto [operand, packed] : {std::pair(&attention.getKeyMutable(), key), std::pair(&attention.getValueMutable(), value)}) {
      Operation *split = operand->get().getDefiningOp();
      operand->set(packed);
      while (split && isLayout(split) && split->use_empty()) {
        Operation *dead = std::exchange(split, split->getOperand(0).getDefiningOp());
        dead->erase();
      }
    }
  }
}

/// Embeddings that are a layer's weight, too, are taken from its bf16, and widened.
void gatherNarrow(ModuleOp module, ArrayRef<StringAttr> weights) {
  llvm::DenseSet<StringAttr> narrow(weights.begin(), weights.end());
  module.walk([&](GatherOp gather) {
    auto table = gather.getInput().getDefiningOp<GetWeightOp>();
    if (!table || !narrow.contains(table.getWeightAttr().getAttr()))
      return;
    OpBuilder builder(gather);
    Type bf16 = builder.getBF16Type();
    Value small = CastOp::create(builder, table.getLoc(), withElement(table.getType(), bf16), table);
    Type wide = gather.getType();
    gather.getInputMutable().assign(small);
    gather.getResult().setType(withElement(wide, bf16));
    builder.setInsertionPointAfter(gather);
    auto back = CastOp::create(builder, gather.getLoc(), wide, gather);
    gather.getResult().replaceAllUsesExcept(back, back);
  });
}

struct ApplyPrecision : permalloy::impl::ApplyPrecisionBase<ApplyPrecision> {
  void runOnOperation() override {
    SmallVector<StringAttr> weights;
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      if (function.isExternal())
        continue;
      Narrower narrower(function);
      SmallVector<Operation *> products;
      function.walk([&](Operation *op) {
        if (isa<TfmDialect>(op->getDialect()) && hasProducts(op))
          products.push_back(op);
      });
      unsigned lowered = 0;
      for (Operation *op : products)
        lowered += narrower.lower(op);
      numLowered += lowered;
      if (lowered == 0)
        continue;
      narrower.narrowResults();
      narrower.unsplitKeys();
      llvm::append_range(weights, narrower.weights);
    }
    gatherNarrow(getOperation(), weights);
  }
};

} // namespace
