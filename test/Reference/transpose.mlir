// RUN: permalloy-opt %s --check-interpret -o /dev/null

func.func @test_perm_021() {
  %0 = tfm.constant dense<[[[0.0, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0], [8.0, 9.0, 10.0, 11.0]], [[12.0, 13.0, 14.0, 15.0], [16.0, 17.0, 18.0, 19.0], [20.0, 21.0, 22.0, 23.0]]]> : tensor<2x3x4xf32>
  %r = tfm.transpose %0 [0, 2, 1] : (tensor<2x3x4xf32>) -> tensor<2x4x3xf32>
  %e = tfm.constant dense<[[[0.0, 4.0, 8.0], [1.0, 5.0, 9.0], [2.0, 6.0, 10.0], [3.0, 7.0, 11.0]], [[12.0, 16.0, 20.0], [13.0, 17.0, 21.0], [14.0, 18.0, 22.0], [15.0, 19.0, 23.0]]]> : tensor<2x4x3xf32>
  check.expect_equal %r, %e : tensor<2x4x3xf32>
  return
}

func.func @test_perm_201() {
  %0 = tfm.constant dense<[[[0.0, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0], [8.0, 9.0, 10.0, 11.0]], [[12.0, 13.0, 14.0, 15.0], [16.0, 17.0, 18.0, 19.0], [20.0, 21.0, 22.0, 23.0]]]> : tensor<2x3x4xf32>
  %r = tfm.transpose %0 [2, 0, 1] : (tensor<2x3x4xf32>) -> tensor<4x2x3xf32>
  %e = tfm.constant dense<[[[0.0, 4.0, 8.0], [12.0, 16.0, 20.0]], [[1.0, 5.0, 9.0], [13.0, 17.0, 21.0]], [[2.0, 6.0, 10.0], [14.0, 18.0, 22.0]], [[3.0, 7.0, 11.0], [15.0, 19.0, 23.0]]]> : tensor<4x2x3xf32>
  check.expect_equal %r, %e : tensor<4x2x3xf32>
  return
}

func.func @test_perm_210() {
  %0 = tfm.constant dense<[[[0.0, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0], [8.0, 9.0, 10.0, 11.0]], [[12.0, 13.0, 14.0, 15.0], [16.0, 17.0, 18.0, 19.0], [20.0, 21.0, 22.0, 23.0]]]> : tensor<2x3x4xf32>
  %r = tfm.transpose %0 [2, 1, 0] : (tensor<2x3x4xf32>) -> tensor<4x3x2xf32>
  %e = tfm.constant dense<[[[0.0, 12.0], [4.0, 16.0], [8.0, 20.0]], [[1.0, 13.0], [5.0, 17.0], [9.0, 21.0]], [[2.0, 14.0], [6.0, 18.0], [10.0, 22.0]], [[3.0, 15.0], [7.0, 19.0], [11.0, 23.0]]]> : tensor<4x3x2xf32>
  check.expect_equal %r, %e : tensor<4x3x2xf32>
  return
}

func.func @test_perm_012() {
  %0 = tfm.constant dense<[[[0.0, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0], [8.0, 9.0, 10.0, 11.0]], [[12.0, 13.0, 14.0, 15.0], [16.0, 17.0, 18.0, 19.0], [20.0, 21.0, 22.0, 23.0]]]> : tensor<2x3x4xf32>
  %r = tfm.transpose %0 [0, 1, 2] : (tensor<2x3x4xf32>) -> tensor<2x3x4xf32>
  %e = tfm.constant dense<[[[0.0, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0], [8.0, 9.0, 10.0, 11.0]], [[12.0, 13.0, 14.0, 15.0], [16.0, 17.0, 18.0, 19.0], [20.0, 21.0, 22.0, 23.0]]]> : tensor<2x3x4xf32>
  check.expect_equal %r, %e : tensor<2x3x4xf32>
  return
}

func.func @test_rank_4() {
  %0 = tfm.constant dense<[[[[0, 1], [2, 3]], [[4, 5], [6, 7]]], [[[8, 9], [10, 11]], [[12, 13], [14, 15]]]]> : tensor<2x2x2x2xi8>
  %r = tfm.transpose %0 [0, 2, 1, 3] : (tensor<2x2x2x2xi8>) -> tensor<2x2x2x2xi8>
  %e = tfm.constant dense<[[[[0, 1], [4, 5]], [[2, 3], [6, 7]]], [[[8, 9], [12, 13]], [[10, 11], [14, 15]]]]> : tensor<2x2x2x2xi8>
  check.expect_equal %r, %e : tensor<2x2x2x2xi8>
  return
}

func.func @test_scalar() {
  %0 = tfm.constant dense<1.0> : tensor<f32>
  %r = tfm.transpose %0 [] : (tensor<f32>) -> tensor<f32>
  %e = tfm.constant dense<1.0> : tensor<f32>
  check.expect_equal %r, %e : tensor<f32>
  return
}

func.func @test_bool() {
  %0 = tfm.constant dense<[[true, false, false]]> : tensor<1x3xi1>
  %r = tfm.transpose %0 [1, 0] : (tensor<1x3xi1>) -> tensor<3x1xi1>
  %e = tfm.constant dense<[[true], [false], [false]]> : tensor<3x1xi1>
  check.expect_equal %r, %e : tensor<3x1xi1>
  return
}

func.func @test_empty() {
  %0 = tfm.constant dense<> : tensor<0x3xf32>
  %r = tfm.transpose %0 [1, 0] : (tensor<0x3xf32>) -> tensor<3x0xf32>
  %e = tfm.constant dense<> : tensor<3x0xf32>
  check.expect_equal %r, %e : tensor<3x0xf32>
  return
}
