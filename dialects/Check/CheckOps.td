//===- CheckOps.td - test-only assertions on tensors -------------*- tablegen -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef PERMALLOY_CHECK_OPS_TD
#define PERMALLOY_CHECK_OPS_TD

include "mlir/IR/BuiltinAttributes.td"
include "mlir/IR/CommonTypeConstraints.td"
include "mlir/IR/OpBase.td"

def Check_Dialect : Dialect {
  let name = "check";
  let summary = "Assertions on tensors: a numeric test is just IR";
  let description = [{
    The pass `check-interpret` interprets every function without arguments that holds a `check` operation and fails where
    one does not hold. See dialects/Check/README.md.
  }];
  let cppNamespace = "::permalloy::check";
}

class Check_Op<string mnemonic> : Op<Check_Dialect, mnemonic, [SameTypeOperands]> {
  let assemblyFormat = "$actual `,` $expected attr-dict `:` type($actual)";
}

def Check_ExpectCloseOp : Check_Op<"expect_close"> {
  let summary = "two tensors agree within a tolerance";
  let description = [{
    |actual - expected| <= atol + rtol * |expected| for each element; equal infinities agree, and NaN agrees with NaN.

    Constraints: (expect_close_c1) both types are equal; (expect_close_c2) tolerances are finite and not negative.

    Example: `check.expect_close %a, %b {rtol = 1.0e-5 : f64} : tensor<2xf32>`
  }];
  let arguments = (ins AnyRankedTensor:$actual, AnyRankedTensor:$expected, DefaultValuedAttr<F64Attr, "1e-6">:$rtol,
                       DefaultValuedAttr<F64Attr, "1e-6">:$atol);
  let hasVerifier = 1;
}

def Check_ExpectEqualOp : Check_Op<"expect_equal"> {
  let summary = "two tensors agree exactly";
  let description = [{
    Bit for bit, so -0 and 0 differ; any NaN equals any NaN. Constraint (expect_equal_c1): both types are equal.

    Example: `check.expect_equal %a, %b : tensor<2xi64>`
  }];
  let arguments = (ins AnyRankedTensor:$actual, AnyRankedTensor:$expected);
}

#endif
