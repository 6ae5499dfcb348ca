// RUN: permalloy-opt %s --check-interpret -o /dev/null
//
// Attention with offsets is attention of each sequence on its own, put one behind another.

tfm.weight @q : tensor<1x6x8xf32> = #tfm.seeded<1, 1.0>
tfm.weight @k : tensor<1x6x4xf32> = #tfm.seeded<2, 1.0>
tfm.weight @v : tensor<1x6x4xf32> = #tfm.seeded<3, 1.0>

func.func @test_sequences() {
  %q = tfm.get_weight @q : tensor<1x6x8xf32>
  %k = tfm.get_weight @k : tensor<1x6x4xf32>
  %v = tfm.get_weight @v : tensor<1x6x4xf32>
  // Of 2, 0, 3 and 1 tokens.
  %offsets = tfm.constant dense<[0, 2, 2, 5, 6]> : tensor<5xi64>
  %r = tfm.attention %q, %k, %v offsets %offsets longest #tfm.dim<3> {num_heads = 2 : i64, num_kv_heads = 1 : i64, scale = 0.5 : f32, causal} : (tensor<1x6x8xf32>, tensor<1x6x4xf32>, tensor<1x6x4xf32>, tensor<5xi64>) -> tensor<1x6x8xf32>
  %q0 = tfm.slice %q offsets [#tfm.dim<0>, #tfm.dim<0>, #tfm.dim<0>] sizes [#tfm.dim<1>, #tfm.dim<2>, #tfm.dim<8>] strides [1, 1, 1] : (tensor<1x6x8xf32>) -> tensor<1x2x8xf32>
  %k0 = tfm.slice %k offsets [#tfm.dim<0>, #tfm.dim<0>, #tfm.dim<0>] sizes [#tfm.dim<1>, #tfm.dim<2>, #tfm.dim<4>] strides [1, 1, 1] : (tensor<1x6x4xf32>) -> tensor<1x2x4xf32>
  %v0 = tfm.slice %v offsets [#tfm.dim<0>, #tfm.dim<0>, #tfm.dim<0>] sizes [#tfm.dim<1>, #tfm.dim<2>, #tfm.dim<4>] strides [1, 1, 1] : (tensor<1x6x4xf32>) -> tensor<1x2x4xf32>
  %r0 = tfm.attention %q0, %k0, %v0 {num_heads = 2 : i64, num_kv_heads = 1 : i64, scale = 0.5 : f32, causal} : (tensor<1x2x8xf32>, tensor<1x2x4xf32>, tensor<1x2x4xf32>) -> tensor<1x2x8xf32>
  %q2 = tfm.slice %q offsets [#tfm.dim<0>, #tfm.dim<2>, #tfm.dim<0>] sizes [#tfm.dim<1>, #tfm.dim<3>, #tfm.dim<8>] strides [1, 1, 1] : (tensor<1x6x8xf32>) -> tensor<1x3x8xf32>
  %k2 = tfm.slice %k offsets [#tfm.dim<0>, #tfm.dim<2>, #tfm.dim<0>] sizes [#tfm.dim<1>, #tfm.dim<3>, #tfm.dim<4>] strides [1, 1, 1] : (tensor<1x6x4xf32>) -> tensor<1x3x4xf32>
  %v2 = tfm.slice %v offsets [#tfm.dim<0>, #tfm.dim<2>, #tfm.dim<0>] sizes [#tfm.dim<1>, #tfm.dim<3>, #tfm.dim<4>] strides [1, 1, 1] : (tensor<1x6x4xf32>) -> tensor<1x3x4xf32>
  %r2 = tfm.attention %q2, %k2, %v2 {num_heads = 2 : i64, num_kv_heads = 1 : i64, scale = 0.5 : f32, causal} : (tensor<1x3x8xf32>, tensor<1x3x4xf32>, tensor<1x3x4xf32>) -> tensor<1x3x8xf32>
  // A sequence of one token is its value, for both heads.
  %v3 = tfm.slice %v offsets [#tfm.dim<0>, #tfm.dim<5>, #tfm.dim<0>] sizes [#tfm.dim<1>, #tfm.dim<1>, #tfm.dim<4>] strides [1, 1, 1] : (tensor<1x6x4xf32>) -> tensor<1x1x4xf32>
  %r3 = tfm.concat %v3, %v3 {axis = 2 : i64} : (tensor<1x1x4xf32>, tensor<1x1x4xf32>) -> tensor<1x1x8xf32>
  %e = tfm.concat %r0, %r2, %r3 {axis = 1 : i64} : (tensor<1x2x8xf32>, tensor<1x3x8xf32>, tensor<1x1x8xf32>) -> tensor<1x6x8xf32>
  check.expect_close %r, %e {rtol = 1.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<1x6x8xf32>
  return
}

func.func @test_prefix_count() {
  %x = tfm.constant dense<[[true, false, true], [false, true, true]]> : tensor<2x3xi1>
  %0 = tfm.prefix_count %x : (tensor<2x3xi1>) -> tensor<7xi64>
  %e = tfm.constant dense<[0, 1, 1, 2, 2, 3, 4]> : tensor<7xi64>
  check.expect_equal %0, %e : tensor<7xi64>
  return
}
