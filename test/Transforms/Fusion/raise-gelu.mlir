// RUN: permalloy-opt %s --raise-gelu --canonicalize | FileCheck %s
// RUN: permalloy-opt %s --check-equivalent="pipeline=func.func(raise-gelu) rtol=1e-5 atol=1e-6 idempotent" -o /dev/null

// x * (1 + erf(x / sqrt 2)) * 0.5.
// CHECK-LABEL: @torchscript(
// CHECK-NEXT: %[[G:.*]] = tfm.unary gelu_erf %arg0
// CHECK-NEXT: return %[[G]]
func.func @torchscript(%x: tensor<?x8xf32> {tfm.dims = [#tfm.dim<n>, #tfm.dim<8>]}) -> tensor<?x8xf32> {
  %c0 = tfm.constant dense<1.41421354> : tensor<f32>
  %c1 = tfm.constant dense<1.000000e+00> : tensor<f32>
  %c2 = tfm.constant dense<5.000000e-01> : tensor<f32>
  %a = tfm.binary div %x, %c0 : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  %b = tfm.unary erf %a : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %d = tfm.binary add %b, %c1 : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  %e = tfm.binary mul %x, %d : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %y = tfm.binary mul %e, %c2 : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// x * (0.5 * (1 + erf)).
// CHECK-LABEL: @dynamo(
// CHECK-NEXT: %[[G:.*]] = tfm.unary gelu_erf %arg0
// CHECK-NEXT: return %[[G]]
func.func @dynamo(%x: tensor<?x8xf32> {tfm.dims = [#tfm.dim<n>, #tfm.dim<8>]}) -> tensor<?x8xf32> {
  %c0 = tfm.constant dense<1.41421354> : tensor<f32>
  %c1 = tfm.constant dense<1.000000e+00> : tensor<f32>
  %c2 = tfm.constant dense<5.000000e-01> : tensor<f32>
  %a = tfm.binary div %x, %c0 : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  %b = tfm.unary erf %a : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %d = tfm.binary add %b, %c1 : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  %e = tfm.binary mul %c2, %d : (tensor<f32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %y = tfm.binary mul %x, %e : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// (1 + erf(0.7 x)) * (x / 2).
// CHECK-LABEL: @reciprocal(
// CHECK-NEXT: %[[G:.*]] = tfm.unary gelu_erf %arg0
// CHECK-NEXT: return %[[G]]
func.func @reciprocal(%x: tensor<?x8xf32> {tfm.dims = [#tfm.dim<n>, #tfm.dim<8>]}) -> tensor<?x8xf32> {
  %c0 = tfm.constant dense<0.707106769> : tensor<f32>
  %c1 = tfm.constant dense<1.000000e+00> : tensor<f32>
  %c2 = tfm.constant dense<2.000000e+00> : tensor<f32>
  %a = tfm.binary mul %c0, %x : (tensor<f32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %b = tfm.unary erf %a : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %d = tfm.binary add %c1, %b : (tensor<f32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %h = tfm.binary div %x, %c2 : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  %y = tfm.binary mul %d, %h : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// x * (0.5 erf + 0.5).
// CHECK-LABEL: @spread(
// CHECK-NEXT: %[[G:.*]] = tfm.unary gelu_erf %arg0
// CHECK-NEXT: return %[[G]]
func.func @spread(%x: tensor<?x8xf32> {tfm.dims = [#tfm.dim<n>, #tfm.dim<8>]}) -> tensor<?x8xf32> {
  %c0 = tfm.constant dense<0.707106769> : tensor<f32>
  %c1 = tfm.constant dense<5.000000e-01> : tensor<f32>
  %a = tfm.binary mul %x, %c0 : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  %b = tfm.unary erf %a : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %g = tfm.binary mul %b, %c1 : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  %d = tfm.binary add %g, %c1 : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  %y = tfm.binary mul %x, %d : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// The cube as a power.
// CHECK-LABEL: @tanh_pow(
// CHECK-NEXT: %[[G:.*]] = tfm.unary gelu_tanh %arg0
// CHECK-NEXT: return %[[G]]
func.func @tanh_pow(%x: tensor<?x8xf32> {tfm.dims = [#tfm.dim<n>, #tfm.dim<8>]}) -> tensor<?x8xf32> {
  %c0 = tfm.constant dense<3.000000e+00> : tensor<f32>
  %c1 = tfm.constant dense<4.471500e-02> : tensor<f32>
  %c2 = tfm.constant dense<0.797884583> : tensor<f32>
  %c3 = tfm.constant dense<1.000000e+00> : tensor<f32>
  %c4 = tfm.constant dense<5.000000e-01> : tensor<f32>
  %p = tfm.binary pow %x, %c0 : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  %k = tfm.binary mul %c1, %p : (tensor<f32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %s = tfm.binary add %x, %k : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %i = tfm.binary mul %c2, %s : (tensor<f32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %t = tfm.unary tanh %i : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %d = tfm.binary add %t, %c3 : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  %h = tfm.binary mul %c4, %d : (tensor<f32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %y = tfm.binary mul %x, %h : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// The cube as products.
// CHECK-LABEL: @tanh_mul(
// CHECK-NEXT: %[[G:.*]] = tfm.unary gelu_tanh %arg0
// CHECK-NEXT: return %[[G]]
func.func @tanh_mul(%x: tensor<?x8xf32> {tfm.dims = [#tfm.dim<n>, #tfm.dim<8>]}) -> tensor<?x8xf32> {
  %c0 = tfm.constant dense<4.471500e-02> : tensor<f32>
  %c1 = tfm.constant dense<0.797884583> : tensor<f32>
  %c2 = tfm.constant dense<1.000000e+00> : tensor<f32>
  %c3 = tfm.constant dense<5.000000e-01> : tensor<f32>
  %q = tfm.binary mul %x, %x : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %p = tfm.binary mul %x, %q : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %k = tfm.binary mul %p, %c0 : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  %s = tfm.binary add %x, %k : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %i = tfm.binary mul %s, %c1 : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  %t = tfm.unary tanh %i : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %d = tfm.binary add %c2, %t : (tensor<f32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %h = tfm.binary mul %x, %d : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %y = tfm.binary mul %c3, %h : (tensor<f32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// x factored out of the argument.
// CHECK-LABEL: @tanh_factored(
// CHECK-NEXT: %[[G:.*]] = tfm.unary gelu_tanh %arg0
// CHECK-NEXT: return %[[G]]
func.func @tanh_factored(%x: tensor<?x8xf32> {tfm.dims = [#tfm.dim<n>, #tfm.dim<8>]}) -> tensor<?x8xf32> {
  %c0 = tfm.constant dense<4.471500e-02> : tensor<f32>
  %c1 = tfm.constant dense<1.000000e+00> : tensor<f32>
  %c2 = tfm.constant dense<0.797884583> : tensor<f32>
  %c3 = tfm.constant dense<5.000000e-01> : tensor<f32>
  %q = tfm.binary mul %x, %x : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %k = tfm.binary mul %q, %c0 : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  %s = tfm.binary add %k, %c1 : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  %j = tfm.binary mul %x, %c2 : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  %i = tfm.binary mul %j, %s : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %t = tfm.unary tanh %i : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %d = tfm.binary add %c1, %t : (tensor<f32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %h = tfm.binary mul %x, %c3 : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  %y = tfm.binary mul %h, %d : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// Near miss: twice gelu.
// CHECK-LABEL: @no_half(
// CHECK-NOT: gelu
// CHECK: return
func.func @no_half(%x: tensor<?x8xf32> {tfm.dims = [#tfm.dim<n>, #tfm.dim<8>]}) -> tensor<?x8xf32> {
  %c0 = tfm.constant dense<1.41421354> : tensor<f32>
  %c1 = tfm.constant dense<1.000000e+00> : tensor<f32>
  %a = tfm.binary div %x, %c0 : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  %b = tfm.unary erf %a : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %d = tfm.binary add %b, %c1 : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  %y = tfm.binary mul %x, %d : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// Near miss: 1.41 is not sqrt 2 to 1e-6.
// CHECK-LABEL: @wrong_root(
// CHECK-NOT: gelu
// CHECK: return
func.func @wrong_root(%x: tensor<?x8xf32> {tfm.dims = [#tfm.dim<n>, #tfm.dim<8>]}) -> tensor<?x8xf32> {
  %c0 = tfm.constant dense<1.410000e+00> : tensor<f32>
  %c1 = tfm.constant dense<1.000000e+00> : tensor<f32>
  %c2 = tfm.constant dense<5.000000e-01> : tensor<f32>
  %a = tfm.binary div %x, %c0 : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  %b = tfm.unary erf %a : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %d = tfm.binary add %b, %c1 : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  %e = tfm.binary mul %x, %d : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %y = tfm.binary mul %e, %c2 : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// Near miss: erf of -x.
// CHECK-LABEL: @another_argument(
// CHECK-NOT: gelu
// CHECK: return
func.func @another_argument(%x: tensor<?x8xf32> {tfm.dims = [#tfm.dim<n>, #tfm.dim<8>]}) -> tensor<?x8xf32> {
  %c0 = tfm.constant dense<1.41421354> : tensor<f32>
  %c1 = tfm.constant dense<1.000000e+00> : tensor<f32>
  %c2 = tfm.constant dense<5.000000e-01> : tensor<f32>
  %z = tfm.unary neg %x : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %a = tfm.binary div %z, %c0 : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  %b = tfm.unary erf %a : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %d = tfm.binary add %b, %c1 : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  %e = tfm.binary mul %x, %d : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %y = tfm.binary mul %e, %c2 : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}
