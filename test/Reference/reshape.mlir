// RUN: permalloy-opt %s --check-interpret -o /dev/null

func.func @test_dims() {
  %0 = tfm.constant dense<[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]> : tensor<2x3xf32>
  %r = tfm.reshape %0 dims [#tfm.dim<3>, #tfm.dim<2>] : (tensor<2x3xf32>) -> tensor<3x2xf32>
  %e = tfm.constant dense<[[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]> : tensor<3x2xf32>
  check.expect_equal %r, %e : tensor<3x2xf32>
  return
}

func.func @test_inferred() {
  %0 = tfm.constant dense<[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]> : tensor<2x3xf32>
  %1 = tfm.constant dense<[-1]> : tensor<1xi64>
  %r = tfm.reshape %0 shape %1 : (tensor<2x3xf32>, tensor<1xi64>) -> tensor<6xf32>
  %e = tfm.constant dense<[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]> : tensor<6xf32>
  check.expect_equal %r, %e : tensor<6xf32>
  return
}

func.func @test_copied_and_inferred() {
  %0 = tfm.constant dense<[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]> : tensor<2x3xf32>
  %1 = tfm.constant dense<[0, 1, -1]> : tensor<3xi64>
  %r = tfm.reshape %0 shape %1 : (tensor<2x3xf32>, tensor<3xi64>) -> tensor<2x1x3xf32>
  %e = tfm.constant dense<[[[0.0, 1.0, 2.0]], [[3.0, 4.0, 5.0]]]> : tensor<2x1x3xf32>
  check.expect_equal %r, %e : tensor<2x1x3xf32>
  return
}

func.func @test_to_scalar() {
  %0 = tfm.constant dense<[7]> : tensor<1xi64>
  %r = tfm.reshape %0 dims [] : (tensor<1xi64>) -> tensor<i64>
  %e = tfm.constant dense<7> : tensor<i64>
  check.expect_equal %r, %e : tensor<i64>
  return
}

func.func @test_allow_zero() {
  %0 = tfm.constant dense<> : tensor<0x3xf32>
  %1 = tfm.constant dense<[3, 0]> : tensor<2xi64>
  %r = tfm.reshape %0 shape %1 {allow_zero} : (tensor<0x3xf32>, tensor<2xi64>) -> tensor<3x0xf32>
  %e = tfm.constant dense<> : tensor<3x0xf32>
  check.expect_equal %r, %e : tensor<3x0xf32>
  return
}

func.func @test_copies_a_zero() {
  %0 = tfm.constant dense<> : tensor<0x3xf32>
  %1 = tfm.constant dense<[0, 3]> : tensor<2xi64>
  %r = tfm.reshape %0 shape %1 : (tensor<0x3xf32>, tensor<2xi64>) -> tensor<0x3xf32>
  %e = tfm.constant dense<> : tensor<0x3xf32>
  check.expect_equal %r, %e : tensor<0x3xf32>
  return
}

func.func @test_bool() {
  %0 = tfm.constant dense<[[true], [false]]> : tensor<2x1xi1>
  %r = tfm.reshape %0 dims [#tfm.dim<2>] : (tensor<2x1xi1>) -> tensor<2xi1>
  %e = tfm.constant dense<[true, false]> : tensor<2xi1>
  check.expect_equal %r, %e : tensor<2xi1>
  return
}
