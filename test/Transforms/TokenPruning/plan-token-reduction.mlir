// RUN: permalloy-opt %s --plan-token-reduction=merge=3 | FileCheck %s
// RUN: permalloy-opt %s --plan-token-reduction="merge=prune2..0 protect=2 score=random" | FileCheck %s --check-prefix=LINE
// RUN: permalloy-opt %s --plan-token-reduction=merge=3 --apply-token-reduction -o %t.once
// RUN: permalloy-opt %t.once --plan-token-reduction=merge=3 --apply-token-reduction | diff %t.once -
// RUN: echo '{"plan": [{"op": "second", "kind": "tokens", "level": "merge4", "score": "strided"}, {"op": "x", "kind": "linear", "level": "w8"}]}' > %t.json
// RUN: permalloy-opt %s --plan-token-reduction=plan=%t.json | FileCheck %s --check-prefix=PLAN
// RUN: echo '{"plan": [{"op": "third", "kind": "tokens", "level": "merge4"}]}' > %t.third.json
// RUN: not permalloy-opt %s --plan-token-reduction=plan=%t.third.json 2>&1 | FileCheck %s --check-prefix=THIRD
// RUN: echo '{"plan": [{"op": "causal", "kind": "tokens", "level": "merge4"}]}' > %t.causal.json
// RUN: not permalloy-opt %s --plan-token-reduction=plan=%t.causal.json 2>&1 | FileCheck %s --check-prefix=CAUSAL
// RUN: not permalloy-opt %s --plan-token-reduction=merge=1,2,3 2>&1 | FileCheck %s --check-prefix=LONG
// RUN: not permalloy-opt %s --plan-token-reduction="merge=1 score=best" 2>&1 | FileCheck %s --check-prefix=SCORE
// RUN: not permalloy-opt %s --plan-token-reduction="merge=1 score=tome3" 2>&1 | FileCheck %s --check-prefix=SEED
// RUN: permalloy-opt %s --plan-token-reduction="merge=1 score=random" --apply-token-reduction | FileCheck %s --check-prefix=DRAW
// RUN: permalloy-opt %s --plan-token-reduction="merge=1 score=random7" --apply-token-reduction | FileCheck %s --check-prefixes=DRAW,OTHER

// The output reads the first token. The last attention is causal.
// CHECK-LABEL: @main(
// CHECK-SAME: tfm.protected_tokens = 1 : i64
// CHECK: tfm.attention {{.*}}tfm.token_score = "tome", tfm.tokens = "merge3"
// CHECK: tfm.attention {{.*}}tfm.token_score = "tome", tfm.tokens = "merge3"
// CHECK: tfm.attention {{.*}}tfm.tokens_reason = "it is causal"
// LINE: tfm.protected_tokens = 2 : i64
// LINE: tfm.attention {{.*}}tfm.token_score = "random", tfm.tokens = "prune2"
// LINE-NOT: tfm.tokens =
// PLAN: tfm.attention
// PLAN-NOT: tfm.tokens =
// PLAN: tfm.attention {{.*}}tfm.token_score = "strided", tfm.tokens = "merge4"
// THIRD: the model has no attention "third"
// CAUSAL: "causal" cannot give up tokens: it is causal
// LONG: the schedule '1,2,3' has 3 entries for 2 blocks
// SCORE: token score 'best' is unknown; there are random, strided, tome, values
// SEED: token score 'tome3' is unknown
// Another seed begins elsewhere in the same sequence.
// OTHER: #tfm.dim<7000021>
// DRAW: tfm.binary mul
// DRAW: tfm.token_score
func.func @main(%x: tensor<?x16x8xf32> {tfm.dims = [#tfm.dim<batch>, #tfm.dim<16>, #tfm.dim<8>]}, %s: tensor<8xf32>, %c: tensor<?x16x8xf32> {tfm.dims = [#tfm.dim<batch>, #tfm.dim<16>, #tfm.dim<8>]}) -> (tensor<?x1x8xf32>, tensor<?x16x8xf32>) {
  %n0 = tfm.layer_norm %x, %s, %s {axis = 2 : i64, epsilon = 1.0e-5 : f32} : (tensor<?x16x8xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<?x16x8xf32>
  %a0 = tfm.attention %n0, %n0, %n0 {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32} : (tensor<?x16x8xf32>, tensor<?x16x8xf32>, tensor<?x16x8xf32>) -> tensor<?x16x8xf32> loc("first")
  %y0 = tfm.binary add %x, %a0 : (tensor<?x16x8xf32>, tensor<?x16x8xf32>) -> tensor<?x16x8xf32>
  %n1 = tfm.layer_norm %y0, %s, %s {axis = 2 : i64, epsilon = 1.0e-5 : f32} : (tensor<?x16x8xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<?x16x8xf32>
  %a1 = tfm.attention %n1, %n1, %n1 {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32} : (tensor<?x16x8xf32>, tensor<?x16x8xf32>, tensor<?x16x8xf32>) -> tensor<?x16x8xf32> loc("second")
  %y1 = tfm.binary add %y0, %a1 : (tensor<?x16x8xf32>, tensor<?x16x8xf32>) -> tensor<?x16x8xf32>
  %a2 = tfm.attention %c, %c, %c {causal, num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32} : (tensor<?x16x8xf32>, tensor<?x16x8xf32>, tensor<?x16x8xf32>) -> tensor<?x16x8xf32> loc("causal")
  %f = tfm.slice %y1 offsets [#tfm.dim<0>, #tfm.dim<0>, #tfm.dim<0>] sizes [#tfm.dim<batch>, #tfm.dim<1>, #tfm.dim<8>] strides [1, 1, 1] : (tensor<?x16x8xf32>) -> tensor<?x1x8xf32>
  return %f, %a2 : tensor<?x1x8xf32>, tensor<?x16x8xf32>
}
