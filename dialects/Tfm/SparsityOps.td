//===- SparsityOps.td - weights of which blocks are left out ------*- tablegen -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A weight [K, N] is cut into blocks of bk rows x bn columns. In each slab of bn columns the same number of blocks is kept, so
// that equal layers share kernels and slabs take equal time; the rest is zero and is neither stored nor multiplied. A block of
// 1 x 16 is a row of a panel (Panels.h), one of 4 x 16 a row of a panel of int8. docs/sparsity.md has the measurements.
//
// Or each column keeps some of each four steps of K that follow each other, a quad, as "2:4" does. Kept weight i of a column stands
// in quad i / kept; which of its four steps it is takes two bits, 16 to a word for each column of a panel:
//
//   values [N/16, K/4 * kept, 16]      steps [N/16, ceil(K/4 * kept / 16), 16]: bits 2 * (i % 16) of word i / 16
//
//===----------------------------------------------------------------------===//

#ifndef PERMALLOY_TFM_SPARSITYOPS_TD
#define PERMALLOY_TFM_SPARSITYOPS_TD

include "Tfm/TfmDialect.td"
include "Tfm/TfmInterfaces.td"

def Tfm_PruneWeightOp : Tfm_ShapedOp<"prune_weight"> {
  let summary = "a weight with zeros for the blocks that matter least";
  let description = [{
    `weight` is [K, N]; `block` = [bk, bn]. Of every `of` block rows that follow each other (absent: of all ceil(K/bk)) `kept` stay
    in each slab of bn columns, and all others are zero. So `kept = 384, block = [1, 16]` keeps 384 rows of each panel and
    `kept = 2, of = 4, block = [1, 1]` is 2:4. `solver` names what chooses, and may change what stays (include/permalloy/Solvers);
    `gram` [K, K], the sum of x x^T over rows x of the layer's input, is what some solvers need.

    Constraints: (prune_weight_c1) rank 2, static; (prune_weight_c2) the block's sides are positive; (prune_weight_c3)
    0 < kept <= of <= ceil(K/bk), and `of` divides the latter; (prune_weight_c4) the gram is [K, K].

    Example: `%0 = tfm.prune_weight %w {solver = "magnitude", kept = 384 : i64, block = array<i64: 1, 16>} : (tensor<768x3072xf32>) -> tensor<768x3072xf32>`
  }];
  let arguments = (ins Tfm_FloatTensor:$weight, Optional<Tfm_FloatTensor>:$gram, StrAttr:$solver, I64Attr:$kept,
                       DenseI64ArrayAttr:$block, OptionalAttr<I64Attr>:$of);
  let results = (outs Tfm_FloatTensor:$result);
  let assemblyFormat = "$weight (`gram` $gram^)? attr-dict `:` functional-type(operands, results)";
}

def Tfm_BlockRowsOp : Tfm_ShapedOp<"block_rows", ["inferElementType"]> {
  let summary = "which blocks of a pruned weight are kept";
  let description = [{
    `weight` is [K, N], `block` = [bk, bn]. The result [ceil(N/bn), kept] holds for each slab of bn columns the numbers, ascending,
    of `kept` block rows: all that are not zero, and the first ones that are where those are fewer. More than `kept` that are not
    zero are an error of the evaluator.

    Constraints: (block_rows_c1) rank 2, static; (block_rows_c2) the block's sides are positive, and bn is a multiple of 16;
    (block_rows_c3) 0 < kept <= ceil(K/bk).

    Example: `%0 = tfm.block_rows %w {kept = 384 : i64, block = array<i64: 1, 16>} : (tensor<768x3072xf32>) -> tensor<192x384xi32>`
  }];
  let arguments = (ins Tfm_Tensor:$weight, I64Attr:$kept, DenseI64ArrayAttr:$block);
  let results = (outs RankedTensorOf<[I32]>:$result);
  let assemblyFormat = "$weight attr-dict `:` functional-type(operands, results)";
}

def Tfm_CompactBlocksOp : Tfm_ShapedOp<"compact_blocks"> {
  let summary = "the kept blocks of a weight, one after the other";
  let description = [{
    `weight` is [K, N], `rows` [ceil(N/bn), kept] as of `tfm.block_rows`. The result [ceil(N/bn), kept, bk * bn] holds the blocks in the
    order of panels: element (k, n) of a block is at (n / 16) * 16 * bk + n % 16 * bk + k, and what lies behind K or N is zero.

    Constraints: (compact_blocks_c1) the weight has rank 2 and is static; (compact_blocks_c2) as (block_rows_c2);
    (compact_blocks_c3) the rows are [ceil(N/bn), kept].

    Example: `%0 = tfm.compact_blocks %w, %rows {block = array<i64: 1, 16>} : (tensor<768x3072xf32>, tensor<192x384xi32>) -> tensor<192x384x16xf32>`
  }];
  let arguments = (ins Tfm_Tensor:$weight, RankedTensorOf<[I32]>:$rows, DenseI64ArrayAttr:$block);
  let results = (outs Tfm_Tensor:$result);
  let assemblyFormat = "$weight `,` $rows attr-dict `:` functional-type(operands, results)";
}

def Tfm_ExpandBlocksOp : Tfm_ShapedOp<"expand_blocks"> {
  let summary = "a weight from its kept blocks";
  let description = [{
    The inverse of `tfm.compact_blocks`: [K, N] = `shape`, zero where no block is kept. In front of `tfm.linear` it is part of the
    product's kernel, which walks the kept rows and never builds the weight.

    Constraints: (expand_blocks_c1) `shape` is [K, N]; (expand_blocks_c2) as (block_rows_c2); (expand_blocks_c3) values are
    [ceil(N/bn), kept, bk * bn] and rows [ceil(N/bn), kept], kept <= ceil(K/bk). Rows ascend and lie within [0, ceil(K/bk)),
    which the interpreter checks.

    Example: `%0 = tfm.expand_blocks %values, %rows {block = array<i64: 1, 16>, shape = array<i64: 768, 3072>} : (tensor<192x384x16xf32>, tensor<192x384xi32>) -> tensor<768x3072xf32>`
  }];
  let arguments = (ins Tfm_Tensor:$values, RankedTensorOf<[I32]>:$rows, DenseI64ArrayAttr:$block, DenseI64ArrayAttr:$shape);
  let results = (outs Tfm_Tensor:$result);
  let assemblyFormat = "$values `,` $rows attr-dict `:` functional-type(operands, results)";
  let extraClassDeclaration = [{
    /// Steps of K and columns of a block, and the blocks kept in each slab.
    int64_t blockDepth() { return getBlock()[0]; }
    int64_t blockColumns() { return getBlock()[1]; }
    int64_t kept() { return getRows().getType().getDimSize(1); }
  }];
}

def Tfm_QuadStepsOp : Tfm_ShapedOp<"quad_steps", ["inferElementType"]> {
  let summary = "which step of each quad the weights of a column are kept of";
  let description = [{
    `weight` is [K, N]. The result [ceil(N/16), ceil(D/16), 16], D = K/4 * kept, holds for each column n, in words [n / 16, .., n % 16],
    two bits for each kept weight, ascending within a quad: the steps that are not zero, and the first ones that are where those are
    fewer than `kept`. More than `kept` that are not zero are an error of the evaluator; bits behind the last one are 0.

    Constraints: (quad_steps_c1) rank 2, static; (quad_steps_c2) K is a multiple of 4; (quad_steps_c3) `kept` is 1 or 2.

    Example: `%0 = tfm.quad_steps %w {kept = 2 : i64} : (tensor<768x3072xf32>) -> tensor<192x24x16xi32>`
  }];
  let arguments = (ins Tfm_FloatTensor:$weight, I64Attr:$kept);
  let results = (outs RankedTensorOf<[I32]>:$result);
  let assemblyFormat = "$weight attr-dict `:` functional-type(operands, results)";
}

def Tfm_CompactQuadsOp : Tfm_ShapedOp<"compact_quads"> {
  let summary = "the kept weights of each quad, one after the other";
  let description = [{
    `weight` is [K, N], `steps` as of `tfm.quad_steps`. The result [ceil(N/16), K/4 * kept, 16] holds the kept weights of each column of
    each panel, zeros behind N.

    Constraints: (compact_quads_c1) as (quad_steps_c1) to (quad_steps_c3); (compact_quads_c2) the steps have the shape that
    `tfm.quad_steps` gives.

    Example: `%0 = tfm.compact_quads %w, %steps {kept = 2 : i64} : (tensor<768x3072xf32>, tensor<192x24x16xi32>) -> tensor<192x384x16xf32>`
  }];
  let arguments = (ins Tfm_FloatTensor:$weight, RankedTensorOf<[I32]>:$steps, I64Attr:$kept);
  let results = (outs Tfm_FloatTensor:$result);
  let assemblyFormat = "$weight `,` $steps attr-dict `:` functional-type(operands, results)";
}

def Tfm_ExpandQuadsOp : Tfm_ShapedOp<"expand_quads"> {
  let summary = "a weight from the kept weights of its quads";
  let description = [{
    The inverse of `tfm.compact_quads`: [K, N] = `shape`, zero where nothing is kept. In front of `tfm.linear` it is part of the
    product's kernel, which walks the kept weights.

    Constraints: (expand_quads_c1) `shape` is [K, N], K a multiple of 4; (expand_quads_c2) `kept` is 1 or 2; (expand_quads_c3) values
    are [ceil(N/16), D, 16] with D = K/4 * kept, and steps [ceil(N/16), ceil(D/16), 16]. The steps of a quad ascend, which the
    interpreter checks.

    Example: `%0 = tfm.expand_quads %values, %steps {kept = 2 : i64, shape = array<i64: 768, 3072>} : (tensor<192x384x16xf32>, tensor<192x24x16xi32>) -> tensor<768x3072xf32>`
  }];
  let arguments = (ins Tfm_FloatTensor:$values, RankedTensorOf<[I32]>:$steps, I64Attr:$kept, DenseI64ArrayAttr:$shape);
  let results = (outs Tfm_FloatTensor:$result);
  let assemblyFormat = "$values `,` $steps attr-dict `:` functional-type(operands, results)";
  let extraClassDeclaration = [{
    /// Weights that each column keeps.
    int64_t depth() { return getValues().getType().getDimSize(1); }
  }];
}

#endif
