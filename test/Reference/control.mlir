// RUN: permalloy-opt %s --check-interpret -o /dev/null
// RUN: permalloy-opt %s | permalloy-opt | FileCheck %s

func.func private @double(%x: tensor<2xf32>) -> tensor<2xf32> {
  %0 = tfm.binary add %x, %x : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  return %0 : tensor<2xf32>
}
func.func private @same(%x: tensor<2xf32>) -> tensor<2xf32> {
  return %x : tensor<2xf32>
}

// CHECK-LABEL: func @branches
// CHECK: tfm.if %{{.*}} then @double else @same captures(%{{.*}}) dims {{\[\[}}#tfm.dim<2>]]
func.func @branches() {
  %x = tfm.constant dense<[1.0, 2.0]> : tensor<2xf32>
  %t = tfm.constant dense<true> : tensor<i1>
  %f = tfm.constant dense<false> : tensor<1xi1>
  %0 = tfm.if %t then @double else @same captures(%x) dims [[#tfm.dim<2>]] : (tensor<i1>, tensor<2xf32>) -> tensor<2xf32>
  %1 = tfm.if %f then @double else @same captures(%x) dims [[#tfm.dim<2>]] : (tensor<1xi1>, tensor<2xf32>) -> tensor<2xf32>
  %e = tfm.constant dense<[2.0, 4.0]> : tensor<2xf32>
  check.expect_equal %0, %e : tensor<2xf32>
  check.expect_equal %1, %x : tensor<2xf32>
  return
}

// Stops when the sum passes 60: 1 + 2 + 4 + 8 + 16 + 32 = 63.
func.func private @step(%sum: tensor<i64>, %power: tensor<i64>, %limit: tensor<i64>) -> (tensor<i1>, tensor<i64>, tensor<i64>) {
  %0 = tfm.binary add %sum, %power : (tensor<i64>, tensor<i64>) -> tensor<i64>
  %1 = tfm.binary add %power, %power : (tensor<i64>, tensor<i64>) -> tensor<i64>
  %2 = tfm.compare lt %0, %limit : (tensor<i64>, tensor<i64>) -> tensor<i1>
  return %2, %0, %1 : tensor<i1>, tensor<i64>, tensor<i64>
}

// CHECK-LABEL: func @loop
// CHECK: tfm.while %{{.*}} do @step carried(%{{.*}}, %{{.*}}) captures(%{{.*}}) dims
func.func @loop() {
  %true = tfm.constant dense<true> : tensor<i1>
  %false = tfm.constant dense<false> : tensor<i1>
  %zero = tfm.constant dense<0> : tensor<i64>
  %one = tfm.constant dense<1> : tensor<i64>
  %limit = tfm.constant dense<60> : tensor<i64>
  %0:2 = tfm.while %true do @step carried(%zero, %one) captures(%limit) dims [[], []] : (tensor<i1>, tensor<i64>, tensor<i64>, tensor<i64>) -> (tensor<i64>, tensor<i64>)
  %1:2 = tfm.while %false do @step carried(%zero, %one) captures(%limit) dims [[], []] : (tensor<i1>, tensor<i64>, tensor<i64>, tensor<i64>) -> (tensor<i64>, tensor<i64>)
  %sum = tfm.constant dense<63> : tensor<i64>
  %power = tfm.constant dense<64> : tensor<i64>
  check.expect_equal %0#0, %sum : tensor<i64>
  check.expect_equal %0#1, %power : tensor<i64>
  check.expect_equal %1#0, %zero : tensor<i64>
  return
}
