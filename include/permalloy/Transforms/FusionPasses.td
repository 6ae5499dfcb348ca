//===- FusionPasses.td - raise what exporters decompose ------------*- tablegen -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A part of Passes.td, which has the class TfmPass and includes this.
//
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
