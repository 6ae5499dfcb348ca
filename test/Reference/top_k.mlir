// RUN: permalloy-opt %s --check-interpret -o /dev/null

func.func @test_largest_ties_to_the_lower_position() {
  %x = tfm.constant dense<[[1.0, 3.0, 3.0, 2.0], [0.0, -1.0, 0x7FC00000, 0x7F800000]]> : tensor<2x4xf32>
  %r = tfm.top_k %x k #tfm.dim<3> {axis = 1 : i64} : (tensor<2x4xf32>) -> tensor<2x3xi64>
  %e = tfm.constant dense<[[1, 2, 3], [2, 3, 0]]> : tensor<2x3xi64>
  check.expect_equal %r, %e : tensor<2x3xi64>
  return
}

func.func @test_smallest_along_the_first_axis() {
  %x = tfm.constant dense<[[4, 1], [4, -2], [3, 5]]> : tensor<3x2xi64>
  %r = tfm.top_k %x k #tfm.dim<2> {axis = 0 : i64, smallest} : (tensor<3x2xi64>) -> tensor<2x2xi64>
  %e = tfm.constant dense<[[2, 1], [0, 0]]> : tensor<2x2xi64>
  check.expect_equal %r, %e : tensor<2x2xi64>
  return
}

func.func @test_count_is_an_operand() {
  %x = tfm.constant dense<[5.0, 7.0, 6.0]> : tensor<3xf32>
  %k = tfm.constant dense<2> : tensor<1xi64>
  %r = tfm.top_k %x count %k {axis = 0 : i64} : (tensor<3xf32>, tensor<1xi64>) -> tensor<2xi64>
  %e = tfm.constant dense<[1, 2]> : tensor<2xi64>
  check.expect_equal %r, %e : tensor<2xi64>
  return
}

func.func @test_none() {
  %x = tfm.constant dense<[5, 7, 6]> : tensor<3xi32>
  %r = tfm.top_k %x k #tfm.dim<0> {axis = 0 : i64} : (tensor<3xi32>) -> tensor<0xi64>
  %e = tfm.constant dense<> : tensor<0xi64>
  check.expect_equal %r, %e : tensor<0xi64>
  return
}
