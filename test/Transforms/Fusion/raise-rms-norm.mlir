// RUN: permalloy-opt %s --raise-rms-norm --canonicalize | FileCheck %s
// RUN: permalloy-opt %s --check-equivalent="pipeline=func.func(raise-rms-norm) rtol=2e-3 atol=1e-5 idempotent" -o /dev/null

// CHECK-LABEL: @llama(
// CHECK-NEXT: %[[N:.*]] = tfm.rms_norm %arg0, %arg1 {axis = 2 : i64, epsilon = 9.99999997E-7 : f32}
// CHECK-NEXT: return %[[N]]
func.func @llama(%x: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<8>]}, %g: tensor<8xf32>) -> tensor<?x?x8xf32> {
  %two = tfm.constant dense<2.0> : tensor<f32>
  %one = tfm.constant dense<1.0> : tensor<f32>
  %eps = tfm.constant dense<1.0e-6> : tensor<f32>
  %p = tfm.binary pow %x, %two : (tensor<?x?x8xf32>, tensor<f32>) -> tensor<?x?x8xf32>
  %v = tfm.reduce mean %p axes [2] {keep_dims} : (tensor<?x?x8xf32>) -> tensor<?x?x1xf32>
  %e = tfm.binary add %v, %eps : (tensor<?x?x1xf32>, tensor<f32>) -> tensor<?x?x1xf32>
  %s = tfm.unary sqrt %e : (tensor<?x?x1xf32>) -> tensor<?x?x1xf32>
  %r = tfm.binary div %one, %s : (tensor<f32>, tensor<?x?x1xf32>) -> tensor<?x?x1xf32>
  %n = tfm.binary mul %x, %r : (tensor<?x?x8xf32>, tensor<?x?x1xf32>) -> tensor<?x?x8xf32>
  %y = tfm.binary mul %g, %n : (tensor<8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  return %y : tensor<?x?x8xf32>
}

// CHECK-LABEL: @no_scale(
// CHECK: %[[G:.*]] = tfm.constant dense<1.000000e+00> : tensor<8xf32>
// CHECK: tfm.rms_norm %arg0, %[[G]] {axis = 1 : i64
func.func @no_scale(%x: tensor<?x8xf32> {tfm.dims = [#tfm.dim<n>, #tfm.dim<8>]}) -> tensor<?x8xf32> {
  %eps = tfm.constant dense<1.0e-5> : tensor<f32>
  %p = tfm.binary mul %x, %x : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %v = tfm.reduce mean %p axes [1] {keep_dims} : (tensor<?x8xf32>) -> tensor<?x1xf32>
  %e = tfm.binary add %v, %eps : (tensor<?x1xf32>, tensor<f32>) -> tensor<?x1xf32>
  %s = tfm.unary sqrt %e : (tensor<?x1xf32>) -> tensor<?x1xf32>
  %n = tfm.binary div %x, %s : (tensor<?x8xf32>, tensor<?x1xf32>) -> tensor<?x8xf32>
  return %n : tensor<?x8xf32>
}

// Computed in f32 between two conversions.
// CHECK-LABEL: @of_f16(
// CHECK-NEXT: %[[N:.*]] = tfm.rms_norm %arg0, %arg1 {{.*}} : (tensor<?x8xf16>, tensor<8xf16>) -> tensor<?x8xf16>
// CHECK-NEXT: return %[[N]]
func.func @of_f16(%h: tensor<?x8xf16> {tfm.dims = [#tfm.dim<n>, #tfm.dim<8>]}, %g: tensor<8xf16>) -> tensor<?x8xf16> {
  %eps = tfm.constant dense<1.0e-5> : tensor<f32>
  %x = tfm.cast %h : (tensor<?x8xf16>) -> tensor<?x8xf32>
  %p = tfm.binary mul %x, %x : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %v = tfm.reduce mean %p axes [1] {keep_dims} : (tensor<?x8xf32>) -> tensor<?x1xf32>
  %e = tfm.binary add %v, %eps : (tensor<?x1xf32>, tensor<f32>) -> tensor<?x1xf32>
  %s = tfm.unary sqrt %e : (tensor<?x1xf32>) -> tensor<?x1xf32>
  %r = tfm.unary reciprocal %s : (tensor<?x1xf32>) -> tensor<?x1xf32>
  %n = tfm.binary mul %x, %r : (tensor<?x8xf32>, tensor<?x1xf32>) -> tensor<?x8xf32>
  %k = tfm.cast %n : (tensor<?x8xf32>) -> tensor<?x8xf16>
  %y = tfm.binary mul %g, %k : (tensor<8xf16>, tensor<?x8xf16>) -> tensor<?x8xf16>
  return %y : tensor<?x8xf16>
}

// Another value is divided.
// CHECK-LABEL: @other_value(
// CHECK-NOT: rms_norm
// CHECK: return
func.func @other_value(%x: tensor<?x8xf32> {tfm.dims = [#tfm.dim<n>, #tfm.dim<8>]}, %z: tensor<?x8xf32> {tfm.dims = [#tfm.dim<n>, #tfm.dim<8>]}) -> tensor<?x8xf32> {
  %eps = tfm.constant dense<1.0e-5> : tensor<f32>
  %p = tfm.binary mul %x, %x : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %v = tfm.reduce mean %p axes [1] {keep_dims} : (tensor<?x8xf32>) -> tensor<?x1xf32>
  %e = tfm.binary add %v, %eps : (tensor<?x1xf32>, tensor<f32>) -> tensor<?x1xf32>
  %s = tfm.unary sqrt %e : (tensor<?x1xf32>) -> tensor<?x1xf32>
  %n = tfm.binary div %z, %s : (tensor<?x8xf32>, tensor<?x1xf32>) -> tensor<?x8xf32>
  return %n : tensor<?x8xf32>
}

// The sum of squares is no mean.
// CHECK-LABEL: @sum(
// CHECK-NOT: rms_norm
// CHECK: return
func.func @sum(%x: tensor<?x8xf32> {tfm.dims = [#tfm.dim<n>, #tfm.dim<8>]}) -> tensor<?x8xf32> {
  %eps = tfm.constant dense<1.0e-5> : tensor<f32>
  %p = tfm.binary mul %x, %x : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %v = tfm.reduce sum %p axes [1] {keep_dims} : (tensor<?x8xf32>) -> tensor<?x1xf32>
  %e = tfm.binary add %v, %eps : (tensor<?x1xf32>, tensor<f32>) -> tensor<?x1xf32>
  %s = tfm.unary sqrt %e : (tensor<?x1xf32>) -> tensor<?x1xf32>
  %n = tfm.binary div %x, %s : (tensor<?x8xf32>, tensor<?x1xf32>) -> tensor<?x8xf32>
  return %n : tensor<?x8xf32>
}
