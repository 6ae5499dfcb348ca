//===- OptMain.cpp - the entry of `permalloy-opt` ----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Driver/Driver.h"

#include "mlir/Tools/mlir-opt/MlirOptMain.h"

namespace permalloy {

int permalloyOptMain(int argc, char **argv) {
  mlir::DialectRegistry registry;
  registerAllDialects(registry);
  registerAllPasses();
  return mlir::asMainReturnCode(mlir::MlirOptMain(argc, argv, "Permalloy pass driver\n", registry));
}

} // namespace permalloy
