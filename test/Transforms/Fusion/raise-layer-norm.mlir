// RUN: permalloy-opt %s --raise-layer-norm --canonicalize | FileCheck %s
// RUN: permalloy-opt %s --check-equivalent="pipeline=func.func(raise-layer-norm) rtol=1e-5 atol=1e-5 idempotent" -o /dev/null

// CHECK-LABEL: @pow_sqrt_div(
// CHECK-NEXT: %[[N:.*]] = tfm.layer_norm %arg0, %arg1, %arg2 {axis = 2 : i64, epsilon = 9.99999996E-13 : f32}
// CHECK-NEXT: return %[[N]]
func.func @pow_sqrt_div(%x: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}, %g: tensor<8xf32>, %b: tensor<8xf32>) -> tensor<?x?x8xf32> {
  %two = tfm.constant dense<2.0> : tensor<f32>
  %eps = tfm.constant dense<1.0e-12> : tensor<f32>
  %m = tfm.reduce mean %x axes [2] {keep_dims} : (tensor<?x?x8xf32>) -> tensor<?x?x1xf32>
  %d = tfm.binary sub %x, %m : (tensor<?x?x8xf32>, tensor<?x?x1xf32>) -> tensor<?x?x8xf32>
  %p = tfm.binary pow %d, %two : (tensor<?x?x8xf32>, tensor<f32>) -> tensor<?x?x8xf32>
  %v = tfm.reduce mean %p axes [2] {keep_dims} : (tensor<?x?x8xf32>) -> tensor<?x?x1xf32>
  %e = tfm.binary add %v, %eps : (tensor<?x?x1xf32>, tensor<f32>) -> tensor<?x?x1xf32>
  %s = tfm.unary sqrt %e : (tensor<?x?x1xf32>) -> tensor<?x?x1xf32>
  %n = tfm.binary div %d, %s : (tensor<?x?x8xf32>, tensor<?x?x1xf32>) -> tensor<?x?x8xf32>
  %w = tfm.binary mul %n, %g : (tensor<?x?x8xf32>, tensor<8xf32>) -> tensor<?x?x8xf32>
  %y = tfm.binary add %w, %b : (tensor<?x?x8xf32>, tensor<8xf32>) -> tensor<?x?x8xf32>
  return %y : tensor<?x?x8xf32>
}

// Operands on the other sides, d * d, a product with the reciprocal, no bias.
// CHECK-LABEL: @mul_reciprocal(
// CHECK-NEXT: %[[N:.*]] = tfm.layer_norm %arg0, %arg1 {axis = 1 : i64, epsilon = 9.99999974E-6 : f32}
// CHECK-NEXT: return %[[N]]
func.func @mul_reciprocal(%x: tensor<?x8xf32> {tfm.dims = [#tfm.dim<n>, #tfm.dim<8>]}, %g: tensor<8xf32>) -> tensor<?x8xf32> {
  %eps = tfm.constant dense<1.0e-5> : tensor<f32>
  %m = tfm.reduce mean %x axes [1] {keep_dims} : (tensor<?x8xf32>) -> tensor<?x1xf32>
  %d = tfm.binary sub %x, %m : (tensor<?x8xf32>, tensor<?x1xf32>) -> tensor<?x8xf32>
  %p = tfm.binary mul %d, %d : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %v = tfm.reduce mean %p axes [1] {keep_dims} : (tensor<?x8xf32>) -> tensor<?x1xf32>
  %e = tfm.binary add %eps, %v : (tensor<f32>, tensor<?x1xf32>) -> tensor<?x1xf32>
  %s = tfm.unary sqrt %e : (tensor<?x1xf32>) -> tensor<?x1xf32>
  %r = tfm.unary reciprocal %s : (tensor<?x1xf32>) -> tensor<?x1xf32>
  %n = tfm.binary mul %r, %d : (tensor<?x1xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %y = tfm.binary mul %g, %n : (tensor<8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// Neither scale nor bias; the power -1/2.
// CHECK-LABEL: @power(
// CHECK: %[[O:.*]] = tfm.constant dense<1.000000e+00> : tensor<8xf32>
// CHECK-NEXT: tfm.layer_norm %arg0, %[[O]] {axis = 1 : i64
func.func @power(%x: tensor<?x8xf32> {tfm.dims = [#tfm.dim<n>, #tfm.dim<8>]}) -> tensor<?x8xf32> {
  %eps = tfm.constant dense<1.0e-5> : tensor<f32>
  %half = tfm.constant dense<-0.5> : tensor<f32>
  %m = tfm.reduce mean %x axes [1] {keep_dims} : (tensor<?x8xf32>) -> tensor<?x1xf32>
  %d = tfm.binary sub %x, %m : (tensor<?x8xf32>, tensor<?x1xf32>) -> tensor<?x8xf32>
  %p = tfm.binary mul %d, %d : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %v = tfm.reduce mean %p axes [1] {keep_dims} : (tensor<?x8xf32>) -> tensor<?x1xf32>
  %e = tfm.binary add %eps, %v : (tensor<f32>, tensor<?x1xf32>) -> tensor<?x1xf32>
  %r = tfm.binary pow %e, %half : (tensor<?x1xf32>, tensor<f32>) -> tensor<?x1xf32>
  %n = tfm.binary mul %d, %r : (tensor<?x8xf32>, tensor<?x1xf32>) -> tensor<?x8xf32>
  return %n : tensor<?x8xf32>
}

// Near misses: the squares of x itself (a root mean square norm); statistics over the first axis; the variance is used again.
// CHECK-LABEL: @near_misses(
// CHECK-NOT: layer_norm
func.func @near_misses(%x: tensor<4x8xf32>) -> (tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x1xf32>) {
  %eps = tfm.constant dense<1.0e-5> : tensor<f32>
  %p = tfm.binary mul %x, %x : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  %v = tfm.reduce mean %p axes [1] {keep_dims} : (tensor<4x8xf32>) -> tensor<4x1xf32>
  %e = tfm.binary add %eps, %v : (tensor<f32>, tensor<4x1xf32>) -> tensor<4x1xf32>
  %s = tfm.unary sqrt %e : (tensor<4x1xf32>) -> tensor<4x1xf32>
  %n = tfm.binary div %x, %s : (tensor<4x8xf32>, tensor<4x1xf32>) -> tensor<4x8xf32>

  %m0 = tfm.reduce mean %x axes [0] {keep_dims} : (tensor<4x8xf32>) -> tensor<1x8xf32>
  %d0 = tfm.binary sub %x, %m0 : (tensor<4x8xf32>, tensor<1x8xf32>) -> tensor<4x8xf32>
  %p0 = tfm.binary mul %d0, %d0 : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  %v0 = tfm.reduce mean %p0 axes [0] {keep_dims} : (tensor<4x8xf32>) -> tensor<1x8xf32>
  %e0 = tfm.binary add %eps, %v0 : (tensor<f32>, tensor<1x8xf32>) -> tensor<1x8xf32>
  %s0 = tfm.unary sqrt %e0 : (tensor<1x8xf32>) -> tensor<1x8xf32>
  %n0 = tfm.binary div %d0, %s0 : (tensor<4x8xf32>, tensor<1x8xf32>) -> tensor<4x8xf32>

  %m1 = tfm.reduce mean %x axes [1] {keep_dims} : (tensor<4x8xf32>) -> tensor<4x1xf32>
  %d1 = tfm.binary sub %x, %m1 : (tensor<4x8xf32>, tensor<4x1xf32>) -> tensor<4x8xf32>
  %p1 = tfm.binary mul %d1, %d1 : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  %v1 = tfm.reduce mean %p1 axes [1] {keep_dims} : (tensor<4x8xf32>) -> tensor<4x1xf32>
  %e1 = tfm.binary add %eps, %v1 : (tensor<f32>, tensor<4x1xf32>) -> tensor<4x1xf32>
  %s1 = tfm.unary sqrt %e1 : (tensor<4x1xf32>) -> tensor<4x1xf32>
  %n1 = tfm.binary div %d1, %s1 : (tensor<4x8xf32>, tensor<4x1xf32>) -> tensor<4x8xf32>
  return %n, %n0, %n1, %v1 : tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x1xf32>
}
