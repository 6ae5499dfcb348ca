// RUN: permalloy-opt %s --raise-attention --simplify-layout --canonicalize | FileCheck %s
// RUN: permalloy-opt %s --check-equivalent="pipeline=func.func(raise-attention,simplify-layout) sizes=b=2,s=2,t=3;b=1,s=1,t=1;b=5,s=5,t=7 rtol=1e-5 atol=1e-5 idempotent" -o /dev/null
//
// At s = 1 and 2 some rows see no key at all, so the runs compare what these give.

// No mask; the scale on the product.
// CHECK-LABEL: @plain(
// CHECK-NEXT: %[[A:.*]] = tfm.attention %arg0, %arg1, %arg2 {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 2.500000e-01 : f32}
// CHECK-NEXT: return %[[A]]
func.func @plain(%q: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}, %k: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}, %v: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}) -> tensor<?x?x8xf32> {
  %c = tfm.constant dense<0.25> : tensor<f32>
  %r = tfm.constant dense<0.5> : tensor<f32>
  %q1 = tfm.reshape %q dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x?x8xf32>) -> tensor<?x?x2x4xf32>
  %k1 = tfm.reshape %k dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x?x8xf32>) -> tensor<?x?x2x4xf32>
  %v1 = tfm.reshape %v dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x?x8xf32>) -> tensor<?x?x2x4xf32>
  %q2 = tfm.transpose %q1 [0, 2, 1, 3] : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
  %v2 = tfm.transpose %v1 [0, 2, 1, 3] : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
  %k2 = tfm.transpose %k1 [0, 2, 3, 1] : (tensor<?x?x2x4xf32>) -> tensor<?x2x4x?xf32>
  %x0 = tfm.matmul %q2, %k2 : (tensor<?x2x?x4xf32>, tensor<?x2x4x?xf32>) -> tensor<?x2x?x?xf32>
  %x1 = tfm.binary mul %x0, %c : (tensor<?x2x?x?xf32>, tensor<f32>) -> tensor<?x2x?x?xf32>
  %p = tfm.softmax %x1 {axis = 3 : i64} : (tensor<?x2x?x?xf32>) -> tensor<?x2x?x?xf32>
  %o = tfm.matmul %p, %v2 : (tensor<?x2x?x?xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32>
  %o1 = tfm.transpose %o [0, 2, 1, 3] : (tensor<?x2x?x4xf32>) -> tensor<?x?x2x4xf32>
  %o2 = tfm.reshape %o1 dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>] : (tensor<?x?x2x4xf32>) -> tensor<?x?x8xf32>
  return %o2 : tensor<?x?x8xf32>
}

// The product is divided; K^T is two transposes.
// CHECK-LABEL: @divided(
// CHECK-NEXT: %[[A:.*]] = tfm.attention %arg0, %arg1, %arg2 {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 2.500000e-01 : f32}
// CHECK-NEXT: return %[[A]]
func.func @divided(%q: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}, %k: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}, %v: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}) -> tensor<?x?x8xf32> {
  %c = tfm.constant dense<0.25> : tensor<f32>
  %r = tfm.constant dense<0.5> : tensor<f32>
  %q1 = tfm.reshape %q dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x?x8xf32>) -> tensor<?x?x2x4xf32>
  %k1 = tfm.reshape %k dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x?x8xf32>) -> tensor<?x?x2x4xf32>
  %v1 = tfm.reshape %v dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x?x8xf32>) -> tensor<?x?x2x4xf32>
  %q2 = tfm.transpose %q1 [0, 2, 1, 3] : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
  %v2 = tfm.transpose %v1 [0, 2, 1, 3] : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
  %k0 = tfm.transpose %k1 [0, 2, 1, 3] : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
  %k2 = tfm.transpose %k0 [0, 1, 3, 2] : (tensor<?x2x?x4xf32>) -> tensor<?x2x4x?xf32>
  %x0 = tfm.matmul %q2, %k2 : (tensor<?x2x?x4xf32>, tensor<?x2x4x?xf32>) -> tensor<?x2x?x?xf32>
  %four = tfm.constant dense<4.0> : tensor<f32>
  %x1 = tfm.binary div %x0, %four : (tensor<?x2x?x?xf32>, tensor<f32>) -> tensor<?x2x?x?xf32>
  %p = tfm.softmax %x1 {axis = 3 : i64} : (tensor<?x2x?x?xf32>) -> tensor<?x2x?x?xf32>
  %o = tfm.matmul %p, %v2 : (tensor<?x2x?x?xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32>
  %o1 = tfm.transpose %o [0, 2, 1, 3] : (tensor<?x2x?x4xf32>) -> tensor<?x?x2x4xf32>
  %o2 = tfm.reshape %o1 dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>] : (tensor<?x?x2x4xf32>) -> tensor<?x?x8xf32>
  return %o2 : tensor<?x?x8xf32>
}

// The product transposes K; the scale on Q.
// CHECK-LABEL: @flagged(
// CHECK-NEXT: %[[A:.*]] = tfm.attention %arg0, %arg1, %arg2 {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 2.500000e-01 : f32}
// CHECK-NEXT: return %[[A]]
func.func @flagged(%q: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}, %k: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}, %v: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}) -> tensor<?x?x8xf32> {
  %c = tfm.constant dense<0.25> : tensor<f32>
  %r = tfm.constant dense<0.5> : tensor<f32>
  %q1 = tfm.reshape %q dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x?x8xf32>) -> tensor<?x?x2x4xf32>
  %k1 = tfm.reshape %k dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x?x8xf32>) -> tensor<?x?x2x4xf32>
  %v1 = tfm.reshape %v dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x?x8xf32>) -> tensor<?x?x2x4xf32>
  %q2 = tfm.transpose %q1 [0, 2, 1, 3] : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
  %v2 = tfm.transpose %v1 [0, 2, 1, 3] : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
  %k2 = tfm.transpose %k1 [0, 2, 1, 3] : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
  %q3 = tfm.binary mul %q2, %c : (tensor<?x2x?x4xf32>, tensor<f32>) -> tensor<?x2x?x4xf32>
  %x0 = tfm.matmul %q3, %k2 {transpose_b} : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x?xf32>
  %p = tfm.softmax %x0 {axis = 3 : i64} : (tensor<?x2x?x?xf32>) -> tensor<?x2x?x?xf32>
  %o = tfm.matmul %p, %v2 : (tensor<?x2x?x?xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32>
  %o1 = tfm.transpose %o [0, 2, 1, 3] : (tensor<?x2x?x4xf32>) -> tensor<?x?x2x4xf32>
  %o2 = tfm.reshape %o1 dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>] : (tensor<?x?x2x4xf32>) -> tensor<?x?x8xf32>
  return %o2 : tensor<?x?x8xf32>
}

// The scale on K.
// CHECK-LABEL: @scale_on_k(
// CHECK-NEXT: %[[A:.*]] = tfm.attention %arg0, %arg1, %arg2 {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 2.500000e-01 : f32}
// CHECK-NEXT: return %[[A]]
func.func @scale_on_k(%q: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}, %k: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}, %v: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}) -> tensor<?x?x8xf32> {
  %c = tfm.constant dense<0.25> : tensor<f32>
  %r = tfm.constant dense<0.5> : tensor<f32>
  %q1 = tfm.reshape %q dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x?x8xf32>) -> tensor<?x?x2x4xf32>
  %k1 = tfm.reshape %k dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x?x8xf32>) -> tensor<?x?x2x4xf32>
  %v1 = tfm.reshape %v dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x?x8xf32>) -> tensor<?x?x2x4xf32>
  %q2 = tfm.transpose %q1 [0, 2, 1, 3] : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
  %v2 = tfm.transpose %v1 [0, 2, 1, 3] : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
  %k2 = tfm.transpose %k1 [0, 2, 3, 1] : (tensor<?x?x2x4xf32>) -> tensor<?x2x4x?xf32>
  %k3 = tfm.binary mul %k2, %c : (tensor<?x2x4x?xf32>, tensor<f32>) -> tensor<?x2x4x?xf32>
  %x0 = tfm.matmul %q2, %k3 : (tensor<?x2x?x4xf32>, tensor<?x2x4x?xf32>) -> tensor<?x2x?x?xf32>
  %p = tfm.softmax %x0 {axis = 3 : i64} : (tensor<?x2x?x?xf32>) -> tensor<?x2x?x?xf32>
  %o = tfm.matmul %p, %v2 : (tensor<?x2x?x?xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32>
  %o1 = tfm.transpose %o [0, 2, 1, 3] : (tensor<?x2x?x4xf32>) -> tensor<?x?x2x4xf32>
  %o2 = tfm.reshape %o1 dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>] : (tensor<?x?x2x4xf32>) -> tensor<?x?x8xf32>
  return %o2 : tensor<?x?x8xf32>
}

// Half of the scale on each side, -inf where the mask is false, the guard: rows without a key are zero.
// CHECK-LABEL: @torchscript(
// CHECK: %[[A:.*]] = tfm.attention %arg0, %arg1, %arg2 mask %arg3 empty_rows zero {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 2.500000e-01 : f32}
// CHECK-NEXT: return %[[A]]
func.func @torchscript(%q: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}, %k: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}, %v: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}, %m: tensor<?x1x1x?xi1> {tfm.dims = [#tfm.dim<b>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<s>]}) -> tensor<?x?x8xf32> {
  %inf = tfm.constant dense<0xFF800000> : tensor<1xf32>
  %z = tfm.constant dense<0.0> : tensor<f32>
  %c = tfm.constant dense<0.25> : tensor<f32>
  %r = tfm.constant dense<0.5> : tensor<f32>
  %q1 = tfm.reshape %q dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x?x8xf32>) -> tensor<?x?x2x4xf32>
  %k1 = tfm.reshape %k dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x?x8xf32>) -> tensor<?x?x2x4xf32>
  %v1 = tfm.reshape %v dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x?x8xf32>) -> tensor<?x?x2x4xf32>
  %q2 = tfm.transpose %q1 [0, 2, 1, 3] : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
  %v2 = tfm.transpose %v1 [0, 2, 1, 3] : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
  %k2 = tfm.transpose %k1 [0, 2, 3, 1] : (tensor<?x?x2x4xf32>) -> tensor<?x2x4x?xf32>
  %q3 = tfm.binary mul %q2, %r : (tensor<?x2x?x4xf32>, tensor<f32>) -> tensor<?x2x?x4xf32>
  %k3 = tfm.binary mul %r, %k2 : (tensor<f32>, tensor<?x2x4x?xf32>) -> tensor<?x2x4x?xf32>
  %x0 = tfm.matmul %q3, %k3 : (tensor<?x2x?x4xf32>, tensor<?x2x4x?xf32>) -> tensor<?x2x?x?xf32>
  %f = tfm.select %m, %z, %inf : (tensor<?x1x1x?xi1>, tensor<f32>, tensor<1xf32>) -> tensor<?x1x1x?xf32>
  %y = tfm.binary add %x0, %f : (tensor<?x2x?x?xf32>, tensor<?x1x1x?xf32>) -> tensor<?x2x?x?xf32>
  %p = tfm.softmax %y {axis = 3 : i64} : (tensor<?x2x?x?xf32>) -> tensor<?x2x?x?xf32>
  %gz = tfm.constant dense<0.0> : tensor<f32>
  %nan = tfm.unary isnan %p : (tensor<?x2x?x?xf32>) -> tensor<?x2x?x?xi1>
  %pg = tfm.select %nan, %gz, %p : (tensor<?x2x?x?xi1>, tensor<f32>, tensor<?x2x?x?xf32>) -> tensor<?x2x?x?xf32>
  %o = tfm.matmul %pg, %v2 : (tensor<?x2x?x?xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32>
  %o1 = tfm.transpose %o [0, 2, 1, 3] : (tensor<?x2x?x4xf32>) -> tensor<?x?x2x4xf32>
  %o2 = tfm.reshape %o1 dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>] : (tensor<?x?x2x4xf32>) -> tensor<?x?x8xf32>
  return %o2 : tensor<?x?x8xf32>
}

// Without the guard such rows are NaN, the default.
// CHECK-LABEL: @unguarded(
// CHECK: %[[A:.*]] = tfm.attention %arg0, %arg1, %arg2 mask %arg3 {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 2.500000e-01 : f32}
// CHECK-NEXT: return %[[A]]
func.func @unguarded(%q: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}, %k: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}, %v: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}, %m: tensor<?x1x1x?xi1> {tfm.test_range = [1, 2], tfm.dims = [#tfm.dim<b>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<s>]}) -> tensor<?x?x8xf32> {
  %inf = tfm.constant dense<0xFF800000> : tensor<1xf32>
  %z = tfm.constant dense<0.0> : tensor<f32>
  %c = tfm.constant dense<0.25> : tensor<f32>
  %r = tfm.constant dense<0.5> : tensor<f32>
  %q1 = tfm.reshape %q dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x?x8xf32>) -> tensor<?x?x2x4xf32>
  %k1 = tfm.reshape %k dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x?x8xf32>) -> tensor<?x?x2x4xf32>
  %v1 = tfm.reshape %v dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x?x8xf32>) -> tensor<?x?x2x4xf32>
  %q2 = tfm.transpose %q1 [0, 2, 1, 3] : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
  %v2 = tfm.transpose %v1 [0, 2, 1, 3] : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
  %k2 = tfm.transpose %k1 [0, 2, 3, 1] : (tensor<?x?x2x4xf32>) -> tensor<?x2x4x?xf32>
  %x0 = tfm.matmul %q2, %k2 : (tensor<?x2x?x4xf32>, tensor<?x2x4x?xf32>) -> tensor<?x2x?x?xf32>
  %x1 = tfm.binary mul %x0, %c : (tensor<?x2x?x?xf32>, tensor<f32>) -> tensor<?x2x?x?xf32>
  %f = tfm.select %m, %z, %inf : (tensor<?x1x1x?xi1>, tensor<f32>, tensor<1xf32>) -> tensor<?x1x1x?xf32>
  %y = tfm.binary add %x1, %f : (tensor<?x2x?x?xf32>, tensor<?x1x1x?xf32>) -> tensor<?x2x?x?xf32>
  %p = tfm.softmax %y {axis = 3 : i64} : (tensor<?x2x?x?xf32>) -> tensor<?x2x?x?xf32>
  %o = tfm.matmul %p, %v2 : (tensor<?x2x?x?xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32>
  %o1 = tfm.transpose %o [0, 2, 1, 3] : (tensor<?x2x?x4xf32>) -> tensor<?x?x2x4xf32>
  %o2 = tfm.reshape %o1 dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>] : (tensor<?x?x2x4xf32>) -> tensor<?x?x8xf32>
  return %o2 : tensor<?x?x8xf32>
}

// The lowest f32 instead of -inf: such rows are the mean of V, and the guard finds nothing.
// CHECK-LABEL: @dynamo(
// CHECK: %[[A:.*]] = tfm.attention %arg0, %arg1, %arg2 mask %arg3 empty_rows uniform {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 2.500000e-01 : f32}
// CHECK-NEXT: return %[[A]]
func.func @dynamo(%q: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}, %k: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}, %v: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}, %m: tensor<?x1x1x?xi1> {tfm.dims = [#tfm.dim<b>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<s>]}) -> tensor<?x?x8xf32> {
  %inf = tfm.constant dense<-3.40282347E+38> : tensor<1xf32>
  %z = tfm.constant dense<0.0> : tensor<f32>
  %c = tfm.constant dense<0.25> : tensor<f32>
  %r = tfm.constant dense<0.5> : tensor<f32>
  %q1 = tfm.reshape %q dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x?x8xf32>) -> tensor<?x?x2x4xf32>
  %k1 = tfm.reshape %k dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x?x8xf32>) -> tensor<?x?x2x4xf32>
  %v1 = tfm.reshape %v dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x?x8xf32>) -> tensor<?x?x2x4xf32>
  %q2 = tfm.transpose %q1 [0, 2, 1, 3] : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
  %v2 = tfm.transpose %v1 [0, 2, 1, 3] : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
  %k2 = tfm.transpose %k1 [0, 2, 3, 1] : (tensor<?x?x2x4xf32>) -> tensor<?x2x4x?xf32>
  %q3 = tfm.binary mul %q2, %r : (tensor<?x2x?x4xf32>, tensor<f32>) -> tensor<?x2x?x4xf32>
  %k3 = tfm.binary mul %r, %k2 : (tensor<f32>, tensor<?x2x4x?xf32>) -> tensor<?x2x4x?xf32>
  %x0 = tfm.matmul %q3, %k3 : (tensor<?x2x?x4xf32>, tensor<?x2x4x?xf32>) -> tensor<?x2x?x?xf32>
  %f = tfm.select %m, %z, %inf : (tensor<?x1x1x?xi1>, tensor<f32>, tensor<1xf32>) -> tensor<?x1x1x?xf32>
  %y = tfm.binary add %x0, %f : (tensor<?x2x?x?xf32>, tensor<?x1x1x?xf32>) -> tensor<?x2x?x?xf32>
  %p = tfm.softmax %y {axis = 3 : i64} : (tensor<?x2x?x?xf32>) -> tensor<?x2x?x?xf32>
  %gz = tfm.constant dense<0.0> : tensor<f32>
  %nan = tfm.unary isnan %p : (tensor<?x2x?x?xf32>) -> tensor<?x2x?x?xi1>
  %pg = tfm.select %nan, %gz, %p : (tensor<?x2x?x?xi1>, tensor<f32>, tensor<?x2x?x?xf32>) -> tensor<?x2x?x?xf32>
  %o = tfm.matmul %pg, %v2 : (tensor<?x2x?x?xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32>
  %o1 = tfm.transpose %o [0, 2, 1, 3] : (tensor<?x2x?x4xf32>) -> tensor<?x?x2x4xf32>
  %o2 = tfm.reshape %o1 dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>] : (tensor<?x?x2x4xf32>) -> tensor<?x?x8xf32>
  return %o2 : tensor<?x?x8xf32>
}

// A mask that is true where nothing is seen.
// CHECK-LABEL: @inverted(
// CHECK: %[[N:.*]] = tfm.unary not %arg3
// CHECK: %[[A:.*]] = tfm.attention %arg0, %arg1, %arg2 mask %[[N]] empty_rows uniform {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 2.500000e-01 : f32}
// CHECK-NEXT: return %[[A]]
func.func @inverted(%q: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}, %k: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}, %v: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}, %m: tensor<?x1x1x?xi1> {tfm.dims = [#tfm.dim<b>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<s>]}) -> tensor<?x?x8xf32> {
  %inf = tfm.constant dense<-3.40282347E+38> : tensor<1xf32>
  %z = tfm.constant dense<0.0> : tensor<f32>
  %c = tfm.constant dense<0.25> : tensor<f32>
  %r = tfm.constant dense<0.5> : tensor<f32>
  %q1 = tfm.reshape %q dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x?x8xf32>) -> tensor<?x?x2x4xf32>
  %k1 = tfm.reshape %k dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x?x8xf32>) -> tensor<?x?x2x4xf32>
  %v1 = tfm.reshape %v dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x?x8xf32>) -> tensor<?x?x2x4xf32>
  %q2 = tfm.transpose %q1 [0, 2, 1, 3] : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
  %v2 = tfm.transpose %v1 [0, 2, 1, 3] : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
  %k2 = tfm.transpose %k1 [0, 2, 3, 1] : (tensor<?x?x2x4xf32>) -> tensor<?x2x4x?xf32>
  %x0 = tfm.matmul %q2, %k2 : (tensor<?x2x?x4xf32>, tensor<?x2x4x?xf32>) -> tensor<?x2x?x?xf32>
  %x1 = tfm.binary mul %x0, %c : (tensor<?x2x?x?xf32>, tensor<f32>) -> tensor<?x2x?x?xf32>
  %f = tfm.select %m, %inf, %z : (tensor<?x1x1x?xi1>, tensor<1xf32>, tensor<f32>) -> tensor<?x1x1x?xf32>
  %y = tfm.binary add %f, %x1 : (tensor<?x1x1x?xf32>, tensor<?x2x?x?xf32>) -> tensor<?x2x?x?xf32>
  %p = tfm.softmax %y {axis = 3 : i64} : (tensor<?x2x?x?xf32>) -> tensor<?x2x?x?xf32>
  %o = tfm.matmul %p, %v2 : (tensor<?x2x?x?xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32>
  %o1 = tfm.transpose %o [0, 2, 1, 3] : (tensor<?x2x?x4xf32>) -> tensor<?x?x2x4xf32>
  %o2 = tfm.reshape %o1 dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>] : (tensor<?x?x2x4xf32>) -> tensor<?x?x8xf32>
  return %o2 : tensor<?x?x8xf32>
}

// Scores replaced rather than shifted.
// CHECK-LABEL: @where(
// CHECK: %[[A:.*]] = tfm.attention %arg0, %arg1, %arg2 mask %arg3 empty_rows uniform {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 2.500000e-01 : f32}
// CHECK-NEXT: return %[[A]]
func.func @where(%q: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}, %k: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}, %v: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}, %m: tensor<?x1x1x?xi1> {tfm.dims = [#tfm.dim<b>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<s>]}) -> tensor<?x?x8xf32> {
  %inf = tfm.constant dense<-3.40282347E+38> : tensor<1xf32>
  %c = tfm.constant dense<0.25> : tensor<f32>
  %r = tfm.constant dense<0.5> : tensor<f32>
  %q1 = tfm.reshape %q dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x?x8xf32>) -> tensor<?x?x2x4xf32>
  %k1 = tfm.reshape %k dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x?x8xf32>) -> tensor<?x?x2x4xf32>
  %v1 = tfm.reshape %v dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x?x8xf32>) -> tensor<?x?x2x4xf32>
  %q2 = tfm.transpose %q1 [0, 2, 1, 3] : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
  %v2 = tfm.transpose %v1 [0, 2, 1, 3] : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
  %k2 = tfm.transpose %k1 [0, 2, 3, 1] : (tensor<?x?x2x4xf32>) -> tensor<?x2x4x?xf32>
  %x0 = tfm.matmul %q2, %k2 : (tensor<?x2x?x4xf32>, tensor<?x2x4x?xf32>) -> tensor<?x2x?x?xf32>
  %x1 = tfm.binary mul %x0, %c : (tensor<?x2x?x?xf32>, tensor<f32>) -> tensor<?x2x?x?xf32>
  %y = tfm.select %m, %x1, %inf : (tensor<?x1x1x?xi1>, tensor<?x2x?x?xf32>, tensor<1xf32>) -> tensor<?x2x?x?xf32>
  %p = tfm.softmax %y {axis = 3 : i64} : (tensor<?x2x?x?xf32>) -> tensor<?x2x?x?xf32>
  %o = tfm.matmul %p, %v2 : (tensor<?x2x?x?xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32>
  %o1 = tfm.transpose %o [0, 2, 1, 3] : (tensor<?x2x?x4xf32>) -> tensor<?x?x2x4xf32>
  %o2 = tfm.reshape %o1 dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>] : (tensor<?x?x2x4xf32>) -> tensor<?x?x8xf32>
  return %o2 : tensor<?x?x8xf32>
}

// Any other float mask is added as it is.
// CHECK-LABEL: @additive(
// CHECK-NEXT: %[[A:.*]] = tfm.attention %arg0, %arg1, %arg2 mask %arg3 {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 2.500000e-01 : f32}
// CHECK-NEXT: return %[[A]]
func.func @additive(%q: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}, %k: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}, %v: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}, %m: tensor<?x1x1x?xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<s>]}) -> tensor<?x?x8xf32> {
  %c = tfm.constant dense<0.25> : tensor<f32>
  %r = tfm.constant dense<0.5> : tensor<f32>
  %q1 = tfm.reshape %q dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x?x8xf32>) -> tensor<?x?x2x4xf32>
  %k1 = tfm.reshape %k dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x?x8xf32>) -> tensor<?x?x2x4xf32>
  %v1 = tfm.reshape %v dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x?x8xf32>) -> tensor<?x?x2x4xf32>
  %q2 = tfm.transpose %q1 [0, 2, 1, 3] : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
  %v2 = tfm.transpose %v1 [0, 2, 1, 3] : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
  %k2 = tfm.transpose %k1 [0, 2, 3, 1] : (tensor<?x?x2x4xf32>) -> tensor<?x2x4x?xf32>
  %x0 = tfm.matmul %q2, %k2 : (tensor<?x2x?x4xf32>, tensor<?x2x4x?xf32>) -> tensor<?x2x?x?xf32>
  %x1 = tfm.binary mul %x0, %c : (tensor<?x2x?x?xf32>, tensor<f32>) -> tensor<?x2x?x?xf32>
  %y = tfm.binary add %m, %x1 : (tensor<?x1x1x?xf32>, tensor<?x2x?x?xf32>) -> tensor<?x2x?x?xf32>
  %p = tfm.softmax %y {axis = 3 : i64} : (tensor<?x2x?x?xf32>) -> tensor<?x2x?x?xf32>
  %o = tfm.matmul %p, %v2 : (tensor<?x2x?x?xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32>
  %o1 = tfm.transpose %o [0, 2, 1, 3] : (tensor<?x2x?x4xf32>) -> tensor<?x?x2x4xf32>
  %o2 = tfm.reshape %o1 dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>] : (tensor<?x?x2x4xf32>) -> tensor<?x?x8xf32>
  return %o2 : tensor<?x?x8xf32>
}

// -1e4 is not as good as -inf: the select stays and is added.
// CHECK-LABEL: @weak(
// CHECK: %[[F:.*]] = tfm.select %arg3
// CHECK: %[[A:.*]] = tfm.attention %arg0, %arg1, %arg2 mask %[[F]] {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 2.500000e-01 : f32}
// CHECK-NEXT: return %[[A]]
func.func @weak(%q: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}, %k: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}, %v: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}, %m: tensor<?x1x1x?xi1> {tfm.dims = [#tfm.dim<b>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<s>]}) -> tensor<?x?x8xf32> {
  %inf = tfm.constant dense<-1.0E+4> : tensor<1xf32>
  %z = tfm.constant dense<0.0> : tensor<f32>
  %c = tfm.constant dense<0.25> : tensor<f32>
  %r = tfm.constant dense<0.5> : tensor<f32>
  %q1 = tfm.reshape %q dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x?x8xf32>) -> tensor<?x?x2x4xf32>
  %k1 = tfm.reshape %k dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x?x8xf32>) -> tensor<?x?x2x4xf32>
  %v1 = tfm.reshape %v dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x?x8xf32>) -> tensor<?x?x2x4xf32>
  %q2 = tfm.transpose %q1 [0, 2, 1, 3] : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
  %v2 = tfm.transpose %v1 [0, 2, 1, 3] : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
  %k2 = tfm.transpose %k1 [0, 2, 3, 1] : (tensor<?x?x2x4xf32>) -> tensor<?x2x4x?xf32>
  %x0 = tfm.matmul %q2, %k2 : (tensor<?x2x?x4xf32>, tensor<?x2x4x?xf32>) -> tensor<?x2x?x?xf32>
  %x1 = tfm.binary mul %x0, %c : (tensor<?x2x?x?xf32>, tensor<f32>) -> tensor<?x2x?x?xf32>
  %f = tfm.select %m, %z, %inf : (tensor<?x1x1x?xi1>, tensor<f32>, tensor<1xf32>) -> tensor<?x1x1x?xf32>
  %y = tfm.binary add %x1, %f : (tensor<?x2x?x?xf32>, tensor<?x1x1x?xf32>) -> tensor<?x2x?x?xf32>
  %p = tfm.softmax %y {axis = 3 : i64} : (tensor<?x2x?x?xf32>) -> tensor<?x2x?x?xf32>
  %o = tfm.matmul %p, %v2 : (tensor<?x2x?x?xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32>
  %o1 = tfm.transpose %o [0, 2, 1, 3] : (tensor<?x2x?x4xf32>) -> tensor<?x?x2x4xf32>
  %o2 = tfm.reshape %o1 dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>] : (tensor<?x?x2x4xf32>) -> tensor<?x?x8xf32>
  return %o2 : tensor<?x?x8xf32>
}

// A mask of one dimension gets four.
// CHECK-LABEL: @row_mask(
// CHECK: %[[M:.*]] = tfm.reshape %arg3 dims [#tfm.dim<1>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<s>]
// CHECK: %[[A:.*]] = tfm.attention %arg0, %arg1, %arg2 mask %[[M]] {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 2.500000e-01 : f32}
// CHECK-NEXT: return %[[A]]
func.func @row_mask(%q: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}, %k: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}, %v: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}, %m: tensor<?xf32> {tfm.dims = [#tfm.dim<s>]}) -> tensor<?x?x8xf32> {
  %c = tfm.constant dense<0.25> : tensor<f32>
  %r = tfm.constant dense<0.5> : tensor<f32>
  %q1 = tfm.reshape %q dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x?x8xf32>) -> tensor<?x?x2x4xf32>
  %k1 = tfm.reshape %k dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x?x8xf32>) -> tensor<?x?x2x4xf32>
  %v1 = tfm.reshape %v dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x?x8xf32>) -> tensor<?x?x2x4xf32>
  %q2 = tfm.transpose %q1 [0, 2, 1, 3] : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
  %v2 = tfm.transpose %v1 [0, 2, 1, 3] : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
  %k2 = tfm.transpose %k1 [0, 2, 3, 1] : (tensor<?x?x2x4xf32>) -> tensor<?x2x4x?xf32>
  %x0 = tfm.matmul %q2, %k2 : (tensor<?x2x?x4xf32>, tensor<?x2x4x?xf32>) -> tensor<?x2x?x?xf32>
  %x1 = tfm.binary mul %x0, %c : (tensor<?x2x?x?xf32>, tensor<f32>) -> tensor<?x2x?x?xf32>
  %y = tfm.binary add %x1, %m : (tensor<?x2x?x?xf32>, tensor<?xf32>) -> tensor<?x2x?x?xf32>
  %p = tfm.softmax %y {axis = 3 : i64} : (tensor<?x2x?x?xf32>) -> tensor<?x2x?x?xf32>
  %o = tfm.matmul %p, %v2 : (tensor<?x2x?x?xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32>
  %o1 = tfm.transpose %o [0, 2, 1, 3] : (tensor<?x2x?x4xf32>) -> tensor<?x?x2x4xf32>
  %o2 = tfm.reshape %o1 dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>] : (tensor<?x?x2x4xf32>) -> tensor<?x?x8xf32>
  return %o2 : tensor<?x?x8xf32>
}

// Near miss: scores replaced by -1e4, which a score may be below of.
// CHECK-LABEL: @weak_where(
// CHECK-NOT: tfm.attention
// CHECK: return
func.func @weak_where(%q: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}, %k: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}, %v: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}, %m: tensor<?x1x1x?xi1> {tfm.dims = [#tfm.dim<b>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<s>]}) -> tensor<?x?x8xf32> {
  %inf = tfm.constant dense<-1.0E+4> : tensor<1xf32>
  %c = tfm.constant dense<0.25> : tensor<f32>
  %r = tfm.constant dense<0.5> : tensor<f32>
  %q1 = tfm.reshape %q dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x?x8xf32>) -> tensor<?x?x2x4xf32>
  %k1 = tfm.reshape %k dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x?x8xf32>) -> tensor<?x?x2x4xf32>
  %v1 = tfm.reshape %v dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x?x8xf32>) -> tensor<?x?x2x4xf32>
  %q2 = tfm.transpose %q1 [0, 2, 1, 3] : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
  %v2 = tfm.transpose %v1 [0, 2, 1, 3] : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
  %k2 = tfm.transpose %k1 [0, 2, 3, 1] : (tensor<?x?x2x4xf32>) -> tensor<?x2x4x?xf32>
  %x0 = tfm.matmul %q2, %k2 : (tensor<?x2x?x4xf32>, tensor<?x2x4x?xf32>) -> tensor<?x2x?x?xf32>
  %x1 = tfm.binary mul %x0, %c : (tensor<?x2x?x?xf32>, tensor<f32>) -> tensor<?x2x?x?xf32>
  %y = tfm.select %m, %x1, %inf : (tensor<?x1x1x?xi1>, tensor<?x2x?x?xf32>, tensor<1xf32>) -> tensor<?x2x?x?xf32>
  %p = tfm.softmax %y {axis = 3 : i64} : (tensor<?x2x?x?xf32>) -> tensor<?x2x?x?xf32>
  %o = tfm.matmul %p, %v2 : (tensor<?x2x?x?xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32>
  %o1 = tfm.transpose %o [0, 2, 1, 3] : (tensor<?x2x?x4xf32>) -> tensor<?x?x2x4xf32>
  %o2 = tfm.reshape %o1 dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>] : (tensor<?x?x2x4xf32>) -> tensor<?x?x8xf32>
  return %o2 : tensor<?x?x8xf32>
}

// Two float masks are added up.
// CHECK-LABEL: @two_masks(
// CHECK: %[[M:.*]] = tfm.binary add %arg3, %arg3 : (tensor<?x1x1x?xf32>, tensor<?x1x1x?xf32>) -> tensor<?x1x1x?xf32>
// CHECK: tfm.attention %arg0, %arg1, %arg2 mask %[[M]] {
// CHECK: return
func.func @two_masks(%q: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}, %k: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}, %v: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}, %m: tensor<?x1x1x?xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<s>]}) -> tensor<?x?x8xf32> {
  %c = tfm.constant dense<0.25> : tensor<f32>
  %r = tfm.constant dense<0.5> : tensor<f32>
  %q1 = tfm.reshape %q dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x?x8xf32>) -> tensor<?x?x2x4xf32>
  %k1 = tfm.reshape %k dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x?x8xf32>) -> tensor<?x?x2x4xf32>
  %v1 = tfm.reshape %v dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x?x8xf32>) -> tensor<?x?x2x4xf32>
  %q2 = tfm.transpose %q1 [0, 2, 1, 3] : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
  %v2 = tfm.transpose %v1 [0, 2, 1, 3] : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
  %k2 = tfm.transpose %k1 [0, 2, 3, 1] : (tensor<?x?x2x4xf32>) -> tensor<?x2x4x?xf32>
  %x0 = tfm.matmul %q2, %k2 : (tensor<?x2x?x4xf32>, tensor<?x2x4x?xf32>) -> tensor<?x2x?x?xf32>
  %x1 = tfm.binary mul %x0, %c : (tensor<?x2x?x?xf32>, tensor<f32>) -> tensor<?x2x?x?xf32>
  %y1 = tfm.binary add %x1, %m : (tensor<?x2x?x?xf32>, tensor<?x1x1x?xf32>) -> tensor<?x2x?x?xf32>
  %y = tfm.binary add %y1, %m : (tensor<?x2x?x?xf32>, tensor<?x1x1x?xf32>) -> tensor<?x2x?x?xf32>
  %p = tfm.softmax %y {axis = 3 : i64} : (tensor<?x2x?x?xf32>) -> tensor<?x2x?x?xf32>
  %o = tfm.matmul %p, %v2 : (tensor<?x2x?x?xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32>
  %o1 = tfm.transpose %o [0, 2, 1, 3] : (tensor<?x2x?x4xf32>) -> tensor<?x?x2x4xf32>
  %o2 = tfm.reshape %o1 dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>] : (tensor<?x?x2x4xf32>) -> tensor<?x?x8xf32>
  return %o2 : tensor<?x?x8xf32>
}

// Attention as an operator on split heads (ONNX Attention) works on the packed layout too.
// CHECK-LABEL: @operator(
// CHECK-NEXT: %[[A:.*]] = tfm.attention %arg0, %arg1, %arg2 empty_rows zero {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 5.000000e-01 : f32} : (tensor<?x?x8xf32>
// CHECK-NEXT: return %[[A]]
func.func @operator(%q: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}, %k: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}, %v: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}) -> tensor<?x?x8xf32> {
  %q1 = tfm.reshape %q dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x?x8xf32>) -> tensor<?x?x2x4xf32>
  %k1 = tfm.reshape %k dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x?x8xf32>) -> tensor<?x?x2x4xf32>
  %v1 = tfm.reshape %v dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x?x8xf32>) -> tensor<?x?x2x4xf32>
  %q2 = tfm.transpose %q1 [0, 2, 1, 3] : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
  %k2 = tfm.transpose %k1 [0, 2, 1, 3] : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
  %v2 = tfm.transpose %v1 [0, 2, 1, 3] : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
  %a = tfm.attention %q2, %k2, %v2 empty_rows zero {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32} : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32>
  %o1 = tfm.transpose %a [0, 2, 1, 3] : (tensor<?x2x?x4xf32>) -> tensor<?x?x2x4xf32>
  %o2 = tfm.reshape %o1 dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>] : (tensor<?x?x2x4xf32>) -> tensor<?x?x8xf32>
  return %o2 : tensor<?x?x8xf32>
}

// Heads that come as they are stay as they are: rank 4.
// CHECK-LABEL: @heads(
// CHECK: tfm.attention %arg0, %arg1, %arg2 {{.*}} : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32>
func.func @heads(%q: tensor<?x2x?x4xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s>, #tfm.dim<4>]}, %k: tensor<?x2x?x4xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<t>, #tfm.dim<4>]}, %v: tensor<?x2x?x4xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<t>, #tfm.dim<4>]}) -> tensor<?x2x?x4xf32> {
  %x = tfm.matmul %q, %k {transpose_b} : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x?xf32>
  %p = tfm.softmax %x {axis = 3 : i64} : (tensor<?x2x?x?xf32>) -> tensor<?x2x?x?xf32>
  %o = tfm.matmul %p, %v : (tensor<?x2x?x?xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32>
  return %o : tensor<?x2x?x4xf32>
}

// Near miss: a softmax over the queries.
// CHECK-LABEL: @other_axis(
// CHECK-NOT: tfm.attention
// CHECK: return
func.func @other_axis(%q: tensor<1x2x3x4xf32>, %k: tensor<1x2x3x4xf32>, %v: tensor<1x2x3x4xf32>) -> tensor<1x2x3x4xf32> {
  %x = tfm.matmul %q, %k {transpose_b} : (tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>) -> tensor<1x2x3x3xf32>
  %p = tfm.softmax %x {axis = 2 : i64} : (tensor<1x2x3x3xf32>) -> tensor<1x2x3x3xf32>
  %o = tfm.matmul %p, %v : (tensor<1x2x3x3xf32>, tensor<1x2x3x4xf32>) -> tensor<1x2x3x4xf32>
  return %o : tensor<1x2x3x4xf32>
}

// Near miss: the model also returns its probabilities.
// CHECK-LABEL: @probabilities(
// CHECK-NOT: tfm.attention
// CHECK: return
func.func @probabilities(%q: tensor<1x2x3x4xf32>, %k: tensor<1x2x3x4xf32>, %v: tensor<1x2x3x4xf32>) -> (tensor<1x2x3x4xf32>, tensor<1x2x3x3xf32>) {
  %x = tfm.matmul %q, %k {transpose_b} : (tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>) -> tensor<1x2x3x3xf32>
  %p = tfm.softmax %x {axis = 3 : i64} : (tensor<1x2x3x3xf32>) -> tensor<1x2x3x3xf32>
  %o = tfm.matmul %p, %v : (tensor<1x2x3x3xf32>, tensor<1x2x3x4xf32>) -> tensor<1x2x3x4xf32>
  return %o, %p : tensor<1x2x3x4xf32>, tensor<1x2x3x3xf32>
}

// Near miss: a mask whose rows may be fewer than the queries.
// CHECK-LABEL: @other_rows(
// CHECK-NOT: tfm.attention
// CHECK: return
func.func @other_rows(%q: tensor<1x2x?x4xf32> {tfm.dims = [#tfm.dim<1>, #tfm.dim<2>, #tfm.dim<s>, #tfm.dim<4>]}, %k: tensor<1x2x3x4xf32>, %v: tensor<1x2x3x4xf32>, %m: tensor<?x3xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<3>]}) -> tensor<1x2x?x4xf32> {
  %x = tfm.matmul %q, %k {transpose_b} : (tensor<1x2x?x4xf32>, tensor<1x2x3x4xf32>) -> tensor<1x2x?x3xf32>
  %y = tfm.binary add %x, %m : (tensor<1x2x?x3xf32>, tensor<?x3xf32>) -> tensor<1x2x?x3xf32>
  %p = tfm.softmax %y {axis = 3 : i64} : (tensor<1x2x?x3xf32>) -> tensor<1x2x?x3xf32>
  %o = tfm.matmul %p, %v : (tensor<1x2x?x3xf32>, tensor<1x2x3x4xf32>) -> tensor<1x2x?x4xf32>
  return %o : tensor<1x2x?x4xf32>
}

// One position: the transposes that split heads are reshapes.
// CHECK-LABEL: @one_position(
// CHECK-NEXT: %[[A:.*]] = tfm.attention %arg0, %arg1, %arg2 {num_heads = 2 : i64
// CHECK-NEXT: return %[[A]]
func.func @one_position(%q: tensor<?x1x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<1>, #tfm.dim<8>]}, %k: tensor<?x1x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<1>, #tfm.dim<8>]}, %v: tensor<?x1x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<1>, #tfm.dim<8>]}) -> tensor<?x1x8xf32> {
  %q2 = tfm.reshape %q dims [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<1>, #tfm.dim<4>] : (tensor<?x1x8xf32>) -> tensor<?x2x1x4xf32>
  %k2 = tfm.reshape %k dims [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<4>, #tfm.dim<1>] : (tensor<?x1x8xf32>) -> tensor<?x2x4x1xf32>
  %v2 = tfm.reshape %v dims [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<1>, #tfm.dim<4>] : (tensor<?x1x8xf32>) -> tensor<?x2x1x4xf32>
  %x = tfm.matmul %q2, %k2 : (tensor<?x2x1x4xf32>, tensor<?x2x4x1xf32>) -> tensor<?x2x1x1xf32>
  %p = tfm.softmax %x {axis = 3 : i64} : (tensor<?x2x1x1xf32>) -> tensor<?x2x1x1xf32>
  %o = tfm.matmul %p, %v2 : (tensor<?x2x1x1xf32>, tensor<?x2x1x4xf32>) -> tensor<?x2x1x4xf32>
  %o2 = tfm.reshape %o dims [#tfm.dim<b>, #tfm.dim<1>, #tfm.dim<8>] : (tensor<?x2x1x4xf32>) -> tensor<?x1x8xf32>
  return %o2 : tensor<?x1x8xf32>
}

// Only Q was split from packed heads: it and the result are packed, keys and values stay as they are.
// CHECK-LABEL: @one_packed(
// CHECK: tfm.attention {{.*}} : (tensor<?x?x8xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) -> tensor<?x?x8xf32>
func.func @one_packed(%q: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}, %k: tensor<?x2x?x4xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s>, #tfm.dim<4>]}) -> tensor<?x2x?x4xf32> {
  %q1 = tfm.reshape %q dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<4>] : (tensor<?x?x8xf32>) -> tensor<?x?x2x4xf32>
  %q2 = tfm.transpose %q1 [0, 2, 1, 3] : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
  %x = tfm.matmul %q2, %k {transpose_b} : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x?xf32>
  %p = tfm.softmax %x {axis = 3 : i64} : (tensor<?x2x?x?xf32>) -> tensor<?x2x?x?xf32>
  %o = tfm.matmul %p, %k : (tensor<?x2x?x?xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32>
  return %o : tensor<?x2x?x4xf32>
}
