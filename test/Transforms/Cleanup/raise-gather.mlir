// RUN: permalloy-opt %s --raise-gather | FileCheck %s
// RUN: permalloy-opt %s --check-equivalent="pipeline=func.func(raise-gather) rtol=0 atol=0 idempotent" -o /dev/null

// CHECK-LABEL: @rows(
// CHECK: %[[I:.*]] = tfm.reshape %arg1 dims [#tfm.dim<b>, #tfm.dim<s>] : (tensor<?x?x1xi64>) -> tensor<?x?xi64>
// CHECK: tfm.gather %arg0, %[[I]] {axis = 0 : i64} : (tensor<4x8xf32>, tensor<?x?xi64>) -> tensor<?x?x8xf32>
func.func @rows(%t: tensor<4x8xf32>, %i: tensor<?x?x1xi64> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<1>]}) -> tensor<?x?x8xf32> {
  %0 = tfm.gather_nd %t, %i : (tensor<4x8xf32>, tensor<?x?x1xi64>) -> tensor<?x?x8xf32>
  return %0 : tensor<?x?x8xf32>
}

// One tuple gives one row.
// CHECK-LABEL: @one(
// CHECK: tfm.gather %arg0, %{{.*}} {axis = 0 : i64} : (tensor<4xf32>, tensor<i64>) -> tensor<f32>
func.func @one(%t: tensor<4xf32>, %i: tensor<1xi64>) -> tensor<f32> {
  %0 = tfm.gather_nd %t, %i : (tensor<4xf32>, tensor<1xi64>) -> tensor<f32>
  return %0 : tensor<f32>
}

// Pairs name elements; shared dimensions are no rows of one table.
// CHECK-LABEL: @not_rows(
// CHECK-COUNT-2: tfm.gather_nd
func.func @not_rows(%t: tensor<4x4xf32>, %i: tensor<4x2xi64>, %j: tensor<4x1xi64>) -> (tensor<4xf32>, tensor<4xf32>) {
  %0 = tfm.gather_nd %t, %i : (tensor<4x4xf32>, tensor<4x2xi64>) -> tensor<4xf32>
  %1 = tfm.gather_nd %t, %j {batch_dims = 1 : i64} : (tensor<4x4xf32>, tensor<4x1xi64>) -> tensor<4xf32>
  return %0, %1 : tensor<4xf32>, tensor<4xf32>
}
