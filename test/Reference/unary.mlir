// RUN: permalloy-opt %s --check-interpret -o /dev/null
//
// Expected values come from numpy and Python's math module, in double, rounded once.

func.func @test_neg_f32() {
  %0 = tfm.constant dense<[-2.5, -1.0, -0.5, -0.0, 0.0, 0.5, 1.0, 2.5, 0x7FC00000, 0x7F800000, 0xFF800000]> : tensor<11xf32>
  %r = tfm.unary neg %0 : (tensor<11xf32>) -> tensor<11xf32>
  %e = tfm.constant dense<[2.5, 1.0, 0.5, 0.0, -0.0, -0.5, -1.0, -2.5, 0x7FC00000, 0xFF800000, 0x7F800000]> : tensor<11xf32>
  check.expect_equal %r, %e : tensor<11xf32>
  return
}

func.func @test_abs_f32() {
  %0 = tfm.constant dense<[-2.5, -1.0, -0.5, -0.0, 0.0, 0.5, 1.0, 2.5, 0x7FC00000, 0x7F800000, 0xFF800000]> : tensor<11xf32>
  %r = tfm.unary abs %0 : (tensor<11xf32>) -> tensor<11xf32>
  %e = tfm.constant dense<[2.5, 1.0, 0.5, 0.0, 0.0, 0.5, 1.0, 2.5, 0x7FC00000, 0x7F800000, 0x7F800000]> : tensor<11xf32>
  check.expect_equal %r, %e : tensor<11xf32>
  return
}

func.func @test_relu_f32() {
  %0 = tfm.constant dense<[-2.5, -1.0, -0.5, -0.0, 0.0, 0.5, 1.0, 2.5, 0x7FC00000, 0x7F800000, 0xFF800000]> : tensor<11xf32>
  %r = tfm.unary relu %0 : (tensor<11xf32>) -> tensor<11xf32>
  %e = tfm.constant dense<[0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 1.0, 2.5, 0x7FC00000, 0x7F800000, 0.0]> : tensor<11xf32>
  check.expect_equal %r, %e : tensor<11xf32>
  return
}

func.func @test_sign_f32() {
  %0 = tfm.constant dense<[-2.5, -1.0, -0.5, -0.0, 0.0, 0.5, 1.0, 2.5, 0x7FC00000, 0x7F800000, 0xFF800000]> : tensor<11xf32>
  %r = tfm.unary sign %0 : (tensor<11xf32>) -> tensor<11xf32>
  %e = tfm.constant dense<[-1.0, -1.0, -1.0, -0.0, 0.0, 1.0, 1.0, 1.0, 0x7FC00000, 1.0, -1.0]> : tensor<11xf32>
  check.expect_equal %r, %e : tensor<11xf32>
  return
}

func.func @test_floor() {
  %0 = tfm.constant dense<[-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0.3, -1.0e+09, 0x7FC00000, 0x7F800000]> : tensor<10xf32>
  %r = tfm.unary floor %0 : (tensor<10xf32>) -> tensor<10xf32>
  %e = tfm.constant dense<[-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 0.0, -1.0e+09, 0x7FC00000, 0x7F800000]> : tensor<10xf32>
  check.expect_equal %r, %e : tensor<10xf32>
  return
}

func.func @test_ceil() {
  %0 = tfm.constant dense<[-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0.3, -1.0e+09, 0x7FC00000, 0x7F800000]> : tensor<10xf32>
  %r = tfm.unary ceil %0 : (tensor<10xf32>) -> tensor<10xf32>
  %e = tfm.constant dense<[-2.0, -1.0, -0.0, 1.0, 2.0, 3.0, 1.0, -1.0e+09, 0x7FC00000, 0x7F800000]> : tensor<10xf32>
  check.expect_equal %r, %e : tensor<10xf32>
  return
}

func.func @test_round_half_to_even() {
  %0 = tfm.constant dense<[-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0.3, -1.0e+09, 0x7FC00000, 0x7F800000]> : tensor<10xf32>
  %r = tfm.unary round %0 : (tensor<10xf32>) -> tensor<10xf32>
  %e = tfm.constant dense<[-2.0, -2.0, -0.0, 0.0, 2.0, 2.0, 0.0, -1.0e+09, 0x7FC00000, 0x7F800000]> : tensor<10xf32>
  check.expect_equal %r, %e : tensor<10xf32>
  return
}

func.func @test_sqrt() {
  %0 = tfm.constant dense<[0.0, 2.0, 4.0, -1.0, 0x7F800000, 0x7FC00000]> : tensor<6xf32>
  %r = tfm.unary sqrt %0 : (tensor<6xf32>) -> tensor<6xf32>
  %e = tfm.constant dense<[0.0, 1.4142135, 2.0, 0x7FC00000, 0x7F800000, 0x7FC00000]> : tensor<6xf32>
  check.expect_equal %r, %e : tensor<6xf32>
  return
}

func.func @test_reciprocal() {
  %0 = tfm.constant dense<[1.0, -4.0, 0.0, -0.0, 0x7F800000, 0x7FC00000]> : tensor<6xf32>
  %r = tfm.unary reciprocal %0 : (tensor<6xf32>) -> tensor<6xf32>
  %e = tfm.constant dense<[1.0, -0.25, 0x7F800000, 0xFF800000, 0.0, 0x7FC00000]> : tensor<6xf32>
  check.expect_equal %r, %e : tensor<6xf32>
  return
}

func.func @test_exp() {
  %0 = tfm.constant dense<[0.0, 1.0, -1.0, 88.0, 0xFF800000, 0x7F800000, 0x7FC00000, -200.0]> : tensor<8xf32>
  %r = tfm.unary exp %0 : (tensor<8xf32>) -> tensor<8xf32>
  %e = tfm.constant dense<[1.0, 2.7182817, 0.36787945, 1.6516363e+38, 0.0, 0x7F800000, 0x7FC00000, 0.0]> : tensor<8xf32>
  check.expect_close %r, %e {rtol = 1.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<8xf32>
  return
}

func.func @test_log() {
  %0 = tfm.constant dense<[1.0, 2.7182817, 0.0, 0x7F800000, -1.0, 0x7FC00000]> : tensor<6xf32>
  %r = tfm.unary log %0 : (tensor<6xf32>) -> tensor<6xf32>
  %e = tfm.constant dense<[0.0, 0.99999994, 0xFF800000, 0x7F800000, 0x7FC00000, 0x7FC00000]> : tensor<6xf32>
  check.expect_close %r, %e {rtol = 1.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<6xf32>
  return
}

func.func @test_erf() {
  %0 = tfm.constant dense<[-2.5, -1.0, -0.5, 0.0, 0.5, 1.0, 2.5, 0x7FC00000]> : tensor<8xf32>
  %r = tfm.unary erf %0 : (tensor<8xf32>) -> tensor<8xf32>
  %e = tfm.constant dense<[-0.999593, -0.8427008, -0.5204999, 0.0, 0.5204999, 0.8427008, 0.999593, 0x7FC00000]> : tensor<8xf32>
  check.expect_close %r, %e {rtol = 1.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<8xf32>
  return
}

func.func @test_tanh() {
  %0 = tfm.constant dense<[-2.5, -1.0, -0.5, 0.0, 0.5, 1.0, 2.5, 0x7FC00000]> : tensor<8xf32>
  %r = tfm.unary tanh %0 : (tensor<8xf32>) -> tensor<8xf32>
  %e = tfm.constant dense<[-0.9866143, -0.7615942, -0.46211717, 0.0, 0.46211717, 0.7615942, 0.9866143, 0x7FC00000]> : tensor<8xf32>
  check.expect_close %r, %e {rtol = 1.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<8xf32>
  return
}

func.func @test_sigmoid() {
  %0 = tfm.constant dense<[-100.0, -1.0, 0.0, 1.0, 100.0, 0x7F800000, 0xFF800000, 0x7FC00000]> : tensor<8xf32>
  %r = tfm.unary sigmoid %0 : (tensor<8xf32>) -> tensor<8xf32>
  %e = tfm.constant dense<[3.8e-44, 0.26894143, 0.5, 0.7310586, 1.0, 1.0, 0.0, 0x7FC00000]> : tensor<8xf32>
  check.expect_close %r, %e {rtol = 1.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<8xf32>
  return
}

func.func @test_sin() {
  %0 = tfm.constant dense<[-2.5, -1.0, -0.5, 0.0, 0.5, 1.0, 2.5, 0x7FC00000]> : tensor<8xf32>
  %r = tfm.unary sin %0 : (tensor<8xf32>) -> tensor<8xf32>
  %e = tfm.constant dense<[-0.5984721, -0.84147096, -0.47942555, 0.0, 0.47942555, 0.84147096, 0.5984721, 0x7FC00000]> : tensor<8xf32>
  check.expect_close %r, %e {rtol = 1.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<8xf32>
  return
}

func.func @test_cos() {
  %0 = tfm.constant dense<[-2.5, -1.0, -0.5, 0.0, 0.5, 1.0, 2.5, 0x7FC00000]> : tensor<8xf32>
  %r = tfm.unary cos %0 : (tensor<8xf32>) -> tensor<8xf32>
  %e = tfm.constant dense<[-0.8011436, 0.5403023, 0.87758255, 1.0, 0.87758255, 0.5403023, -0.8011436, 0x7FC00000]> : tensor<8xf32>
  check.expect_close %r, %e {rtol = 1.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<8xf32>
  return
}

func.func @test_gelu_erf() {
  %0 = tfm.constant dense<[-2.5, -1.0, -0.5, 0.0, 0.5, 1.0, 2.5, 0x7FC00000]> : tensor<8xf32>
  %r = tfm.unary gelu_erf %0 : (tensor<8xf32>) -> tensor<8xf32>
  %e = tfm.constant dense<[-0.015524163, -0.15865526, -0.15426877, 0.0, 0.34573123, 0.8413448, 2.4844759, 0x7FC00000]> : tensor<8xf32>
  check.expect_close %r, %e {rtol = 1.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<8xf32>
  return
}

// The negative tail keeps its digits: erfc, not 1 + erf.
func.func @test_gelu_erf_tail() {
  %0 = tfm.constant dense<[-6.0, -10.0, 10.0]> : tensor<3xf64>
  %r = tfm.unary gelu_erf %0 : (tensor<3xf64>) -> tensor<3xf64>
  %e = tfm.constant dense<[-5.919525870226207e-09, -7.619853024160593e-23, 10.0]> : tensor<3xf64>
  check.expect_close %r, %e {rtol = 1.0e-15 : f64, atol = 1.0e-15 : f64} : tensor<3xf64>
  return
}

func.func @test_gelu_tanh() {
  %0 = tfm.constant dense<[-2.5, -1.0, -0.5, 0.0, 0.5, 1.0, 2.5, 0x7FC00000]> : tensor<8xf32>
  %r = tfm.unary gelu_tanh %0 : (tensor<8xf32>) -> tensor<8xf32>
  %e = tfm.constant dense<[-0.015084266, -0.15880801, -0.154286, 0.0, 0.345714, 0.841192, 2.4849157, 0x7FC00000]> : tensor<8xf32>
  check.expect_close %r, %e {rtol = 1.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<8xf32>
  return
}

func.func @test_silu() {
  %0 = tfm.constant dense<[-2.5, -1.0, -0.5, 0.0, 0.5, 1.0, 2.5, 0x7FC00000]> : tensor<8xf32>
  %r = tfm.unary silu %0 : (tensor<8xf32>) -> tensor<8xf32>
  %e = tfm.constant dense<[-0.18964545, -0.26894143, -0.18877034, 0.0, 0.31122968, 0.7310586, 2.3103545, 0x7FC00000]> : tensor<8xf32>
  check.expect_close %r, %e {rtol = 1.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<8xf32>
  return
}

func.func @test_tanh_f16() {
  %0 = tfm.constant dense<[-3.0, -0.40625, 0.0, 0.7001953125, 2.0, 0x7E00, 0xFC00]> : tensor<7xf16>
  %r = tfm.unary tanh %0 : (tensor<7xf16>) -> tensor<7xf16>
  %e = tfm.constant dense<[-0.9951171875, -0.38525390625, 0.0, 0.6044921875, 0.9638671875, 0x7E00, -1.0]> : tensor<7xf16>
  check.expect_equal %r, %e : tensor<7xf16>
  return
}

func.func @test_abs_f16() {
  %0 = tfm.constant dense<[-3.0, -0.40625, 0.0, 0.7001953125, 2.0, 0x7E00, 0xFC00]> : tensor<7xf16>
  %r = tfm.unary abs %0 : (tensor<7xf16>) -> tensor<7xf16>
  %e = tfm.constant dense<[3.0, 0.40625, 0.0, 0.7001953125, 2.0, 0x7E00, 0x7C00]> : tensor<7xf16>
  check.expect_equal %r, %e : tensor<7xf16>
  return
}

func.func @test_tanh_bf16() {
  %0 = tfm.constant dense<[-3.0, -0.40625, 0.0, 0.69921875, 2.0, 0x7FC0, 0xFF80]> : tensor<7xbf16>
  %r = tfm.unary tanh %0 : (tensor<7xbf16>) -> tensor<7xbf16>
  %e = tfm.constant dense<[-0.99609375, -0.384765625, 0.0, 0.60546875, 0.96484375, 0x7FC0, -1.0]> : tensor<7xbf16>
  check.expect_equal %r, %e : tensor<7xbf16>
  return
}

func.func @test_abs_bf16() {
  %0 = tfm.constant dense<[-3.0, -0.40625, 0.0, 0.69921875, 2.0, 0x7FC0, 0xFF80]> : tensor<7xbf16>
  %r = tfm.unary abs %0 : (tensor<7xbf16>) -> tensor<7xbf16>
  %e = tfm.constant dense<[3.0, 0.40625, 0.0, 0.69921875, 2.0, 0x7FC0, 0x7F80]> : tensor<7xbf16>
  check.expect_equal %r, %e : tensor<7xbf16>
  return
}

func.func @test_tanh_f64() {
  %0 = tfm.constant dense<[-3.0, -0.40625, 0.0, 0.69921875, 2.0, 0x7FF8000000000000, 0xFFF0000000000000]> : tensor<7xf64>
  %r = tfm.unary tanh %0 : (tensor<7xf64>) -> tensor<7xf64>
  %e = tfm.constant dense<[-0.9950547536867305, -0.38528396626947237, 0.0, 0.6038716526621499, 0.9640275800758169, 0x7FF8000000000000, -1.0]> : tensor<7xf64>
  check.expect_close %r, %e {rtol = 1.0e-15 : f64, atol = 1.0e-15 : f64} : tensor<7xf64>
  return
}

func.func @test_abs_f64() {
  %0 = tfm.constant dense<[-3.0, -0.40625, 0.0, 0.69921875, 2.0, 0x7FF8000000000000, 0xFFF0000000000000]> : tensor<7xf64>
  %r = tfm.unary abs %0 : (tensor<7xf64>) -> tensor<7xf64>
  %e = tfm.constant dense<[3.0, 0.40625, 0.0, 0.69921875, 2.0, 0x7FF8000000000000, 0x7FF0000000000000]> : tensor<7xf64>
  check.expect_equal %r, %e : tensor<7xf64>
  return
}

func.func @test_exp_overflow_f16() {
  %0 = tfm.constant dense<[11.0, 12.0, -20.0]> : tensor<3xf16>
  %r = tfm.unary exp %0 : (tensor<3xf16>) -> tensor<3xf16>
  %e = tfm.constant dense<[59872.0, 0x7C00, 0.0]> : tensor<3xf16>
  check.expect_equal %r, %e : tensor<3xf16>
  return
}

// The lowest integer wraps onto itself.
func.func @test_neg_i8() {
  %0 = tfm.constant dense<[-3, 0, 5, -128]> : tensor<4xi8>
  %r = tfm.unary neg %0 : (tensor<4xi8>) -> tensor<4xi8>
  %e = tfm.constant dense<[3, 0, -5, -128]> : tensor<4xi8>
  check.expect_equal %r, %e : tensor<4xi8>
  return
}

func.func @test_sign_i8() {
  %0 = tfm.constant dense<[-3, 0, 5, -128]> : tensor<4xi8>
  %r = tfm.unary sign %0 : (tensor<4xi8>) -> tensor<4xi8>
  %e = tfm.constant dense<[-1, 0, 1, -1]> : tensor<4xi8>
  check.expect_equal %r, %e : tensor<4xi8>
  return
}

func.func @test_neg_i16() {
  %0 = tfm.constant dense<[-3, 0, 5, -32768]> : tensor<4xi16>
  %r = tfm.unary neg %0 : (tensor<4xi16>) -> tensor<4xi16>
  %e = tfm.constant dense<[3, 0, -5, -32768]> : tensor<4xi16>
  check.expect_equal %r, %e : tensor<4xi16>
  return
}

func.func @test_sign_i16() {
  %0 = tfm.constant dense<[-3, 0, 5, -32768]> : tensor<4xi16>
  %r = tfm.unary sign %0 : (tensor<4xi16>) -> tensor<4xi16>
  %e = tfm.constant dense<[-1, 0, 1, -1]> : tensor<4xi16>
  check.expect_equal %r, %e : tensor<4xi16>
  return
}

func.func @test_neg_i32() {
  %0 = tfm.constant dense<[-3, 0, 5, -2147483648]> : tensor<4xi32>
  %r = tfm.unary neg %0 : (tensor<4xi32>) -> tensor<4xi32>
  %e = tfm.constant dense<[3, 0, -5, -2147483648]> : tensor<4xi32>
  check.expect_equal %r, %e : tensor<4xi32>
  return
}

func.func @test_sign_i32() {
  %0 = tfm.constant dense<[-3, 0, 5, -2147483648]> : tensor<4xi32>
  %r = tfm.unary sign %0 : (tensor<4xi32>) -> tensor<4xi32>
  %e = tfm.constant dense<[-1, 0, 1, -1]> : tensor<4xi32>
  check.expect_equal %r, %e : tensor<4xi32>
  return
}

func.func @test_neg_i64() {
  %0 = tfm.constant dense<[-3, 0, 5, -9223372036854775808]> : tensor<4xi64>
  %r = tfm.unary neg %0 : (tensor<4xi64>) -> tensor<4xi64>
  %e = tfm.constant dense<[3, 0, -5, -9223372036854775808]> : tensor<4xi64>
  check.expect_equal %r, %e : tensor<4xi64>
  return
}

func.func @test_sign_i64() {
  %0 = tfm.constant dense<[-3, 0, 5, -9223372036854775808]> : tensor<4xi64>
  %r = tfm.unary sign %0 : (tensor<4xi64>) -> tensor<4xi64>
  %e = tfm.constant dense<[-1, 0, 1, -1]> : tensor<4xi64>
  check.expect_equal %r, %e : tensor<4xi64>
  return
}

func.func @test_abs_i32() {
  %0 = tfm.constant dense<[-3, 0, 5]> : tensor<3xi32>
  %r = tfm.unary abs %0 : (tensor<3xi32>) -> tensor<3xi32>
  %e = tfm.constant dense<[3, 0, 5]> : tensor<3xi32>
  check.expect_equal %r, %e : tensor<3xi32>
  return
}

func.func @test_relu_i64() {
  %0 = tfm.constant dense<[-3, 0, 5]> : tensor<3xi64>
  %r = tfm.unary relu %0 : (tensor<3xi64>) -> tensor<3xi64>
  %e = tfm.constant dense<[0, 0, 5]> : tensor<3xi64>
  check.expect_equal %r, %e : tensor<3xi64>
  return
}

func.func @test_neg_ui8() {
  %0 = tfm.constant dense<[0, 1, 255]> : tensor<3xui8>
  %r = tfm.unary neg %0 : (tensor<3xui8>) -> tensor<3xui8>
  %e = tfm.constant dense<[0, 255, 1]> : tensor<3xui8>
  check.expect_equal %r, %e : tensor<3xui8>
  return
}

func.func @test_not() {
  %0 = tfm.constant dense<[[true, false]]> : tensor<1x2xi1>
  %r = tfm.unary not %0 : (tensor<1x2xi1>) -> tensor<1x2xi1>
  %e = tfm.constant dense<[[false, true]]> : tensor<1x2xi1>
  check.expect_equal %r, %e : tensor<1x2xi1>
  return
}

func.func @test_isnan_f16() {
  %0 = tfm.constant dense<[1.0, 0x7E00, 0x7C00, 0xFC00]> : tensor<4xf16>
  %r = tfm.unary isnan %0 : (tensor<4xf16>) -> tensor<4xi1>
  %e = tfm.constant dense<[false, true, false, false]> : tensor<4xi1>
  check.expect_equal %r, %e : tensor<4xi1>
  return
}

func.func @test_isinf_f16() {
  %0 = tfm.constant dense<[1.0, 0x7E00, 0x7C00, 0xFC00]> : tensor<4xf16>
  %r = tfm.unary isinf %0 : (tensor<4xf16>) -> tensor<4xi1>
  %e = tfm.constant dense<[false, false, true, true]> : tensor<4xi1>
  check.expect_equal %r, %e : tensor<4xi1>
  return
}

func.func @test_isnan_bf16() {
  %0 = tfm.constant dense<[1.0, 0x7FC0, 0x7F80, 0xFF80]> : tensor<4xbf16>
  %r = tfm.unary isnan %0 : (tensor<4xbf16>) -> tensor<4xi1>
  %e = tfm.constant dense<[false, true, false, false]> : tensor<4xi1>
  check.expect_equal %r, %e : tensor<4xi1>
  return
}

func.func @test_isinf_bf16() {
  %0 = tfm.constant dense<[1.0, 0x7FC0, 0x7F80, 0xFF80]> : tensor<4xbf16>
  %r = tfm.unary isinf %0 : (tensor<4xbf16>) -> tensor<4xi1>
  %e = tfm.constant dense<[false, false, true, true]> : tensor<4xi1>
  check.expect_equal %r, %e : tensor<4xi1>
  return
}

func.func @test_isnan_f32() {
  %0 = tfm.constant dense<[1.0, 0x7FC00000, 0x7F800000, 0xFF800000]> : tensor<4xf32>
  %r = tfm.unary isnan %0 : (tensor<4xf32>) -> tensor<4xi1>
  %e = tfm.constant dense<[false, true, false, false]> : tensor<4xi1>
  check.expect_equal %r, %e : tensor<4xi1>
  return
}

func.func @test_isinf_f32() {
  %0 = tfm.constant dense<[1.0, 0x7FC00000, 0x7F800000, 0xFF800000]> : tensor<4xf32>
  %r = tfm.unary isinf %0 : (tensor<4xf32>) -> tensor<4xi1>
  %e = tfm.constant dense<[false, false, true, true]> : tensor<4xi1>
  check.expect_equal %r, %e : tensor<4xi1>
  return
}

func.func @test_isnan_f64() {
  %0 = tfm.constant dense<[1.0, 0x7FF8000000000000, 0x7FF0000000000000, 0xFFF0000000000000]> : tensor<4xf64>
  %r = tfm.unary isnan %0 : (tensor<4xf64>) -> tensor<4xi1>
  %e = tfm.constant dense<[false, true, false, false]> : tensor<4xi1>
  check.expect_equal %r, %e : tensor<4xi1>
  return
}

func.func @test_isinf_f64() {
  %0 = tfm.constant dense<[1.0, 0x7FF8000000000000, 0x7FF0000000000000, 0xFFF0000000000000]> : tensor<4xf64>
  %r = tfm.unary isinf %0 : (tensor<4xf64>) -> tensor<4xi1>
  %e = tfm.constant dense<[false, false, true, true]> : tensor<4xi1>
  check.expect_equal %r, %e : tensor<4xi1>
  return
}

func.func @test_empty() {
  %0 = tfm.constant dense<> : tensor<0x3xf32>
  %r = tfm.unary exp %0 : (tensor<0x3xf32>) -> tensor<0x3xf32>
  %e = tfm.constant dense<> : tensor<0x3xf32>
  check.expect_equal %r, %e : tensor<0x3xf32>
  return
}

func.func @test_scalar() {
  %0 = tfm.constant dense<2.0> : tensor<f32>
  %r = tfm.unary neg %0 : (tensor<f32>) -> tensor<f32>
  %e = tfm.constant dense<-2.0> : tensor<f32>
  check.expect_equal %r, %e : tensor<f32>
  return
}
