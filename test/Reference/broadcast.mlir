// RUN: permalloy-opt %s --check-interpret -o /dev/null

func.func @test_rows() {
  %0 = tfm.constant dense<[[1.0, 2.0]]> : tensor<1x2xf32>
  %r = tfm.broadcast %0 dims [#tfm.dim<3>, #tfm.dim<2>] : (tensor<1x2xf32>) -> tensor<3x2xf32>
  %e = tfm.constant dense<[[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]]> : tensor<3x2xf32>
  check.expect_equal %r, %e : tensor<3x2xf32>
  return
}

func.func @test_new_dimensions() {
  %0 = tfm.constant dense<[1, 2]> : tensor<2xi64>
  %r = tfm.broadcast %0 dims [#tfm.dim<2>, #tfm.dim<1>, #tfm.dim<2>] : (tensor<2xi64>) -> tensor<2x1x2xi64>
  %e = tfm.constant dense<[[[1, 2]], [[1, 2]]]> : tensor<2x1x2xi64>
  check.expect_equal %r, %e : tensor<2x1x2xi64>
  return
}

func.func @test_scalar() {
  %0 = tfm.constant dense<true> : tensor<i1>
  %r = tfm.broadcast %0 dims [#tfm.dim<2>] : (tensor<i1>) -> tensor<2xi1>
  %e = tfm.constant dense<true> : tensor<2xi1>
  check.expect_equal %r, %e : tensor<2xi1>
  return
}

// ONNX Expand: a 1 in the shape keeps the input's dimension.
func.func @test_either_side_holds_the_one() {
  %0 = tfm.constant dense<[[1.0], [2.0]]> : tensor<2x1xf32>
  %1 = tfm.constant dense<[1, 1, 3]> : tensor<3xi64>
  %r = tfm.broadcast %0 shape %1 : (tensor<2x1xf32>, tensor<3xi64>) -> tensor<1x2x3xf32>
  %e = tfm.constant dense<[[[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]]]> : tensor<1x2x3xf32>
  check.expect_equal %r, %e : tensor<1x2x3xf32>
  return
}

func.func @test_to_empty() {
  %0 = tfm.constant dense<[1.0]> : tensor<1xf32>
  %r = tfm.broadcast %0 dims [#tfm.dim<0>] : (tensor<1xf32>) -> tensor<0xf32>
  %e = tfm.constant dense<> : tensor<0xf32>
  check.expect_equal %r, %e : tensor<0xf32>
  return
}
