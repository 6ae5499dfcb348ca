// RUN: permalloy-opt %s --check-interpret -o /dev/null

// Equal magnitudes count each; the sign does not; rows that are too short have 0.
func.func @test_limit() {
  %x = tfm.constant dense<[[1.0, -4.0, 4.0, 2.0], [0.0, -0.0, 0.0, -3.0], [0x7FC00000, 0xFF800000, 5.0, -6.0]]> : tensor<3x4xf32>
  %2 = tfm.outlier_limit %x {count = 1 : i64} : (tensor<3x4xf32>) -> tensor<3x1xf32>
  %e2 = tfm.constant dense<[[4.0], [0.0], [0x7F800000]]> : tensor<3x1xf32>
  check.expect_equal %2, %e2 : tensor<3x1xf32>
  %3 = tfm.outlier_limit %x {count = 2 : i64} : (tensor<3x4xf32>) -> tensor<3x1xf32>
  %e3 = tfm.constant dense<[[2.0], [0.0], [6.0]]> : tensor<3x1xf32>
  check.expect_equal %3, %e3 : tensor<3x1xf32>
  %5 = tfm.outlier_limit %x {count = 4 : i64} : (tensor<3x4xf32>) -> tensor<3x1xf32>
  %e5 = tfm.constant dense<0.0> : tensor<3x1xf32>
  check.expect_equal %5, %e5 : tensor<3x1xf32>
  return
}

func.func @test_half() {
  %x = tfm.constant dense<[1.0, -4.0, 3.0]> : tensor<3xbf16>
  %r = tfm.outlier_limit %x {count = 1 : i64} : (tensor<3xbf16>) -> tensor<1xbf16>
  %e = tfm.constant dense<3.0> : tensor<1xbf16>
  check.expect_equal %r, %e : tensor<1xbf16>
  return
}

// In the order of the row, no more than there is room for; NaN is beyond every limit, and every number beyond NaN.
func.func @test_positions() {
  %x = tfm.constant dense<[[1.0, -4.0, 4.5, 2.0], [1.0, 2.0, 3.0, 4.0], [0x7FC00000, 0.0, 9.0, 9.0], [1.0, 2.0, 3.0, 4.0]]> : tensor<4x4xf32>
  %l = tfm.constant dense<[[3.0], [4.0], [8.0], [0x7FC00000]]> : tensor<4x1xf32>
  %r = tfm.outlier_positions %x, %l {count = 2 : i64} : (tensor<4x4xf32>, tensor<4x1xf32>) -> tensor<4x2xi32>
  %e = tfm.constant dense<[[1, 2], [-1, -1], [0, 2], [0, 1]]> : tensor<4x2xi32>
  check.expect_equal %r, %e : tensor<4x2xi32>
  return
}

func.func @test_values() {
  %x = tfm.constant dense<[[1.0, -4.0, 4.5], [5.0, 6.0, 7.0]]> : tensor<2x3xf32>
  %p = tfm.constant dense<[[2, 0], [1, -1]]> : tensor<2x2xi32>
  %r = tfm.outlier_values %x, %p : (tensor<2x3xf32>, tensor<2x2xi32>) -> tensor<2x2xf32>
  %e = tfm.constant dense<[[4.5, 1.0], [6.0, 0.0]]> : tensor<2x2xf32>
  check.expect_equal %r, %e : tensor<2x2xf32>
  return
}

// A position twice counts twice; -1 is the last row.
func.func @test_linear() {
  %v = tfm.constant dense<[[0.5, 2.0], [3.0, 0.0], [1.0, 1.0]]> : tensor<3x2xf32>
  %p = tfm.constant dense<[[0, 2], [1, -1], [2, 2]]> : tensor<3x2xi32>
  %w = tfm.constant dense<[[1, 2], [-127, 4], [5, -6]]> : tensor<3x2xi8>
  %r = tfm.outlier_linear %v, %p, %w : (tensor<3x2xf32>, tensor<3x2xi32>, tensor<3x2xi8>) -> tensor<3x2xf32>
  %e = tfm.constant dense<[[10.5, -11.0], [-381.0, 12.0], [10.0, -12.0]]> : tensor<3x2xf32>
  check.expect_equal %r, %e : tensor<3x2xf32>
  %panels = tfm.pack %w : (tensor<3x2xi8>) -> tensor<3x2xi8, #tfm.panels>
  %packed = tfm.outlier_linear %v, %p, %panels : (tensor<3x2xf32>, tensor<3x2xi32>, tensor<3x2xi8, #tfm.panels>) -> tensor<3x2xf32>
  check.expect_equal %packed, %e : tensor<3x2xf32>
  return
}
