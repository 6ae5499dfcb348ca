// RUN: permalloy-opt %s --check-interpret -o /dev/null
//
// ONNX ScatterND and ScatterElements.

func.func @test_slices_by_tuples() {
  %x = tfm.constant dense<[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]> : tensor<3x2xf32>
  %i = tfm.constant dense<[[-1], [0], [2]]> : tensor<3x1xi64>
  %u = tfm.constant dense<[[10.0, 20.0], [30.0, 40.0], [50.0, 60.0]]> : tensor<3x2xf32>
  %last = tfm.scatter none %x, %i, %u : (tensor<3x2xf32>, tensor<3x1xi64>, tensor<3x2xf32>) -> tensor<3x2xf32>
  %sum = tfm.scatter add %x, %i, %u : (tensor<3x2xf32>, tensor<3x1xi64>, tensor<3x2xf32>) -> tensor<3x2xf32>
  %e = tfm.constant dense<[[30.0, 40.0], [3.0, 4.0], [50.0, 60.0]]> : tensor<3x2xf32>
  %f = tfm.constant dense<[[31.0, 42.0], [3.0, 4.0], [65.0, 86.0]]> : tensor<3x2xf32>
  check.expect_equal %last, %e : tensor<3x2xf32>
  check.expect_equal %sum, %f : tensor<3x2xf32>
  return
}

func.func @test_single_elements() {
  %x = tfm.constant dense<[[1, 2], [3, 4]]> : tensor<2x2xi32>
  %i = tfm.constant dense<[[0, 1], [1, 0], [0, 1]]> : tensor<3x2xi64>
  %u = tfm.constant dense<[5, 7, 3]> : tensor<3xi32>
  %max = tfm.scatter max %x, %i, %u : (tensor<2x2xi32>, tensor<3x2xi64>, tensor<3xi32>) -> tensor<2x2xi32>
  %mul = tfm.scatter mul %x, %i, %u : (tensor<2x2xi32>, tensor<3x2xi64>, tensor<3xi32>) -> tensor<2x2xi32>
  %e = tfm.constant dense<[[1, 5], [7, 4]]> : tensor<2x2xi32>
  %f = tfm.constant dense<[[1, 30], [21, 4]]> : tensor<2x2xi32>
  check.expect_equal %max, %e : tensor<2x2xi32>
  check.expect_equal %mul, %f : tensor<2x2xi32>
  return
}

func.func @test_elements_along_an_axis() {
  %x = tfm.constant dense<[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]> : tensor<2x3xf32>
  %i = tfm.constant dense<[[1, 0], [1, -1]]> : tensor<2x2xi64>
  %u = tfm.constant dense<[[0.5, 9.0], [-1.0, 7.0]]> : tensor<2x2xf32>
  %last = tfm.scatter none %x, %i, %u {axis = 0 : i64} : (tensor<2x3xf32>, tensor<2x2xi64>, tensor<2x2xf32>) -> tensor<2x3xf32>
  %min = tfm.scatter min %x, %i, %u {axis = 1 : i64} : (tensor<2x3xf32>, tensor<2x2xi64>, tensor<2x2xf32>) -> tensor<2x3xf32>
  %e = tfm.constant dense<[[1.0, 9.0, 3.0], [-1.0, 7.0, 6.0]]> : tensor<2x3xf32>
  %f = tfm.constant dense<[[1.0, 0.5, 3.0], [4.0, -1.0, 6.0]]> : tensor<2x3xf32>
  check.expect_equal %last, %e : tensor<2x3xf32>
  check.expect_equal %min, %f : tensor<2x3xf32>
  return
}
