//===- CleanupPasses.td - shapes, constants, indexing, weights -----*- tablegen -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A part of Passes.td, which has the class TfmPass and includes this.
//
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
