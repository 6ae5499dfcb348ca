// RUN: permalloy-opt %s --unify-dims | FileCheck %s
// RUN: permalloy-opt %s --unify-dims --unify-dims | FileCheck %s

// The length of the values is that of the probabilities, and the result says so.
// CHECK-LABEL: @matmul(
// CHECK-SAME: %arg1: tensor<?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<8>]}
func.func @matmul(%p: tensor<?x?xf32> {tfm.dims = [#tfm.dim<a>, #tfm.dim<b>]}, %v: tensor<?x8xf32> {tfm.dims = [#tfm.dim<c>, #tfm.dim<8>]}) -> tensor<?x8xf32> {
  %0 = tfm.matmul %p, %v : (tensor<?x?xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// Two pasts of one model: s15 + s70 keys and s89 + s70 values. Ranges are merged.
// CHECK-LABEL: @past(
// CHECK-SAME: %arg1: tensor<?x4xf32> {tfm.dims = [#tfm.dim<s15>, #tfm.dim<4>]}
// CHECK-SAME: %arg2: tensor<?x4xf32> {tfm.dims = [#tfm.dim<s70>, #tfm.dim<4>]}
// CHECK-SAME: -> (tensor<?x4xf32> {tfm.dims = [#tfm.dim<s15 + s70>, #tfm.dim<4>]}, {{.*}}tfm.dim_ranges = {s15 = [1, 64]}
func.func @past(%k: tensor<?x4xf32> {tfm.dims = [#tfm.dim<s15>, #tfm.dim<4>]}, %v: tensor<?x4xf32> {tfm.dims = [#tfm.dim<s89>, #tfm.dim<4>]}, %n: tensor<?x4xf32> {tfm.dims = [#tfm.dim<s70>, #tfm.dim<4>]}, %q: tensor<3x4xf32>)
    -> (tensor<?x4xf32> {tfm.dims = [#tfm.dim<s70 + s89>, #tfm.dim<4>]}, tensor<3x4xf32>) attributes {tfm.dim_ranges = {s15 = [0, 64], s89 = [1, 100]}} {
  %0 = tfm.concat %k, %n {axis = 0 : i64} : (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
  %1 = tfm.concat %v, %n {axis = 0 : i64} : (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
  %2 = tfm.matmul %q, %0 {transpose_b} : (tensor<3x4xf32>, tensor<?x4xf32>) -> tensor<3x?xf32>
  %3 = tfm.matmul %2, %1 : (tensor<3x?xf32>, tensor<?x4xf32>) -> tensor<3x4xf32>
  return %1, %3 : tensor<?x4xf32>, tensor<3x4xf32>
}

// Attention needs equal batches; resolved dimensions inside the function follow.
// CHECK-LABEL: @attention(
// CHECK-SAME: %arg1: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<t>, #tfm.dim<8>]}
// CHECK: tfm.reshape {{.*}} dims [#tfm.dim<b * t>, #tfm.dim<8>]
func.func @attention(%q: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}, %k: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<c>, #tfm.dim<t>, #tfm.dim<8>]}) -> (tensor<?x?x8xf32>, tensor<?x8xf32>) {
  %0 = tfm.attention %q, %k, %k {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32} : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  %1 = tfm.reshape %k dims [#tfm.dim<c * t>, #tfm.dim<8>] : (tensor<?x?x8xf32>) -> tensor<?x8xf32>
  return %0, %1 : tensor<?x?x8xf32>, tensor<?x8xf32>
}

// Near miss: a sum broadcasts, so b may be 1.
// CHECK-LABEL: @broadcast(
// CHECK-SAME: #tfm.dim<b>
func.func @broadcast(%x: tensor<?xf32> {tfm.dims = [#tfm.dim<a>]}, %y: tensor<?xf32> {tfm.dims = [#tfm.dim<b>]}) -> tensor<?xf32> {
  %0 = tfm.binary add %x, %y : (tensor<?xf32>, tensor<?xf32>) -> tensor<?xf32>
  return %0 : tensor<?xf32>
}

// Near miss: a constant, and an equation that no symbol solves to a size.
// CHECK-LABEL: @unsolved(
// CHECK-SAME: #tfm.dim<a>
// CHECK-SAME: #tfm.dim<b * 3>
// CHECK-SAME: #tfm.dim<c * 2>
func.func @unsolved(%x: tensor<?x?xf32> {tfm.dims = [#tfm.dim<a>, #tfm.dim<b * 3>]}, %y: tensor<?x?xf32> {tfm.dims = [#tfm.dim<c * 2>, #tfm.dim<a>]}, %z: tensor<4x4xf32>) -> tensor<?x4xf32> {
  %0 = tfm.matmul %x, %y : (tensor<?x?xf32>, tensor<?x?xf32>) -> tensor<?x?xf32>
  %1 = tfm.matmul %0, %z : (tensor<?x?xf32>, tensor<4x4xf32>) -> tensor<?x4xf32>
  return %1 : tensor<?x4xf32>
}

// Near miss: branches know the dimension c by its name.
// CHECK-LABEL: @captured(
// CHECK-SAME: %arg1: tensor<?x8xf32> {tfm.dims = [#tfm.dim<c>, #tfm.dim<8>]}
// CHECK: func.func private @branch(%arg0: tensor<?x8xf32> {tfm.dims = [#tfm.dim<c>, #tfm.dim<8>]})
func.func @captured(%p: tensor<?x4xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<4>]}, %v: tensor<?x8xf32> {tfm.dims = [#tfm.dim<c>, #tfm.dim<8>]}, %t: tensor<i1>) -> (tensor<4x8xf32>, tensor<?x8xf32>) {
  %0 = tfm.matmul %p, %v {transpose_a} : (tensor<?x4xf32>, tensor<?x8xf32>) -> tensor<4x8xf32>
  %1 = tfm.if %t then @branch else @branch captures(%v) dims [[#tfm.dim<c>, #tfm.dim<8>]] : (tensor<i1>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %0, %1 : tensor<4x8xf32>, tensor<?x8xf32>
}
func.func private @branch(%v: tensor<?x8xf32> {tfm.dims = [#tfm.dim<c>, #tfm.dim<8>]}) -> tensor<?x8xf32> {
  return %v : tensor<?x8xf32>
}
