//===- QuantizationOps.td - weights as codes and scales ----------*- tablegen -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Part of TfmOps.td.
//
//===----------------------------------------------------------------------===//

#ifndef PERMALLOY_TFM_QUANTIZATION_OPS_TD
#define PERMALLOY_TFM_QUANTIZATION_OPS_TD

def Tfm_ByteTensor : RankedTensorOf<[UI8]>;

def Tfm_DequantizeOp : Tfm_ShapedOp<"dequantize", ["inferElementType"], [AttrSizedOperandSegments]> {
  let summary = "a weight from its codes";
  let description = [{
    Each element [k, n] of the weight is (code - zero point) * scale, with the scale and zero point of group k / G and column n, G
    the group of the codes' type; without zero points, code * scale. With a codebook it is codebook[code] * scale. Difference and
    product are those of f32; the product is rounded to the elements of the result. Kernels that read the weight decode it in
    registers: no f32 copy of it exists.

    Constraints: (dequantize_c1) codes are a matrix [K, N] or a stack [E, K, N], scales and zero points [ceil(K/G), N], stacked
    alike; (dequantize_c2) scales are f16 or f32, zero points have their type or are i8 or ui8; (dequantize_c3) a codebook is
    [2^bits], its codes are unsigned, and there are no zero points.

    Example: `%0 = tfm.dequantize %c, %s : (tensor<384x1536x!tfm.q<s4, group 32>>, tensor<12x1536xf16>) -> tensor<384x1536xf32>`
  }];
  let arguments = (ins Tfm_QuantTensor:$codes, Tfm_FloatTensor:$scales, Optional<Tfm_Tensor>:$zero_points,
                       Optional<Tfm_FloatTensor>:$codebook);
  let results = (outs Tfm_FloatTensor:$result);
  let assemblyFormat = [{
    $codes `,` $scales (`zero_points` $zero_points^)? (`codebook` $codebook^)? attr-dict `:` functional-type(operands, results)
  }];
}

def Tfm_QuantizeWeightOp : Tfm_Op<"quantize_weight", [Pure, AttrSizedOperandSegments]> {
  let summary = "codes, scales and perhaps zero points of a weight";
  let description = [{
    Stands in the body of a `tfm.weight`, which yields one of the results: evaluated when the artifact is written, by the solver
    of that name (`permalloy/Solvers/WeightSolver.h`). The types of the results say what is wanted: bits, sign and group in the
    codes', precision in the scales'. Zero points are integers in the type of the scales. Dequantizing the results gives about
    the weight. `gram` is the sum over samples of x x^T and `second` the mean of x^2, of the layer's inputs x.

    Signed codes of 8 bits are in [-127, 127]; scales may be negative.

    Constraints: (quantize_weight_c1) the weight is a static matrix [K, N] or stack [E, K, N], and codes have its shape;
    (quantize_weight_c2) scales and zero points are [ceil(K/G), N], stacked alike, both f16 or both f32; (quantize_weight_c3) codes are
    signed where there are neither zero points nor a codebook, else unsigned, and there is at most one of both;
    (quantize_weight_c4) `gram` is [K, K], `second` [K], the codebook [2^bits].

    Example: `%0, %1 = tfm.quantize_weight %w solver "rtn" : (tensor<384x1536xf32>) -> (tensor<384x1536x!tfm.q<s4, group 32>>, tensor<12x1536xf16>)`
  }];
  let arguments = (ins Tfm_FloatTensor:$weight, Optional<Tfm_FloatTensor>:$gram, Optional<Tfm_FloatTensor>:$second,
                       Optional<Tfm_FloatTensor>:$codebook, StrAttr:$solver);
  let results = (outs Tfm_QuantTensor:$codes, Tfm_FloatTensor:$scales, Optional<Tfm_FloatTensor>:$zero_points);
  let assemblyFormat = [{
    $weight (`gram` $gram^)? (`second` $second^)? (`codebook` $codebook^)? `solver` $solver attr-dict
    `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Tfm_UnpackBitsOp : Tfm_ShapedOp<"unpack_bits"> {
  let summary = "numbers of a few bits, from bytes";
  let description = [{
    Each byte gives 8 / `bits` numbers along the last axis, the lowest bits first: how ONNX stores integers of 2 and 4 bits.

    Constraint (unpack_bits_c1): 1, 2, 4 or 8 bits, and at least one axis.

    Example: `%0 = tfm.unpack_bits %b {bits = 4 : i64} : (tensor<384x16xui8>) -> tensor<384x32xui8>`
  }];
  let arguments = (ins Tfm_ByteTensor:$input, I64Attr:$bits);
  let results = (outs Tfm_ByteTensor:$result);
  let assemblyFormat = "$input attr-dict `:` functional-type(operands, results)";
}

#endif
