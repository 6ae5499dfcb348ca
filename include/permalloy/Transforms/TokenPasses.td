//===- TokenPasses.td - fewer tokens in encoders ------------------*- tablegen -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef PERMALLOY_TRANSFORMS_TOKENPASSES_TD
#define PERMALLOY_TRANSFORMS_TOKENPASSES_TD

def PlanTokenReduction : TfmPass<"plan-token-reduction"> {
  let summary = "decide how many tokens each encoder block gives up";
  let description = [{
    Writes `tfm.tokens`, a level such as "merge13" or "prune8", and `tfm.token_score` on the attention of each pre-norm encoder
    block that is to reduce its tokens, `tfm.tokens_reason` on those that cannot, and on the function `tfm.protected_tokens`:
    the leading tokens that stay alone. Their number is that of the tokens that the model puts in front of the others (a concat
    of a broadcast parameter), or of those that its output reads; where neither is found it is 0. Changes nothing else.

    `merge` is a schedule over the blocks in order: one count for each ("13"), a list ("16,16,8,0": the last one counts for the
    blocks behind), or a line ("26..0"); with "prune" in front ("prune13") tokens are dropped. A `plan` file
    names attentions by their ONNX nodes instead, with entries {"op": NODE, "kind": "tokens", "level": "merge13" } in its list
    "plan"; entries of other kinds are somebody else's. An entry that names what the model has not, or what cannot be reduced, is an error.

    Left alone, with a reason: attention that is causal, has a window, a mask, a cache or other keys than its own tokens; blocks
    that are not pre-norm; models in which tokens meet others between such blocks (windows, convolutions).

    ```mlir
    %a = tfm.attention %q, %k, %v {...} : ...
    ```
    becomes
    ```mlir
    %a = tfm.attention %q, %k, %v {..., tfm.tokens = "merge13", tfm.token_score = "tome"} : ...
    ```
  }];
  let options = [Option<"merge", "merge", "std::string", "\"\"", "tokens that each block gives up: 13, a list, or 26..0">,
                 Option<"score", "score", "std::string", "\"tome\"", "what chooses them; see TokenScore.h">,
                 Option<"protect", "protect", "int64_t", "-1", "leading tokens that stay alone; -1: found from the graph">,
                 Option<"plan", "plan", "std::string", "\"\"", "file of a plan, instead of one schedule">];
  let statistics = [Statistic<"numPlanned", "planned", "blocks that are to give up tokens">];
}

def ApplyTokenReduction : TfmPass<"apply-token-reduction"> {
  let summary = "merge tokens where plan-token-reduction says so";
  let description = [{
    Behind the residual of each marked attention, tokens are merged by the map that its score gives for its keys
    (`tfm.token_merge`), with the number of tokens of the model that each stands for. What follows works on those that are left;
    later attentions get the logarithms of these numbers as a mask, so that a token that stands for k counts as k. What reads
    protected tokens reads them as before, a mean over tokens is weighted, and all else that reads tokens gets them
    back (`tfm.token_unmerge`). The number of tokens is an expression: any size of the model's dimensions works.
    Bolya et al.: Token Merging: Your ViT But Faster, 2023.

    Attributes of plan-token-reduction are removed; without them nothing changes. The function's `tfm.token_reduction` says what
    was done, and what not and why, `tfm.token_plan` the level, the score and the reason of each attention.

    ```mlir
    %a = tfm.attention %q, %k, %v {..., tfm.tokens = "merge13"} : ...
    %o = tfm.linear %a, %w ...
    %y = tfm.binary add %o, %x : ...tensor<?x197x768xf32>
    %z = tfm.layer_norm %y ...
    ```
    becomes
    ```mlir
    %a = tfm.attention %q, %k, %v {...} : ...
    %o = tfm.linear %a, %w ...
    %y = tfm.binary add %o, %x : ...tensor<?x197x768xf32>
    %map = tfm.token_score %k to #tfm.dim<184> {num_heads = 12 : i64, protected_tokens = 1 : i64} ...
    %m = tfm.token_merge %y to #tfm.dim<184> by %map ... -> tensor<?x184x768xf32>
    %z = tfm.layer_norm %m ...
    ```
  }];
  let options = [Option<"sizes", "sizes", "bool", "true", "attention counts a merged token as many (proportional attention)">];
  let statistics = [Statistic<"numMerged", "merged", "blocks behind which tokens are merged">];
}

#endif
