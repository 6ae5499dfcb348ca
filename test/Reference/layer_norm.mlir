// RUN: permalloy-opt %s --check-interpret -o /dev/null

func.func @test_last() {
  %0 = tfm.constant dense<[[[-0.0, -1.0, 0.453125, 2.015625], [-0.265625, -0.203125, -1.046875, 0.3125]], [[-1.25, -1.109375, 1.28125, -0.90625], [1.078125, 1.53125, 0.265625, 0.546875]]]> : tensor<2x2x4xf32>
  %1 = tfm.constant dense<[1.953125, -0.203125, -0.59375, -1.359375]> : tensor<4xf32>
  %2 = tfm.constant dense<[0.046875, 1.484375, 0.953125, -0.9375]> : tensor<4xf32>
  %r = tfm.layer_norm %0, %1, %2 {axis = 2 : i64, epsilon = 1.0e-5 : f32} : (tensor<2x2x4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<2x2x4xf32>
  %e = tfm.constant dense<[[[-0.61271256, 1.7397897, 0.90619606, -2.9984446], [0.18825, 1.4435333, 1.8652138, -2.6539812]], [[-1.3779995, 1.6049209, -0.0680597, -0.3979672], [0.9394829, 1.2026241, 1.6719719, -0.07646221]]]> : tensor<2x2x4xf32>
  check.expect_close %r, %e {rtol = 1.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<2x2x4xf32>
  return
}

func.func @test_without_bias() {
  %0 = tfm.constant dense<[[[-0.0, -1.0, 0.453125, 2.015625], [-0.265625, -0.203125, -1.046875, 0.3125]], [[-1.25, -1.109375, 1.28125, -0.90625], [1.078125, 1.53125, 0.265625, 0.546875]]]> : tensor<2x2x4xf32>
  %1 = tfm.constant dense<[1.953125, -0.203125, -0.59375, -1.359375]> : tensor<4xf32>
  %r = tfm.layer_norm %0, %1 {axis = 2 : i64, epsilon = 1.0e-5 : f32} : (tensor<2x2x4xf32>, tensor<4xf32>) -> tensor<2x2x4xf32>
  %e = tfm.constant dense<[[[-0.65958756, 0.25541475, -0.046928953, -2.0609446], [0.141375, -0.04084167, 0.91208875, -1.7164811]], [[-1.4248745, 0.120545864, -1.0211847, 0.5395328], [0.8926079, -0.28175092, 0.7188469, 0.8610378]]]> : tensor<2x2x4xf32>
  check.expect_close %r, %e {rtol = 1.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<2x2x4xf32>
  return
}

func.func @test_two_axes_and_broadcast_bias() {
  %0 = tfm.constant dense<[[[-0.0, -1.0, 0.453125, 2.015625], [-0.265625, -0.203125, -1.046875, 0.3125]], [[-1.25, -1.109375, 1.28125, -0.90625], [1.078125, 1.53125, 0.265625, 0.546875]]]> : tensor<2x2x4xf32>
  %1 = tfm.constant dense<[[-0.859375, -0.5, 0.296875, -0.203125], [0.21875, 0.296875, -0.296875, -0.046875]]> : tensor<2x4xf32>
  %2 = tfm.constant dense<[[0.203125, -0.078125, 0.5, 1.875]]> : tensor<1x4xf32>
  %r = tfm.layer_norm %0, %1, %2 {axis = 1 : i64, epsilon = 1.0e-5 : f32} : (tensor<2x2x4xf32>, tensor<2x4xf32>, tensor<1x4xf32>) -> tensor<2x2x4xf32>
  %e = tfm.constant dense<[[[0.23462407, 0.4921597, 0.6376189, 1.4304757], [0.1309635, -0.15557565, 0.8539687, 1.8605475]], [[1.3696516, 0.5338234, 0.81049424, 2.08443], [0.38972288, 0.30283603, 0.47577703, 1.8586582]]]> : tensor<2x2x4xf32>
  check.expect_close %r, %e {rtol = 1.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<2x2x4xf32>
  return
}

func.func @test_scalar_scale() {
  %0 = tfm.constant dense<[[[-0.0, -1.0, 0.453125, 2.015625], [-0.265625, -0.203125, -1.046875, 0.3125]], [[-1.25, -1.109375, 1.28125, -0.90625], [1.078125, 1.53125, 0.265625, 0.546875]]]> : tensor<2x2x4xf32>
  %1 = tfm.constant dense<2.0> : tensor<f32>
  %r = tfm.layer_norm %0, %1 {axis = 2 : i64, epsilon = 1.0e-5 : f32} : (tensor<2x2x4xf32>, tensor<f32>) -> tensor<2x2x4xf32>
  %e = tfm.constant dense<[[[-0.67541766, -2.514853, 0.15807648, 3.0321941], [0.14476801, 0.40213335, -3.0722988, 2.5253975]], [[-1.4590715, -1.1869131, 3.43978, -0.7937954], [0.9140305, 2.7741628, -2.421379, -1.2668142]]]> : tensor<2x2x4xf32>
  check.expect_close %r, %e {rtol = 1.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<2x2x4xf32>
  return
}

func.func @test_constant_rows() {
  %0 = tfm.constant dense<[[3.0, 3.0, 3.0], [10000.0, 10000.0, 10000.0]]> : tensor<2x3xf32>
  %1 = tfm.constant dense<1.0> : tensor<3xf32>
  %r = tfm.layer_norm %0, %1 {axis = 1 : i64, epsilon = 1.0e-12 : f32} : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  %e = tfm.constant dense<[[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]> : tensor<2x3xf32>
  check.expect_equal %r, %e : tensor<2x3xf32>
  return
}

// The variance is of centred values; E[x^2] - E[x]^2 would lose it.
func.func @test_large_mean() {
  %0 = tfm.constant dense<[[10000.0, 10001.0, 10002.0, 10003.0]]> : tensor<1x4xf32>
  %1 = tfm.constant dense<1.0> : tensor<4xf32>
  %r = tfm.layer_norm %0, %1 {axis = 1 : i64, epsilon = 1.0e-12 : f32} : (tensor<1x4xf32>, tensor<4xf32>) -> tensor<1x4xf32>
  %e = tfm.constant dense<[[-1.3416408, -0.4472136, 0.4472136, 1.3416408]]> : tensor<1x4xf32>
  check.expect_close %r, %e {rtol = 1.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<1x4xf32>
  return
}

func.func @test_nan_spreads_in_its_row() {
  %0 = tfm.constant dense<[[1.0, 0x7FC00000], [1.0, -1.0]]> : tensor<2x2xf32>
  %1 = tfm.constant dense<1.0> : tensor<2xf32>
  %r = tfm.layer_norm %0, %1 {axis = 1 : i64, epsilon = 1.0e-5 : f32} : (tensor<2x2xf32>, tensor<2xf32>) -> tensor<2x2xf32>
  %e = tfm.constant dense<[[0x7FC00000, 0x7FC00000], [0.999995, -0.999995]]> : tensor<2x2xf32>
  check.expect_close %r, %e {rtol = 1.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<2x2xf32>
  return
}

func.func @test_of_f16() {
  %0 = tfm.constant dense<[[0.59375, 0.0625, -1.6875, 0.390625], [-1.953125, -1.40625, 0.859375, 0.703125]]> : tensor<2x4xf16>
  %1 = tfm.constant dense<[-0.15625, -1.703125, -0.375, -0.671875]> : tensor<4xf16>
  %2 = tfm.constant dense<[0.640625, 2.25, 0.21875, -0.78125]> : tensor<4xf16>
  %r = tfm.layer_norm %0, %1, %2 {axis = 1 : i64, epsilon = 1.0e-5 : f32} : (tensor<2x4xf16>, tensor<4xf16>, tensor<4xf16>) -> tensor<2x4xf16>
  %e = tfm.constant dense<[[0.51025390625, 1.8291015625, 0.85400390625, -1.19140625], [0.8291015625, 3.556640625, -0.1748046875, -1.40234375]]> : tensor<2x4xf16>
  check.expect_equal %r, %e : tensor<2x4xf16>
  return
}

func.func @test_of_bf16() {
  %0 = tfm.constant dense<[[-1.171875, -0.0625, -0.171875, -1.15625], [0.109375, -1.15625, 1.109375, 1.0625]]> : tensor<2x4xbf16>
  %1 = tfm.constant dense<[1.078125, -0.46875, 0.515625, -0.125]> : tensor<4xbf16>
  %2 = tfm.constant dense<[-0.390625, -0.34375, -1.296875, -1.4375]> : tensor<4xbf16>
  %r = tfm.layer_norm %0, %1, %2 {axis = 1 : i64, epsilon = 1.0e-5 : f32} : (tensor<2x4xbf16>, tensor<4xbf16>, tensor<4xbf16>) -> tensor<2x4xbf16>
  %e = tfm.constant dense<[[-1.484375, -0.859375, -0.8359375, -1.3125], [-0.59375, 0.388671875, -0.83203125, -1.546875]]> : tensor<2x4xbf16>
  check.expect_equal %r, %e : tensor<2x4xbf16>
  return
}

func.func @test_of_f64() {
  %0 = tfm.constant dense<[[0.796875, -0.1875, 0.21875, 1.0], [-1.734375, -0.78125, 0.171875, 0.390625]]> : tensor<2x4xf64>
  %1 = tfm.constant dense<[-0.375, 1.03125, 0.203125, -1.21875]> : tensor<4xf64>
  %2 = tfm.constant dense<[-0.9375, 0.8125, 0.46875, -1.90625]> : tensor<4xf64>
  %r = tfm.layer_norm %0, %1, %2 {axis = 1 : i64, epsilon = 1.0e-5 : f32} : (tensor<2x4xf64>, tensor<4xf64>, tensor<4xf64>) -> tensor<2x4xf64>
  %e = tfm.constant dense<[[-1.2088135909128144, -0.6025407112263168, 0.36570800881520027, -3.315053617182344], [-0.38360727389125293, 0.45437970294693075, 0.6276975338637562, -3.1759492350063363]]> : tensor<2x4xf64>
  check.expect_close %r, %e {rtol = 1.0e-12 : f64, atol = 1.0e-12 : f64} : tensor<2x4xf64>
  return
}

func.func @test_no_rows() {
  %0 = tfm.constant dense<> : tensor<0x2xf32>
  %1 = tfm.constant dense<1.0> : tensor<2xf32>
  %r = tfm.layer_norm %0, %1 {axis = 1 : i64, epsilon = 1.0e-5 : f32} : (tensor<0x2xf32>, tensor<2xf32>) -> tensor<0x2xf32>
  %e = tfm.constant dense<> : tensor<0x2xf32>
  check.expect_equal %r, %e : tensor<0x2xf32>
  return
}
