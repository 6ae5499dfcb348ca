// RUN: permalloy-opt %s --check-interpret -o /dev/null

func.func @test_bools_in_row_major_order() {
  %x = tfm.constant dense<[[true, false, true], [false, true, false]]> : tensor<2x3xi1>
  %r = tfm.non_zero %x : (tensor<2x3xi1>) -> tensor<2x?xi64>
  %e = tfm.constant dense<[[0, 0, 1], [0, 2, 1]]> : tensor<2x3xi64>
  %c = tfm.reshape %r dims [#tfm.dim<2>, #tfm.dim<3>] : (tensor<2x?xi64>) -> tensor<2x3xi64>
  check.expect_equal %c, %e : tensor<2x3xi64>
  return
}

func.func @test_nothing_found() {
  %x = tfm.constant dense<0.0> : tensor<4xf32>
  %r = tfm.non_zero %x : (tensor<4xf32>) -> tensor<1x?xi64>
  %e = tfm.constant dense<> : tensor<1x0xi64>
  %c = tfm.reshape %r dims [#tfm.dim<1>, #tfm.dim<0>] : (tensor<1x?xi64>) -> tensor<1x0xi64>
  check.expect_equal %c, %e : tensor<1x0xi64>
  return
}
