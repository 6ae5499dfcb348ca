// RUN: permalloy-opt %s --check-interpret -o /dev/null

// Comparisons with NaN are false, but ne is true.
func.func @test_eq_f32() {
  %0 = tfm.constant dense<[1.0, 2.0, 3.0, 0x7FC00000, 0x7FC00000, 0x7F800000, 0.0]> : tensor<7xf32>
  %1 = tfm.constant dense<[2.0, 2.0, 2.0, 1.0, 0x7FC00000, 0x7F800000, -0.0]> : tensor<7xf32>
  %r = tfm.compare eq %0, %1 : (tensor<7xf32>, tensor<7xf32>) -> tensor<7xi1>
  %e = tfm.constant dense<[false, true, false, false, false, true, true]> : tensor<7xi1>
  check.expect_equal %r, %e : tensor<7xi1>
  return
}

func.func @test_eq_i64() {
  %0 = tfm.constant dense<[[1], [-5]]> : tensor<2x1xi64>
  %1 = tfm.constant dense<[-5, 1, 4611686018427387904]> : tensor<3xi64>
  %r = tfm.compare eq %0, %1 : (tensor<2x1xi64>, tensor<3xi64>) -> tensor<2x3xi1>
  %e = tfm.constant dense<[[false, true, false], [true, false, false]]> : tensor<2x3xi1>
  check.expect_equal %r, %e : tensor<2x3xi1>
  return
}

func.func @test_ne_f32() {
  %0 = tfm.constant dense<[1.0, 2.0, 3.0, 0x7FC00000, 0x7FC00000, 0x7F800000, 0.0]> : tensor<7xf32>
  %1 = tfm.constant dense<[2.0, 2.0, 2.0, 1.0, 0x7FC00000, 0x7F800000, -0.0]> : tensor<7xf32>
  %r = tfm.compare ne %0, %1 : (tensor<7xf32>, tensor<7xf32>) -> tensor<7xi1>
  %e = tfm.constant dense<[true, false, true, true, true, false, false]> : tensor<7xi1>
  check.expect_equal %r, %e : tensor<7xi1>
  return
}

func.func @test_ne_i64() {
  %0 = tfm.constant dense<[[1], [-5]]> : tensor<2x1xi64>
  %1 = tfm.constant dense<[-5, 1, 4611686018427387904]> : tensor<3xi64>
  %r = tfm.compare ne %0, %1 : (tensor<2x1xi64>, tensor<3xi64>) -> tensor<2x3xi1>
  %e = tfm.constant dense<[[true, false, true], [false, true, true]]> : tensor<2x3xi1>
  check.expect_equal %r, %e : tensor<2x3xi1>
  return
}

func.func @test_lt_f32() {
  %0 = tfm.constant dense<[1.0, 2.0, 3.0, 0x7FC00000, 0x7FC00000, 0x7F800000, 0.0]> : tensor<7xf32>
  %1 = tfm.constant dense<[2.0, 2.0, 2.0, 1.0, 0x7FC00000, 0x7F800000, -0.0]> : tensor<7xf32>
  %r = tfm.compare lt %0, %1 : (tensor<7xf32>, tensor<7xf32>) -> tensor<7xi1>
  %e = tfm.constant dense<[true, false, false, false, false, false, false]> : tensor<7xi1>
  check.expect_equal %r, %e : tensor<7xi1>
  return
}

func.func @test_lt_i64() {
  %0 = tfm.constant dense<[[1], [-5]]> : tensor<2x1xi64>
  %1 = tfm.constant dense<[-5, 1, 4611686018427387904]> : tensor<3xi64>
  %r = tfm.compare lt %0, %1 : (tensor<2x1xi64>, tensor<3xi64>) -> tensor<2x3xi1>
  %e = tfm.constant dense<[[false, false, true], [false, true, true]]> : tensor<2x3xi1>
  check.expect_equal %r, %e : tensor<2x3xi1>
  return
}

func.func @test_le_f32() {
  %0 = tfm.constant dense<[1.0, 2.0, 3.0, 0x7FC00000, 0x7FC00000, 0x7F800000, 0.0]> : tensor<7xf32>
  %1 = tfm.constant dense<[2.0, 2.0, 2.0, 1.0, 0x7FC00000, 0x7F800000, -0.0]> : tensor<7xf32>
  %r = tfm.compare le %0, %1 : (tensor<7xf32>, tensor<7xf32>) -> tensor<7xi1>
  %e = tfm.constant dense<[true, true, false, false, false, true, true]> : tensor<7xi1>
  check.expect_equal %r, %e : tensor<7xi1>
  return
}

func.func @test_le_i64() {
  %0 = tfm.constant dense<[[1], [-5]]> : tensor<2x1xi64>
  %1 = tfm.constant dense<[-5, 1, 4611686018427387904]> : tensor<3xi64>
  %r = tfm.compare le %0, %1 : (tensor<2x1xi64>, tensor<3xi64>) -> tensor<2x3xi1>
  %e = tfm.constant dense<[[false, true, true], [true, true, true]]> : tensor<2x3xi1>
  check.expect_equal %r, %e : tensor<2x3xi1>
  return
}

func.func @test_gt_f32() {
  %0 = tfm.constant dense<[1.0, 2.0, 3.0, 0x7FC00000, 0x7FC00000, 0x7F800000, 0.0]> : tensor<7xf32>
  %1 = tfm.constant dense<[2.0, 2.0, 2.0, 1.0, 0x7FC00000, 0x7F800000, -0.0]> : tensor<7xf32>
  %r = tfm.compare gt %0, %1 : (tensor<7xf32>, tensor<7xf32>) -> tensor<7xi1>
  %e = tfm.constant dense<[false, false, true, false, false, false, false]> : tensor<7xi1>
  check.expect_equal %r, %e : tensor<7xi1>
  return
}

func.func @test_gt_i64() {
  %0 = tfm.constant dense<[[1], [-5]]> : tensor<2x1xi64>
  %1 = tfm.constant dense<[-5, 1, 4611686018427387904]> : tensor<3xi64>
  %r = tfm.compare gt %0, %1 : (tensor<2x1xi64>, tensor<3xi64>) -> tensor<2x3xi1>
  %e = tfm.constant dense<[[true, false, false], [false, false, false]]> : tensor<2x3xi1>
  check.expect_equal %r, %e : tensor<2x3xi1>
  return
}

func.func @test_ge_f32() {
  %0 = tfm.constant dense<[1.0, 2.0, 3.0, 0x7FC00000, 0x7FC00000, 0x7F800000, 0.0]> : tensor<7xf32>
  %1 = tfm.constant dense<[2.0, 2.0, 2.0, 1.0, 0x7FC00000, 0x7F800000, -0.0]> : tensor<7xf32>
  %r = tfm.compare ge %0, %1 : (tensor<7xf32>, tensor<7xf32>) -> tensor<7xi1>
  %e = tfm.constant dense<[false, true, true, false, false, true, true]> : tensor<7xi1>
  check.expect_equal %r, %e : tensor<7xi1>
  return
}

func.func @test_ge_i64() {
  %0 = tfm.constant dense<[[1], [-5]]> : tensor<2x1xi64>
  %1 = tfm.constant dense<[-5, 1, 4611686018427387904]> : tensor<3xi64>
  %r = tfm.compare ge %0, %1 : (tensor<2x1xi64>, tensor<3xi64>) -> tensor<2x3xi1>
  %e = tfm.constant dense<[[true, true, false], [true, false, false]]> : tensor<2x3xi1>
  check.expect_equal %r, %e : tensor<2x3xi1>
  return
}

func.func @test_lt_f16() {
  %0 = tfm.constant dense<[1.0, 2.0, -3.0]> : tensor<3xf16>
  %1 = tfm.constant dense<[2.0, 2.0, 0.0]> : tensor<3xf16>
  %r = tfm.compare lt %0, %1 : (tensor<3xf16>, tensor<3xf16>) -> tensor<3xi1>
  %e = tfm.constant dense<[true, false, true]> : tensor<3xi1>
  check.expect_equal %r, %e : tensor<3xi1>
  return
}

func.func @test_lt_bf16() {
  %0 = tfm.constant dense<[1.0, 2.0, -3.0]> : tensor<3xbf16>
  %1 = tfm.constant dense<[2.0, 2.0, 0.0]> : tensor<3xbf16>
  %r = tfm.compare lt %0, %1 : (tensor<3xbf16>, tensor<3xbf16>) -> tensor<3xi1>
  %e = tfm.constant dense<[true, false, true]> : tensor<3xi1>
  check.expect_equal %r, %e : tensor<3xi1>
  return
}

func.func @test_lt_f64() {
  %0 = tfm.constant dense<[1.0, 2.0, -3.0]> : tensor<3xf64>
  %1 = tfm.constant dense<[2.0, 2.0, 0.0]> : tensor<3xf64>
  %r = tfm.compare lt %0, %1 : (tensor<3xf64>, tensor<3xf64>) -> tensor<3xi1>
  %e = tfm.constant dense<[true, false, true]> : tensor<3xi1>
  check.expect_equal %r, %e : tensor<3xi1>
  return
}

func.func @test_lt_i8() {
  %0 = tfm.constant dense<[1, 2, -3]> : tensor<3xi8>
  %1 = tfm.constant dense<[2, 2, 0]> : tensor<3xi8>
  %r = tfm.compare lt %0, %1 : (tensor<3xi8>, tensor<3xi8>) -> tensor<3xi1>
  %e = tfm.constant dense<[true, false, true]> : tensor<3xi1>
  check.expect_equal %r, %e : tensor<3xi1>
  return
}

func.func @test_lt_i32() {
  %0 = tfm.constant dense<[1, 2, -3]> : tensor<3xi32>
  %1 = tfm.constant dense<[2, 2, 0]> : tensor<3xi32>
  %r = tfm.compare lt %0, %1 : (tensor<3xi32>, tensor<3xi32>) -> tensor<3xi1>
  %e = tfm.constant dense<[true, false, true]> : tensor<3xi1>
  check.expect_equal %r, %e : tensor<3xi1>
  return
}

func.func @test_lt_ui8() {
  %0 = tfm.constant dense<[1, 200]> : tensor<2xui8>
  %1 = tfm.constant dense<[200, 1]> : tensor<2xui8>
  %r = tfm.compare lt %0, %1 : (tensor<2xui8>, tensor<2xui8>) -> tensor<2xi1>
  %e = tfm.constant dense<[true, false]> : tensor<2xi1>
  check.expect_equal %r, %e : tensor<2xi1>
  return
}

func.func @test_eq_bool() {
  %0 = tfm.constant dense<[true, false]> : tensor<2xi1>
  %1 = tfm.constant dense<true> : tensor<i1>
  %r = tfm.compare eq %0, %1 : (tensor<2xi1>, tensor<i1>) -> tensor<2xi1>
  %e = tfm.constant dense<[true, false]> : tensor<2xi1>
  check.expect_equal %r, %e : tensor<2xi1>
  return
}

func.func @test_neighbours_above_2_to_53() {
  %0 = tfm.constant dense<[9007199254740992]> : tensor<1xi64>
  %1 = tfm.constant dense<[9007199254740993]> : tensor<1xi64>
  %r = tfm.compare lt %0, %1 : (tensor<1xi64>, tensor<1xi64>) -> tensor<1xi1>
  %e = tfm.constant dense<[true]> : tensor<1xi1>
  check.expect_equal %r, %e : tensor<1xi1>
  return
}
