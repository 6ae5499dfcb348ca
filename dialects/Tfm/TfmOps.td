//===- TfmOps.td - operations of the transformer graph dialect ---*- tablegen -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Long because it is the reference of the language: a section for each kind of operation, each operation with its meaning,
// its constraints and an example that a test parses.
//
//===----------------------------------------------------------------------===//

#ifndef PERMALLOY_TFM_OPS_TD
#define PERMALLOY_TFM_OPS_TD

include "Tfm/TfmDialect.td"
include "Tfm/TfmInterfaces.td"
include "mlir/IR/BuiltinAttributes.td"
include "mlir/IR/CommonTypeConstraints.td"
include "mlir/IR/RegionKindInterface.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Tfm_Element : AnyTypeOf<[I1, AnyI8, AnyI16, AnyI32, AnyI64, F16, BF16, F32, F64]>;
def Tfm_Tensor : RankedTensorOf<[Tfm_Element]>;
/// What a weight may hold; codes are read by tfm.dequantize only.
def Tfm_QuantTensor : RankedTensorOf<[Tfm_QuantType]>;
def Tfm_StoredTensor : RankedTensorOf<[Tfm_Element, Tfm_QuantType]>;
def Tfm_FloatTensor : RankedTensorOf<[F16, BF16, F32, F64]>;
def Tfm_FactorTensor : RankedTensorOf<[F16, BF16, F32, F64, AnyI8]>;
def Tfm_ProductTensor : RankedTensorOf<[F16, BF16, F32, F64, I32]>;
def Tfm_BoolTensor : RankedTensorOf<[I1]>;
def Tfm_IndexTensor : RankedTensorOf<[I32, I64]>;
def Tfm_ShapeTensor : 1DTensorOf<[I64]>;
def Tfm_DimArrayAttr : TypedArrayAttrBase<Tfm_DimExprAttr, "symbolic dimensions">;

class Tfm_Op<string mnemonic, list<Trait> traits = []> : Op<Tfm_Dialect, mnemonic, traits>;

/// A pure operation of one result whose shape follows a rule.
class Tfm_ShapedOp<string mnemonic, list<string> shapeMethods = [], list<Trait> traits = []>
    : Tfm_Op<mnemonic, !listconcat([Pure, DeclareOpInterfaceMethods<Tfm_ShapeOp, shapeMethods>], traits)> {
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Sources
//===----------------------------------------------------------------------===//

def Tfm_ConstantOp : Tfm_ShapedOp<"constant", ["inferElementType", "inferContents"], [ConstantLike, AllTypesMatch<["value", "result"]>]> {
  let summary = "inline tensor";
  let description = [{
    Integer and bool tensors and tensors of at most 1 KB stand in the IR so that folding sees them; larger ones are weights.

    Example: `%0 = tfm.constant dense<[0, -1]> : tensor<2xi64>`
  }];
  let arguments = (ins ElementsAttr:$value);
  let results = (outs Tfm_Tensor:$result);
  let assemblyFormat = "attr-dict $value";
  let hasFolder = 1;
  let builders = [OpBuilder<(ins "::mlir::ElementsAttr":$value), [{
    build($_builder, $_state, value.getShapedType(), value);
  }]>];
}

def Tfm_WeightOp : Tfm_Op<"weight", [Symbol, NoRegionArguments]> {
  let summary = "a stored tensor of the module";
  let description = [{
    Its elements come from a region of a file (`#tfm.file`), from a seeded generator for tests (`#tfm.seeded`), or from a
    body: `tfm` operations over other weights, a recorded transformation that a streaming evaluator carries out when the
    artifact is written.

    Constraints: (weight_c1) exactly one of source and body; (weight_c2) the type is a static tensor; (weight_c3) the body
    yields one value of the declared type; (weight_c4) a source is `#tfm.file`, or `#tfm.seeded` for floating-point elements.

    Example:
    ```mlir
    tfm.weight @w : tensor<384x384xf32> = #tfm.file<"model.onnx", 64, 589824, "">
    tfm.weight @wt : tensor<384x384xf32> {
      %0 = tfm.get_weight @w : tensor<384x384xf32>
      %1 = tfm.transpose %0 [1, 0] : (tensor<384x384xf32>) -> tensor<384x384xf32>
      tfm.yield %1 : tensor<384x384xf32>
    }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttrOf<Tfm_StoredTensor>:$type, OptionalAttr<AnyAttr>:$source);
  let regions = (region MaxSizedRegion<1>:$body);
  let assemblyFormat = "$sym_name `:` $type (`=` $source^)? attr-dict-with-keyword ($body^)?";
  let hasVerifier = 1;
}

def Tfm_GetWeightOp : Tfm_Op<"get_weight", [Pure, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "the value of a weight";
  let description = "Constraint (get_weight_c1): the symbol is a `tfm.weight` of the same type.\n\nExample: `%0 = tfm.get_weight @w : tensor<384x384xf32>`";
  let arguments = (ins FlatSymbolRefAttr:$weight);
  let results = (outs Tfm_StoredTensor:$result);
  let assemblyFormat = "$weight attr-dict `:` type($result)";
}

def Tfm_YieldOp : Tfm_Op<"yield", [Pure, Terminator, HasParent<"WeightOp">]> {
  let summary = "ends the body of a weight";
  let description = "Example: `tfm.yield %1 : tensor<2x2xf32>`";
  let arguments = (ins Tfm_StoredTensor:$value);
  let assemblyFormat = "$value attr-dict `:` type($value)";
}

def Tfm_DimValuesOp : Tfm_ShapedOp<"dim_values", ["inferElementType", "inferContents"]> {
  let summary = "values of dimension expressions as a tensor";
  let description = [{
    What is left of shape arithmetic that reaches a graph output. Constraint (dim_values_c1): the result is a static tensor of
    integers, of rank 0 or 1, with one element per value.

    Example: `%0 = tfm.dim_values [#tfm.dim<batch>, #tfm.dim<12>] : tensor<2xi64>`
  }];
  let arguments = (ins Tfm_DimArrayAttr:$values);
  let results = (outs Tfm_Tensor:$result);
  let assemblyFormat = "$values attr-dict `:` type($result)";
  let hasFolder = 1;
}

def Tfm_ShapeOfOp : Tfm_ShapedOp<"shape_of", ["inferElementType", "inferContents"]> {
  let summary = "dimensions of a tensor, as i64";
  let description = "Example: `%0 = tfm.shape_of %x : (tensor<?x4xf32>) -> tensor<2xi64>`";
  let arguments = (ins Tfm_Tensor:$input);
  let results = (outs Tfm_ShapeTensor:$result);
  let assemblyFormat = "$input attr-dict `:` functional-type(operands, results)";
}

def Tfm_RangeOp : Tfm_ShapedOp<"range", ["inferContents", "inferElementType"]> {
  let summary = "arithmetic sequence";
  let description = [{
    As imported: scalar operands start, limit, delta, with max(0, ceil((limit - start) / delta)) elements. Resolved: the
    number of elements stands in `size` and the start in `from`, and operands are absent.

    Constraint (range_c1): three scalar operands of the result's element type, or both attributes and an integer result.

    Example: `%0 = tfm.range from #tfm.dim<0> size #tfm.dim<seq> step 1 : () -> tensor<?xi64>`
  }];
  let arguments = (ins Variadic<Tfm_Tensor>:$bounds, OptionalAttr<Tfm_DimExprAttr>:$from,
                       OptionalAttr<Tfm_DimExprAttr>:$size, DefaultValuedAttr<I64Attr, "1">:$step);
  let results = (outs Tfm_Tensor:$result);
  // The step is always printed: a `:` right after a #tfm.dim would be read as the type of the attribute.
  let assemblyFormat = "($bounds^)? (`from` $from^ `size` $size `step` $step)? attr-dict `:` functional-type(operands, results)";
}

//===----------------------------------------------------------------------===//
// Structure
//===----------------------------------------------------------------------===//

def Tfm_ReshapeOp : Tfm_ShapedOp<"reshape", ["inferContents"]> {
  let summary = "same elements, other dimensions";
  let description = [{
    As imported: an i64 shape operand with ONNX's rules (-1 is inferred; 0 copies the input's dimension unless
    `allow_zero`). Resolved: `dims`. Row-major order is kept.

    Constraints: (reshape_c1) exactly one of shape operand and `dims`; (reshape_c2) equal numbers of elements where known;
    (reshape_c3) a constant shape operand copies only dimensions of the input and infers at most one.

    Example: `%0 = tfm.reshape %x dims [#tfm.dim<batch>, #tfm.dim<seq>, #tfm.dim<12>, #tfm.dim<32>] : (tensor<?x?x384xf32>) -> tensor<?x?x12x32xf32>`
  }];
  let arguments = (ins Tfm_Tensor:$input, Optional<Tfm_ShapeTensor>:$shape, OptionalAttr<Tfm_DimArrayAttr>:$dims,
                       UnitAttr:$allow_zero);
  let results = (outs Tfm_Tensor:$result);
  let assemblyFormat = "$input (`shape` $shape^)? (`dims` $dims^)? attr-dict `:` functional-type(operands, results)";
  let hasFolder = 1;
  let hasCanonicalizer = 1;
}

def Tfm_BroadcastOp : Tfm_ShapedOp<"broadcast", ["inferContents"]> {
  let summary = "repeat along dimensions of size one";
  let description = [{
    As imported: numpy broadcasting of the input with an i64 shape operand (ONNX Expand: either side may hold the 1).
    Resolved: the result's `dims`.

    Constraints: (broadcast_c1) exactly one of shape operand and `dims`; (broadcast_c2) the input broadcasts with the shape, to
    the dims.

    Example: `%0 = tfm.broadcast %x dims [#tfm.dim<batch>, #tfm.dim<4>] : (tensor<1x4xf32>) -> tensor<?x4xf32>`
  }];
  let arguments = (ins Tfm_Tensor:$input, Optional<Tfm_ShapeTensor>:$shape, OptionalAttr<Tfm_DimArrayAttr>:$dims);
  let results = (outs Tfm_Tensor:$result);
  let assemblyFormat = "$input (`shape` $shape^)? (`dims` $dims^)? attr-dict `:` functional-type(operands, results)";
  let hasFolder = 1;
}

def Tfm_TransposeOp : Tfm_ShapedOp<"transpose"> {
  let summary = "permute dimensions";
  let description = [{
    Result dimension i is input dimension `perm[i]`. Constraint (transpose_c1): `perm` is a permutation.

    Example: `%0 = tfm.transpose %x [0, 2, 1, 3] : (tensor<?x?x12x32xf32>) -> tensor<?x12x?x32xf32>`
  }];
  let arguments = (ins Tfm_Tensor:$input, DenseI64ArrayAttr:$perm);
  let results = (outs Tfm_Tensor:$result);
  let assemblyFormat = "$input $perm attr-dict `:` functional-type(operands, results)";
  let hasFolder = 1;
  let hasCanonicalizer = 1;
}

def Tfm_GatherOp : Tfm_ShapedOp<"gather", ["inferContents"]> {
  let summary = "take slices along one axis by index";
  let description = [{
    ONNX Gather: the axis is replaced by the dimensions of `indices`; negative indices count from the end. An index out
    of range is an error in the interpreter; compiled kernels clamp it into the range.

    Constraint (gather_c1): 0 <= axis < rank.

    Example: `%0 = tfm.gather %table, %ids {axis = 0 : i64} : (tensor<30522x384xf32>, tensor<?x?xi64>) -> tensor<?x?x384xf32>`
  }];
  let arguments = (ins Tfm_Tensor:$input, Tfm_IndexTensor:$indices, I64Attr:$axis);
  let results = (outs Tfm_Tensor:$result);
  let assemblyFormat = "$input `,` $indices attr-dict `:` functional-type(operands, results)";
}

def Tfm_GatherNDOp : Tfm_ShapedOp<"gather_nd"> {
  let summary = "take slices by index tuples";
  let description = [{
    ONNX GatherND: the last dimension of `indices` holds tuples that index the input after `batch_dims` shared leading
    dimensions. Constraint (gather_nd_c1): the tuple length is static and fits.

    Example: `%0 = tfm.gather_nd %x, %i {batch_dims = 0 : i64} : (tensor<2x3xf32>, tensor<5x2xi64>) -> tensor<5xf32>`
  }];
  let arguments = (ins Tfm_Tensor:$input, Tfm_IndexTensor:$indices, DefaultValuedAttr<I64Attr, "0">:$batch_dims);
  let results = (outs Tfm_Tensor:$result);
  let assemblyFormat = "$input `,` $indices attr-dict `:` functional-type(operands, results)";
}

def Tfm_SliceOp : Tfm_ShapedOp<"slice", ["inferContents"], [AttrSizedOperandSegments]> {
  let summary = "part of a tensor";
  let description = [{
    As imported: 1-D i64 operands starts, ends and perhaps steps for `axes`, with ONNX's clamping and negative values.
    Resolved: `offsets`, `sizes` (one per dimension) and `strides`, and no operands.

    Constraints: (slice_c1) operands with `axes` below the rank, or the three lists of length rank; (slice_c2) no stride is 0.

    Example: `%0 = tfm.slice %x offsets [#tfm.dim<0>] sizes [#tfm.dim<seq>] strides [1] : (tensor<512xi64>) -> tensor<?xi64>`
  }];
  let arguments = (ins Tfm_Tensor:$input, Optional<Tfm_IndexTensor>:$starts, Optional<Tfm_IndexTensor>:$ends,
                       Optional<Tfm_IndexTensor>:$steps, OptionalAttr<DenseI64ArrayAttr>:$axes,
                       OptionalAttr<Tfm_DimArrayAttr>:$offsets, OptionalAttr<Tfm_DimArrayAttr>:$sizes,
                       OptionalAttr<DenseI64ArrayAttr>:$strides);
  let results = (outs Tfm_Tensor:$result);
  let assemblyFormat = [{
    $input (`starts` $starts^ `ends` $ends)? (`steps` $steps^)? (`axes` $axes^)?
    (`offsets` $offsets^ `sizes` $sizes `strides` $strides)? attr-dict `:` functional-type(operands, results)
  }];
  let hasFolder = 1;
}

def Tfm_ConcatOp : Tfm_ShapedOp<"concat", ["inferContents"]> {
  let summary = "join along one axis";
  let description = [{
    Constraints: (concat_c1) at least one input, equal ranks, 0 <= axis < rank; (concat_c2) other dimensions agree;
    (concat_c3) equal element types.

    Example: `%0 = tfm.concat %a, %b {axis = 0 : i64} : (tensor<2xi64>, tensor<1xi64>) -> tensor<3xi64>`
  }];
  let arguments = (ins Variadic<Tfm_Tensor>:$inputs, I64Attr:$axis);
  let results = (outs Tfm_Tensor:$result);
  let assemblyFormat = "$inputs attr-dict `:` functional-type(operands, results)";
  let hasFolder = 1;
}

def Tfm_TopKOp : Tfm_ShapedOp<"top_k", ["inferElementType"]> {
  let summary = "positions of the largest or smallest elements along one axis";
  let description = [{
    Along `axis` the result holds the positions (i64) of the k largest elements, the largest first, or of the k smallest
    (`smallest`), the smallest first. Equal elements are ordered by position; NaN counts as larger than every number. The
    values are gathered along the axis by these positions. As imported, where k is no attribute: `count`, one i64.

    Constraints: (top_k_c1) 0 <= axis < rank; (top_k_c2) exactly one of `count` and `k`; (top_k_c3) k is not negative and not
    more than the dimension; (top_k_c4) elements are numbers, not bool.

    Example: `%0 = tfm.top_k %x k #tfm.dim<2> {axis = 1 : i64} : (tensor<?x8xf32>) -> tensor<?x2xi64>`
  }];
  let arguments = (ins Tfm_Tensor:$input, Optional<Tfm_ShapeTensor>:$count, OptionalAttr<Tfm_DimExprAttr>:$k, I64Attr:$axis,
                       UnitAttr:$smallest);
  let results = (outs Tfm_IndexTensor:$result);
  let assemblyFormat = "$input (`count` $count^)? (`k` $k^)? attr-dict `:` functional-type(operands, results)";
}

def Tfm_NonZeroOp : Tfm_ShapedOp<"non_zero", ["inferElementType"]> {
  let summary = "positions of the elements that are not zero";
  let description = [{
    [rank, n]: column j holds the index of the j-th element, in row-major order, that is not zero. n depends on data; it is at
    most the number of elements.

    Example: `%0 = tfm.non_zero %x : (tensor<?x2xi1>) -> tensor<2x?xi64>`
  }];
  let arguments = (ins Tfm_Tensor:$input);
  let results = (outs Tfm_IndexTensor:$result);
  let assemblyFormat = "$input attr-dict `:` functional-type(operands, results)";
}

def Tfm_ScatterOp : Tfm_ShapedOp<"scatter"> {
  let summary = "a copy with some elements replaced or combined";
  let description = [{
    Without `axis`: ONNX ScatterND. The last dimension of `indices` holds tuples that choose a slice of `data` by its leading
    dimensions; `updates` holds such a slice for each tuple. With `axis`: ONNX ScatterElements. Each element of `updates` goes
    to its own position, but for the position along the axis, which `indices` gives. `reduction` joins an update with what is
    there, in row-major order of the updates; with `none` the last one counts. Negative indices count from the end. An index
    out of range is an error in the interpreter; compiled kernels leave the update out.

    Constraints: (scatter_c1) data and updates have equal element types, numbers where there is a reduction; (scatter_c2) the
    tuple length is static and fits; (scatter_c3) updates are [tuples..., slice...]; (scatter_c4) with `axis`, 0 <= axis <
    rank, equal ranks, indices and updates have one shape.

    Example: `%0 = tfm.scatter add %x, %i, %u : (tensor<?x4xf32>, tensor<5x1xi64>, tensor<5x4xf32>) -> tensor<?x4xf32>`
  }];
  let arguments = (ins Tfm_ScatterReductionAttr:$reduction, Tfm_Tensor:$data, Tfm_IndexTensor:$indices, Tfm_Tensor:$updates,
                       OptionalAttr<I64Attr>:$axis);
  let results = (outs Tfm_Tensor:$result);
  let assemblyFormat = "`` $reduction $data `,` $indices `,` $updates attr-dict `:` functional-type(operands, results)";
}

//===----------------------------------------------------------------------===//
// Elementwise and reductions
//===----------------------------------------------------------------------===//

def Tfm_CastOp : Tfm_ShapedOp<"cast", ["inferElementType", "inferContents"]> {
  let summary = "convert elements";
  let description = [{
    Float to integer truncates towards zero; to bool is `!= 0`; integers wrap; narrowing floats round to nearest even. Codes
    `!tfm.q` are integers of their number of bits.

    Constraint (cast_c1): codes become integers, and integers codes.

    Example: `%0 = tfm.cast %x : (tensor<?xi64>) -> tensor<?xf32>`
  }];
  let arguments = (ins Tfm_StoredTensor:$input);
  let results = (outs Tfm_StoredTensor:$result);
  let assemblyFormat = "$input attr-dict `:` functional-type(operands, results)";
  let hasFolder = 1;
}

def Tfm_UnaryOp : Tfm_ShapedOp<"unary", ["inferElementType", "inferContents"]> {
  let summary = "elementwise function of one tensor";
  let description = [{
    `gelu_erf` is x/2 (1 + erf(x/sqrt 2)), `gelu_tanh` x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), `silu` x sigmoid(x);
    `round` rounds half to even; `isnan` and `isinf` give bool.

    Constraint (unary_c1): the kind takes the element type: floating point for all but neg, abs, sign, relu (any number) and
    not (bool).

    Example: `%0 = tfm.unary gelu_erf %x : (tensor<?x64xf32>) -> tensor<?x64xf32>`
  }];
  let arguments = (ins Tfm_UnaryKindAttr:$kind, Tfm_Tensor:$input);
  let results = (outs Tfm_Tensor:$result);
  let assemblyFormat = "`` $kind $input attr-dict `:` functional-type(operands, results)";
}

def Tfm_BinaryOp : Tfm_ShapedOp<"binary", ["inferContents"]> {
  let summary = "elementwise function of two tensors, with numpy broadcasting";
  let description = [{
    Integer `div` truncates towards zero and `mod` takes the sign of the divisor (floating point: of the dividend, as C's
    fmod); max and min propagate NaN; and, or, xor are for bool.

    Constraints: (binary_c1) equal element types that the kind takes; (binary_c2) the shapes broadcast.

    Example: `%0 = tfm.binary add %x, %b : (tensor<?x64xf32>, tensor<64xf32>) -> tensor<?x64xf32>`
  }];
  let arguments = (ins Tfm_BinaryKindAttr:$kind, Tfm_Tensor:$lhs, Tfm_Tensor:$rhs);
  let results = (outs Tfm_Tensor:$result);
  let assemblyFormat = "`` $kind $lhs `,` $rhs attr-dict `:` functional-type(operands, results)";
  let hasFolder = 1;
}

def Tfm_CompareOp : Tfm_ShapedOp<"compare", ["inferElementType", "inferContents"]> {
  let summary = "elementwise comparison, with numpy broadcasting";
  let description = [{
    Comparisons with NaN are false, but `ne` is true. Constraints: (compare_c1) equal element types; (compare_c2) the shapes
    broadcast.

    Example: `%0 = tfm.compare le %a, %b : (tensor<?x1xi64>, tensor<?xi64>) -> tensor<?x?xi1>`
  }];
  let arguments = (ins Tfm_CompareKindAttr:$kind, Tfm_Tensor:$lhs, Tfm_Tensor:$rhs);
  let results = (outs Tfm_BoolTensor:$result);
  let assemblyFormat = "`` $kind $lhs `,` $rhs attr-dict `:` functional-type(operands, results)";
}

def Tfm_SelectOp : Tfm_ShapedOp<"select", ["inferElementType", "inferContents"]> {
  let summary = "choose elementwise, with numpy broadcasting";
  let description = [{
    Constraints: (select_c1) both choices have one element type; (select_c2) the three shapes broadcast.

    Example: `%0 = tfm.select %c, %a, %b : (tensor<?xi1>, tensor<f32>, tensor<?xf32>) -> tensor<?xf32>`
  }];
  let arguments = (ins Tfm_BoolTensor:$condition, Tfm_Tensor:$on_true, Tfm_Tensor:$on_false);
  let results = (outs Tfm_Tensor:$result);
  let assemblyFormat = "$condition `,` $on_true `,` $on_false attr-dict `:` functional-type(operands, results)";
  let hasFolder = 1;
}

def Tfm_ReduceOp : Tfm_ShapedOp<"reduce"> {
  let summary = "reduce dimensions";
  let description = [{
    Empty reductions give the neutral element (mean: NaN). f16 and bf16 accumulate in f32. `absmax` is the largest magnitude, 0 of
    nothing; max, min and absmax propagate NaN.

    Constraints: (reduce_c1) axes are sorted, distinct, in range; (reduce_c2) `all` and `any` take bool, `absmax` floating point, the
    others numbers.

    Example: `%0 = tfm.reduce mean %x axes [2] {keep_dims} : (tensor<?x?x384xf32>) -> tensor<?x?x1xf32>`
  }];
  let arguments = (ins Tfm_ReduceKindAttr:$kind, Tfm_Tensor:$input, DenseI64ArrayAttr:$axes, UnitAttr:$keep_dims);
  let results = (outs Tfm_Tensor:$result);
  let assemblyFormat = "`` $kind $input `axes` $axes attr-dict `:` functional-type(operands, results)";
}

//===----------------------------------------------------------------------===//
// Transformer concepts
//===----------------------------------------------------------------------===//

def Tfm_MatmulOp : Tfm_ShapedOp<"matmul"> {
  let summary = "matrix product, with numpy batching";
  let description = [{
    numpy.matmul of its operands, after swapping the last two dimensions of those flagged. f16 and bf16 accumulate in f32.

    Constraints: (matmul_c1) equal element types, not bool; (matmul_c2) ranks of at least 1, and 2 where flagged; (matmul_c3) inner
    dimensions agree and batch dimensions broadcast.

    Example: `%0 = tfm.matmul %a, %b {transpose_b} : (tensor<?x12x?x32xf32>, tensor<?x12x?x32xf32>) -> tensor<?x12x?x?xf32>`
  }];
  let arguments = (ins Tfm_Tensor:$lhs, Tfm_Tensor:$rhs, UnitAttr:$transpose_a, UnitAttr:$transpose_b);
  let results = (outs Tfm_Tensor:$result);
  let assemblyFormat = "$lhs `,` $rhs attr-dict `:` functional-type(operands, results)";
}

def Tfm_LinearOp : Tfm_ShapedOp<"linear", ["inferElementType"]> {
  let summary = "activation(input x weight + bias)";
  let description = [{
    `input` is [..., K], `weight` [K, N] (perhaps with the encoding `#tfm.panels`), `bias` [N].

    What f16, bf16 and f32 operands give is computed in f32 and rounded once, to the elements of the result: bf16 operands may
    have a bias and a result of f32. Codes of 8 bits, i8 or ui8 each, give the exact sum in i32 (K up to 33,000; beyond, sums of ui8 wrap).

    Constraints: (linear_c1) the weight has rank 2 and its K is the input's last dimension; (linear_c2) the bias is [N];
    (linear_c3) input and weight have one floating-point element type; bias and result have it too, or any of f16, bf16 and f32
    where it is one of these; (linear_c4) or both hold 8-bit integers, the result is i32, and there is neither bias nor activation.

    Example: `%0 = tfm.linear %x, %w bias %b activation gelu_erf : (tensor<?x?x384xf32>, tensor<384x1536xf32>, tensor<1536xf32>) -> tensor<?x?x1536xf32>`
  }];
  let arguments = (ins Tfm_FactorTensor:$input, Tfm_FactorTensor:$weight, Optional<Tfm_FloatTensor>:$bias,
                       DefaultValuedAttr<Tfm_ActivationAttr, "::permalloy::tfm::Activation::None">:$activation);
  let results = (outs Tfm_ProductTensor:$result);
  let assemblyFormat = "$input `,` $weight (`bias` $bias^)? (`activation` `` $activation^)? attr-dict `:` functional-type(operands, results)";
  let extraClassDeclaration = [{
    /// A product of 8-bit integers rather than of numbers.
    bool isIntegral() { return !::mlir::isa<::mlir::FloatType>(::mlir::getElementTypeOrSelf(getInput().getType())); }
  }];
}

def Tfm_LayerNormOp : Tfm_ShapedOp<"layer_norm"> {
  let summary = "layer normalisation";
  let description = [{
    (x - mean) / sqrt(variance + epsilon) * scale + bias, statistics over the dimensions from `axis` on, in f32 (f64 for f64).
    Ba, Kiros, Hinton: Layer Normalization, 2016.

    Constraints: (layer_norm_c1) 0 <= axis < rank; (layer_norm_c2) scale and bias broadcast to the normalised dimensions.

    Example: `%0 = tfm.layer_norm %x, %g, %b {axis = 2 : i64, epsilon = 1.0e-12 : f32} : (tensor<?x?x384xf32>, tensor<384xf32>, tensor<384xf32>) -> tensor<?x?x384xf32>`
  }];
  let arguments = (ins Tfm_FloatTensor:$input, Tfm_FloatTensor:$scale, Optional<Tfm_FloatTensor>:$bias, I64Attr:$axis,
                       F32Attr:$epsilon);
  let results = (outs Tfm_FloatTensor:$result);
  let assemblyFormat = "$input `,` $scale (`,` $bias^)? attr-dict `:` functional-type(operands, results)";
}

def Tfm_RmsNormOp : Tfm_ShapedOp<"rms_norm"> {
  let summary = "root mean square normalisation";
  let description = [{
    x / sqrt(mean(x^2) + epsilon) * scale, the mean over the dimensions from `axis` on, in f32 (f64 for f64), rounded once.
    Zhang, Sennrich: Root Mean Square Layer Normalization, 2019.

    Constraints: (rms_norm_c1) 0 <= axis < rank; (rms_norm_c2) the scale broadcasts to the normalised dimensions; (rms_norm_c3)
    equal element types.

    Example: `%0 = tfm.rms_norm %x, %g {axis = 2 : i64, epsilon = 1.0e-6 : f32} : (tensor<?x?x2048xf32>, tensor<2048xf32>) -> tensor<?x?x2048xf32>`
  }];
  let arguments = (ins Tfm_FloatTensor:$input, Tfm_FloatTensor:$scale, I64Attr:$axis, F32Attr:$epsilon);
  let results = (outs Tfm_FloatTensor:$result);
  let assemblyFormat = "$input `,` $scale attr-dict `:` functional-type(operands, results)";
}

def Tfm_RotaryOp : Tfm_ShapedOp<"rotary", ["inferElementType"]> {
  let summary = "rotary position embedding";
  let description = [{
    Turns pairs of features of each head by an angle that depends on the position. The input is [batch, heads, sequence, size], or
    [batch, sequence, num_heads * size]; the tables are [batch or 1, sequence, rotary / 2], for the first `rotary` features of
    a head; the others stay. With half = rotary / 2, pair d < half is the features d and d + half, or 2 d and 2 d + 1 when
    `interleaved`:

        first'  = first * cos[d] - second * sin[d]
        second' = second * cos[d] + first * sin[d]

    Computed in f32 (f64 for f64), rounded once, to the elements of the result.
    Su et al.: RoFormer: Enhanced Transformer with Rotary Position Embedding, 2021.

    Constraints: (rotary_c1) the input has rank 4, or rank 3 and `num_heads` that divides its width; (rotary_c2) the tables have
    rank 3 and equal shapes; (rotary_c3) batch and sequence agree, and rotary <= size; (rotary_c4) equal element types, or any of f16, bf16 and f32.

    Example: `%0 = tfm.rotary %x, %cos, %sin : (tensor<?x32x?x64xf32>, tensor<1x?x32xf32>, tensor<1x?x32xf32>) -> tensor<?x32x?x64xf32>`
  }];
  let arguments = (ins Tfm_FloatTensor:$input, Tfm_FloatTensor:$cos, Tfm_FloatTensor:$sin, UnitAttr:$interleaved,
                       OptionalAttr<I64Attr>:$num_heads);
  let results = (outs Tfm_FloatTensor:$result);
  let assemblyFormat = "$input `,` $cos `,` $sin attr-dict `:` functional-type(operands, results)";
}

def Tfm_SoftmaxOp : Tfm_ShapedOp<"softmax"> {
  let summary = "softmax along one axis";
  let description = [{
    exp(x - max) / sum exp(x - max). Rows of -inf only give NaN. Constraint (softmax_c1): 0 <= axis < rank.

    Example: `%0 = tfm.softmax %x {axis = 3 : i64} : (tensor<?x12x?x?xf32>) -> tensor<?x12x?x?xf32>`
  }];
  let arguments = (ins Tfm_FloatTensor:$input, I64Attr:$axis);
  let results = (outs Tfm_FloatTensor:$result);
  let assemblyFormat = "$input attr-dict `:` functional-type(operands, results)";
}

def Tfm_AttentionOp : Tfm_ShapedOp<"attention", ["inferElementType"], [AttrSizedOperandSegments]> {
  let summary = "softmax(softcap(scale Q K^T) + mask) V, per head";
  let description = [{
    Query, key and value are packed, [batch, sequence, heads * size], or of rank 4, [batch, heads, sequence, size]. Key and
    value have one layout, the query may have the other; the result has the query's. Query head h uses key/value head
    h / (num_heads / num_kv_heads).

    With softcap c the scaled scores x become c tanh(x / c). A bool mask attends where true; a float mask is added after the
    softcap; its rank is 4 and each dimension is 1 or that of the scores [batch, heads, queries, keys]. Query i stands at
    position p = i + (keys - queries): `causal` lets it see keys j <= p, `window_left` w only j >= p - w, `window_right` w
    only j <= p + w. A query with no key to see gives what `empty_rows` says: nan (plain softmax of -inf), zero, or uniform
    (the mean of all values).

    Scores, softmax and sums of f16, bf16 and f32 are f32, rounded once to the elements of the result.

    `kv_length` is the number of keys where the key and value, of rank 4, have rows to spare at the end: a cache. Rows from
    there on are never read. The interpreter accepts tensors of exactly `kv_length` rows, too.

    With `offsets`, [sequences + 1], the batch is 1 and its positions are sequences one behind another, without padding:
    sequence i has the positions from offsets[i] to offsets[i + 1] - 1, and its queries see its own keys only. Offsets begin with
    0, never fall and end with the number of positions; `longest` is at least the length of each sequence.

    Constraints: (attention_c1) ranks 3 or 4, equal for key and value; (attention_c2) head counts divide; (attention_c3) batch,
    heads, keys and head size agree; (attention_c4) the mask broadcasts; it is bool, has the query's element type, or any of f16,
    bf16 and f32 where that is one of these; (attention_c5) query, key and value have one element type, and the result as the mask;
    (attention_c6) softcap is positive, windows are not negative; (attention_c7) `kv_length` only with keys of rank 4;
    (attention_c8) `offsets` have rank 1 and come with `longest`, a batch of 1, as many queries as keys, and neither `mask` nor
    `kv_length`.

    Example: `%0 = tfm.attention %q, %k, %v mask %m {num_heads = 12 : i64, num_kv_heads = 12 : i64, scale = 0.125 : f32} : (tensor<?x?x768xf32>, tensor<?x?x768xf32>, tensor<?x?x768xf32>, tensor<?x1x1x?xi1>) -> tensor<?x?x768xf32>`
  }];
  let arguments = (ins Tfm_FloatTensor:$query, Tfm_FloatTensor:$key, Tfm_FloatTensor:$value, Optional<Tfm_Tensor>:$mask,
                       Optional<Tfm_ShapeTensor>:$offsets, I64Attr:$num_heads, I64Attr:$num_kv_heads, F32Attr:$scale, UnitAttr:$causal,
                       DefaultValuedAttr<Tfm_EmptyRowsAttr, "::permalloy::tfm::EmptyRows::NaN">:$empty_rows,
                       OptionalAttr<F32Attr>:$softcap, OptionalAttr<I64Attr>:$window_left,
                       OptionalAttr<I64Attr>:$window_right, OptionalAttr<Tfm_DimExprAttr>:$kv_length,
                       OptionalAttr<Tfm_DimExprAttr>:$longest);
  let results = (outs Tfm_FloatTensor:$result);
  let assemblyFormat = [{
    $query `,` $key `,` $value (`mask` $mask^)? (`offsets` $offsets^ `longest` $longest)? (`empty_rows` `` $empty_rows^)?
    (`kv_length` $kv_length^)? attr-dict `:` functional-type(operands, results)
  }];
  let builders = [OpBuilder<(ins "::mlir::Type":$type, "::mlir::Value":$query, "::mlir::Value":$key,
                                 "::mlir::Value":$value, "::mlir::Value":$mask, "int64_t":$heads, "int64_t":$kvHeads,
                                 "float":$scale, "bool":$causal, "::permalloy::tfm::EmptyRows":$emptyRows)>];
  let extraClassDeclaration = [{
    /// Axis of the positions in the query, and in the key and value.
    int64_t queryAxis() { return getQuery().getType().getRank() == 3 ? 1 : 2; }
    int64_t keyAxis() { return getKey().getType().getRank() == 3 ? 1 : 2; }
    /// The number of keys: `kv_length`, or what `dims` gives as the rows of the key.
    ::permalloy::tfm::DimExprAttr keys(::llvm::ArrayRef<::permalloy::tfm::DimExprAttr> keyDims) {
      return getKvLength() ? *getKvLength() : keyDims[keyAxis()];
    }
    /// This attention on other operands, with every attribute and the same offsets.
    AttentionOp cloneWith(::mlir::OpBuilder &builder, ::mlir::Type type, ::mlir::Value query, ::mlir::Value key,
                          ::mlir::Value value, ::mlir::Value mask);
  }];
}

def Tfm_KvAppendOp : Tfm_ShapedOp<"kv_append"> {
  let summary = "put new rows into a key or value cache";
  let description = [{
    `cache` is [batch, heads, capacity, size], `rows` [batch, heads, n, size]. The result is the cache with rows [at, at + n) of
    dimension 2 replaced by `rows`. Compiled kernels write these rows into the cache's memory and touch nothing else.

    Constraints: (kv_append_c1) both have rank 4 and agree in all dimensions but the third; (kv_append_c2) equal element types;
    (kv_append_c3) 0 <= at and at + n <= capacity, where known.

    Example: `%0 = tfm.kv_append %cache at #tfm.dim<past>, %k : (tensor<?x12x?x64xf32>, tensor<?x12x?x64xf32>) -> tensor<?x12x?x64xf32>`
  }];
  let arguments = (ins Tfm_FloatTensor:$cache, Tfm_DimExprAttr:$at, Tfm_FloatTensor:$rows);
  let results = (outs Tfm_FloatTensor:$result);
  let assemblyFormat = "$cache `at` $at `,` $rows attr-dict `:` functional-type(operands, results)";
}

//===----------------------------------------------------------------------===//
// Mixture of experts
//===----------------------------------------------------------------------===//

def Tfm_MoeOp : Tfm_ShapedOp<"moe", ["inferElementType"], [AttrSizedOperandSegments]> {
  let summary = "mixture of experts: the top_k experts of each token, weighted by the router";
  let description = [{
    Each row x of `input` [..., D] is sent to the `top_k` experts with the largest `logits` [..., E], ties to the lower expert:

      y = sum over chosen e of w_e * (h_e x down[e] + down_bias[e])
      h_e = act(x x up[e] + up_bias[e]), or with `gated` act(g) * u, where [g, u] are the two halves of x x up[e] + up_bias[e]

    `up` is [E, D, F], or [E, D, 2F] when gated; `down` is [E, F, D]. The weight w_e of an expert is, by `score`: `softmax`
    over all logits; `top_softmax` over those chosen. `normalize` divides the weights by their sum. The weights are computed
    in f32, as are products and sums of f16, bf16 and f32; h_e has the type of the input. Shazeer et al.: Outrageously Large Neural Networks, 2017; Jiang et al.: Mixtral of Experts, 2024.

    Constraints: (moe_c1) input and logits agree but for the last dimension; (moe_c2) up, down and biases fit them and each
    other; (moe_c3) 1 <= top_k <= E; (moe_c4) input, up and down have one floating-point element type;
    logits, biases and result have it too, or any of f16, bf16 and f32 where it is one of these.

    Example: `%0 = tfm.moe %x, %logits, %up, %down activation silu {gated, normalize, top_k = 2 : i64} : (tensor<?x64xf32>, tensor<?x8xf32>, tensor<8x64x256xf32>, tensor<8x128x64xf32>) -> tensor<?x64xf32>`
  }];
  let arguments = (ins Tfm_FloatTensor:$input, Tfm_FloatTensor:$logits, Tfm_FloatTensor:$up, Tfm_FloatTensor:$down,
                       Optional<Tfm_FloatTensor>:$up_bias, Optional<Tfm_FloatTensor>:$down_bias, I64Attr:$top_k,
                       DefaultValuedAttr<Tfm_MoeScoreAttr, "::permalloy::tfm::MoeScore::Softmax">:$score,
                       UnitAttr:$normalize, UnitAttr:$gated,
                       DefaultValuedAttr<Tfm_ActivationAttr, "::permalloy::tfm::Activation::None">:$activation);
  let results = (outs Tfm_FloatTensor:$result);
  let assemblyFormat = [{
    $input `,` $logits `,` $up `,` $down (`up_bias` $up_bias^)? (`down_bias` $down_bias^)? (`score` `` $score^)?
    (`activation` `` $activation^)? attr-dict `:` functional-type(operands, results)
  }];
}

def Tfm_MoeWeightsOp : Tfm_ShapedOp<"moe_weights"> {
  let summary = "how much each chosen expert counts";
  let description = [{
    A part of an expanded `tfm.moe`: the weights of the experts [tokens, k] that were chosen by the logits [tokens, E], by
    `score` and `normalize` as there. Constraint (moe_weights_c1): both operands have rank 2 and agree in tokens.

    Example: `%0 = tfm.moe_weights %logits, %experts {normalize} : (tensor<?x8xf32>, tensor<?x2xi64>) -> tensor<?x2xf32>`
  }];
  let arguments = (ins Tfm_FloatTensor:$logits, Tfm_IndexTensor:$experts,
                       DefaultValuedAttr<Tfm_MoeScoreAttr, "::permalloy::tfm::MoeScore::Softmax">:$score,
                       UnitAttr:$normalize);
  let results = (outs Tfm_FloatTensor:$result);
  let assemblyFormat = "$logits `,` $experts (`score` `` $score^)? attr-dict `:` functional-type(operands, results)";
}

def Tfm_GroupByOp : Tfm_ShapedOp<"group_by", ["inferElementType"]> {
  let summary = "numbers of the elements, sorted by the group that each names";
  let description = [{
    A part of an expanded `tfm.moe`. Elements name groups 0 .. groups - 1; the result holds groups + 1 offsets, from 0 on, then
    the row-major numbers of the elements, those of group 0 first, in order within each group (a stable counting sort).
    Constraint (group_by_c1): `groups` is positive.

    Example: `%0 = tfm.group_by %experts {groups = 8 : i64} : (tensor<?x2xi64>) -> tensor<?xi64>`
  }];
  let arguments = (ins Tfm_IndexTensor:$input, I64Attr:$groups);
  let results = (outs Tfm_IndexTensor:$result);
  let assemblyFormat = "$input attr-dict `:` functional-type(operands, results)";
}

def Tfm_GroupedLinearOp : Tfm_ShapedOp<"grouped_linear", ["inferElementType"]> {
  let summary = "a linear layer whose weight depends on the row";
  let description = [{
    A part of an expanded `tfm.moe`. Row r of the result is activation(input[r floordiv repeat] x weight[g] + bias[g]), where g
    is the group that `groups` (of `tfm.group_by`) puts r in; with `gated` the product has two halves, act(first) * second.
    `input` is [rows, K], `weight` [groups, K, N] (perhaps with the encoding `#tfm.panels`), `bias` [groups, N].

    Constraints: (grouped_linear_c1) ranks 2, 1 and 3, and the weight's K is the input's last dimension; (grouped_linear_c2)
    the bias fits; (grouped_linear_c3) N is even when gated; (grouped_linear_c4) element types as for `tfm.linear`; repeat is
    positive.

    Example: `%0 = tfm.grouped_linear %x, %groups, %w activation silu {gated, repeat = 2 : i64} : (tensor<?x64xf32>, tensor<?xi64>, tensor<8x64x256xf32>) -> tensor<?x128xf32>`
  }];
  let arguments = (ins Tfm_FloatTensor:$input, Tfm_IndexTensor:$groups, Tfm_FloatTensor:$weight,
                       Optional<Tfm_FloatTensor>:$bias, I64Attr:$repeat, UnitAttr:$gated,
                       DefaultValuedAttr<Tfm_ActivationAttr, "::permalloy::tfm::Activation::None">:$activation);
  let results = (outs Tfm_FloatTensor:$result);
  let assemblyFormat = [{
    $input `,` $groups `,` $weight (`bias` $bias^)? (`activation` `` $activation^)? attr-dict `:`
    functional-type(operands, results)
  }];
}

include "Tfm/TokenOps.td"

//===----------------------------------------------------------------------===//
// Layout
//===----------------------------------------------------------------------===//

def Tfm_PrefixCountOp : Tfm_ShapedOp<"prefix_count", ["inferElementType"]> {
  let summary = "how many elements before each are true";
  let description = [{
    [elements + 1]: entry i counts the true ones of the first i elements, in row-major order. So it begins with 0 and ends with
    the number of all that are true. Written by `pack-padding`: entry i is the row of token i once the padding is gone.

    Example: `%0 = tfm.prefix_count %real : (tensor<?x?xi1>) -> tensor<?xi64>`
  }];
  let arguments = (ins Tfm_BoolTensor:$input);
  let results = (outs Tfm_IndexTensor:$result);
  let assemblyFormat = "$input attr-dict `:` functional-type(operands, results)";
}

def Tfm_PackOp : Tfm_ShapedOp<"pack"> {
  let summary = "store a weight [K, N], or a stack of them, in panels";
  let description = [{
    The result's encoding `#tfm.panels` gives the layout. Constraints: (pack_c1) rank 2 or 3, static; (pack_c2) the result has the
    encoding, the input has none.

    Example: `%0 = tfm.pack %w : (tensor<384x1536xf32>) -> tensor<384x1536xf32, #tfm.panels>`
  }];
  let arguments = (ins Tfm_StoredTensor:$input);
  let results = (outs Tfm_StoredTensor:$result);
  let assemblyFormat = "$input attr-dict `:` functional-type(operands, results)";
}

//===----------------------------------------------------------------------===//
// Control flow
//===----------------------------------------------------------------------===//

def Tfm_BindSizeOp : Tfm_Op<"bind_size"> {
  let summary = "give a name to a size that depends on data";
  let description = [{
    From here on the symbol has the operand's value, which must not be negative. Written by `name-data-sizes`; symbols that an
    input binds are not bound again. Not pure: what uses the symbol comes later in the function.

    Constraint (bind_size_c1): the value has one element.

    Example: `tfm.bind_size "data:0" = %n : tensor<i64>`
  }];
  let arguments = (ins StrAttr:$symbol, Tfm_IndexTensor:$value);
  let assemblyFormat = "$symbol `=` $value attr-dict `:` type($value)";
  let hasVerifier = 1;
}

def Tfm_IfOp : Tfm_Op<"if", [Pure, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "one of two functions, chosen while running";
  let description = [{
    Calls `then_function` or `else_function` of the module with `captures`; both return the results. The branches are functions
    rather than regions so that every pass on functions works on them. `result_dims` gives the dimensions of each result.

    Constraints: (if_c1) the condition has one element; (if_c2) both symbols are functions that take the captures and return the
    results; (if_c3) one list of dimensions per result, of its rank.

    Example:
    ```mlir
    func.func private @f(%x: tensor<4xf32>) -> tensor<4xf32>
    func.func private @g(%x: tensor<4xf32>) -> tensor<4xf32>
    func.func @main(%c: tensor<i1>, %x: tensor<4xf32>) -> tensor<4xf32> {
      %0 = tfm.if %c then @f else @g captures(%x) dims [[#tfm.dim<4>]] : (tensor<i1>, tensor<4xf32>) -> tensor<4xf32>
      return %0 : tensor<4xf32>
    }
    ```
  }];
  let arguments = (ins Tfm_BoolTensor:$condition, FlatSymbolRefAttr:$then_function, FlatSymbolRefAttr:$else_function,
                       Variadic<Tfm_Tensor>:$captures, ArrayAttr:$result_dims, OptionalAttr<DenseI64ArrayAttr>:$slots);
  let results = (outs Variadic<Tfm_Tensor>:$results);
  let assemblyFormat = [{
    $condition `then` $then_function `else` $else_function `captures` `(` $captures `)` `dims` $result_dims (`slots` $slots^)?
    attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Tfm_WhileOp : Tfm_Op<"while", [Pure, AttrSizedOperandSegments, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "repeat a function while a condition holds";
  let description = [{
    While the condition holds, `(condition, carried) = body(carried, captures)`; the results are the last carried values. Shapes
    of carried values do not change; `result_dims` gives them.

    Constraints: (while_c1) the condition has one element; (while_c2) the symbol is a function that takes the carried values and the
    captures and returns a bool of one element and the carried values; (while_c3) one list of dimensions per result, of its rank;
    (while_c4) the results have the types of the carried values.

    Example:
    ```mlir
    func.func private @body(%x: tensor<i64>, %y: tensor<i64>) -> (tensor<i1>, tensor<i64>)
    func.func @main(%c: tensor<i1>, %x: tensor<i64>, %y: tensor<i64>) -> tensor<i64> {
      %0 = tfm.while %c do @body carried(%x) captures(%y) dims [[]] : (tensor<i1>, tensor<i64>, tensor<i64>) -> tensor<i64>
      return %0 : tensor<i64>
    }
    ```
  }];
  let arguments = (ins Tfm_BoolTensor:$condition, FlatSymbolRefAttr:$body, Variadic<Tfm_Tensor>:$carried,
                       Variadic<Tfm_Tensor>:$captures, ArrayAttr:$result_dims, OptionalAttr<DenseI64ArrayAttr>:$slots);
  let results = (outs Variadic<Tfm_Tensor>:$results);
  let assemblyFormat = [{
    $condition `do` $body `carried` `(` $carried `)` `captures` `(` $captures `)` `dims` $result_dims (`slots` $slots^)?
    attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

include "Tfm/IntegerOps.td"
include "Tfm/QuantizationOps.td"
include "Tfm/SparsityOps.td"

#endif
