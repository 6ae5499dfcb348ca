// RUN: permalloy-opt %s --check-interpret -o /dev/null
//
// ONNX Gather; negative indices count from the end.

func.func @test_rows() {
  %0 = tfm.constant dense<[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]> : tensor<3x2xf32>
  %1 = tfm.constant dense<[[2, 0], [-1, -3]]> : tensor<2x2xi64>
  %r = tfm.gather %0, %1 {axis = 0 : i64} : (tensor<3x2xf32>, tensor<2x2xi64>) -> tensor<2x2x2xf32>
  %e = tfm.constant dense<[[[5.0, 6.0], [1.0, 2.0]], [[5.0, 6.0], [1.0, 2.0]]]> : tensor<2x2x2xf32>
  check.expect_equal %r, %e : tensor<2x2x2xf32>
  return
}

func.func @test_columns() {
  %0 = tfm.constant dense<[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]> : tensor<3x2xf32>
  %1 = tfm.constant dense<[1]> : tensor<1xi64>
  %r = tfm.gather %0, %1 {axis = 1 : i64} : (tensor<3x2xf32>, tensor<1xi64>) -> tensor<3x1xf32>
  %e = tfm.constant dense<[[2.0], [4.0], [6.0]]> : tensor<3x1xf32>
  check.expect_equal %r, %e : tensor<3x1xf32>
  return
}

func.func @test_scalar_index() {
  %0 = tfm.constant dense<[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]> : tensor<3x2xf32>
  %1 = tfm.constant dense<-2> : tensor<i64>
  %r = tfm.gather %0, %1 {axis = 0 : i64} : (tensor<3x2xf32>, tensor<i64>) -> tensor<2xf32>
  %e = tfm.constant dense<[3.0, 4.0]> : tensor<2xf32>
  check.expect_equal %r, %e : tensor<2xf32>
  return
}

func.func @test_of_f16() {
  %0 = tfm.constant dense<[0.0, 1.0, 1.0]> : tensor<3xf16>
  %1 = tfm.constant dense<[2, 0]> : tensor<2xi64>
  %r = tfm.gather %0, %1 {axis = 0 : i64} : (tensor<3xf16>, tensor<2xi64>) -> tensor<2xf16>
  %e = tfm.constant dense<[1.0, 0.0]> : tensor<2xf16>
  check.expect_equal %r, %e : tensor<2xf16>
  return
}

func.func @test_of_bf16() {
  %0 = tfm.constant dense<[0.0, 1.0, 1.0]> : tensor<3xbf16>
  %1 = tfm.constant dense<[2, 0]> : tensor<2xi64>
  %r = tfm.gather %0, %1 {axis = 0 : i64} : (tensor<3xbf16>, tensor<2xi64>) -> tensor<2xbf16>
  %e = tfm.constant dense<[1.0, 0.0]> : tensor<2xbf16>
  check.expect_equal %r, %e : tensor<2xbf16>
  return
}

func.func @test_of_f64() {
  %0 = tfm.constant dense<[0.0, 1.0, 1.0]> : tensor<3xf64>
  %1 = tfm.constant dense<[2, 0]> : tensor<2xi64>
  %r = tfm.gather %0, %1 {axis = 0 : i64} : (tensor<3xf64>, tensor<2xi64>) -> tensor<2xf64>
  %e = tfm.constant dense<[1.0, 0.0]> : tensor<2xf64>
  check.expect_equal %r, %e : tensor<2xf64>
  return
}

func.func @test_of_i8() {
  %0 = tfm.constant dense<[0, 1, 1]> : tensor<3xi8>
  %1 = tfm.constant dense<[2, 0]> : tensor<2xi64>
  %r = tfm.gather %0, %1 {axis = 0 : i64} : (tensor<3xi8>, tensor<2xi64>) -> tensor<2xi8>
  %e = tfm.constant dense<[1, 0]> : tensor<2xi8>
  check.expect_equal %r, %e : tensor<2xi8>
  return
}

func.func @test_of_i32() {
  %0 = tfm.constant dense<[0, 1, 1]> : tensor<3xi32>
  %1 = tfm.constant dense<[2, 0]> : tensor<2xi64>
  %r = tfm.gather %0, %1 {axis = 0 : i64} : (tensor<3xi32>, tensor<2xi64>) -> tensor<2xi32>
  %e = tfm.constant dense<[1, 0]> : tensor<2xi32>
  check.expect_equal %r, %e : tensor<2xi32>
  return
}

func.func @test_of_i64() {
  %0 = tfm.constant dense<[0, 1, 1]> : tensor<3xi64>
  %1 = tfm.constant dense<[2, 0]> : tensor<2xi64>
  %r = tfm.gather %0, %1 {axis = 0 : i64} : (tensor<3xi64>, tensor<2xi64>) -> tensor<2xi64>
  %e = tfm.constant dense<[1, 0]> : tensor<2xi64>
  check.expect_equal %r, %e : tensor<2xi64>
  return
}

func.func @test_of_i1() {
  %0 = tfm.constant dense<[false, true, true]> : tensor<3xi1>
  %1 = tfm.constant dense<[2, 0]> : tensor<2xi64>
  %r = tfm.gather %0, %1 {axis = 0 : i64} : (tensor<3xi1>, tensor<2xi64>) -> tensor<2xi1>
  %e = tfm.constant dense<[true, false]> : tensor<2xi1>
  check.expect_equal %r, %e : tensor<2xi1>
  return
}

func.func @test_i32_indices() {
  %0 = tfm.constant dense<[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]> : tensor<3x2xf32>
  %1 = tfm.constant dense<[1]> : tensor<1xi32>
  %r = tfm.gather %0, %1 {axis = 0 : i64} : (tensor<3x2xf32>, tensor<1xi32>) -> tensor<1x2xf32>
  %e = tfm.constant dense<[[3.0, 4.0]]> : tensor<1x2xf32>
  check.expect_equal %r, %e : tensor<1x2xf32>
  return
}

func.func @test_middle_axis() {
  %0 = tfm.constant dense<[[[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]], [[6.0, 7.0], [8.0, 9.0], [10.0, 11.0]]]> : tensor<2x3x2xf32>
  %1 = tfm.constant dense<2> : tensor<2xi64>
  %r = tfm.gather %0, %1 {axis = 1 : i64} : (tensor<2x3x2xf32>, tensor<2xi64>) -> tensor<2x2x2xf32>
  %e = tfm.constant dense<[[[4.0, 5.0], [4.0, 5.0]], [[10.0, 11.0], [10.0, 11.0]]]> : tensor<2x2x2xf32>
  check.expect_equal %r, %e : tensor<2x2x2xf32>
  return
}

func.func @test_no_indices() {
  %0 = tfm.constant dense<[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]> : tensor<3x2xf32>
  %1 = tfm.constant dense<> : tensor<0xi64>
  %r = tfm.gather %0, %1 {axis = 0 : i64} : (tensor<3x2xf32>, tensor<0xi64>) -> tensor<0x2xf32>
  %e = tfm.constant dense<> : tensor<0x2xf32>
  check.expect_equal %r, %e : tensor<0x2xf32>
  return
}
