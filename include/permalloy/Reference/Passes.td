//===- Passes.td - passes that interpret the IR ------------------*- tablegen -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef PERMALLOY_REFERENCE_PASSES_TD
#define PERMALLOY_REFERENCE_PASSES_TD

include "mlir/Pass/PassBase.td"

def CheckInterpret : Pass<"check-interpret", "::mlir::ModuleOp"> {
  let summary = "Interpret the functions that hold assertions";
  let description = [{
    Precondition: functions to be tested take no arguments and hold `check` operations. Each is interpreted; an assertion
    that does not hold is an error at its location that names the worst element and both values, and all functions are run
    before the pass fails. The IR is left alone.

    ```mlir
    func.func @test_relu() {
      %0 = tfm.constant dense<[-1.0, 2.0]> : tensor<2xf32>
      %1 = tfm.unary relu %0 : (tensor<2xf32>) -> tensor<2xf32>
      %2 = tfm.constant dense<[0.0, 2.0]> : tensor<2xf32>
      check.expect_equal %1, %2 : tensor<2xf32>
      return
    }
    ```
  }];
}

#endif
