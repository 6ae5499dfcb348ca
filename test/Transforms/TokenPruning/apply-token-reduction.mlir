// RUN: permalloy-opt %s --plan-token-reduction=merge=2 --apply-token-reduction | FileCheck %s
// RUN: permalloy-opt %s --plan-token-reduction=merge=prune2 --apply-token-reduction | FileCheck %s --check-prefix=PRUNE
// RUN: permalloy-opt %s --plan-token-reduction="merge=2 score=strided" --apply-token-reduction | FileCheck %s --check-prefix=STRIDED
// RUN: permalloy-opt %s --plan-token-reduction="merge=2 score=values" --apply-token-reduction | FileCheck %s --check-prefix=VALUES
// RUN: permalloy-opt %s --plan-token-reduction=merge=0 --apply-token-reduction | FileCheck %s --check-prefix=NONE
// RUN: permalloy-opt %s --check-equivalent="pipeline=func.func(plan-token-reduction{merge=0},apply-token-reduction) sizes=batch=2,n=9 rtol=0 atol=0 idempotent" -o /dev/null

tfm.weight @w : tensor<8x8xf32> = #tfm.seeded<1, 0.5>
tfm.weight @class : tensor<1x1x8xf32> = #tfm.seeded<2, 0.5>
tfm.weight @scale : tensor<8xf32> = #tfm.seeded<3, 0.5>

// Two blocks of attention; the class token is read. The second attention counts sizes, the third what it is.
// CHECK-LABEL: @class_token(
// CHECK-SAME: tfm.token_reduction = "2 blocks from 7 to 3 tokens, 1 protected"
// CHECK: %[[A:.*]] = tfm.attention %{{.*}}, %[[K:.*]], %{{.*}} {num_heads
// CHECK: %[[Y:.*]] = tfm.binary add
// CHECK: %[[MAP:.*]] = tfm.token_score %[[K]] to <"=5"> {num_heads = 2 : i64, protected_tokens = 1 : i64}
// CHECK: %[[SIZES:.*]] = tfm.token_merge %{{.*}} to <"=5"> by %[[MAP]] {sum} : (tensor<?x7xf32>, tensor<?x7xi64>) -> tensor<?x?xf32>
// CHECK: %[[M:.*]] = tfm.token_merge %[[Y]] to <"=5"> by %[[MAP]] : (tensor<?x7x8xf32>, tensor<?x7xi64>) -> tensor<?x?x8xf32>
// CHECK: %[[LOG:.*]] = tfm.unary log %[[SIZES]]
// CHECK: %[[MASK:.*]] = tfm.reshape %[[LOG]] dims [#tfm.dim<batch>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<"=5">]
// CHECK: tfm.layer_norm %[[M]]
// CHECK: tfm.attention %{{.*}} mask %[[MASK]] {{.*}} -> tensor<?x?x8xf32>
// CHECK: %[[MAP2:.*]] = tfm.token_score
// CHECK: %[[M2:.*]] = tfm.token_merge %{{.*}} to <"=3"> by %[[MAP2]] sizes %[[SIZES]]
// CHECK: %[[C:.*]] = tfm.slice %[[M2]] offsets [#tfm.dim<0>, #tfm.dim<0>, #tfm.dim<0>] sizes [#tfm.dim<batch>, #tfm.dim<1>, #tfm.dim<8>]
// CHECK: return %[[C]]
// PRUNE-LABEL: @class_token(
// PRUNE: tfm.token_score {{.*}} {num_heads = 2 : i64, protected_tokens = 1 : i64, prune}
// PRUNE-NOT: mask
// PRUNE: return
// VALUES-LABEL: @class_token(
// VALUES: tfm.attention %{{.*}}, %{{.*}}, %[[V:.*]] {num_heads
// VALUES: tfm.token_score %[[V]] to <"=5"> {num_heads = 1 : i64, protected_tokens = 1 : i64}
// STRIDED-LABEL: @class_token(
// STRIDED-NOT: tfm.token_score
// STRIDED: tfm.token_merge
// STRIDED: return
// NONE-LABEL: @class_token(
// NONE-SAME: tfm.token_reduction = "all tokens stay"
// NONE-NOT: token_
// NONE: return
func.func @class_token(%x: tensor<?x6x8xf32> {tfm.dims = [#tfm.dim<batch>, #tfm.dim<6>, #tfm.dim<8>]}) -> tensor<?x1x8xf32> {
  %w = tfm.get_weight @w : tensor<8x8xf32>
  %s = tfm.get_weight @scale : tensor<8xf32>
  %class = tfm.get_weight @class : tensor<1x1x8xf32>
  %first = tfm.broadcast %class dims [#tfm.dim<batch>, #tfm.dim<1>, #tfm.dim<8>] : (tensor<1x1x8xf32>) -> tensor<?x1x8xf32>
  %x0 = tfm.concat %first, %x {axis = 1 : i64} : (tensor<?x1x8xf32>, tensor<?x6x8xf32>) -> tensor<?x7x8xf32>
  %n0 = tfm.layer_norm %x0, %s, %s {axis = 2 : i64, epsilon = 1.0e-5 : f32} : (tensor<?x7x8xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<?x7x8xf32>
  %k0 = tfm.linear %n0, %w : (tensor<?x7x8xf32>, tensor<8x8xf32>) -> tensor<?x7x8xf32>
  %a0 = tfm.attention %n0, %k0, %n0 {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32} : (tensor<?x7x8xf32>, tensor<?x7x8xf32>, tensor<?x7x8xf32>) -> tensor<?x7x8xf32>
  %o0 = tfm.linear %a0, %w : (tensor<?x7x8xf32>, tensor<8x8xf32>) -> tensor<?x7x8xf32>
  %y0 = tfm.binary add %o0, %x0 : (tensor<?x7x8xf32>, tensor<?x7x8xf32>) -> tensor<?x7x8xf32>
  %m0 = tfm.layer_norm %y0, %s, %s {axis = 2 : i64, epsilon = 1.0e-5 : f32} : (tensor<?x7x8xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<?x7x8xf32>
  %h0 = tfm.linear %m0, %w activation relu : (tensor<?x7x8xf32>, tensor<8x8xf32>) -> tensor<?x7x8xf32>
  %x1 = tfm.binary add %h0, %y0 : (tensor<?x7x8xf32>, tensor<?x7x8xf32>) -> tensor<?x7x8xf32>
  %n1 = tfm.layer_norm %x1, %s, %s {axis = 2 : i64, epsilon = 1.0e-5 : f32} : (tensor<?x7x8xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<?x7x8xf32>
  %k1 = tfm.linear %n1, %w : (tensor<?x7x8xf32>, tensor<8x8xf32>) -> tensor<?x7x8xf32>
  %a1 = tfm.attention %n1, %k1, %n1 {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32} : (tensor<?x7x8xf32>, tensor<?x7x8xf32>, tensor<?x7x8xf32>) -> tensor<?x7x8xf32>
  %y1 = tfm.binary add %a1, %x1 : (tensor<?x7x8xf32>, tensor<?x7x8xf32>) -> tensor<?x7x8xf32>
  %c = tfm.slice %y1 offsets [#tfm.dim<0>, #tfm.dim<0>, #tfm.dim<0>] sizes [#tfm.dim<batch>, #tfm.dim<1>, #tfm.dim<8>] strides [1, 1, 1] : (tensor<?x7x8xf32>) -> tensor<?x1x8xf32>
  return %c : tensor<?x1x8xf32>
}

// Any number of tokens; nobody is protected; all are asked for, and their mean.
// CHECK-LABEL: @dense(
// CHECK: %[[MAP:.*]] = tfm.token_score {{.*}} to <max{{.*}}> {num_heads = 2 : i64, protected_tokens = 0 : i64}
// CHECK: %[[SIZES:.*]] = tfm.token_merge {{.*}} {sum}
// CHECK: %[[M:.*]] = tfm.token_merge
// CHECK: %[[Z:.*]] = tfm.binary add
// CHECK: %[[W:.*]] = tfm.reshape %[[SIZES]]
// CHECK: %[[WZ:.*]] = tfm.binary mul %[[Z]], %[[W]]
// CHECK: %[[SUM:.*]] = tfm.reduce sum %[[WZ]] axes [1]
// CHECK: %[[TOTAL:.*]] = tfm.reduce sum %[[W]] axes [1]
// CHECK: %[[MEAN:.*]] = tfm.binary div %[[SUM]], %[[TOTAL]]
// CHECK: %[[ALL:.*]] = tfm.token_unmerge %[[Z]] by %[[MAP]] : (tensor<?x?x8xf32>, tensor<?x?xi64>) -> tensor<?x?x8xf32>
// CHECK: return %[[ALL]], %[[MEAN]]
func.func @dense(%x: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<batch>, #tfm.dim<n>, #tfm.dim<8>]}) -> (tensor<?x?x8xf32>, tensor<?x8xf32>) {
  %w = tfm.get_weight @w : tensor<8x8xf32>
  %s = tfm.get_weight @scale : tensor<8xf32>
  %n0 = tfm.layer_norm %x, %s, %s {axis = 2 : i64, epsilon = 1.0e-5 : f32} : (tensor<?x?x8xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<?x?x8xf32>
  %k0 = tfm.linear %n0, %w : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
  %a0 = tfm.attention %n0, %k0, %n0 {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32} : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  %y0 = tfm.binary add %x, %a0 : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  %h0 = tfm.linear %y0, %w activation relu : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
  %x1 = tfm.binary add %h0, %y0 : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  %mean = tfm.reduce mean %x1 axes [1] : (tensor<?x?x8xf32>) -> tensor<?x8xf32>
  return %x1, %mean : tensor<?x?x8xf32>, tensor<?x8xf32>
}

// Near misses.
// CHECK-LABEL: @causal(
// CHECK-SAME: tfm.token_reduction = "all tokens stay; 1 left, first {{.*}}: it is causal"
// CHECK-NOT: token_score
// CHECK: return
func.func @causal(%x: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<batch>, #tfm.dim<n>, #tfm.dim<8>]}) -> tensor<?x?x8xf32> {
  %s = tfm.get_weight @scale : tensor<8xf32>
  %n0 = tfm.layer_norm %x, %s, %s {axis = 2 : i64, epsilon = 1.0e-5 : f32} : (tensor<?x?x8xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<?x?x8xf32>
  %a0 = tfm.attention %n0, %n0, %n0 {causal, num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32} : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  %y0 = tfm.binary add %x, %a0 : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  return %y0 : tensor<?x?x8xf32>
}

// CHECK-LABEL: @post_norm(
// CHECK-SAME: its block is not pre-norm
// CHECK-NOT: token_score
// CHECK: return
func.func @post_norm(%x: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<batch>, #tfm.dim<n>, #tfm.dim<8>]}) -> tensor<?x?x8xf32> {
  %s = tfm.get_weight @scale : tensor<8xf32>
  %a0 = tfm.attention %x, %x, %x {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32} : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  %y0 = tfm.binary add %x, %a0 : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  %n0 = tfm.layer_norm %y0, %s, %s {axis = 2 : i64, epsilon = 1.0e-5 : f32} : (tensor<?x?x8xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<?x?x8xf32>
  return %n0 : tensor<?x?x8xf32>
}

// Something between two blocks sees all tokens at their places.
// CHECK-LABEL: @shifted(
// CHECK-SAME: tfm.token_reduction = "all tokens stay: tokens meet in reshape before the next attention"
// CHECK-NOT: token_score
// CHECK: return
func.func @shifted(%x: tensor<?x6x8xf32> {tfm.dims = [#tfm.dim<batch>, #tfm.dim<6>, #tfm.dim<8>]}) -> tensor<?x6x8xf32> {
  %s = tfm.get_weight @scale : tensor<8xf32>
  %n0 = tfm.layer_norm %x, %s, %s {axis = 2 : i64, epsilon = 1.0e-5 : f32} : (tensor<?x6x8xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<?x6x8xf32>
  %a0 = tfm.attention %n0, %n0, %n0 {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32} : (tensor<?x6x8xf32>, tensor<?x6x8xf32>, tensor<?x6x8xf32>) -> tensor<?x6x8xf32>
  %y0 = tfm.binary add %x, %a0 : (tensor<?x6x8xf32>, tensor<?x6x8xf32>) -> tensor<?x6x8xf32>
  %r = tfm.reshape %y0 dims [#tfm.dim<batch>, #tfm.dim<2>, #tfm.dim<3>, #tfm.dim<8>] : (tensor<?x6x8xf32>) -> tensor<?x2x3x8xf32>
  %t = tfm.transpose %r [0, 2, 1, 3] : (tensor<?x2x3x8xf32>) -> tensor<?x3x2x8xf32>
  %y1 = tfm.reshape %t dims [#tfm.dim<batch>, #tfm.dim<6>, #tfm.dim<8>] : (tensor<?x3x2x8xf32>) -> tensor<?x6x8xf32>
  %n1 = tfm.layer_norm %y1, %s, %s {axis = 2 : i64, epsilon = 1.0e-5 : f32} : (tensor<?x6x8xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<?x6x8xf32>
  %a1 = tfm.attention %n1, %n1, %n1 {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32} : (tensor<?x6x8xf32>, tensor<?x6x8xf32>, tensor<?x6x8xf32>) -> tensor<?x6x8xf32>
  %y2 = tfm.binary add %y1, %a1 : (tensor<?x6x8xf32>, tensor<?x6x8xf32>) -> tensor<?x6x8xf32>
  return %y2 : tensor<?x6x8xf32>
}
