//===- Passes.h - decisions of code generation -------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef PERMALLOY_CODEGEN_PASSES_H
#define PERMALLOY_CODEGEN_PASSES_H

#include "Kern/Kern.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace permalloy::codegen {

#define GEN_PASS_DECL
#include "permalloy/Codegen/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "permalloy/Codegen/Passes.h.inc"

} // namespace permalloy::codegen

#endif
