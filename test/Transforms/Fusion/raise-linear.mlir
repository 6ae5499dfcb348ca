// RUN: permalloy-opt %s --raise-linear --canonicalize | FileCheck %s
// RUN: permalloy-opt %s --check-equivalent="pipeline=func.func(raise-linear) idempotent" -o /dev/null

tfm.weight @w : tensor<8x6xf32> = #tfm.seeded<7, 1.0>
tfm.weight @wt : tensor<6x8xf32> = #tfm.seeded<8, 1.0>
tfm.weight @b : tensor<6xf32> = #tfm.seeded<9, 1.0>

// CHECK-LABEL: @bias_first_and_gelu(
// CHECK-DAG: %[[W:.*]] = tfm.get_weight @w
// CHECK-DAG: %[[B:.*]] = tfm.get_weight @b
// CHECK: %[[L:.*]] = tfm.linear %arg0, %[[W]] bias %[[B]] activation gelu_erf : (tensor<?x?x8xf32>, tensor<8x6xf32>, tensor<6xf32>) -> tensor<?x?x6xf32>
// CHECK-NEXT: return %[[L]]
func.func @bias_first_and_gelu(%x: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}) -> tensor<?x?x6xf32> {
  %w = tfm.get_weight @w : tensor<8x6xf32>
  %b = tfm.get_weight @b : tensor<6xf32>
  %m = tfm.matmul %x, %w : (tensor<?x?x8xf32>, tensor<8x6xf32>) -> tensor<?x?x6xf32>
  %a = tfm.binary add %b, %m : (tensor<6xf32>, tensor<?x?x6xf32>) -> tensor<?x?x6xf32>
  %g = tfm.unary gelu_erf %a : (tensor<?x?x6xf32>) -> tensor<?x?x6xf32>
  return %g : tensor<?x?x6xf32>
}

// A Gemm with transB and a bias of two dimensions.
// CHECK-LABEL: @gemm(
// CHECK: %[[T:.*]] = tfm.transpose %{{.*}} [1, 0] : (tensor<6x8xf32>) -> tensor<8x6xf32>
// CHECK: tfm.linear %arg0, %[[T]] bias %{{.*}} activation relu
func.func @gemm(%x: tensor<?x8xf32> {tfm.dims = [#tfm.dim<n>, #tfm.dim<8>]}) -> tensor<?x6xf32> {
  %w = tfm.get_weight @wt : tensor<6x8xf32>
  %c = tfm.constant dense<[[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]]> : tensor<1x6xf32>
  %m = tfm.matmul %x, %w {transpose_b} : (tensor<?x8xf32>, tensor<6x8xf32>) -> tensor<?x6xf32>
  %a = tfm.binary add %m, %c : (tensor<?x6xf32>, tensor<1x6xf32>) -> tensor<?x6xf32>
  %r = tfm.unary relu %a : (tensor<?x6xf32>) -> tensor<?x6xf32>
  return %r : tensor<?x6xf32>
}

// Near miss: the product is used twice, so neither bias nor activation joins.
// CHECK-LABEL: @two_users(
// CHECK: %[[L:.*]] = tfm.linear %arg0, %{{.*}} : (tensor<?x8xf32>, tensor<8x6xf32>) -> tensor<?x6xf32>
// CHECK: tfm.binary add %[[L]]
// CHECK: tfm.unary relu %[[L]]
func.func @two_users(%x: tensor<?x8xf32> {tfm.dims = [#tfm.dim<n>, #tfm.dim<8>]}) -> (tensor<?x6xf32>, tensor<?x6xf32>) {
  %w = tfm.get_weight @w : tensor<8x6xf32>
  %b = tfm.get_weight @b : tensor<6xf32>
  %m = tfm.matmul %x, %w : (tensor<?x8xf32>, tensor<8x6xf32>) -> tensor<?x6xf32>
  %a = tfm.binary add %m, %b : (tensor<?x6xf32>, tensor<6xf32>) -> tensor<?x6xf32>
  %r = tfm.unary relu %m : (tensor<?x6xf32>) -> tensor<?x6xf32>
  return %a, %r : tensor<?x6xf32>, tensor<?x6xf32>
}

// Near misses: a product of two inputs; a residual of [6] rows is no bias because it is no parameter.
// CHECK-LABEL: @inputs(
// CHECK: tfm.matmul %arg0, %arg1
// CHECK: %[[L:.*]] = tfm.linear
// CHECK-NEXT: tfm.binary add %[[L]], %arg2
func.func @inputs(%x: tensor<?x8xf32> {tfm.dims = [#tfm.dim<n>, #tfm.dim<8>]}, %y: tensor<8x6xf32>, %z: tensor<6xf32>) -> (tensor<?x6xf32>, tensor<?x6xf32>) {
  %w = tfm.get_weight @w : tensor<8x6xf32>
  %m = tfm.matmul %x, %y : (tensor<?x8xf32>, tensor<8x6xf32>) -> tensor<?x6xf32>
  %l = tfm.matmul %x, %w : (tensor<?x8xf32>, tensor<8x6xf32>) -> tensor<?x6xf32>
  %a = tfm.binary add %l, %z : (tensor<?x6xf32>, tensor<6xf32>) -> tensor<?x6xf32>
  return %m, %a : tensor<?x6xf32>, tensor<?x6xf32>
}

tfm.weight @qkv : tensor<8x48xf32> = #tfm.seeded<9, 1.0>
tfm.weight @qkv_b : tensor<48xf32> = #tfm.seeded<10, 1.0>

// A projection that is only read in slices is one layer per slice.
// CHECK-LABEL: @slices(
// CHECK-DAG: %[[W0:.*]] = tfm.slice %{{.*}} offsets [#tfm.dim<0>, #tfm.dim<0>] sizes [#tfm.dim<8>, #tfm.dim<16>]
// CHECK-DAG: %[[W1:.*]] = tfm.slice %{{.*}} offsets [#tfm.dim<0>, #tfm.dim<16>] sizes [#tfm.dim<8>, #tfm.dim<32>]
// CHECK-DAG: %[[B1:.*]] = tfm.slice %{{.*}} offsets [#tfm.dim<16>] sizes [#tfm.dim<32>]
// CHECK-DAG: %[[Q:.*]] = tfm.linear %arg0, %[[W0]] bias
// CHECK-DAG: %[[K:.*]] = tfm.linear %arg0, %[[W1]] bias %[[B1]]
// CHECK: return %[[Q]], %[[K]]
func.func @slices(%x: tensor<?x8xf32> {tfm.dims = [#tfm.dim<n>, #tfm.dim<8>]}) -> (tensor<?x16xf32>, tensor<?x32xf32>) {
  %w = tfm.get_weight @qkv : tensor<8x48xf32>
  %b = tfm.get_weight @qkv_b : tensor<48xf32>
  %l = tfm.linear %x, %w bias %b : (tensor<?x8xf32>, tensor<8x48xf32>, tensor<48xf32>) -> tensor<?x48xf32>
  %q = tfm.slice %l offsets [#tfm.dim<0>, #tfm.dim<0>] sizes [#tfm.dim<n>, #tfm.dim<16>] strides [1, 1] : (tensor<?x48xf32>) -> tensor<?x16xf32>
  %k = tfm.slice %l offsets [#tfm.dim<0>, #tfm.dim<16>] sizes [#tfm.dim<n>, #tfm.dim<32>] strides [1, 1] : (tensor<?x48xf32>) -> tensor<?x32xf32>
  return %q, %k : tensor<?x16xf32>, tensor<?x32xf32>
}

// Near miss: the whole is read too.
// CHECK-LABEL: @slice_and_whole(
// CHECK: %[[L:.*]] = tfm.linear %arg0, %{{.*}} : (tensor<?x8xf32>, tensor<8x48xf32>)
// CHECK-COUNT-2: tfm.slice %[[L]]
func.func @slice_and_whole(%x: tensor<?x8xf32> {tfm.dims = [#tfm.dim<n>, #tfm.dim<8>]}) -> (tensor<?x16xf32>, tensor<?x32xf32>, tensor<?x48xf32>) {
  %w = tfm.get_weight @qkv : tensor<8x48xf32>
  %l = tfm.linear %x, %w : (tensor<?x8xf32>, tensor<8x48xf32>) -> tensor<?x48xf32>
  %q = tfm.slice %l offsets [#tfm.dim<0>, #tfm.dim<0>] sizes [#tfm.dim<n>, #tfm.dim<16>] strides [1, 1] : (tensor<?x48xf32>) -> tensor<?x16xf32>
  %k = tfm.slice %l offsets [#tfm.dim<0>, #tfm.dim<16>] sizes [#tfm.dim<n>, #tfm.dim<32>] strides [1, 1] : (tensor<?x48xf32>) -> tensor<?x32xf32>
  return %q, %k, %l : tensor<?x16xf32>, tensor<?x32xf32>, tensor<?x48xf32>
}
