// RUN: permalloy-opt %s --expand-moe | FileCheck %s
// RUN: permalloy-opt %s --check-equivalent="pipeline=expand-moe idempotent rtol=1e-5 atol=1e-5" -o /dev/null
// RUN: permalloy-opt %s --check-equivalent="pipeline=kern-pipeline rtol=1e-5 atol=1e-5" -o /dev/null
// RUN: permalloy-opt %s --kern-pipeline | FileCheck %s --check-prefix=KERN

tfm.weight @up : tensor<4x8x32xf32> = #tfm.seeded<1, 1.0>
tfm.weight @down : tensor<4x16x8xf32> = #tfm.seeded<2, 1.0>
tfm.weight @odd_up : tensor<4x8x6xf32> = #tfm.seeded<3, 1.0>
tfm.weight @odd_down : tensor<4x3x8xf32> = #tfm.seeded<4, 1.0>

// The weights are packed once, as stacks; one kernel routes.
// KERN-DAG: tfm.weight @up.panels : tensor<4x8x32xf32, #tfm.panels>
// KERN-DAG: kern.kernel @group_by_{{[0-9]+}} route
// KERN-DAG: kern.kernel @grouped_linear_{{[0-9]+}} contraction

// CHECK-LABEL: @gated
// CHECK-DAG: %[[UP:.*]] = tfm.get_weight @up
// CHECK-DAG: %[[DOWN:.*]] = tfm.get_weight @down
// CHECK-DAG: %[[X:.*]] = tfm.reshape %arg0 dims [#tfm.dim<b * s>, #tfm.dim<8>]
// CHECK-DAG: %[[L:.*]] = tfm.reshape %arg1 dims [#tfm.dim<b * s>, #tfm.dim<4>]
// CHECK: %[[CHOSEN:.*]] = tfm.top_k %[[L]] k <2> {axis = 1 : i64}
// CHECK: %[[WEIGHTS:.*]] = tfm.moe_weights %[[L]], %[[CHOSEN]] {normalize}
// CHECK: %[[GROUPS:.*]] = tfm.group_by %[[CHOSEN]] {groups = 4 : i64}
// CHECK: %[[HIDDEN:.*]] = tfm.grouped_linear %[[X]], %[[GROUPS]], %[[UP]] activation silu {gated, repeat = 2 : i64}
// CHECK: tfm.grouped_linear %[[HIDDEN]], %[[GROUPS]], %[[DOWN]] {repeat = 1 : i64}
// CHECK: tfm.binary mul
// CHECK: tfm.binary mul
// CHECK: tfm.binary add
// CHECK-NOT: tfm.moe
func.func @gated(%x: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}, %l: tensor<?x?x4xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<4>]}) -> tensor<?x?x8xf32> {
  %up = tfm.get_weight @up : tensor<4x8x32xf32>
  %down = tfm.get_weight @down : tensor<4x16x8xf32>
  %y = tfm.moe %x, %l, %up, %down activation silu {gated, normalize, top_k = 2 : i64} : (tensor<?x?x8xf32>, tensor<?x?x4xf32>, tensor<4x8x32xf32>, tensor<4x16x8xf32>) -> tensor<?x?x8xf32>
  return %y : tensor<?x?x8xf32>
}

// Halves that end inside of a panel are multiplied apart.
// CHECK-LABEL: @gated_inside_of_a_panel
// CHECK: %[[BOTH:.*]] = tfm.grouped_linear {{.*}} {repeat = 1 : i64} : {{.*}} -> tensor<?x6xf32>
// CHECK: tfm.slice %[[BOTH]] {{.*}} -> tensor<?x3xf32>
// CHECK: tfm.unary gelu_erf
func.func @gated_inside_of_a_panel(%x: tensor<?x8xf32> {tfm.dims = [#tfm.dim<t>, #tfm.dim<8>]}, %l: tensor<?x4xf32> {tfm.dims = [#tfm.dim<t>, #tfm.dim<4>]}) -> tensor<?x8xf32> {
  %up = tfm.get_weight @odd_up : tensor<4x8x6xf32>
  %down = tfm.get_weight @odd_down : tensor<4x3x8xf32>
  %y = tfm.moe %x, %l, %up, %down activation gelu_erf {gated, top_k = 1 : i64} : (tensor<?x8xf32>, tensor<?x4xf32>, tensor<4x8x6xf32>, tensor<4x3x8xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// Small constants become weights of the module.
// CHECK-LABEL: @constants
// CHECK-DAG: tfm.get_weight @expert : tensor<2x2x3xf32>
// CHECK-DAG: tfm.get_weight @expert_{{[0-9]+}} : tensor<2x3x2xf32>
// CHECK-DAG: tfm.get_weight @expert_{{[0-9]+}} : tensor<2x3xf32>
// CHECK: tfm.grouped_linear {{.*}} bias {{.*}} activation relu
func.func @constants(%x: tensor<?x2xf32> {tfm.dims = [#tfm.dim<t>, #tfm.dim<2>]}, %l: tensor<?x2xf32> {tfm.dims = [#tfm.dim<t>, #tfm.dim<2>]}) -> tensor<?x2xf32> {
  %up = tfm.constant dense<[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], [[-1.0, 2.0, -3.0], [4.0, -5.0, 6.0]]]> : tensor<2x2x3xf32>
  %down = tfm.constant dense<[[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], [[-1.0, 2.0], [-3.0, 4.0], [5.0, -6.0]]]> : tensor<2x3x2xf32>
  %bias = tfm.constant dense<[[0.5, 0.25, 0.125], [1.5, 1.25, 1.125]]> : tensor<2x3xf32>
  %y = tfm.moe %x, %l, %up, %down up_bias %bias score top_softmax activation relu {top_k = 1 : i64} : (tensor<?x2xf32>, tensor<?x2xf32>, tensor<2x2x3xf32>, tensor<2x3x2xf32>, tensor<2x3xf32>) -> tensor<?x2xf32>
  return %y : tensor<?x2xf32>
}

tfm.weight @narrow_up : tensor<4x8x32xbf16> = #tfm.seeded<5, 1.0>
tfm.weight @narrow_down : tensor<4x16x8xbf16> = #tfm.seeded<6, 1.0>

// Experts of bf16: hidden rows as the next weight wants them, sums in f32. The hidden rows are rounded, in tfm.moe they are not.
// CHECK-LABEL: @experts_of_bf16
// CHECK: tfm.grouped_linear {{.*}} -> tensor<?x16xbf16>
// CHECK: tfm.grouped_linear {{.*}} -> tensor<?x8xf32>
func.func @experts_of_bf16(%x: tensor<?x8xbf16> {tfm.dims = [#tfm.dim<t>, #tfm.dim<8>]}, %l: tensor<?x4xf32> {tfm.dims = [#tfm.dim<t>, #tfm.dim<4>]}) -> tensor<?x8xf32> {
  %up = tfm.get_weight @narrow_up : tensor<4x8x32xbf16>
  %down = tfm.get_weight @narrow_down : tensor<4x16x8xbf16>
  %y = tfm.moe %x, %l, %up, %down activation silu {gated, normalize, top_k = 2 : i64} : (tensor<?x8xbf16>, tensor<?x4xf32>, tensor<4x8x32xbf16>, tensor<4x16x8xbf16>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}
