//===- ExprTable.cpp - dimension expressions as table rows -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "ExprTable.h"

using namespace permalloy;
using artifact::ExprOp;
using tfm::DimExprAttr;
using tfm::DimKind;

static ExprOp opOf(DimKind kind) {
  switch (kind) {
  case DimKind::Constant: return ExprOp::constant;
  case DimKind::Symbol: return ExprOp::symbol;
  case DimKind::Add: return ExprOp::add;
  case DimKind::Mul: return ExprOp::mul;
  case DimKind::FloorDiv: return ExprOp::floorDiv;
  case DimKind::Mod: return ExprOp::mod;
  case DimKind::Max: return ExprOp::max;
  case DimKind::Min: return ExprOp::min;
  }
  llvm_unreachable("unknown kind of dimension expression");
}

uint32_t ExprTable::row(DimExprAttr expr) {
  auto it = known.find(expr);
  if (it != known.end())
    return it->second;
  uint32_t result;
  if (expr.getKind() == DimKind::Constant) {
    result = rows.constant(expr.getValue());
  } else if (expr.getKind() == DimKind::Symbol) {
    result = rows.symbol(symbols.lookup(expr.getName()));
  } else {
    result = row(expr.operand(0));
    for (unsigned i = 1, e = expr.getOperands().size(); i < e; ++i)
      result = rows.binary(opOf(expr.getKind()), result, row(expr.operand(i)));
  }
  return known[expr] = result;
}

uint32_t ExprTable::atMost(DimExprAttr a, DimExprAttr b) {
  uint32_t left = row(a), right = row(b);
  return rows.binary(ExprOp::le, left, right);
}

uint32_t ExprTable::broadcast(DimExprAttr a, DimExprAttr b) {
  uint32_t left = row(a), right = row(b), one = rows.constant(1);
  uint32_t either = rows.binary(ExprOp::logicalOr, rows.binary(ExprOp::eq, left, one), rows.binary(ExprOp::eq, right, one));
  return rows.binary(ExprOp::logicalOr, rows.binary(ExprOp::eq, left, right), either);
}
