// RUN: permalloy-opt %s --check-interpret -o /dev/null

// The quotients are halves: ties go to even codes.
func.func @test_ties() {
  %x = tfm.constant dense<[[0.25, 0.75, 1.25, -0.25, -0.75, -1.25]]> : tensor<1x6xf32>
  %s = tfm.constant dense<0.5> : tensor<f32>
  %r = tfm.quantize %x scale %s : (tensor<1x6xf32>, tensor<f32>) -> tensor<1x6xi8>
  %e = tfm.constant dense<[[0, 2, 2, 0, -2, -2]]> : tensor<1x6xi8>
  check.expect_equal %r, %e : tensor<1x6xi8>
  return
}

func.func @test_ends() {
  %x = tfm.constant dense<[-1000.0, -128.0, -127.6, 127.4, 127.6, 0x7F800000, 0xFF800000, 0x7FC00000]> : tensor<8xf32>
  %full = tfm.quantize %x : (tensor<8xf32>) -> tensor<8xi8>
  %e0 = tfm.constant dense<[-128, -128, -128, 127, 127, 127, -128, -128]> : tensor<8xi8>
  check.expect_equal %full, %e0 : tensor<8xi8>
  %even = tfm.quantize %x {symmetric} : (tensor<8xf32>) -> tensor<8xi8>
  %e1 = tfm.constant dense<[-127, -127, -127, 127, 127, 127, -127, -127]> : tensor<8xi8>
  check.expect_equal %even, %e1 : tensor<8xi8>
  return
}

// ONNX: the zero point is added after rounding: rne(2.5) + 1 is 3, rne(3.5) is 4.
func.func @test_zero_point() {
  %x = tfm.constant dense<[[2.5, 300.0, -300.0], [1.0, -1.0, 0.0]]> : tensor<2x3xf32>
  %s = tfm.constant dense<[[1.0], [0.5]]> : tensor<2x1xf32>
  %z = tfm.constant dense<[[1], [128]]> : tensor<2x1xui8>
  %r = tfm.quantize %x scale %s zero_point %z : (tensor<2x3xf32>, tensor<2x1xf32>, tensor<2x1xui8>) -> tensor<2x3xui8>
  %e = tfm.constant dense<[[3, 255, 0], [130, 126, 128]]> : tensor<2x3xui8>
  check.expect_equal %r, %e : tensor<2x3xui8>
  return
}

// The quotient is rounded to f32 first: 0.1 / 0.2 is 0.5 there.
func.func @test_quotient_in_f32() {
  %x = tfm.constant dense<[0.1, 0.3]> : tensor<2xf32>
  %s = tfm.constant dense<[0.2, 0.2]> : tensor<2xf32>
  %r = tfm.quantize %x scale %s : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xi8>
  %e = tfm.constant dense<[0, 2]> : tensor<2xi8>
  check.expect_equal %r, %e : tensor<2xi8>
  return
}
