//===- GraphBuilder.h - a parsed model to a module ---------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef PERMALLOY_LIB_IMPORT_GRAPHBUILDER_H
#define PERMALLOY_LIB_IMPORT_GRAPHBUILDER_H

#include "Flatten.h"
#include "UnsupportedReport.h"
#include "WeightStore.h"
#include "permalloy/Analysis/SymbolicShapes.h"
#include "permalloy/Import/Import.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringSet.h"

namespace permalloy {

class OpBinder;

class GraphBuilder {
public:
  GraphBuilder(const onnx::ModelProto &model, TensorReader &tensors, mlir::Location loc,
               const ImportOptions &options)
      : model(model), tensors(tensors), loc(loc), options(options), builder(loc.getContext()) {}

  /// Null after an error.
  mlir::OwningOpRef<mlir::ModuleOp> build();

private:
  // In this order.
  llvm::LogicalResult readOpsets();
  llvm::LogicalResult indexInitializers();
  llvm::LogicalResult addInputs();
  llvm::LogicalResult addNodes();
  llvm::LogicalResult addNode(const FlatNode &node);
  llvm::LogicalResult addOutputs();
  void describeModel();
  void noteRanges();
  /// Bounds that follow from the graph: positions from a table of 512 keep `sequence` at most 512.
  llvm::StringMap<int64_t> impliedBounds();

  llvm::LogicalResult addInput(const onnx::ValueInfoProto &input);
  /// Dimensions of an input, with the user's overrides applied.
  llvm::FailureOr<tfm::Dims> inputDims(const onnx::ValueInfoProto &input);
  tfm::DimExprAttr symbol(llvm::StringRef name);
  llvm::LogicalResult checkOverrides();
  /// Makes each input of the node a value; true in `poisoned` when one comes from an unsupported
  /// node.
  llvm::LogicalResult resolveInputs(const FlatNode &node, bool &poisoned);
  llvm::LogicalResult addInitializer(llvm::StringRef name, const onnx::TensorProto &tensor,
                                     mlir::Location loc);
  llvm::LogicalResult define(const FlatNode &node, bool poisoned);

  // Nodes with graphs inside (ControlFlow.cpp).
  class FunctionScope;
  struct LoopParts;
  /// Values of the graph around that graphs inside read, by name.
  using Captures = std::vector<std::pair<std::string, mlir::Value>>;
  llvm::LogicalResult addIf(const FlatNode &node);
  llvm::LogicalResult addRuntimeIf(const FlatNode &node, mlir::Value condition,
                                   llvm::ArrayRef<const FlatGraph *> branches);
  llvm::LogicalResult addLoop(const FlatNode &node);
  llvm::LogicalResult buildBody(const FlatNode &node, const FlatGraph &body,
                                const Captures &captures, LoopParts &loop, std::string &reason);
  std::string checkOutputs(const FlatNode &node, const FlatGraph &body,
                           llvm::ArrayRef<mlir::Value> outputs, LoopParts &loop);
  llvm::LogicalResult buildWhile(const FlatNode &node, OpBinder &b, LoopParts &loop);
  llvm::LogicalResult addGraph(const FlatGraph &graph, mlir::Location loc,
                               llvm::SmallVectorImpl<mlir::Value> &results);
  void forget(const FlatGraph &graph);
  llvm::LogicalResult collectCaptures(llvm::ArrayRef<const FlatGraph *> graphs, Captures &captures,
                                      std::string &reason);
  void bindCaptures(FunctionScope &scope, const Captures &captures,
                    llvm::SmallVectorImpl<mlir::Value> &passed);
  const FlatGraph *graphOf(const FlatNode &node, llvm::StringRef name);
  /// Reports the node as unsupported.
  llvm::LogicalResult refuse(const FlatNode &node, const llvm::Twine &reason);
  static bool isSource(mlir::Value value);

  const onnx::ModelProto &model;
  TensorReader &tensors;
  mlir::Location loc;
  const ImportOptions &options;
  mlir::OpBuilder builder;

  OpsetMap opsets;
  llvm::StringMap<const onnx::TensorProto *> initializers;
  llvm::StringMap<mlir::Value> values;
  llvm::StringSet<> defined, poisonedValues; ///< names of inputs and of what nodes wrote
  llvm::StringSet<> used;                    ///< names that nodes or the graph's outputs read
  std::vector<FlatNode> nodes;
  llvm::MapVector<mlir::StringAttr, const DimRange *> symbols;
  llvm::StringSet<> implicitSymbols;
  UnsupportedReport unsupported;
  SymbolicShapes shapes;
  std::optional<WeightStore> weights;
  mlir::ModuleOp module;
  mlir::func::FuncOp function;
};

} // namespace permalloy

#endif
