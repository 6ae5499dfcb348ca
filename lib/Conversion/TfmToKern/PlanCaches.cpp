//===- PlanCaches.cpp - past keys and values kept in place -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A decoder gets past keys and values, joins new rows to them and returns the result for the next step:
//
//   %present = tfm.concat %past, %new {axis = 2}        copies all of the past at every step
//   %y = tfm.attention %q, %present, ...
//   return %y, %present
//
// When nobody else needs %past, the new rows can be written behind it where it lies. The runtime owns a buffer with room to
// spare for each such pair, and the step becomes an append that costs its new rows only:
//
//   %c  = kern.cache 0 %past least <P + S> dims [B, H, capacity, D]
//   %c1 = tfm.kv_append %c at <P>, %new
//   %y  = tfm.attention %q, %c1, ... kv_length <P + S>
//   return %y, kern.cache_view 0 %c1 dims [B, H, P + S, D]
//
//===----------------------------------------------------------------------===//

#include "permalloy/Analysis/SymbolicShapes.h"
#include "permalloy/Conversion/Passes.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace permalloy {
#define GEN_PASS_DEF_PLANCACHES
#include "permalloy/Conversion/Passes.h.inc"
} // namespace permalloy

namespace {

class CachePlanner {
public:
  CachePlanner(func::FuncOp function) : function(function) {}

  void run();

  unsigned caches = 0, refused = 0;

private:
  void collect();
  void refuse(BlockArgument past, const Twine &reason);
  void refuseHalves();
  void rewrite(BlockArgument past, ConcatOp concat);
  DimExprAttr capacitySymbol();
  std::string whyNot(BlockArgument past, ConcatOp concat);

  func::FuncOp function;
  SymbolicShapes shapes;
  /// What becomes a cache: the past and the concat that extends it.
  llvm::MapVector<BlockArgument, ConcatOp> pairs;
  DimExprAttr capacity;
};

/// The concat that `past` begins and that the function returns, if there is one.
ConcatOp presentOf(BlockArgument past) {
  for (Operation *user : past.getUsers()) {
    auto concat = dyn_cast<ConcatOp>(user);
    bool extends = concat && concat.getInputs().size() == 2 && concat.getInputs()[0] == past &&
                   concat.getAxis() == 2 && cast<RankedTensorType>(past.getType()).getRank() == 4;
    if (extends && llvm::any_of(concat->getUsers(), llvm::IsaPred<func::ReturnOp>))
      return concat;
  }
  return {};
}

/// Reads `value` as its key or value only.
bool readsAsKeyOrValue(Operation *op, Value value) {
  auto attention = dyn_cast<AttentionOp>(op);
  return attention && !attention.getKvLength() && attention.getQuery() != value && attention.getMask() != value;
}

std::string CachePlanner::whyNot(BlockArgument past, ConcatOp concat) {
  if (!past.hasOneUse())
    return "it is read by more than the concat";
  if (!isa<FloatType>(getElementTypeOrSelf(past.getType())))
    return "its elements are no floating-point numbers";
  unsigned returns = 0;
  for (Operation *user : concat->getUsers()) {
    returns += isa<func::ReturnOp>(user);
    if (!isa<func::ReturnOp>(user) && !readsAsKeyOrValue(user, concat))
      return ("what it grows to is read by " + user->getName().getStringRef() + " rather than as key or value of attention").str();
  }
  if (returns != 1 || llvm::count(function.getBody().front().getTerminator()->getOperands(), concat.getResult()) != 1)
    return "what it grows to is more than one output";
  Dims own = shapes.dims(past), grown = shapes.dims(concat);
  if (!own[1].asConstant() || !own[3].asConstant())
    return "its number of heads or their size is not constant: " + str(own);
  if (own[0].getKind() != DimKind::Symbol && !own[0].asConstant())
    return "its batch is no plain dimension: " + str(own);
  if (own[2].getKind() != DimKind::Symbol)
    return "its length is no dimension of its own: " + str(own);
  if (pairs.empty())
    return "";
  auto &[first, firstConcat] = pairs.front();
  Dims other = shapes.dims(first);
  if (other[0] != own[0] || other[2] != own[2] || shapes.dim(firstConcat, 2) != grown[2])
    return ("its dimensions " + str(own) + " are not those " + str(other) + " of the first cache");
  return "";
}

void CachePlanner::refuse(BlockArgument past, const Twine &reason) {
  function.setArgAttr(past.getArgNumber(), kern::kNoCacheAttr, StringAttr::get(function.getContext(), reason));
  ++refused;
}

void CachePlanner::collect() {
  for (BlockArgument past : function.getArguments()) {
    ConcatOp concat = presentOf(past);
    if (!concat)
      continue;
    std::string reason = whyNot(past, concat);
    if (reason.empty())
      pairs[past] = concat;
    else
      refuse(past, reason);
  }
}

/// Attention takes its number of keys from one place, so its key and value must both be caches or neither.
void CachePlanner::refuseHalves() {
  auto isCache = [&](Value value) {
    return llvm::any_of(pairs, [&](auto &pair) { return pair.second.getResult() == value; });
  };
  for (bool changed = true; changed;) {
    changed = false;
    for (auto attention : function.getOps<AttentionOp>()) {
      if (isCache(attention.getKey()) == isCache(attention.getValue()))
        continue;
      Value half = isCache(attention.getKey()) ? attention.getKey() : attention.getValue();
      auto it = llvm::find_if(pairs, [&](auto &pair) { return pair.second.getResult() == half; });
      refuse(it->first, "the attention that reads it has no cache for its other half");
      pairs.erase(it);
      changed = true;
      break;
    }
  }
}

/// A name that no dimension of the model has.
DimExprAttr CachePlanner::capacitySymbol() {
  llvm::StringSet<> taken;
  for (BlockArgument argument : function.getArguments())
    for (DimExprAttr dim : shapes.dims(argument))
      dim.walkSymbols([&](StringRef name) { taken.insert(name); });
  std::string name = "capacity";
  for (unsigned i = 1; taken.contains(name); ++i)
    name = "capacity_" + std::to_string(i);
  return DimExprAttr::symbol(function.getContext(), name);
}

void CachePlanner::rewrite(BlockArgument past, ConcatOp concat) {
  OpBuilder builder(concat);
  Location loc = concat.getLoc();
  Dims dims = shapes.dims(past), grown = shapes.dims(concat);
  DimExprAttr length = dims[2];
  dims[2] = capacity;
  auto type = cast<RankedTensorType>(past.getType());
  SmallVector<int64_t> shape(type.getShape());
  shape[2] = ShapedType::kDynamic;
  type = RankedTensorType::get(shape, type.getElementType());
  MLIRContext *context = builder.getContext();
  auto cache = kern::CacheOp::create(builder, loc, type, builder.getI64IntegerAttr(caches), past, grown[2], dimArray(context, dims));
  auto append = KvAppendOp::create(builder, loc, type, cache, length, concat.getInputs()[1]);
  auto live = kern::CacheViewOp::create(builder, loc, concat.getType(), builder.getI64IntegerAttr(caches), append, dimArray(context, grown));
  concat.getResult().replaceUsesWithIf(live, [](OpOperand &use) { return isa<func::ReturnOp>(use.getOwner()); });
  for (Operation *user : concat->getUsers())
    cast<AttentionOp>(user).setKvLengthAttr(grown[2]);
  concat.getResult().replaceAllUsesWith(append.getResult());
  concat.erase();
  ++caches;
}

void CachePlanner::run() {
  if (!function.getOps<kern::CacheOp>().empty())
    return; // planned before
  collect();
  refuseHalves();
  if (pairs.empty())
    return;
  capacity = capacitySymbol();
  for (auto &[past, concat] : pairs)
    rewrite(past, concat);
}

struct PlanCaches : permalloy::impl::PlanCachesBase<PlanCaches> {
  void runOnOperation() override {
    if (getOperation().isExternal() || getOperation().isPrivate())
      return; // a branch or the body of a loop, whose arguments are no inputs
    CachePlanner planner(getOperation());
    planner.run();
    numCaches += planner.caches;
    numRefused += planner.refused;
  }
};

} // namespace
