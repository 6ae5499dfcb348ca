// RUN: permalloy-opt %s --check-interpret -o /dev/null
//
// ONNX GatherND.

func.func @test_whole_tuples() {
  %0 = tfm.constant dense<[[[0.0, 1.0], [2.0, 3.0]], [[4.0, 5.0], [6.0, 7.0]]]> : tensor<2x2x2xf32>
  %1 = tfm.constant dense<[[0, 1, 1], [-1, 0, 0]]> : tensor<2x3xi64>
  %r = tfm.gather_nd %0, %1 : (tensor<2x2x2xf32>, tensor<2x3xi64>) -> tensor<2xf32>
  %e = tfm.constant dense<[3.0, 4.0]> : tensor<2xf32>
  check.expect_equal %r, %e : tensor<2xf32>
  return
}

func.func @test_partial_tuples() {
  %0 = tfm.constant dense<[[[0.0, 1.0], [2.0, 3.0]], [[4.0, 5.0], [6.0, 7.0]]]> : tensor<2x2x2xf32>
  %1 = tfm.constant dense<[[[1]], [[0]]]> : tensor<2x1x1xi64>
  %r = tfm.gather_nd %0, %1 : (tensor<2x2x2xf32>, tensor<2x1x1xi64>) -> tensor<2x1x2x2xf32>
  %e = tfm.constant dense<[[[[4.0, 5.0], [6.0, 7.0]]], [[[0.0, 1.0], [2.0, 3.0]]]]> : tensor<2x1x2x2xf32>
  check.expect_equal %r, %e : tensor<2x1x2x2xf32>
  return
}

func.func @test_batch_dims() {
  %0 = tfm.constant dense<[[[0.0, 1.0], [2.0, 3.0]], [[4.0, 5.0], [6.0, 7.0]]]> : tensor<2x2x2xf32>
  %1 = tfm.constant dense<[[1], [0]]> : tensor<2x1xi64>
  %r = tfm.gather_nd %0, %1 {batch_dims = 1 : i64} : (tensor<2x2x2xf32>, tensor<2x1xi64>) -> tensor<2x2xf32>
  %e = tfm.constant dense<[[2.0, 3.0], [4.0, 5.0]]> : tensor<2x2xf32>
  check.expect_equal %r, %e : tensor<2x2xf32>
  return
}

func.func @test_bool() {
  %0 = tfm.constant dense<[[true, false], [false, true]]> : tensor<2x2xi1>
  %1 = tfm.constant dense<[[0, 0], [1, 0]]> : tensor<2x2xi64>
  %r = tfm.gather_nd %0, %1 : (tensor<2x2xi1>, tensor<2x2xi64>) -> tensor<2xi1>
  %e = tfm.constant dense<[true, false]> : tensor<2xi1>
  check.expect_equal %r, %e : tensor<2xi1>
  return
}

func.func @test_one_tuple() {
  %0 = tfm.constant dense<[[[0.0, 1.0], [2.0, 3.0]], [[4.0, 5.0], [6.0, 7.0]]]> : tensor<2x2x2xf32>
  %1 = tfm.constant dense<1> : tensor<2xi64>
  %r = tfm.gather_nd %0, %1 : (tensor<2x2x2xf32>, tensor<2xi64>) -> tensor<2xf32>
  %e = tfm.constant dense<[6.0, 7.0]> : tensor<2xf32>
  check.expect_equal %r, %e : tensor<2xf32>
  return
}
