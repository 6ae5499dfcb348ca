// RUN: permalloy-opt %s --fold-qdq --canonicalize | FileCheck %s
// RUN: permalloy-opt %s --check-equivalent="pipeline=func.func(fold-qdq) rtol=1e-6 atol=1e-6 sizes=seq=3" -o /dev/null

// CHECK-LABEL: func.func @both
// CHECK-DAG: %[[A:.*]] = tfm.linear %arg0, %arg1 : (tensor<?x4xui8>, tensor<4x3xi8>) -> tensor<?x3xi32>
// CHECK-DAG: %[[S:.*]] = tfm.reduce sum %{{.*}} axes [0]
// CHECK: tfm.binary sub %[[A]]
// CHECK: tfm.cast
// CHECK: tfm.binary mul
// CHECK: tfm.quantize %{{.*}} zero_point
// CHECK-NOT: tfm.matmul
func.func @both(%x: tensor<?x4xui8> {tfm.dims = [#tfm.dim<seq>, #tfm.dim<4>]}, %w: tensor<4x3xi8>) -> tensor<?x3xui8> {
  %zx = tfm.constant dense<2> : tensor<i32>
  %zy = tfm.constant dense<3> : tensor<ui8>
  %sx = tfm.constant dense<0.5> : tensor<f32>
  %sw = tfm.constant dense<[[0.25, 0.5, 1.0]]> : tensor<1x3xf32>
  %sy = tfm.constant dense<0.125> : tensor<f32>
  %0 = tfm.cast %x : (tensor<?x4xui8>) -> tensor<?x4xi32>
  %1 = tfm.binary sub %0, %zx : (tensor<?x4xi32>, tensor<i32>) -> tensor<?x4xi32>
  %2 = tfm.cast %1 : (tensor<?x4xi32>) -> tensor<?x4xf32>
  %3 = tfm.binary mul %2, %sx : (tensor<?x4xf32>, tensor<f32>) -> tensor<?x4xf32>
  %4 = tfm.cast %w : (tensor<4x3xi8>) -> tensor<4x3xi32>
  %5 = tfm.cast %4 : (tensor<4x3xi32>) -> tensor<4x3xf32>
  %6 = tfm.binary mul %5, %sw : (tensor<4x3xf32>, tensor<1x3xf32>) -> tensor<4x3xf32>
  %7 = tfm.matmul %3, %6 : (tensor<?x4xf32>, tensor<4x3xf32>) -> tensor<?x3xf32>
  %8 = tfm.quantize %7 scale %sy zero_point %zy : (tensor<?x3xf32>, tensor<f32>, tensor<ui8>) -> tensor<?x3xui8>
  return %8 : tensor<?x3xui8>
}

// Rows with scales of their own stay.
// CHECK-LABEL: func.func @rows
// CHECK: tfm.matmul
func.func @rows(%x: tensor<2x4xi8>, %s: tensor<2x1xf32>, %w: tensor<4x3xi8>) -> tensor<2x3xf32> {
  %sw = tfm.constant dense<0.25> : tensor<f32>
  %0 = tfm.cast %x : (tensor<2x4xi8>) -> tensor<2x4xi32>
  %1 = tfm.cast %0 : (tensor<2x4xi32>) -> tensor<2x4xf32>
  %2 = tfm.binary mul %1, %s : (tensor<2x4xf32>, tensor<2x1xf32>) -> tensor<2x4xf32>
  %3 = tfm.cast %w : (tensor<4x3xi8>) -> tensor<4x3xi32>
  %4 = tfm.cast %3 : (tensor<4x3xi32>) -> tensor<4x3xf32>
  %5 = tfm.binary mul %4, %sw : (tensor<4x3xf32>, tensor<f32>) -> tensor<4x3xf32>
  %6 = tfm.matmul %2, %5 : (tensor<2x4xf32>, tensor<4x3xf32>) -> tensor<2x3xf32>
  return %6 : tensor<2x3xf32>
}
