// RUN: permalloy-opt %s --check-interpret -o /dev/null
//
// ONNX Slice, and the resolved form.

func.func @test_plain() {
  %0 = tfm.constant dense<[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]> : tensor<10xf32>
  %1 = tfm.constant dense<[2]> : tensor<1xi64>
  %2 = tfm.constant dense<[5]> : tensor<1xi64>
  %r = tfm.slice %0 starts %1 ends %2 axes [0] : (tensor<10xf32>, tensor<1xi64>, tensor<1xi64>) -> tensor<3xf32>
  %e = tfm.constant dense<[2.0, 3.0, 4.0]> : tensor<3xf32>
  check.expect_equal %r, %e : tensor<3xf32>
  return
}

func.func @test_negative_bounds() {
  %0 = tfm.constant dense<[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]> : tensor<10xf32>
  %1 = tfm.constant dense<[-3]> : tensor<1xi64>
  %2 = tfm.constant dense<[-1]> : tensor<1xi64>
  %r = tfm.slice %0 starts %1 ends %2 axes [0] : (tensor<10xf32>, tensor<1xi64>, tensor<1xi64>) -> tensor<2xf32>
  %e = tfm.constant dense<[7.0, 8.0]> : tensor<2xf32>
  check.expect_equal %r, %e : tensor<2xf32>
  return
}

func.func @test_clamped() {
  %0 = tfm.constant dense<[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]> : tensor<10xf32>
  %1 = tfm.constant dense<[-100]> : tensor<1xi64>
  %2 = tfm.constant dense<[9223372036854775807]> : tensor<1xi64>
  %r = tfm.slice %0 starts %1 ends %2 axes [0] : (tensor<10xf32>, tensor<1xi64>, tensor<1xi64>) -> tensor<10xf32>
  %e = tfm.constant dense<[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]> : tensor<10xf32>
  check.expect_equal %r, %e : tensor<10xf32>
  return
}

func.func @test_empty() {
  %0 = tfm.constant dense<[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]> : tensor<10xf32>
  %1 = tfm.constant dense<[5]> : tensor<1xi64>
  %2 = tfm.constant dense<[2]> : tensor<1xi64>
  %r = tfm.slice %0 starts %1 ends %2 axes [0] : (tensor<10xf32>, tensor<1xi64>, tensor<1xi64>) -> tensor<0xf32>
  %e = tfm.constant dense<> : tensor<0xf32>
  check.expect_equal %r, %e : tensor<0xf32>
  return
}

func.func @test_past_the_end() {
  %0 = tfm.constant dense<[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]> : tensor<10xf32>
  %1 = tfm.constant dense<[20]> : tensor<1xi64>
  %2 = tfm.constant dense<[30]> : tensor<1xi64>
  %r = tfm.slice %0 starts %1 ends %2 axes [0] : (tensor<10xf32>, tensor<1xi64>, tensor<1xi64>) -> tensor<0xf32>
  %e = tfm.constant dense<> : tensor<0xf32>
  check.expect_equal %r, %e : tensor<0xf32>
  return
}

func.func @test_strided() {
  %0 = tfm.constant dense<[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]> : tensor<10xf32>
  %1 = tfm.constant dense<[1]> : tensor<1xi64>
  %2 = tfm.constant dense<[9]> : tensor<1xi64>
  %3 = tfm.constant dense<[3]> : tensor<1xi64>
  %r = tfm.slice %0 starts %1 ends %2 steps %3 axes [0] : (tensor<10xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<3xf32>
  %e = tfm.constant dense<[1.0, 4.0, 7.0]> : tensor<3xf32>
  check.expect_equal %r, %e : tensor<3xf32>
  return
}

func.func @test_reversed() {
  %0 = tfm.constant dense<[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]> : tensor<10xf32>
  %1 = tfm.constant dense<[-1]> : tensor<1xi64>
  %2 = tfm.constant dense<[-9223372036854775807]> : tensor<1xi64>
  %3 = tfm.constant dense<[-1]> : tensor<1xi64>
  %r = tfm.slice %0 starts %1 ends %2 steps %3 axes [0] : (tensor<10xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<10xf32>
  %e = tfm.constant dense<[9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0]> : tensor<10xf32>
  check.expect_equal %r, %e : tensor<10xf32>
  return
}

func.func @test_reversed_strided() {
  %0 = tfm.constant dense<[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]> : tensor<10xf32>
  %1 = tfm.constant dense<[8]> : tensor<1xi64>
  %2 = tfm.constant dense<[2]> : tensor<1xi64>
  %3 = tfm.constant dense<[-2]> : tensor<1xi64>
  %r = tfm.slice %0 starts %1 ends %2 steps %3 axes [0] : (tensor<10xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<3xf32>
  %e = tfm.constant dense<[8.0, 6.0, 4.0]> : tensor<3xf32>
  check.expect_equal %r, %e : tensor<3xf32>
  return
}

func.func @test_reversed_from_beyond() {
  %0 = tfm.constant dense<[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]> : tensor<10xf32>
  %1 = tfm.constant dense<[100]> : tensor<1xi64>
  %2 = tfm.constant dense<[-9223372036854775807]> : tensor<1xi64>
  %3 = tfm.constant dense<[-3]> : tensor<1xi64>
  %r = tfm.slice %0 starts %1 ends %2 steps %3 axes [0] : (tensor<10xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<4xf32>
  %e = tfm.constant dense<[9.0, 6.0, 3.0, 0.0]> : tensor<4xf32>
  check.expect_equal %r, %e : tensor<4xf32>
  return
}

func.func @test_two_axes() {
  %0 = tfm.constant dense<[[0.0, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0], [8.0, 9.0, 10.0, 11.0]]> : tensor<3x4xf32>
  %1 = tfm.constant dense<[1, -2]> : tensor<2xi64>
  %2 = tfm.constant dense<[3, 9223372036854775807]> : tensor<2xi64>
  %r = tfm.slice %0 starts %1 ends %2 axes [0, 1] : (tensor<3x4xf32>, tensor<2xi64>, tensor<2xi64>) -> tensor<2x2xf32>
  %e = tfm.constant dense<[[6.0, 7.0], [10.0, 11.0]]> : tensor<2x2xf32>
  check.expect_equal %r, %e : tensor<2x2xf32>
  return
}

func.func @test_second_axis_only() {
  %0 = tfm.constant dense<[[0.0, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0], [8.0, 9.0, 10.0, 11.0]]> : tensor<3x4xf32>
  %1 = tfm.constant dense<[1]> : tensor<1xi64>
  %2 = tfm.constant dense<[3]> : tensor<1xi64>
  %r = tfm.slice %0 starts %1 ends %2 axes [1] : (tensor<3x4xf32>, tensor<1xi64>, tensor<1xi64>) -> tensor<3x2xf32>
  %e = tfm.constant dense<[[1.0, 2.0], [5.0, 6.0], [9.0, 10.0]]> : tensor<3x2xf32>
  check.expect_equal %r, %e : tensor<3x2xf32>
  return
}

func.func @test_of_nothing() {
  %0 = tfm.constant dense<> : tensor<0xf32>
  %1 = tfm.constant dense<[0]> : tensor<1xi64>
  %2 = tfm.constant dense<[5]> : tensor<1xi64>
  %r = tfm.slice %0 starts %1 ends %2 axes [0] : (tensor<0xf32>, tensor<1xi64>, tensor<1xi64>) -> tensor<0xf32>
  %e = tfm.constant dense<> : tensor<0xf32>
  check.expect_equal %r, %e : tensor<0xf32>
  return
}

func.func @test_i32_bounds() {
  %0 = tfm.constant dense<[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]> : tensor<10xf32>
  %1 = tfm.constant dense<[1]> : tensor<1xi32>
  %2 = tfm.constant dense<[3]> : tensor<1xi32>
  %r = tfm.slice %0 starts %1 ends %2 axes [0] : (tensor<10xf32>, tensor<1xi32>, tensor<1xi32>) -> tensor<2xf32>
  %e = tfm.constant dense<[1.0, 2.0]> : tensor<2xf32>
  check.expect_equal %r, %e : tensor<2xf32>
  return
}

func.func @test_bool() {
  %0 = tfm.constant dense<[true, false, true]> : tensor<3xi1>
  %1 = tfm.constant dense<[1]> : tensor<1xi64>
  %2 = tfm.constant dense<[3]> : tensor<1xi64>
  %r = tfm.slice %0 starts %1 ends %2 axes [0] : (tensor<3xi1>, tensor<1xi64>, tensor<1xi64>) -> tensor<2xi1>
  %e = tfm.constant dense<[false, true]> : tensor<2xi1>
  check.expect_equal %r, %e : tensor<2xi1>
  return
}

func.func @test_resolved() {
  %0 = tfm.constant dense<[[0.0, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0], [8.0, 9.0, 10.0, 11.0]]> : tensor<3x4xf32>
  %r = tfm.slice %0 offsets [#tfm.dim<1>, #tfm.dim<0>] sizes [#tfm.dim<2>, #tfm.dim<2>] strides [1, 2] : (tensor<3x4xf32>) -> tensor<2x2xf32>
  %e = tfm.constant dense<[[4.0, 6.0], [8.0, 10.0]]> : tensor<2x2xf32>
  check.expect_equal %r, %e : tensor<2x2xf32>
  return
}

func.func @test_resolved_reversed() {
  %0 = tfm.constant dense<[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]> : tensor<10xf32>
  %r = tfm.slice %0 offsets [#tfm.dim<9>] sizes [#tfm.dim<10>] strides [-1] : (tensor<10xf32>) -> tensor<10xf32>
  %e = tfm.constant dense<[9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0]> : tensor<10xf32>
  check.expect_equal %r, %e : tensor<10xf32>
  return
}

func.func @test_resolved_empty_at_the_end() {
  %0 = tfm.constant dense<[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]> : tensor<10xf32>
  %r = tfm.slice %0 offsets [#tfm.dim<10>] sizes [#tfm.dim<0>] strides [1] : (tensor<10xf32>) -> tensor<0xf32>
  %e = tfm.constant dense<> : tensor<0xf32>
  check.expect_equal %r, %e : tensor<0xf32>
  return
}
