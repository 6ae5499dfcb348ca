//===- CheckInterpret.cpp - run functions that hold assertions ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Check/Check.h"
#include "permalloy/Reference/Interpreter.h"
#include "permalloy/Reference/Passes.h"

#include "mlir/IR/BuiltinOps.h"

namespace permalloy::reference {
#define GEN_PASS_DEF_CHECKINTERPRET
#include "permalloy/Reference/Passes.h.inc"
} // namespace permalloy::reference

using namespace mlir;
using namespace permalloy;
using namespace permalloy::reference;

namespace {

bool holdsAssertion(func::FuncOp function) {
  return function
      .walk([](Operation *op) {
        return isa<check::ExpectCloseOp, check::ExpectEqualOp>(op) ? WalkResult::interrupt()
                                                                   : WalkResult::advance();
      })
      .wasInterrupted();
}

struct CheckInterpretPass : public reference::impl::CheckInterpretBase<CheckInterpretPass> {
  void runOnOperation() override {
    for (auto function : getOperation().getOps<func::FuncOp>())
      if (function.getNumArguments() == 0 && !function.isExternal() && holdsAssertion(function))
        if (failed(interpret(function, {})))
          signalPassFailure();
    markAllAnalysesPreserved();
  }
};

} // namespace
