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

include "permalloy/Transforms/CleanupPasses.td"
include "permalloy/Transforms/FusionPasses.td"

//===----------------------------------------------------------------------===//
// Precision
//===----------------------------------------------------------------------===//

def PlanPrecision : TfmPass<"plan-precision", "::mlir::ModuleOp"> {
  let summary = "decide which products run in bf16";
  let description = [{
    Writes `tfm.precision`, "f32", "bf16" or "tf32", on each linear layer, attention, mixture of experts and matrix product, and in
    `tfm.precision_reason` why one that was to be bf16 or tf32 is not: what chooses experts and what that reads, attention whose keys
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
  let options = [Option<"precision", "precision", "std::string", "\"bf16\"", "f32, or bf16 or tf32 for all that can be">,
                 Option<"plan", "plan", "std::string", "\"\"", "file of a plan, instead of one precision for all">];
  let statistics = [Statistic<"numNarrow", "narrow", "operations that are to run in bf16 or may in tf32">];
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

    Attributes of plan-precision are removed, but for "bf16x3" and "tf32", which change no type and are read by code generation;
    without them nothing changes.

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

include "permalloy/Transforms/QuantizationPasses.td"

//===----------------------------------------------------------------------===//
// Integers
//===----------------------------------------------------------------------===//

def ApplyDynamicQuantization : TfmPass<"apply-dynamic-quantization", "::mlir::ModuleOp"> {
  let summary = "compute the layers of level w8a8 in 8-bit integers";
  let description = [{
    A linear layer with `tfm.level = "w8a8"` and a stored weight becomes a product of codes of 8 bits: those of the input's rows are
    found while running, each row with its own scale, those of the weight's columns when the artifact is written. Layers that read
    one value read the same codes once `cse` ran. A layer whose weight is computed is an error.

    ```mlir
    %0 = tfm.linear %x, %w bias %b {tfm.level = "w8a8"} : (tensor<?x64xf32>, tensor<64x32xf32>, tensor<32xf32>) -> tensor<?x32xf32>
    ```
    becomes
    ```mlir
    %m = ... largest magnitude of each row
    %q = tfm.quantize ... {symmetric} : (tensor<?x64xf32>) -> tensor<?x64xi8>
    %s = tfm.linear %q, %codes : (tensor<?x64xi8>, tensor<64x32xi8>) -> tensor<?x32xi32>
    %f = tfm.cast %s
    %0 = %f * %m / 127 * %scales + %b
    ```
  }];
  let statistics = [Statistic<"numLayers", "layers", "layers in 8-bit integers">];
}

def FoldQdq : TfmPass<"fold-qdq"> {
  let summary = "multiply codes, not the numbers that they stand for";
  let description = [{
    A matrix product of two dequantized factors, (codes - zero point) * scale with codes of 8 bits, becomes an integer product
    and one multiplication by the product of the scales. Where the only reader quantizes it by one scale, that scale is divided
    into the factor. The first factor has one scale, the second, a matrix, one or one for each column.

    Left alone: factors with other scales, and codes of other widths.

    ```mlir
    %0 = tfm.matmul %x, %w   // %x = f32(i32(%a) - %za) * %sa, %w = f32(i32(%b)) * %sb
    ```
    becomes
    ```mlir
    %s = tfm.linear %a, %b : (tensor<?x64xui8>, tensor<64x32xi8>) -> tensor<?x32xi32>
    %0 = f32(%s - %za * colsum(%b)) * (%sa * %sb)
    ```
  }];
  let statistics = [Statistic<"numFolded", "folded", "products of codes">];
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

//===----------------------------------------------------------------------===//
// Tokens
//===----------------------------------------------------------------------===//

include "permalloy/Transforms/TokenPasses.td"

#endif
