//===- Check.cpp - test-only assertions on tensors ---------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Check/Check.h"

using namespace mlir;
using namespace permalloy::check;

#include "Check/CheckDialect.cpp.inc"

#define GET_OP_CLASSES
#include "Check/CheckOps.cpp.inc"

void CheckDialect::initialize() {
  addOperations<
#define GET_OP_LIST
#include "Check/CheckOps.cpp.inc"
      >();
}

LogicalResult ExpectCloseOp::verify() {
  for (const APFloat &tolerance : {getRtol(), getAtol()})
    if (!tolerance.isFinite() || tolerance.isNegative())
      return emitOpError("has tolerance ")
             << tolerance.convertToDouble()
             << "; it must be finite and not negative (expect_close_c2)";
  return success();
}
