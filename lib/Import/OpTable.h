//===- OpTable.h - the operators that can be imported ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// One row for each operator (more where a version changed the meaning so much that another function
// is clearer). A row holds from `first` up to the next row of the operator. `reviewed` is the
// newest version of the definition whose meaning the function covers; test/Import/op-table.test
// compares it with the installed onnx package, so that a new opset of ONNX is noticed. To add an
// operator: write its function in the file of its family, add its row there, add a test; the page
// docs/onnx-ops.md is generated.
//
//===----------------------------------------------------------------------===//

#ifndef PERMALLOY_LIB_IMPORT_OPTABLE_H
#define PERMALLOY_LIB_IMPORT_OPTABLE_H

#include "OpBinder.h"

namespace permalloy {

/// What an operator becomes.
enum class OpClass {
  Structure,   ///< moves data: reshape, gather, slice, ...
  Elementwise, ///< elementwise functions and reductions
  Concept,     ///< an operation that transformers name: matmul, attention, norms, softmax
  Decomposed,  ///< several operations
  Control,     ///< graphs inside: inlined, or functions of tfm.if and tfm.while
};

struct OpRow {
  llvm::StringLiteral domain; ///< "" is ai.onnx
  llvm::StringLiteral op;
  int first;
  int reviewed;
  OpClass kind;
  llvm::LogicalResult (*import)(OpBinder &); ///< null for Control, see ControlFlow.cpp
};

// One list for each family, in its own file.
llvm::ArrayRef<OpRow> elementwiseRows();
llvm::ArrayRef<OpRow> activationRows();
llvm::ArrayRef<OpRow> quantizedWeightRows();
llvm::ArrayRef<OpRow> structureRows();
llvm::ArrayRef<OpRow> indexingRows();
llvm::ArrayRef<OpRow> selectionRows();
llvm::ArrayRef<OpRow> expertRows();
llvm::ArrayRef<OpRow> reductionRows();
llvm::ArrayRef<OpRow> matmulRows();
llvm::ArrayRef<OpRow> normalizationRows();
llvm::ArrayRef<OpRow> attentionRows();
llvm::ArrayRef<OpRow> fusedAttentionRows();
llvm::ArrayRef<OpRow> constantRows();
llvm::ArrayRef<OpRow> controlRows();
llvm::ArrayRef<OpRow> convolutionRows();
llvm::ArrayRef<OpRow> rotaryRows();
llvm::ArrayRef<OpRow> groupQueryRows();
llvm::ArrayRef<OpRow> paddingRows();
llvm::ArrayRef<OpRow> fusedRotaryRows();
llvm::ArrayRef<OpRow> einsumRows();
llvm::ArrayRef<OpRow> spatialRows();
llvm::ArrayRef<OpRow> cacheUpdateRows();
llvm::ArrayRef<OpRow> groupNormRows();
llvm::ArrayRef<OpRow> integerRows();

/// Every row.
std::vector<const OpRow *> allOpRows();

/// The row for a node; null with the reason when there is none.
const OpRow *findOpRow(llvm::StringRef domain, llvm::StringRef op, int64_t opset,
                       std::string &reason);

} // namespace permalloy

#endif
