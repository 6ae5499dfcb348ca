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

def CheckEquivalent : Pass<"check-equivalent", "::mlir::ModuleOp"> {
  let summary = "Interpret functions before and after a pipeline, and compare";
  let description = [{
    For each public function: makes seeded random inputs, interprets, runs `pipeline` on a clone of the module, interprets the
    clone on the same inputs, and fails where a result differs by more than the tolerance. On the way, in both modules, what
    `SymbolicShapes` derives for each value must be its real shape. The IR is left alone.

    `sizes` gives the named dimensions, several sets separated by semicolons; without it, two sets are run: 2, 3, 4, ... in
    order of appearance, and all 1. Integers lie in [0, 4), floats are normal, bools fair; an argument attribute
    `tfm.test_range = [lo, hi]` says otherwise. With `idempotent`, running the pipeline again must change nothing.

    ```mlir
    // permalloy-opt --check-equivalent="pipeline=tfm-fuse-gelu sizes=batch=2,seq=5;batch=1,seq=1 rtol=1e-6"
    func.func @main(%ids: tensor<?x?xi64> {tfm.dims = [#tfm.dim<batch>, #tfm.dim<seq>], tfm.test_range = [0, 30522]})
    ```
  }];
  let options = [
    Option<"pipeline", "pipeline", "std::string", "", "textual pass pipeline, without the outer builtin.module()">,
    Option<"sizes", "sizes", "std::string", "", "sizes of named dimensions, e.g. batch=2,seq=5;batch=1,seq=1">,
    Option<"seed", "seed", "unsigned", "1", "seed of the inputs">,
    Option<"rtol", "rtol", "double", "1e-6", "relative tolerance">,
    Option<"atol", "atol", "double", "1e-6", "absolute tolerance">,
    Option<"idempotent", "idempotent", "bool", "false", "the pipeline must change nothing when run again">,
  ];
}

def CheckWeights : Pass<"check-weights", "::mlir::ModuleOp"> {
  let summary = "Evaluate weights by streaming and by interpreting, and compare";
  let description = [{
    Each `tfm.weight` is evaluated by `WeightEvaluator`, piece by piece, and by the interpreter; the bytes must be the same. The
    IR is left alone.
  }];
  let options = [
    Option<"print", "print", "bool", "false", "print name, size in bytes and content hash of each weight">,
    Option<"interpret", "interpret", "bool", "true", "compare with the interpreter">,
  ];
}

#endif
