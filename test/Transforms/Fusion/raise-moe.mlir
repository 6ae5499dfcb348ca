// RUN: permalloy-opt %s --raise-moe | FileCheck %s
// RUN: permalloy-opt %s --check-equivalent="pipeline=func.func(raise-moe) idempotent" -o /dev/null

tfm.weight @up : tensor<2x6x4xf32> = #tfm.seeded<1, 1.0>
tfm.weight @down : tensor<2x4x3xf32> = #tfm.seeded<2, 1.0>
tfm.weight @up0 : tensor<4x6xf32> = #tfm.seeded<3, 1.0>
tfm.weight @up1 : tensor<4x6xf32> = #tfm.seeded<4, 1.0>
tfm.weight @wide_up : tensor<4x10xf32> = #tfm.seeded<8, 1.0>
tfm.weight @wide_down : tensor<5x4xf32> = #tfm.seeded<9, 1.0>
tfm.weight @half : tensor<4x3xf32> = #tfm.seeded<7, 1.0>
tfm.weight @down0 : tensor<3x4xf32> = #tfm.seeded<5, 1.0>
tfm.weight @down1 : tensor<3x4xf32> = #tfm.seeded<6, 1.0>

// The loop of the dynamo exporter: weights cut from a stack, tuples of indices, one scatter for each expert.
// CHECK-LABEL: @dynamo_loop
// CHECK-DAG: %[[UP:.*]] = tfm.transpose %{{.*}} [0, 2, 1] : (tensor<2x6x4xf32>) -> tensor<2x4x6xf32>
// CHECK-DAG: %[[DOWN:.*]] = tfm.transpose %{{.*}} [0, 2, 1] : (tensor<2x4x3xf32>) -> tensor<2x3x4xf32>
// CHECK: %[[Y:.*]] = tfm.moe %arg0, %arg1, %[[UP]], %[[DOWN]] activation silu {gated, normalize, top_k = 2 : i64}
// CHECK-NEXT: return %[[Y]]
func.func @dynamo_loop(%x: tensor<?x4xf32> {tfm.dims = [#tfm.dim<t>, #tfm.dim<4>]}, %logits: tensor<?x2xf32> {tfm.dims = [#tfm.dim<t>, #tfm.dim<2>]}) -> tensor<?x4xf32> {
  %zero = tfm.constant dense<0.0> : tensor<f32>
  %c0 = tfm.constant dense<0> : tensor<1xi64>
  %c1 = tfm.constant dense<1> : tensor<1xi64>
  %c2 = tfm.constant dense<2> : tensor<1xi64>
  %c3 = tfm.constant dense<3> : tensor<1xi64>
  %c6 = tfm.constant dense<6> : tensor<1xi64>
  %probs = tfm.softmax %logits {axis = 1 : i64} : (tensor<?x2xf32>) -> tensor<?x2xf32>
  %chosen = tfm.top_k %probs k #tfm.dim<2> {axis = 1 : i64} : (tensor<?x2xf32>) -> tensor<?x2xi64>
  %n = tfm.range from #tfm.dim<0> size #tfm.dim<t> step 1 : () -> tensor<?xi64>
  %n1 = tfm.reshape %n dims [#tfm.dim<t>, #tfm.dim<1>] : (tensor<?xi64>) -> tensor<?x1xi64>
  %nk = tfm.broadcast %n1 dims [#tfm.dim<t>, #tfm.dim<2>] : (tensor<?x1xi64>) -> tensor<?x2xi64>
  %i0 = tfm.reshape %nk dims [#tfm.dim<t>, #tfm.dim<2>, #tfm.dim<1>] : (tensor<?x2xi64>) -> tensor<?x2x1xi64>
  %i1 = tfm.reshape %chosen dims [#tfm.dim<t>, #tfm.dim<2>, #tfm.dim<1>] : (tensor<?x2xi64>) -> tensor<?x2x1xi64>
  %tuples = tfm.concat %i0, %i1 {axis = 2 : i64} : (tensor<?x2x1xi64>, tensor<?x2x1xi64>) -> tensor<?x2x2xi64>
  %best = tfm.gather_nd %probs, %tuples : (tensor<?x2xf32>, tensor<?x2x2xi64>) -> tensor<?x2xf32>
  %sum = tfm.reduce sum %best axes [1] {keep_dims} : (tensor<?x2xf32>) -> tensor<?x1xf32>
  %routing = tfm.binary div %best, %sum : (tensor<?x2xf32>, tensor<?x1xf32>) -> tensor<?x2xf32>
  %w = tfm.get_weight @up : tensor<2x6x4xf32>
  %d = tfm.get_weight @down : tensor<2x4x3xf32>
  %y = tfm.broadcast %zero dims [#tfm.dim<t>, #tfm.dim<4>] : (tensor<f32>) -> tensor<?x4xf32>
  %e0 = tfm.constant dense<0> : tensor<i64>
  %mask0 = tfm.compare eq %chosen, %e0 : (tensor<?x2xi64>, tensor<i64>) -> tensor<?x2xi1>
  %hits0 = tfm.non_zero %mask0 : (tensor<?x2xi1>) -> tensor<2x?xi64>
  %pairs0 = tfm.transpose %hits0 [1, 0] : (tensor<2x?xi64>) -> tensor<?x2xi64>
  %token0 = tfm.slice %pairs0 starts %c0 ends %c1 axes [1] : (tensor<?x2xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x1xi64>
  %slot0 = tfm.slice %pairs0 starts %c1 ends %c2 axes [1] : (tensor<?x2xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x1xi64>
  %x0 = tfm.gather_nd %x, %token0 : (tensor<?x4xf32>, tensor<?x1xi64>) -> tensor<?x4xf32>
  %wc0 = tfm.slice %w offsets [#tfm.dim<0>, #tfm.dim<0>, #tfm.dim<0>] sizes [#tfm.dim<1>, #tfm.dim<6>, #tfm.dim<4>] strides [1, 1, 1] : (tensor<2x6x4xf32>) -> tensor<1x6x4xf32>
  %w0 = tfm.reshape %wc0 dims [#tfm.dim<6>, #tfm.dim<4>] : (tensor<1x6x4xf32>) -> tensor<6x4xf32>
  %h0 = tfm.matmul %x0, %w0 {transpose_b} : (tensor<?x4xf32>, tensor<6x4xf32>) -> tensor<?x6xf32>
  %g0 = tfm.slice %h0 starts %c0 ends %c3 axes [1] : (tensor<?x6xf32>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x3xf32>
  %u0 = tfm.slice %h0 starts %c3 ends %c6 axes [1] : (tensor<?x6xf32>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x3xf32>
  %s0 = tfm.unary sigmoid %g0 : (tensor<?x3xf32>) -> tensor<?x3xf32>
  %a0 = tfm.binary mul %g0, %s0 : (tensor<?x3xf32>, tensor<?x3xf32>) -> tensor<?x3xf32>
  %p0 = tfm.binary mul %a0, %u0 : (tensor<?x3xf32>, tensor<?x3xf32>) -> tensor<?x3xf32>
  %dc0 = tfm.slice %d offsets [#tfm.dim<0>, #tfm.dim<0>, #tfm.dim<0>] sizes [#tfm.dim<1>, #tfm.dim<4>, #tfm.dim<3>] strides [1, 1, 1] : (tensor<2x4x3xf32>) -> tensor<1x4x3xf32>
  %d0 = tfm.reshape %dc0 dims [#tfm.dim<4>, #tfm.dim<3>] : (tensor<1x4x3xf32>) -> tensor<4x3xf32>
  %o0 = tfm.matmul %p0, %d0 {transpose_b} : (tensor<?x3xf32>, tensor<4x3xf32>) -> tensor<?x4xf32>
  %at0 = tfm.concat %token0, %slot0 {axis = 1 : i64} : (tensor<?x1xi64>, tensor<?x1xi64>) -> tensor<?x2xi64>
  %rv0 = tfm.gather_nd %routing, %at0 : (tensor<?x2xf32>, tensor<?x2xi64>) -> tensor<?xf32>
  %rs0 = tfm.shape_of %rv0 : (tensor<?xf32>) -> tensor<1xi64>
  %rt0 = tfm.concat %rs0, %c1 {axis = 0 : i64} : (tensor<1xi64>, tensor<1xi64>) -> tensor<2xi64>
  %r0 = tfm.reshape %rv0 shape %rt0 {allow_zero} : (tensor<?xf32>, tensor<2xi64>) -> tensor<?x1xf32>
  %q0 = tfm.binary mul %o0, %r0 : (tensor<?x4xf32>, tensor<?x1xf32>) -> tensor<?x4xf32>
  %y0 = tfm.scatter add %y, %token0, %q0 : (tensor<?x4xf32>, tensor<?x1xi64>, tensor<?x4xf32>) -> tensor<?x4xf32>
  %e1 = tfm.constant dense<1> : tensor<i64>
  %mask1 = tfm.compare eq %chosen, %e1 : (tensor<?x2xi64>, tensor<i64>) -> tensor<?x2xi1>
  %hits1 = tfm.non_zero %mask1 : (tensor<?x2xi1>) -> tensor<2x?xi64>
  %pairs1 = tfm.transpose %hits1 [1, 0] : (tensor<2x?xi64>) -> tensor<?x2xi64>
  %token1 = tfm.slice %pairs1 starts %c0 ends %c1 axes [1] : (tensor<?x2xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x1xi64>
  %slot1 = tfm.slice %pairs1 starts %c1 ends %c2 axes [1] : (tensor<?x2xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x1xi64>
  %x1 = tfm.gather_nd %x, %token1 : (tensor<?x4xf32>, tensor<?x1xi64>) -> tensor<?x4xf32>
  %wc1 = tfm.slice %w offsets [#tfm.dim<1>, #tfm.dim<0>, #tfm.dim<0>] sizes [#tfm.dim<1>, #tfm.dim<6>, #tfm.dim<4>] strides [1, 1, 1] : (tensor<2x6x4xf32>) -> tensor<1x6x4xf32>
  %w1 = tfm.reshape %wc1 dims [#tfm.dim<6>, #tfm.dim<4>] : (tensor<1x6x4xf32>) -> tensor<6x4xf32>
  %h1 = tfm.matmul %x1, %w1 {transpose_b} : (tensor<?x4xf32>, tensor<6x4xf32>) -> tensor<?x6xf32>
  %g1 = tfm.slice %h1 starts %c0 ends %c3 axes [1] : (tensor<?x6xf32>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x3xf32>
  %u1 = tfm.slice %h1 starts %c3 ends %c6 axes [1] : (tensor<?x6xf32>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x3xf32>
  %s1 = tfm.unary sigmoid %g1 : (tensor<?x3xf32>) -> tensor<?x3xf32>
  %a1 = tfm.binary mul %g1, %s1 : (tensor<?x3xf32>, tensor<?x3xf32>) -> tensor<?x3xf32>
  %p1 = tfm.binary mul %a1, %u1 : (tensor<?x3xf32>, tensor<?x3xf32>) -> tensor<?x3xf32>
  %dc1 = tfm.slice %d offsets [#tfm.dim<1>, #tfm.dim<0>, #tfm.dim<0>] sizes [#tfm.dim<1>, #tfm.dim<4>, #tfm.dim<3>] strides [1, 1, 1] : (tensor<2x4x3xf32>) -> tensor<1x4x3xf32>
  %d1 = tfm.reshape %dc1 dims [#tfm.dim<4>, #tfm.dim<3>] : (tensor<1x4x3xf32>) -> tensor<4x3xf32>
  %o1 = tfm.matmul %p1, %d1 {transpose_b} : (tensor<?x3xf32>, tensor<4x3xf32>) -> tensor<?x4xf32>
  %at1 = tfm.concat %token1, %slot1 {axis = 1 : i64} : (tensor<?x1xi64>, tensor<?x1xi64>) -> tensor<?x2xi64>
  %rv1 = tfm.gather_nd %routing, %at1 : (tensor<?x2xf32>, tensor<?x2xi64>) -> tensor<?xf32>
  %rs1 = tfm.shape_of %rv1 : (tensor<?xf32>) -> tensor<1xi64>
  %rt1 = tfm.concat %rs1, %c1 {axis = 0 : i64} : (tensor<1xi64>, tensor<1xi64>) -> tensor<2xi64>
  %r1 = tfm.reshape %rv1 shape %rt1 {allow_zero} : (tensor<?xf32>, tensor<2xi64>) -> tensor<?x1xf32>
  %q1 = tfm.binary mul %o1, %r1 : (tensor<?x4xf32>, tensor<?x1xf32>) -> tensor<?x4xf32>
  %y1 = tfm.scatter add %y0, %token1, %q1 : (tensor<?x4xf32>, tensor<?x1xi64>, tensor<?x4xf32>) -> tensor<?x4xf32>
  return %y1 : tensor<?x4xf32>
}

// The loop of the TorchScript exporter, experts in another order: weights of their own, numbers into the flattened routing
// weights, a scatter onto zeros that is added.
// CHECK-LABEL: @torchscript_loop
// CHECK-DAG: %[[W0:.*]] = tfm.get_weight @up0
// CHECK-DAG: %[[W1:.*]] = tfm.get_weight @up1
// CHECK-DAG: %[[R0:.*]] = tfm.reshape %[[W0]] {{.*}} -> tensor<1x4x6xf32>
// CHECK-DAG: %[[R1:.*]] = tfm.reshape %[[W1]] {{.*}} -> tensor<1x4x6xf32>
// CHECK: %[[UP:.*]] = tfm.concat %[[R0]], %[[R1]] {axis = 0 : i64}
// CHECK: %[[DOWN:.*]] = tfm.concat {{.*}} -> tensor<2x3x4xf32>
// CHECK: tfm.moe %arg0, %arg1, %[[UP]], %[[DOWN]] activation gelu_erf {gated, top_k = 2 : i64}
func.func @torchscript_loop(%x: tensor<?x4xf32> {tfm.dims = [#tfm.dim<t>, #tfm.dim<4>]}, %logits: tensor<?x2xf32> {tfm.dims = [#tfm.dim<t>, #tfm.dim<2>]}) -> tensor<?x4xf32> {
  %zero = tfm.constant dense<0.0> : tensor<f32>
  %c0 = tfm.constant dense<0> : tensor<1xi64>
  %c1 = tfm.constant dense<1> : tensor<1xi64>
  %c2 = tfm.constant dense<2> : tensor<1xi64>
  %c3 = tfm.constant dense<3> : tensor<1xi64>
  %c6 = tfm.constant dense<6> : tensor<1xi64>
  %probs = tfm.softmax %logits {axis = 1 : i64} : (tensor<?x2xf32>) -> tensor<?x2xf32>
  %chosen = tfm.top_k %probs k #tfm.dim<2> {axis = 1 : i64} : (tensor<?x2xf32>) -> tensor<?x2xi64>
  %n = tfm.range from #tfm.dim<0> size #tfm.dim<t> step 1 : () -> tensor<?xi64>
  %n1 = tfm.reshape %n dims [#tfm.dim<t>, #tfm.dim<1>] : (tensor<?xi64>) -> tensor<?x1xi64>
  %nk = tfm.broadcast %n1 dims [#tfm.dim<t>, #tfm.dim<2>] : (tensor<?x1xi64>) -> tensor<?x2xi64>
  %i0 = tfm.reshape %nk dims [#tfm.dim<t>, #tfm.dim<2>, #tfm.dim<1>] : (tensor<?x2xi64>) -> tensor<?x2x1xi64>
  %i1 = tfm.reshape %chosen dims [#tfm.dim<t>, #tfm.dim<2>, #tfm.dim<1>] : (tensor<?x2xi64>) -> tensor<?x2x1xi64>
  %tuples = tfm.concat %i0, %i1 {axis = 2 : i64} : (tensor<?x2x1xi64>, tensor<?x2x1xi64>) -> tensor<?x2x2xi64>
  %routing = tfm.gather_nd %probs, %tuples : (tensor<?x2xf32>, tensor<?x2x2xi64>) -> tensor<?x2xf32>
  %flat = tfm.reshape %routing dims [#tfm.dim<t * 2>, #tfm.dim<1>] : (tensor<?x2xf32>) -> tensor<?x1xf32>
  %wide = tfm.dim_values [#tfm.dim<min(1, t)>, #tfm.dim<4>] : tensor<2xi64>
  %y = tfm.broadcast %zero dims [#tfm.dim<t>, #tfm.dim<4>] : (tensor<f32>) -> tensor<?x4xf32>
  %e1 = tfm.constant dense<1> : tensor<i64>
  %mask1 = tfm.compare eq %chosen, %e1 : (tensor<?x2xi64>, tensor<i64>) -> tensor<?x2xi1>
  %hits1 = tfm.non_zero %mask1 : (tensor<?x2xi1>) -> tensor<2x?xi64>
  %pairs1 = tfm.transpose %hits1 [1, 0] : (tensor<2x?xi64>) -> tensor<?x2xi64>
  %token1 = tfm.slice %pairs1 starts %c0 ends %c1 axes [1] : (tensor<?x2xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x1xi64>
  %slot1 = tfm.slice %pairs1 starts %c1 ends %c2 axes [1] : (tensor<?x2xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x1xi64>
  %ts1 = tfm.shape_of %token1 : (tensor<?x1xi64>) -> tensor<2xi64>
  %tn1 = tfm.slice %ts1 offsets [#tfm.dim<0>] sizes [#tfm.dim<1>] strides [1] : (tensor<2xi64>) -> tensor<1xi64>
  %tv1 = tfm.reshape %token1 shape %tn1 {allow_zero} : (tensor<?x1xi64>, tensor<1xi64>) -> tensor<?xi64>
  %sv1 = tfm.reshape %slot1 shape %tn1 {allow_zero} : (tensor<?x1xi64>, tensor<1xi64>) -> tensor<?xi64>
  %x1 = tfm.gather %x, %tv1 {axis = 0 : i64} : (tensor<?x4xf32>, tensor<?xi64>) -> tensor<?x4xf32>
  %w1 = tfm.get_weight @up1 : tensor<4x6xf32>
  %h1 = tfm.linear %x1, %w1 : (tensor<?x4xf32>, tensor<4x6xf32>) -> tensor<?x6xf32>
  %g1 = tfm.slice %h1 starts %c0 ends %c3 axes [1] : (tensor<?x6xf32>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x3xf32>
  %u1 = tfm.slice %h1 starts %c3 ends %c6 axes [1] : (tensor<?x6xf32>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x3xf32>
  %a1 = tfm.unary gelu_erf %g1 : (tensor<?x3xf32>) -> tensor<?x3xf32>
  %p1 = tfm.binary mul %a1, %u1 : (tensor<?x3xf32>, tensor<?x3xf32>) -> tensor<?x3xf32>
  %d1 = tfm.get_weight @down1 : tensor<3x4xf32>
  %o1 = tfm.linear %p1, %d1 : (tensor<?x3xf32>, tensor<3x4xf32>) -> tensor<?x4xf32>
  %row1 = tfm.binary mul %tv1, %c2 : (tensor<?xi64>, tensor<1xi64>) -> tensor<?xi64>
  %no1 = tfm.binary add %sv1, %row1 : (tensor<?xi64>, tensor<?xi64>) -> tensor<?xi64>
  %r1 = tfm.gather %flat, %no1 {axis = 0 : i64} : (tensor<?x1xf32>, tensor<?xi64>) -> tensor<?x1xf32>
  %qs1 = tfm.binary mul %o1, %r1 : (tensor<?x4xf32>, tensor<?x1xf32>) -> tensor<?x4xf32>
  %q1 = tfm.broadcast %qs1 shape %wide : (tensor<?x4xf32>, tensor<2xi64>) -> tensor<?x4xf32>
  %us1 = tfm.shape_of %q1 : (tensor<?x4xf32>) -> tensor<2xi64>
  %at1 = tfm.broadcast %token1 shape %us1 : (tensor<?x1xi64>, tensor<2xi64>) -> tensor<?x4xi64>
  %z1 = tfm.scatter none %y, %at1, %q1 {axis = 0 : i64} : (tensor<?x4xf32>, tensor<?x4xi64>, tensor<?x4xf32>) -> tensor<?x4xf32>
  %y1 = tfm.binary add %zero, %z1 : (tensor<f32>, tensor<?x4xf32>) -> tensor<?x4xf32>
  %e0 = tfm.constant dense<0> : tensor<i64>
  %mask0 = tfm.compare eq %chosen, %e0 : (tensor<?x2xi64>, tensor<i64>) -> tensor<?x2xi1>
  %hits0 = tfm.non_zero %mask0 : (tensor<?x2xi1>) -> tensor<2x?xi64>
  %pairs0 = tfm.transpose %hits0 [1, 0] : (tensor<2x?xi64>) -> tensor<?x2xi64>
  %token0 = tfm.slice %pairs0 starts %c0 ends %c1 axes [1] : (tensor<?x2xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x1xi64>
  %slot0 = tfm.slice %pairs0 starts %c1 ends %c2 axes [1] : (tensor<?x2xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x1xi64>
  %ts0 = tfm.shape_of %token0 : (tensor<?x1xi64>) -> tensor<2xi64>
  %tn0 = tfm.slice %ts0 offsets [#tfm.dim<0>] sizes [#tfm.dim<1>] strides [1] : (tensor<2xi64>) -> tensor<1xi64>
  %tv0 = tfm.reshape %token0 shape %tn0 {allow_zero} : (tensor<?x1xi64>, tensor<1xi64>) -> tensor<?xi64>
  %sv0 = tfm.reshape %slot0 shape %tn0 {allow_zero} : (tensor<?x1xi64>, tensor<1xi64>) -> tensor<?xi64>
  %x0 = tfm.gather %x, %tv0 {axis = 0 : i64} : (tensor<?x4xf32>, tensor<?xi64>) -> tensor<?x4xf32>
  %w0 = tfm.get_weight @up0 : tensor<4x6xf32>
  %h0 = tfm.linear %x0, %w0 : (tensor<?x4xf32>, tensor<4x6xf32>) -> tensor<?x6xf32>
  %g0 = tfm.slice %h0 starts %c0 ends %c3 axes [1] : (tensor<?x6xf32>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x3xf32>
  %u0 = tfm.slice %h0 starts %c3 ends %c6 axes [1] : (tensor<?x6xf32>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x3xf32>
  %a0 = tfm.unary gelu_erf %g0 : (tensor<?x3xf32>) -> tensor<?x3xf32>
  %p0 = tfm.binary mul %a0, %u0 : (tensor<?x3xf32>, tensor<?x3xf32>) -> tensor<?x3xf32>
  %d0 = tfm.get_weight @down0 : tensor<3x4xf32>
  %o0 = tfm.linear %p0, %d0 : (tensor<?x3xf32>, tensor<3x4xf32>) -> tensor<?x4xf32>
  %row0 = tfm.binary mul %tv0, %c2 : (tensor<?xi64>, tensor<1xi64>) -> tensor<?xi64>
  %no0 = tfm.binary add %sv0, %row0 : (tensor<?xi64>, tensor<?xi64>) -> tensor<?xi64>
  %r0 = tfm.gather %flat, %no0 {axis = 0 : i64} : (tensor<?x1xf32>, tensor<?xi64>) -> tensor<?x1xf32>
  %qs0 = tfm.binary mul %o0, %r0 : (tensor<?x4xf32>, tensor<?x1xf32>) -> tensor<?x4xf32>
  %q0 = tfm.broadcast %qs0 shape %wide : (tensor<?x4xf32>, tensor<2xi64>) -> tensor<?x4xf32>
  %us0 = tfm.shape_of %q0 : (tensor<?x4xf32>) -> tensor<2xi64>
  %at0 = tfm.broadcast %token0 shape %us0 : (tensor<?x1xi64>, tensor<2xi64>) -> tensor<?x4xi64>
  %z0 = tfm.scatter none %y, %at0, %q0 {axis = 0 : i64} : (tensor<?x4xf32>, tensor<?x4xi64>, tensor<?x4xf32>) -> tensor<?x4xf32>
  %y0 = tfm.binary add %y1, %z0 : (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
  return %y0 : tensor<?x4xf32>
}

// Weights gathered for each token.
// CHECK-LABEL: @batched
// CHECK: tfm.moe %arg0, %arg1, %{{.*}}, %{{.*}} activation silu {gated, normalize, top_k = 2 : i64}
// CHECK-NEXT: return
func.func @batched(%x: tensor<?x4xf32> {tfm.dims = [#tfm.dim<t>, #tfm.dim<4>]}, %logits: tensor<?x2xf32> {tfm.dims = [#tfm.dim<t>, #tfm.dim<2>]}) -> tensor<?x4xf32> {
  %zero = tfm.constant dense<0.0> : tensor<f32>
  %c0 = tfm.constant dense<0> : tensor<1xi64>
  %c1 = tfm.constant dense<1> : tensor<1xi64>
  %c2 = tfm.constant dense<2> : tensor<1xi64>
  %c3 = tfm.constant dense<3> : tensor<1xi64>
  %c6 = tfm.constant dense<6> : tensor<1xi64>
  %probs = tfm.softmax %logits {axis = 1 : i64} : (tensor<?x2xf32>) -> tensor<?x2xf32>
  %chosen = tfm.top_k %probs k #tfm.dim<2> {axis = 1 : i64} : (tensor<?x2xf32>) -> tensor<?x2xi64>
  %n = tfm.range from #tfm.dim<0> size #tfm.dim<t> step 1 : () -> tensor<?xi64>
  %n1 = tfm.reshape %n dims [#tfm.dim<t>, #tfm.dim<1>] : (tensor<?xi64>) -> tensor<?x1xi64>
  %nk = tfm.broadcast %n1 dims [#tfm.dim<t>, #tfm.dim<2>] : (tensor<?x1xi64>) -> tensor<?x2xi64>
  %i0 = tfm.reshape %nk dims [#tfm.dim<t>, #tfm.dim<2>, #tfm.dim<1>] : (tensor<?x2xi64>) -> tensor<?x2x1xi64>
  %i1 = tfm.reshape %chosen dims [#tfm.dim<t>, #tfm.dim<2>, #tfm.dim<1>] : (tensor<?x2xi64>) -> tensor<?x2x1xi64>
  %tuples = tfm.concat %i0, %i1 {axis = 2 : i64} : (tensor<?x2x1xi64>, tensor<?x2x1xi64>) -> tensor<?x2x2xi64>
  %best = tfm.gather_nd %probs, %tuples : (tensor<?x2xf32>, tensor<?x2x2xi64>) -> tensor<?x2xf32>
  %sum = tfm.reduce sum %best axes [1] {keep_dims} : (tensor<?x2xf32>) -> tensor<?x1xf32>
  %routing = tfm.binary div %best, %sum : (tensor<?x2xf32>, tensor<?x1xf32>) -> tensor<?x2xf32>
  %w = tfm.get_weight @up : tensor<2x6x4xf32>
  %d = tfm.get_weight @down : tensor<2x4x3xf32>
  %x3 = tfm.reshape %x dims [#tfm.dim<t>, #tfm.dim<1>, #tfm.dim<4>] : (tensor<?x4xf32>) -> tensor<?x1x4xf32>
  %xk = tfm.broadcast %x3 dims [#tfm.dim<t>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x1x4xf32>) -> tensor<?x2x4xf32>
  %xc = tfm.reshape %xk dims [#tfm.dim<t * 2>, #tfm.dim<4>, #tfm.dim<1>] : (tensor<?x2x4xf32>) -> tensor<?x4x1xf32>
  %pick = tfm.reshape %chosen dims [#tfm.dim<t * 2>, #tfm.dim<1>] : (tensor<?x2xi64>) -> tensor<?x1xi64>
  %wg = tfm.gather_nd %w, %pick : (tensor<2x6x4xf32>, tensor<?x1xi64>) -> tensor<?x6x4xf32>
  %dg = tfm.gather_nd %d, %pick : (tensor<2x4x3xf32>, tensor<?x1xi64>) -> tensor<?x4x3xf32>
  %hc = tfm.matmul %wg, %xc : (tensor<?x6x4xf32>, tensor<?x4x1xf32>) -> tensor<?x6x1xf32>
  %h0 = tfm.reshape %hc dims [#tfm.dim<t * 2>, #tfm.dim<6>] : (tensor<?x6x1xf32>) -> tensor<?x6xf32>
  %g0 = tfm.slice %h0 starts %c0 ends %c3 axes [1] : (tensor<?x6xf32>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x3xf32>
  %u0 = tfm.slice %h0 starts %c3 ends %c6 axes [1] : (tensor<?x6xf32>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x3xf32>
  %s0 = tfm.unary sigmoid %g0 : (tensor<?x3xf32>) -> tensor<?x3xf32>
  %a0 = tfm.binary mul %g0, %s0 : (tensor<?x3xf32>, tensor<?x3xf32>) -> tensor<?x3xf32>
  %p0 = tfm.binary mul %a0, %u0 : (tensor<?x3xf32>, tensor<?x3xf32>) -> tensor<?x3xf32>
  %pc = tfm.reshape %p0 dims [#tfm.dim<t * 2>, #tfm.dim<3>, #tfm.dim<1>] : (tensor<?x3xf32>) -> tensor<?x3x1xf32>
  %oc = tfm.matmul %dg, %pc : (tensor<?x4x3xf32>, tensor<?x3x1xf32>) -> tensor<?x4x1xf32>
  %o = tfm.reshape %oc dims [#tfm.dim<t * 2>, #tfm.dim<4>] : (tensor<?x4x1xf32>) -> tensor<?x4xf32>
  %r = tfm.reshape %routing dims [#tfm.dim<t * 2>, #tfm.dim<1>] : (tensor<?x2xf32>) -> tensor<?x1xf32>
  %q = tfm.binary mul %o, %r : (tensor<?x4xf32>, tensor<?x1xf32>) -> tensor<?x4xf32>
  %q3 = tfm.reshape %q dims [#tfm.dim<t>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x4xf32>) -> tensor<?x2x4xf32>
  %y = tfm.reduce sum %q3 axes [1] : (tensor<?x2x4xf32>) -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// CHECK-LABEL: @batched_one_expert
// CHECK: tfm.moe %arg0, %arg1, %{{.*}}, %{{.*}} activation relu {gated, top_k = 1 : i64}
func.func @batched_one_expert(%x: tensor<?x4xf32> {tfm.dims = [#tfm.dim<t>, #tfm.dim<4>]}, %logits: tensor<?x2xf32> {tfm.dims = [#tfm.dim<t>, #tfm.dim<2>]}) -> tensor<?x4xf32> {
  %zero = tfm.constant dense<0.0> : tensor<f32>
  %c0 = tfm.constant dense<0> : tensor<1xi64>
  %c1 = tfm.constant dense<1> : tensor<1xi64>
  %c2 = tfm.constant dense<2> : tensor<1xi64>
  %c3 = tfm.constant dense<3> : tensor<1xi64>
  %c6 = tfm.constant dense<6> : tensor<1xi64>
  %probs = tfm.softmax %logits {axis = 1 : i64} : (tensor<?x2xf32>) -> tensor<?x2xf32>
  %chosen = tfm.top_k %probs k #tfm.dim<1> {axis = 1 : i64} : (tensor<?x2xf32>) -> tensor<?x1xi64>
  %n = tfm.range from #tfm.dim<0> size #tfm.dim<t> step 1 : () -> tensor<?xi64>
  %n1 = tfm.reshape %n dims [#tfm.dim<t>, #tfm.dim<1>] : (tensor<?xi64>) -> tensor<?x1xi64>
  %nk = tfm.broadcast %n1 dims [#tfm.dim<t>, #tfm.dim<1>] : (tensor<?x1xi64>) -> tensor<?x1xi64>
  %i0 = tfm.reshape %nk dims [#tfm.dim<t>, #tfm.dim<1>, #tfm.dim<1>] : (tensor<?x1xi64>) -> tensor<?x1x1xi64>
  %i1 = tfm.reshape %chosen dims [#tfm.dim<t>, #tfm.dim<1>, #tfm.dim<1>] : (tensor<?x1xi64>) -> tensor<?x1x1xi64>
  %tuples = tfm.concat %i0, %i1 {axis = 2 : i64} : (tensor<?x1x1xi64>, tensor<?x1x1xi64>) -> tensor<?x1x2xi64>
  %routing = tfm.gather_nd %probs, %tuples : (tensor<?x2xf32>, tensor<?x1x2xi64>) -> tensor<?x1xf32>
  %w = tfm.get_weight @up : tensor<2x6x4xf32>
  %d = tfm.get_weight @down : tensor<2x4x3xf32>
  %x3 = tfm.reshape %x dims [#tfm.dim<t>, #tfm.dim<1>, #tfm.dim<4>] : (tensor<?x4xf32>) -> tensor<?x1x4xf32>
  %xk = tfm.broadcast %x3 dims [#tfm.dim<t>, #tfm.dim<1>, #tfm.dim<4>] : (tensor<?x1x4xf32>) -> tensor<?x1x4xf32>
  %xc = tfm.reshape %xk dims [#tfm.dim<t * 1>, #tfm.dim<4>, #tfm.dim<1>] : (tensor<?x1x4xf32>) -> tensor<?x4x1xf32>
  %pick = tfm.reshape %chosen dims [#tfm.dim<t * 1>] : (tensor<?x1xi64>) -> tensor<?xi64>
  %wg = tfm.gather %w, %pick {axis = 0 : i64} : (tensor<2x6x4xf32>, tensor<?xi64>) -> tensor<?x6x4xf32>
  %dg = tfm.gather %d, %pick {axis = 0 : i64} : (tensor<2x4x3xf32>, tensor<?xi64>) -> tensor<?x4x3xf32>
  %hc = tfm.matmul %wg, %xc : (tensor<?x6x4xf32>, tensor<?x4x1xf32>) -> tensor<?x6x1xf32>
  %h0 = tfm.reshape %hc dims [#tfm.dim<t * 1>, #tfm.dim<6>] : (tensor<?x6x1xf32>) -> tensor<?x6xf32>
  %g0 = tfm.slice %h0 starts %c0 ends %c3 axes [1] : (tensor<?x6xf32>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x3xf32>
  %u0 = tfm.slice %h0 starts %c3 ends %c6 axes [1] : (tensor<?x6xf32>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x3xf32>
  %a0 = tfm.unary relu %g0 : (tensor<?x3xf32>) -> tensor<?x3xf32>
  %p0 = tfm.binary mul %a0, %u0 : (tensor<?x3xf32>, tensor<?x3xf32>) -> tensor<?x3xf32>
  %pc = tfm.reshape %p0 dims [#tfm.dim<t * 1>, #tfm.dim<3>, #tfm.dim<1>] : (tensor<?x3xf32>) -> tensor<?x3x1xf32>
  %oc = tfm.matmul %dg, %pc : (tensor<?x4x3xf32>, tensor<?x3x1xf32>) -> tensor<?x4x1xf32>
  %o = tfm.reshape %oc dims [#tfm.dim<t * 1>, #tfm.dim<4>] : (tensor<?x4x1xf32>) -> tensor<?x4xf32>
  %r = tfm.reshape %routing dims [#tfm.dim<t * 1>, #tfm.dim<1>] : (tensor<?x1xf32>) -> tensor<?x1xf32>
  %q = tfm.binary mul %o, %r : (tensor<?x4xf32>, tensor<?x1xf32>) -> tensor<?x4xf32>
  %q3 = tfm.reshape %q dims [#tfm.dim<t>, #tfm.dim<1>, #tfm.dim<4>] : (tensor<?x4xf32>) -> tensor<?x1x4xf32>
  %y = tfm.reduce sum %q3 axes [1] : (tensor<?x1x4xf32>) -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// CHECK-LABEL: @softmax_of_the_chosen
// CHECK: tfm.moe %arg0, %arg1, %{{.*}}, %{{.*}} score top_softmax activation silu {gated, top_k = 2 : i64}
func.func @softmax_of_the_chosen(%x: tensor<?x4xf32> {tfm.dims = [#tfm.dim<t>, #tfm.dim<4>]}, %logits: tensor<?x2xf32> {tfm.dims = [#tfm.dim<t>, #tfm.dim<2>]}) -> tensor<?x4xf32> {
  %zero = tfm.constant dense<0.0> : tensor<f32>
  %c0 = tfm.constant dense<0> : tensor<1xi64>
  %c1 = tfm.constant dense<1> : tensor<1xi64>
  %c2 = tfm.constant dense<2> : tensor<1xi64>
  %c3 = tfm.constant dense<3> : tensor<1xi64>
  %c6 = tfm.constant dense<6> : tensor<1xi64>
  %chosen = tfm.top_k %logits k #tfm.dim<2> {axis = 1 : i64} : (tensor<?x2xf32>) -> tensor<?x2xi64>
  %n = tfm.range from #tfm.dim<0> size #tfm.dim<t> step 1 : () -> tensor<?xi64>
  %n1 = tfm.reshape %n dims [#tfm.dim<t>, #tfm.dim<1>] : (tensor<?xi64>) -> tensor<?x1xi64>
  %nk = tfm.broadcast %n1 dims [#tfm.dim<t>, #tfm.dim<2>] : (tensor<?x1xi64>) -> tensor<?x2xi64>
  %i0 = tfm.reshape %nk dims [#tfm.dim<t>, #tfm.dim<2>, #tfm.dim<1>] : (tensor<?x2xi64>) -> tensor<?x2x1xi64>
  %i1 = tfm.reshape %chosen dims [#tfm.dim<t>, #tfm.dim<2>, #tfm.dim<1>] : (tensor<?x2xi64>) -> tensor<?x2x1xi64>
  %tuples = tfm.concat %i0, %i1 {axis = 2 : i64} : (tensor<?x2x1xi64>, tensor<?x2x1xi64>) -> tensor<?x2x2xi64>
  %best = tfm.gather_nd %logits, %tuples : (tensor<?x2xf32>, tensor<?x2x2xi64>) -> tensor<?x2xf32>
  %routing = tfm.softmax %best {axis = 1 : i64} : (tensor<?x2xf32>) -> tensor<?x2xf32>
  %w = tfm.get_weight @up : tensor<2x6x4xf32>
  %d = tfm.get_weight @down : tensor<2x4x3xf32>
  %x3 = tfm.reshape %x dims [#tfm.dim<t>, #tfm.dim<1>, #tfm.dim<4>] : (tensor<?x4xf32>) -> tensor<?x1x4xf32>
  %xk = tfm.broadcast %x3 dims [#tfm.dim<t>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x1x4xf32>) -> tensor<?x2x4xf32>
  %xc = tfm.reshape %xk dims [#tfm.dim<t * 2>, #tfm.dim<4>, #tfm.dim<1>] : (tensor<?x2x4xf32>) -> tensor<?x4x1xf32>
  %pick = tfm.reshape %chosen dims [#tfm.dim<t * 2>, #tfm.dim<1>] : (tensor<?x2xi64>) -> tensor<?x1xi64>
  %wg = tfm.gather_nd %w, %pick : (tensor<2x6x4xf32>, tensor<?x1xi64>) -> tensor<?x6x4xf32>
  %dg = tfm.gather_nd %d, %pick : (tensor<2x4x3xf32>, tensor<?x1xi64>) -> tensor<?x4x3xf32>
  %hc = tfm.matmul %wg, %xc : (tensor<?x6x4xf32>, tensor<?x4x1xf32>) -> tensor<?x6x1xf32>
  %h0 = tfm.reshape %hc dims [#tfm.dim<t * 2>, #tfm.dim<6>] : (tensor<?x6x1xf32>) -> tensor<?x6xf32>
  %g0 = tfm.slice %h0 starts %c0 ends %c3 axes [1] : (tensor<?x6xf32>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x3xf32>
  %u0 = tfm.slice %h0 starts %c3 ends %c6 axes [1] : (tensor<?x6xf32>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x3xf32>
  %s0 = tfm.unary sigmoid %g0 : (tensor<?x3xf32>) -> tensor<?x3xf32>
  %a0 = tfm.binary mul %g0, %s0 : (tensor<?x3xf32>, tensor<?x3xf32>) -> tensor<?x3xf32>
  %p0 = tfm.binary mul %a0, %u0 : (tensor<?x3xf32>, tensor<?x3xf32>) -> tensor<?x3xf32>
  %pc = tfm.reshape %p0 dims [#tfm.dim<t * 2>, #tfm.dim<3>, #tfm.dim<1>] : (tensor<?x3xf32>) -> tensor<?x3x1xf32>
  %oc = tfm.matmul %dg, %pc : (tensor<?x4x3xf32>, tensor<?x3x1xf32>) -> tensor<?x4x1xf32>
  %o = tfm.reshape %oc dims [#tfm.dim<t * 2>, #tfm.dim<4>] : (tensor<?x4x1xf32>) -> tensor<?x4xf32>
  %r = tfm.reshape %routing dims [#tfm.dim<t * 2>, #tfm.dim<1>] : (tensor<?x2xf32>) -> tensor<?x1xf32>
  %q = tfm.binary mul %o, %r : (tensor<?x4xf32>, tensor<?x1xf32>) -> tensor<?x4xf32>
  %q3 = tfm.reshape %q dims [#tfm.dim<t>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x4xf32>) -> tensor<?x2x4xf32>
  %y = tfm.reduce sum %q3 axes [1] : (tensor<?x2x4xf32>) -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// CHECK-LABEL: @near_miss_another_operation
// CHECK-NOT: tfm.moe
func.func @near_miss_another_operation(%x: tensor<?x4xf32> {tfm.dims = [#tfm.dim<t>, #tfm.dim<4>]}, %logits: tensor<?x2xf32> {tfm.dims = [#tfm.dim<t>, #tfm.dim<2>]}) -> tensor<?x4xf32> {
  %zero = tfm.constant dense<0.0> : tensor<f32>
  %c0 = tfm.constant dense<0> : tensor<1xi64>
  %c1 = tfm.constant dense<1> : tensor<1xi64>
  %c2 = tfm.constant dense<2> : tensor<1xi64>
  %c3 = tfm.constant dense<3> : tensor<1xi64>
  %c6 = tfm.constant dense<6> : tensor<1xi64>
  %probs = tfm.softmax %logits {axis = 1 : i64} : (tensor<?x2xf32>) -> tensor<?x2xf32>
  %chosen = tfm.top_k %probs k #tfm.dim<2> {axis = 1 : i64} : (tensor<?x2xf32>) -> tensor<?x2xi64>
  %n = tfm.range from #tfm.dim<0> size #tfm.dim<t> step 1 : () -> tensor<?xi64>
  %n1 = tfm.reshape %n dims [#tfm.dim<t>, #tfm.dim<1>] : (tensor<?xi64>) -> tensor<?x1xi64>
  %nk = tfm.broadcast %n1 dims [#tfm.dim<t>, #tfm.dim<2>] : (tensor<?x1xi64>) -> tensor<?x2xi64>
  %i0 = tfm.reshape %nk dims [#tfm.dim<t>, #tfm.dim<2>, #tfm.dim<1>] : (tensor<?x2xi64>) -> tensor<?x2x1xi64>
  %i1 = tfm.reshape %chosen dims [#tfm.dim<t>, #tfm.dim<2>, #tfm.dim<1>] : (tensor<?x2xi64>) -> tensor<?x2x1xi64>
  %tuples = tfm.concat %i0, %i1 {axis = 2 : i64} : (tensor<?x2x1xi64>, tensor<?x2x1xi64>) -> tensor<?x2x2xi64>
  %best = tfm.gather_nd %probs, %tuples : (tensor<?x2xf32>, tensor<?x2x2xi64>) -> tensor<?x2xf32>
  %sum = tfm.reduce sum %best axes [1] {keep_dims} : (tensor<?x2xf32>) -> tensor<?x1xf32>
  %routing = tfm.binary div %best, %sum : (tensor<?x2xf32>, tensor<?x1xf32>) -> tensor<?x2xf32>
  %w = tfm.get_weight @up : tensor<2x6x4xf32>
  %d = tfm.get_weight @down : tensor<2x4x3xf32>
  %x3 = tfm.reshape %x dims [#tfm.dim<t>, #tfm.dim<1>, #tfm.dim<4>] : (tensor<?x4xf32>) -> tensor<?x1x4xf32>
  %xk = tfm.broadcast %x3 dims [#tfm.dim<t>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x1x4xf32>) -> tensor<?x2x4xf32>
  %xc = tfm.reshape %xk dims [#tfm.dim<t * 2>, #tfm.dim<4>, #tfm.dim<1>] : (tensor<?x2x4xf32>) -> tensor<?x4x1xf32>
  %pick = tfm.reshape %chosen dims [#tfm.dim<t * 2>, #tfm.dim<1>] : (tensor<?x2xi64>) -> tensor<?x1xi64>
  %wg = tfm.gather_nd %w, %pick : (tensor<2x6x4xf32>, tensor<?x1xi64>) -> tensor<?x6x4xf32>
  %dg = tfm.gather_nd %d, %pick : (tensor<2x4x3xf32>, tensor<?x1xi64>) -> tensor<?x4x3xf32>
  %hc = tfm.matmul %wg, %xc : (tensor<?x6x4xf32>, tensor<?x4x1xf32>) -> tensor<?x6x1xf32>
  %h0 = tfm.reshape %hc dims [#tfm.dim<t * 2>, #tfm.dim<6>] : (tensor<?x6x1xf32>) -> tensor<?x6xf32>
  %g0 = tfm.slice %h0 starts %c0 ends %c3 axes [1] : (tensor<?x6xf32>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x3xf32>
  %u0 = tfm.slice %h0 starts %c3 ends %c6 axes [1] : (tensor<?x6xf32>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x3xf32>
  %s0 = tfm.unary sigmoid %g0 : (tensor<?x3xf32>) -> tensor<?x3xf32>
  %a0 = tfm.binary mul %g0, %s0 : (tensor<?x3xf32>, tensor<?x3xf32>) -> tensor<?x3xf32>
  %p0 = tfm.binary mul %a0, %u0 : (tensor<?x3xf32>, tensor<?x3xf32>) -> tensor<?x3xf32>
  %p0x = tfm.unary neg %p0 : (tensor<?x3xf32>) -> tensor<?x3xf32>
  %pc = tfm.reshape %p0x dims [#tfm.dim<t * 2>, #tfm.dim<3>, #tfm.dim<1>] : (tensor<?x3xf32>) -> tensor<?x3x1xf32>
  %oc = tfm.matmul %dg, %pc : (tensor<?x4x3xf32>, tensor<?x3x1xf32>) -> tensor<?x4x1xf32>
  %o = tfm.reshape %oc dims [#tfm.dim<t * 2>, #tfm.dim<4>] : (tensor<?x4x1xf32>) -> tensor<?x4xf32>
  %r = tfm.reshape %routing dims [#tfm.dim<t * 2>, #tfm.dim<1>] : (tensor<?x2xf32>) -> tensor<?x1xf32>
  %q = tfm.binary mul %o, %r : (tensor<?x4xf32>, tensor<?x1xf32>) -> tensor<?x4xf32>
  %q3 = tfm.reshape %q dims [#tfm.dim<t>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x4xf32>) -> tensor<?x2x4xf32>
  %y = tfm.reduce sum %q3 axes [1] : (tensor<?x2x4xf32>) -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// CHECK-LABEL: @near_miss_missing_expert
// CHECK-NOT: tfm.moe
func.func @near_miss_missing_expert(%x: tensor<?x4xf32> {tfm.dims = [#tfm.dim<t>, #tfm.dim<4>]}, %logits: tensor<?x2xf32> {tfm.dims = [#tfm.dim<t>, #tfm.dim<2>]}) -> tensor<?x4xf32> {
  %zero = tfm.constant dense<0.0> : tensor<f32>
  %c0 = tfm.constant dense<0> : tensor<1xi64>
  %c1 = tfm.constant dense<1> : tensor<1xi64>
  %c2 = tfm.constant dense<2> : tensor<1xi64>
  %c3 = tfm.constant dense<3> : tensor<1xi64>
  %c6 = tfm.constant dense<6> : tensor<1xi64>
  %probs = tfm.softmax %logits {axis = 1 : i64} : (tensor<?x2xf32>) -> tensor<?x2xf32>
  %chosen = tfm.top_k %probs k #tfm.dim<2> {axis = 1 : i64} : (tensor<?x2xf32>) -> tensor<?x2xi64>
  %n = tfm.range from #tfm.dim<0> size #tfm.dim<t> step 1 : () -> tensor<?xi64>
  %n1 = tfm.reshape %n dims [#tfm.dim<t>, #tfm.dim<1>] : (tensor<?xi64>) -> tensor<?x1xi64>
  %nk = tfm.broadcast %n1 dims [#tfm.dim<t>, #tfm.dim<2>] : (tensor<?x1xi64>) -> tensor<?x2xi64>
  %i0 = tfm.reshape %nk dims [#tfm.dim<t>, #tfm.dim<2>, #tfm.dim<1>] : (tensor<?x2xi64>) -> tensor<?x2x1xi64>
  %i1 = tfm.reshape %chosen dims [#tfm.dim<t>, #tfm.dim<2>, #tfm.dim<1>] : (tensor<?x2xi64>) -> tensor<?x2x1xi64>
  %tuples = tfm.concat %i0, %i1 {axis = 2 : i64} : (tensor<?x2x1xi64>, tensor<?x2x1xi64>) -> tensor<?x2x2xi64>
  %best = tfm.gather_nd %probs, %tuples : (tensor<?x2xf32>, tensor<?x2x2xi64>) -> tensor<?x2xf32>
  %sum = tfm.reduce sum %best axes [1] {keep_dims} : (tensor<?x2xf32>) -> tensor<?x1xf32>
  %routing = tfm.binary div %best, %sum : (tensor<?x2xf32>, tensor<?x1xf32>) -> tensor<?x2xf32>
  %w = tfm.get_weight @up : tensor<2x6x4xf32>
  %d = tfm.get_weight @down : tensor<2x4x3xf32>
  %y = tfm.broadcast %zero dims [#tfm.dim<t>, #tfm.dim<4>] : (tensor<f32>) -> tensor<?x4xf32>
  %e0 = tfm.constant dense<0> : tensor<i64>
  %mask0 = tfm.compare eq %chosen, %e0 : (tensor<?x2xi64>, tensor<i64>) -> tensor<?x2xi1>
  %hits0 = tfm.non_zero %mask0 : (tensor<?x2xi1>) -> tensor<2x?xi64>
  %pairs0 = tfm.transpose %hits0 [1, 0] : (tensor<2x?xi64>) -> tensor<?x2xi64>
  %token0 = tfm.slice %pairs0 starts %c0 ends %c1 axes [1] : (tensor<?x2xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x1xi64>
  %slot0 = tfm.slice %pairs0 starts %c1 ends %c2 axes [1] : (tensor<?x2xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x1xi64>
  %x0 = tfm.gather_nd %x, %token0 : (tensor<?x4xf32>, tensor<?x1xi64>) -> tensor<?x4xf32>
  %wc0 = tfm.slice %w offsets [#tfm.dim<0>, #tfm.dim<0>, #tfm.dim<0>] sizes [#tfm.dim<1>, #tfm.dim<6>, #tfm.dim<4>] strides [1, 1, 1] : (tensor<2x6x4xf32>) -> tensor<1x6x4xf32>
  %w0 = tfm.reshape %wc0 dims [#tfm.dim<6>, #tfm.dim<4>] : (tensor<1x6x4xf32>) -> tensor<6x4xf32>
  %h0 = tfm.matmul %x0, %w0 {transpose_b} : (tensor<?x4xf32>, tensor<6x4xf32>) -> tensor<?x6xf32>
  %g0 = tfm.slice %h0 starts %c0 ends %c3 axes [1] : (tensor<?x6xf32>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x3xf32>
  %u0 = tfm.slice %h0 starts %c3 ends %c6 axes [1] : (tensor<?x6xf32>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x3xf32>
  %s0 = tfm.unary sigmoid %g0 : (tensor<?x3xf32>) -> tensor<?x3xf32>
  %a0 = tfm.binary mul %g0, %s0 : (tensor<?x3xf32>, tensor<?x3xf32>) -> tensor<?x3xf32>
  %p0 = tfm.binary mul %a0, %u0 : (tensor<?x3xf32>, tensor<?x3xf32>) -> tensor<?x3xf32>
  %dc0 = tfm.slice %d offsets [#tfm.dim<0>, #tfm.dim<0>, #tfm.dim<0>] sizes [#tfm.dim<1>, #tfm.dim<4>, #tfm.dim<3>] strides [1, 1, 1] : (tensor<2x4x3xf32>) -> tensor<1x4x3xf32>
  %d0 = tfm.reshape %dc0 dims [#tfm.dim<4>, #tfm.dim<3>] : (tensor<1x4x3xf32>) -> tensor<4x3xf32>
  %o0 = tfm.matmul %p0, %d0 {transpose_b} : (tensor<?x3xf32>, tensor<4x3xf32>) -> tensor<?x4xf32>
  %at0 = tfm.concat %token0, %slot0 {axis = 1 : i64} : (tensor<?x1xi64>, tensor<?x1xi64>) -> tensor<?x2xi64>
  %rv0 = tfm.gather_nd %routing, %at0 : (tensor<?x2xf32>, tensor<?x2xi64>) -> tensor<?xf32>
  %rs0 = tfm.shape_of %rv0 : (tensor<?xf32>) -> tensor<1xi64>
  %rt0 = tfm.concat %rs0, %c1 {axis = 0 : i64} : (tensor<1xi64>, tensor<1xi64>) -> tensor<2xi64>
  %r0 = tfm.reshape %rv0 shape %rt0 {allow_zero} : (tensor<?xf32>, tensor<2xi64>) -> tensor<?x1xf32>
  %q0 = tfm.binary mul %o0, %r0 : (tensor<?x4xf32>, tensor<?x1xf32>) -> tensor<?x4xf32>
  %y0 = tfm.scatter add %y, %token0, %q0 : (tensor<?x4xf32>, tensor<?x1xi64>, tensor<?x4xf32>) -> tensor<?x4xf32>
  return %y0 : tensor<?x4xf32>
}

// CHECK-LABEL: @near_miss_other_activation
// CHECK-NOT: tfm.moe
func.func @near_miss_other_activation(%x: tensor<?x4xf32> {tfm.dims = [#tfm.dim<t>, #tfm.dim<4>]}, %logits: tensor<?x2xf32> {tfm.dims = [#tfm.dim<t>, #tfm.dim<2>]}) -> tensor<?x4xf32> {
  %zero = tfm.constant dense<0.0> : tensor<f32>
  %c0 = tfm.constant dense<0> : tensor<1xi64>
  %c1 = tfm.constant dense<1> : tensor<1xi64>
  %c2 = tfm.constant dense<2> : tensor<1xi64>
  %c3 = tfm.constant dense<3> : tensor<1xi64>
  %c6 = tfm.constant dense<6> : tensor<1xi64>
  %probs = tfm.softmax %logits {axis = 1 : i64} : (tensor<?x2xf32>) -> tensor<?x2xf32>
  %chosen = tfm.top_k %probs k #tfm.dim<2> {axis = 1 : i64} : (tensor<?x2xf32>) -> tensor<?x2xi64>
  %n = tfm.range from #tfm.dim<0> size #tfm.dim<t> step 1 : () -> tensor<?xi64>
  %n1 = tfm.reshape %n dims [#tfm.dim<t>, #tfm.dim<1>] : (tensor<?xi64>) -> tensor<?x1xi64>
  %nk = tfm.broadcast %n1 dims [#tfm.dim<t>, #tfm.dim<2>] : (tensor<?x1xi64>) -> tensor<?x2xi64>
  %i0 = tfm.reshape %nk dims [#tfm.dim<t>, #tfm.dim<2>, #tfm.dim<1>] : (tensor<?x2xi64>) -> tensor<?x2x1xi64>
  %i1 = tfm.reshape %chosen dims [#tfm.dim<t>, #tfm.dim<2>, #tfm.dim<1>] : (tensor<?x2xi64>) -> tensor<?x2x1xi64>
  %tuples = tfm.concat %i0, %i1 {axis = 2 : i64} : (tensor<?x2x1xi64>, tensor<?x2x1xi64>) -> tensor<?x2x2xi64>
  %best = tfm.gather_nd %probs, %tuples : (tensor<?x2xf32>, tensor<?x2x2xi64>) -> tensor<?x2xf32>
  %sum = tfm.reduce sum %best axes [1] {keep_dims} : (tensor<?x2xf32>) -> tensor<?x1xf32>
  %routing = tfm.binary div %best, %sum : (tensor<?x2xf32>, tensor<?x1xf32>) -> tensor<?x2xf32>
  %w = tfm.get_weight @up : tensor<2x6x4xf32>
  %d = tfm.get_weight @down : tensor<2x4x3xf32>
  %y = tfm.broadcast %zero dims [#tfm.dim<t>, #tfm.dim<4>] : (tensor<f32>) -> tensor<?x4xf32>
  %e0 = tfm.constant dense<0> : tensor<i64>
  %mask0 = tfm.compare eq %chosen, %e0 : (tensor<?x2xi64>, tensor<i64>) -> tensor<?x2xi1>
  %hits0 = tfm.non_zero %mask0 : (tensor<?x2xi1>) -> tensor<2x?xi64>
  %pairs0 = tfm.transpose %hits0 [1, 0] : (tensor<2x?xi64>) -> tensor<?x2xi64>
  %token0 = tfm.slice %pairs0 starts %c0 ends %c1 axes [1] : (tensor<?x2xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x1xi64>
  %slot0 = tfm.slice %pairs0 starts %c1 ends %c2 axes [1] : (tensor<?x2xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x1xi64>
  %x0 = tfm.gather_nd %x, %token0 : (tensor<?x4xf32>, tensor<?x1xi64>) -> tensor<?x4xf32>
  %wc0 = tfm.slice %w offsets [#tfm.dim<0>, #tfm.dim<0>, #tfm.dim<0>] sizes [#tfm.dim<1>, #tfm.dim<6>, #tfm.dim<4>] strides [1, 1, 1] : (tensor<2x6x4xf32>) -> tensor<1x6x4xf32>
  %w0 = tfm.reshape %wc0 dims [#tfm.dim<6>, #tfm.dim<4>] : (tensor<1x6x4xf32>) -> tensor<6x4xf32>
  %h0 = tfm.matmul %x0, %w0 {transpose_b} : (tensor<?x4xf32>, tensor<6x4xf32>) -> tensor<?x6xf32>
  %g0 = tfm.slice %h0 starts %c0 ends %c3 axes [1] : (tensor<?x6xf32>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x3xf32>
  %u0 = tfm.slice %h0 starts %c3 ends %c6 axes [1] : (tensor<?x6xf32>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x3xf32>
  %s0 = tfm.unary sigmoid %g0 : (tensor<?x3xf32>) -> tensor<?x3xf32>
  %a0 = tfm.binary mul %g0, %s0 : (tensor<?x3xf32>, tensor<?x3xf32>) -> tensor<?x3xf32>
  %p0 = tfm.binary mul %a0, %u0 : (tensor<?x3xf32>, tensor<?x3xf32>) -> tensor<?x3xf32>
  %dc0 = tfm.slice %d offsets [#tfm.dim<0>, #tfm.dim<0>, #tfm.dim<0>] sizes [#tfm.dim<1>, #tfm.dim<4>, #tfm.dim<3>] strides [1, 1, 1] : (tensor<2x4x3xf32>) -> tensor<1x4x3xf32>
  %d0 = tfm.reshape %dc0 dims [#tfm.dim<4>, #tfm.dim<3>] : (tensor<1x4x3xf32>) -> tensor<4x3xf32>
  %o0 = tfm.matmul %p0, %d0 {transpose_b} : (tensor<?x3xf32>, tensor<4x3xf32>) -> tensor<?x4xf32>
  %at0 = tfm.concat %token0, %slot0 {axis = 1 : i64} : (tensor<?x1xi64>, tensor<?x1xi64>) -> tensor<?x2xi64>
  %rv0 = tfm.gather_nd %routing, %at0 : (tensor<?x2xf32>, tensor<?x2xi64>) -> tensor<?xf32>
  %rs0 = tfm.shape_of %rv0 : (tensor<?xf32>) -> tensor<1xi64>
  %rt0 = tfm.concat %rs0, %c1 {axis = 0 : i64} : (tensor<1xi64>, tensor<1xi64>) -> tensor<2xi64>
  %r0 = tfm.reshape %rv0 shape %rt0 {allow_zero} : (tensor<?xf32>, tensor<2xi64>) -> tensor<?x1xf32>
  %q0 = tfm.binary mul %o0, %r0 : (tensor<?x4xf32>, tensor<?x1xf32>) -> tensor<?x4xf32>
  %y0 = tfm.scatter add %y, %token0, %q0 : (tensor<?x4xf32>, tensor<?x1xi64>, tensor<?x4xf32>) -> tensor<?x4xf32>
  %e1 = tfm.constant dense<1> : tensor<i64>
  %mask1 = tfm.compare eq %chosen, %e1 : (tensor<?x2xi64>, tensor<i64>) -> tensor<?x2xi1>
  %hits1 = tfm.non_zero %mask1 : (tensor<?x2xi1>) -> tensor<2x?xi64>
  %pairs1 = tfm.transpose %hits1 [1, 0] : (tensor<2x?xi64>) -> tensor<?x2xi64>
  %token1 = tfm.slice %pairs1 starts %c0 ends %c1 axes [1] : (tensor<?x2xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x1xi64>
  %slot1 = tfm.slice %pairs1 starts %c1 ends %c2 axes [1] : (tensor<?x2xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x1xi64>
  %x1 = tfm.gather_nd %x, %token1 : (tensor<?x4xf32>, tensor<?x1xi64>) -> tensor<?x4xf32>
  %wc1 = tfm.slice %w offsets [#tfm.dim<1>, #tfm.dim<0>, #tfm.dim<0>] sizes [#tfm.dim<1>, #tfm.dim<6>, #tfm.dim<4>] strides [1, 1, 1] : (tensor<2x6x4xf32>) -> tensor<1x6x4xf32>
  %w1 = tfm.reshape %wc1 dims [#tfm.dim<6>, #tfm.dim<4>] : (tensor<1x6x4xf32>) -> tensor<6x4xf32>
  %h1 = tfm.matmul %x1, %w1 {transpose_b} : (tensor<?x4xf32>, tensor<6x4xf32>) -> tensor<?x6xf32>
  %g1 = tfm.slice %h1 starts %c0 ends %c3 axes [1] : (tensor<?x6xf32>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x3xf32>
  %u1 = tfm.slice %h1 starts %c3 ends %c6 axes [1] : (tensor<?x6xf32>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x3xf32>
  %a1 = tfm.unary relu %g1 : (tensor<?x3xf32>) -> tensor<?x3xf32>
  %p1 = tfm.binary mul %a1, %u1 : (tensor<?x3xf32>, tensor<?x3xf32>) -> tensor<?x3xf32>
  %dc1 = tfm.slice %d offsets [#tfm.dim<1>, #tfm.dim<0>, #tfm.dim<0>] sizes [#tfm.dim<1>, #tfm.dim<4>, #tfm.dim<3>] strides [1, 1, 1] : (tensor<2x4x3xf32>) -> tensor<1x4x3xf32>
  %d1 = tfm.reshape %dc1 dims [#tfm.dim<4>, #tfm.dim<3>] : (tensor<1x4x3xf32>) -> tensor<4x3xf32>
  %o1 = tfm.matmul %p1, %d1 {transpose_b} : (tensor<?x3xf32>, tensor<4x3xf32>) -> tensor<?x4xf32>
  %at1 = tfm.concat %token1, %slot1 {axis = 1 : i64} : (tensor<?x1xi64>, tensor<?x1xi64>) -> tensor<?x2xi64>
  %rv1 = tfm.gather_nd %routing, %at1 : (tensor<?x2xf32>, tensor<?x2xi64>) -> tensor<?xf32>
  %rs1 = tfm.shape_of %rv1 : (tensor<?xf32>) -> tensor<1xi64>
  %rt1 = tfm.concat %rs1, %c1 {axis = 0 : i64} : (tensor<1xi64>, tensor<1xi64>) -> tensor<2xi64>
  %r1 = tfm.reshape %rv1 shape %rt1 {allow_zero} : (tensor<?xf32>, tensor<2xi64>) -> tensor<?x1xf32>
  %q1 = tfm.binary mul %o1, %r1 : (tensor<?x4xf32>, tensor<?x1xf32>) -> tensor<?x4xf32>
  %y1 = tfm.scatter add %y0, %token1, %q1 : (tensor<?x4xf32>, tensor<?x1xi64>, tensor<?x4xf32>) -> tensor<?x4xf32>
  return %y1 : tensor<?x4xf32>
}

// The least likely experts, by their probabilities.
// CHECK-LABEL: @near_miss_other_order
// CHECK-NOT: tfm.moe
func.func @near_miss_other_order(%x: tensor<?x4xf32> {tfm.dims = [#tfm.dim<t>, #tfm.dim<4>]}, %logits: tensor<?x2xf32> {tfm.dims = [#tfm.dim<t>, #tfm.dim<2>]}) -> tensor<?x4xf32> {
  %zero = tfm.constant dense<0.0> : tensor<f32>
  %c0 = tfm.constant dense<0> : tensor<1xi64>
  %c1 = tfm.constant dense<1> : tensor<1xi64>
  %c2 = tfm.constant dense<2> : tensor<1xi64>
  %c3 = tfm.constant dense<3> : tensor<1xi64>
  %c6 = tfm.constant dense<6> : tensor<1xi64>
  %probs = tfm.softmax %logits {axis = 1 : i64} : (tensor<?x2xf32>) -> tensor<?x2xf32>
  %other = tfm.unary neg %probs : (tensor<?x2xf32>) -> tensor<?x2xf32>
  %chosen = tfm.top_k %other k #tfm.dim<2> {axis = 1 : i64} : (tensor<?x2xf32>) -> tensor<?x2xi64>
  %n = tfm.range from #tfm.dim<0> size #tfm.dim<t> step 1 : () -> tensor<?xi64>
  %n1 = tfm.reshape %n dims [#tfm.dim<t>, #tfm.dim<1>] : (tensor<?xi64>) -> tensor<?x1xi64>
  %nk = tfm.broadcast %n1 dims [#tfm.dim<t>, #tfm.dim<2>] : (tensor<?x1xi64>) -> tensor<?x2xi64>
  %i0 = tfm.reshape %nk dims [#tfm.dim<t>, #tfm.dim<2>, #tfm.dim<1>] : (tensor<?x2xi64>) -> tensor<?x2x1xi64>
  %i1 = tfm.reshape %chosen dims [#tfm.dim<t>, #tfm.dim<2>, #tfm.dim<1>] : (tensor<?x2xi64>) -> tensor<?x2x1xi64>
  %tuples = tfm.concat %i0, %i1 {axis = 2 : i64} : (tensor<?x2x1xi64>, tensor<?x2x1xi64>) -> tensor<?x2x2xi64>
  %best = tfm.gather_nd %probs, %tuples : (tensor<?x2xf32>, tensor<?x2x2xi64>) -> tensor<?x2xf32>
  %sum = tfm.reduce sum %best axes [1] {keep_dims} : (tensor<?x2xf32>) -> tensor<?x1xf32>
  %routing = tfm.binary div %best, %sum : (tensor<?x2xf32>, tensor<?x1xf32>) -> tensor<?x2xf32>
  %w = tfm.get_weight @up : tensor<2x6x4xf32>
  %d = tfm.get_weight @down : tensor<2x4x3xf32>
  %x3 = tfm.reshape %x dims [#tfm.dim<t>, #tfm.dim<1>, #tfm.dim<4>] : (tensor<?x4xf32>) -> tensor<?x1x4xf32>
  %xk = tfm.broadcast %x3 dims [#tfm.dim<t>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x1x4xf32>) -> tensor<?x2x4xf32>
  %xc = tfm.reshape %xk dims [#tfm.dim<t * 2>, #tfm.dim<4>, #tfm.dim<1>] : (tensor<?x2x4xf32>) -> tensor<?x4x1xf32>
  %pick = tfm.reshape %chosen dims [#tfm.dim<t * 2>, #tfm.dim<1>] : (tensor<?x2xi64>) -> tensor<?x1xi64>
  %wg = tfm.gather_nd %w, %pick : (tensor<2x6x4xf32>, tensor<?x1xi64>) -> tensor<?x6x4xf32>
  %dg = tfm.gather_nd %d, %pick : (tensor<2x4x3xf32>, tensor<?x1xi64>) -> tensor<?x4x3xf32>
  %hc = tfm.matmul %wg, %xc : (tensor<?x6x4xf32>, tensor<?x4x1xf32>) -> tensor<?x6x1xf32>
  %h0 = tfm.reshape %hc dims [#tfm.dim<t * 2>, #tfm.dim<6>] : (tensor<?x6x1xf32>) -> tensor<?x6xf32>
  %g0 = tfm.slice %h0 starts %c0 ends %c3 axes [1] : (tensor<?x6xf32>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x3xf32>
  %u0 = tfm.slice %h0 starts %c3 ends %c6 axes [1] : (tensor<?x6xf32>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x3xf32>
  %s0 = tfm.unary sigmoid %g0 : (tensor<?x3xf32>) -> tensor<?x3xf32>
  %a0 = tfm.binary mul %g0, %s0 : (tensor<?x3xf32>, tensor<?x3xf32>) -> tensor<?x3xf32>
  %p0 = tfm.binary mul %a0, %u0 : (tensor<?x3xf32>, tensor<?x3xf32>) -> tensor<?x3xf32>
  %pc = tfm.reshape %p0 dims [#tfm.dim<t * 2>, #tfm.dim<3>, #tfm.dim<1>] : (tensor<?x3xf32>) -> tensor<?x3x1xf32>
  %oc = tfm.matmul %dg, %pc : (tensor<?x4x3xf32>, tensor<?x3x1xf32>) -> tensor<?x4x1xf32>
  %o = tfm.reshape %oc dims [#tfm.dim<t * 2>, #tfm.dim<4>] : (tensor<?x4x1xf32>) -> tensor<?x4xf32>
  %r = tfm.reshape %routing dims [#tfm.dim<t * 2>, #tfm.dim<1>] : (tensor<?x2xf32>) -> tensor<?x1xf32>
  %q = tfm.binary mul %o, %r : (tensor<?x4xf32>, tensor<?x1xf32>) -> tensor<?x4xf32>
  %q3 = tfm.reshape %q dims [#tfm.dim<t>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x4xf32>) -> tensor<?x2x4xf32>
  %y = tfm.reduce sum %q3 axes [1] : (tensor<?x2x4xf32>) -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// The gate is a layer with an activation, and another one stands behind it.
// CHECK-LABEL: @near_miss_two_activations
// CHECK-NOT: tfm.moe
func.func @near_miss_two_activations(%x: tensor<?x4xf32> {tfm.dims = [#tfm.dim<t>, #tfm.dim<4>]}, %logits: tensor<?x2xf32> {tfm.dims = [#tfm.dim<t>, #tfm.dim<2>]}) -> tensor<?x4xf32> {
  %zero = tfm.constant dense<0.0> : tensor<f32>
  %c0 = tfm.constant dense<0> : tensor<1xi64>
  %c1 = tfm.constant dense<1> : tensor<1xi64>
  %c2 = tfm.constant dense<2> : tensor<1xi64>
  %probs = tfm.softmax %logits {axis = 1 : i64} : (tensor<?x2xf32>) -> tensor<?x2xf32>
  %chosen = tfm.top_k %probs k #tfm.dim<2> {axis = 1 : i64} : (tensor<?x2xf32>) -> tensor<?x2xi64>
  %n = tfm.range from #tfm.dim<0> size #tfm.dim<t> step 1 : () -> tensor<?xi64>
  %n1 = tfm.reshape %n dims [#tfm.dim<t>, #tfm.dim<1>] : (tensor<?xi64>) -> tensor<?x1xi64>
  %nk = tfm.broadcast %n1 dims [#tfm.dim<t>, #tfm.dim<2>] : (tensor<?x1xi64>) -> tensor<?x2xi64>
  %i0 = tfm.reshape %nk dims [#tfm.dim<t>, #tfm.dim<2>, #tfm.dim<1>] : (tensor<?x2xi64>) -> tensor<?x2x1xi64>
  %i1 = tfm.reshape %chosen dims [#tfm.dim<t>, #tfm.dim<2>, #tfm.dim<1>] : (tensor<?x2xi64>) -> tensor<?x2x1xi64>
  %tuples = tfm.concat %i0, %i1 {axis = 2 : i64} : (tensor<?x2x1xi64>, tensor<?x2x1xi64>) -> tensor<?x2x2xi64>
  %routing = tfm.gather_nd %probs, %tuples : (tensor<?x2xf32>, tensor<?x2x2xi64>) -> tensor<?x2xf32>
  %flat = tfm.reshape %routing dims [#tfm.dim<t * 2>, #tfm.dim<1>] : (tensor<?x2xf32>) -> tensor<?x1xf32>
  %wide = tfm.dim_values [#tfm.dim<min(1, t)>, #tfm.dim<4>] : tensor<2xi64>
  %y = tfm.broadcast %zero dims [#tfm.dim<t>, #tfm.dim<4>] : (tensor<f32>) -> tensor<?x4xf32>
  %e1 = tfm.constant dense<1> : tensor<i64>
  %mask1 = tfm.compare eq %chosen, %e1 : (tensor<?x2xi64>, tensor<i64>) -> tensor<?x2xi1>
  %hits1 = tfm.non_zero %mask1 : (tensor<?x2xi1>) -> tensor<2x?xi64>
  %pairs1 = tfm.transpose %hits1 [1, 0] : (tensor<2x?xi64>) -> tensor<?x2xi64>
  %token1 = tfm.slice %pairs1 starts %c0 ends %c1 axes [1] : (tensor<?x2xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x1xi64>
  %slot1 = tfm.slice %pairs1 starts %c1 ends %c2 axes [1] : (tensor<?x2xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x1xi64>
  %ts1 = tfm.shape_of %token1 : (tensor<?x1xi64>) -> tensor<2xi64>
  %tn1 = tfm.slice %ts1 offsets [#tfm.dim<0>] sizes [#tfm.dim<1>] strides [1] : (tensor<2xi64>) -> tensor<1xi64>
  %tv1 = tfm.reshape %token1 shape %tn1 {allow_zero} : (tensor<?x1xi64>, tensor<1xi64>) -> tensor<?xi64>
  %sv1 = tfm.reshape %slot1 shape %tn1 {allow_zero} : (tensor<?x1xi64>, tensor<1xi64>) -> tensor<?xi64>
  %x1 = tfm.gather %x, %tv1 {axis = 0 : i64} : (tensor<?x4xf32>, tensor<?xi64>) -> tensor<?x4xf32>
  %w1 = tfm.get_weight @half : tensor<4x3xf32>
  %g1 = tfm.linear %x1, %w1 activation relu : (tensor<?x4xf32>, tensor<4x3xf32>) -> tensor<?x3xf32>
  %u1 = tfm.linear %x1, %w1 : (tensor<?x4xf32>, tensor<4x3xf32>) -> tensor<?x3xf32>
  %a1 = tfm.unary gelu_erf %g1 : (tensor<?x3xf32>) -> tensor<?x3xf32>
  %p1 = tfm.binary mul %a1, %u1 : (tensor<?x3xf32>, tensor<?x3xf32>) -> tensor<?x3xf32>
  %d1 = tfm.get_weight @down1 : tensor<3x4xf32>
  %o1 = tfm.linear %p1, %d1 : (tensor<?x3xf32>, tensor<3x4xf32>) -> tensor<?x4xf32>
  %row1 = tfm.binary mul %tv1, %c2 : (tensor<?xi64>, tensor<1xi64>) -> tensor<?xi64>
  %no1 = tfm.binary add %sv1, %row1 : (tensor<?xi64>, tensor<?xi64>) -> tensor<?xi64>
  %r1 = tfm.gather %flat, %no1 {axis = 0 : i64} : (tensor<?x1xf32>, tensor<?xi64>) -> tensor<?x1xf32>
  %qs1 = tfm.binary mul %o1, %r1 : (tensor<?x4xf32>, tensor<?x1xf32>) -> tensor<?x4xf32>
  %q1 = tfm.broadcast %qs1 shape %wide : (tensor<?x4xf32>, tensor<2xi64>) -> tensor<?x4xf32>
  %us1 = tfm.shape_of %q1 : (tensor<?x4xf32>) -> tensor<2xi64>
  %at1 = tfm.broadcast %token1 shape %us1 : (tensor<?x1xi64>, tensor<2xi64>) -> tensor<?x4xi64>
  %z1 = tfm.scatter none %y, %at1, %q1 {axis = 0 : i64} : (tensor<?x4xf32>, tensor<?x4xi64>, tensor<?x4xf32>) -> tensor<?x4xf32>
  %y1 = tfm.binary add %zero, %z1 : (tensor<f32>, tensor<?x4xf32>) -> tensor<?x4xf32>
  %e0 = tfm.constant dense<0> : tensor<i64>
  %mask0 = tfm.compare eq %chosen, %e0 : (tensor<?x2xi64>, tensor<i64>) -> tensor<?x2xi1>
  %hits0 = tfm.non_zero %mask0 : (tensor<?x2xi1>) -> tensor<2x?xi64>
  %pairs0 = tfm.transpose %hits0 [1, 0] : (tensor<2x?xi64>) -> tensor<?x2xi64>
  %token0 = tfm.slice %pairs0 starts %c0 ends %c1 axes [1] : (tensor<?x2xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x1xi64>
  %slot0 = tfm.slice %pairs0 starts %c1 ends %c2 axes [1] : (tensor<?x2xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x1xi64>
  %ts0 = tfm.shape_of %token0 : (tensor<?x1xi64>) -> tensor<2xi64>
  %tn0 = tfm.slice %ts0 offsets [#tfm.dim<0>] sizes [#tfm.dim<1>] strides [1] : (tensor<2xi64>) -> tensor<1xi64>
  %tv0 = tfm.reshape %token0 shape %tn0 {allow_zero} : (tensor<?x1xi64>, tensor<1xi64>) -> tensor<?xi64>
  %sv0 = tfm.reshape %slot0 shape %tn0 {allow_zero} : (tensor<?x1xi64>, tensor<1xi64>) -> tensor<?xi64>
  %x0 = tfm.gather %x, %tv0 {axis = 0 : i64} : (tensor<?x4xf32>, tensor<?xi64>) -> tensor<?x4xf32>
  %w0 = tfm.get_weight @half : tensor<4x3xf32>
  %g0 = tfm.linear %x0, %w0 activation relu : (tensor<?x4xf32>, tensor<4x3xf32>) -> tensor<?x3xf32>
  %u0 = tfm.linear %x0, %w0 : (tensor<?x4xf32>, tensor<4x3xf32>) -> tensor<?x3xf32>
  %a0 = tfm.unary gelu_erf %g0 : (tensor<?x3xf32>) -> tensor<?x3xf32>
  %p0 = tfm.binary mul %a0, %u0 : (tensor<?x3xf32>, tensor<?x3xf32>) -> tensor<?x3xf32>
  %d0 = tfm.get_weight @down0 : tensor<3x4xf32>
  %o0 = tfm.linear %p0, %d0 : (tensor<?x3xf32>, tensor<3x4xf32>) -> tensor<?x4xf32>
  %row0 = tfm.binary mul %tv0, %c2 : (tensor<?xi64>, tensor<1xi64>) -> tensor<?xi64>
  %no0 = tfm.binary add %sv0, %row0 : (tensor<?xi64>, tensor<?xi64>) -> tensor<?xi64>
  %r0 = tfm.gather %flat, %no0 {axis = 0 : i64} : (tensor<?x1xf32>, tensor<?xi64>) -> tensor<?x1xf32>
  %qs0 = tfm.binary mul %o0, %r0 : (tensor<?x4xf32>, tensor<?x1xf32>) -> tensor<?x4xf32>
  %q0 = tfm.broadcast %qs0 shape %wide : (tensor<?x4xf32>, tensor<2xi64>) -> tensor<?x4xf32>
  %us0 = tfm.shape_of %q0 : (tensor<?x4xf32>) -> tensor<2xi64>
  %at0 = tfm.broadcast %token0 shape %us0 : (tensor<?x1xi64>, tensor<2xi64>) -> tensor<?x4xi64>
  %z0 = tfm.scatter none %y, %at0, %q0 {axis = 0 : i64} : (tensor<?x4xf32>, tensor<?x4xi64>, tensor<?x4xf32>) -> tensor<?x4xf32>
  %y0 = tfm.binary add %y1, %z0 : (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
  return %y0 : tensor<?x4xf32>
}

// CHECK-LABEL: @near_miss_other_width
// CHECK-NOT: tfm.moe
func.func @near_miss_other_width(%x: tensor<?x4xf32> {tfm.dims = [#tfm.dim<t>, #tfm.dim<4>]}, %logits: tensor<?x2xf32> {tfm.dims = [#tfm.dim<t>, #tfm.dim<2>]}) -> tensor<?x4xf32> {
  %zero = tfm.constant dense<0.0> : tensor<f32>
  %c0 = tfm.constant dense<0> : tensor<1xi64>
  %c1 = tfm.constant dense<1> : tensor<1xi64>
  %c2 = tfm.constant dense<2> : tensor<1xi64>
  %c3 = tfm.constant dense<3> : tensor<1xi64>
  %c5 = tfm.constant dense<5> : tensor<1xi64>
  %c10 = tfm.constant dense<10> : tensor<1xi64>
  %c6 = tfm.constant dense<6> : tensor<1xi64>
  %probs = tfm.softmax %logits {axis = 1 : i64} : (tensor<?x2xf32>) -> tensor<?x2xf32>
  %chosen = tfm.top_k %probs k #tfm.dim<2> {axis = 1 : i64} : (tensor<?x2xf32>) -> tensor<?x2xi64>
  %n = tfm.range from #tfm.dim<0> size #tfm.dim<t> step 1 : () -> tensor<?xi64>
  %n1 = tfm.reshape %n dims [#tfm.dim<t>, #tfm.dim<1>] : (tensor<?xi64>) -> tensor<?x1xi64>
  %nk = tfm.broadcast %n1 dims [#tfm.dim<t>, #tfm.dim<2>] : (tensor<?x1xi64>) -> tensor<?x2xi64>
  %i0 = tfm.reshape %nk dims [#tfm.dim<t>, #tfm.dim<2>, #tfm.dim<1>] : (tensor<?x2xi64>) -> tensor<?x2x1xi64>
  %i1 = tfm.reshape %chosen dims [#tfm.dim<t>, #tfm.dim<2>, #tfm.dim<1>] : (tensor<?x2xi64>) -> tensor<?x2x1xi64>
  %tuples = tfm.concat %i0, %i1 {axis = 2 : i64} : (tensor<?x2x1xi64>, tensor<?x2x1xi64>) -> tensor<?x2x2xi64>
  %routing = tfm.gather_nd %probs, %tuples : (tensor<?x2xf32>, tensor<?x2x2xi64>) -> tensor<?x2xf32>
  %flat = tfm.reshape %routing dims [#tfm.dim<t * 2>, #tfm.dim<1>] : (tensor<?x2xf32>) -> tensor<?x1xf32>
  %wide = tfm.dim_values [#tfm.dim<min(1, t)>, #tfm.dim<4>] : tensor<2xi64>
  %y = tfm.broadcast %zero dims [#tfm.dim<t>, #tfm.dim<4>] : (tensor<f32>) -> tensor<?x4xf32>
  %e1 = tfm.constant dense<1> : tensor<i64>
  %mask1 = tfm.compare eq %chosen, %e1 : (tensor<?x2xi64>, tensor<i64>) -> tensor<?x2xi1>
  %hits1 = tfm.non_zero %mask1 : (tensor<?x2xi1>) -> tensor<2x?xi64>
  %pairs1 = tfm.transpose %hits1 [1, 0] : (tensor<2x?xi64>) -> tensor<?x2xi64>
  %token1 = tfm.slice %pairs1 starts %c0 ends %c1 axes [1] : (tensor<?x2xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x1xi64>
  %slot1 = tfm.slice %pairs1 starts %c1 ends %c2 axes [1] : (tensor<?x2xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x1xi64>
  %ts1 = tfm.shape_of %token1 : (tensor<?x1xi64>) -> tensor<2xi64>
  %tn1 = tfm.slice %ts1 offsets [#tfm.dim<0>] sizes [#tfm.dim<1>] strides [1] : (tensor<2xi64>) -> tensor<1xi64>
  %tv1 = tfm.reshape %token1 shape %tn1 {allow_zero} : (tensor<?x1xi64>, tensor<1xi64>) -> tensor<?xi64>
  %sv1 = tfm.reshape %slot1 shape %tn1 {allow_zero} : (tensor<?x1xi64>, tensor<1xi64>) -> tensor<?xi64>
  %x1 = tfm.gather %x, %tv1 {axis = 0 : i64} : (tensor<?x4xf32>, tensor<?xi64>) -> tensor<?x4xf32>
  %w1 = tfm.get_weight @wide_up : tensor<4x10xf32>
  %h1 = tfm.linear %x1, %w1 : (tensor<?x4xf32>, tensor<4x10xf32>) -> tensor<?x10xf32>
  %g1 = tfm.slice %h1 starts %c0 ends %c5 axes [1] : (tensor<?x10xf32>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x5xf32>
  %u1 = tfm.slice %h1 starts %c5 ends %c10 axes [1] : (tensor<?x10xf32>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x5xf32>
  %a1 = tfm.unary gelu_erf %g1 : (tensor<?x5xf32>) -> tensor<?x5xf32>
  %p1 = tfm.binary mul %a1, %u1 : (tensor<?x5xf32>, tensor<?x5xf32>) -> tensor<?x5xf32>
  %d1 = tfm.get_weight @wide_down : tensor<5x4xf32>
  %o1 = tfm.linear %p1, %d1 : (tensor<?x5xf32>, tensor<5x4xf32>) -> tensor<?x4xf32>
  %row1 = tfm.binary mul %tv1, %c2 : (tensor<?xi64>, tensor<1xi64>) -> tensor<?xi64>
  %no1 = tfm.binary add %sv1, %row1 : (tensor<?xi64>, tensor<?xi64>) -> tensor<?xi64>
  %r1 = tfm.gather %flat, %no1 {axis = 0 : i64} : (tensor<?x1xf32>, tensor<?xi64>) -> tensor<?x1xf32>
  %qs1 = tfm.binary mul %o1, %r1 : (tensor<?x4xf32>, tensor<?x1xf32>) -> tensor<?x4xf32>
  %q1 = tfm.broadcast %qs1 shape %wide : (tensor<?x4xf32>, tensor<2xi64>) -> tensor<?x4xf32>
  %us1 = tfm.shape_of %q1 : (tensor<?x4xf32>) -> tensor<2xi64>
  %at1 = tfm.broadcast %token1 shape %us1 : (tensor<?x1xi64>, tensor<2xi64>) -> tensor<?x4xi64>
  %z1 = tfm.scatter none %y, %at1, %q1 {axis = 0 : i64} : (tensor<?x4xf32>, tensor<?x4xi64>, tensor<?x4xf32>) -> tensor<?x4xf32>
  %y1 = tfm.binary add %zero, %z1 : (tensor<f32>, tensor<?x4xf32>) -> tensor<?x4xf32>
  %e0 = tfm.constant dense<0> : tensor<i64>
  %mask0 = tfm.compare eq %chosen, %e0 : (tensor<?x2xi64>, tensor<i64>) -> tensor<?x2xi1>
  %hits0 = tfm.non_zero %mask0 : (tensor<?x2xi1>) -> tensor<2x?xi64>
  %pairs0 = tfm.transpose %hits0 [1, 0] : (tensor<2x?xi64>) -> tensor<?x2xi64>
  %token0 = tfm.slice %pairs0 starts %c0 ends %c1 axes [1] : (tensor<?x2xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x1xi64>
  %slot0 = tfm.slice %pairs0 starts %c1 ends %c2 axes [1] : (tensor<?x2xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x1xi64>
  %ts0 = tfm.shape_of %token0 : (tensor<?x1xi64>) -> tensor<2xi64>
  %tn0 = tfm.slice %ts0 offsets [#tfm.dim<0>] sizes [#tfm.dim<1>] strides [1] : (tensor<2xi64>) -> tensor<1xi64>
  %tv0 = tfm.reshape %token0 shape %tn0 {allow_zero} : (tensor<?x1xi64>, tensor<1xi64>) -> tensor<?xi64>
  %sv0 = tfm.reshape %slot0 shape %tn0 {allow_zero} : (tensor<?x1xi64>, tensor<1xi64>) -> tensor<?xi64>
  %x0 = tfm.gather %x, %tv0 {axis = 0 : i64} : (tensor<?x4xf32>, tensor<?xi64>) -> tensor<?x4xf32>
  %w0 = tfm.get_weight @up0 : tensor<4x6xf32>
  %h0 = tfm.linear %x0, %w0 : (tensor<?x4xf32>, tensor<4x6xf32>) -> tensor<?x6xf32>
  %g0 = tfm.slice %h0 starts %c0 ends %c3 axes [1] : (tensor<?x6xf32>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x3xf32>
  %u0 = tfm.slice %h0 starts %c3 ends %c6 axes [1] : (tensor<?x6xf32>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x3xf32>
  %a0 = tfm.unary gelu_erf %g0 : (tensor<?x3xf32>) -> tensor<?x3xf32>
  %p0 = tfm.binary mul %a0, %u0 : (tensor<?x3xf32>, tensor<?x3xf32>) -> tensor<?x3xf32>
  %d0 = tfm.get_weight @down0 : tensor<3x4xf32>
  %o0 = tfm.linear %p0, %d0 : (tensor<?x3xf32>, tensor<3x4xf32>) -> tensor<?x4xf32>
  %row0 = tfm.binary mul %tv0, %c2 : (tensor<?xi64>, tensor<1xi64>) -> tensor<?xi64>
  %no0 = tfm.binary add %sv0, %row0 : (tensor<?xi64>, tensor<?xi64>) -> tensor<?xi64>
  %r0 = tfm.gather %flat, %no0 {axis = 0 : i64} : (tensor<?x1xf32>, tensor<?xi64>) -> tensor<?x1xf32>
  %qs0 = tfm.binary mul %o0, %r0 : (tensor<?x4xf32>, tensor<?x1xf32>) -> tensor<?x4xf32>
  %q0 = tfm.broadcast %qs0 shape %wide : (tensor<?x4xf32>, tensor<2xi64>) -> tensor<?x4xf32>
  %us0 = tfm.shape_of %q0 : (tensor<?x4xf32>) -> tensor<2xi64>
  %at0 = tfm.broadcast %token0 shape %us0 : (tensor<?x1xi64>, tensor<2xi64>) -> tensor<?x4xi64>
  %z0 = tfm.scatter none %y, %at0, %q0 {axis = 0 : i64} : (tensor<?x4xf32>, tensor<?x4xi64>, tensor<?x4xf32>) -> tensor<?x4xf32>
  %y0 = tfm.binary add %y1, %z0 : (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
  return %y0 : tensor<?x4xf32>
}
