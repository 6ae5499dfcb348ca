//===- Passes.td - from tfm to kernels and launches --------------*- tablegen -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef PERMALLOY_CONVERSION_PASSES_TD
#define PERMALLOY_CONVERSION_PASSES_TD

include "mlir/Pass/PassBase.td"

def PlanCaches : Pass<"plan-caches", "::mlir::func::FuncOp"> {
  let summary = "keep past keys and values in buffers that new rows are appended to";
  let description = [{
    A rank 4 input that is used by one concat along dimension 2 and by nothing else, where the result is returned once and is
    otherwise the key or value of attention, becomes a cache (`kern.cache`): the new rows are written behind the old ones in a
    buffer of the runtime (`tfm.kv_append`), attention reads the buffer with `kv_length`, and the output is a view
    (`kern.cache_view`). All caches of a function have the same batch and lengths and share one symbol, `capacity`. An attention
    whose key and value would not both be caches keeps its concats.

    Runs after attention was raised; what keeps an input from being a cache stands in its argument attribute `kern.no_cache`,
    which the fusion report prints. A function that has caches is left alone.

    Before and after:
    ```mlir
    %0 = tfm.concat %past, %new {axis = 2 : i64}    %c = kern.cache 0 %past least #tfm.dim<past + seq> dims [..., #tfm.dim<capacity>, ...]
    %1 = tfm.attention %q, %0, ...                  %0 = tfm.kv_append %c at #tfm.dim<past>, %new
    return %1, %0                                   %1 = tfm.attention %q, %0, ... kv_length #tfm.dim<past + seq>
                                                    %2 = kern.cache_view 0 %0 dims [...]
                                                    return %1, %2
    ```
  }];
  let statistics = [Statistic<"numCaches", "caches", "inputs that became caches">,
                    Statistic<"numRefused", "refused", "pasts that stay copies">];
  let dependentDialects = ["::permalloy::kern::KernDialect", "::permalloy::tfm::TfmDialect"];
}

def ExpandMoe : Pass<"expand-moe", "::mlir::ModuleOp"> {
  let summary = "turn mixtures of experts into what kernels do";
  let description = [{
    A `tfm.moe` becomes the choice of experts, their weights and the (token, slot) pairs sorted by expert; two grouped linear
    layers over the pairs, whose rows are gathered and stored by the pair's number; and the weighted sum of each token's rows,
    in the order in which its experts were chosen. Weights stay as they are, so none is copied, and experts without tokens
    cost nothing. Fails on experts whose weights are computed while running.

    ```mlir
    %y = tfm.moe %x, %logits, %up, %down activation silu {gated, normalize, top_k = 2 : i64} : ...
    ```
    becomes
    ```mlir
    %chosen = tfm.top_k %logits k #tfm.dim<2> {axis = 1 : i64} : (tensor<?x8xf32>) -> tensor<?x2xi64>
    %weights = tfm.moe_weights %logits, %chosen {normalize} : (tensor<?x8xf32>, tensor<?x2xi64>) -> tensor<?x2xf32>
    %groups = tfm.group_by %chosen {groups = 8 : i64} : (tensor<?x2xi64>) -> tensor<?xi64>
    %hidden = tfm.grouped_linear %x, %groups, %up activation silu {gated, repeat = 2 : i64} : ...
    %rows = tfm.grouped_linear %hidden, %groups, %down {repeat = 1 : i64} : ...
    ...
    ```
  }];
  let statistics = [Statistic<"numExpanded", "expanded", "mixtures expanded">];
  let dependentDialects = ["::permalloy::tfm::TfmDialect"];
}

def PlanKernels : Pass<"plan-kernels", "::mlir::func::FuncOp"> {
  let summary = "decide which operations share a kernel";
  let description = [{
    Writes `kern.group`, a number, on every `tfm` operation that will run; operations of one number become one kernel. Nothing
    is rewritten, but that a range, and the decoding of a weight, gets a copy per user: the plan can be read, edited and applied by `outline-kernels`.

    A group has at most one root that contracts or reduces (linear, matmul, attention, layer_norm, softmax, reduce):
    - an elementwise operation whose shape is that of a linear layer and that is its only user joins it (its epilogue);
    - a producer that is elementwise or moves data joins its users when they all are in one group of rows or loops, so its
      value is computed where it is needed and never stored;
    - weights that stand as codes (`tfm.dequantize`) are decoded in each kernel that reads them;
    - a function that such users would compute again for each of many elements (a gate of a row that scales all its tokens) stays
      apart, and so do a norm and its codes, where the cost model, if there is one, says that this is faster;
    - the experts that a top_k chooses, their weights and their groups are one kernel;
    - a reshape that is left over stays without a number: it becomes a view, which costs nothing.
    Weights and constants are no part of groups.

    Before and after:
    ```mlir
    %0 = tfm.linear %x, %w : ...                %0 = tfm.linear %x, %w {kern.group = 0 : i64} : ...
    %1 = tfm.binary add %0, %r : ...            %1 = tfm.binary add %0, %r {kern.group = 0 : i64} : ...
    ```
  }];
  let statistics = [
    Statistic<"numGroups", "groups", "kernels planned">,
    Statistic<"numEpilogues", "epilogues", "operations joined to the linear layer before them">,
    Statistic<"numPrologues", "producers", "producers joined to their users">];
  let dependentDialects = ["::permalloy::tfm::TfmDialect", "::permalloy::kern::KernDialect"];
}

def OutlineKernels : Pass<"outline-kernels", "::mlir::ModuleOp"> {
  let summary = "turn planned groups into kernels and launches";
  let description = [{
    Each group of `kern.group` in the module's functions becomes a `kern.kernel` and a `kern.launch` where its last operation
    stood. The dimensions that a kernel needs become its symbols `d0`, `d1`, ...; equal kernels are made once. Reshapes without
    a group become `kern.view`. Small constants move into kernels; larger ones and weights are launch operands.

    Fails, naming the operation, when a dimension depends on data (no expression over the inputs' dimensions is known).
  }];
  let statistics = [Statistic<"numKernels", "kernels", "distinct kernels">,
                    Statistic<"numLaunches", "launches", "launches">];
  let dependentDialects = ["::permalloy::kern::KernDialect", "::permalloy::tfm::TfmDialect"];
}

def PackWeights : Pass<"pack-weights", "::mlir::ModuleOp"> {
  let summary = "give contraction kernels their weights in panels";
  let description = [{
    The weight argument of every contraction kernel, and in any kernel the codes, scales and zero points that a weight is
    decoded from, get the encoding `#tfm.panels`, and each launch a weight whose body packs
    the original. A weight packed twice is packed once.
  }];
  let dependentDialects = ["::permalloy::tfm::TfmDialect"];
}

def PlanSlots : Pass<"plan-slots", "::mlir::func::FuncOp"> {
  let summary = "give every intermediate value a place in memory";
  let description = [{
    Writes `slots` on launches, tfm.if and tfm.while, and `kern.slots`, the size of each slot in bytes, on the function. Values whose lives do not
    overlap share a slot when one size is provably at least the other for all dimensions; a value that the function returns is
    written straight into the output (-1), unless its size depends on data.
  }];
  let statistics = [Statistic<"numSlots", "slots", "slots">];
  let dependentDialects = ["::permalloy::kern::KernDialect", "::permalloy::tfm::TfmDialect"];
}

#endif
