// RUN: permalloy-opt %s --check-interpret -o /dev/null

func.func @test_axis_0() {
  %0 = tfm.constant dense<[[[1.34375, 0.59375], [1.34375, -0.390625], [-0.296875, -1.125]], [[2.53125, -0.171875], [1.59375, -0.640625], [0.15625, -1.671875]]]> : tensor<2x3x2xf32>
  %r = tfm.softmax %0 {axis = 0 : i64} : (tensor<2x3x2xf32>) -> tensor<2x3x2xf32>
  %e = tfm.constant dense<[[[0.23370636, 0.68257374], [0.4378235, 0.5621765], [0.38861802, 0.6334103]], [[0.76629364, 0.31742626], [0.5621765, 0.4378235], [0.61138195, 0.36658973]]]> : tensor<2x3x2xf32>
  check.expect_close %r, %e {rtol = 1.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<2x3x2xf32>
  return
}

func.func @test_axis_1() {
  %0 = tfm.constant dense<[[[1.34375, 0.59375], [1.34375, -0.390625], [-0.296875, -1.125]], [[2.53125, -0.171875], [1.59375, -0.640625], [0.15625, -1.671875]]]> : tensor<2x3x2xf32>
  %r = tfm.softmax %0 {axis = 1 : i64} : (tensor<2x3x2xf32>) -> tensor<2x3x2xf32>
  %e = tfm.constant dense<[[[0.45581785, 0.64393044], [0.45581785, 0.24061921], [0.08836432, 0.11545036]], [[0.67357296, 0.540858], [0.26377496, 0.33846027], [0.062652044, 0.12068173]]]> : tensor<2x3x2xf32>
  check.expect_close %r, %e {rtol = 1.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<2x3x2xf32>
  return
}

func.func @test_axis_2() {
  %0 = tfm.constant dense<[[[1.34375, 0.59375], [1.34375, -0.390625], [-0.296875, -1.125]], [[2.53125, -0.171875], [1.59375, -0.640625], [0.15625, -1.671875]]]> : tensor<2x3x2xf32>
  %r = tfm.softmax %0 {axis = 2 : i64} : (tensor<2x3x2xf32>) -> tensor<2x3x2xf32>
  %e = tfm.constant dense<[[[0.6791787, 0.32082132], [0.8499712, 0.15002882], [0.6959583, 0.30404168]], [[0.9372108, 0.06278921], [0.9032942, 0.096705794], [0.86153823, 0.13846178]]]> : tensor<2x3x2xf32>
  check.expect_close %r, %e {rtol = 1.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<2x3x2xf32>
  return
}

func.func @test_large() {
  %0 = tfm.constant dense<[1000.0, 1000.0, 0.0]> : tensor<3xf32>
  %r = tfm.softmax %0 {axis = 0 : i64} : (tensor<3xf32>) -> tensor<3xf32>
  %e = tfm.constant dense<[0.5, 0.5, 0.0]> : tensor<3xf32>
  check.expect_equal %r, %e : tensor<3xf32>
  return
}

// A row of -inf only gives NaN, as does NaN or +inf in a row.
func.func @test_masked() {
  %0 = tfm.constant dense<[[0xFF800000, 0.0, 0.0], [0xFF800000, 0xFF800000, 0xFF800000], [0x7FC00000, 0.0, 1.0], [0x7F800000, 0.0, 1.0]]> : tensor<4x3xf32>
  %r = tfm.softmax %0 {axis = 1 : i64} : (tensor<4x3xf32>) -> tensor<4x3xf32>
  %e = tfm.constant dense<[[0.0, 0.5, 0.5], [0x7FC00000, 0x7FC00000, 0x7FC00000], [0x7FC00000, 0x7FC00000, 0x7FC00000], [0x7FC00000, 0x7FC00000, 0x7FC00000]]> : tensor<4x3xf32>
  check.expect_equal %r, %e : tensor<4x3xf32>
  return
}

func.func @test_of_f16() {
  %0 = tfm.constant dense<[[-0.390625, 0.984375, -1.25], [1.078125, 0.34375, -1.046875]]> : tensor<2x3xf16>
  %r = tfm.softmax %0 {axis = 1 : i64} : (tensor<2x3xf16>) -> tensor<2x3xf16>
  %e = tfm.constant dense<[[0.1859130859375, 0.7353515625, 0.0787353515625], [0.62548828125, 0.300048828125, 0.07470703125]]> : tensor<2x3xf16>
  check.expect_equal %r, %e : tensor<2x3xf16>
  return
}

func.func @test_of_bf16() {
  %0 = tfm.constant dense<[[-0.5, -0.453125, -0.046875], [-0.53125, -0.828125, -0.296875]]> : tensor<2x3xbf16>
  %r = tfm.softmax %0 {axis = 1 : i64} : (tensor<2x3xbf16>) -> tensor<2x3xbf16>
  %e = tfm.constant dense<[[0.275390625, 0.2890625, 0.43359375], [0.33203125, 0.2470703125, 0.419921875]]> : tensor<2x3xbf16>
  check.expect_equal %r, %e : tensor<2x3xbf16>
  return
}

func.func @test_of_f64() {
  %0 = tfm.constant dense<[[-1.03125, -1.296875, -0.046875], [0.890625, -1.53125, 0.0]]> : tensor<2x3xf64>
  %r = tfm.softmax %0 {axis = 1 : i64} : (tensor<2x3xf64>) -> tensor<2x3xf64>
  %e = tfm.constant dense<[[0.225079969007193, 0.17257479848061077, 0.6023452325121963], [0.6670427815259775, 0.05920341251585887, 0.27375380595816373]]> : tensor<2x3xf64>
  check.expect_close %r, %e {rtol = 1.0e-14 : f64, atol = 1.0e-14 : f64} : tensor<2x3xf64>
  return
}

func.func @test_empty_axis() {
  %0 = tfm.constant dense<> : tensor<2x0xf32>
  %r = tfm.softmax %0 {axis = 1 : i64} : (tensor<2x0xf32>) -> tensor<2x0xf32>
  %e = tfm.constant dense<> : tensor<2x0xf32>
  check.expect_equal %r, %e : tensor<2x0xf32>
  return
}

func.func @test_empty_rows() {
  %0 = tfm.constant dense<> : tensor<0x2xf32>
  %r = tfm.softmax %0 {axis = 1 : i64} : (tensor<0x2xf32>) -> tensor<0x2xf32>
  %e = tfm.constant dense<> : tensor<0x2xf32>
  check.expect_equal %r, %e : tensor<0x2xf32>
  return
}

func.func @test_one() {
  %0 = tfm.constant dense<[5.0]> : tensor<1xf32>
  %r = tfm.softmax %0 {axis = 0 : i64} : (tensor<1xf32>) -> tensor<1xf32>
  %e = tfm.constant dense<[1.0]> : tensor<1xf32>
  check.expect_equal %r, %e : tensor<1xf32>
  return
}
