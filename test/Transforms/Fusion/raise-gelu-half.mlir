// RUN: permalloy-opt %s --raise-gelu --canonicalize | FileCheck %s
// RUN: permalloy-opt %s --check-equivalent="pipeline=func.func(raise-gelu) rtol=2e-2 atol=2e-2 idempotent" -o /dev/null

// Constants of f16 and bf16 models are rounded: sqrt(2) is 1.4140625 in both. 1.38 is another number in both.

// x * (1 + erf(x / sqrt 2)) * 0.5.
// CHECK-LABEL: @torchscript_f16(
// CHECK-NEXT: %[[G:.*]] = tfm.unary gelu_erf %arg0
// CHECK-NEXT: return %[[G]]
func.func @torchscript_f16(%x: tensor<?x8xf16> {tfm.dims = [#tfm.dim<n>, #tfm.dim<8>]}) -> tensor<?x8xf16> {
  %c0 = tfm.constant dense<1.4140625> : tensor<f16>
  %c1 = tfm.constant dense<1.0> : tensor<f16>
  %c2 = tfm.constant dense<0.5> : tensor<f16>
  %a = tfm.binary div %x, %c0 : (tensor<?x8xf16>, tensor<f16>) -> tensor<?x8xf16>
  %b = tfm.unary erf %a : (tensor<?x8xf16>) -> tensor<?x8xf16>
  %d = tfm.binary add %b, %c1 : (tensor<?x8xf16>, tensor<f16>) -> tensor<?x8xf16>
  %e = tfm.binary mul %x, %d : (tensor<?x8xf16>, tensor<?x8xf16>) -> tensor<?x8xf16>
  %y = tfm.binary mul %e, %c2 : (tensor<?x8xf16>, tensor<f16>) -> tensor<?x8xf16>
  return %y : tensor<?x8xf16>
}

// CHECK-LABEL: @tanh_mul_f16(
// CHECK-NEXT: %[[G:.*]] = tfm.unary gelu_tanh %arg0
// CHECK-NEXT: return %[[G]]
func.func @tanh_mul_f16(%x: tensor<?x8xf16> {tfm.dims = [#tfm.dim<n>, #tfm.dim<8>]}) -> tensor<?x8xf16> {
  %c0 = tfm.constant dense<0.044708251953125> : tensor<f16>
  %c1 = tfm.constant dense<0.7978515625> : tensor<f16>
  %c2 = tfm.constant dense<1.0> : tensor<f16>
  %c3 = tfm.constant dense<0.5> : tensor<f16>
  %q = tfm.binary mul %x, %x : (tensor<?x8xf16>, tensor<?x8xf16>) -> tensor<?x8xf16>
  %p = tfm.binary mul %x, %q : (tensor<?x8xf16>, tensor<?x8xf16>) -> tensor<?x8xf16>
  %k = tfm.binary mul %p, %c0 : (tensor<?x8xf16>, tensor<f16>) -> tensor<?x8xf16>
  %s = tfm.binary add %x, %k : (tensor<?x8xf16>, tensor<?x8xf16>) -> tensor<?x8xf16>
  %i = tfm.binary mul %s, %c1 : (tensor<?x8xf16>, tensor<f16>) -> tensor<?x8xf16>
  %t = tfm.unary tanh %i : (tensor<?x8xf16>) -> tensor<?x8xf16>
  %d = tfm.binary add %c2, %t : (tensor<f16>, tensor<?x8xf16>) -> tensor<?x8xf16>
  %h = tfm.binary mul %x, %d : (tensor<?x8xf16>, tensor<?x8xf16>) -> tensor<?x8xf16>
  %y = tfm.binary mul %c3, %h : (tensor<f16>, tensor<?x8xf16>) -> tensor<?x8xf16>
  return %y : tensor<?x8xf16>
}

// CHECK-LABEL: @wrong_root_f16(
// CHECK-NOT: gelu
// CHECK: return
func.func @wrong_root_f16(%x: tensor<?x8xf16> {tfm.dims = [#tfm.dim<n>, #tfm.dim<8>]}) -> tensor<?x8xf16> {
  %c0 = tfm.constant dense<1.3798828125> : tensor<f16>
  %c1 = tfm.constant dense<1.0> : tensor<f16>
  %c2 = tfm.constant dense<0.5> : tensor<f16>
  %a = tfm.binary div %x, %c0 : (tensor<?x8xf16>, tensor<f16>) -> tensor<?x8xf16>
  %b = tfm.unary erf %a : (tensor<?x8xf16>) -> tensor<?x8xf16>
  %d = tfm.binary add %b, %c1 : (tensor<?x8xf16>, tensor<f16>) -> tensor<?x8xf16>
  %e = tfm.binary mul %x, %d : (tensor<?x8xf16>, tensor<?x8xf16>) -> tensor<?x8xf16>
  %y = tfm.binary mul %e, %c2 : (tensor<?x8xf16>, tensor<f16>) -> tensor<?x8xf16>
  return %y : tensor<?x8xf16>
}

// x * (1 + erf(x / sqrt 2)) * 0.5.
// CHECK-LABEL: @torchscript_bf16(
// CHECK-NEXT: %[[G:.*]] = tfm.unary gelu_erf %arg0
// CHECK-NEXT: return %[[G]]
func.func @torchscript_bf16(%x: tensor<?x8xbf16> {tfm.dims = [#tfm.dim<n>, #tfm.dim<8>]}) -> tensor<?x8xbf16> {
  %c0 = tfm.constant dense<1.4140625> : tensor<bf16>
  %c1 = tfm.constant dense<1.0> : tensor<bf16>
  %c2 = tfm.constant dense<0.5> : tensor<bf16>
  %a = tfm.binary div %x, %c0 : (tensor<?x8xbf16>, tensor<bf16>) -> tensor<?x8xbf16>
  %b = tfm.unary erf %a : (tensor<?x8xbf16>) -> tensor<?x8xbf16>
  %d = tfm.binary add %b, %c1 : (tensor<?x8xbf16>, tensor<bf16>) -> tensor<?x8xbf16>
  %e = tfm.binary mul %x, %d : (tensor<?x8xbf16>, tensor<?x8xbf16>) -> tensor<?x8xbf16>
  %y = tfm.binary mul %e, %c2 : (tensor<?x8xbf16>, tensor<bf16>) -> tensor<?x8xbf16>
  return %y : tensor<?x8xbf16>
}

// CHECK-LABEL: @tanh_mul_bf16(
// CHECK-NEXT: %[[G:.*]] = tfm.unary gelu_tanh %arg0
// CHECK-NEXT: return %[[G]]
func.func @tanh_mul_bf16(%x: tensor<?x8xbf16> {tfm.dims = [#tfm.dim<n>, #tfm.dim<8>]}) -> tensor<?x8xbf16> {
  %c0 = tfm.constant dense<0.044677734375> : tensor<bf16>
  %c1 = tfm.constant dense<0.796875> : tensor<bf16>
  %c2 = tfm.constant dense<1.0> : tensor<bf16>
  %c3 = tfm.constant dense<0.5> : tensor<bf16>
  %q = tfm.binary mul %x, %x : (tensor<?x8xbf16>, tensor<?x8xbf16>) -> tensor<?x8xbf16>
  %p = tfm.binary mul %x, %q : (tensor<?x8xbf16>, tensor<?x8xbf16>) -> tensor<?x8xbf16>
  %k = tfm.binary mul %p, %c0 : (tensor<?x8xbf16>, tensor<bf16>) -> tensor<?x8xbf16>
  %s = tfm.binary add %x, %k : (tensor<?x8xbf16>, tensor<?x8xbf16>) -> tensor<?x8xbf16>
  %i = tfm.binary mul %s, %c1 : (tensor<?x8xbf16>, tensor<bf16>) -> tensor<?x8xbf16>
  %t = tfm.unary tanh %i : (tensor<?x8xbf16>) -> tensor<?x8xbf16>
  %d = tfm.binary add %c2, %t : (tensor<bf16>, tensor<?x8xbf16>) -> tensor<?x8xbf16>
  %h = tfm.binary mul %x, %d : (tensor<?x8xbf16>, tensor<?x8xbf16>) -> tensor<?x8xbf16>
  %y = tfm.binary mul %c3, %h : (tensor<bf16>, tensor<?x8xbf16>) -> tensor<?x8xbf16>
  return %y : tensor<?x8xbf16>
}

// CHECK-LABEL: @wrong_root_bf16(
// CHECK-NOT: gelu
// CHECK: return
func.func @wrong_root_bf16(%x: tensor<?x8xbf16> {tfm.dims = [#tfm.dim<n>, #tfm.dim<8>]}) -> tensor<?x8xbf16> {
  %c0 = tfm.constant dense<1.3828125> : tensor<bf16>
  %c1 = tfm.constant dense<1.0> : tensor<bf16>
  %c2 = tfm.constant dense<0.5> : tensor<bf16>
  %a = tfm.binary div %x, %c0 : (tensor<?x8xbf16>, tensor<bf16>) -> tensor<?x8xbf16>
  %b = tfm.unary erf %a : (tensor<?x8xbf16>) -> tensor<?x8xbf16>
  %d = tfm.binary add %b, %c1 : (tensor<?x8xbf16>, tensor<bf16>) -> tensor<?x8xbf16>
  %e = tfm.binary mul %x, %d : (tensor<?x8xbf16>, tensor<?x8xbf16>) -> tensor<?x8xbf16>
  %y = tfm.binary mul %e, %c2 : (tensor<?x8xbf16>, tensor<bf16>) -> tensor<?x8xbf16>
  return %y : tensor<?x8xbf16>
}
