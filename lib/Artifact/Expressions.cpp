//===- Expressions.cpp - build, evaluate and print size expressions --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Artifact/Expressions.h"

namespace permalloy::artifact {

//===-- Building ----------------------------------------------------------===//

ExprBuilder::ExprBuilder(std::vector<Expr> &table) : table_(table) {
  for (uint32_t i = 0; i < table.size(); ++i)
    known_.try_emplace({table[i].op, table[i].lhs, table[i].rhs, table[i].value}, i);
}

uint32_t ExprBuilder::intern(const Expr &expr) {
  Key key{expr.op, expr.lhs, expr.rhs, expr.value};
  auto [entry, isNew] = known_.try_emplace(key, static_cast<uint32_t>(table_.size()));
  if (isNew)
    table_.push_back(expr);
  return entry->second;
}

uint32_t ExprBuilder::constant(int64_t value) { return intern({ExprOp::constant, 0, 0, value}); }

uint32_t ExprBuilder::symbol(uint32_t index) { return intern({ExprOp::symbol, index, 0, 0}); }

uint32_t ExprBuilder::binary(ExprOp op, uint32_t lhs, uint32_t rhs) {
  const Expr &left = table_[lhs], &right = table_[rhs];
  int64_t folded;
  if (left.op == ExprOp::constant && right.op == ExprOp::constant &&
      evaluateOp(op, left.value, right.value, folded))
    return constant(folded);
  if (right.op == ExprOp::constant && right.value == 1 &&
      (op == ExprOp::mul || op == ExprOp::floorDiv || op == ExprOp::ceilDiv))
    return lhs;
  if (left.op == ExprOp::constant && left.value == 1 && op == ExprOp::mul)
    return rhs;
  return intern({op, lhs, rhs, 0});
}

//===-- Evaluating --------------------------------------------------------===//

static bool divide(ExprOp op, int64_t lhs, int64_t rhs, int64_t &result) {
  if (rhs == 0 || (lhs == INT64_MIN && rhs == -1))
    return false;
  int64_t quotient = lhs / rhs, remainder = lhs % rhs;
  bool exact = remainder == 0, negative = (lhs < 0) != (rhs < 0);
  if (op == ExprOp::floorDiv)
    result = !exact && negative ? quotient - 1 : quotient;
  else if (op == ExprOp::ceilDiv)
    result = !exact && !negative ? quotient + 1 : quotient;
  else
    result = !exact && negative ? remainder + rhs : remainder;
  return true;
}

bool evaluateOp(ExprOp op, int64_t lhs, int64_t rhs, int64_t &result) {
  switch (op) {
  case ExprOp::add:
  case ExprOp::sub:
  case ExprOp::mul: {
    int64_t value;
    bool overflow = op == ExprOp::add   ? __builtin_add_overflow(lhs, rhs, &value)
                    : op == ExprOp::sub ? __builtin_sub_overflow(lhs, rhs, &value)
                                        : __builtin_mul_overflow(lhs, rhs, &value);
    if (!overflow)
      result = value;
    return !overflow;
  }
  case ExprOp::floorDiv:
  case ExprOp::ceilDiv:
  case ExprOp::mod:
    return divide(op, lhs, rhs, result);
  case ExprOp::min:
    return result = lhs < rhs ? lhs : rhs, true;
  case ExprOp::max:
    return result = lhs > rhs ? lhs : rhs, true;
  case ExprOp::eq:
    return result = lhs == rhs, true;
  case ExprOp::ne:
    return result = lhs != rhs, true;
  case ExprOp::lt:
    return result = lhs < rhs, true;
  case ExprOp::le:
    return result = lhs <= rhs, true;
  case ExprOp::logicalAnd:
    return result = lhs && rhs, true;
  case ExprOp::logicalOr:
    return result = lhs || rhs, true;
  case ExprOp::constant:
  case ExprOp::symbol:
    return false;
  }
  return false;
}

static Status arithmeticError(std::span<const Expr> table, std::span<const Symbol> symbols,
                              std::span<const int64_t> symbolValues, uint32_t index,
                              bool division) {
  std::string where;
  for (size_t i = 0; i < symbols.size(); ++i)
    where += (i ? ", " : " with ") + symbols[i].name + " = " + std::to_string(symbolValues[i]);
  return {StatusCode::invalidArgument, "the size " + exprText(table, symbols, index) +
                                           (division ? " divides by zero" : " exceeds 64 bits") +
                                           where};
}

Status evaluateAll(std::span<const Expr> table, std::span<const Symbol> symbols,
                   std::span<const int64_t> symbolValues, std::vector<int64_t> &values) {
  values.resize(table.size());
  for (uint32_t i = 0; i < table.size(); ++i) {
    const Expr &expr = table[i];
    if (expr.op == ExprOp::constant)
      values[i] = expr.value;
    else if (expr.op == ExprOp::symbol)
      values[i] = symbolValues[expr.lhs];
    else if (!evaluateOp(expr.op, values[expr.lhs], values[expr.rhs], values[i]))
      return arithmeticError(table, symbols, symbolValues, i,
                             expr.op != ExprOp::mul && values[expr.rhs] == 0);
  }
  return {};
}

//===-- Printing ----------------------------------------------------------===//

static const char *opText(ExprOp op) {
  switch (op) {
  case ExprOp::add:
    return " + ";
  case ExprOp::sub:
    return " - ";
  case ExprOp::mul:
    return " * ";
  case ExprOp::floorDiv:
    return " floordiv ";
  case ExprOp::ceilDiv:
    return " ceildiv ";
  case ExprOp::mod:
    return " mod ";
  case ExprOp::eq:
    return " == ";
  case ExprOp::ne:
    return " != ";
  case ExprOp::lt:
    return " < ";
  case ExprOp::le:
    return " <= ";
  case ExprOp::logicalAnd:
    return " and ";
  case ExprOp::logicalOr:
    return " or ";
  case ExprOp::min:
  case ExprOp::max:
  case ExprOp::constant:
  case ExprOp::symbol:
    break;
  }
  return ", ";
}

namespace {

/// Prints with as few parentheses as + and * allow. Shared sub-expressions make a table of n rows
/// print as 2^n terms; `depth` cuts that off.
struct ExprPrinter {
  std::span<const Expr> table;
  std::span<const Symbol> symbols;

  static int precedence(ExprOp op) {
    if (op == ExprOp::mul)
      return 3;
    if (op == ExprOp::add)
      return 2;
    return op == ExprOp::constant || op == ExprOp::symbol ? 9 : 1;
  }

  std::string print(uint32_t index, int outer, int depth) const {
    const Expr &expr = table[index];
    if (expr.op == ExprOp::constant)
      return std::to_string(expr.value);
    if (expr.op == ExprOp::symbol)
      return symbols[expr.lhs].name;
    if (depth == 0)
      return "...";
    bool isCall = expr.op == ExprOp::min || expr.op == ExprOp::max;
    int inner = isCall ? 0 : precedence(expr.op);
    // Operators other than + and * bind nothing: each of their operands that is not a leaf gets
    // parentheses.
    int operandOuter = inner == 1 ? 4 : inner;
    std::string text = print(expr.lhs, operandOuter, depth - 1) + opText(expr.op) +
                       print(expr.rhs, operandOuter, depth - 1);
    if (isCall)
      return std::string(expr.op == ExprOp::min ? "min(" : "max(").append(text).append(")");
    return inner < outer ? std::string("(").append(text).append(")") : text;
  }
};

} // namespace

std::string exprText(std::span<const Expr> table, std::span<const Symbol> symbols, uint32_t index) {
  if (index == kNone)
    return "0";
  return ExprPrinter{table, symbols}.print(index, 0, 8);
}

} // namespace permalloy::artifact
