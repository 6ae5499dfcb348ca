// RUN: permalloy-opt %s --check-interpret -o /dev/null

func.func @test_rows() {
  %0 = tfm.constant dense<[[1.0, 2.0]]> : tensor<1x2xf32>
  %1 = tfm.constant dense<[[3.0, 4.0], [5.0, 6.0]]> : tensor<2x2xf32>
  %r = tfm.concat %0, %1 {axis = 0 : i64} : (tensor<1x2xf32>, tensor<2x2xf32>) -> tensor<3x2xf32>
  %e = tfm.constant dense<[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]> : tensor<3x2xf32>
  check.expect_equal %r, %e : tensor<3x2xf32>
  return
}

func.func @test_columns() {
  %0 = tfm.constant dense<[[1], [2]]> : tensor<2x1xi64>
  %1 = tfm.constant dense<[[3, 4], [5, 6]]> : tensor<2x2xi64>
  %2 = tfm.constant dense<> : tensor<2x0xi64>
  %r = tfm.concat %0, %1, %2 {axis = 1 : i64} : (tensor<2x1xi64>, tensor<2x2xi64>, tensor<2x0xi64>) -> tensor<2x3xi64>
  %e = tfm.constant dense<[[1, 3, 4], [2, 5, 6]]> : tensor<2x3xi64>
  check.expect_equal %r, %e : tensor<2x3xi64>
  return
}

func.func @test_one() {
  %0 = tfm.constant dense<[1]> : tensor<1xi64>
  %r = tfm.concat %0 {axis = 0 : i64} : (tensor<1xi64>) -> tensor<1xi64>
  %e = tfm.constant dense<[1]> : tensor<1xi64>
  check.expect_equal %r, %e : tensor<1xi64>
  return
}

func.func @test_middle() {
  %0 = tfm.constant dense<[[[1.0, 2.0]], [[3.0, 4.0]]]> : tensor<2x1x2xf16>
  %1 = tfm.constant dense<[[[5.0, 6.0]], [[7.0, 8.0]]]> : tensor<2x1x2xf16>
  %r = tfm.concat %0, %1 {axis = 1 : i64} : (tensor<2x1x2xf16>, tensor<2x1x2xf16>) -> tensor<2x2x2xf16>
  %e = tfm.constant dense<[[[1.0, 2.0], [5.0, 6.0]], [[3.0, 4.0], [7.0, 8.0]]]> : tensor<2x2x2xf16>
  check.expect_equal %r, %e : tensor<2x2x2xf16>
  return
}

func.func @test_bool() {
  %0 = tfm.constant dense<[true]> : tensor<1xi1>
  %1 = tfm.constant dense<[false]> : tensor<1xi1>
  %r = tfm.concat %0, %1 {axis = 0 : i64} : (tensor<1xi1>, tensor<1xi1>) -> tensor<2xi1>
  %e = tfm.constant dense<[true, false]> : tensor<2xi1>
  check.expect_equal %r, %e : tensor<2xi1>
  return
}
