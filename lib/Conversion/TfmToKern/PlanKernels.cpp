//===- PlanKernels.cpp - decide which operations share a kernel --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "permalloy/Analysis/SymbolicShapes.h"
#include "permalloy/Conversion/Passes.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace permalloy {
#define GEN_PASS_DEF_PLANKERNELS
#include "permalloy/Conversion/Passes.h.inc"
} // namespace permalloy

namespace {

bool isSource(Operation *op) { return isa<ConstantOp, GetWeightOp>(op); }

bool isElementwise(Operation *op) { return isa<UnaryOp, BinaryOp, CompareOp, SelectOp, CastOp>(op); }

/// Its value at an index follows from a few values of its operands, so a consumer can compute it in place.
bool isPullable(Operation *op) {
  return isElementwise(op) || isa<RotaryOp, ReshapeOp, BroadcastOp, TransposeOp, SliceOp, ConcatOp, GatherOp, GatherNDOp, RangeOp,
                                  DimValuesOp, ShapeOfOp>(op);
}

/// Roots that read each operand element many times: producers are stored, not recomputed.
bool rereadsOperands(Operation *op) { return isa<LinearOp, MatmulOp, AttentionOp, TopKOp, ScatterOp, GroupByOp, GroupedLinearOp, PrefixCountOp>(op); }

class Planner {
public:
  Planner(func::FuncOp function) : function(function) {}

  void copyRanges();
  void joinEpilogues();
  void joinRouters();
  void joinProducers();
  void write();

  unsigned groups = 0, epilogues = 0, producers = 0;

private:
  /// The one operation that uses the result of `op`, or null.
  Operation *onlyUser(Operation *op) {
    Value result = op->getResult(0);
    return result.hasOneUse() ? *result.user_begin() : nullptr;
  }
  /// The one group that all users of `op` are in, if its root takes producers in.
  std::optional<unsigned> commonGroup(Operation *op);
  unsigned newGroup(Operation *root) {
    rootOf.push_back(root);
    return rootOf.size() - 1;
  }

  func::FuncOp function;
  SymbolicShapes shapes;
  DenseMap<Operation *, unsigned> groupOf;
  SmallVector<Operation *> rootOf;
};

/// Counting costs nothing: each user counts by itself rather than read what a kernel stored.
void Planner::copyRanges() {
  SmallVector<RangeOp> ranges(function.getOps<RangeOp>());
  for (RangeOp range : ranges)
    while (range.getSize() && !range->use_empty() && !range->hasOneUse()) {
      OpBuilder builder(range);
      range->use_begin()->set(builder.clone(*range)->getResult(0));
    }
}

/// linear -> add -> ...: each next operation is the only user, elementwise, and of the same shape.
void Planner::joinEpilogues() {
  for (auto linear : function.getOps<LinearOp>()) {
    unsigned group = newGroup(linear);
    groupOf[linear] = group;
    Operation *last = linear;
    for (Operation *next = onlyUser(last); next; next = onlyUser(last)) {
      if (!isa<UnaryOp, BinaryOp>(next) || groupOf.contains(next) ||
          !isa<FloatType>(getElementTypeOrSelf(next->getResult(0).getType())) ||
          !shapes.equalShapes(next->getResult(0), linear.getResult()))
        break;
      groupOf[next] = group;
      last = next;
      ++epilogues;
    }
  }
}

/// top_k -> its weights, its groups: one kernel, which walks the tokens once.
void Planner::joinRouters() {
  for (auto sort : function.getOps<GroupByOp>()) {
    auto choice = sort.getInput().getDefiningOp<TopKOp>();
    SmallVector<Operation *> parts = {sort};
    if (choice)
      for (Operation *user : choice->getUsers())
        if (auto weights = dyn_cast<MoeWeightsOp>(user); weights && weights.getLogits() == choice.getInput())
          parts.push_back(user);
    if (parts.size() != 2)
      continue;
    unsigned group = newGroup(sort);
    groupOf[choice] = group;
    for (Operation *part : parts)
      groupOf[part] = group;
  }
}

std::optional<unsigned> Planner::commonGroup(Operation *op) {
  std::optional<unsigned> common;
  for (Operation *user : op->getUsers()) {
    auto it = groupOf.find(user);
    if (it == groupOf.end() || (common && *common != it->second))
      return std::nullopt;
    common = it->second;
  }
  if (common && rereadsOperands(rootOf[*common]))
    return std::nullopt;
  return common;
}

/// From the last operation to the first, so that users are decided before their producers.
void Planner::joinProducers() {
  for (Operation &op : llvm::reverse(function.getBody().front())) {
    if (!isa<TfmDialect>(op.getDialect()) || isSource(&op) || isa<BindSizeOp, IfOp, WhileOp>(op) ||
        groupOf.contains(&op))
      continue;
    std::optional<unsigned> group = isPullable(&op) ? commonGroup(&op) : std::nullopt;
    if (group)
      ++producers;
    else if (isa<ReshapeOp>(op))
      continue; // a view
    else
      group = newGroup(&op);
    groupOf[&op] = *group;
  }
}

/// Numbers groups in program order.
void Planner::write() {
  DenseMap<unsigned, int64_t> number;
  Builder builder(function.getContext());
  for (Operation &op : function.getBody().front()) {
    auto it = groupOf.find(&op);
    if (it == groupOf.end())
      continue;
    auto [entry, isNew] = number.try_emplace(it->second, groups);
    groups += isNew;
    op.setAttr(kGroupAttr, builder.getI64IntegerAttr(entry->second));
  }
}

struct PlanKernels : permalloy::impl::PlanKernelsBase<PlanKernels> {
  void runOnOperation() override {
    if (getOperation().isExternal())
      return;
    Planner planner(getOperation());
    planner.copyRanges();
    planner.joinEpilogues();
    planner.joinRouters();
    planner.joinProducers();
    planner.write();
    numGroups += planner.groups;
    numEpilogues += planner.epilogues;
    numPrologues += planner.producers;
  }
};

} // namespace
