//===- TokenOps.td - fewer tokens on the way -----------------*- tablegen -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Merging and dropping of tokens. A *map* [batch, n] of i64 says where each of n tokens goes: a position among the fewer tokens,
// or -1 where it is dropped. Several tokens that go to one position are merged. docs/token-merging.md tells the whole story.
//
//===----------------------------------------------------------------------===//

#ifndef PERMALLOY_TFM_TOKEN_OPS_TD
#define PERMALLOY_TFM_TOKEN_OPS_TD

def Tfm_TokenScoreOp : Tfm_ShapedOp<"token_score", ["inferElementType"]> {
  let summary = "which tokens merge with which: bipartite soft matching";
  let description = [{
    `metric` is [batch, n, heads * size], the keys of an attention. Its mean over the heads, divided by its length (a vector of
    zeros stays zero), compares tokens. The first `protected_tokens` are left alone; of the others, those at even positions are
    sources and those at odd positions targets. Each source has its best target, that of the largest dot product (the
    first of equal ones; a product that is no number counts as -inf). The r = n - `tokens` sources with the largest best
    products (the first of equal ones) go to their targets, or with `prune` are dropped. The result is a map [batch, n]: protected
    tokens stay first, then come the sources that are left, then the targets, each in order.

    At most half of the tokens that are not protected can go. Sequences of a batch do not see each other.
    Bolya et al.: Token Merging: Your ViT But Faster, 2023.

    Constraints: (token_score_c1) the metric has rank 3; (token_score_c2) num_heads is positive and divides its last dimension;
    (token_score_c3) protected_tokens is not negative; (token_score_c4) 0 <= n - tokens <= (n - protected_tokens) floordiv 2
    where known.

    Example: `%0 = tfm.token_score %k to #tfm.dim<184> {num_heads = 12 : i64, protected_tokens = 1 : i64} : (tensor<?x197x768xf32>) -> tensor<?x197xi64>`
  }];
  let arguments = (ins Tfm_FloatTensor:$metric, Tfm_DimExprAttr:$tokens, I64Attr:$num_heads, I64Attr:$protected_tokens,
                       UnitAttr:$prune);
  let results = (outs Tfm_IndexTensor:$result);
  let assemblyFormat = "$metric `to` $tokens attr-dict `:` functional-type(operands, results)";
}

def Tfm_TokenMergeOp : Tfm_ShapedOp<"token_merge"> {
  let summary = "the mean, or the sum, of the tokens that a map sends to each position";
  let description = [{
    `input` is [batch, n, ...], the result [batch, tokens, ...]. Position p holds the mean of all tokens i with map[i] = p,
    weighted by `sizes` [batch, n] (how many tokens of the model each stands for; 1 where absent): sum of sizes[i] * input[i]
    over the sum of sizes[i]. With `sum` it is the sum of input[i]; the sizes themselves merge so. A position that no token
    goes to holds 0. A token that is alone keeps its value. Sums go in the order of tokens.

    Constraints: (token_merge_c1) the input has a rank of 2 or more, and map and sizes are its first two dimensions;
    (token_merge_c2) `sum` takes no sizes; (token_merge_c3) an entry of the map below -1, or not below `tokens`, is an error in
    the interpreter; compiled kernels drop the token.

    Example: `%0 = tfm.token_merge %x to #tfm.dim<184> by %map sizes %s : (tensor<?x197x768xf32>, tensor<?x197xi64>, tensor<?x197xf32>) -> tensor<?x184x768xf32>`
  }];
  let arguments = (ins Tfm_FloatTensor:$input, Tfm_DimExprAttr:$tokens, Tfm_IndexTensor:$map, Optional<Tfm_FloatTensor>:$sizes,
                       UnitAttr:$sum);
  let results = (outs Tfm_FloatTensor:$result);
  let assemblyFormat = "$input `to` $tokens `by` $map (`sizes` $sizes^)? attr-dict `:` functional-type(operands, results)";
}

def Tfm_TokenUnmergeOp : Tfm_ShapedOp<"token_unmerge"> {
  let summary = "give every token of a map the value of the position it went to";
  let description = [{
    `input` is [batch, tokens, ...], the result [batch, n, ...]: result[i] = input[map[i]], and 0 for a token that was dropped.

    Constraints: (token_unmerge_c1) the input has a rank of 2 or more, the map is [batch, n]; (token_unmerge_c2) an entry of the
    map below -1, or not below the input's second dimension, is an error in the interpreter; compiled kernels give 0.

    Example: `%0 = tfm.token_unmerge %y by %map : (tensor<?x184x768xf32>, tensor<?x197xi64>) -> tensor<?x197x768xf32>`
  }];
  let arguments = (ins Tfm_FloatTensor:$input, Tfm_IndexTensor:$map);
  let results = (outs Tfm_FloatTensor:$result);
  let assemblyFormat = "$input `by` $map attr-dict `:` functional-type(operands, results)";
}

#endif
