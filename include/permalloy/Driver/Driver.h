//===- Driver.h - what the tools do ------------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_DRIVER_DRIVER_H
#define PERMALLOY_DRIVER_DRIVER_H

namespace mlir {
class DialectRegistry;
}

namespace permalloy {

/// `permalloy`: compile, import, run, bench, verify, inspect. Returns the exit code: 0 for success,
/// 1 for an error that was reported, 2 for a command line that makes no sense.
int permalloyMain(int argc, char **argv);

/// `permalloy-opt`: runs passes on MLIR files.
int permalloyOptMain(int argc, char **argv);

/// `permalloy-lsp-server`: tells editors about MLIR text with our dialects.
int permalloyLspServerMain(int argc, char **argv);

/// Every dialect that a pass of this project reads or makes.
void registerAllDialects(mlir::DialectRegistry &registry);

/// Every pass and pipeline of this project, and MLIR's own general ones.
void registerAllPasses();

} // namespace permalloy

#endif // PERMALLOY_DRIVER_DRIVER_H
