// RUN: permalloy-opt %s --check-interpret -o /dev/null

// Truncates towards zero.
func.func @test_f32_to_i8() {
  %0 = tfm.constant dense<[0.0, -0.0, 0.5, -0.5, 1.9, -1.9, 100.0]> : tensor<7xf32>
  %r = tfm.cast %0 : (tensor<7xf32>) -> tensor<7xi8>
  %e = tfm.constant dense<[0, 0, 0, 0, 1, -1, 100]> : tensor<7xi8>
  check.expect_equal %r, %e : tensor<7xi8>
  return
}

func.func @test_f32_to_i16() {
  %0 = tfm.constant dense<[0.0, -0.0, 0.5, -0.5, 1.9, -1.9, 100.0]> : tensor<7xf32>
  %r = tfm.cast %0 : (tensor<7xf32>) -> tensor<7xi16>
  %e = tfm.constant dense<[0, 0, 0, 0, 1, -1, 100]> : tensor<7xi16>
  check.expect_equal %r, %e : tensor<7xi16>
  return
}

func.func @test_f32_to_i32() {
  %0 = tfm.constant dense<[0.0, -0.0, 0.5, -0.5, 1.9, -1.9, 100.0]> : tensor<7xf32>
  %r = tfm.cast %0 : (tensor<7xf32>) -> tensor<7xi32>
  %e = tfm.constant dense<[0, 0, 0, 0, 1, -1, 100]> : tensor<7xi32>
  check.expect_equal %r, %e : tensor<7xi32>
  return
}

func.func @test_f32_to_i64() {
  %0 = tfm.constant dense<[0.0, -0.0, 0.5, -0.5, 1.9, -1.9, 100.0]> : tensor<7xf32>
  %r = tfm.cast %0 : (tensor<7xf32>) -> tensor<7xi64>
  %e = tfm.constant dense<[0, 0, 0, 0, 1, -1, 100]> : tensor<7xi64>
  check.expect_equal %r, %e : tensor<7xi64>
  return
}

func.func @test_f32_to_ui8() {
  %0 = tfm.constant dense<[0.0, 1.9, 255.0]> : tensor<3xf32>
  %r = tfm.cast %0 : (tensor<3xf32>) -> tensor<3xui8>
  %e = tfm.constant dense<[0, 1, 255]> : tensor<3xui8>
  check.expect_equal %r, %e : tensor<3xui8>
  return
}

// Not equal to zero, so NaN is true.
func.func @test_f32_to_bool() {
  %0 = tfm.constant dense<[0.0, -0.0, 0.5, 0x7FC00000, -3.0]> : tensor<5xf32>
  %r = tfm.cast %0 : (tensor<5xf32>) -> tensor<5xi1>
  %e = tfm.constant dense<[false, false, true, true, true]> : tensor<5xi1>
  check.expect_equal %r, %e : tensor<5xi1>
  return
}

func.func @test_i64_to_bool() {
  %0 = tfm.constant dense<[0, 1, -1, 256]> : tensor<4xi64>
  %r = tfm.cast %0 : (tensor<4xi64>) -> tensor<4xi1>
  %e = tfm.constant dense<[false, true, true, true]> : tensor<4xi1>
  check.expect_equal %r, %e : tensor<4xi1>
  return
}

func.func @test_bool_to_f32() {
  %0 = tfm.constant dense<[false, true]> : tensor<2xi1>
  %r = tfm.cast %0 : (tensor<2xi1>) -> tensor<2xf32>
  %e = tfm.constant dense<[0.0, 1.0]> : tensor<2xf32>
  check.expect_equal %r, %e : tensor<2xf32>
  return
}

func.func @test_bool_to_i64() {
  %0 = tfm.constant dense<[false, true]> : tensor<2xi1>
  %r = tfm.cast %0 : (tensor<2xi1>) -> tensor<2xi64>
  %e = tfm.constant dense<[0, 1]> : tensor<2xi64>
  check.expect_equal %r, %e : tensor<2xi64>
  return
}

func.func @test_i64_to_i32_wraps() {
  %0 = tfm.constant dense<[2147483648, -1, 4294967301]> : tensor<3xi64>
  %r = tfm.cast %0 : (tensor<3xi64>) -> tensor<3xi32>
  %e = tfm.constant dense<[-2147483648, -1, 5]> : tensor<3xi32>
  check.expect_equal %r, %e : tensor<3xi32>
  return
}

func.func @test_i32_to_i64() {
  %0 = tfm.constant dense<[-7, 7]> : tensor<2xi32>
  %r = tfm.cast %0 : (tensor<2xi32>) -> tensor<2xi64>
  %e = tfm.constant dense<[-7, 7]> : tensor<2xi64>
  check.expect_equal %r, %e : tensor<2xi64>
  return
}

func.func @test_i32_to_ui8_wraps() {
  %0 = tfm.constant dense<[-1, 256, 7]> : tensor<3xi32>
  %r = tfm.cast %0 : (tensor<3xi32>) -> tensor<3xui8>
  %e = tfm.constant dense<[255, 0, 7]> : tensor<3xui8>
  check.expect_equal %r, %e : tensor<3xui8>
  return
}

func.func @test_ui8_to_i32() {
  %0 = tfm.constant dense<[255]> : tensor<1xui8>
  %r = tfm.cast %0 : (tensor<1xui8>) -> tensor<1xi32>
  %e = tfm.constant dense<[255]> : tensor<1xi32>
  check.expect_equal %r, %e : tensor<1xi32>
  return
}

func.func @test_i8_to_i32() {
  %0 = tfm.constant dense<[-1]> : tensor<1xi8>
  %r = tfm.cast %0 : (tensor<1xi8>) -> tensor<1xi32>
  %e = tfm.constant dense<[-1]> : tensor<1xi32>
  check.expect_equal %r, %e : tensor<1xi32>
  return
}

// 2^54 + 2^30 + 1 lies above a tie of f32 by a bit that a double would drop.
func.func @test_i64_to_f32_rounds_once() {
  %0 = tfm.constant dense<[16777217, 16777219, 18014399583223809, -18014399583223809]> : tensor<4xi64>
  %r = tfm.cast %0 : (tensor<4xi64>) -> tensor<4xf32>
  %e = tfm.constant dense<[1.6777216e+07, 1.677722e+07, 1.80144e+16, -1.80144e+16]> : tensor<4xf32>
  check.expect_equal %r, %e : tensor<4xf32>
  return
}

func.func @test_i64_to_f64() {
  %0 = tfm.constant dense<[9007199254740993, -3]> : tensor<2xi64>
  %r = tfm.cast %0 : (tensor<2xi64>) -> tensor<2xf64>
  %e = tfm.constant dense<[9007199254740992.0, -3.0]> : tensor<2xf64>
  check.expect_equal %r, %e : tensor<2xf64>
  return
}

// Ties, the largest number, overflow, subnormals.
func.func @test_f64_to_f16_ties_to_even() {
  %0 = tfm.constant dense<[1.0, 1.00048828125, 1.00146484375, 65504.0, 65519.99, 65520.0, 1.0e-08, 2.9802322387695312e-08, 8.940696716308594e-08, 0x7FF8000000000000, 0xFFF0000000000000]> : tensor<11xf64>
  %r = tfm.cast %0 : (tensor<11xf64>) -> tensor<11xf16>
  %e = tfm.constant dense<[1.0, 1.0, 1.001953125, 65504.0, 65504.0, 0x7C00, 0.0, 0.0, 1.1920928955078125e-07, 0x7E00, 0xFC00]> : tensor<11xf16>
  check.expect_equal %r, %e : tensor<11xf16>
  return
}

func.func @test_f64_to_bf16_ties_to_even() {
  %0 = tfm.constant dense<[1.0, 1.00390625, 1.01171875, 3.4e+38, 3.3895e+38, 3.39e+38, 1.0e-40, 9.2e-41, 0x7FF8000000000000, 0x7FF0000000000000]> : tensor<10xf64>
  %r = tfm.cast %0 : (tensor<10xf64>) -> tensor<10xbf16>
  %e = tfm.constant dense<[1.0, 1.0, 1.015625, 0x7F80, 3.3895313892515355e+38, 3.3895313892515355e+38, 9.183549615799121e-41, 9.183549615799121e-41, 0x7FC0, 0x7F80]> : tensor<10xbf16>
  check.expect_equal %r, %e : tensor<10xbf16>
  return
}

// Through f32 this would round to a tie first, then down.
func.func @test_f64_to_bf16_rounds_once() {
  %0 = tfm.constant dense<[1.0039062500009095]> : tensor<1xf64>
  %r = tfm.cast %0 : (tensor<1xf64>) -> tensor<1xbf16>
  %e = tfm.constant dense<[1.0078125]> : tensor<1xbf16>
  check.expect_equal %r, %e : tensor<1xbf16>
  return
}

func.func @test_f16_to_f32() {
  %0 = tfm.constant dense<[5.960464477539063e-08, 1.0, 65504.0, 0x7C00, 0x7E00, -0.0]> : tensor<6xf16>
  %r = tfm.cast %0 : (tensor<6xf16>) -> tensor<6xf32>
  %e = tfm.constant dense<[5.9604645e-08, 1.0, 65504.0, 0x7F800000, 0x7FC00000, -0.0]> : tensor<6xf32>
  check.expect_equal %r, %e : tensor<6xf32>
  return
}

func.func @test_bf16_to_f32() {
  %0 = tfm.constant dense<[1.0078125, -3.0, 0x7F80]> : tensor<3xbf16>
  %r = tfm.cast %0 : (tensor<3xbf16>) -> tensor<3xf32>
  %e = tfm.constant dense<[1.0078125, -3.0, 0x7F800000]> : tensor<3xf32>
  check.expect_equal %r, %e : tensor<3xf32>
  return
}

func.func @test_f32_to_f64() {
  %0 = tfm.constant dense<[0.1]> : tensor<1xf32>
  %r = tfm.cast %0 : (tensor<1xf32>) -> tensor<1xf64>
  %e = tfm.constant dense<[0.10000000149011612]> : tensor<1xf64>
  check.expect_equal %r, %e : tensor<1xf64>
  return
}

func.func @test_f64_to_f32() {
  %0 = tfm.constant dense<[0.1, 1.0e+300, 1.0e-50]> : tensor<3xf64>
  %r = tfm.cast %0 : (tensor<3xf64>) -> tensor<3xf32>
  %e = tfm.constant dense<[0.1, 0x7F800000, 0.0]> : tensor<3xf32>
  check.expect_equal %r, %e : tensor<3xf32>
  return
}

func.func @test_f16_to_bf16() {
  %0 = tfm.constant dense<[1.0009765625, 0.333251953125]> : tensor<2xf16>
  %r = tfm.cast %0 : (tensor<2xf16>) -> tensor<2xbf16>
  %e = tfm.constant dense<[1.0, 0.333984375]> : tensor<2xbf16>
  check.expect_equal %r, %e : tensor<2xbf16>
  return
}

func.func @test_f16_to_i32() {
  %0 = tfm.constant dense<[-2.5, 2.5]> : tensor<2xf16>
  %r = tfm.cast %0 : (tensor<2xf16>) -> tensor<2xi32>
  %e = tfm.constant dense<[-2, 2]> : tensor<2xi32>
  check.expect_equal %r, %e : tensor<2xi32>
  return
}

func.func @test_i32_to_bf16() {
  %0 = tfm.constant dense<[257, 259, -1]> : tensor<3xi32>
  %r = tfm.cast %0 : (tensor<3xi32>) -> tensor<3xbf16>
  %e = tfm.constant dense<[256.0, 260.0, -1.0]> : tensor<3xbf16>
  check.expect_equal %r, %e : tensor<3xbf16>
  return
}
