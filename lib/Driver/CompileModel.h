//===- CompileModel.h - import and compile, for every command ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_DRIVER_COMPILEMODEL_H
#define PERMALLOY_LIB_DRIVER_COMPILEMODEL_H

#include "Commands.h"

namespace permalloy {

/// Compiles `command.model` as `permalloy compile` does, with a closing line about the file if
/// `summary`. False after an error, which was reported.
bool compileModel(const CompileCommand &command, bool summary);

} // namespace permalloy

#endif // PERMALLOY_LIB_DRIVER_COMPILEMODEL_H
