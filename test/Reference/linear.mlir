// RUN: permalloy-opt %s --check-interpret -o /dev/null

func.func @test_plain() {
  %0 = tfm.constant dense<[[[0.8125, 0.546875, 0.21875], [-1.046875, 0.515625, -0.6875]], [[1.09375, -1.265625, -0.140625], [-0.0, -1.328125, 1.71875]]]> : tensor<2x2x3xf32>
  %1 = tfm.constant dense<[[1.453125, -0.46875], [0.765625, 0.375], [-2.609375, 0.25]]> : tensor<3x2xf32>
  %r = tfm.linear %0, %1 : (tensor<2x2x3xf32>, tensor<3x2xf32>) -> tensor<2x2x2xf32>
  %e = tfm.constant dense<[[[1.0285645, -0.12109375], [0.66748047, 0.51220703]], [[0.9873047, -1.0224609], [-5.501709, -0.068359375]]]> : tensor<2x2x2xf32>
  check.expect_equal %r, %e : tensor<2x2x2xf32>
  return
}

func.func @test_bias() {
  %0 = tfm.constant dense<[[[0.8125, 0.546875, 0.21875], [-1.046875, 0.515625, -0.6875]], [[1.09375, -1.265625, -0.140625], [-0.0, -1.328125, 1.71875]]]> : tensor<2x2x3xf32>
  %1 = tfm.constant dense<[[1.453125, -0.46875], [0.765625, 0.375], [-2.609375, 0.25]]> : tensor<3x2xf32>
  %2 = tfm.constant dense<[-0.0625, 0.078125]> : tensor<2xf32>
  %r = tfm.linear %0, %1 bias %2 : (tensor<2x2x3xf32>, tensor<3x2xf32>, tensor<2xf32>) -> tensor<2x2x2xf32>
  %e = tfm.constant dense<[[[0.96606445, -0.04296875], [0.60498047, 0.59033203]], [[0.9248047, -0.94433594], [-5.564209, 0.009765625]]]> : tensor<2x2x2xf32>
  check.expect_equal %r, %e : tensor<2x2x2xf32>
  return
}

func.func @test_relu() {
  %0 = tfm.constant dense<[[[0.8125, 0.546875, 0.21875], [-1.046875, 0.515625, -0.6875]], [[1.09375, -1.265625, -0.140625], [-0.0, -1.328125, 1.71875]]]> : tensor<2x2x3xf32>
  %1 = tfm.constant dense<[[1.453125, -0.46875], [0.765625, 0.375], [-2.609375, 0.25]]> : tensor<3x2xf32>
  %2 = tfm.constant dense<[-0.0625, 0.078125]> : tensor<2xf32>
  %r = tfm.linear %0, %1 bias %2 activation relu : (tensor<2x2x3xf32>, tensor<3x2xf32>, tensor<2xf32>) -> tensor<2x2x2xf32>
  %e = tfm.constant dense<[[[0.96606445, 0.0], [0.60498047, 0.59033203]], [[0.9248047, 0.0], [0.0, 0.009765625]]]> : tensor<2x2x2xf32>
  check.expect_close %r, %e {rtol = 1.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<2x2x2xf32>
  return
}

func.func @test_gelu_erf() {
  %0 = tfm.constant dense<[[[0.8125, 0.546875, 0.21875], [-1.046875, 0.515625, -0.6875]], [[1.09375, -1.265625, -0.140625], [-0.0, -1.328125, 1.71875]]]> : tensor<2x2x3xf32>
  %1 = tfm.constant dense<[[1.453125, -0.46875], [0.765625, 0.375], [-2.609375, 0.25]]> : tensor<3x2xf32>
  %2 = tfm.constant dense<[-0.0625, 0.078125]> : tensor<2xf32>
  %r = tfm.linear %0, %1 bias %2 activation gelu_erf : (tensor<2x2x3xf32>, tensor<3x2xf32>, tensor<2xf32>) -> tensor<2x2x2xf32>
  %e = tfm.constant dense<[[[0.80472594, -0.020748029], [0.44006523, 0.4265243]], [[0.76062065, -0.162897], [-7.3265106e-08, 0.004920858]]]> : tensor<2x2x2xf32>
  check.expect_close %r, %e {rtol = 1.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<2x2x2xf32>
  return
}

func.func @test_gelu_tanh() {
  %0 = tfm.constant dense<[[[0.8125, 0.546875, 0.21875], [-1.046875, 0.515625, -0.6875]], [[1.09375, -1.265625, -0.140625], [-0.0, -1.328125, 1.71875]]]> : tensor<2x2x3xf32>
  %1 = tfm.constant dense<[[1.453125, -0.46875], [0.765625, 0.375], [-2.609375, 0.25]]> : tensor<3x2xf32>
  %2 = tfm.constant dense<[-0.0625, 0.078125]> : tensor<2xf32>
  %r = tfm.linear %0, %1 bias %2 activation gelu_tanh : (tensor<2x2x3xf32>, tensor<3x2xf32>, tensor<2xf32>) -> tensor<2x2x2xf32>
  %e = tfm.constant dense<[[[0.80458516, -0.02074803], [0.44003135, 0.4264932]], [[0.76049453, -0.16303004], [-3.5541476e-09, 0.004920858]]]> : tensor<2x2x2xf32>
  check.expect_close %r, %e {rtol = 1.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<2x2x2xf32>
  return
}

func.func @test_silu() {
  %0 = tfm.constant dense<[[[0.8125, 0.546875, 0.21875], [-1.046875, 0.515625, -0.6875]], [[1.09375, -1.265625, -0.140625], [-0.0, -1.328125, 1.71875]]]> : tensor<2x2x3xf32>
  %1 = tfm.constant dense<[[1.453125, -0.46875], [0.765625, 0.375], [-2.609375, 0.25]]> : tensor<3x2xf32>
  %2 = tfm.constant dense<[-0.0625, 0.078125]> : tensor<2xf32>
  %r = tfm.linear %0, %1 bias %2 activation silu : (tensor<2x2x3xf32>, tensor<3x2xf32>, tensor<2xf32>) -> tensor<2x2x2xf32>
  %e = tfm.constant dense<[[[0.6997537, -0.021022867], [0.3912983, 0.379844]], [[0.66217875, -0.26443797], [-0.021244029, 0.0049066544]]]> : tensor<2x2x2xf32>
  check.expect_close %r, %e {rtol = 1.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<2x2x2xf32>
  return
}

func.func @test_tanh() {
  %0 = tfm.constant dense<[[[0.8125, 0.546875, 0.21875], [-1.046875, 0.515625, -0.6875]], [[1.09375, -1.265625, -0.140625], [-0.0, -1.328125, 1.71875]]]> : tensor<2x2x3xf32>
  %1 = tfm.constant dense<[[1.453125, -0.46875], [0.765625, 0.375], [-2.609375, 0.25]]> : tensor<3x2xf32>
  %2 = tfm.constant dense<[-0.0625, 0.078125]> : tensor<2xf32>
  %r = tfm.linear %0, %1 bias %2 activation tanh : (tensor<2x2x3xf32>, tensor<3x2xf32>, tensor<2xf32>) -> tensor<2x2x2xf32>
  %e = tfm.constant dense<[[[0.74696976, -0.042942327], [0.5405841, 0.5301344]], [[0.72816247, -0.73720807], [-0.9999706, 0.009765315]]]> : tensor<2x2x2xf32>
  check.expect_close %r, %e {rtol = 1.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<2x2x2xf32>
  return
}

func.func @test_sigmoid() {
  %0 = tfm.constant dense<[[[0.8125, 0.546875, 0.21875], [-1.046875, 0.515625, -0.6875]], [[1.09375, -1.265625, -0.140625], [-0.0, -1.328125, 1.71875]]]> : tensor<2x2x3xf32>
  %1 = tfm.constant dense<[[1.453125, -0.46875], [0.765625, 0.375], [-2.609375, 0.25]]> : tensor<3x2xf32>
  %2 = tfm.constant dense<[-0.0625, 0.078125]> : tensor<2xf32>
  %r = tfm.linear %0, %1 bias %2 activation sigmoid : (tensor<2x2x3xf32>, tensor<3x2xf32>, tensor<2xf32>) -> tensor<2x2x2xf32>
  %e = tfm.constant dense<[[[0.72433436, 0.48925945], [0.6467949, 0.6434413]], [[0.7160201, 0.28002533], [0.003817978, 0.5024414]]]> : tensor<2x2x2xf32>
  check.expect_close %r, %e {rtol = 1.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<2x2x2xf32>
  return
}

func.func @test_vector() {
  %0 = tfm.constant dense<[-1.078125, -0.265625, -0.171875]> : tensor<3xf32>
  %1 = tfm.constant dense<[[1.453125, -0.46875], [0.765625, 0.375], [-2.609375, 0.25]]> : tensor<3x2xf32>
  %r = tfm.linear %0, %1 : (tensor<3xf32>, tensor<3x2xf32>) -> tensor<2xf32>
  %e = tfm.constant dense<[-1.3215332, 0.36279297]> : tensor<2xf32>
  check.expect_equal %r, %e : tensor<2xf32>
  return
}

func.func @test_of_f16() {
  %0 = tfm.constant dense<[[1.1875, 0.328125, -0.0], [1.53125, -0.5625, -0.390625]]> : tensor<2x3xf16>
  %1 = tfm.constant dense<[[-1.8125, 1.5625], [0.96875, 0.921875], [0.671875, 0.109375]]> : tensor<3x2xf16>
  %2 = tfm.constant dense<[0.21875, -0.25]> : tensor<2xf16>
  %r = tfm.linear %0, %1 bias %2 : (tensor<2x3xf16>, tensor<3x2xf16>, tensor<2xf16>) -> tensor<2x2xf16>
  %e = tfm.constant dense<[[-1.615234375, 1.908203125], [-3.36328125, 1.5810546875]]> : tensor<2x2xf16>
  check.expect_equal %r, %e : tensor<2x2xf16>
  return
}

func.func @test_of_bf16() {
  %0 = tfm.constant dense<[[-0.203125, 0.046875, 1.515625], [0.5625, -0.0625, -0.578125]]> : tensor<2x3xbf16>
  %1 = tfm.constant dense<[[-0.640625, 1.609375], [0.5, 0.0625], [-0.34375, -1.109375]]> : tensor<3x2xbf16>
  %2 = tfm.constant dense<[-0.0625, 0.875]> : tensor<2xbf16>
  %r = tfm.linear %0, %1 bias %2 : (tensor<2x3xbf16>, tensor<3x2xbf16>, tensor<2xbf16>) -> tensor<2x2xbf16>
  %e = tfm.constant dense<[[-0.4296875, -1.1328125], [-0.255859375, 2.421875]]> : tensor<2x2xbf16>
  check.expect_equal %r, %e : tensor<2x2xbf16>
  return
}

func.func @test_of_f64() {
  %0 = tfm.constant dense<[[-0.390625, -0.234375, -0.21875], [0.109375, -1.59375, -0.234375]]> : tensor<2x3xf64>
  %1 = tfm.constant dense<[[-0.859375, 0.890625], [-0.765625, 0.578125], [1.53125, -0.3125]]> : tensor<3x2xf64>
  %2 = tfm.constant dense<[-0.609375, 0.1875]> : tensor<2xf64>
  %r = tfm.linear %0, %1 bias %2 : (tensor<2x3xf64>, tensor<3x2xf64>, tensor<2xf64>) -> tensor<2x2xf64>
  %e = tfm.constant dense<[[-0.42919921875, -0.2275390625], [0.157958984375, -0.563232421875]]> : tensor<2x2xf64>
  check.expect_equal %r, %e : tensor<2x2xf64>
  return
}

func.func @test_empty() {
  %0 = tfm.constant dense<> : tensor<0x3xf32>
  %1 = tfm.constant dense<[[1.453125, -0.46875], [0.765625, 0.375], [-2.609375, 0.25]]> : tensor<3x2xf32>
  %r = tfm.linear %0, %1 : (tensor<0x3xf32>, tensor<3x2xf32>) -> tensor<0x2xf32>
  %e = tfm.constant dense<> : tensor<0x2xf32>
  check.expect_equal %r, %e : tensor<0x2xf32>
  return
}

// A packed weight is the same weight.
func.func @test_packed() {
  %x = tfm.get_weight @x : tensor<3x5xf32>
  %w = tfm.get_weight @w : tensor<5x19xf32>
  %p = tfm.pack %w : (tensor<5x19xf32>) -> tensor<5x19xf32, #tfm.panels>
  %0 = tfm.linear %x, %w : (tensor<3x5xf32>, tensor<5x19xf32>) -> tensor<3x19xf32>
  %1 = tfm.linear %x, %p : (tensor<3x5xf32>, tensor<5x19xf32, #tfm.panels>) -> tensor<3x19xf32>
  check.expect_equal %1, %0 : tensor<3x19xf32>
  return
}
tfm.weight @x : tensor<3x5xf32> = #tfm.seeded<1, 1.0>
tfm.weight @w : tensor<5x19xf32> = #tfm.seeded<2, 1.0>

// Products of bf16 are exact in f32, and so are their sums here: nothing but the result is rounded.
func.func @test_bf16_into_f32() {
  %0 = tfm.constant dense<[[1.0, 1.0e-02]]> : tensor<1x2xbf16>
  %1 = tfm.constant dense<[[3.0, 0.5], [1.0, 2.0]]> : tensor<2x2xbf16>
  %2 = tfm.constant dense<[1.0, 0.001]> : tensor<2xf32>
  %r = tfm.linear %0, %1 bias %2 : (tensor<1x2xbf16>, tensor<2x2xbf16>, tensor<2xf32>) -> tensor<1x2xf32>
  %e = tfm.constant dense<[[4.010009765625, 0.52101953125]]> : tensor<1x2xf32>
  check.expect_equal %r, %e : tensor<1x2xf32>
  %h = tfm.linear %0, %1 bias %2 : (tensor<1x2xbf16>, tensor<2x2xbf16>, tensor<2xf32>) -> tensor<1x2xbf16>
  %eh = tfm.constant dense<[[4.0, 0.51953125]]> : tensor<1x2xbf16>
  check.expect_equal %h, %eh : tensor<1x2xbf16>
  return
}

func.func @test_integers() {
  %x = tfm.constant dense<[[-128, 127, -128], [1, 2, 3]]> : tensor<2x3xi8>
  %u = tfm.constant dense<[[255, 255, 255], [1, 2, 3]]> : tensor<2x3xui8>
  %w = tfm.constant dense<[[-128, 1], [127, 1], [-128, 1]]> : tensor<3x2xi8>
  %v = tfm.constant dense<[[255, 1], [255, 0], [255, 0]]> : tensor<3x2xui8>
  %0 = tfm.linear %x, %w : (tensor<2x3xi8>, tensor<3x2xi8>) -> tensor<2x2xi32>
  %e0 = tfm.constant dense<[[48897, -129], [-258, 6]]> : tensor<2x2xi32>
  check.expect_equal %0, %e0 : tensor<2x2xi32>
  %1 = tfm.linear %u, %w : (tensor<2x3xui8>, tensor<3x2xi8>) -> tensor<2x2xi32>
  %e1 = tfm.constant dense<[[-32895, 765], [-258, 6]]> : tensor<2x2xi32>
  check.expect_equal %1, %e1 : tensor<2x2xi32>
  %2 = tfm.linear %u, %v : (tensor<2x3xui8>, tensor<3x2xui8>) -> tensor<2x2xi32>
  %e2 = tfm.constant dense<[[195075, 255], [1530, 1]]> : tensor<2x2xi32>
  check.expect_equal %2, %e2 : tensor<2x2xi32>
  return
}

func.func @test_packed_integers() {
  %x = tfm.constant dense<[[-128, 127, -128, 5, 7], [1, 2, 3, 4, 5]]> : tensor<2x5xi8>
  %w = tfm.constant dense<[[-128, 1], [127, 1], [-128, 1], [3, 4], [5, 6]]> : tensor<5x2xi8>
  %p = tfm.pack %w : (tensor<5x2xi8>) -> tensor<5x2xi8, #tfm.panels>
  %0 = tfm.linear %x, %w : (tensor<2x5xi8>, tensor<5x2xi8>) -> tensor<2x2xi32>
  %1 = tfm.linear %x, %p : (tensor<2x5xi8>, tensor<5x2xi8, #tfm.panels>) -> tensor<2x2xi32>
  check.expect_equal %0, %1 : tensor<2x2xi32>
  return
}
