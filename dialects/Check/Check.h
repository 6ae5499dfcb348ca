//===- Check.h - test-only assertions on tensors -----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef PERMALLOY_CHECK_CHECK_H
#define PERMALLOY_CHECK_CHECK_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"

#include "Check/CheckDialect.h.inc"

#define GET_OP_CLASSES
#include "Check/CheckOps.h.inc"

#endif
