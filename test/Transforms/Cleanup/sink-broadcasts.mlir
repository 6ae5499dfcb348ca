// RUN: permalloy-opt %s --sink-broadcasts | FileCheck %s
// RUN: permalloy-opt %s --check-equivalent="pipeline=func.func(sink-broadcasts) rtol=0 atol=0 idempotent" -o /dev/null

// CHECK-LABEL: @mask(
// CHECK: %[[F:.*]] = tfm.select %arg0, %{{.*}}, %{{.*}} : (tensor<?x1x1x?xi1>, tensor<f32>, tensor<f32>) -> tensor<?x1x1x?xf32>
// CHECK: %[[A:.*]] = tfm.binary add %arg1, %[[F]] : (tensor<?x12x?x?xf32>, tensor<?x1x1x?xf32>) -> tensor<?x12x?x?xf32>
// CHECK-NEXT: return %[[A]]
func.func @mask(%m: tensor<?x1x1x?xi1> {tfm.dims = [#tfm.dim<b>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<s>]},
                %x: tensor<?x12x?x?xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<12>, #tfm.dim<s>, #tfm.dim<s>]}) -> tensor<?x12x?x?xf32> {
  %zero = tfm.constant dense<0.0> : tensor<f32>
  %inf = tfm.constant dense<0xFF800000> : tensor<f32>
  %e = tfm.broadcast %m dims [#tfm.dim<b>, #tfm.dim<1>, #tfm.dim<s>, #tfm.dim<s>] : (tensor<?x1x1x?xi1>) -> tensor<?x1x?x?xi1>
  %f = tfm.select %e, %zero, %inf : (tensor<?x1x?x?xi1>, tensor<f32>, tensor<f32>) -> tensor<?x1x?x?xf32>
  %a = tfm.binary add %x, %f : (tensor<?x12x?x?xf32>, tensor<?x1x?x?xf32>) -> tensor<?x12x?x?xf32>
  return %a : tensor<?x12x?x?xf32>
}

// CHECK-LABEL: @attention_mask(
// CHECK: %[[M:.*]] = tfm.reshape %arg3 dims [#tfm.dim<1>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<s>]
// CHECK: tfm.attention %arg0, %arg1, %arg2 mask %[[M]]
func.func @attention_mask(%q: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]},
                          %k: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]},
                          %v: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]},
                          %m: tensor<?xf32> {tfm.dims = [#tfm.dim<s>]}) -> tensor<?x?x8xf32> {
  %e = tfm.broadcast %m dims [#tfm.dim<b>, #tfm.dim<1>, #tfm.dim<s>, #tfm.dim<s>] : (tensor<?xf32>) -> tensor<?x1x?x?xf32>
  %a = tfm.attention %q, %k, %v mask %e {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32} : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x1x?x?xf32>) -> tensor<?x?x8xf32>
  return %a : tensor<?x?x8xf32>
}

// The result would shrink: the sum runs on the small operands and is broadcast once.
// CHECK-LABEL: @shrinks(
// CHECK: %[[A:.*]] = tfm.binary add %arg0, %arg0 : (tensor<?xf32>, tensor<?xf32>) -> tensor<?xf32>
// CHECK-NEXT: %[[B:.*]] = tfm.broadcast %[[A]] dims [#tfm.dim<4>, #tfm.dim<n>]
// CHECK-NEXT: return %[[B]]
func.func @shrinks(%x: tensor<?xf32> {tfm.dims = [#tfm.dim<n>]}) -> tensor<4x?xf32> {
  %e = tfm.broadcast %x dims [#tfm.dim<4>, #tfm.dim<n>] : (tensor<?xf32>) -> tensor<4x?xf32>
  %a = tfm.binary add %e, %e : (tensor<4x?xf32>, tensor<4x?xf32>) -> tensor<4x?xf32>
  return %a : tensor<4x?xf32>
}

// Rows are gathered once and repeated, not gathered again for each batch.
// CHECK-LABEL: @gather(
// CHECK: %[[G:.*]] = tfm.gather %arg0, %arg1 {axis = 0 : i64} : (tensor<4x3xf32>, tensor<1x?xi64>) -> tensor<1x?x3xf32>
// CHECK-NEXT: tfm.broadcast %[[G]] dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<3>]
func.func @gather(%t: tensor<4x3xf32>, %i: tensor<1x?xi64> {tfm.dims = [#tfm.dim<1>, #tfm.dim<s>]},
                  %x: tensor<?xf32> {tfm.dims = [#tfm.dim<b>]}) -> tensor<?x?x3xf32> {
  %e = tfm.broadcast %i dims [#tfm.dim<b>, #tfm.dim<s>] : (tensor<1x?xi64>) -> tensor<?x?xi64>
  %g = tfm.gather %t, %e {axis = 0 : i64} : (tensor<4x3xf32>, tensor<?x?xi64>) -> tensor<?x?x3xf32>
  return %g : tensor<?x?x3xf32>
}

// Near miss: a reduction sees how often its elements are repeated.
// CHECK-LABEL: @reduction(
// CHECK: %[[B:.*]] = tfm.broadcast
// CHECK-NEXT: tfm.reduce sum %[[B]]
func.func @reduction(%x: tensor<?xf32> {tfm.dims = [#tfm.dim<n>]}) -> tensor<?xf32> {
  %e = tfm.broadcast %x dims [#tfm.dim<4>, #tfm.dim<n>] : (tensor<?xf32>) -> tensor<4x?xf32>
  %r = tfm.reduce sum %e axes [0] : (tensor<4x?xf32>) -> tensor<?xf32>
  return %r : tensor<?xf32>
}

// CHECK-LABEL: @other_dimension(
// CHECK: %[[R:.*]] = tfm.reduce sum %arg0 axes [1] : (tensor<?x?x1xf32>) -> tensor<?x1xf32>
// CHECK-NEXT: tfm.broadcast %[[R]] dims [#tfm.dim<b>, #tfm.dim<8>]
func.func @other_dimension(%x: tensor<?x?x1xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<1>]}) -> tensor<?x8xf32> {
  %e = tfm.broadcast %x dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>] : (tensor<?x?x1xf32>) -> tensor<?x?x8xf32>
  %r = tfm.reduce sum %e axes [1] : (tensor<?x?x8xf32>) -> tensor<?x8xf32>
  return %r : tensor<?x8xf32>
}
