// RUN: permalloy-opt %s --check-interpret -o /dev/null

func.func @test_plain() {
  %0 = tfm.constant dense<[[0.15625, -0.1875, -2.515625], [-0.53125, -0.046875, 0.109375]]> : tensor<2x3xf32>
  %1 = tfm.constant dense<[[-1.53125, -0.484375, -0.984375, -0.8125], [1.0625, -0.8125, -0.03125, 0.890625], [-0.578125, -0.109375, 0.109375, 0.0625]]> : tensor<3x4xf32>
  %r = tfm.matmul %0, %1 : (tensor<2x3xf32>, tensor<3x4xf32>) -> tensor<2x4xf32>
  %e = tfm.constant dense<[[1.0158691, 0.35180664, -0.4230957, -0.45117188], [0.70043945, 0.28344727, 0.53637695, 0.39672852]]> : tensor<2x4xf32>
  check.expect_equal %r, %e : tensor<2x4xf32>
  return
}

func.func @test_transpose_a() {
  %0 = tfm.constant dense<[[-1.21875, 0.078125], [1.359375, -1.546875], [0.859375, 0.125]]> : tensor<3x2xf32>
  %1 = tfm.constant dense<[[-0.640625, 2.0, 0.765625, -1.203125], [0.078125, 0.578125, -0.1875, 0.6875], [-0.0625, 0.671875, 1.4375, -0.671875]]> : tensor<3x4xf32>
  %r = tfm.matmul %0, %1 {transpose_a} : (tensor<3x2xf32>, tensor<3x4xf32>) -> tensor<2x4xf32>
  %e = tfm.constant dense<[[0.83325195, -1.0742188, 0.04736328, 1.8234863], [-0.17871094, -0.65405273, 0.529541, -1.2414551]]> : tensor<2x4xf32>
  check.expect_equal %r, %e : tensor<2x4xf32>
  return
}

func.func @test_transpose_b() {
  %0 = tfm.constant dense<[[0.203125, -0.46875, 0.125], [-1.1875, -0.578125, -0.203125]]> : tensor<2x3xf32>
  %1 = tfm.constant dense<[[0.90625, 1.140625, -1.328125], [-0.796875, 0.640625, -2.0], [-0.46875, -0.09375, 1.25], [0.6875, -0.328125, -0.375]]> : tensor<4x3xf32>
  %r = tfm.matmul %0, %1 {transpose_b} : (tensor<2x3xf32>, tensor<4x3xf32>) -> tensor<2x4xf32>
  %e = tfm.constant dense<[[-0.51660156, -0.7121582, 0.10498047, 0.24658203], [-1.4658203, 0.98217773, 0.3569336, -0.5505371]]> : tensor<2x4xf32>
  check.expect_equal %r, %e : tensor<2x4xf32>
  return
}

func.func @test_transpose_both() {
  %0 = tfm.constant dense<[[-0.25, 1.53125], [-0.421875, -0.296875], [0.359375, -0.125]]> : tensor<3x2xf32>
  %1 = tfm.constant dense<[[-0.203125, -1.109375, -0.015625], [-0.4375, 1.171875, 0.65625], [-0.03125, 0.671875, -0.34375], [1.046875, -0.0, 0.578125]]> : tensor<4x3xf32>
  %r = tfm.matmul %0, %1 {transpose_a, transpose_b} : (tensor<3x2xf32>, tensor<4x3xf32>) -> tensor<2x4xf32>
  %e = tfm.constant dense<[[0.5131836, -0.14916992, -0.39916992, -0.053955078], [0.020263672, -1.0998535, -0.2043457, 1.5307617]]> : tensor<2x4xf32>
  check.expect_equal %r, %e : tensor<2x4xf32>
  return
}

func.func @test_vector_by_matrix() {
  %0 = tfm.constant dense<[-1.296875, 0.34375, -1.6875]> : tensor<3xf32>
  %1 = tfm.constant dense<[[-2.03125, -0.296875], [-0.90625, 0.15625], [2.25, -0.828125]]> : tensor<3x2xf32>
  %r = tfm.matmul %0, %1 : (tensor<3xf32>, tensor<3x2xf32>) -> tensor<2xf32>
  %e = tfm.constant dense<[-1.4741211, 1.8361816]> : tensor<2xf32>
  check.expect_equal %r, %e : tensor<2xf32>
  return
}

func.func @test_matrix_by_vector() {
  %0 = tfm.constant dense<[[-0.625, 0.203125, 0.5], [-0.171875, -0.203125, 0.703125]]> : tensor<2x3xf32>
  %1 = tfm.constant dense<[0.515625, -1.03125, -0.078125]> : tensor<3xf32>
  %r = tfm.matmul %0, %1 : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2xf32>
  %e = tfm.constant dense<[-0.5708008, 0.06591797]> : tensor<2xf32>
  check.expect_equal %r, %e : tensor<2xf32>
  return
}

func.func @test_vector_by_vector() {
  %0 = tfm.constant dense<[0.03125, -1.046875, 0.265625]> : tensor<3xf32>
  %1 = tfm.constant dense<[-0.859375, 0.96875, 0.1875]> : tensor<3xf32>
  %r = tfm.matmul %0, %1 : (tensor<3xf32>, tensor<3xf32>) -> tensor<f32>
  %e = tfm.constant dense<-0.99121094> : tensor<f32>
  check.expect_equal %r, %e : tensor<f32>
  return
}

func.func @test_batched() {
  %0 = tfm.constant dense<[[[0.09375, -0.59375, -0.125], [-2.0, -1.125, 0.359375]], [[-2.125, 0.84375, -1.75], [0.75, -0.84375, 0.78125]]]> : tensor<2x2x3xf32>
  %1 = tfm.constant dense<[[[0.125, -1.53125], [1.25, 1.4375], [-0.0625, -0.28125]], [[-0.15625, -0.96875], [1.09375, -0.546875], [-0.046875, -0.796875]]]> : tensor<2x3x2xf32>
  %r = tfm.matmul %0, %1 : (tensor<2x2x3xf32>, tensor<2x3x2xf32>) -> tensor<2x2x2xf32>
  %e = tfm.constant dense<[[[-0.72265625, -0.96191406], [-1.6787109, 1.3442383]], [[1.3369141, 2.9916992], [-1.0766602, -0.8876953]]]> : tensor<2x2x2xf32>
  check.expect_equal %r, %e : tensor<2x2x2xf32>
  return
}

func.func @test_batch_broadcast() {
  %0 = tfm.constant dense<[[[[-0.625, -1.28125, 1.25], [-0.15625, 0.96875, 0.015625]]], [[[-0.6875, -0.328125, -0.5625], [0.015625, -0.375, -0.296875]]]]> : tensor<2x1x2x3xf32>
  %1 = tfm.constant dense<[[[-1.375, -0.8125], [1.65625, -0.671875], [-1.046875, 0.34375]], [[1.40625, -1.453125], [-0.203125, -0.625], [-1.765625, 0.734375]], [[-0.03125, 0.078125], [-0.75, 0.453125], [-0.546875, -0.140625]]]> : tensor<3x3x2xf32>
  %r = tfm.matmul %0, %1 : (tensor<2x1x2x3xf32>, tensor<3x3x2xf32>) -> tensor<2x3x2x2xf32>
  %e = tfm.constant dense<[[[[-2.571289, 1.7983398], [1.8029785, -0.5185547]], [[-2.8256836, 2.6269531], [-0.4440918, -0.36694336]], [[0.296875, -0.8051758], [-0.7302246, 0.42456055]]], [[[0.99072266, 0.58569336], [-0.3317871, 0.13720703]], [[0.09301758, 0.7910156], [0.62231445, -0.0063476562]], [[0.5751953, -0.123291016], [0.44311523, -0.12695312]]]]> : tensor<2x3x2x2xf32>
  check.expect_equal %r, %e : tensor<2x3x2x2xf32>
  return
}

func.func @test_batched_transpose_b() {
  %0 = tfm.constant dense<[[[-1.109375, -1.21875, 1.328125], [-0.5, 0.296875, -0.03125]], [[-0.4375, -0.515625, 0.625], [-0.296875, -0.15625, 0.015625]]]> : tensor<2x2x3xf32>
  %1 = tfm.constant dense<[[[1.171875, 0.6875, 0.375], [-0.5625, -1.375, 0.953125]], [[0.96875, -0.140625, 0.546875], [0.78125, 0.828125, 0.921875]]]> : tensor<2x2x3xf32>
  %r = tfm.matmul %0, %1 {transpose_b} : (tensor<2x2x3xf32>, tensor<2x2x3xf32>) -> tensor<2x2x2xf32>
  %e = tfm.constant dense<[[[-1.6398926, 3.5656738], [-0.3935547, -0.15673828]], [[-0.009521484, -0.19262695], [-0.25708008, -0.34692383]]]> : tensor<2x2x2xf32>
  check.expect_equal %r, %e : tensor<2x2x2xf32>
  return
}

func.func @test_vector_by_batch() {
  %0 = tfm.constant dense<[-0.453125, 1.515625, -1.25]> : tensor<3xf32>
  %1 = tfm.constant dense<[[[0.859375, 0.5], [0.875, 1.875], [1.484375, -1.140625]], [[-1.6875, 0.8125], [-1.015625, -0.015625], [0.84375, -1.640625]]]> : tensor<2x3x2xf32>
  %r = tfm.matmul %0, %1 : (tensor<3xf32>, tensor<2x3x2xf32>) -> tensor<2x2xf32>
  %e = tfm.constant dense<[[-0.9187012, 4.0410156], [-1.8293457, 1.6589355]]> : tensor<2x2xf32>
  check.expect_equal %r, %e : tensor<2x2xf32>
  return
}

func.func @test_empty_inner() {
  %0 = tfm.constant dense<> : tensor<2x0xf32>
  %1 = tfm.constant dense<> : tensor<0x2xf32>
  %r = tfm.matmul %0, %1 : (tensor<2x0xf32>, tensor<0x2xf32>) -> tensor<2x2xf32>
  %e = tfm.constant dense<[[0.0, 0.0], [0.0, 0.0]]> : tensor<2x2xf32>
  check.expect_equal %r, %e : tensor<2x2xf32>
  return
}

func.func @test_empty_rows() {
  %0 = tfm.constant dense<> : tensor<0x3xf32>
  %1 = tfm.constant dense<[[-2.109375, 0.265625], [0.046875, -0.25], [0.03125, -0.859375]]> : tensor<3x2xf32>
  %r = tfm.matmul %0, %1 : (tensor<0x3xf32>, tensor<3x2xf32>) -> tensor<0x2xf32>
  %e = tfm.constant dense<> : tensor<0x2xf32>
  check.expect_equal %r, %e : tensor<0x2xf32>
  return
}

func.func @test_empty_batch() {
  %0 = tfm.constant dense<> : tensor<0x2x3xf32>
  %1 = tfm.constant dense<[[-1.515625, -0.171875], [-0.96875, -1.640625], [0.5, -0.0625]]> : tensor<3x2xf32>
  %r = tfm.matmul %0, %1 : (tensor<0x2x3xf32>, tensor<3x2xf32>) -> tensor<0x2x2xf32>
  %e = tfm.constant dense<> : tensor<0x2x2xf32>
  check.expect_equal %r, %e : tensor<0x2x2xf32>
  return
}

func.func @test_of_f16() {
  %0 = tfm.constant dense<[[0.40625, -0.984375, -0.65625], [-1.0, -0.890625, 0.203125]]> : tensor<2x3xf16>
  %1 = tfm.constant dense<[[-0.78125, 0.359375], [0.34375, 2.03125], [-1.390625, 0.890625]]> : tensor<3x2xf16>
  %r = tfm.matmul %0, %1 : (tensor<2x3xf16>, tensor<3x2xf16>) -> tensor<2x2xf16>
  %e = tfm.constant dense<[[0.2568359375, -2.4375], [0.192626953125, -1.9873046875]]> : tensor<2x2xf16>
  check.expect_equal %r, %e : tensor<2x2xf16>
  return
}

func.func @test_of_bf16() {
  %0 = tfm.constant dense<[[-0.09375, -0.015625, -1.453125], [-0.453125, 0.75, -0.078125]]> : tensor<2x3xbf16>
  %1 = tfm.constant dense<[[0.078125, -0.296875], [1.15625, -0.015625], [-2.203125, -0.6875]]> : tensor<3x2xbf16>
  %r = tfm.matmul %0, %1 : (tensor<2x3xbf16>, tensor<3x2xbf16>) -> tensor<2x2xbf16>
  %e = tfm.constant dense<[[3.171875, 1.0234375], [1.0, 0.1767578125]]> : tensor<2x2xbf16>
  check.expect_equal %r, %e : tensor<2x2xbf16>
  return
}

func.func @test_of_f64() {
  %0 = tfm.constant dense<[[-1.96875, -3.25, -0.53125], [1.328125, 0.046875, -1.171875]]> : tensor<2x3xf64>
  %1 = tfm.constant dense<[[-0.9375, 1.125], [0.15625, 0.046875], [-0.046875, 0.03125]]> : tensor<3x2xf64>
  %r = tfm.matmul %0, %1 : (tensor<2x3xf64>, tensor<3x2xf64>) -> tensor<2x2xf64>
  %e = tfm.constant dense<[[1.36279296875, -2.3837890625], [-1.182861328125, 1.459716796875]]> : tensor<2x2xf64>
  check.expect_equal %r, %e : tensor<2x2xf64>
  return
}

func.func @test_f16_does_not_accumulate_in_f16() {
  %0 = tfm.constant dense<[[2048.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]]> : tensor<1x9xf16>
  %1 = tfm.constant dense<1.0> : tensor<9x1xf16>
  %r = tfm.matmul %0, %1 : (tensor<1x9xf16>, tensor<9x1xf16>) -> tensor<1x1xf16>
  %e = tfm.constant dense<[[2056.0]]> : tensor<1x1xf16>
  check.expect_equal %r, %e : tensor<1x1xf16>
  return
}

func.func @test_of_i8() {
  %0 = tfm.constant dense<[[1, -2], [100, 3]]> : tensor<2x2xi8>
  %1 = tfm.constant dense<[[5], [7]]> : tensor<2x1xi8>
  %r = tfm.matmul %0, %1 : (tensor<2x2xi8>, tensor<2x1xi8>) -> tensor<2x1xi8>
  %e = tfm.constant dense<[[-9], [9]]> : tensor<2x1xi8>
  check.expect_equal %r, %e : tensor<2x1xi8>
  return
}

func.func @test_of_i32() {
  %0 = tfm.constant dense<[[1, -2], [100, 3]]> : tensor<2x2xi32>
  %1 = tfm.constant dense<[[5], [7]]> : tensor<2x1xi32>
  %r = tfm.matmul %0, %1 : (tensor<2x2xi32>, tensor<2x1xi32>) -> tensor<2x1xi32>
  %e = tfm.constant dense<[[-9], [521]]> : tensor<2x1xi32>
  check.expect_equal %r, %e : tensor<2x1xi32>
  return
}

func.func @test_of_i64() {
  %0 = tfm.constant dense<[[1, -2], [100, 3]]> : tensor<2x2xi64>
  %1 = tfm.constant dense<[[5], [7]]> : tensor<2x1xi64>
  %r = tfm.matmul %0, %1 : (tensor<2x2xi64>, tensor<2x1xi64>) -> tensor<2x1xi64>
  %e = tfm.constant dense<[[-9], [521]]> : tensor<2x1xi64>
  check.expect_equal %r, %e : tensor<2x1xi64>
  return
}

func.func @test_of_ui8_wraps() {
  %0 = tfm.constant dense<200> : tensor<1x2xui8>
  %1 = tfm.constant dense<1> : tensor<2x1xui8>
  %r = tfm.matmul %0, %1 : (tensor<1x2xui8>, tensor<2x1xui8>) -> tensor<1x1xui8>
  %e = tfm.constant dense<[[144]]> : tensor<1x1xui8>
  check.expect_equal %r, %e : tensor<1x1xui8>
  return
}

func.func @test_nan_spreads() {
  %0 = tfm.constant dense<[[1.0, 0x7FC00000], [1.0, 2.0]]> : tensor<2x2xf32>
  %1 = tfm.constant dense<[[1.0], [0.0]]> : tensor<2x1xf32>
  %r = tfm.matmul %0, %1 : (tensor<2x2xf32>, tensor<2x1xf32>) -> tensor<2x1xf32>
  %e = tfm.constant dense<[[0x7FC00000], [1.0]]> : tensor<2x1xf32>
  check.expect_equal %r, %e : tensor<2x1xf32>
  return
}
