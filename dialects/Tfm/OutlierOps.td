//===- OutlierOps.td - elements that leave the codes of their row -*- tablegen -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A few elements of each row of activations are too large for the codes of 8 bits of the others (IntegerOps.td). These operations find
// them, take them, and multiply them by themselves.
//
// Their C++ classes have a header of their own, Tfm/Outliers.h: few files know these operations.
//
//===----------------------------------------------------------------------===//

#ifndef PERMALLOY_TFM_OUTLIER_OPS_TD
#define PERMALLOY_TFM_OUTLIER_OPS_TD

include "Tfm/TfmOps.td"

def Tfm_PositionTensor : RankedTensorOf<[I32]>;
def Tfm_SingleTensor : RankedTensorOf<[F32]>;

def Tfm_OutlierLimitOp : Tfm_ShapedOp<"outlier_limit"> {
  let summary = "the largest magnitude of each row beside its few largest";
  let description = [{
    Of the last dimension, which stays as one element: the (count + 1)-th largest magnitude. Equal ones count each, NaN counts as larger
    than every number. 0 where a row has no more than `count` elements. No more than `count` elements are beyond it.

    Constraints: (outlier_limit_c1) the rank is 1 or more; (outlier_limit_c2) count is 1 to 7, what a kernel keeps in registers;
    (outlier_limit_c3) elements are f16, bf16 or f32.

    Example: `%0 = tfm.outlier_limit %x {count = 2 : i64} : (tensor<?x64xf32>) -> tensor<?x1xf32>`
  }];
  let arguments = (ins Tfm_FloatTensor:$input, I64Attr:$count);
  let results = (outs Tfm_FloatTensor:$result);
  let assemblyFormat = "$input attr-dict `:` functional-type(operands, results)";
}

def Tfm_OutlierPositionsOp : Tfm_ShapedOp<"outlier_positions", ["inferElementType"]> {
  let summary = "positions of the few elements of each row beyond a limit";
  let description = [{
    The positions along the last dimension, ascending, of the first `count` elements whose magnitude is not at most the row's limit (NaN
    is beyond every limit); -1 behind them. With `tfm.outlier_limit` as the limit there are no others.

    Constraints: (outlier_positions_c1) the limit has the dimensions of the input, the last one 1; (outlier_positions_c2) count is 1 to 7; (outlier_positions_c3)
    input and limit have equal elements: f16, bf16 or f32.

    Example: `%0 = tfm.outlier_positions %x, %limit {count = 2 : i64} : (tensor<?x64xf32>, tensor<?x1xf32>) -> tensor<?x2xi32>`
  }];
  let arguments = (ins Tfm_FloatTensor:$input, Tfm_FloatTensor:$limit, I64Attr:$count);
  let results = (outs Tfm_PositionTensor:$result);
  let assemblyFormat = "$input `,` $limit attr-dict `:` functional-type(operands, results)";
}

def Tfm_OutlierValuesOp : Tfm_ShapedOp<"outlier_values"> {
  let summary = "elements of each row by their positions in it";
  let description = [{
    Element [.., r] is the input's [.., positions[.., r]], along the last dimension; 0 where the position is -1. Another one outside of
    the row is an error in the interpreter; compiled kernels take the last element.

    Constraints: (outlier_values_c1) input and positions have equal dimensions but for the last one; (outlier_values_c2) there are 1 to 7 positions, a
    number that is known; (outlier_values_c3) elements are f16, bf16 or f32.

    Example: `%0 = tfm.outlier_values %x, %at : (tensor<?x64xf32>, tensor<?x2xi32>) -> tensor<?x2xf32>`
  }];
  let arguments = (ins Tfm_FloatTensor:$input, Tfm_PositionTensor:$positions);
  let results = (outs Tfm_FloatTensor:$result);
  let assemblyFormat = "$input `,` $positions attr-dict `:` functional-type(operands, results)";
}

def Tfm_OutlierLinearOp : Tfm_ShapedOp<"outlier_linear"> {
  let summary = "rows of few elements times a matrix of codes";
  let description = [{
    y[.., n] = sum over r of values[.., r] * weight[positions[.., r], n], in f32 in the order of r, each step one fused multiplication and
    addition from 0 on; a position of -1 is the last row, where a value of 0 adds nothing. `weight` is [K, N] of codes of 8 bits (perhaps
    with the encoding `#tfm.panels`), those of the dense product whose sums this is added to. Another position outside of K is an error in
    the interpreter; compiled kernels take the last row.

    Constraints: (outlier_linear_c1) values and positions have equal dimensions, of rank 1 or more; (outlier_linear_c2) the weight is of
    rank 2; (outlier_linear_c3) there are 1 to 7 positions, a number that is known.

    Example: `%0 = tfm.outlier_linear %v, %at, %w : (tensor<?x2xf32>, tensor<?x2xi32>, tensor<64x32xi8>) -> tensor<?x32xf32>`
  }];
  let arguments = (ins Tfm_SingleTensor:$values, Tfm_PositionTensor:$positions, Tfm_CodeTensor:$weight);
  let results = (outs Tfm_SingleTensor:$result);
  let assemblyFormat = "$values `,` $positions `,` $weight attr-dict `:` functional-type(operands, results)";
}

#endif
