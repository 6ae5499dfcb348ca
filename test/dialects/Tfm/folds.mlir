// RUN: permalloy-opt %s --canonicalize -split-input-file | FileCheck %s

// CHECK-LABEL: @dim_values_of_constants
// CHECK-NEXT: tfm.constant dense<[12, 6]> : tensor<2xi64>
// CHECK-NEXT: tfm.dim_values [#tfm.dim<n>]
func.func @dim_values_of_constants() -> (tensor<2xi64>, tensor<1xi64>) {
  %0 = tfm.dim_values [#tfm.dim<12>, #tfm.dim<13 floordiv 2>] : tensor<2xi64>
  %1 = tfm.dim_values [#tfm.dim<n>] : tensor<1xi64>
  return %0, %1 : tensor<2xi64>, tensor<1xi64>
}

// -----

// CHECK-LABEL: @reshape_to_itself
// CHECK-NEXT: return %arg0
func.func @reshape_to_itself(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %0 = tfm.reshape %x dims [#tfm.dim<2>, #tfm.dim<3>] : (tensor<2x3xf32>) -> tensor<2x3xf32>
  return %0 : tensor<2x3xf32>
}

// -----

// Equal types with `?` say nothing about equal sizes.
// CHECK-LABEL: @reshape_of_unknown_sizes_stays
// CHECK-NEXT: tfm.reshape
func.func @reshape_of_unknown_sizes_stays(%x: tensor<?x?xf32>) -> tensor<?x?xf32> {
  %0 = tfm.reshape %x dims [#tfm.dim<b>, #tfm.dim<a>] : (tensor<?x?xf32>) -> tensor<?x?xf32>
  return %0 : tensor<?x?xf32>
}

// -----

// CHECK-LABEL: @reshape_of_constant
// CHECK-NEXT: tfm.constant dense<{{\[\[}}1, 2], [3, 4]]> : tensor<2x2xi64>
func.func @reshape_of_constant() -> tensor<2x2xi64> {
  %0 = tfm.constant dense<[1, 2, 3, 4]> : tensor<4xi64>
  %1 = tfm.reshape %0 dims [#tfm.dim<2>, #tfm.dim<2>] : (tensor<4xi64>) -> tensor<2x2xi64>
  return %1 : tensor<2x2xi64>
}

// -----

// CHECK-LABEL: @reshape_of_reshape
// CHECK-NEXT: %[[R:.*]] = tfm.reshape %arg0 dims [#tfm.dim<n * 6>] : (tensor<?x6xf32>) -> tensor<?xf32>
// CHECK-NEXT: return %[[R]]
func.func @reshape_of_reshape(%x: tensor<?x6xf32>) -> tensor<?xf32> {
  %0 = tfm.reshape %x dims [#tfm.dim<n>, #tfm.dim<2>, #tfm.dim<3>] : (tensor<?x6xf32>) -> tensor<?x2x3xf32>
  %1 = tfm.reshape %0 dims [#tfm.dim<6 * n>] : (tensor<?x2x3xf32>) -> tensor<?xf32>
  return %1 : tensor<?xf32>
}

// -----

// A 0 in the shape operand copies a dimension of the input, so the input must stay.
// CHECK-LABEL: @unresolved_reshape_of_reshape_stays
// CHECK-COUNT-2: tfm.reshape
func.func @unresolved_reshape_of_reshape_stays(%x: tensor<?x6xf32>, %s: tensor<2xi64>) -> tensor<?x?xf32> {
  %0 = tfm.reshape %x dims [#tfm.dim<n>, #tfm.dim<2>, #tfm.dim<3>] : (tensor<?x6xf32>) -> tensor<?x2x3xf32>
  %1 = tfm.reshape %0 shape %s : (tensor<?x2x3xf32>, tensor<2xi64>) -> tensor<?x?xf32>
  return %1 : tensor<?x?xf32>
}

// -----

// CHECK-LABEL: @transposes_cancel
// CHECK-NEXT: return %arg0
func.func @transposes_cancel(%x: tensor<?x2x3xf32>) -> tensor<?x2x3xf32> {
  %0 = tfm.transpose %x [1, 2, 0] : (tensor<?x2x3xf32>) -> tensor<2x3x?xf32>
  %1 = tfm.transpose %0 [2, 0, 1] : (tensor<2x3x?xf32>) -> tensor<?x2x3xf32>
  return %1 : tensor<?x2x3xf32>
}

// -----

// CHECK-LABEL: @transposes_merge
// CHECK-NEXT: tfm.transpose %arg0 [2, 0, 1]
// CHECK-NEXT: return
func.func @transposes_merge(%x: tensor<?x2x3xf32>) -> tensor<3x?x2xf32> {
  %0 = tfm.transpose %x [1, 2, 0] : (tensor<?x2x3xf32>) -> tensor<2x3x?xf32>
  %1 = tfm.transpose %0 [1, 2, 0] : (tensor<2x3x?xf32>) -> tensor<3x?x2xf32>
  return %1 : tensor<3x?x2xf32>
}

// -----

// CHECK-LABEL: @broadcast
// CHECK: tfm.constant dense<2.000000e+00> : tensor<2x3xf32>
// CHECK: return %arg0
func.func @broadcast(%x: tensor<2x3xf32>) -> (tensor<2x3xf32>, tensor<2x3xf32>) {
  %0 = tfm.broadcast %x dims [#tfm.dim<2>, #tfm.dim<3>] : (tensor<2x3xf32>) -> tensor<2x3xf32>
  %1 = tfm.constant dense<2.0> : tensor<f32>
  %2 = tfm.broadcast %1 dims [#tfm.dim<2>, #tfm.dim<3>] : (tensor<f32>) -> tensor<2x3xf32>
  return %0, %2 : tensor<2x3xf32>, tensor<2x3xf32>
}

// -----

// CHECK-LABEL: @slice_concat_cast_of_everything
// CHECK-NEXT: return %arg0, %arg0, %arg0
func.func @slice_concat_cast_of_everything(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
  %0 = tfm.slice %x offsets [#tfm.dim<0>] sizes [#tfm.dim<4>] strides [1] : (tensor<4xf32>) -> tensor<4xf32>
  %1 = tfm.concat %x {axis = 0 : i64} : (tensor<4xf32>) -> tensor<4xf32>
  %2 = tfm.cast %x : (tensor<4xf32>) -> tensor<4xf32>
  return %0, %1, %2 : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
}

// -----

// CHECK-LABEL: @reversal_is_no_identity
// CHECK-NEXT: tfm.slice
func.func @reversal_is_no_identity(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = tfm.slice %x offsets [#tfm.dim<3>] sizes [#tfm.dim<4>] strides [-1] : (tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// CHECK-LABEL: @times_one
// CHECK-NEXT: return %arg0, %arg0, %arg0
func.func @times_one(%x: tensor<?xf32>) -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>) {
  %one = tfm.constant dense<1.0> : tensor<f32>
  %0 = tfm.binary mul %x, %one : (tensor<?xf32>, tensor<f32>) -> tensor<?xf32>
  %1 = tfm.binary mul %one, %x : (tensor<f32>, tensor<?xf32>) -> tensor<?xf32>
  %2 = tfm.binary div %x, %one : (tensor<?xf32>, tensor<f32>) -> tensor<?xf32>
  return %0, %1, %2 : tensor<?xf32>, tensor<?xf32>, tensor<?xf32>
}

// -----

// -0 + 0 is 0, and a one of higher rank changes the shape.
// CHECK-LABEL: @near_misses
// CHECK: tfm.binary add
// CHECK: tfm.binary mul
func.func @near_misses(%x: tensor<?xf32>) -> (tensor<?xf32>, tensor<1x?xf32>) {
  %zero = tfm.constant dense<0.0> : tensor<f32>
  %one = tfm.constant dense<1.0> : tensor<1x1xf32>
  %0 = tfm.binary add %x, %zero : (tensor<?xf32>, tensor<f32>) -> tensor<?xf32>
  %1 = tfm.binary mul %x, %one : (tensor<?xf32>, tensor<1x1xf32>) -> tensor<1x?xf32>
  return %0, %1 : tensor<?xf32>, tensor<1x?xf32>
}

// -----

// x may have one element, and the product four.
// CHECK-LABEL: @ones_of_unknown_size
// CHECK: tfm.binary mul
func.func @ones_of_unknown_size(%x: tensor<?xf32>) -> tensor<?xf32> {
  %ones = tfm.constant dense<1.0> : tensor<4xf32>
  %0 = tfm.binary mul %x, %ones : (tensor<?xf32>, tensor<4xf32>) -> tensor<?xf32>
  return %0 : tensor<?xf32>
}

// -----

// CHECK-LABEL: @select_of_constant
// CHECK: return %arg1
func.func @select_of_constant(%a: tensor<4xf32>, %b: tensor<4xf32>) -> tensor<4xf32> {
  %c = tfm.constant dense<false> : tensor<4xi1>
  %0 = tfm.select %c, %a, %b : (tensor<4xi1>, tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// The chosen side would have to be broadcast.
// CHECK-LABEL: @select_of_constant_stays
// CHECK: tfm.select
func.func @select_of_constant_stays(%a: tensor<4xf32>, %b: tensor<1xf32>) -> tensor<4xf32> {
  %c = tfm.constant dense<false> : tensor<4xi1>
  %0 = tfm.select %c, %a, %b : (tensor<4xi1>, tensor<4xf32>, tensor<1xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
