// RUN: permalloy-opt %s --check-interpret -o /dev/null
// RUN: permalloy-opt %s --check-equivalent="pipeline= sizes=n=3" -o /dev/null

func.func @test_dim_values() {
  %0 = tfm.dim_values [#tfm.dim<7 floordiv 2>, #tfm.dim<-7 floordiv 2>, #tfm.dim<-7 mod 2>, #tfm.dim<max(3, 5)>, #tfm.dim<min(3, 5)>] : tensor<5xi64>
  %1 = tfm.constant dense<[3, -4, 1, 5, 3]> : tensor<5xi64>
  check.expect_equal %0, %1 : tensor<5xi64>
  %2 = tfm.dim_values [#tfm.dim<4>] : tensor<i32>
  %3 = tfm.constant dense<4> : tensor<i32>
  check.expect_equal %2, %3 : tensor<i32>
  return
}

func.func @test_shape_of() {
  %0 = tfm.constant dense<0.0> : tensor<2x0x3xf32>
  %1 = tfm.shape_of %0 : (tensor<2x0x3xf32>) -> tensor<3xi64>
  %2 = tfm.constant dense<[2, 0, 3]> : tensor<3xi64>
  check.expect_equal %1, %2 : tensor<3xi64>
  return
}

// Resolved shape arithmetic is evaluated at the sizes of the inputs.
func.func @main(%x: tensor<?x4xf32> {tfm.dims = [#tfm.dim<n>, #tfm.dim<4>]}) -> (tensor<2xi64>, tensor<?xi64>) {
  %0 = tfm.dim_values [#tfm.dim<n * 4>, #tfm.dim<n floordiv 2>] : tensor<2xi64>
  %1 = tfm.range from #tfm.dim<n> size #tfm.dim<2 * n> step 1 : () -> tensor<?xi64>
  return %0, %1 : tensor<2xi64>, tensor<?xi64>
}

// splitmix64(7) >> 40 is 0x63cbe1, so element 0 of seed 7 is 2 * 0x63cbe1 / 2^24 - 1.
tfm.weight @seeded : tensor<3xf32> = #tfm.seeded<7, 1.0>
tfm.weight @scaled : tensor<3xf32> = #tfm.seeded<7, 0.5>
tfm.weight @half : tensor<3xf16> = #tfm.seeded<7, 1.0>
tfm.weight @sum : tensor<3xf32> {
  %0 = tfm.get_weight @seeded : tensor<3xf32>
  %1 = tfm.get_weight @scaled : tensor<3xf32>
  %2 = tfm.binary add %0, %1 : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
  tfm.yield %2 : tensor<3xf32>
}

func.func @test_weights() {
  %0 = tfm.get_weight @seeded : tensor<3xf32>
  %1 = tfm.constant dense<[-0.22034060955047607, 0.2370091676712036, 0.36472535133361816]> : tensor<3xf32>
  check.expect_equal %0, %1 : tensor<3xf32>
  %h = tfm.constant dense<0.5> : tensor<f32>
  %2 = tfm.binary mul %0, %h : (tensor<3xf32>, tensor<f32>) -> tensor<3xf32>
  %3 = tfm.get_weight @scaled : tensor<3xf32>
  check.expect_equal %3, %2 : tensor<3xf32>
  %4 = tfm.cast %0 : (tensor<3xf32>) -> tensor<3xf16>
  %5 = tfm.get_weight @half : tensor<3xf16>
  check.expect_equal %5, %4 : tensor<3xf16>
  %6 = tfm.binary add %0, %2 : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
  %7 = tfm.get_weight @sum : tensor<3xf32>
  check.expect_equal %7, %6 : tensor<3xf32>
  return
}

// [K, N] is stored as [ceil(N/16)][K][16]; read back through a product with the identity.
tfm.weight @matrix : tensor<3x19xf32> = #tfm.seeded<9, 1.0>
func.func @test_pack() {
  %0 = tfm.get_weight @matrix : tensor<3x19xf32>
  %1 = tfm.pack %0 : (tensor<3x19xf32>) -> tensor<3x19xf32, #tfm.panels>
  %2 = tfm.constant dense<[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]> : tensor<3x3xf32>
  %3 = tfm.linear %2, %1 : (tensor<3x3xf32>, tensor<3x19xf32, #tfm.panels>) -> tensor<3x19xf32>
  check.expect_equal %3, %0 : tensor<3x19xf32>
  return
}

// bf16: [ceil(N/16)][ceil(K/2)][16][2].
tfm.weight @matrix_bf16 : tensor<3x19xbf16> = #tfm.seeded<9, 1.0>
func.func @test_pack_bf16() {
  %0 = tfm.get_weight @matrix_bf16 : tensor<3x19xbf16>
  %1 = tfm.pack %0 : (tensor<3x19xbf16>) -> tensor<3x19xbf16, #tfm.panels>
  %2 = tfm.constant dense<[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]> : tensor<3x3xbf16>
  %3 = tfm.linear %2, %1 : (tensor<3x3xbf16>, tensor<3x19xbf16, #tfm.panels>) -> tensor<3x19xbf16>
  check.expect_equal %3, %0 : tensor<3x19xbf16>
  return
}

// f16: as f32.
tfm.weight @matrix_f16 : tensor<3x19xf16> = #tfm.seeded<9, 1.0>
func.func @test_pack_f16() {
  %0 = tfm.get_weight @matrix_f16 : tensor<3x19xf16>
  %1 = tfm.pack %0 : (tensor<3x19xf16>) -> tensor<3x19xf16, #tfm.panels>
  %2 = tfm.constant dense<[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]> : tensor<3x3xf16>
  %3 = tfm.linear %2, %1 : (tensor<3x3xf16>, tensor<3x19xf16, #tfm.panels>) -> tensor<3x19xf16>
  check.expect_equal %3, %0 : tensor<3x19xf16>
  return
}
