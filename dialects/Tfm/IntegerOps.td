//===- IntegerOps.td - from numbers to codes of 8 bits -----------*- tablegen -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Products of codes are plain `tfm.linear` and `tfm.matmul` of integers, and what stands around them are the elementwise
// operations: here is only the step from numbers to codes.
//
//===----------------------------------------------------------------------===//

#ifndef PERMALLOY_TFM_INTEGER_OPS_TD
#define PERMALLOY_TFM_INTEGER_OPS_TD

def Tfm_CodeTensor : RankedTensorOf<[AnyI8]>;

def Tfm_QuantizeOp : Tfm_ShapedOp<"quantize", ["inferElementType"], [AttrSizedOperandSegments]> {
  let summary = "numbers to codes of 8 bits";
  let description = [{
    clamp(rne(x / scale) + zero_point): the quotient is a number of f32, rounded to the nearest integer, ties to even; the sum is
    clamped to what the codes hold, [0, 255] for ui8 and [-128, 127] for i8, or [-127, 127] where `symmetric`. Absent, the scale
    is 1 and the zero point 0. A quotient that is NaN gives the lowest code. Scale and zero point broadcast to the input: they are one number,
    one for each row, or one for each column.

    It is ONNX's QuantizeLinear, which divides. A pass that has the choice multiplies by the reciprocal of the scale first and gives none here.

    Constraints: (quantize_c1) scale and zero point broadcast to the input; (quantize_c2) the zero point has the elements of the
    result, i8 or ui8, and only i8 is symmetric, without a zero point; (quantize_c3) the input is f16, bf16 or f32.

    Example: `%0 = tfm.quantize %x scale %s {symmetric} : (tensor<?x64xf32>, tensor<?x1xf32>) -> tensor<?x64xi8>`
  }];
  let arguments = (ins Tfm_FloatTensor:$input, Optional<Tfm_FloatTensor>:$scale, Optional<Tfm_CodeTensor>:$zero_point,
                       UnitAttr:$symmetric);
  let results = (outs Tfm_CodeTensor:$result);
  let assemblyFormat = "$input (`scale` $scale^)? (`zero_point` $zero_point^)? attr-dict `:` functional-type(operands, results)";
  let extraClassDeclaration = [{
    /// The smallest and the largest code.
    int64_t lowest();
    int64_t highest();
  }];
}

#endif
