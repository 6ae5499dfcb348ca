// RUN: permalloy-opt %s --raise-silu --canonicalize | FileCheck %s
// RUN: permalloy-opt %s --check-equivalent="pipeline=func.func(raise-silu) rtol=1e-5 atol=1e-6 idempotent" -o /dev/null

// CHECK-LABEL: @either_order(
// CHECK-COUNT-2: tfm.unary silu %arg0
// CHECK-NOT: sigmoid
func.func @either_order(%x: tensor<?x8xf32> {tfm.dims = [#tfm.dim<n>, #tfm.dim<8>]}) -> (tensor<?x8xf32>, tensor<?x8xf32>) {
  %0 = tfm.unary sigmoid %x : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %1 = tfm.binary mul %x, %0 : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %2 = tfm.unary sigmoid %x : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %3 = tfm.binary mul %2, %x : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %1, %3 : tensor<?x8xf32>, tensor<?x8xf32>
}

// CHECK-LABEL: @quotient(
// CHECK-NEXT: %[[S:.*]] = tfm.unary silu %arg0
// CHECK-NEXT: return %[[S]]
func.func @quotient(%x: tensor<?x8xf32> {tfm.dims = [#tfm.dim<n>, #tfm.dim<8>]}) -> tensor<?x8xf32> {
  %one = tfm.constant dense<1.0> : tensor<f32>
  %0 = tfm.unary neg %x : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %1 = tfm.unary exp %0 : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %2 = tfm.binary add %one, %1 : (tensor<f32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %3 = tfm.binary div %x, %2 : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %3 : tensor<?x8xf32>
}

// The sigmoid of another value is a gate.
// CHECK-LABEL: @gate(
// CHECK: tfm.unary sigmoid
// CHECK-NOT: silu
func.func @gate(%x: tensor<?x8xf32> {tfm.dims = [#tfm.dim<n>, #tfm.dim<8>]}, %y: tensor<?x8xf32> {tfm.dims = [#tfm.dim<n>, #tfm.dim<8>]}) -> tensor<?x8xf32> {
  %0 = tfm.unary sigmoid %y : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %1 = tfm.binary mul %x, %0 : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %1 : tensor<?x8xf32>
}
