//===- CompileModel.h - import and compile, for every command ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_DRIVER_COMPILEMODEL_H
#define PERMALLOY_LIB_DRIVER_COMPILEMODEL_H

#include "Commands.h"
#include "ImportModel.h"

#include "mlir/IR/BuiltinOps.h"

namespace permalloy {

/// Compiles `command.model` as `permalloy compile` does, with a closing line about the file if
/// `summary`. False after an error, which was reported.
bool compileModel(const CompileCommand &command, bool summary);

/// $XDG_CACHE_HOME/permalloy/kernels, or below ~/.cache; empty when there is no such place.
std::string kernelCacheFolder();

/// As compileModel, with the default schedules; the module, whose kernels and launches are those of the file, lives in
/// `tool`. Null after an error, which was reported.
mlir::OwningOpRef<mlir::ModuleOp> compileForKernels(const CompileCommand &command, ToolContext &tool);

} // namespace permalloy

#endif // PERMALLOY_LIB_DRIVER_COMPILEMODEL_H
