// RUN: permalloy-opt %s --fold-weights | FileCheck %s
// RUN: permalloy-opt %s --check-equivalent="pipeline=fold-weights rtol=0 atol=0 idempotent" -o /dev/null

// CHECK: tfm.weight @w :
tfm.weight @w : tensor<6x4xf32> = #tfm.seeded<7, 1.0>
tfm.weight @v : tensor<6x4xf32> = #tfm.seeded<8, 1.0>

// Two equal transposes are one weight; a cast of it is another.
// CHECK: tfm.weight @w_transpose : tensor<4x6xf32>  {
// CHECK-NEXT: %[[W:.*]] = tfm.get_weight @w
// CHECK-NEXT: %[[T:.*]] = tfm.transpose %[[W]] [1, 0]
// CHECK-NEXT: tfm.yield %[[T]]
// CHECK: tfm.weight @w_transpose_cast : tensor<4x6xf64>
// CHECK: tfm.weight @w_concat : tensor<6x8xf32>
// CHECK-NOT: tfm.weight
// CHECK-LABEL: @fold(
// CHECK-NEXT: tfm.get_weight @w_transpose :
// CHECK-NEXT: tfm.get_weight @w_transpose :
// CHECK-NEXT: tfm.get_weight @w_transpose_cast
// CHECK-NEXT: tfm.get_weight @w_concat
// CHECK-NEXT: return
func.func @fold() -> (tensor<4x6xf32>, tensor<4x6xf32>, tensor<4x6xf64>, tensor<6x8xf32>) {
  %w = tfm.get_weight @w : tensor<6x4xf32>
  %v = tfm.get_weight @v : tensor<6x4xf32>
  %a = tfm.transpose %w [1, 0] : (tensor<6x4xf32>) -> tensor<4x6xf32>
  %b = tfm.transpose %w [1, 0] : (tensor<6x4xf32>) -> tensor<4x6xf32>
  %c = tfm.cast %b : (tensor<4x6xf32>) -> tensor<4x6xf64>
  %d = tfm.concat %w, %v {axis = 1 : i64} : (tensor<6x4xf32>, tensor<6x4xf32>) -> tensor<6x8xf32>
  return %a, %b, %c, %d : tensor<4x6xf32>, tensor<4x6xf32>, tensor<4x6xf64>, tensor<6x8xf32>
}

// Near misses: an input takes part; a product has no streaming evaluator.
// CHECK-LABEL: @keep(
// CHECK: tfm.concat
// CHECK: tfm.binary mul
func.func @keep(%x: tensor<6x4xf32>) -> (tensor<6x8xf32>, tensor<6x4xf32>) {
  %w = tfm.get_weight @w : tensor<6x4xf32>
  %a = tfm.concat %w, %x {axis = 1 : i64} : (tensor<6x4xf32>, tensor<6x4xf32>) -> tensor<6x8xf32>
  %b = tfm.binary mul %w, %w : (tensor<6x4xf32>, tensor<6x4xf32>) -> tensor<6x4xf32>
  return %a, %b : tensor<6x8xf32>, tensor<6x4xf32>
}
