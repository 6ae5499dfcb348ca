//===- ModelKernels.h - the kernels of a model at given sizes ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_DRIVER_MODELKERNELS_H
#define PERMALLOY_LIB_DRIVER_MODELKERNELS_H

#include "Commands.h"
#include "Inputs.h"

#include "permalloy/Artifact/Writer.h"
#include "permalloy/Measure/Tuner.h"

namespace permalloy {

/// The distinct kernels of models with the sizes that they are launched with; equal kernels of several models are one.
class ModelKernels {
public:
  /// Kernels are parsed into `context`, which has the dialects of code generation.
  explicit ModelKernels(mlir::MLIRContext &context) : context(context) {}

  /// Adds the kernels of `model` at each of `sizes`. False after an error, which was reported.
  bool add(const std::string &model, const CompileSettings &settings, const std::vector<Sizes> &sizes);

  const std::vector<measure::TuningTask> &tasks() const { return all; }
  /// Packed weights that one run of the largest model goes through.
  size_t weightBytes() const { return mostWeightBytes; }

private:
  Status addLaunches(const artifact::ArtifactContents &launches, mlir::ModuleOp module, const Sizes &sizes);
  void addLaunch(kern::KernelOp kernel, const reference::Symbols &symbols);

  mlir::MLIRContext &context;
  std::vector<mlir::OwningOpRef<mlir::ModuleOp>> modules;
  std::vector<measure::TuningTask> all;
  std::map<std::string, size_t> known; ///< KernelIdentity::id -> index
  size_t mostWeightBytes = 0;
};

} // namespace permalloy

#endif // PERMALLOY_LIB_DRIVER_MODELKERNELS_H
