//===- UnifyDims.cpp - symbols that operations force to be equal -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "DimBounds.h"
#include "permalloy/Transforms/Passes.h"
#include "llvm/ADT/StringSet.h"

namespace permalloy {
#define GEN_PASS_DEF_UNIFYDIMS
#include "permalloy/Transforms/Passes.h.inc"
} // namespace permalloy

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

/// Finds an equation between two dimensions and solves it for one symbol.
class Unifier {
public:
  Unifier(func::FuncOp function) : function(function), bounds(function) {}
  /// Replaces one symbol everywhere; false when there is nothing left to learn.
  bool step();

private:
  struct Solution {
    StringAttr symbol;
    DimExprAttr value;
  };
  std::optional<Solution> learn(Operation *op);
  std::optional<Solution> solve(DimExprAttr a, DimExprAttr b);
  std::optional<Solution> solveFor(StringRef symbol, DimExprAttr difference);
  void replace(const Solution &solution);
  llvm::StringSet<> sharedSymbols();

  func::FuncOp function;
  DimBounds bounds;
  SymbolicShapes shapes;
  /// Symbols in the order in which the arguments bind them.
  SmallVector<StringAttr> order;
};

} // namespace

/// `difference` == 0 as symbol == value, where the value is a size that other symbols give.
std::optional<Unifier::Solution> Unifier::solveFor(StringRef symbol, DimExprAttr difference) {
  MLIRContext *context = difference.getContext();
  DimExprAttr self = DimExprAttr::symbol(context, symbol);
  DimExprAttr rest = difference.substitute([&](StringRef name) {
    return name == symbol ? DimExprAttr::constant(context, 0) : DimExprAttr();
  });
  DimExprAttr term = DimExprAttr::sub(difference, rest), value;
  if (term == self)
    value = DimExprAttr::mul(rest, DimExprAttr::constant(context, -1));
  else if (DimExprAttr::mul(term, DimExprAttr::constant(context, -1)) == self)
    value = rest;
  if (!value || !value.isNotNegative() || value.asConstant())
    return std::nullopt;
  // A range of the symbol goes over to another symbol, but there is none for an expression.
  if (bounds.max(symbol) && value.getKind() != DimKind::Symbol)
    return std::nullopt;
  return Solution{StringAttr::get(context, symbol), value};
}

/// The symbol that is bound last goes.
std::optional<Unifier::Solution> Unifier::solve(DimExprAttr a, DimExprAttr b) {
  if (a == b || !isDerived(a) || !isDerived(b))
    return std::nullopt;
  DimExprAttr difference = DimExprAttr::sub(a, b);
  for (StringAttr symbol : llvm::reverse(order))
    if (auto solution = solveFor(symbol, difference))
      return solution;
  return std::nullopt;
}

/// Dimensions that an operation needs to be equal: none of them broadcasts.
static SmallVector<std::pair<DimExprAttr, DimExprAttr>> equalDims(Operation *op,
                                                                  SymbolicShapes &shapes) {
  SmallVector<std::pair<DimExprAttr, DimExprAttr>> result;
  if (auto matmul = dyn_cast<MatmulOp>(op)) {
    Dims a = shapes.dims(matmul.getLhs()), b = shapes.dims(matmul.getRhs());
    if (a.size() >= 2 && b.size() >= 2)
      result.push_back({a[a.size() - (matmul.getTransposeA() ? 2 : 1)],
                        b[b.size() - (matmul.getTransposeB() ? 1 : 2)]});
  } else if (auto concat = dyn_cast<ConcatOp>(op)) {
    Dims first = shapes.dims(concat.getInputs().front());
    for (Value input : concat.getInputs().drop_front())
      for (auto [i, pair] : llvm::enumerate(llvm::zip(first, shapes.dims(input))))
        if (i != concat.getAxis())
          result.push_back({std::get<0>(pair), std::get<1>(pair)});
  } else if (auto attention = dyn_cast<AttentionOp>(op)) {
    Dims q = shapes.dims(attention.getQuery()), k = shapes.dims(attention.getKey()),
         v = shapes.dims(attention.getValue());
    result = {{q[0], k[0]}, {q[0], v[0]}, {k[attention.keyAxis()], v[attention.keyAxis()]}};
  }
  return result;
}

std::optional<Unifier::Solution> Unifier::learn(Operation *op) {
  for (auto [a, b] : equalDims(op, shapes))
    if (auto solution = solve(a, b))
      return solution;
  return std::nullopt;
}

/// An attribute with `map` applied to every dimension expression in it.
static Attribute mapDims(Attribute attribute, function_ref<DimExprAttr(DimExprAttr)> map) {
  if (auto expr = dyn_cast<DimExprAttr>(attribute))
    return map(expr);
  if (auto atMost = dyn_cast<AtMostAttr>(attribute))
    return AtMostAttr::get(attribute.getContext(), map(atMost.getSmaller()),
                           map(atMost.getLarger()), atMost.getUser());
  auto list = dyn_cast<ArrayAttr>(attribute);
  if (!list)
    return attribute;
  SmallVector<Attribute> mapped;
  for (Attribute element : list)
    mapped.push_back(mapDims(element, map));
  return ArrayAttr::get(attribute.getContext(), mapped);
}

void Unifier::replace(const Solution &solution) {
  auto map = [&](DimExprAttr expr) {
    return expr.substitute(
        [&](StringRef name) { return name == solution.symbol ? solution.value : DimExprAttr(); });
  };
  function.walk([&](Operation *op) {
    for (NamedAttribute attribute : op->getAttrs())
      op->setAttr(attribute.getName(), mapDims(attribute.getValue(), map));
  });
  auto mapped = [&](ArrayAttr dims) { return cast<ArrayAttr>(mapDims(dims, map)); };
  StringRef name = TfmDialect::kDimsAttr;
  for (unsigned i = 0; i < function.getNumArguments(); ++i)
    if (auto dims = function.getArgAttrOfType<ArrayAttr>(i, name))
      function.setArgAttr(i, name, mapped(dims));
  for (unsigned i = 0; i < function.getNumResults(); ++i)
    if (auto dims = function.getResultAttrOfType<ArrayAttr>(i, name))
      function.setResultAttr(i, name, mapped(dims));
  if (auto high = bounds.max(solution.symbol))
    bounds.merge(solution.symbol, solution.value.getName());
}

/// Symbols that branches and bodies of loops know by their names: they are other functions.
llvm::StringSet<> Unifier::sharedSymbols() {
  llvm::StringSet<> symbols;
  function.walk([&](Operation *op) {
    if (!isa<IfOp, WhileOp>(op))
      return;
    for (Value operand : op->getOperands())
      for (DimExprAttr dim : shapes.dims(operand))
        dim.walkSymbols([&](StringRef name) { symbols.insert(name); });
  });
  return symbols;
}

bool Unifier::step() {
  shapes = SymbolicShapes();
  order.clear();
  llvm::StringSet<> shared = sharedSymbols();
  for (BlockArgument argument : function.getArguments())
    for (DimExprAttr dim : shapes.dims(argument))
      if (dim.getKind() == DimKind::Symbol && !shared.contains(dim.getName()) &&
          !llvm::is_contained(order, dim.getName()))
        order.push_back(dim.getName());
  std::optional<Solution> solution;
  function.walk([&](Operation *op) {
    solution = learn(op);
    return solution ? WalkResult::interrupt() : WalkResult::advance();
  });
  if (!solution)
    return false;
  replace(*solution);
  bounds.store(function);
  return true;
}

namespace {
class UnifyDims : public permalloy::impl::UnifyDimsBase<UnifyDims> {
  void runOnOperation() override {
    // A branch or body need not run, so what it needs does not have to hold.
    if (getOperation().isExternal() || getOperation().isPrivate())
      return;
    Unifier unifier(getOperation());
    while (unifier.step())
      ++numUnified;
  }
};
} // namespace
