// RUN: permalloy-opt %s --simplify-layout | FileCheck %s
// RUN: permalloy-opt %s --check-equivalent="pipeline=func.func(simplify-layout) rtol=0 atol=0 idempotent" -o /dev/null

// K^T through three dimensions, with the scale after it.
// CHECK-LABEL: @key_transpose(
// CHECK: %[[T:.*]] = tfm.transpose %arg0 [0, 1, 3, 2] : (tensor<?x12x?x32xf32>) -> tensor<?x12x32x?xf32>
// CHECK-NEXT: return %[[T]]
func.func @key_transpose(%k: tensor<?x12x?x32xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<12>, #tfm.dim<s>, #tfm.dim<32>]}) -> tensor<?x12x32x?xf32> {
  %a = tfm.reshape %k dims [#tfm.dim<b * 12>, #tfm.dim<s>, #tfm.dim<32>] : (tensor<?x12x?x32xf32>) -> tensor<?x?x32xf32>
  %t = tfm.transpose %a [0, 2, 1] : (tensor<?x?x32xf32>) -> tensor<?x32x?xf32>
  %r = tfm.reshape %t dims [#tfm.dim<b>, #tfm.dim<12>, #tfm.dim<32>, #tfm.dim<s>] : (tensor<?x32x?xf32>) -> tensor<?x12x32x?xf32>
  return %r : tensor<?x12x32x?xf32>
}

// Near miss: the last reshape mixes the transposed dimensions.
// CHECK-LABEL: @no_key_transpose(
// CHECK: %[[T:.*]] = tfm.transpose %arg0 [0, 1, 3, 2]
// CHECK-NEXT: tfm.reshape %[[T]] dims [#tfm.dim<b>, #tfm.dim<12>, #tfm.dim<s>, #tfm.dim<32>] : (tensor<?x12x32x?xf32>) -> tensor<?x12x?x32xf32>
func.func @no_key_transpose(%k: tensor<?x12x?x32xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<12>, #tfm.dim<s>, #tfm.dim<32>]}) -> tensor<?x12x?x32xf32> {
  %a = tfm.reshape %k dims [#tfm.dim<b * 12>, #tfm.dim<s>, #tfm.dim<32>] : (tensor<?x12x?x32xf32>) -> tensor<?x?x32xf32>
  %t = tfm.transpose %a [0, 2, 1] : (tensor<?x?x32xf32>) -> tensor<?x32x?xf32>
  %r = tfm.reshape %t dims [#tfm.dim<b>, #tfm.dim<12>, #tfm.dim<s>, #tfm.dim<32>] : (tensor<?x32x?xf32>) -> tensor<?x12x?x32xf32>
  return %r : tensor<?x12x?x32xf32>
}

// CHECK-LABEL: @hoist_above_scale(
// CHECK: %[[R:.*]] = tfm.reshape %arg0
// CHECK: %[[T:.*]] = tfm.transpose %[[R]]
// CHECK: tfm.binary mul %[[T]], %{{.*}} : (tensor<?x4x?x2xf32>, tensor<f32>) -> tensor<?x4x?x2xf32>
func.func @hoist_above_scale(%x: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}) -> tensor<?x4x?x2xf32> {
  %c = tfm.constant dense<0.5> : tensor<1xf32>
  %m = tfm.binary mul %x, %c : (tensor<?x?x8xf32>, tensor<1xf32>) -> tensor<?x?x8xf32>
  %r = tfm.reshape %m dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<4>, #tfm.dim<2>] : (tensor<?x?x8xf32>) -> tensor<?x?x4x2xf32>
  %t = tfm.transpose %r [0, 2, 1, 3] : (tensor<?x?x4x2xf32>) -> tensor<?x4x?x2xf32>
  return %t : tensor<?x4x?x2xf32>
}

// CHECK-LABEL: @cancel_across_unary(
// CHECK-NEXT: %[[U:.*]] = tfm.unary relu %arg0
// CHECK-NEXT: return %[[U]]
func.func @cancel_across_unary(%x: tensor<?x4xf32> {tfm.dims = [#tfm.dim<n>, #tfm.dim<4>]}) -> tensor<?x4xf32> {
  %t = tfm.transpose %x [1, 0] : (tensor<?x4xf32>) -> tensor<4x?xf32>
  %u = tfm.unary relu %t : (tensor<4x?xf32>) -> tensor<4x?xf32>
  %r = tfm.transpose %u [1, 0] : (tensor<4x?xf32>) -> tensor<?x4xf32>
  return %r : tensor<?x4xf32>
}

// CHECK-LABEL: @transpose_of_ones(
// CHECK-NEXT: tfm.reshape %arg0 dims [#tfm.dim<1>, #tfm.dim<n>, #tfm.dim<4>]
func.func @transpose_of_ones(%x: tensor<?x1x4xf32> {tfm.dims = [#tfm.dim<n>, #tfm.dim<1>, #tfm.dim<4>]}) -> tensor<1x?x4xf32> {
  %t = tfm.transpose %x [1, 0, 2] : (tensor<?x1x4xf32>) -> tensor<1x?x4xf32>
  return %t : tensor<1x?x4xf32>
}

// The rows of a Gemm are those of its input.
// CHECK-LABEL: @linear(
// CHECK: tfm.linear %arg0, %{{.*}} : (tensor<?x?x8xf32>, tensor<8x4xf32>) -> tensor<?x?x4xf32>
// CHECK-NEXT: return
func.func @linear(%x: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}, %w: tensor<8x4xf32>) -> tensor<?x?x4xf32> {
  %r = tfm.reshape %x dims [#tfm.dim<b * s>, #tfm.dim<8>] : (tensor<?x?x8xf32>) -> tensor<?x8xf32>
  %l = tfm.linear %r, %w : (tensor<?x8xf32>, tensor<8x4xf32>) -> tensor<?x4xf32>
  %o = tfm.reshape %l dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<4>] : (tensor<?x4xf32>) -> tensor<?x?x4xf32>
  return %o : tensor<?x?x4xf32>
}

// Heads that were folded into the batch (BART, CLIP) come apart.
// CHECK-LABEL: @folded_heads(
// CHECK: %[[X:.*]] = tfm.matmul %arg0, %arg1 {transpose_b} : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x?xf32>
// CHECK-NEXT: %[[Y:.*]] = tfm.binary add %[[X]], %arg3
// CHECK-NEXT: %[[P:.*]] = tfm.softmax %[[Y]] {axis = 3 : i64}
// CHECK-NEXT: %[[O:.*]] = tfm.matmul %[[P]], %arg2
// CHECK-NEXT: return %[[O]]
func.func @folded_heads(%q: tensor<?x2x?x4xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s>, #tfm.dim<4>]}, %k: tensor<?x2x?x4xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s>, #tfm.dim<4>]}, %v: tensor<?x2x?x4xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s>, #tfm.dim<4>]}, %m: tensor<?x1x?x?xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<1>, #tfm.dim<s>, #tfm.dim<s>]}) -> tensor<?x2x?x4xf32> {
  %q1 = tfm.reshape %q dims [#tfm.dim<b * 2>, #tfm.dim<s>, #tfm.dim<4>] : (tensor<?x2x?x4xf32>) -> tensor<?x?x4xf32>
  %k1 = tfm.reshape %k dims [#tfm.dim<b * 2>, #tfm.dim<s>, #tfm.dim<4>] : (tensor<?x2x?x4xf32>) -> tensor<?x?x4xf32>
  %v1 = tfm.reshape %v dims [#tfm.dim<b * 2>, #tfm.dim<s>, #tfm.dim<4>] : (tensor<?x2x?x4xf32>) -> tensor<?x?x4xf32>
  %x = tfm.matmul %q1, %k1 {transpose_b} : (tensor<?x?x4xf32>, tensor<?x?x4xf32>) -> tensor<?x?x?xf32>
  %x1 = tfm.reshape %x dims [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s>, #tfm.dim<s>] : (tensor<?x?x?xf32>) -> tensor<?x2x?x?xf32>
  %y = tfm.binary add %x1, %m : (tensor<?x2x?x?xf32>, tensor<?x1x?x?xf32>) -> tensor<?x2x?x?xf32>
  %y1 = tfm.reshape %y dims [#tfm.dim<b * 2>, #tfm.dim<s>, #tfm.dim<s>] : (tensor<?x2x?x?xf32>) -> tensor<?x?x?xf32>
  %p = tfm.softmax %y1 {axis = 2 : i64} : (tensor<?x?x?xf32>) -> tensor<?x?x?xf32>
  %o = tfm.matmul %p, %v1 : (tensor<?x?x?xf32>, tensor<?x?x4xf32>) -> tensor<?x?x4xf32>
  %o1 = tfm.reshape %o dims [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s>, #tfm.dim<4>] : (tensor<?x?x4xf32>) -> tensor<?x2x?x4xf32>
  return %o1 : tensor<?x2x?x4xf32>
}

// The same with a batch of one.
// CHECK-LABEL: @key_transpose_of_one(
// CHECK-NEXT: %[[T:.*]] = tfm.transpose %arg0 [0, 1, 3, 2] : (tensor<1x12x?x32xf32>) -> tensor<1x12x32x?xf32>
// CHECK-NEXT: return %[[T]]
func.func @key_transpose_of_one(%k: tensor<1x12x?x32xf32> {tfm.dims = [#tfm.dim<1>, #tfm.dim<12>, #tfm.dim<s>, #tfm.dim<32>]}) -> tensor<1x12x32x?xf32> {
  %a = tfm.reshape %k dims [#tfm.dim<12>, #tfm.dim<s>, #tfm.dim<32>] : (tensor<1x12x?x32xf32>) -> tensor<12x?x32xf32>
  %t = tfm.transpose %a [0, 2, 1] : (tensor<12x?x32xf32>) -> tensor<12x32x?xf32>
  %r = tfm.reshape %t dims [#tfm.dim<1>, #tfm.dim<12>, #tfm.dim<32>, #tfm.dim<s>] : (tensor<12x32x?xf32>) -> tensor<1x12x32x?xf32>
  return %r : tensor<1x12x32x?xf32>
}
