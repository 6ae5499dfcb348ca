//===- Routers.cpp - layers that choose experts, and what they read -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Routers.h"
#include "Tfm/Tfm.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

/// Whether `value` goes to results of the model only, moved or as positions of what is gathered.
static bool isOnlyReturned(Value value) {
  return llvm::all_of(value.getUsers(), [](Operation *user) {
    if (isa<func::ReturnOp>(user)) // a branch or the body of a loop returns to the model
      return !user->getParentOfType<func::FuncOp>().isPrivate();
    return isa<ReshapeOp, TransposeOp, CastOp, SliceOp, GatherOp, GatherNDOp>(user) && isOnlyReturned(user->getResult(0));
  });
}

/// Whether experts are chosen by this operand. A top_k whose choice is only returned, of tokens say, chooses none.
static bool isChosenBy(OpOperand &operand) {
  if (auto moe = dyn_cast<MoeOp>(operand.getOwner()))
    return moe.getLogits() == operand.get();
  auto topK = dyn_cast<TopKOp>(operand.getOwner());
  return topK && topK.getInput() == operand.get() && !isOnlyReturned(topK.getResult());
}

bool permalloy::isRouter(Value value) {
  return llvm::any_of(value.getUses(), [](OpOperand &use) {
    Operation *user = use.getOwner();
    return isChosenBy(use) || (isa<ReshapeOp, CastOp, SoftmaxOp, UnaryOp>(user) && isRouter(user->getResult(0)));
  });
}

static SmallVector<FlatSymbolRefAttr> functionsOf(Operation *op) {
  if (auto branch = dyn_cast<IfOp>(op))
    return {branch.getThenFunctionAttr(), branch.getElseFunctionAttr()};
  if (auto loop = dyn_cast<WhileOp>(op))
    return {loop.getBodyAttr()};
  return {};
}

RouterInputs::RouterInputs(ModuleOp module) {
  SymbolTable symbols(module);
  module.walk([&](Operation *op) {
    for (FlatSymbolRefAttr name : functionsOf(op))
      if (auto function = symbols.lookup<func::FuncOp>(name.getValue()); function && !function.isExternal()) {
        called[op].push_back(function);
        callers[function].push_back(op);
      }
    for (OpOperand &operand : op->getOpOperands())
      if (isChosenBy(operand))
        add(operand.get());
  });
  while (!open.empty()) {
    Value value = open.pop_back_val();
    if (auto argument = dyn_cast<BlockArgument>(value))
      addSources(argument);
    else
      addSources(value);
  }
}

/// What an argument of a branch or body is: operands stand in the order of arguments, behind the condition.
void RouterInputs::addSources(BlockArgument argument) {
  unsigned at = argument.getArgNumber() + 1;
  for (Operation *call : callers.lookup(argument.getOwner()->getParentOp())) {
    add(call->getOperand(at));
    if (isa<WhileOp>(call) && at <= call->getNumResults()) // carried: also from the turn before
      add(argument.getOwner()->getTerminator()->getOperand(at));
  }
}

void RouterInputs::addSources(Value value) {
  Operation *op = value.getDefiningOp();
  auto functions = called.find(op);
  if (functions == called.end()) {
    llvm::for_each(op->getOperands(), [&](Value operand) { add(operand); });
    return;
  }
  unsigned at = cast<OpResult>(value).getResultNumber();
  bool isLoop = isa<WhileOp>(op);
  add(op->getOperand(0));
  if (isLoop)
    add(op->getOperand(at + 1)); // where it takes no turn
  for (func::FuncOp function : functions->second) {
    Operation *end = function.getBody().front().getTerminator();
    add(end->getOperand(at + isLoop));
    if (isLoop) // how many turns it takes
      add(end->getOperand(0));
  }
}
