//===- Expressions.h - build, evaluate and print size expressions ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_ARTIFACT_EXPRESSIONS_H
#define PERMALLOY_ARTIFACT_EXPRESSIONS_H

#include "permalloy/Artifact/Format.h"
#include "permalloy/Artifact/Status.h"

#include <map>
#include <span>
#include <string>
#include <tuple>
#include <vector>

namespace permalloy::artifact {

/// Fills an expression table for the compiler: equal expressions share an index, and constants are
/// folded where that neither overflows nor divides by zero.
class ExprBuilder {
public:
  /// Appends to `table`, which must outlive the builder and be changed by it only.
  explicit ExprBuilder(std::vector<Expr> &table);

  uint32_t constant(int64_t value);
  /// The symbol with number `index` in Manifest::symbols.
  uint32_t symbol(uint32_t index);
  /// `op` of two earlier expressions; not for constant and symbol.
  uint32_t binary(ExprOp op, uint32_t lhs, uint32_t rhs);

private:
  using Key = std::tuple<ExprOp, uint32_t, uint32_t, int64_t>;
  uint32_t intern(const Expr &expr);

  std::vector<Expr> &table_;
  std::map<Key, uint32_t> known_;
};

/// `op` of two values. False on overflow and on division by 0; `result` is then unchanged.
bool evaluateOp(ExprOp op, int64_t lhs, int64_t rhs, int64_t &result);

/// Evaluates the whole table; `values` gets one entry per expression. The table must be valid
/// (operands earlier, symbols in range). An overflow names the expression and the symbols' values.
Status evaluateAll(std::span<const Expr> table, std::span<const Symbol> symbols,
                   std::span<const int64_t> symbolValues, std::vector<int64_t> &values);

/// Expression `index` as text, "batch * seq * 1536"; kNone prints as "0".
std::string exprText(std::span<const Expr> table, std::span<const Symbol> symbols, uint32_t index);

} // namespace permalloy::artifact

#endif // PERMALLOY_ARTIFACT_EXPRESSIONS_H
