// RUN: permalloy-opt %s --fold-constants | FileCheck %s
// RUN: permalloy-opt %s --check-equivalent="pipeline=func.func(fold-constants) rtol=0 atol=0 idempotent" -o /dev/null

// Query positions are at least 0: the causal-looking half of an exporter's mask says nothing.
// CHECK-LABEL: @iota_at_least_zero(
// CHECK: %[[B:.*]] = tfm.broadcast %{{.*}} dims [#tfm.dim<batch>, #tfm.dim<1>, #tfm.dim<seq>, #tfm.dim<seq>] : (tensor<?x1x1x?xi1>) -> tensor<?x1x?x?xi1>
// CHECK-NEXT: return %[[B]]
func.func @iota_at_least_zero(%m: tensor<?x1x1x?xi1> {tfm.dims = [#tfm.dim<batch>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<seq>]}) -> tensor<?x1x?x?xi1> {
  %zero = tfm.constant dense<0> : tensor<i64>
  %true = tfm.constant dense<true> : tensor<i1>
  %r = tfm.range from #tfm.dim<0> size #tfm.dim<seq> step 1 : () -> tensor<?xi64>
  %q = tfm.reshape %r dims [#tfm.dim<1>, #tfm.dim<1>, #tfm.dim<seq>, #tfm.dim<1>] : (tensor<?xi64>) -> tensor<1x1x?x1xi64>
  %c = tfm.compare ge %q, %zero : (tensor<1x1x?x1xi64>, tensor<i64>) -> tensor<1x1x?x1xi1>
  %a = tfm.binary and %true, %c : (tensor<i1>, tensor<1x1x?x1xi1>) -> tensor<1x1x?x1xi1>
  %b = tfm.binary and %a, %m : (tensor<1x1x?x1xi1>, tensor<?x1x1x?xi1>) -> tensor<?x1x?x?xi1>
  return %b : tensor<?x1x?x?xi1>
}

// Near miss: an iota is not always at least 1.
// CHECK-LABEL: @iota_at_least_one(
// CHECK: tfm.compare ge
func.func @iota_at_least_one(%x: tensor<?xf32> {tfm.dims = [#tfm.dim<n>]}) -> tensor<?xi1> {
  %one = tfm.constant dense<1> : tensor<i64>
  %r = tfm.range from #tfm.dim<0> size #tfm.dim<n> step 1 : () -> tensor<?xi64>
  %c = tfm.compare ge %r, %one : (tensor<?xi64>, tensor<i64>) -> tensor<?xi1>
  return %c : tensor<?xi1>
}

// CHECK-LABEL: @select_not(
// CHECK: tfm.select %arg0, %arg2, %arg1
func.func @select_not(%c: tensor<4xi1>, %a: tensor<4xf32>, %b: tensor<4xf32>) -> tensor<4xf32> {
  %n = tfm.unary not %c : (tensor<4xi1>) -> tensor<4xi1>
  %s = tfm.select %n, %a, %b : (tensor<4xi1>, tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  return %s : tensor<4xf32>
}

// CHECK-LABEL: @select_true(
// CHECK: %[[B:.*]] = tfm.broadcast %arg0 dims [#tfm.dim<3>, #tfm.dim<n>]
// CHECK-NEXT: return %[[B]]
func.func @select_true(%a: tensor<?xf32> {tfm.dims = [#tfm.dim<n>]}) -> tensor<3x?xf32> {
  %c = tfm.constant dense<true> : tensor<3x1xi1>
  %zero = tfm.constant dense<0.0> : tensor<f32>
  %s = tfm.select %c, %a, %zero : (tensor<3x1xi1>, tensor<?xf32>, tensor<f32>) -> tensor<3x?xf32>
  return %s : tensor<3x?xf32>
}

// CHECK-LABEL: @evaluated(
// CHECK: %[[C:.*]] = tfm.constant dense<[1.000000e+00, 4.000000e+00]> : tensor<2xf32>
// CHECK-NEXT: return %[[C]]
func.func @evaluated() -> tensor<2xf32> {
  %a = tfm.constant dense<[1.0, 2.0]> : tensor<2xf32>
  %b = tfm.binary mul %a, %a : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  return %b : tensor<2xf32>
}

// Near miss: x + 0.0 turns -0.0 into 0.0; i + 0 is i.
// CHECK-LABEL: @zero(
// CHECK: %[[A:.*]] = tfm.binary add %arg0
// CHECK-NEXT: return %[[A]], %arg1
func.func @zero(%x: tensor<4xf32>, %i: tensor<4xi64>) -> (tensor<4xf32>, tensor<4xi64>) {
  %f = tfm.constant dense<0.0> : tensor<f32>
  %z = tfm.constant dense<0> : tensor<i64>
  %a = tfm.binary add %x, %f : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  %b = tfm.binary add %i, %z : (tensor<4xi64>, tensor<i64>) -> tensor<4xi64>
  return %a, %b : tensor<4xf32>, tensor<4xi64>
}

// A result whose type says less than is known of it keeps its type.
// CHECK-LABEL: @less_is_declared(
// CHECK: %[[C:.*]] = tfm.constant dense<true> : tensor<4xi1>
// CHECK-NEXT: %[[B:.*]] = tfm.broadcast %[[C]] dims [#tfm.dim<4>] : (tensor<4xi1>) -> tensor<?xi1>
// CHECK-NEXT: return %[[B]]
func.func @less_is_declared() -> tensor<?xi1> {
  %zero = tfm.constant dense<0> : tensor<i64>
  %r = tfm.range from #tfm.dim<0> size #tfm.dim<4> step 1 : () -> tensor<?xi64>
  %c = tfm.compare ge %r, %zero : (tensor<?xi64>, tensor<i64>) -> tensor<?xi1>
  return %c : tensor<?xi1>
}
