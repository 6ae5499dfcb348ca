// RUN: permalloy-opt %s --check-interpret -o /dev/null

func.func @test_sum_last() {
  %0 = tfm.constant dense<[[[0.0, 0.296875, -0.28125, -0.890625], [-0.453125, -0.984375, 0.0625, 1.34375], [-0.5, -0.625, 0.484375, 0.359375]], [[0.109375, -0.9375, -0.03125, 0.6875], [-1.34375, -0.453125, -1.90625, -1.296875], [-1.84375, -0.234375, -1.265625, 0.265625]]]> : tensor<2x3x4xf32>
  %r = tfm.reduce sum %0 axes [2] : (tensor<2x3x4xf32>) -> tensor<2x3xf32>
  %e = tfm.constant dense<[[-0.875, -0.03125, -0.28125], [-0.171875, -5.0, -3.078125]]> : tensor<2x3xf32>
  check.expect_equal %r, %e : tensor<2x3xf32>
  return
}

func.func @test_sum_first_and_last_kept() {
  %0 = tfm.constant dense<[[[0.0, 0.296875, -0.28125, -0.890625], [-0.453125, -0.984375, 0.0625, 1.34375], [-0.5, -0.625, 0.484375, 0.359375]], [[0.109375, -0.9375, -0.03125, 0.6875], [-1.34375, -0.453125, -1.90625, -1.296875], [-1.84375, -0.234375, -1.265625, 0.265625]]]> : tensor<2x3x4xf32>
  %r = tfm.reduce sum %0 axes [0, 2] {keep_dims} : (tensor<2x3x4xf32>) -> tensor<1x3x1xf32>
  %e = tfm.constant dense<[[[-1.046875], [-5.03125], [-3.359375]]]> : tensor<1x3x1xf32>
  check.expect_equal %r, %e : tensor<1x3x1xf32>
  return
}

func.func @test_mean_last() {
  %0 = tfm.constant dense<[[[0.0, 0.296875, -0.28125, -0.890625], [-0.453125, -0.984375, 0.0625, 1.34375], [-0.5, -0.625, 0.484375, 0.359375]], [[0.109375, -0.9375, -0.03125, 0.6875], [-1.34375, -0.453125, -1.90625, -1.296875], [-1.84375, -0.234375, -1.265625, 0.265625]]]> : tensor<2x3x4xf32>
  %r = tfm.reduce mean %0 axes [2] : (tensor<2x3x4xf32>) -> tensor<2x3xf32>
  %e = tfm.constant dense<[[-0.21875, -0.0078125, -0.0703125], [-0.04296875, -1.25, -0.76953125]]> : tensor<2x3xf32>
  check.expect_equal %r, %e : tensor<2x3xf32>
  return
}

func.func @test_mean_first_and_last_kept() {
  %0 = tfm.constant dense<[[[0.0, 0.296875, -0.28125, -0.890625], [-0.453125, -0.984375, 0.0625, 1.34375], [-0.5, -0.625, 0.484375, 0.359375]], [[0.109375, -0.9375, -0.03125, 0.6875], [-1.34375, -0.453125, -1.90625, -1.296875], [-1.84375, -0.234375, -1.265625, 0.265625]]]> : tensor<2x3x4xf32>
  %r = tfm.reduce mean %0 axes [0, 2] {keep_dims} : (tensor<2x3x4xf32>) -> tensor<1x3x1xf32>
  %e = tfm.constant dense<[[[-0.13085938], [-0.62890625], [-0.41992188]]]> : tensor<1x3x1xf32>
  check.expect_equal %r, %e : tensor<1x3x1xf32>
  return
}

func.func @test_max_last() {
  %0 = tfm.constant dense<[[[0.0, 0.296875, -0.28125, -0.890625], [-0.453125, -0.984375, 0.0625, 1.34375], [-0.5, -0.625, 0.484375, 0.359375]], [[0.109375, -0.9375, -0.03125, 0.6875], [-1.34375, -0.453125, -1.90625, -1.296875], [-1.84375, -0.234375, -1.265625, 0.265625]]]> : tensor<2x3x4xf32>
  %r = tfm.reduce max %0 axes [2] : (tensor<2x3x4xf32>) -> tensor<2x3xf32>
  %e = tfm.constant dense<[[0.296875, 1.34375, 0.484375], [0.6875, -0.453125, 0.265625]]> : tensor<2x3xf32>
  check.expect_equal %r, %e : tensor<2x3xf32>
  return
}

func.func @test_max_first_and_last_kept() {
  %0 = tfm.constant dense<[[[0.0, 0.296875, -0.28125, -0.890625], [-0.453125, -0.984375, 0.0625, 1.34375], [-0.5, -0.625, 0.484375, 0.359375]], [[0.109375, -0.9375, -0.03125, 0.6875], [-1.34375, -0.453125, -1.90625, -1.296875], [-1.84375, -0.234375, -1.265625, 0.265625]]]> : tensor<2x3x4xf32>
  %r = tfm.reduce max %0 axes [0, 2] {keep_dims} : (tensor<2x3x4xf32>) -> tensor<1x3x1xf32>
  %e = tfm.constant dense<[[[0.6875], [1.34375], [0.484375]]]> : tensor<1x3x1xf32>
  check.expect_equal %r, %e : tensor<1x3x1xf32>
  return
}

func.func @test_min_last() {
  %0 = tfm.constant dense<[[[0.0, 0.296875, -0.28125, -0.890625], [-0.453125, -0.984375, 0.0625, 1.34375], [-0.5, -0.625, 0.484375, 0.359375]], [[0.109375, -0.9375, -0.03125, 0.6875], [-1.34375, -0.453125, -1.90625, -1.296875], [-1.84375, -0.234375, -1.265625, 0.265625]]]> : tensor<2x3x4xf32>
  %r = tfm.reduce min %0 axes [2] : (tensor<2x3x4xf32>) -> tensor<2x3xf32>
  %e = tfm.constant dense<[[-0.890625, -0.984375, -0.625], [-0.9375, -1.90625, -1.84375]]> : tensor<2x3xf32>
  check.expect_equal %r, %e : tensor<2x3xf32>
  return
}

func.func @test_min_first_and_last_kept() {
  %0 = tfm.constant dense<[[[0.0, 0.296875, -0.28125, -0.890625], [-0.453125, -0.984375, 0.0625, 1.34375], [-0.5, -0.625, 0.484375, 0.359375]], [[0.109375, -0.9375, -0.03125, 0.6875], [-1.34375, -0.453125, -1.90625, -1.296875], [-1.84375, -0.234375, -1.265625, 0.265625]]]> : tensor<2x3x4xf32>
  %r = tfm.reduce min %0 axes [0, 2] {keep_dims} : (tensor<2x3x4xf32>) -> tensor<1x3x1xf32>
  %e = tfm.constant dense<[[[-0.9375], [-1.90625], [-1.84375]]]> : tensor<1x3x1xf32>
  check.expect_equal %r, %e : tensor<1x3x1xf32>
  return
}

func.func @test_prod_last() {
  %0 = tfm.constant dense<[[[0.0, 0.296875, -0.28125, -0.890625], [-0.453125, -0.984375, 0.0625, 1.34375], [-0.5, -0.625, 0.484375, 0.359375]], [[0.109375, -0.9375, -0.03125, 0.6875], [-1.34375, -0.453125, -1.90625, -1.296875], [-1.84375, -0.234375, -1.265625, 0.265625]]]> : tensor<2x3x4xf32>
  %r = tfm.reduce prod %0 axes [2] : (tensor<2x3x4xf32>) -> tensor<2x3xf32>
  %e = tfm.constant dense<[[0.0, 0.037460804, 0.054397583], [0.0022029877, 1.5052702, -0.1452738]]> : tensor<2x3xf32>
  check.expect_equal %r, %e : tensor<2x3xf32>
  return
}

func.func @test_prod_first_and_last_kept() {
  %0 = tfm.constant dense<[[[0.0, 0.296875, -0.28125, -0.890625], [-0.453125, -0.984375, 0.0625, 1.34375], [-0.5, -0.625, 0.484375, 0.359375]], [[0.109375, -0.9375, -0.03125, 0.6875], [-1.34375, -0.453125, -1.90625, -1.296875], [-1.84375, -0.234375, -1.265625, 0.265625]]]> : tensor<2x3x4xf32>
  %r = tfm.reduce prod %0 axes [0, 2] {keep_dims} : (tensor<2x3x4xf32>) -> tensor<1x3x1xf32>
  %e = tfm.constant dense<[[[0.0], [0.056388635], [-0.007902544]]]> : tensor<1x3x1xf32>
  check.expect_equal %r, %e : tensor<1x3x1xf32>
  return
}

func.func @test_all_axes() {
  %0 = tfm.constant dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>
  %r = tfm.reduce sum %0 axes [0, 1] : (tensor<2x2xf32>) -> tensor<f32>
  %e = tfm.constant dense<10.0> : tensor<f32>
  check.expect_equal %r, %e : tensor<f32>
  return
}

func.func @test_no_axes() {
  %0 = tfm.constant dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>
  %r = tfm.reduce sum %0 axes [] : (tensor<2x2xf32>) -> tensor<2x2xf32>
  %e = tfm.constant dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>
  check.expect_equal %r, %e : tensor<2x2xf32>
  return
}

// Reductions of nothing give the neutral element; the mean has none.
func.func @test_empty_sum() {
  %0 = tfm.constant dense<> : tensor<2x0xf32>
  %r = tfm.reduce sum %0 axes [1] : (tensor<2x0xf32>) -> tensor<2xf32>
  %e = tfm.constant dense<[0.0, 0.0]> : tensor<2xf32>
  check.expect_equal %r, %e : tensor<2xf32>
  return
}

func.func @test_empty_mean() {
  %0 = tfm.constant dense<> : tensor<2x0xf32>
  %r = tfm.reduce mean %0 axes [1] : (tensor<2x0xf32>) -> tensor<2xf32>
  %e = tfm.constant dense<[0x7FC00000, 0x7FC00000]> : tensor<2xf32>
  check.expect_equal %r, %e : tensor<2xf32>
  return
}

func.func @test_empty_max() {
  %0 = tfm.constant dense<> : tensor<2x0xf32>
  %r = tfm.reduce max %0 axes [1] : (tensor<2x0xf32>) -> tensor<2xf32>
  %e = tfm.constant dense<0xFF800000> : tensor<2xf32>
  check.expect_equal %r, %e : tensor<2xf32>
  return
}

func.func @test_empty_min() {
  %0 = tfm.constant dense<> : tensor<2x0xf32>
  %r = tfm.reduce min %0 axes [1] : (tensor<2x0xf32>) -> tensor<2xf32>
  %e = tfm.constant dense<0x7F800000> : tensor<2xf32>
  check.expect_equal %r, %e : tensor<2xf32>
  return
}

func.func @test_empty_prod() {
  %0 = tfm.constant dense<> : tensor<2x0xf32>
  %r = tfm.reduce prod %0 axes [1] : (tensor<2x0xf32>) -> tensor<2xf32>
  %e = tfm.constant dense<1.0> : tensor<2xf32>
  check.expect_equal %r, %e : tensor<2xf32>
  return
}

func.func @test_max_i8() {
  %0 = tfm.constant dense<[[3, -7, 2], [100, 100, 1]]> : tensor<2x3xi8>
  %r = tfm.reduce max %0 axes [1] : (tensor<2x3xi8>) -> tensor<2xi8>
  %e = tfm.constant dense<[3, 100]> : tensor<2xi8>
  check.expect_equal %r, %e : tensor<2xi8>
  return
}

func.func @test_min_i8() {
  %0 = tfm.constant dense<[[3, -7, 2], [100, 100, 1]]> : tensor<2x3xi8>
  %r = tfm.reduce min %0 axes [1] : (tensor<2x3xi8>) -> tensor<2xi8>
  %e = tfm.constant dense<[-7, 1]> : tensor<2xi8>
  check.expect_equal %r, %e : tensor<2xi8>
  return
}

// Wraps.
func.func @test_sum_i8() {
  %0 = tfm.constant dense<[[3, -7, 2], [100, 100, 1]]> : tensor<2x3xi8>
  %r = tfm.reduce sum %0 axes [1] : (tensor<2x3xi8>) -> tensor<2xi8>
  %e = tfm.constant dense<[-2, -55]> : tensor<2xi8>
  check.expect_equal %r, %e : tensor<2xi8>
  return
}

func.func @test_prod_i8() {
  %0 = tfm.constant dense<[[3, -7, 2], [100, 100, 1]]> : tensor<2x3xi8>
  %r = tfm.reduce prod %0 axes [1] : (tensor<2x3xi8>) -> tensor<2xi8>
  %e = tfm.constant dense<[-42, 16]> : tensor<2xi8>
  check.expect_equal %r, %e : tensor<2xi8>
  return
}

func.func @test_mean_i8() {
  %0 = tfm.constant dense<[[1, 2], [-1, -2]]> : tensor<2x2xi8>
  %r = tfm.reduce mean %0 axes [1] : (tensor<2x2xi8>) -> tensor<2xi8>
  %e = tfm.constant dense<[1, -1]> : tensor<2xi8>
  check.expect_equal %r, %e : tensor<2xi8>
  return
}

func.func @test_empty_max_i8() {
  %0 = tfm.constant dense<> : tensor<0xi8>
  %r = tfm.reduce max %0 axes [0] : (tensor<0xi8>) -> tensor<i8>
  %e = tfm.constant dense<-128> : tensor<i8>
  check.expect_equal %r, %e : tensor<i8>
  return
}

func.func @test_max_i32() {
  %0 = tfm.constant dense<[[3, -7, 2], [100, 100, 1]]> : tensor<2x3xi32>
  %r = tfm.reduce max %0 axes [1] : (tensor<2x3xi32>) -> tensor<2xi32>
  %e = tfm.constant dense<[3, 100]> : tensor<2xi32>
  check.expect_equal %r, %e : tensor<2xi32>
  return
}

func.func @test_min_i32() {
  %0 = tfm.constant dense<[[3, -7, 2], [100, 100, 1]]> : tensor<2x3xi32>
  %r = tfm.reduce min %0 axes [1] : (tensor<2x3xi32>) -> tensor<2xi32>
  %e = tfm.constant dense<[-7, 1]> : tensor<2xi32>
  check.expect_equal %r, %e : tensor<2xi32>
  return
}

func.func @test_sum_i32() {
  %0 = tfm.constant dense<[[3, -7, 2], [100, 100, 1]]> : tensor<2x3xi32>
  %r = tfm.reduce sum %0 axes [1] : (tensor<2x3xi32>) -> tensor<2xi32>
  %e = tfm.constant dense<[-2, 201]> : tensor<2xi32>
  check.expect_equal %r, %e : tensor<2xi32>
  return
}

func.func @test_prod_i32() {
  %0 = tfm.constant dense<[[3, -7, 2], [100, 100, 1]]> : tensor<2x3xi32>
  %r = tfm.reduce prod %0 axes [1] : (tensor<2x3xi32>) -> tensor<2xi32>
  %e = tfm.constant dense<[-42, 10000]> : tensor<2xi32>
  check.expect_equal %r, %e : tensor<2xi32>
  return
}

func.func @test_mean_i32() {
  %0 = tfm.constant dense<[[1, 2], [-1, -2]]> : tensor<2x2xi32>
  %r = tfm.reduce mean %0 axes [1] : (tensor<2x2xi32>) -> tensor<2xi32>
  %e = tfm.constant dense<[1, -1]> : tensor<2xi32>
  check.expect_equal %r, %e : tensor<2xi32>
  return
}

func.func @test_empty_max_i32() {
  %0 = tfm.constant dense<> : tensor<0xi32>
  %r = tfm.reduce max %0 axes [0] : (tensor<0xi32>) -> tensor<i32>
  %e = tfm.constant dense<-2147483648> : tensor<i32>
  check.expect_equal %r, %e : tensor<i32>
  return
}

func.func @test_max_i64() {
  %0 = tfm.constant dense<[[3, -7, 2], [100, 100, 1]]> : tensor<2x3xi64>
  %r = tfm.reduce max %0 axes [1] : (tensor<2x3xi64>) -> tensor<2xi64>
  %e = tfm.constant dense<[3, 100]> : tensor<2xi64>
  check.expect_equal %r, %e : tensor<2xi64>
  return
}

func.func @test_min_i64() {
  %0 = tfm.constant dense<[[3, -7, 2], [100, 100, 1]]> : tensor<2x3xi64>
  %r = tfm.reduce min %0 axes [1] : (tensor<2x3xi64>) -> tensor<2xi64>
  %e = tfm.constant dense<[-7, 1]> : tensor<2xi64>
  check.expect_equal %r, %e : tensor<2xi64>
  return
}

func.func @test_sum_i64() {
  %0 = tfm.constant dense<[[3, -7, 2], [100, 100, 1]]> : tensor<2x3xi64>
  %r = tfm.reduce sum %0 axes [1] : (tensor<2x3xi64>) -> tensor<2xi64>
  %e = tfm.constant dense<[-2, 201]> : tensor<2xi64>
  check.expect_equal %r, %e : tensor<2xi64>
  return
}

func.func @test_prod_i64() {
  %0 = tfm.constant dense<[[3, -7, 2], [100, 100, 1]]> : tensor<2x3xi64>
  %r = tfm.reduce prod %0 axes [1] : (tensor<2x3xi64>) -> tensor<2xi64>
  %e = tfm.constant dense<[-42, 10000]> : tensor<2xi64>
  check.expect_equal %r, %e : tensor<2xi64>
  return
}

func.func @test_mean_i64() {
  %0 = tfm.constant dense<[[1, 2], [-1, -2]]> : tensor<2x2xi64>
  %r = tfm.reduce mean %0 axes [1] : (tensor<2x2xi64>) -> tensor<2xi64>
  %e = tfm.constant dense<[1, -1]> : tensor<2xi64>
  check.expect_equal %r, %e : tensor<2xi64>
  return
}

func.func @test_empty_max_i64() {
  %0 = tfm.constant dense<> : tensor<0xi64>
  %r = tfm.reduce max %0 axes [0] : (tensor<0xi64>) -> tensor<i64>
  %e = tfm.constant dense<-9223372036854775808> : tensor<i64>
  check.expect_equal %r, %e : tensor<i64>
  return
}

func.func @test_max_ui8() {
  %0 = tfm.constant dense<[1, 200]> : tensor<2xui8>
  %r = tfm.reduce max %0 axes [0] : (tensor<2xui8>) -> tensor<ui8>
  %e = tfm.constant dense<200> : tensor<ui8>
  check.expect_equal %r, %e : tensor<ui8>
  return
}

func.func @test_all() {
  %0 = tfm.constant dense<[[true, true], [true, false], [false, false]]> : tensor<3x2xi1>
  %r = tfm.reduce all %0 axes [1] : (tensor<3x2xi1>) -> tensor<3xi1>
  %e = tfm.constant dense<[true, false, false]> : tensor<3xi1>
  check.expect_equal %r, %e : tensor<3xi1>
  return
}

func.func @test_any() {
  %0 = tfm.constant dense<[[true, true], [true, false], [false, false]]> : tensor<3x2xi1>
  %r = tfm.reduce any %0 axes [1] : (tensor<3x2xi1>) -> tensor<3xi1>
  %e = tfm.constant dense<[true, true, false]> : tensor<3xi1>
  check.expect_equal %r, %e : tensor<3xi1>
  return
}

func.func @test_all_of_nothing() {
  %0 = tfm.constant dense<> : tensor<0xi1>
  %r = tfm.reduce all %0 axes [0] : (tensor<0xi1>) -> tensor<i1>
  %e = tfm.constant dense<true> : tensor<i1>
  check.expect_equal %r, %e : tensor<i1>
  return
}

func.func @test_any_of_nothing() {
  %0 = tfm.constant dense<> : tensor<0xi1>
  %r = tfm.reduce any %0 axes [0] : (tensor<0xi1>) -> tensor<i1>
  %e = tfm.constant dense<false> : tensor<i1>
  check.expect_equal %r, %e : tensor<i1>
  return
}

func.func @test_max_with_nan() {
  %0 = tfm.constant dense<[[1.0, 0x7FC00000, 3.0], [0x7FC00000, 2.0, 1.0], [2.0, 1.0, 0x7FC00000]]> : tensor<3x3xf32>
  %r = tfm.reduce max %0 axes [1] : (tensor<3x3xf32>) -> tensor<3xf32>
  %e = tfm.constant dense<[0x7FC00000, 0x7FC00000, 0x7FC00000]> : tensor<3xf32>
  check.expect_equal %r, %e : tensor<3xf32>
  return
}

func.func @test_min_with_infinities() {
  %0 = tfm.constant dense<[[0x7F800000, 0xFF800000], [0x7F800000, 0x7F800000]]> : tensor<2x2xf32>
  %r = tfm.reduce min %0 axes [1] : (tensor<2x2xf32>) -> tensor<2xf32>
  %e = tfm.constant dense<[0xFF800000, 0x7F800000]> : tensor<2xf32>
  check.expect_equal %r, %e : tensor<2xf32>
  return
}

func.func @test_sum_f16_does_not_accumulate_in_f16() {
  %0 = tfm.constant dense<[2048.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]> : tensor<9xf16>
  %r = tfm.reduce sum %0 axes [0] : (tensor<9xf16>) -> tensor<f16>
  %e = tfm.constant dense<2056.0> : tensor<f16>
  check.expect_equal %r, %e : tensor<f16>
  return
}

func.func @test_mean_bf16() {
  %0 = tfm.constant dense<[256.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]> : tensor<8xbf16>
  %r = tfm.reduce mean %0 axes [0] : (tensor<8xbf16>) -> tensor<bf16>
  %e = tfm.constant dense<33.0> : tensor<bf16>
  check.expect_equal %r, %e : tensor<bf16>
  return
}

func.func @test_sum_f64() {
  %0 = tfm.constant dense<[0.5, 0.25, -1.0]> : tensor<3xf64>
  %r = tfm.reduce sum %0 axes [0] : (tensor<3xf64>) -> tensor<f64>
  %e = tfm.constant dense<-0.25> : tensor<f64>
  check.expect_equal %r, %e : tensor<f64>
  return
}

func.func @test_sum_f32_rounds_once() {
  %0 = tfm.constant dense<[1.6777216e+07, 1.0, 1.0, 1.0]> : tensor<4xf32>
  %r = tfm.reduce sum %0 axes [0] : (tensor<4xf32>) -> tensor<f32>
  %e = tfm.constant dense<1.677722e+07> : tensor<f32>
  check.expect_equal %r, %e : tensor<f32>
  return
}

func.func @test_absmax() {
  %0 = tfm.constant dense<[[0.5, -3.0, 2.0], [-0.0, 0.0, -0.0], [1.0, 0x7FC00000, -2.0], [1.0, 0xFF800000, 3.0]]> : tensor<4x3xf32>
  %r = tfm.reduce absmax %0 axes [1] {keep_dims} : (tensor<4x3xf32>) -> tensor<4x1xf32>
  %e = tfm.constant dense<[[3.0], [0.0], [0x7FC00000], [0x7F800000]]> : tensor<4x1xf32>
  check.expect_equal %r, %e : tensor<4x1xf32>
  return
}

func.func @test_absmax_of_nothing() {
  %0 = tfm.constant dense<[[], []]> : tensor<2x0xf32>
  %r = tfm.reduce absmax %0 axes [1] : (tensor<2x0xf32>) -> tensor<2xf32>
  %e = tfm.constant dense<0.0> : tensor<2xf32>
  check.expect_equal %r, %e : tensor<2xf32>
  return
}
