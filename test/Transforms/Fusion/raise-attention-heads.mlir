// RUN: permalloy-opt %s --raise-attention --canonicalize | FileCheck %s
// RUN: permalloy-opt %s --check-equivalent="pipeline=func.func(raise-attention) sizes=b=2,s=2,t=3;b=1,s=1,t=1;b=3,s=5,t=7 rtol=1e-5 atol=1e-5 idempotent" -o /dev/null

// Expand and Reshape: three query heads share each key head.
// CHECK-LABEL: @expanded(
// CHECK-NEXT: tfm.attention %arg0, %arg1, %arg1 empty_rows zero {num_heads = 6 : i64, num_kv_heads = 2 : i64,
func.func @expanded(%q: tensor<?x6x?x4xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<6>, #tfm.dim<s>, #tfm.dim<4>]}, %k: tensor<?x2x?x4xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<t>, #tfm.dim<4>]}) -> tensor<?x6x?x4xf32> {
  %k1 = tfm.reshape %k dims [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<1>, #tfm.dim<t>, #tfm.dim<4>] : (tensor<?x2x?x4xf32>) -> tensor<?x2x1x?x4xf32>
  %k2 = tfm.broadcast %k1 dims [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<3>, #tfm.dim<t>, #tfm.dim<4>] : (tensor<?x2x1x?x4xf32>) -> tensor<?x2x3x?x4xf32>
  %k3 = tfm.reshape %k2 dims [#tfm.dim<b>, #tfm.dim<6>, #tfm.dim<t>, #tfm.dim<4>] : (tensor<?x2x3x?x4xf32>) -> tensor<?x6x?x4xf32>
  %r = tfm.attention %q, %k3, %k3 empty_rows zero {num_heads = 6 : i64, num_kv_heads = 6 : i64, scale = 0.5 : f32} : (tensor<?x6x?x4xf32>, tensor<?x6x?x4xf32>, tensor<?x6x?x4xf32>) -> tensor<?x6x?x4xf32>
  return %r : tensor<?x6x?x4xf32>
}

// A concat with itself.
// CHECK-LABEL: @joined(
// CHECK-NEXT: tfm.attention %arg0, %arg1, %arg1 empty_rows zero {num_heads = 6 : i64, num_kv_heads = 2 : i64,
func.func @joined(%q: tensor<?x6x?x4xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<6>, #tfm.dim<s>, #tfm.dim<4>]}, %k: tensor<?x2x?x4xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<t>, #tfm.dim<4>]}) -> tensor<?x6x?x4xf32> {
  %k1 = tfm.reshape %k dims [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<1>, #tfm.dim<t>, #tfm.dim<4>] : (tensor<?x2x?x4xf32>) -> tensor<?x2x1x?x4xf32>
  %k2 = tfm.concat %k1, %k1, %k1 {axis = 2 : i64} : (tensor<?x2x1x?x4xf32>, tensor<?x2x1x?x4xf32>, tensor<?x2x1x?x4xf32>) -> tensor<?x2x3x?x4xf32>
  %k3 = tfm.reshape %k2 dims [#tfm.dim<b>, #tfm.dim<6>, #tfm.dim<t>, #tfm.dim<4>] : (tensor<?x2x3x?x4xf32>) -> tensor<?x6x?x4xf32>
  %r = tfm.attention %q, %k3, %k3 empty_rows zero {num_heads = 6 : i64, num_kv_heads = 6 : i64, scale = 0.5 : f32} : (tensor<?x6x?x4xf32>, tensor<?x6x?x4xf32>, tensor<?x6x?x4xf32>) -> tensor<?x6x?x4xf32>
  return %r : tensor<?x6x?x4xf32>
}

// repeat_interleave as a gather.
// CHECK-LABEL: @gathered(
// CHECK-NEXT: tfm.attention %arg0, %arg1, %arg1 empty_rows zero {num_heads = 6 : i64, num_kv_heads = 2 : i64,
func.func @gathered(%q: tensor<?x6x?x4xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<6>, #tfm.dim<s>, #tfm.dim<4>]}, %k: tensor<?x2x?x4xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<t>, #tfm.dim<4>]}) -> tensor<?x6x?x4xf32> {
  %i = tfm.constant dense<[0, 0, 0, 1, 1, 1]> : tensor<6xi64>
  %k3 = tfm.gather %k, %i {axis = 1 : i64} : (tensor<?x2x?x4xf32>, tensor<6xi64>) -> tensor<?x6x?x4xf32>
  %r = tfm.attention %q, %k3, %k3 empty_rows zero {num_heads = 6 : i64, num_kv_heads = 6 : i64, scale = 0.5 : f32} : (tensor<?x6x?x4xf32>, tensor<?x6x?x4xf32>, tensor<?x6x?x4xf32>) -> tensor<?x6x?x4xf32>
  return %r : tensor<?x6x?x4xf32>
}

// Near miss: tiled, so query head h would use head h mod 2.
// CHECK-LABEL: @tiled(
// CHECK: num_kv_heads = 6
func.func @tiled(%q: tensor<?x6x?x4xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<6>, #tfm.dim<s>, #tfm.dim<4>]}, %k: tensor<?x2x?x4xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<t>, #tfm.dim<4>]}) -> tensor<?x6x?x4xf32> {
  %i = tfm.constant dense<[0, 1, 0, 1, 0, 1]> : tensor<6xi64>
  %k3 = tfm.gather %k, %i {axis = 1 : i64} : (tensor<?x2x?x4xf32>, tensor<6xi64>) -> tensor<?x6x?x4xf32>
  %r = tfm.attention %q, %k3, %k3 empty_rows zero {num_heads = 6 : i64, num_kv_heads = 6 : i64, scale = 0.5 : f32} : (tensor<?x6x?x4xf32>, tensor<?x6x?x4xf32>, tensor<?x6x?x4xf32>) -> tensor<?x6x?x4xf32>
  return %r : tensor<?x6x?x4xf32>
}
