//===- ArtifactBuilder.h - launches in the IR into tables --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// BuildArtifact.cpp has what a user may ask of a file, weights and kernels; BuildSteps.cpp the program's steps and slots.
//
//===----------------------------------------------------------------------===//

#ifndef PERMALLOY_LIB_PIPELINES_ARTIFACTBUILDER_H
#define PERMALLOY_LIB_PIPELINES_ARTIFACTBUILDER_H

#include "BuildArtifact.h"
#include "ExprTable.h"
#include "permalloy/CostModel/KernelWork.h"
#include "permalloy/Analysis/SymbolicShapes.h"
#include "permalloy/Reference/WeightEvaluator.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace permalloy {

/// Fills in what is written to a file from a module after plan-slots; used once.
class ArtifactBuilder {
public:
  ArtifactBuilder(mlir::ModuleOp module, llvm::ArrayRef<TargetImage> targets, llvm::ArrayRef<DeviceImage> devices,
                  artifact::ArtifactContents &contents, std::vector<reference::SolvedWeight> *solved)
      : module(module), symbolTable(module), targets(targets), devices(devices), contents(contents), exprs(contents.program.expressions) {
    evaluator->report = solved;
  }

  llvm::LogicalResult run(mlir::func::FuncOp main);

private:
  llvm::LogicalResult addInputs(mlir::func::FuncOp main);
  llvm::LogicalResult addOutputs(mlir::func::FuncOp main);
  llvm::LogicalResult tensorInfo(mlir::Value value, mlir::StringAttr name, const llvm::Twine &fallback, artifact::TensorInfo &info);
  void declareSymbols(mlir::func::FuncOp main);
  llvm::LogicalResult addWeight(mlir::Value value, llvm::StringRef name, mlir::RankedTensorType type, artifact::WeightSource source);
  llvm::LogicalResult addSources(mlir::func::FuncOp function);
  llvm::LogicalResult addAssumptions(mlir::func::FuncOp main);
  llvm::LogicalResult addKernels();
  llvm::LogicalResult addDeviceKernels();
  void addCaches(mlir::func::FuncOp main);
  /// The steps of `function`, whose arguments have places; its results go to `results`.
  llvm::LogicalResult addFunction(mlir::func::FuncOp function, llvm::ArrayRef<artifact::Operand> results);
  /// Symbols of sizes that depend on data, in the order in which a function binds them.
  void declareDataSymbols();
  llvm::LogicalResult addBind(tfm::BindSizeOp op);
  artifact::Slot slotOf(tfm::DimExprAttr bytes);
  uint32_t addSlots(mlir::func::FuncOp function);
  void placeResults(mlir::func::FuncOp function, uint32_t firstSlot, llvm::ArrayRef<artifact::Operand> results);
  llvm::LogicalResult addLaunch(kern::LaunchOp launch);
  void addDeviceGrids(kern::LaunchOp launch);
  void addWork(kern::LaunchOp launch, artifact::Step &step);
  void addChecks(kern::LaunchOp launch, artifact::Step &step);
  llvm::LogicalResult addIf(tfm::IfOp op);
  llvm::LogicalResult addWhile(tfm::WhileOp op);
  llvm::LogicalResult addCopies(mlir::func::FuncOp function, llvm::ArrayRef<artifact::Operand> results);
  void addCopy(llvm::StringRef name, artifact::Operand from, artifact::Operand to, tfm::DimExprAttr bytes);
  /// Index of a new jump, whose target is set later.
  size_t addJump(mlir::Location loc, std::optional<artifact::Operand> ifZero);
  void jumpHere(size_t jump) { contents.program.steps[jump].target = contents.program.steps.size(); }
  llvm::SmallVector<artifact::Operand> operandsOf(mlir::ValueRange values);
  void bindArguments(mlir::func::FuncOp function, llvm::ArrayRef<artifact::Operand> operands);
  artifact::Operand newSlot(tfm::DimExprAttr bytes);
  tfm::DimExprAttr bytesOf(mlir::Value value);
  artifact::Operand operandOf(mlir::Value value);

  mlir::ModuleOp module;
  mlir::SymbolTable symbolTable;
  llvm::ArrayRef<TargetImage> targets;
  llvm::ArrayRef<DeviceImage> devices;
  artifact::ArtifactContents &contents;
  ExprTable exprs;
  SymbolicShapes shapes;
  llvm::DenseMap<mlir::Value, artifact::Operand> places; ///< of arguments, sources and results
  llvm::StringMap<uint32_t> kernelIndex;
  llvm::DenseMap<mlir::Operation *, KernelWork> works; ///< by kernel
  unsigned constants = 0; ///< so far, for their names
  std::shared_ptr<reference::WeightEvaluator> evaluator = std::make_shared<reference::WeightEvaluator>();
};

} // namespace permalloy

#endif
