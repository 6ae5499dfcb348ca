// RUN: permalloy-opt %s --check-interpret -o /dev/null

func.func @test_last() {
  %x = tfm.constant dense<[[[0.0, 0.296875, -0.28125, -0.890625], [-0.453125, -0.984375, 0.0625, 1.34375]], [[-0.5, -0.625, 0.484375, 0.359375], [0.109375, -0.9375, -0.03125, 0.6875]]]> : tensor<2x2x4xf32>
  %g = tfm.constant dense<[-1.34375, -0.453125, -1.90625, -1.296875]> : tensor<4xf32>
  %r = tfm.rms_norm %x, %g {axis = 2 : i64, epsilon = 1.0e-5 : f32} : (tensor<2x2x4xf32>, tensor<4xf32>) -> tensor<2x2x4xf32>
  %e = tfm.constant dense<[[[-0.0, -0.2745209, 1.0940977, 2.357093], [0.7049729, 0.51643366, -0.13794176, -2.0176811]], [[1.3407804, 0.56515455, -1.8425987, -0.93006897], [-0.25163618, 0.72732055, 0.10199208, -1.5265372]]]> : tensor<2x2x4xf32>
  check.expect_close %r, %e {rtol = 2.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<2x2x4xf32>
  return
}

func.func @test_two_axes() {
  %x = tfm.constant dense<[[[0.0, 0.296875, -0.28125, -0.890625], [-0.453125, -0.984375, 0.0625, 1.34375]], [[-0.5, -0.625, 0.484375, 0.359375], [0.109375, -0.9375, -0.03125, 0.6875]]]> : tensor<2x2x4xf32>
  %g = tfm.constant dense<[[-1.84375, -0.234375, -1.265625, 0.265625], [0.15625, -0.1875, -2.515625, -0.53125]]> : tensor<2x4xf32>
  %r = tfm.rms_norm %x, %g {axis = 1 : i64, epsilon = 1.0e-5 : f32} : (tensor<2x2x4xf32>, tensor<2x4xf32>) -> tensor<2x2x4xf32>
  %e = tfm.constant dense<[[[-0.0, -0.09909199, 0.50693375, -0.33691278], [-0.10083044, 0.26285455, -0.22391313, -1.016649]], [[1.6940907, 0.26918814, -1.1265523, 0.17542094], [0.03140528, 0.32302576, 0.1444643, -0.6711758]]]> : tensor<2x2x4xf32>
  check.expect_close %r, %e {rtol = 2.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<2x2x4xf32>
  return
}

func.func @test_scalar_scale() {
  %x = tfm.constant dense<[[[0.0, 0.296875, -0.28125, -0.890625], [-0.453125, -0.984375, 0.0625, 1.34375]], [[-0.5, -0.625, 0.484375, 0.359375], [0.109375, -0.9375, -0.03125, 0.6875]]]> : tensor<2x2x4xf32>
  %g = tfm.constant dense<2.0> : tensor<f32>
  %r = tfm.rms_norm %x, %g {axis = 2 : i64, epsilon = 0.5 : f32} : (tensor<2x2x4xf32>, tensor<f32>) -> tensor<2x2x4xf32>
  %e = tfm.constant dense<[[[0.0, 0.69016796, -0.65384334, -2.070504], [-0.8118839, -1.7637478, 0.111983985, 2.4076557]], [[-1.1538557, -1.4423196, 1.1177977, 0.82933384], [0.23851608, -2.0444236, -0.06814745, 1.499244]]]> : tensor<2x2x4xf32>
  check.expect_close %r, %e {rtol = 2.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<2x2x4xf32>
  return
}

func.func @test_of_zeros() {
  %x = tfm.constant dense<[[[0.0, 0.0, -0.0, -0.0], [-0.0, -0.0, 0.0, 0.0]], [[-0.0, -0.0, 0.0, 0.0], [0.0, -0.0, -0.0, 0.0]]]> : tensor<2x2x4xf32>
  %g = tfm.constant dense<[-1.34375, -0.453125, -1.90625, -1.296875]> : tensor<4xf32>
  %r = tfm.rms_norm %x, %g {axis = 2 : i64, epsilon = 1.0e-5 : f32} : (tensor<2x2x4xf32>, tensor<4xf32>) -> tensor<2x2x4xf32>
  %e = tfm.constant dense<[[[-0.0, -0.0, 0.0, 0.0], [0.0, 0.0, -0.0, -0.0]], [[0.0, 0.0, -0.0, -0.0], [-0.0, 0.0, 0.0, -0.0]]]> : tensor<2x2x4xf32>
  check.expect_close %r, %e {rtol = 2.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<2x2x4xf32>
  return
}

func.func @test_of_f16() {
  %x = tfm.constant dense<[[[0.0, 0.296875, -0.28125, -0.890625], [-0.453125, -0.984375, 0.0625, 1.34375]], [[-0.5, -0.625, 0.484375, 0.359375], [0.109375, -0.9375, -0.03125, 0.6875]]]> : tensor<2x2x4xf16>
  %g = tfm.constant dense<[-1.34375, -0.453125, -1.90625, -1.296875]> : tensor<4xf16>
  %r = tfm.rms_norm %x, %g {axis = 2 : i64, epsilon = 1.0e-5 : f32} : (tensor<2x2x4xf16>, tensor<4xf16>) -> tensor<2x2x4xf16>
  %e = tfm.constant dense<[[[-0.0, -0.27441406, 1.09375, 2.3574219], [0.7050781, 0.51660156, -0.13793945, -2.0175781]], [[1.3408203, 0.5649414, -1.8427734, -0.9301758], [-0.25170898, 0.72753906, 0.101989746, -1.5263672]]]> : tensor<2x2x4xf16>
  check.expect_equal %r, %e : tensor<2x2x4xf16>
  return
}
