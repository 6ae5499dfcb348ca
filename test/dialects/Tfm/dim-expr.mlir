// RUN: permalloy-opt %s | FileCheck %s
// RUN: permalloy-opt %s | permalloy-opt | FileCheck %s
// RUN: permalloy-opt %s --mlir-print-op-generic | permalloy-opt | FileCheck %s

// Expressions are polynomials in canonical form: equal ones are one attribute, and print the same.

// CHECK-LABEL: @sums_and_products
func.func @sums_and_products() {
  // CHECK: [#tfm.dim<batch * seq * 2>, #tfm.dim<batch * seq * 2>]
  %0 = tfm.dim_values [#tfm.dim<seq * batch + batch * seq>, #tfm.dim<2 * (seq * batch)>] : tensor<2xi64>
  // CHECK: [#tfm.dim<0>, #tfm.dim<a>, #tfm.dim<7>]
  %1 = tfm.dim_values [#tfm.dim<a + -1 * a>, #tfm.dim<a * 1 + 0>, #tfm.dim<3 + 4>] : tensor<3xi64>
  // CHECK: [#tfm.dim<a * a + a * b * 2 + b * b>, #tfm.dim<a * a + a * b * 2 + b * b>]
  %2 = tfm.dim_values [#tfm.dim<(a + b) * (b + a)>, #tfm.dim<b * b + a * a + a * b * 2>] : tensor<2xi64>
  // CHECK: [#tfm.dim<past + seq>, #tfm.dim<past + seq + 1>, #tfm.dim<past + -1>]
  %3 = tfm.dim_values [#tfm.dim<seq + past>, #tfm.dim<1 + seq + past>, #tfm.dim<past + -1>] : tensor<3xi64>
  return
}

// CHECK-LABEL: @division
func.func @division() {
  // Exact quotients cancel.
  // CHECK: [#tfm.dim<batch * 384>, #tfm.dim<batch + 2>, #tfm.dim<a * 3>, #tfm.dim<1>]
  %0 = tfm.dim_values [#tfm.dim<batch * seq * 384 floordiv seq>, #tfm.dim<(batch * seq + 2 * seq) floordiv seq>, #tfm.dim<(12 * a) floordiv 4>, #tfm.dim<(a + b) floordiv (a + b)>] : tensor<4xi64>
  // Others stay.
  // CHECK: [#tfm.dim<seq floordiv 2>, #tfm.dim<(seq + 1) floordiv 2>, #tfm.dim<seq mod 2>, #tfm.dim<0>]
  %1 = tfm.dim_values [#tfm.dim<seq floordiv 2>, #tfm.dim<(seq + 1) floordiv 2>, #tfm.dim<seq mod 2>, #tfm.dim<(4 * seq) mod 2>] : tensor<4xi64>
  // Towards minus infinity.
  // CHECK: [#tfm.dim<-4>, #tfm.dim<1>, #tfm.dim<-4>, #tfm.dim<-1>]
  %2 = tfm.dim_values [#tfm.dim<-7 floordiv 2>, #tfm.dim<-7 mod 2>, #tfm.dim<7 floordiv -2>, #tfm.dim<7 mod -2>] : tensor<4xi64>
  return
}

// CHECK-LABEL: @extrema
func.func @extrema() {
  // CHECK: [#tfm.dim<max(a, b)>, #tfm.dim<max(a, b)>, #tfm.dim<min(a, b)>]
  %0 = tfm.dim_values [#tfm.dim<max(a, b)>, #tfm.dim<max(b, a)>, #tfm.dim<min(b, a)>] : tensor<3xi64>
  // CHECK: [#tfm.dim<a + 1>, #tfm.dim<a>, #tfm.dim<5>, #tfm.dim<a>]
  %1 = tfm.dim_values [#tfm.dim<max(a, a + 1)>, #tfm.dim<min(a, a + 1)>, #tfm.dim<max(3, 5)>, #tfm.dim<max(a, a)>] : tensor<4xi64>
  // CHECK: [#tfm.dim<a>, #tfm.dim<a>]
  %2 = tfm.dim_values [#tfm.dim<max(a, min(a, b))>, #tfm.dim<min(max(b, a), a)>] : tensor<2xi64>
  // CHECK: [#tfm.dim<max(a, b) * 2>, #tfm.dim<max(a, b) floordiv 2>]
  %3 = tfm.dim_values [#tfm.dim<max(a, b) + max(b, a)>, #tfm.dim<max(a, b) floordiv 2>] : tensor<2xi64>
  return
}

// CHECK-LABEL: @names
func.func @names() {
  // CHECK: [#tfm.dim<"odd name">, #tfm.dim<"odd name" floordiv 2>, #tfm.dim<"max">, #tfm.dim<"1st">, #tfm.dim<_x>, #tfm.dim<"a\22b">]
  %0 = tfm.dim_values [#tfm.dim<"odd name">, #tfm.dim<"odd name" floordiv 2>, #tfm.dim<"max">, #tfm.dim<"1st">, #tfm.dim<"_x">, #tfm.dim<"a\22b">] : tensor<6xi64>
  // CHECK: [#tfm.dim<a>, #tfm.dim<a>]
  %1 = tfm.dim_values [#tfm.dim<"a">, #tfm.dim<a>] : tensor<2xi64>
  return
}
