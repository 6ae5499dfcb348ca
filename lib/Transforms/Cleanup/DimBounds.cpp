//===- DimBounds.cpp - largest values of symbols -----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "DimBounds.h"
#include "../Rewriting.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

DimBounds::DimBounds(func::FuncOp function) {
  auto stored = function->getAttrOfType<DictionaryAttr>(TfmDialect::kDimRangesAttr);
  if (!stored)
    return;
  for (NamedAttribute entry : stored) {
    auto ends = dyn_cast<ArrayAttr>(entry.getValue());
    auto low = ends && ends.size() == 2 ? dyn_cast<IntegerAttr>(ends[0]) : IntegerAttr();
    auto high = low ? dyn_cast<IntegerAttr>(ends[1]) : IntegerAttr();
    if (high)
      ranges[entry.getName().str()] = {low.getInt(), high.getInt()};
  }
}

void DimBounds::store(func::FuncOp function) const {
  Builder builder(function.getContext());
  SmallVector<NamedAttribute> entries;
  for (auto &[name, range] : ranges)
    entries.push_back(builder.getNamedAttr(name, builder.getI64ArrayAttr({range.low, range.high})));
  if (!entries.empty())
    function->setAttr(TfmDialect::kDimRangesAttr, builder.getDictionaryAttr(entries));
}

std::optional<int64_t> DimBounds::max(StringRef symbol) const {
  auto it = ranges.find(symbol.str());
  return it == ranges.end() ? std::nullopt : std::optional(it->second.high);
}

void DimBounds::add(StringRef symbol, int64_t max) {
  int64_t &high = ranges[symbol.str()].high;
  high = std::min(high, max);
}

void DimBounds::merge(StringRef symbol, StringRef other) {
  auto it = ranges.find(symbol.str());
  if (it == ranges.end())
    return;
  Range &range = ranges[other.str()];
  range = {std::max(range.low, it->second.low), std::min(range.high, it->second.high)};
  ranges.erase(symbol.str());
}

/// The symbol and the constant of min(constant, symbol).
static std::optional<std::pair<DimExprAttr, int64_t>> asClampedSymbol(DimExprAttr expr) {
  if (expr.getKind() != DimKind::Min)
    return std::nullopt;
  DimExprAttr a = expr.operand(0), b = expr.operand(1);
  if (b.asConstant())
    std::swap(a, b);
  if (!a.asConstant() || b.getKind() != DimKind::Symbol)
    return std::nullopt;
  return std::pair(b, *a.asConstant());
}

/// `a` and `b` are broadcast together: where `b` is a symbol and `a` clamps it, the symbol is at
/// most the clamp. With a clamp of 1 a larger symbol is legal broadcasting and says nothing.
static void learn(DimBounds &bounds, DimExprAttr a, DimExprAttr b) {
  auto clamped = asClampedSymbol(a);
  if (clamped && clamped->first == b && clamped->second > 1 && isDerived(b))
    bounds.add(b.getName(), clamped->second);
}

void DimBounds::addImplied(func::FuncOp function) {
  if (function.isPrivate()) // a branch or the body of a loop: the runtime checks the ranges of @main only
    return;
  SymbolicShapes shapes;
  function.walk([&](Operation *op) {
    if (!isElementwise(op))
      return;
    for (Value x : op->getOperands())
      for (Value y : op->getOperands()) {
        Dims dimsOfX = shapes.dims(x), dimsOfY = shapes.dims(y);
        for (auto [a, b] : llvm::zip(llvm::reverse(dimsOfX), llvm::reverse(dimsOfY)))
          learn(*this, a, b);
      }
  });
}

DimExprAttr DimBounds::simplify(DimExprAttr expr) const {
  if (ranges.empty() || !expr || expr.getOperands().empty())
    return expr;
  if (auto clamped = asClampedSymbol(expr))
    if (auto bound = max(clamped->first.getName()); bound && *bound <= clamped->second)
      return clamped->first;
  DimExprAttr result = simplify(expr.operand(0));
  for (unsigned i = 1, e = expr.getOperands().size(); i < e; ++i) {
    DimExprAttr next = simplify(expr.operand(i));
    switch (expr.getKind()) {
    case DimKind::Add:
      result = DimExprAttr::add(result, next);
      break;
    case DimKind::Mul:
      result = DimExprAttr::mul(result, next);
      break;
    case DimKind::FloorDiv:
      result = DimExprAttr::floorDiv(result, next);
      break;
    case DimKind::Mod:
      result = DimExprAttr::mod(result, next);
      break;
    case DimKind::Max:
      result = DimExprAttr::max(result, next);
      break;
    case DimKind::Min:
      result = DimExprAttr::min(result, next);
      break;
    case DimKind::Constant:
    case DimKind::Symbol:
      llvm_unreachable("leaves have no operands");
    }
  }
  return result;
}

bool DimBounds::atMost(DimExprAttr expr, DimExprAttr limit) const {
  if (auto room = DimExprAttr::sub(limit, expr).asConstant())
    return *room >= 0;
  auto bound = expr.getKind() == DimKind::Symbol ? max(expr.getName()) : std::nullopt;
  return bound && limit.asConstant() && *bound <= *limit.asConstant();
}
