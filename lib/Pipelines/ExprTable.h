//===- ExprTable.h - dimension expressions as table rows ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_PIPELINES_EXPRTABLE_H
#define PERMALLOY_LIB_PIPELINES_EXPRTABLE_H

#include "Tfm/Tfm.h"
#include "permalloy/Artifact/Expressions.h"
#include "llvm/ADT/StringMap.h"

namespace permalloy {

/// Turns `#tfm.dim` expressions into rows of the program's expression table.
class ExprTable {
public:
  ExprTable(std::vector<artifact::Expr> &rows) : rows(rows) {}

  void declareSymbol(llvm::StringRef name, uint32_t index) { symbols[name] = index; }
  bool knows(llvm::StringRef name) const { return symbols.contains(name); }
  /// Index of a declared symbol.
  uint32_t symbol(llvm::StringRef name) const { return symbols.lookup(name); }
  /// The row of `expr`, whose symbols are all declared.
  uint32_t row(tfm::DimExprAttr expr);
  /// The row of the condition a <= b.
  uint32_t atMost(tfm::DimExprAttr a, tfm::DimExprAttr b);
  /// The row of the condition that dimensions a and b broadcast: equal, or one of them 1.
  uint32_t broadcast(tfm::DimExprAttr a, tfm::DimExprAttr b);

private:
  artifact::ExprBuilder rows;
  llvm::StringMap<uint32_t> symbols;
  llvm::DenseMap<tfm::DimExprAttr, uint32_t> known;
};

} // namespace permalloy

#endif
