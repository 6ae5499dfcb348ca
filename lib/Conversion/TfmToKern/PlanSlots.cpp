//===- PlanSlots.cpp - a place in memory for every value ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Values are coloured into slots. A slot's size is an expression, so whether one value fits where another was is a question
// about all dimensions at once: it is answered by the signs of the coefficients of the difference of their sizes, which are
// polynomials of dimensions that are not negative.
//
//===----------------------------------------------------------------------===//

#include "permalloy/Analysis/SymbolicShapes.h"
#include "permalloy/Conversion/Passes.h"
#include <set>

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace permalloy {
#define GEN_PASS_DEF_PLANSLOTS
#include "permalloy/Conversion/Passes.h.inc"
} // namespace permalloy

namespace {

/// lhs <= rhs for all dimensions >= 0, provably.
bool provablyLessEqual(DimExprAttr lhs, DimExprAttr rhs) {
  DimExprAttr difference = DimExprAttr::sub(rhs, lhs);
  auto notNegative = [](DimExprAttr term) {
    if (auto constant = term.asConstant())
      return *constant >= 0;
    if (term.getKind() != DimKind::Mul)
      return true; // a symbol, or a nonlinear node of sizes
    auto coefficient = term.operand(term.getOperands().size() - 1).asConstant();
    return !coefficient || *coefficient >= 0;
  };
  if (difference.getKind() != DimKind::Add)
    return notNegative(difference);
  for (unsigned i = 0, e = difference.getOperands().size(); i < e; ++i)
    if (!notNegative(difference.operand(i)))
      return false;
  return true;
}

/// Slots whose size depends on data are placed while running, when its symbols are known; only values that are placed at the
/// same time may share one.
std::set<StringRef> dataSymbolsOf(DimExprAttr size) {
  std::set<StringRef> symbols;
  size.walkSymbols([&](StringRef name) {
    if (isDataSymbol(name))
      symbols.insert(name);
  });
  return symbols;
}

struct Slot {
  DimExprAttr size;
  int64_t freeAfter; ///< number of the last operation that reads its value
};

class SlotPlanner {
public:
  SlotPlanner(func::FuncOp function) : function(function) {}
  void run();
  unsigned numSlots() const { return slots.size(); }

private:
  DimExprAttr bytesOf(Value value) {
    int64_t width = std::max<int64_t>(1, getElementTypeOrSelf(value.getType()).getIntOrFloatBitWidth() / 8);
    return DimExprAttr::mul(shapes.numElements(value), DimExprAttr::constant(value.getContext(), width));
  }
  void numberAndMeasure();
  int64_t takeSlot(DimExprAttr size, int64_t begin, int64_t end);

  func::FuncOp function;
  SymbolicShapes shapes;
  DenseMap<Value, int64_t> lastUse;
  DenseSet<Value> returned;
  SmallVector<Slot> slots;
};

void SlotPlanner::numberAndMeasure() {
  int64_t number = 0;
  for (Operation &op : function.getBody().front()) {
    for (Value operand : op.getOperands())
      lastUse[kern::storageOf(operand)] = number;
    ++number;
  }
  for (Value value : function.getBody().front().getTerminator()->getOperands())
    returned.insert(kern::storageOf(value));
}

/// The free slot that wastes least: of equal size, else provably larger, else provably smaller and grown, else a new one.
int64_t SlotPlanner::takeSlot(DimExprAttr size, int64_t begin, int64_t end) {
  std::optional<size_t> larger, smaller;
  for (auto [i, slot] : llvm::enumerate(slots)) {
    if (slot.freeAfter >= begin || dataSymbolsOf(slot.size) != dataSymbolsOf(size))
      continue;
    if (slot.size == size) {
      slot.freeAfter = end;
      return i;
    }
    if (!larger && provablyLessEqual(size, slot.size))
      larger = i;
    if (!smaller && provablyLessEqual(slot.size, size))
      smaller = i;
  }
  if (!larger && !smaller) {
    slots.push_back({size, end});
    return slots.size() - 1;
  }
  Slot &slot = slots[larger ? *larger : *smaller];
  slot.size = larger ? slot.size : size;
  slot.freeAfter = end;
  return &slot - slots.data();
}

void SlotPlanner::run() {
  numberAndMeasure();
  int64_t number = 0;
  for (Operation &op : function.getBody().front()) {
    if (isa<kern::LaunchOp, IfOp, WhileOp>(op)) {
      SmallVector<int64_t> places;
      for (Value result : op.getResults()) {
        auto use = lastUse.find(result);
        int64_t end = use == lastUse.end() ? number : use->second;
        bool straight = returned.contains(result) && !dependsOnData(bytesOf(result));
        places.push_back(straight ? -1 : takeSlot(bytesOf(result), number, end));
      }
      op.setAttr(kResultSlotsAttr, DenseI64ArrayAttr::get(op.getContext(), places));
    }
    ++number;
  }
  Dims sizes;
  for (const Slot &slot : slots)
    sizes.push_back(slot.size);
  function->setAttr(kSlotsAttr, dimArray(function.getContext(), sizes));
}

struct PlanSlots : permalloy::impl::PlanSlotsBase<PlanSlots> {
  void runOnOperation() override {
    if (getOperation().isExternal())
      return;
    SlotPlanner planner(getOperation());
    planner.run();
    numSlots += planner.numSlots();
  }
};

} // namespace
