//===- Passes.td - passes from tfm to tfm ------------------------*- tablegen -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// In pipeline order. Every pass may run twice; the second run changes nothing.
//
//===----------------------------------------------------------------------===//

#ifndef PERMALLOY_TRANSFORMS_PASSES_TD
#define PERMALLOY_TRANSFORMS_PASSES_TD

include "mlir/Pass/PassBase.td"

class TfmPass<string flag, string operation = "::mlir::func::FuncOp"> : Pass<flag, operation> {
  let dependentDialects = ["::permalloy::tfm::TfmDialect"];
}

//===----------------------------------------------------------------------===//
// Cleanup
//===----------------------------------------------------------------------===//

def ResolveShapes : TfmPass<"resolve-shapes"> {
  let summary = "turn shape arithmetic into symbolic dimensions";
  let description = [{
    Precondition: graph inputs carry `tfm.dims`. Asks `Analysis/SymbolicShapes` and then
    - gives reshape, broadcast, slice and range their `dims`, `sizes`, `offsets`, ... as attributes and drops the operands, when
      every expression is over named symbols only;
    - turns an integer value whose every element is such an expression into `tfm.dim_values` or a constant;
    - refines types to the static extents that are known, those of the function included, and writes `tfm.dims` on results;
    - removes a reshape, broadcast or slice that keeps every dimension, and dead operations.

    A slice clamps its end, so `ids[0:seq]` of 512 positions has `min(512, seq)` elements. Where that meets `seq` in a
    broadcast, a larger `seq` could only fail (512 and seq do not broadcast): `seq <= 512` is written to `tfm.dim_ranges` of
    the function, which the runtime checks, and the minimum becomes `seq`.

    Left alone: what depends on data or on dimensions without a name.

    ```mlir
    %s = tfm.shape_of %x : (tensor<?x?x384xf32>) -> tensor<3xi64>          // dims [batch, seq, 384]
    %t = ... concat of elements of %s, -1 and 32 ...
    %r = tfm.reshape %x shape %t : (tensor<?x?x384xf32>, tensor<4xi64>) -> tensor<?x?x?x?xf32>
    ```
    becomes
    ```mlir
    %r = tfm.reshape %x dims [#tfm.dim<batch>, #tfm.dim<seq>, #tfm.dim<12>, #tfm.dim<32>]
           : (tensor<?x?x384xf32>) -> tensor<?x?x12x32xf32>
    ```
  }];
  let statistics = [
    Statistic<"numResolved", "resolved", "operations whose shape operand became attributes">,
    Statistic<"numValues", "values", "integer values replaced by what they hold">,
    Statistic<"numIdentities", "identities", "reshapes, broadcasts and slices that kept every dimension">];
}

def UnifyDims : TfmPass<"unify-dims"> {
  let summary = "give sizes one name that operations force to be equal";
  let description = [{
    torch.export names the length of each past tensor apart (`s15`, `s89`), although the product of probabilities and values
    runs only where they are equal. Precondition: shapes are resolved. Where two dimensions must be equal for an operation to
    run at all (the inner ones of a matrix product, the other ones of a concat, batch and keys of attention), the equation is
    solved for the symbol that the arguments bind last, and that is replaced everywhere, in `tfm.dims` of arguments, too: so
    the runtime refuses inputs for which the equation does not hold.

    Left alone: dimensions that broadcast, equations with a constant, and those that no symbol solves to a size.

    ```mlir
    func.func @f(%p: tensor<?x?xf32> {tfm.dims = [#tfm.dim<a>, #tfm.dim<b>]}, %v: tensor<?x8xf32> {tfm.dims = [#tfm.dim<c>, #tfm.dim<8>]})
      %0 = tfm.matmul %p, %v : (tensor<?x?xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
    ```
    becomes
    ```mlir
    func.func @f(%p: tensor<?x?xf32> {tfm.dims = [#tfm.dim<a>, #tfm.dim<b>]}, %v: tensor<?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<8>]})
    ```
  }];
  let statistics = [Statistic<"numUnified", "unified", "symbols replaced">];
}

def FoldConstants : TfmPass<"fold-constants"> {
  let summary = "fold what is known without running the model";
  let description = [{
    - A comparison of integers that their ranges decide (an iota is at least its start) is true or false everywhere.
    - `and`, `or` with such a value, `select` on it, and integer `x + 0`, `x * 1` give the other operand, broadcast where needed.
    - `select(not c, a, b)` is `select(c, b, a)`.
    - An operation on constants is evaluated by the reference interpreter when its result has at most `max-bytes`.

    Left alone: floating-point `x + 0`, which turns -0 into 0.

    ```mlir
    %q = tfm.range from #tfm.dim<0> size #tfm.dim<seq> step 1 : () -> tensor<?xi64>
    %c = tfm.compare ge %q, %zero : (tensor<?xi64>, tensor<i64>) -> tensor<?xi1>
    %m = tfm.binary and %c, %mask : (tensor<?xi1>, tensor<?x?xi1>) -> tensor<?x?xi1>
    ```
    becomes `%mask`.
  }];
  let options = [Option<"maxBytes", "max-bytes", "int64_t", "65536", "largest result that is evaluated, in bytes">];
  let statistics = [Statistic<"numFolded", "folded", "operations folded">];
}

def RaiseGather : TfmPass<"raise-gather"> {
  let summary = "take rows by index where tuples have one index";
  let description = [{
    A gather_nd without shared dimensions whose tuples have one index becomes a gather along the first dimension, which kernels
    of rows take in (the positions of Whisper's decoder). Left alone: longer tuples, and indices whose dimensions depend on data.

    ```mlir
    %0 = tfm.gather_nd %table, %i : (tensor<448x384xf32>, tensor<?x?x1xi64>) -> tensor<?x?x384xf32>
    ```
    becomes
    ```mlir
    %r = tfm.reshape %i dims [#tfm.dim<batch>, #tfm.dim<seq>] : (tensor<?x?x1xi64>) -> tensor<?x?xi64>
    %0 = tfm.gather %table, %r {axis = 0 : i64} : (tensor<448x384xf32>, tensor<?x?xi64>) -> tensor<?x?x384xf32>
    ```
  }];
  let statistics = [Statistic<"numRaised", "raised", "gathers of rows">];
}

def SimplifyIndexing : TfmPass<"simplify-indexing"> {
  let summary = "turn gathers in disguise into reshapes and slices";
  let description = [{
    Expresses the elements of an index tensor as a constant plus a coefficient times the position in each dimension, through
    range, constants, reshape, broadcast, cast, add, sub, mul. A gather or gather_nd whose index counts 0, 1, 2, ... over all of
    what it indexes is a reshape; one that counts over a part is a slice.

    Where a slice is only inside of its table when a symbol is not too large (positions 0 ... seq - 1 of 512), the limit is
    written to `tfm.dim_ranges`: a larger value is an index out of range in the model.

    ```mlir
    %i = tfm.concat %batch, %key {axis = 4 : i64}      // [b, j] at [b, 0, 0, j]
    %m = tfm.gather_nd %mask, %i : (tensor<?x?xi1>, tensor<?x1x1x?x2xi64>) -> tensor<?x1x1x?xi1>
    ```
    becomes
    ```mlir
    %m = tfm.reshape %mask dims [#tfm.dim<batch>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<seq>]
           : (tensor<?x?xi1>) -> tensor<?x1x1x?xi1>
    ```
  }];
  let statistics = [Statistic<"numReshapes", "reshapes", "gathers that were reshapes">,
                    Statistic<"numSlices", "slices", "gathers that were slices">];
}

def SinkBroadcasts : TfmPass<"sink-broadcasts"> {
  let summary = "repeat elements as late as possible";
  let description = [{
    A broadcast that feeds an elementwise operation or the mask of an attention is dropped there, because these broadcast
    themselves; where the result would shrink, it is broadcast instead. A gather with broadcast indices gathers first, a reduction
    over other dimensions reduces first. So masks keep one row: [b, 1, 1, s] rather than [b, 1, s, s].

    ```mlir
    %e = tfm.broadcast %m dims [b, 1, s, s] : (tensor<?x1x1x?xi1>) -> tensor<?x1x?x?xi1>
    %f = tfm.select %e, %zero, %inf : ... -> tensor<?x1x?x?xf32>
    %a = tfm.binary add %scores, %f : (tensor<?x12x?x?xf32>, tensor<?x1x?x?xf32>) -> tensor<?x12x?x?xf32>
    ```
    becomes
    ```mlir
    %f = tfm.select %m, %zero, %inf : ... -> tensor<?x1x1x?xf32>
    %a = tfm.binary add %scores, %f : (tensor<?x12x?x?xf32>, tensor<?x1x1x?xf32>) -> tensor<?x12x?x?xf32>
    ```
  }];
  let statistics = [Statistic<"numSunk", "sunk", "broadcasts moved below their user or dropped">];
}

def SimplifyLayout : TfmPass<"simplify-layout"> {
  let summary = "cancel reshapes and transposes";
  let description = [{
    - A reshape that keeps every dimension goes; reshapes and transposes in a row merge.
    - A transpose, a matrix product of two such operands and a softmax move above a reshape that joins leading dimensions, so
      that it meets the one that splits them again: K^T through three dimensions is one transpose, and heads that were folded
      into the batch come apart. A transpose that only moves dimensions of size one is a reshape.
    - A transpose or reshape of `x * c` or `x / c`, with c a number, moves above it, and a transpose above an elementwise
      function of a transpose, so that they meet.
    - A linear layer on reshaped rows runs on the rows as they were: `linear(reshape(x))` is `reshape(linear(x))`.
  }];
  let statistics = [Statistic<"numSimplified", "simplified", "reshapes and transposes merged, moved or dropped">];
}

def FoldWeights : TfmPass<"fold-weights", "::mlir::ModuleOp"> {
  let summary = "record transformations of weights in new weights";
  let description = [{
    A cast, transpose, reshape, concat or slice of weights only (constants may take part) moves into the body of a new
    `tfm.weight`, carried out once when the artifact is written. Equal bodies give one weight.

    ```mlir
    %0 = tfm.get_weight @w : tensor<64x32xf32>
    %1 = tfm.transpose %0 [1, 0] : (tensor<64x32xf32>) -> tensor<32x64xf32>
    ```
    becomes
    ```mlir
    tfm.weight @w_transpose : tensor<32x64xf32> { ... }
    %1 = tfm.get_weight @w_transpose : tensor<32x64xf32>
    ```
  }];
  let statistics = [Statistic<"numWeights", "weights", "new weights">];
}

def TieEmbeddings : TfmPass<"tie-embeddings", "::mlir::ModuleOp"> {
  let summary = "read embeddings from the weight of the output layer";
  let description = [{
    Where a linear layer takes the transpose of a table that a gather takes rows of (recorded by `fold-weights`, or a second
    tensor of the same contents, as TorchScript's exporter writes), the gather takes columns of that transpose
    instead, so that `pack-weights` stores one copy for both: tied embeddings are the largest weight of a small decoder. A
    column of packed panels is read element by element, which is little for the rows that a prompt has.

    Precondition: `fold-weights` has run.

    ```mlir
    %0 = tfm.gather %table, %ids {axis = 0 : i64} : (tensor<50257x768xf32>, tensor<?x?xi64>) -> tensor<?x?x768xf32>
    ```
    becomes
    ```mlir
    %0 = tfm.gather %transposed, %ids {axis = 1 : i64} : (tensor<768x50257xf32>, tensor<?x?xi64>) -> tensor<768x?x?xf32>
    %1 = tfm.transpose %0 [1, 2, 0] : (tensor<768x?x?xf32>) -> tensor<?x?x768xf32>
    ```
  }];
  let statistics = [Statistic<"numTied", "tied", "gathers that read the weight of a linear layer">];
}

//===----------------------------------------------------------------------===//
// Fusion: raise what exporters decompose
//===----------------------------------------------------------------------===//

def RaiseLayerNorm : TfmPass<"raise-layer-norm"> {
  let summary = "rebuild layer_norm from its parts";
  let description = [{
    d = x - mean(x); v = mean(d * d or d^2); d / sqrt(v + eps), d * (1 / sqrt(v + eps)) or d * (v + eps)^-0.5; then a scale and
    perhaps a bias over the last dimension, operands of products and sums in either order. Means are over the last axis and keep
    it. Floating-point results differ by rounding only.
  }];
  let statistics = [Statistic<"numRaised", "raised", "layer norms raised">];
}

def RaiseRmsNorm : TfmPass<"raise-rms-norm"> {
  let summary = "rebuild rms_norm from its parts";
  let description = [{
    v = mean(x * x or x^2); x / sqrt(v + eps), x * (1 / sqrt(v + eps)) or x * (v + eps)^-0.5; then a scale over the last
    dimension. The mean is over the last axis and keeps it. In models of f16 and bf16 the conversions to f32 before and back
    before the scale belong to it. Runs after `raise-layer-norm`, whose variance is a mean of squares too.

    ```mlir
    %0 = tfm.binary mul %x, %x : ...
    %1 = tfm.reduce mean %0 axes [2] {keep_dims} : ...
    %2 = tfm.binary add %1, %eps : ...
    %3 = tfm.unary sqrt %2 : ...
    %4 = tfm.binary div %x, %3 : ...
    %5 = tfm.binary mul %g, %4 : ...
    ```
    becomes
    ```mlir
    %5 = tfm.rms_norm %x, %g {axis = 2 : i64, epsilon = 1.0e-6 : f32} : ...
    ```
  }];
  let statistics = [Statistic<"numRaised", "raised", "norms raised">];
}

def RaiseRotary : TfmPass<"raise-rotary"> {
  let summary = "rebuild rotary position embeddings from their parts";
  let description = [{
    Follows each feature of [batch, heads, sequence, size] (or with heads third) down to a sum of features of one value times
    entries of tables; where these are rotations of pairs, by halves or interleaved, of all features or the first ones, the last
    operation becomes a `tfm.rotary`. The tables are cut to one angle per pair: cos(concat(f, f)) becomes cos(f). Slices,
    strided slices, concatenations, stacks, negations and reshapes between are seen through, so how it was spelled does not matter.
    Heads that were split and transposed just before are turned in the packed layout, where they were.

    Precondition: `resolve-shapes` and `cse` have run. Left alone: heads of an unknown size, tables that hold an angle twice
    without showing it (a stored table).

    ```mlir
    %c = tfm.reshape %cos : (tensor<1x?x64xf32>) -> tensor<1x1x?x64xf32>      // %cos = cos(concat(f, f))
    %0 = tfm.binary mul %x, %c : ...
    %1 = tfm.concat %negated_second_half, %first_half {axis = 3 : i64} : ...
    %2 = tfm.binary mul %1, %s : ...
    %3 = tfm.binary add %0, %2 : ...
    ```
    becomes
    ```mlir
    %3 = tfm.rotary %x, %cos_of_f, %sin_of_f : (tensor<?x12x?x64xf32>, tensor<1x?x32xf32>, tensor<1x?x32xf32>) -> tensor<?x12x?x64xf32>
    ```
  }];
  let statistics = [Statistic<"numRaised", "raised", "rotations raised">,
                    Statistic<"numPacked", "packed", "rotations that work on packed heads">];
}

def RaiseSilu : TfmPass<"raise-silu"> {
  let summary = "rebuild silu from its parts";
  let description = [{
    x * sigmoid(x), in either order, and x / (1 + exp(-x)) become `tfm.unary silu`.
  }];
  let statistics = [Statistic<"numRaised", "raised", "silus raised">];
}

def RaiseGelu : TfmPass<"raise-gelu"> {
  let summary = "rebuild gelu from its parts";
  let description = [{
    A product of x, 1/2 and 1 + erf(x / sqrt 2), in any order and association, with constants on either side and divisions for
    reciprocals, is `gelu_erf`; of x, 1/2 and 1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)), the cube as a power or as products, is
    `gelu_tanh`. `1/2 + 1/2 erf` counts as well. Constants match to 1e-6 relative.
  }];
  let statistics = [Statistic<"numRaised", "raised", "gelus raised">];
}

def RaiseLinear : TfmPass<"raise-linear"> {
  let summary = "make linear layers of matrix products with weights";
  let description = [{
    A matmul whose right operand is a weight or constant of rank 2 is a linear layer; a bias of rank 1 added to its only use, on
    either side, and an activation of its only use join it. A transposed weight gets a `tfm.transpose`, which `fold-weights`
    records in the weight.

    A layer whose result is only read in slices of columns, such as a fused projection to query, key and value, becomes one
    layer per slice with part of the weight: no kernel copies the slices out.

    Left alone: products of two activations, products with a transposed left operand.

    ```mlir
    %0 = tfm.matmul %x, %w : (tensor<?x?x384xf32>, tensor<384x1536xf32>) -> tensor<?x?x1536xf32>
    %1 = tfm.binary add %b, %0 : (tensor<1536xf32>, tensor<?x?x1536xf32>) -> tensor<?x?x1536xf32>
    %2 = tfm.unary gelu_erf %1 : (tensor<?x?x1536xf32>) -> tensor<?x?x1536xf32>
    ```
    becomes
    ```mlir
    %2 = tfm.linear %x, %w bias %b activation gelu_erf : ...
    ```
  }];
  let statistics = [Statistic<"numLinear", "linear", "matrix products raised">,
                    Statistic<"numBias", "bias", "biases joined">,
                    Statistic<"numActivation", "activation", "activations joined">,
                    Statistic<"numSplit", "split", "layers split by their slices">];
}

def RaiseAttention : TfmPass<"raise-attention"> {
  let summary = "rebuild attention from its parts";
  let description = [{
    matmul(softmax(scale * Q K^T + mask), V) becomes `tfm.attention`. The scale may stand on Q, on K, on both or on the product, as
    a product or a quotient. The mask may be added on either side, or chosen by `select(mask, scores, lowest)`. Where
    the query's heads were split from [batch, sequence, width] by reshape and transpose, the attention works on the packed layout
    directly and its result needs no transpose; so do keys and values, unless they are also used with their heads apart.

    Masks and rows without any key to see:
    - `select(m, 0, -inf)` is the bool mask m; with the guard `select(isnan(p), 0, p)` after the softmax such rows are zero,
      without it NaN;
    - `select(m, 0, c)` with c <= -1e30 is the bool mask m, and such rows are the mean of all values: f32 scores below 2^75 are
      lost in c, so they are all equal;
    - any other mask is added as it is.

    Several masks are joined. Terms of a mask that compare the positions of key and query (iotas, with the length of the past
    added, a slice of a constant triangle) become `causal`, `window_left` and `window_right`, so no tensor
    [queries, keys] is computed; what is left, say the padding, has one row for all queries:

    ```mlir
    %c = tfm.compare le %key_position, %query_position : (tensor<1x1x1x?xi64>, tensor<1x1x?x1xi64>) -> tensor<1x1x?x?xi1>
    %m = tfm.binary and %c, %padding : (tensor<1x1x?x?xi1>, tensor<?x1x1x?xi1>) -> tensor<?x1x?x?xi1>
    %r = tfm.attention %q, %k, %v mask %m {...}
    ```
    becomes
    ```mlir
    %r = tfm.attention %q, %k, %v mask %padding {causal, ...}
    ```
    Keys and values whose heads are repeated for a group of query heads (Expand, Gather, concat with itself) are read as they
    are. Attentions that the model has as such are treated alike.

    Left alone, with the reason in the fusion report: several masks of which one hides by a finite number, a softmax over another
    axis, probabilities that are used elsewhere as well.
  }];
  let statistics = [Statistic<"numRaised", "raised", "attentions raised">,
                    Statistic<"numSplit", "split", "masks that became attributes in part">,
                    Statistic<"numShared", "shared", "attentions whose keys and values are shared by groups of heads">,
                    Statistic<"numPacked", "packed", "attentions that work on packed heads">];
}

def RaiseMoe : TfmPass<"raise-moe"> {
  let summary = "rebuild mixtures of experts from their parts";
  let description = [{
    Two forms become `tfm.moe`: the unrolled loop, which for each expert gathers the tokens that chose it, runs its layers,
    scales by the routing weights and scatters or adds the rows; and the batched form, which gathers the weights of each
    token's experts. Routing weights are a softmax over all logits at the positions of a top_k, perhaps divided by their
    sum, or the softmax of the logits there. Experts are a linear layer, an activation (perhaps gated by the other half of
    the layer or by a second layer), and a linear layer. Weights of single experts are joined by operations that
    `fold-weights` records, so that one stack is stored.

    Left alone: other functions between the parts, missing experts, experts that differ in form, weights that are computed
    while running.

    ```mlir
    %mask = tfm.compare eq %chosen, %e : (tensor<?x2xi64>, tensor<i64>) -> tensor<?x2xi1>
    %hits = tfm.non_zero %mask : (tensor<?x2xi1>) -> tensor<2x?xi64>
    ...
    %y1 = tfm.scatter add %y0, %tokens, %scaled : ...
    ```
    becomes
    ```mlir
    %y = tfm.moe %x, %logits, %up, %down activation silu {gated, normalize, top_k = 2 : i64} : ...
    ```
  }];
  let statistics = [Statistic<"numRaised", "raised", "mixtures raised">];
}

def FusionReport : Pass<"tfm-fusion-report", "::mlir::ModuleOp"> {
  let summary = "print what was raised and what stopped the rest";
  let description = [{
    Changes nothing. For each function: the number of attentions, norms, rotary embeddings, linear layers and activations, then one line
    for each softmax, erf, tanh, cosine, mean of squares and matrix product with a weight left over, with the reason that its pattern gave. Prints to the standard output,
    or to the standard error with `to-stderr`.
  }];
  let options = [Option<"toStderr", "to-stderr", "bool", "false", "print to the standard error">];
}

//===----------------------------------------------------------------------===//
// Precision
//===----------------------------------------------------------------------===//

def PlanPrecision : TfmPass<"plan-precision", "::mlir::ModuleOp"> {
  let summary = "decide which products run in bf16";
  let description = [{
    Writes `tfm.precision`, "f32" or "bf16", on each linear layer, attention, mixture of experts and matrix product, and in
    `tfm.precision_reason` why one that was to be bf16 is not: what chooses experts and what that reads, attention whose keys
    stand in a cache of f32, weights that are computed, models that are no f32. Changes nothing else. A plan (see
    Transforms/Precision.h) names operations by their ONNX nodes; one that names what the model has not, or asks for what cannot
    be, is an error.

    ```mlir
    %0 = tfm.linear %x, %w : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32> loc("node_linear")
    ```
    becomes
    ```mlir
    %0 = tfm.linear %x, %w {tfm.precision = "bf16"} : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32> loc("node_linear")
    ```
  }];
  let options = [Option<"precision", "precision", "std::string", "\"bf16\"", "f32, or bf16 for all that can be">,
                 Option<"plan", "plan", "std::string", "\"\"", "file of a plan, instead of one precision for all">];
  let statistics = [Statistic<"numNarrow", "narrow", "operations that are to run in bf16">];
}

def ApplyPrecision : TfmPass<"apply-precision", "::mlir::ModuleOp"> {
  let summary = "give products the operands that plan-precision chose";
  let description = [{
    Input and weight of a marked linear layer, input and experts of a mixture, query, key and value of attention become bf16;
    results, biases, masks, norms and softmax stay f32. A value whose every reader wants bf16 is rounded by the operation that
    makes it (the result of a layer before a rotation or attention, a rotated query, the result of attention); others are cast
    right behind it, once, for `plan-kernels` to write both from one kernel. Keys and values that are also results of the
    function, in the model's type, hold what attention saw. A gather from the weight of such a layer (a tied embedding) reads
    bf16, too. Weights are cast for `fold-weights` to record, so that the artifact holds bf16.

    Attributes of plan-precision are removed; without them nothing changes.

    ```mlir
    %n = tfm.layer_norm %x, ...
    %0 = tfm.linear %n, %w {tfm.precision = "bf16"} : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
    ```
    becomes
    ```mlir
    %n = tfm.layer_norm %x, ...
    %b = tfm.cast %n : (tensor<?x64xf32>) -> tensor<?x64xbf16>
    %c = tfm.cast %w : (tensor<64x64xf32>) -> tensor<64x64xbf16>
    %0 = tfm.linear %b, %c : (tensor<?x64xbf16>, tensor<64x64xbf16>) -> tensor<?x64xf32>
    ```
  }];
  let statistics = [Statistic<"numLowered", "lowered", "operations whose operands became bf16">];
}

//===----------------------------------------------------------------------===//
// Sizes that depend on data
//===----------------------------------------------------------------------===//

def NameDataSizes : TfmPass<"name-data-sizes"> {
  let summary = "compute sizes that depend on data, and name them";
  let description = [{
    After raising, what is left of operations whose result's size depends on data gets a symbol for it, bound by
    `tfm.bind_size` to a value that is computed while running:
    - `non_zero` counts, sorts the positions by whether they are zero, and takes those that are not;
    - `range` divides; `top_k` has its `count`.
    `resolve-shapes` then gives everything behind them expressions over these symbols.

    Left alone: other operations whose size depends on data (a reshape to a computed shape); `outline-kernels` refuses them.

    ```mlir
    %p = tfm.top_k %x count %n {axis = 0 : i64} : (tensor<?xf32>, tensor<1xi64>) -> tensor<?xi64>
    ```
    becomes
    ```mlir
    tfm.bind_size "data:main.0" = %n : tensor<1xi64>
    %p = tfm.top_k %x k #tfm.dim<"data:main.0"> {axis = 0 : i64} : (tensor<?xf32>) -> tensor<?xi64>
    ```
  }];
  let statistics = [Statistic<"numNamed", "named", "sizes that got a symbol">];
}

//===----------------------------------------------------------------------===//
// Padding
//===----------------------------------------------------------------------===//

def PackPadding : TfmPass<"pack-padding"> {
  let summary = "compute the real tokens of a padded batch only";
  let description = [{
    Where attention hides keys by a mask [batch, sequence], any pattern of 0 and 1, real tokens are numbered while the program
    runs; embeddings, linear layers, norms and all else that works token by token run on [1, tokens, ...], attention by offsets
    (`tfm.attention`), and what leaves is spread over [batch, sequence, ...] again, with **zeros at padded positions**. That is
    the one difference that a user can see, so the pass only runs when asked for. Values of real tokens do not change.

    Precondition: attention is raised, sizes are named. An operation that mixes positions may only read the part behind
    attention through one that hides padding (a product with the mask, attention with it) or one that picks positions (the class
    token); otherwise nothing is packed, because padded positions would have to be known.

    Left alone, with the reason in the attribute `tfm.padding` of the function: masks that differ by query or head, windows,
    heads outside ([batch, heads, sequence, size]), keys with a past.

    ```mlir
    %a = tfm.attention %q, %k, %v mask %m {...} : (tensor<?x?x64xf32>, ...) -> tensor<?x?x64xf32>
    %y = tfm.linear %a, %w : (tensor<?x?x64xf32>, tensor<64x64xf32>) -> tensor<?x?x64xf32>
    return %y
    ```
    becomes
    ```mlir
    %n = tfm.prefix_count %real : (tensor<?x?xi1>) -> tensor<?xi64>
    tfm.bind_size "data:main.0" = ... last of %n ...
    ... %offsets: elements of %n where sequences begin; %pq, %pk, %pv: rows of real tokens ...
    %a = tfm.attention %pq, %pk, %pv offsets %offsets longest #tfm.dim<seq> {...} : (tensor<1x?x64xf32>, ...) -> tensor<1x?x64xf32>
    %y = tfm.linear %a, %w : (tensor<1x?x64xf32>, tensor<64x64xf32>) -> tensor<1x?x64xf32>
    %g = tfm.gather %y', %n' {axis = 0 : i64} ...
    %r = tfm.select %real, %g, %zero ...
    return %r
    ```
  }];
  let statistics = [Statistic<"numPacked", "packed", "attentions without padding">];
}

#endif
