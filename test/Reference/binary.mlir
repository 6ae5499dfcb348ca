// RUN: permalloy-opt %s --check-interpret -o /dev/null

func.func @test_add_broadcast() {
  %0 = tfm.constant dense<[[1.0, -2.0, 3.5], [0.0, 0x7FC00000, 0x7F800000]]> : tensor<2x3xf32>
  %1 = tfm.constant dense<[2.0, -0.5, 0x7F800000]> : tensor<3xf32>
  %r = tfm.binary add %0, %1 : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  %e = tfm.constant dense<[[3.0, -2.5, 0x7F800000], [2.0, 0x7FC00000, 0x7F800000]]> : tensor<2x3xf32>
  check.expect_equal %r, %e : tensor<2x3xf32>
  return
}

func.func @test_sub_broadcast() {
  %0 = tfm.constant dense<[[1.0, -2.0, 3.5], [0.0, 0x7FC00000, 0x7F800000]]> : tensor<2x3xf32>
  %1 = tfm.constant dense<[2.0, -0.5, 0x7F800000]> : tensor<3xf32>
  %r = tfm.binary sub %0, %1 : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  %e = tfm.constant dense<[[-1.0, -1.5, 0xFF800000], [-2.0, 0x7FC00000, 0x7FC00000]]> : tensor<2x3xf32>
  check.expect_equal %r, %e : tensor<2x3xf32>
  return
}

func.func @test_mul_broadcast() {
  %0 = tfm.constant dense<[[1.0, -2.0, 3.5], [0.0, 0x7FC00000, 0x7F800000]]> : tensor<2x3xf32>
  %1 = tfm.constant dense<[2.0, -0.5, 0x7F800000]> : tensor<3xf32>
  %r = tfm.binary mul %0, %1 : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  %e = tfm.constant dense<[[2.0, 1.0, 0x7F800000], [0.0, 0x7FC00000, 0x7F800000]]> : tensor<2x3xf32>
  check.expect_equal %r, %e : tensor<2x3xf32>
  return
}

func.func @test_div_broadcast() {
  %0 = tfm.constant dense<[[1.0, -2.0, 3.5], [0.0, 0x7FC00000, 0x7F800000]]> : tensor<2x3xf32>
  %1 = tfm.constant dense<[2.0, -0.5, 0x7F800000]> : tensor<3xf32>
  %r = tfm.binary div %0, %1 : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  %e = tfm.constant dense<[[0.5, 4.0, 0.0], [0.0, 0x7FC00000, 0x7FC00000]]> : tensor<2x3xf32>
  check.expect_equal %r, %e : tensor<2x3xf32>
  return
}

func.func @test_pow() {
  %0 = tfm.constant dense<[2.0, -2.0, 4.0, 0.0, 2.0, 1.0]> : tensor<6xf32>
  %1 = tfm.constant dense<[3.0, 3.0, 0.5, 0.0, -1.0, 0x7FC00000]> : tensor<6xf32>
  %r = tfm.binary pow %0, %1 : (tensor<6xf32>, tensor<6xf32>) -> tensor<6xf32>
  %e = tfm.constant dense<[8.0, -8.0, 2.0, 1.0, 0.5, 1.0]> : tensor<6xf32>
  check.expect_equal %r, %e : tensor<6xf32>
  return
}

func.func @test_max_propagates_nan() {
  %0 = tfm.constant dense<[1.0, 0x7FC00000, 1.0, 0x7FC00000, 0xFF800000, 2.0]> : tensor<6xf32>
  %1 = tfm.constant dense<[2.0, 1.0, 0x7FC00000, 0x7FC00000, 0.0, -2.0]> : tensor<6xf32>
  %r = tfm.binary max %0, %1 : (tensor<6xf32>, tensor<6xf32>) -> tensor<6xf32>
  %e = tfm.constant dense<[2.0, 0x7FC00000, 0x7FC00000, 0x7FC00000, 0.0, 2.0]> : tensor<6xf32>
  check.expect_equal %r, %e : tensor<6xf32>
  return
}

func.func @test_min_propagates_nan() {
  %0 = tfm.constant dense<[1.0, 0x7FC00000, 1.0, 0x7FC00000, 0xFF800000, 2.0]> : tensor<6xf32>
  %1 = tfm.constant dense<[2.0, 1.0, 0x7FC00000, 0x7FC00000, 0.0, -2.0]> : tensor<6xf32>
  %r = tfm.binary min %0, %1 : (tensor<6xf32>, tensor<6xf32>) -> tensor<6xf32>
  %e = tfm.constant dense<[1.0, 0x7FC00000, 0x7FC00000, 0x7FC00000, 0xFF800000, -2.0]> : tensor<6xf32>
  check.expect_equal %r, %e : tensor<6xf32>
  return
}

func.func @test_mod_takes_the_sign_of_the_dividend() {
  %0 = tfm.constant dense<[5.5, -5.5, 5.5, -5.5, 1.0]> : tensor<5xf32>
  %1 = tfm.constant dense<[2.0, 2.0, -2.0, -2.0, 0.0]> : tensor<5xf32>
  %r = tfm.binary mod %0, %1 : (tensor<5xf32>, tensor<5xf32>) -> tensor<5xf32>
  %e = tfm.constant dense<[1.5, -1.5, 1.5, -1.5, 0x7FC00000]> : tensor<5xf32>
  check.expect_equal %r, %e : tensor<5xf32>
  return
}

// Truncates towards zero.
func.func @test_div_i8() {
  %0 = tfm.constant dense<[7, -7, 7, -7, 0]> : tensor<5xi8>
  %1 = tfm.constant dense<[2, 2, -2, -2, 3]> : tensor<5xi8>
  %r = tfm.binary div %0, %1 : (tensor<5xi8>, tensor<5xi8>) -> tensor<5xi8>
  %e = tfm.constant dense<[3, -3, -3, 3, 0]> : tensor<5xi8>
  check.expect_equal %r, %e : tensor<5xi8>
  return
}

// Takes the sign of the divisor.
func.func @test_mod_i8() {
  %0 = tfm.constant dense<[7, -7, 7, -7, 0]> : tensor<5xi8>
  %1 = tfm.constant dense<[2, 2, -2, -2, 3]> : tensor<5xi8>
  %r = tfm.binary mod %0, %1 : (tensor<5xi8>, tensor<5xi8>) -> tensor<5xi8>
  %e = tfm.constant dense<[1, 1, -1, -1, 0]> : tensor<5xi8>
  check.expect_equal %r, %e : tensor<5xi8>
  return
}

func.func @test_add_wraps_i8() {
  %0 = tfm.constant dense<[127]> : tensor<1xi8>
  %1 = tfm.constant dense<[1]> : tensor<1xi8>
  %r = tfm.binary add %0, %1 : (tensor<1xi8>, tensor<1xi8>) -> tensor<1xi8>
  %e = tfm.constant dense<[-128]> : tensor<1xi8>
  check.expect_equal %r, %e : tensor<1xi8>
  return
}

func.func @test_mul_wraps_i8() {
  %0 = tfm.constant dense<[127, -3]> : tensor<2xi8>
  %1 = tfm.constant dense<[127, 2]> : tensor<2xi8>
  %r = tfm.binary mul %0, %1 : (tensor<2xi8>, tensor<2xi8>) -> tensor<2xi8>
  %e = tfm.constant dense<[1, -6]> : tensor<2xi8>
  check.expect_equal %r, %e : tensor<2xi8>
  return
}

func.func @test_max_i8() {
  %0 = tfm.constant dense<[7, -7, 7, -7, 0]> : tensor<5xi8>
  %1 = tfm.constant dense<[2, 2, -2, -2, 3]> : tensor<5xi8>
  %r = tfm.binary max %0, %1 : (tensor<5xi8>, tensor<5xi8>) -> tensor<5xi8>
  %e = tfm.constant dense<[7, 2, 7, -2, 3]> : tensor<5xi8>
  check.expect_equal %r, %e : tensor<5xi8>
  return
}

func.func @test_pow_i8() {
  %0 = tfm.constant dense<[2, -3, 0, 1, -1]> : tensor<5xi8>
  %1 = tfm.constant dense<[5, 3, 0, -9, -3]> : tensor<5xi8>
  %r = tfm.binary pow %0, %1 : (tensor<5xi8>, tensor<5xi8>) -> tensor<5xi8>
  %e = tfm.constant dense<[32, -27, 1, 1, -1]> : tensor<5xi8>
  check.expect_equal %r, %e : tensor<5xi8>
  return
}

func.func @test_div_i16() {
  %0 = tfm.constant dense<[7, -7, 7, -7, 0]> : tensor<5xi16>
  %1 = tfm.constant dense<[2, 2, -2, -2, 3]> : tensor<5xi16>
  %r = tfm.binary div %0, %1 : (tensor<5xi16>, tensor<5xi16>) -> tensor<5xi16>
  %e = tfm.constant dense<[3, -3, -3, 3, 0]> : tensor<5xi16>
  check.expect_equal %r, %e : tensor<5xi16>
  return
}

func.func @test_mod_i16() {
  %0 = tfm.constant dense<[7, -7, 7, -7, 0]> : tensor<5xi16>
  %1 = tfm.constant dense<[2, 2, -2, -2, 3]> : tensor<5xi16>
  %r = tfm.binary mod %0, %1 : (tensor<5xi16>, tensor<5xi16>) -> tensor<5xi16>
  %e = tfm.constant dense<[1, 1, -1, -1, 0]> : tensor<5xi16>
  check.expect_equal %r, %e : tensor<5xi16>
  return
}

func.func @test_add_wraps_i16() {
  %0 = tfm.constant dense<[32767]> : tensor<1xi16>
  %1 = tfm.constant dense<[1]> : tensor<1xi16>
  %r = tfm.binary add %0, %1 : (tensor<1xi16>, tensor<1xi16>) -> tensor<1xi16>
  %e = tfm.constant dense<[-32768]> : tensor<1xi16>
  check.expect_equal %r, %e : tensor<1xi16>
  return
}

func.func @test_mul_wraps_i16() {
  %0 = tfm.constant dense<[32767, -3]> : tensor<2xi16>
  %1 = tfm.constant dense<[32767, 2]> : tensor<2xi16>
  %r = tfm.binary mul %0, %1 : (tensor<2xi16>, tensor<2xi16>) -> tensor<2xi16>
  %e = tfm.constant dense<[1, -6]> : tensor<2xi16>
  check.expect_equal %r, %e : tensor<2xi16>
  return
}

func.func @test_max_i16() {
  %0 = tfm.constant dense<[7, -7, 7, -7, 0]> : tensor<5xi16>
  %1 = tfm.constant dense<[2, 2, -2, -2, 3]> : tensor<5xi16>
  %r = tfm.binary max %0, %1 : (tensor<5xi16>, tensor<5xi16>) -> tensor<5xi16>
  %e = tfm.constant dense<[7, 2, 7, -2, 3]> : tensor<5xi16>
  check.expect_equal %r, %e : tensor<5xi16>
  return
}

func.func @test_pow_i16() {
  %0 = tfm.constant dense<[2, -3, 0, 1, -1]> : tensor<5xi16>
  %1 = tfm.constant dense<[5, 3, 0, -9, -3]> : tensor<5xi16>
  %r = tfm.binary pow %0, %1 : (tensor<5xi16>, tensor<5xi16>) -> tensor<5xi16>
  %e = tfm.constant dense<[32, -27, 1, 1, -1]> : tensor<5xi16>
  check.expect_equal %r, %e : tensor<5xi16>
  return
}

func.func @test_div_i32() {
  %0 = tfm.constant dense<[7, -7, 7, -7, 0]> : tensor<5xi32>
  %1 = tfm.constant dense<[2, 2, -2, -2, 3]> : tensor<5xi32>
  %r = tfm.binary div %0, %1 : (tensor<5xi32>, tensor<5xi32>) -> tensor<5xi32>
  %e = tfm.constant dense<[3, -3, -3, 3, 0]> : tensor<5xi32>
  check.expect_equal %r, %e : tensor<5xi32>
  return
}

func.func @test_mod_i32() {
  %0 = tfm.constant dense<[7, -7, 7, -7, 0]> : tensor<5xi32>
  %1 = tfm.constant dense<[2, 2, -2, -2, 3]> : tensor<5xi32>
  %r = tfm.binary mod %0, %1 : (tensor<5xi32>, tensor<5xi32>) -> tensor<5xi32>
  %e = tfm.constant dense<[1, 1, -1, -1, 0]> : tensor<5xi32>
  check.expect_equal %r, %e : tensor<5xi32>
  return
}

func.func @test_add_wraps_i32() {
  %0 = tfm.constant dense<[2147483647]> : tensor<1xi32>
  %1 = tfm.constant dense<[1]> : tensor<1xi32>
  %r = tfm.binary add %0, %1 : (tensor<1xi32>, tensor<1xi32>) -> tensor<1xi32>
  %e = tfm.constant dense<[-2147483648]> : tensor<1xi32>
  check.expect_equal %r, %e : tensor<1xi32>
  return
}

func.func @test_mul_wraps_i32() {
  %0 = tfm.constant dense<[2147483647, -3]> : tensor<2xi32>
  %1 = tfm.constant dense<[2147483647, 2]> : tensor<2xi32>
  %r = tfm.binary mul %0, %1 : (tensor<2xi32>, tensor<2xi32>) -> tensor<2xi32>
  %e = tfm.constant dense<[1, -6]> : tensor<2xi32>
  check.expect_equal %r, %e : tensor<2xi32>
  return
}

func.func @test_max_i32() {
  %0 = tfm.constant dense<[7, -7, 7, -7, 0]> : tensor<5xi32>
  %1 = tfm.constant dense<[2, 2, -2, -2, 3]> : tensor<5xi32>
  %r = tfm.binary max %0, %1 : (tensor<5xi32>, tensor<5xi32>) -> tensor<5xi32>
  %e = tfm.constant dense<[7, 2, 7, -2, 3]> : tensor<5xi32>
  check.expect_equal %r, %e : tensor<5xi32>
  return
}

func.func @test_pow_i32() {
  %0 = tfm.constant dense<[2, -3, 0, 1, -1]> : tensor<5xi32>
  %1 = tfm.constant dense<[5, 3, 0, -9, -3]> : tensor<5xi32>
  %r = tfm.binary pow %0, %1 : (tensor<5xi32>, tensor<5xi32>) -> tensor<5xi32>
  %e = tfm.constant dense<[32, -27, 1, 1, -1]> : tensor<5xi32>
  check.expect_equal %r, %e : tensor<5xi32>
  return
}

func.func @test_div_i64() {
  %0 = tfm.constant dense<[7, -7, 7, -7, 0]> : tensor<5xi64>
  %1 = tfm.constant dense<[2, 2, -2, -2, 3]> : tensor<5xi64>
  %r = tfm.binary div %0, %1 : (tensor<5xi64>, tensor<5xi64>) -> tensor<5xi64>
  %e = tfm.constant dense<[3, -3, -3, 3, 0]> : tensor<5xi64>
  check.expect_equal %r, %e : tensor<5xi64>
  return
}

func.func @test_mod_i64() {
  %0 = tfm.constant dense<[7, -7, 7, -7, 0]> : tensor<5xi64>
  %1 = tfm.constant dense<[2, 2, -2, -2, 3]> : tensor<5xi64>
  %r = tfm.binary mod %0, %1 : (tensor<5xi64>, tensor<5xi64>) -> tensor<5xi64>
  %e = tfm.constant dense<[1, 1, -1, -1, 0]> : tensor<5xi64>
  check.expect_equal %r, %e : tensor<5xi64>
  return
}

func.func @test_add_wraps_i64() {
  %0 = tfm.constant dense<[9223372036854775807]> : tensor<1xi64>
  %1 = tfm.constant dense<[1]> : tensor<1xi64>
  %r = tfm.binary add %0, %1 : (tensor<1xi64>, tensor<1xi64>) -> tensor<1xi64>
  %e = tfm.constant dense<[-9223372036854775808]> : tensor<1xi64>
  check.expect_equal %r, %e : tensor<1xi64>
  return
}

func.func @test_mul_wraps_i64() {
  %0 = tfm.constant dense<[9223372036854775807, -3]> : tensor<2xi64>
  %1 = tfm.constant dense<[9223372036854775807, 2]> : tensor<2xi64>
  %r = tfm.binary mul %0, %1 : (tensor<2xi64>, tensor<2xi64>) -> tensor<2xi64>
  %e = tfm.constant dense<[1, -6]> : tensor<2xi64>
  check.expect_equal %r, %e : tensor<2xi64>
  return
}

func.func @test_max_i64() {
  %0 = tfm.constant dense<[7, -7, 7, -7, 0]> : tensor<5xi64>
  %1 = tfm.constant dense<[2, 2, -2, -2, 3]> : tensor<5xi64>
  %r = tfm.binary max %0, %1 : (tensor<5xi64>, tensor<5xi64>) -> tensor<5xi64>
  %e = tfm.constant dense<[7, 2, 7, -2, 3]> : tensor<5xi64>
  check.expect_equal %r, %e : tensor<5xi64>
  return
}

func.func @test_pow_i64() {
  %0 = tfm.constant dense<[2, -3, 0, 1, -1]> : tensor<5xi64>
  %1 = tfm.constant dense<[5, 3, 0, -9, -3]> : tensor<5xi64>
  %r = tfm.binary pow %0, %1 : (tensor<5xi64>, tensor<5xi64>) -> tensor<5xi64>
  %e = tfm.constant dense<[32, -27, 1, 1, -1]> : tensor<5xi64>
  check.expect_equal %r, %e : tensor<5xi64>
  return
}

func.func @test_lowest_by_minus_one() {
  %0 = tfm.constant dense<[-9223372036854775808]> : tensor<1xi64>
  %1 = tfm.constant dense<[-1]> : tensor<1xi64>
  %r = tfm.binary div %0, %1 : (tensor<1xi64>, tensor<1xi64>) -> tensor<1xi64>
  %e = tfm.constant dense<[-9223372036854775808]> : tensor<1xi64>
  check.expect_equal %r, %e : tensor<1xi64>
  return
}

func.func @test_ui8() {
  %0 = tfm.constant dense<[0, 200]> : tensor<2xui8>
  %1 = tfm.constant dense<[1, 100]> : tensor<2xui8>
  %r = tfm.binary sub %0, %1 : (tensor<2xui8>, tensor<2xui8>) -> tensor<2xui8>
  %e = tfm.constant dense<[255, 100]> : tensor<2xui8>
  check.expect_equal %r, %e : tensor<2xui8>
  return
}

func.func @test_div_ui8() {
  %0 = tfm.constant dense<[200]> : tensor<1xui8>
  %1 = tfm.constant dense<[3]> : tensor<1xui8>
  %r = tfm.binary div %0, %1 : (tensor<1xui8>, tensor<1xui8>) -> tensor<1xui8>
  %e = tfm.constant dense<[66]> : tensor<1xui8>
  check.expect_equal %r, %e : tensor<1xui8>
  return
}

func.func @test_add_f16() {
  %0 = tfm.constant dense<[1.0, 0.0999755859375, 3.0, -2.0]> : tensor<4xf16>
  %1 = tfm.constant dense<[0.0009765625, 0.199951171875, 7.0, 0.300048828125]> : tensor<4xf16>
  %r = tfm.binary add %0, %1 : (tensor<4xf16>, tensor<4xf16>) -> tensor<4xf16>
  %e = tfm.constant dense<[1.0009765625, 0.2998046875, 10.0, -1.7001953125]> : tensor<4xf16>
  check.expect_equal %r, %e : tensor<4xf16>
  return
}

func.func @test_mul_f16() {
  %0 = tfm.constant dense<[1.0, 0.0999755859375, 3.0, -2.0]> : tensor<4xf16>
  %1 = tfm.constant dense<[0.0009765625, 0.199951171875, 7.0, 0.300048828125]> : tensor<4xf16>
  %r = tfm.binary mul %0, %1 : (tensor<4xf16>, tensor<4xf16>) -> tensor<4xf16>
  %e = tfm.constant dense<[0.0009765625, 0.019989013671875, 21.0, -0.60009765625]> : tensor<4xf16>
  check.expect_equal %r, %e : tensor<4xf16>
  return
}

func.func @test_div_f16() {
  %0 = tfm.constant dense<[1.0, 0.0999755859375, 3.0, -2.0]> : tensor<4xf16>
  %1 = tfm.constant dense<[0.0009765625, 0.199951171875, 7.0, 0.300048828125]> : tensor<4xf16>
  %r = tfm.binary div %0, %1 : (tensor<4xf16>, tensor<4xf16>) -> tensor<4xf16>
  %e = tfm.constant dense<[1024.0, 0.5, 0.428466796875, -6.6640625]> : tensor<4xf16>
  check.expect_equal %r, %e : tensor<4xf16>
  return
}

func.func @test_add_bf16() {
  %0 = tfm.constant dense<[1.0, 0.10009765625, 3.0, -2.0]> : tensor<4xbf16>
  %1 = tfm.constant dense<[0.0009765625, 0.2001953125, 7.0, 0.30078125]> : tensor<4xbf16>
  %r = tfm.binary add %0, %1 : (tensor<4xbf16>, tensor<4xbf16>) -> tensor<4xbf16>
  %e = tfm.constant dense<[1.0, 0.30078125, 10.0, -1.703125]> : tensor<4xbf16>
  check.expect_equal %r, %e : tensor<4xbf16>
  return
}

func.func @test_mul_bf16() {
  %0 = tfm.constant dense<[1.0, 0.10009765625, 3.0, -2.0]> : tensor<4xbf16>
  %1 = tfm.constant dense<[0.0009765625, 0.2001953125, 7.0, 0.30078125]> : tensor<4xbf16>
  %r = tfm.binary mul %0, %1 : (tensor<4xbf16>, tensor<4xbf16>) -> tensor<4xbf16>
  %e = tfm.constant dense<[0.0009765625, 0.02001953125, 21.0, -0.6015625]> : tensor<4xbf16>
  check.expect_equal %r, %e : tensor<4xbf16>
  return
}

func.func @test_div_bf16() {
  %0 = tfm.constant dense<[1.0, 0.10009765625, 3.0, -2.0]> : tensor<4xbf16>
  %1 = tfm.constant dense<[0.0009765625, 0.2001953125, 7.0, 0.30078125]> : tensor<4xbf16>
  %r = tfm.binary div %0, %1 : (tensor<4xbf16>, tensor<4xbf16>) -> tensor<4xbf16>
  %e = tfm.constant dense<[1024.0, 0.5, 0.427734375, -6.65625]> : tensor<4xbf16>
  check.expect_equal %r, %e : tensor<4xbf16>
  return
}

func.func @test_add_f64() {
  %0 = tfm.constant dense<[1.0, 0.1, 3.0, -2.0]> : tensor<4xf64>
  %1 = tfm.constant dense<[0.0009765625, 0.2, 7.0, 0.3]> : tensor<4xf64>
  %r = tfm.binary add %0, %1 : (tensor<4xf64>, tensor<4xf64>) -> tensor<4xf64>
  %e = tfm.constant dense<[1.0009765625, 0.30000000000000004, 10.0, -1.7]> : tensor<4xf64>
  check.expect_equal %r, %e : tensor<4xf64>
  return
}

func.func @test_mul_f64() {
  %0 = tfm.constant dense<[1.0, 0.1, 3.0, -2.0]> : tensor<4xf64>
  %1 = tfm.constant dense<[0.0009765625, 0.2, 7.0, 0.3]> : tensor<4xf64>
  %r = tfm.binary mul %0, %1 : (tensor<4xf64>, tensor<4xf64>) -> tensor<4xf64>
  %e = tfm.constant dense<[0.0009765625, 0.020000000000000004, 21.0, -0.6]> : tensor<4xf64>
  check.expect_equal %r, %e : tensor<4xf64>
  return
}

func.func @test_div_f64() {
  %0 = tfm.constant dense<[1.0, 0.1, 3.0, -2.0]> : tensor<4xf64>
  %1 = tfm.constant dense<[0.0009765625, 0.2, 7.0, 0.3]> : tensor<4xf64>
  %r = tfm.binary div %0, %1 : (tensor<4xf64>, tensor<4xf64>) -> tensor<4xf64>
  %e = tfm.constant dense<[1024.0, 0.5, 0.42857142857142855, -6.666666666666667]> : tensor<4xf64>
  check.expect_equal %r, %e : tensor<4xf64>
  return
}

func.func @test_and() {
  %0 = tfm.constant dense<[true, true, false, false]> : tensor<4xi1>
  %1 = tfm.constant dense<[true, false, true, false]> : tensor<4xi1>
  %r = tfm.binary and %0, %1 : (tensor<4xi1>, tensor<4xi1>) -> tensor<4xi1>
  %e = tfm.constant dense<[true, false, false, false]> : tensor<4xi1>
  check.expect_equal %r, %e : tensor<4xi1>
  return
}

func.func @test_or() {
  %0 = tfm.constant dense<[true, true, false, false]> : tensor<4xi1>
  %1 = tfm.constant dense<[true, false, true, false]> : tensor<4xi1>
  %r = tfm.binary or %0, %1 : (tensor<4xi1>, tensor<4xi1>) -> tensor<4xi1>
  %e = tfm.constant dense<[true, true, true, false]> : tensor<4xi1>
  check.expect_equal %r, %e : tensor<4xi1>
  return
}

func.func @test_xor() {
  %0 = tfm.constant dense<[true, true, false, false]> : tensor<4xi1>
  %1 = tfm.constant dense<[true, false, true, false]> : tensor<4xi1>
  %r = tfm.binary xor %0, %1 : (tensor<4xi1>, tensor<4xi1>) -> tensor<4xi1>
  %e = tfm.constant dense<[false, true, true, false]> : tensor<4xi1>
  check.expect_equal %r, %e : tensor<4xi1>
  return
}

func.func @test_scalar_with_scalar() {
  %0 = tfm.constant dense<1.5> : tensor<f32>
  %1 = tfm.constant dense<2.0> : tensor<f32>
  %r = tfm.binary add %0, %1 : (tensor<f32>, tensor<f32>) -> tensor<f32>
  %e = tfm.constant dense<3.5> : tensor<f32>
  check.expect_equal %r, %e : tensor<f32>
  return
}

func.func @test_two_sided_broadcast() {
  %0 = tfm.constant dense<[[1], [2]]> : tensor<2x1xi64>
  %1 = tfm.constant dense<[[10, 20, 30]]> : tensor<1x3xi64>
  %r = tfm.binary add %0, %1 : (tensor<2x1xi64>, tensor<1x3xi64>) -> tensor<2x3xi64>
  %e = tfm.constant dense<[[11, 21, 31], [12, 22, 32]]> : tensor<2x3xi64>
  check.expect_equal %r, %e : tensor<2x3xi64>
  return
}

func.func @test_empty() {
  %0 = tfm.constant dense<> : tensor<2x0xf32>
  %1 = tfm.constant dense<[[1.0], [2.0]]> : tensor<2x1xf32>
  %r = tfm.binary add %0, %1 : (tensor<2x0xf32>, tensor<2x1xf32>) -> tensor<2x0xf32>
  %e = tfm.constant dense<> : tensor<2x0xf32>
  check.expect_equal %r, %e : tensor<2x0xf32>
  return
}
