//===- permalloy-opt.cpp - runs passes on MLIR files -------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Check/Check.h"
#include "Kern/Kern.h"
#include "Tfm/Tfm.h"
#include "permalloy/Conversion/Passes.h"
#include "permalloy/Reference/Passes.h"
#include "permalloy/Pipelines/TfmPipeline.h"
#include "permalloy/Transforms/Passes.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "mlir/Transforms/Passes.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  registry.insert<mlir::func::FuncDialect, permalloy::tfm::TfmDialect, permalloy::kern::KernDialect,
                  permalloy::check::CheckDialect>();
  mlir::registerTransformsPasses();
  permalloy::registerConversionPasses();
  permalloy::reference::registerReferencePasses();
  permalloy::registerTransformsPasses();
  permalloy::registerTfmPipeline();
  return mlir::asMainReturnCode(mlir::MlirOptMain(argc, argv, "Permalloy pass driver\n", registry));
}
