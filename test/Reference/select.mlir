// RUN: permalloy-opt %s --check-interpret -o /dev/null

func.func @test_broadcasts_all_three() {
  %0 = tfm.constant dense<[[true], [false]]> : tensor<2x1xi1>
  %1 = tfm.constant dense<[1.0, 0x7FC00000, 3.0]> : tensor<3xf32>
  %2 = tfm.constant dense<0xFF800000> : tensor<f32>
  %r = tfm.select %0, %1, %2 : (tensor<2x1xi1>, tensor<3xf32>, tensor<f32>) -> tensor<2x3xf32>
  %e = tfm.constant dense<[[1.0, 0x7FC00000, 3.0], [0xFF800000, 0xFF800000, 0xFF800000]]> : tensor<2x3xf32>
  check.expect_equal %r, %e : tensor<2x3xf32>
  return
}

func.func @test_of_f16() {
  %0 = tfm.constant dense<[true, false]> : tensor<2xi1>
  %1 = tfm.constant dense<1.0> : tensor<2xf16>
  %2 = tfm.constant dense<[0.0, 0.0]> : tensor<2xf16>
  %r = tfm.select %0, %1, %2 : (tensor<2xi1>, tensor<2xf16>, tensor<2xf16>) -> tensor<2xf16>
  %e = tfm.constant dense<[1.0, 0.0]> : tensor<2xf16>
  check.expect_equal %r, %e : tensor<2xf16>
  return
}

func.func @test_of_bf16() {
  %0 = tfm.constant dense<[true, false]> : tensor<2xi1>
  %1 = tfm.constant dense<[1.0, 1.0]> : tensor<2xbf16>
  %2 = tfm.constant dense<[0.0, 0.0]> : tensor<2xbf16>
  %r = tfm.select %0, %1, %2 : (tensor<2xi1>, tensor<2xbf16>, tensor<2xbf16>) -> tensor<2xbf16>
  %e = tfm.constant dense<[1.0, 0.0]> : tensor<2xbf16>
  check.expect_equal %r, %e : tensor<2xbf16>
  return
}

func.func @test_of_f64() {
  %0 = tfm.constant dense<[true, false]> : tensor<2xi1>
  %1 = tfm.constant dense<1.0> : tensor<2xf64>
  %2 = tfm.constant dense<[0.0, 0.0]> : tensor<2xf64>
  %r = tfm.select %0, %1, %2 : (tensor<2xi1>, tensor<2xf64>, tensor<2xf64>) -> tensor<2xf64>
  %e = tfm.constant dense<[1.0, 0.0]> : tensor<2xf64>
  check.expect_equal %r, %e : tensor<2xf64>
  return
}

func.func @test_of_i8() {
  %0 = tfm.constant dense<[true, false]> : tensor<2xi1>
  %1 = tfm.constant dense<1> : tensor<2xi8>
  %2 = tfm.constant dense<[0, 0]> : tensor<2xi8>
  %r = tfm.select %0, %1, %2 : (tensor<2xi1>, tensor<2xi8>, tensor<2xi8>) -> tensor<2xi8>
  %e = tfm.constant dense<[1, 0]> : tensor<2xi8>
  check.expect_equal %r, %e : tensor<2xi8>
  return
}

func.func @test_of_i32() {
  %0 = tfm.constant dense<[true, false]> : tensor<2xi1>
  %1 = tfm.constant dense<1> : tensor<2xi32>
  %2 = tfm.constant dense<[0, 0]> : tensor<2xi32>
  %r = tfm.select %0, %1, %2 : (tensor<2xi1>, tensor<2xi32>, tensor<2xi32>) -> tensor<2xi32>
  %e = tfm.constant dense<[1, 0]> : tensor<2xi32>
  check.expect_equal %r, %e : tensor<2xi32>
  return
}

func.func @test_of_i64() {
  %0 = tfm.constant dense<[true, false]> : tensor<2xi1>
  %1 = tfm.constant dense<1> : tensor<2xi64>
  %2 = tfm.constant dense<[0, 0]> : tensor<2xi64>
  %r = tfm.select %0, %1, %2 : (tensor<2xi1>, tensor<2xi64>, tensor<2xi64>) -> tensor<2xi64>
  %e = tfm.constant dense<[1, 0]> : tensor<2xi64>
  check.expect_equal %r, %e : tensor<2xi64>
  return
}

func.func @test_of_i1() {
  %0 = tfm.constant dense<[true, false]> : tensor<2xi1>
  %1 = tfm.constant dense<true> : tensor<2xi1>
  %2 = tfm.constant dense<[false, false]> : tensor<2xi1>
  %r = tfm.select %0, %1, %2 : (tensor<2xi1>, tensor<2xi1>, tensor<2xi1>) -> tensor<2xi1>
  %e = tfm.constant dense<[true, false]> : tensor<2xi1>
  check.expect_equal %r, %e : tensor<2xi1>
  return
}

func.func @test_condition_is_widest() {
  %0 = tfm.constant dense<[[true, false], [false, true]]> : tensor<2x2xi1>
  %1 = tfm.constant dense<7> : tensor<i64>
  %2 = tfm.constant dense<[8, 9]> : tensor<2xi64>
  %r = tfm.select %0, %1, %2 : (tensor<2x2xi1>, tensor<i64>, tensor<2xi64>) -> tensor<2x2xi64>
  %e = tfm.constant dense<[[7, 9], [8, 7]]> : tensor<2x2xi64>
  check.expect_equal %r, %e : tensor<2x2xi64>
  return
}

func.func @test_keeps_nan_bits() {
  %0 = tfm.constant dense<[true]> : tensor<1xi1>
  %1 = tfm.constant dense<[-0.0]> : tensor<1xf32>
  %2 = tfm.constant dense<[1.0]> : tensor<1xf32>
  %r = tfm.select %0, %1, %2 : (tensor<1xi1>, tensor<1xf32>, tensor<1xf32>) -> tensor<1xf32>
  %e = tfm.constant dense<[-0.0]> : tensor<1xf32>
  check.expect_equal %r, %e : tensor<1xf32>
  return
}

func.func @test_empty() {
  %0 = tfm.constant dense<> : tensor<0xi1>
  %1 = tfm.constant dense<1.0> : tensor<f32>
  %2 = tfm.constant dense<> : tensor<0xf32>
  %r = tfm.select %0, %1, %2 : (tensor<0xi1>, tensor<f32>, tensor<0xf32>) -> tensor<0xf32>
  %e = tfm.constant dense<> : tensor<0xf32>
  check.expect_equal %r, %e : tensor<0xf32>
  return
}
