// RUN: permalloy-opt %s --tie-embeddings --cse | FileCheck %s
// RUN: permalloy-opt %s --check-equivalent="pipeline=tie-embeddings idempotent" -o /dev/null
// RUN: permalloy-opt %s --tie-embeddings --plan-kernels --outline-kernels --pack-weights | FileCheck %s --check-prefix=PACK

tfm.weight @table : tensor<48x16xf32> = #tfm.seeded<1, 1.0>
tfm.weight @head : tensor<16x48xf32> {
  %0 = tfm.get_weight @table : tensor<48x16xf32>
  %1 = tfm.transpose %0 [1, 0] : (tensor<48x16xf32>) -> tensor<16x48xf32>
  tfm.yield %1 : tensor<16x48xf32>
}
tfm.weight @other : tensor<16x48xf32> = #tfm.seeded<2, 1.0>

// The table is stored once, in the order of the output layer.
// CHECK-LABEL: @tied(
// CHECK: %[[W:.*]] = tfm.get_weight @head
// CHECK: %[[G:.*]] = tfm.gather %[[W]], %arg0 {axis = 1 : i64} : (tensor<16x48xf32>, tensor<?x?xi64>) -> tensor<16x?x?xf32>
// CHECK: tfm.transpose %[[G]] [1, 2, 0] : (tensor<16x?x?xf32>) -> tensor<?x?x16xf32>
// PACK: kern.kernel @transpose_{{[0-9]+}} row
// PACK-NEXT: tensor<16x48xf32, #tfm.panels>
// PACK-LABEL: @tied(
// PACK-NOT: get_weight @table
// PACK: return
func.func @tied(%i: tensor<?x?xi64> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>], tfm.test_range = [0, 48]}) -> tensor<?x?x48xf32> {
  %t = tfm.get_weight @table : tensor<48x16xf32>
  %h = tfm.get_weight @head : tensor<16x48xf32>
  %x = tfm.gather %t, %i {axis = 0 : i64} : (tensor<48x16xf32>, tensor<?x?xi64>) -> tensor<?x?x16xf32>
  %n = tfm.linear %x, %h : (tensor<?x?x16xf32>, tensor<16x48xf32>) -> tensor<?x?x48xf32>
  return %n : tensor<?x?x48xf32>
}

tfm.weight @copy : tensor<16x48xf32> {
  %0 = tfm.get_weight @table : tensor<48x16xf32>
  %1 = tfm.reshape %0 dims [#tfm.dim<48>, #tfm.dim<16>] : (tensor<48x16xf32>) -> tensor<48x16xf32>
  %2 = tfm.transpose %1 [1, 0] : (tensor<48x16xf32>) -> tensor<16x48xf32>
  tfm.yield %2 : tensor<16x48xf32>
}

// The same elements, however they came about.
// CHECK-LABEL: @equal(
// CHECK: %[[W:.*]] = tfm.get_weight @copy
// CHECK: tfm.gather %[[W]], %arg0 {axis = 1 : i64}
func.func @equal(%i: tensor<?xi64> {tfm.dims = [#tfm.dim<b>], tfm.test_range = [0, 48]}) -> tensor<?x48xf32> {
  %t = tfm.get_weight @table : tensor<48x16xf32>
  %h = tfm.get_weight @copy : tensor<16x48xf32>
  %x = tfm.gather %t, %i {axis = 0 : i64} : (tensor<48x16xf32>, tensor<?xi64>) -> tensor<?x16xf32>
  %n = tfm.linear %x, %h : (tensor<?x16xf32>, tensor<16x48xf32>) -> tensor<?x48xf32>
  return %n : tensor<?x48xf32>
}

// Near miss: an output layer of its own.
// CHECK-LABEL: @untied(
// CHECK: %[[T:.*]] = tfm.get_weight @table
// CHECK: tfm.gather %[[T]], %arg0 {axis = 0 : i64}
func.func @untied(%i: tensor<?xi64> {tfm.dims = [#tfm.dim<b>], tfm.test_range = [0, 48]}) -> tensor<?x48xf32> {
  %t = tfm.get_weight @table : tensor<48x16xf32>
  %h = tfm.get_weight @other : tensor<16x48xf32>
  %x = tfm.gather %t, %i {axis = 0 : i64} : (tensor<48x16xf32>, tensor<?xi64>) -> tensor<?x16xf32>
  %n = tfm.linear %x, %h : (tensor<?x16xf32>, tensor<16x48xf32>) -> tensor<?x48xf32>
  return %n : tensor<?x48xf32>
}
