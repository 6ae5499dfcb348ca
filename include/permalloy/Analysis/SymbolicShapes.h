//===- SymbolicShapes.h - dimensions as expressions over names ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Types hold `?`; this analysis says what each `?` is. Names are trusted on the arguments of a function (`tfm.dims`) or of a
// kernel (`arg_dims`) and derived from there by the shape rule of each operation:
//
//   %ids : tensor<?x?xi64> {tfm.dims = [batch, seq]}
//   %e = tfm.gather %table, %ids          dims [batch, seq, 384]
//   %s = tfm.shape_of %e                  contents [batch, seq, 384]
//   %r = tfm.reshape %e shape %s'         dims [batch * seq, 384] when %s' holds [-1, 384]
//
// What cannot be derived gets a fresh symbol, named after nothing in the model (`_0`, `_1`, ...), equal only to itself.
// Such a size may still be known not to exceed another: `non_zero` finds at most all elements (see upperBound).
// Answers are computed when first asked and remembered; the analysis is dropped when the IR changes.
//
//===----------------------------------------------------------------------===//

#ifndef PERMALLOY_ANALYSIS_SYMBOLICSHAPES_H
#define PERMALLOY_ANALYSIS_SYMBOLICSHAPES_H

#include "Tfm/Tfm.h"
#include "llvm/ADT/DenseMap.h"

namespace permalloy {

class SymbolicShapes : public tfm::ShapeOracle {
public:
  /// One expression per dimension, never null.
  tfm::Dims dims(mlir::Value value) override;
  /// Elements of an integer or bool tensor of rank 0 or 1; elements may be null; nullopt when all depend on data.
  std::optional<tfm::Dims> contents(mlir::Value value) override;

  tfm::DimExprAttr dim(mlir::Value value, unsigned index) { return dims(value)[index]; }
  /// Both dimensions are provably the same at every run.
  bool equal(mlir::Value a, unsigned i, mlir::Value b, unsigned j) { return dim(a, i) == dim(b, j); }
  /// Both shapes are provably the same at every run.
  bool equalShapes(mlir::Value a, mlir::Value b) { return dims(a) == dims(b); }
  /// The largest value that `expr`, a sum of products, can have: fresh symbols are replaced by their bounds. Null when one
  /// has none.
  tfm::DimExprAttr upperBound(tfm::DimExprAttr expr);
  /// Product of all dimensions.
  tfm::DimExprAttr numElements(mlir::Value value);

  /// Tells the dimensions of a value that no rule gives, such as an argument under construction.
  void setDims(mlir::Value value, tfm::Dims dims) { known[value] = std::move(dims); }
  /// Drops what is remembered of a value that changes or goes away.
  void forget(mlir::Value value) {
    known.erase(value);
    knownContents.erase(value);
  }

private:
  tfm::Dims derive(mlir::Value value);
  tfm::DimExprAttr fresh(mlir::MLIRContext *context);

  llvm::DenseMap<mlir::Value, tfm::Dims> known;
  llvm::DenseMap<mlir::Value, std::optional<tfm::Dims>> knownContents;
  llvm::DenseMap<mlir::StringAttr, tfm::DimExprAttr> bounds; // of fresh symbols
  unsigned freshCount = 0;
};

/// A symbol made by SymbolicShapes rather than named by the model.
bool isFreshSymbol(llvm::StringRef name);
/// A symbol that tfm.bind_size names: known while a program runs, once the operation has run.
bool isDataSymbol(llvm::StringRef name);
/// The expression mentions a data symbol.
bool dependsOnData(tfm::DimExprAttr expr);
/// What the names of data symbols begin with.
inline constexpr llvm::StringLiteral kDataSymbolPrefix = "data:";
/// The expression mentions no fresh symbol, so it can be evaluated when its symbols are bound.
bool isDerived(tfm::DimExprAttr expr);

} // namespace permalloy

#endif
