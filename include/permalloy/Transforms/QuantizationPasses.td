//===- QuantizationPasses.td - weights into codes ----------------*- tablegen -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Part of Passes.td.
//
//===----------------------------------------------------------------------===//

#ifndef PERMALLOY_TRANSFORMS_QUANTIZATIONPASSES_TD
#define PERMALLOY_TRANSFORMS_QUANTIZATIONPASSES_TD

def PlanQuantization : TfmPass<"plan-quantization", "::mlir::ModuleOp"> {
  let summary = "decide which weights stand as codes";
  let description = [{
    Writes `tfm.level`, the name of a format (Transforms/Levels.h), and `tfm.solver` on each linear layer and each gather of rows
    whose weight is to take it, and in `tfm.precision_reason` why another does not: layers that choose experts, small weights,
    tables of positions. A layer that gives logits gets at least 8 bits unless `head=` asks for fewer. A table that is a layer's
    weight, too, follows the layer. Changes nothing else.

    ```mlir
    %0 = tfm.linear %x, %w : (tensor<?x512xf32>, tensor<512x512xf32>) -> tensor<?x512xf32>
    ```
    becomes
    ```mlir
    %0 = tfm.linear %x, %w {tfm.level = "w4g32", tfm.solver = "rtn"} : (tensor<?x512xf32>, tensor<512x512xf32>) -> tensor<?x512xf32>
    ```
  }];
  let options = [
    Option<"level", "level", "std::string", "\"w8\"", "a format, perhaps with ,head=LEVEL">,
    Option<"solver", "solver", "std::string", "\"rtn\"", "who chooses scales and codes">,
    Option<"minElements", "min-elements", "int64_t", "65536", "weights of fewer elements stay as they are">];
  let statistics = [Statistic<"numPlanned", "planned", "operations whose weight is to be quantized">];
}

def ApplyQuantization : TfmPass<"apply-quantization", "::mlir::ModuleOp"> {
  let summary = "give layers the weights that plan-quantization chose";
  let description = [{
    Each marked operation's format rewrites it: for integer codes the weight becomes `tfm.dequantize` of new weights, whose bodies
    quantize the old one when the artifact is written. A gather of rows becomes one of columns of the transposed table, so that
    groups run along what a row holds; a gather of columns from the weight of a marked layer (a tied embedding) reads the same
    codes. Equal weights under one level and solver are encoded once. Without marks nothing changes.

    ```mlir
    %0 = tfm.linear %x, %w {tfm.level = "w4g32"} : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
    ```
    becomes
    ```mlir
    %c = tfm.get_weight @w.w4g32.codes : tensor<64x64x!tfm.q<s4, group 32>>
    %s = tfm.get_weight @w.w4g32.scales : tensor<2x64xf16>
    %d = tfm.dequantize %c, %s : (tensor<64x64x!tfm.q<s4, group 32>>, tensor<2x64xf16>) -> tensor<64x64xf32>
    %0 = tfm.linear %x, %d : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
    ```
  }];
  let statistics = [Statistic<"numEncoded", "encoded", "operations whose weight became codes">];
}

#endif
