// RUN: permalloy-opt %s --check-interpret -o /dev/null
//
// Expected values: a plain numpy implementation in double on heads [B, H, S, D].

func.func @test_packed_heads() {
  %0 = tfm.constant dense<[[[-0.65625, -0.984375, 0.859375, -0.515625], [1.5, -0.78125, 0.390625, -0.234375], [-0.75, 0.59375, -0.15625, 0.609375]]]> : tensor<1x3x4xf32>
  %1 = tfm.constant dense<[[[-0.046875, -1.078125, -0.109375, 0.046875], [0.953125, -0.90625, -0.046875, -1.71875], [0.65625, -1.078125, -1.8125, -0.0625]]]> : tensor<1x3x4xf32>
  %2 = tfm.constant dense<[[[1.109375, -1.53125, -1.09375, -0.75], [-1.125, 0.375, -0.8125, -0.71875], [0.578125, -0.75, 0.4375, -0.96875]]]> : tensor<1x3x4xf32>
  %r = tfm.attention %0, %1, %2 {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32} : (tensor<1x3x4xf32>, tensor<1x3x4xf32>, tensor<1x3x4xf32>) -> tensor<1x3x4xf32>
  %e = tfm.constant dense<[[[0.33545223, -0.76493245, -0.70420784, -0.7685056], [-0.029527579, -0.44068506, -0.6016139, -0.79037607], [0.29694158, -0.73698485, -0.40302247, -0.83322227]]]> : tensor<1x3x4xf32>
  check.expect_close %r, %e {rtol = 1.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<1x3x4xf32>
  return
}

func.func @test_heads_outside() {
  %0 = tfm.constant dense<[[[[-1.21875, -1.828125], [1.859375, -0.3125], [0.25, -0.03125]], [[0.15625, 0.046875], [1.90625, -1.03125], [-1.5625, -1.015625]]]]> : tensor<1x2x3x2xf32>
  %1 = tfm.constant dense<[[[[-1.328125, 0.75], [0.828125, -0.96875], [-1.390625, -0.359375]], [[1.390625, -2.8125], [0.53125, -1.078125], [1.046875, -1.078125]]]]> : tensor<1x2x3x2xf32>
  %2 = tfm.constant dense<[[[[-0.28125, -1.5], [-0.984375, 1.390625], [0.828125, -0.40625]], [[-0.875, -1.890625], [-0.390625, -0.03125], [-0.078125, -0.09375]]]]> : tensor<1x2x3x2xf32>
  %r = tfm.attention %0, %1, %2 {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32} : (tensor<1x2x3x2xf32>, tensor<1x2x3x2xf32>, tensor<1x2x3x2xf32>) -> tensor<1x2x3x2xf32>
  %e = tfm.constant dense<[[[[0.15849343, -0.16775745], [-0.7530631, 0.97592264], [-0.22929318, -0.0118524125]], [[-0.44669884, -0.6747926], [-0.656601, -1.3043994], [-0.5244588, -0.83577085]]]]> : tensor<1x2x3x2xf32>
  check.expect_close %r, %e {rtol = 1.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<1x2x3x2xf32>
  return
}

func.func @test_other_lengths() {
  %0 = tfm.constant dense<[[[-1.125, -0.0625, -0.03125, 1.296875], [1.859375, -0.140625, -0.765625, -0.0625]], [[-0.609375, -0.75, -0.0625, -1.046875], [0.609375, -0.109375, 0.25, -0.1875]]]> : tensor<2x2x4xf32>
  %1 = tfm.constant dense<[[[-0.734375, -0.953125, -0.234375, -0.546875], [0.234375, -0.0, -1.359375, 0.0625], [-1.34375, -0.609375, -0.296875, -2.078125]], [[0.09375, 0.15625, -0.15625, -0.421875], [-0.375, -0.96875, -0.265625, -0.546875], [0.09375, -1.203125, 0.234375, 0.140625]]]> : tensor<2x3x4xf32>
  %2 = tfm.constant dense<[[[-0.140625, -0.4375, 0.546875, -1.671875], [0.453125, 0.25, 0.28125, 0.390625], [-0.65625, -0.265625, 0.640625, 0.4375]], [[0.203125, -1.515625, 0.53125, 1.171875], [1.015625, 0.234375, -1.5625, 0.9375], [-0.140625, -2.53125, 0.375, -1.484375]]]> : tensor<2x3x4xf32>
  %r = tfm.attention %0, %1, %2 {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32} : (tensor<2x2x4xf32>, tensor<2x3x4xf32>, tensor<2x3x4xf32>) -> tensor<2x2x4xf32>
  %e = tfm.constant dense<[[[-0.27066076, -0.22559522, 0.41967192, -0.31904694], [0.1397402, -0.0023946036, 0.46311432, -0.17084745]], [[0.39680594, -1.2020526, -0.30872387, 0.38608727], [0.32942322, -1.3424553, -0.21864742, 0.21006219]]]> : tensor<2x2x4xf32>
  check.expect_close %r, %e {rtol = 1.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<2x2x4xf32>
  return
}

func.func @test_other_value_size() {
  %0 = tfm.constant dense<[[[-1.296875, -0.640625, 1.265625, -0.375], [0.265625, 1.75, 1.59375, -0.109375]]]> : tensor<1x2x4xf32>
  %1 = tfm.constant dense<[[[-0.234375, -1.265625, -0.6875, 0.421875], [0.390625, 0.109375, 1.0, -0.765625], [-0.0625, 0.734375, 0.578125, 1.078125]]]> : tensor<1x3x4xf32>
  %2 = tfm.constant dense<[[[0.390625, -0.3125, 0.359375, -1.0, -1.640625, 0.578125], [-0.0625, 0.3125, -1.703125, -0.359375, -0.59375, -0.859375], [-2.25, -0.328125, 0.890625, 0.375, -0.59375, -0.015625]]]> : tensor<1x3x6xf32>
  %r = tfm.attention %0, %1, %2 {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32} : (tensor<1x2x4xf32>, tensor<1x3x4xf32>, tensor<1x3x6xf32>) -> tensor<1x2x6xf32>
  %e = tfm.constant dense<[[[-0.36662593, -0.17522053, 0.025322312, -0.2373589, -0.75226283, -0.39007956], [-1.2451997, -0.10598116, -0.05333041, -0.19117826, -0.7290129, -0.38529283]]]> : tensor<1x2x6xf32>
  check.expect_close %r, %e {rtol = 1.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<1x2x6xf32>
  return
}

func.func @test_other_value_size_rank_4() {
  %0 = tfm.constant dense<[[[[0.75, -2.765625], [-0.125, 0.546875]], [[0.6875, 1.703125], [1.140625, 0.3125]]]]> : tensor<1x2x2x2xf32>
  %1 = tfm.constant dense<[[[[0.296875, 0.78125], [-0.546875, -0.046875], [0.90625, 1.953125]], [[-0.15625, -0.046875], [0.203125, 1.34375], [-0.03125, 1.46875]]]]> : tensor<1x2x3x2xf32>
  %2 = tfm.constant dense<[[[[-0.96875], [-0.1875], [-0.203125]], [[0.78125], [1.046875], [-1.515625]]]]> : tensor<1x2x3x1xf32>
  %r = tfm.attention %0, %1, %2 {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32} : (tensor<1x2x2x2xf32>, tensor<1x2x3x2xf32>, tensor<1x2x3x1xf32>) -> tensor<1x2x2x1xf32>
  %e = tfm.constant dense<[[[[-0.40935162], [-0.44074503]], [[-0.12941065], [0.08120961]]]]> : tensor<1x2x2x1xf32>
  check.expect_close %r, %e {rtol = 1.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<1x2x2x1xf32>
  return
}

func.func @test_grouped_query() {
  %0 = tfm.constant dense<[[[-0.921875, 0.34375, -0.65625, -1.515625, 1.03125, 0.5, 0.5, -0.46875], [1.03125, -0.234375, 1.09375, -0.90625, -0.859375, 0.203125, -0.703125, 0.671875]]]> : tensor<1x2x8xf32>
  %1 = tfm.constant dense<[[[0.265625, -0.921875, 0.078125, -0.34375], [0.921875, -0.625, -0.4375, 1.21875], [2.234375, 2.0, 0.0625, 0.21875]]]> : tensor<1x3x4xf32>
  %2 = tfm.constant dense<[[[1.53125, -0.125, -0.96875, 0.109375], [0.453125, -0.828125, -1.640625, -1.4375], [0.671875, -0.765625, -0.140625, 0.21875]]]> : tensor<1x3x4xf32>
  %r = tfm.attention %0, %1, %2 {num_heads = 4 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32} : (tensor<1x2x8xf32>, tensor<1x3x4xf32>, tensor<1x3x4xf32>) -> tensor<1x2x8xf32>
  %e = tfm.constant dense<[[[0.9538444, -0.5234356, 1.0942711, -0.4126844, -0.91244763, -0.3876375, -0.84246874, -0.2319361], [0.8023789, -0.6367613, 0.864989, -0.5801613, -0.99708956, -0.4987884, -1.0525743, -0.5983719]]]> : tensor<1x2x8xf32>
  check.expect_close %r, %e {rtol = 1.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<1x2x8xf32>
  return
}

func.func @test_grouped_query_rank_4() {
  %0 = tfm.constant dense<[[[[0.625, -0.328125], [0.5, -0.890625]], [[-0.359375, -1.03125], [1.125, -0.03125]], [[-0.734375, -0.359375], [-0.21875, 0.703125]], [[-1.59375, -1.03125], [-0.375, 2.53125]]]]> : tensor<1x4x2x2xf32>
  %1 = tfm.constant dense<[[[[0.953125, -0.109375], [0.71875, 2.0625], [-0.234375, -0.359375]], [[1.21875, 0.5], [0.671875, -0.515625], [1.921875, 1.703125]]]]> : tensor<1x2x3x2xf32>
  %2 = tfm.constant dense<[[[[0.5625, 0.6875], [-2.03125, 0.640625], [-0.1875, 0.4375]], [[0.6875, -0.34375], [-1.6875, 0.375], [-0.734375, -0.328125]]]]> : tensor<1x2x3x2xf32>
  %r = tfm.attention %0, %1, %2 {num_heads = 4 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32} : (tensor<1x4x2x2xf32>, tensor<1x2x3x2xf32>, tensor<1x2x3x2xf32>) -> tensor<1x4x2x2xf32>
  %e = tfm.constant dense<[[[[-0.37735745, 0.59878564], [-0.14685935, 0.5849644]], [[-0.14294297, 0.55361164], [-0.5313187, 0.61620295]], [[-0.7267596, 0.00072315487], [-0.5082187, -0.16759168]], [[-1.0065166, 0.13640724], [-0.5221888, -0.2905996]]]]> : tensor<1x4x2x2xf32>
  check.expect_close %r, %e {rtol = 1.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<1x4x2x2xf32>
  return
}

func.func @test_multi_query() {
  %0 = tfm.constant dense<[[[-0.609375, -0.34375, -2.3125, 1.21875], [0.25, 1.109375, 1.984375, 0.015625]]]> : tensor<1x2x4xf32>
  %1 = tfm.constant dense<[[[-1.796875, -0.890625], [-1.203125, -0.5]]]> : tensor<1x2x2xf32>
  %2 = tfm.constant dense<[[[0.078125, -2.0], [0.34375, -1.515625]]]> : tensor<1x2x2xf32>
  %r = tfm.attention %0, %1, %2 {num_heads = 2 : i64, num_kv_heads = 1 : i64, scale = 0.5 : f32} : (tensor<1x2x4xf32>, tensor<1x2x2xf32>, tensor<1x2x2xf32>) -> tensor<1x2x4xf32>
  %e = tfm.constant dense<[[[0.19454958, -1.7876964, 0.18164456, -1.811229], [0.23011957, -1.7228334, 0.24915066, -1.6881297]]]> : tensor<1x2x4xf32>
  check.expect_close %r, %e {rtol = 1.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<1x2x4xf32>
  return
}

func.func @test_padding_mask() {
  %0 = tfm.constant dense<[[[0.296875, -0.109375, -0.3125, -0.078125], [-0.546875, -0.609375, -1.6875, -0.03125]], [[1.84375, 1.984375, 1.328125, 0.703125], [-0.671875, 1.4375, -0.0625, -0.0625]]]> : tensor<2x2x4xf32>
  %1 = tfm.constant dense<[[[-0.296875, 0.09375, -0.4375, -0.078125], [-1.078125, -0.375, 2.28125, -0.0625], [-0.234375, 0.53125, 0.703125, -1.109375]], [[-0.203125, 0.921875, 0.265625, 0.125], [1.546875, -0.671875, 0.078125, -0.515625], [1.484375, -1.953125, -0.671875, -0.53125]]]> : tensor<2x3x4xf32>
  %2 = tfm.constant dense<[[[0.65625, 0.609375, 1.390625, -1.578125], [0.75, -0.296875, -0.671875, 0.546875], [-0.921875, -2.078125, -0.375, -1.5]], [[-0.65625, 0.375, 0.3125, 1.59375], [-0.203125, -1.53125, -0.75, -0.921875], [-1.21875, 0.4375, -0.640625, -1.984375]]]> : tensor<2x3x4xf32>
  %3 = tfm.constant dense<[[[[true, true, false]]], [[[true, false, false]]]]> : tensor<2x1x1x3xi1>
  %r = tfm.attention %0, %1, %2 mask %3 {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32} : (tensor<2x2x4xf32>, tensor<2x3x4xf32>, tensor<2x3x4xf32>, tensor<2x1x1x3xi1>) -> tensor<2x2x4xf32>
  %e = tfm.constant dense<[[[0.7010093, 0.17670195, 0.5754802, -0.73827887], [0.71139187, 0.07633717, 1.201689, -1.3834636]], [[-0.65625, 0.375, 0.3125, 1.59375], [-0.65625, 0.375, 0.3125, 1.59375]]]> : tensor<2x2x4xf32>
  check.expect_close %r, %e {rtol = 1.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<2x2x4xf32>
  return
}

func.func @test_full_mask() {
  %0 = tfm.constant dense<[[[0.703125, -0.109375], [0.359375, 0.109375]]]> : tensor<1x2x2xf32>
  %1 = tfm.constant dense<[[[0.625, 0.03125], [1.234375, 0.421875]]]> : tensor<1x2x2xf32>
  %2 = tfm.constant dense<[[[0.390625, 0.40625], [-1.453125, -0.171875]]]> : tensor<1x2x2xf32>
  %3 = tfm.constant dense<[[[[true, false], [true, true]]]]> : tensor<1x1x2x2xi1>
  %r = tfm.attention %0, %1, %2 mask %3 {num_heads = 1 : i64, num_kv_heads = 1 : i64, scale = 0.5 : f32} : (tensor<1x2x2xf32>, tensor<1x2x2xf32>, tensor<1x2x2xf32>, tensor<1x1x2x2xi1>) -> tensor<1x2x2xf32>
  %e = tfm.constant dense<[[[0.390625, 0.40625], [-0.59148204, 0.09830117]]]> : tensor<1x2x2xf32>
  check.expect_close %r, %e {rtol = 1.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<1x2x2xf32>
  return
}

func.func @test_mask_per_head() {
  %0 = tfm.constant dense<[[[-0.265625, 0.203125, -1.359375, 1.640625], [0.109375, -1.21875, -1.703125, -0.28125]]]> : tensor<1x2x4xf32>
  %1 = tfm.constant dense<[[[-0.09375, -0.71875, 0.09375, -0.640625], [0.546875, -0.71875, -0.03125, 0.984375]]]> : tensor<1x2x4xf32>
  %2 = tfm.constant dense<[[[2.578125, -1.0, -0.46875, -0.84375], [0.78125, -1.140625, -0.484375, -0.03125]]]> : tensor<1x2x4xf32>
  %3 = tfm.constant dense<[[[[true, false]], [[false, true]]]]> : tensor<1x2x1x2xi1>
  %r = tfm.attention %0, %1, %2 mask %3 {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32} : (tensor<1x2x4xf32>, tensor<1x2x4xf32>, tensor<1x2x4xf32>, tensor<1x2x1x2xi1>) -> tensor<1x2x4xf32>
  %e = tfm.constant dense<[[[2.578125, -1.0, -0.484375, -0.03125], [2.578125, -1.0, -0.484375, -0.03125]]]> : tensor<1x2x4xf32>
  check.expect_close %r, %e {rtol = 1.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<1x2x4xf32>
  return
}

func.func @test_additive_mask() {
  %0 = tfm.constant dense<[[[-0.984375, -0.953125], [-0.46875, -2.09375]]]> : tensor<1x2x2xf32>
  %1 = tfm.constant dense<[[[-1.453125, -0.40625], [0.140625, -0.1875], [-1.78125, -0.46875]]]> : tensor<1x3x2xf32>
  %2 = tfm.constant dense<[[[0.796875, 0.5625], [-0.078125, -0.890625], [0.625, -0.578125]]]> : tensor<1x3x2xf32>
  %3 = tfm.constant dense<[[[[0.5, 0xFF800000, -1.0]]]]> : tensor<1x1x1x3xf32>
  %r = tfm.attention %0, %1, %2 mask %3 {num_heads = 1 : i64, num_kv_heads = 1 : i64, scale = 0.5 : f32} : (tensor<1x2x2xf32>, tensor<1x3x2xf32>, tensor<1x3x2xf32>, tensor<1x1x1x3xf32>) -> tensor<1x2x2xf32>
  %e = tfm.constant dense<[[[0.76031685, 0.31988698], [0.76170594, 0.32910544]]]> : tensor<1x2x2xf32>
  check.expect_close %r, %e {rtol = 1.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<1x2x2xf32>
  return
}

// Only -inf hides a key: the lowest finite number leaves the scores (here rounded away in the sum) to softmax.
func.func @test_finite_lowest_is_not_empty() {
  %0 = tfm.constant dense<[[[-1.171875, -0.796875]]]> : tensor<1x1x2xf32>
  %1 = tfm.constant dense<[[[1.453125, 0.21875], [1.15625, -0.484375]]]> : tensor<1x2x2xf32>
  %2 = tfm.constant dense<[[[0.9375, -0.59375], [-0.15625, 2.484375]]]> : tensor<1x2x2xf32>
  %3 = tfm.constant dense<-3.4028235e+38> : tensor<1x1x1x2xf32>
  %r = tfm.attention %0, %1, %2 mask %3 empty_rows zero {num_heads = 1 : i64, num_kv_heads = 1 : i64, scale = 0.5 : f32} : (tensor<1x1x2xf32>, tensor<1x2x2xf32>, tensor<1x2x2xf32>, tensor<1x1x1x2xf32>) -> tensor<1x1x2xf32>
  %e = tfm.constant dense<[[[0.390625, 0.9453125]]]> : tensor<1x1x2xf32>
  check.expect_close %r, %e {rtol = 1.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<1x1x2xf32>
  return
}

func.func @test_causal() {
  %0 = tfm.constant dense<[[[0.765625, -0.5], [-0.078125, 0.328125], [1.203125, -0.484375]]]> : tensor<1x3x2xf32>
  %1 = tfm.constant dense<[[[-1.734375, -0.28125], [0.015625, 0.109375], [1.3125, 0.3125]]]> : tensor<1x3x2xf32>
  %2 = tfm.constant dense<[[[0.8125, -1.09375], [0.875, 2.09375], [0.765625, 0.25]]]> : tensor<1x3x2xf32>
  %r = tfm.attention %0, %1, %2 {num_heads = 1 : i64, num_kv_heads = 1 : i64, scale = 0.5 : f32, causal} : (tensor<1x3x2xf32>, tensor<1x3x2xf32>, tensor<1x3x2xf32>) -> tensor<1x3x2xf32>
  %e = tfm.constant dense<[[[0.8125, -1.09375], [0.84368324, 0.49659538], [0.8024261, 0.6338193]]]> : tensor<1x3x2xf32>
  check.expect_close %r, %e {rtol = 1.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<1x3x2xf32>
  return
}

// Query i sees keys up to i + (keys - queries).
func.func @test_causal_with_past() {
  %0 = tfm.constant dense<[[[0.15625, 1.78125], [-0.921875, -0.109375]]]> : tensor<1x2x2xf32>
  %1 = tfm.constant dense<[[[0.453125, 0.75], [-0.4375, 0.3125], [-0.28125, 0.125], [-0.125, -1.140625]]]> : tensor<1x4x2xf32>
  %2 = tfm.constant dense<[[[-0.015625, 0.875], [-0.96875, -0.234375], [0.671875, -1.0625], [0.1875, -1.0625]]]> : tensor<1x4x2xf32>
  %r = tfm.attention %0, %1, %2 {num_heads = 1 : i64, num_kv_heads = 1 : i64, scale = 0.5 : f32, causal} : (tensor<1x2x2xf32>, tensor<1x4x2xf32>, tensor<1x4x2xf32>) -> tensor<1x2x2xf32>
  %e = tfm.constant dense<[[[-0.12151777, 0.06991934], [-0.048639573, -0.4716402]]]> : tensor<1x2x2xf32>
  check.expect_close %r, %e {rtol = 1.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<1x2x2xf32>
  return
}

// The first query sees nothing.
func.func @test_causal_and_mask() {
  %0 = tfm.constant dense<[[[1.140625, 2.3125], [2.015625, -0.21875], [0.734375, 0.125]]]> : tensor<1x3x2xf32>
  %1 = tfm.constant dense<[[[0.109375, 1.546875], [-1.3125, 1.0625], [-0.046875, 1.40625]]]> : tensor<1x3x2xf32>
  %2 = tfm.constant dense<[[[0.1875, -0.671875], [0.28125, 0.734375], [0.03125, 0.484375]]]> : tensor<1x3x2xf32>
  %3 = tfm.constant dense<[[[[false, true, true]]]]> : tensor<1x1x1x3xi1>
  %r = tfm.attention %0, %1, %2 mask %3 empty_rows zero {num_heads = 1 : i64, num_kv_heads = 1 : i64, scale = 0.5 : f32, causal} : (tensor<1x3x2xf32>, tensor<1x3x2xf32>, tensor<1x3x2xf32>, tensor<1x1x1x3xi1>) -> tensor<1x3x2xf32>
  %e = tfm.constant dense<[[[0.0, 0.0], [0.28125, 0.734375], [0.12644693, 0.57957196]]]> : tensor<1x3x2xf32>
  check.expect_close %r, %e {rtol = 1.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<1x3x2xf32>
  return
}

func.func @test_empty_rows_nan() {
  %0 = tfm.constant dense<[[[-0.515625, -2.140625], [0.90625, 0.703125]]]> : tensor<1x2x2xf32>
  %1 = tfm.constant dense<[[[0.140625, 0.0625], [1.03125, -0.453125], [-0.703125, -0.1875]]]> : tensor<1x3x2xf32>
  %2 = tfm.constant dense<[[[1.1875, -1.390625], [1.1875, -0.640625], [-1.09375, 1.265625]]]> : tensor<1x3x2xf32>
  %3 = tfm.constant dense<[[[[false, false, false], [false, true, false]]]]> : tensor<1x1x2x3xi1>
  %r = tfm.attention %0, %1, %2 mask %3 {num_heads = 1 : i64, num_kv_heads = 1 : i64, scale = 0.5 : f32} : (tensor<1x2x2xf32>, tensor<1x3x2xf32>, tensor<1x3x2xf32>, tensor<1x1x2x3xi1>) -> tensor<1x2x2xf32>
  %e = tfm.constant dense<[[[0x7FC00000, 0x7FC00000], [1.1875, -0.640625]]]> : tensor<1x2x2xf32>
  check.expect_close %r, %e {rtol = 1.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<1x2x2xf32>
  return
}

func.func @test_empty_rows_nan_additive() {
  %0 = tfm.constant dense<[[[-0.09375, -1.296875]]]> : tensor<1x1x2xf32>
  %1 = tfm.constant dense<[[[-0.359375, 0.9375], [1.1875, -0.421875]]]> : tensor<1x2x2xf32>
  %2 = tfm.constant dense<[[[0.40625, 0.71875], [-0.640625, 0.359375]]]> : tensor<1x2x2xf32>
  %3 = tfm.constant dense<0xFF800000> : tensor<1x1x1x2xf32>
  %r = tfm.attention %0, %1, %2 mask %3 {num_heads = 1 : i64, num_kv_heads = 1 : i64, scale = 0.5 : f32} : (tensor<1x1x2xf32>, tensor<1x2x2xf32>, tensor<1x2x2xf32>, tensor<1x1x1x2xf32>) -> tensor<1x1x2xf32>
  %e = tfm.constant dense<[[[0x7FC00000, 0x7FC00000]]]> : tensor<1x1x2xf32>
  check.expect_close %r, %e {rtol = 1.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<1x1x2xf32>
  return
}

func.func @test_empty_rows_zero() {
  %0 = tfm.constant dense<[[[-0.03125, -0.53125], [-0.484375, 0.0625]]]> : tensor<1x2x2xf32>
  %1 = tfm.constant dense<[[[0.03125, -0.5625], [-0.421875, 1.109375], [0.21875, 0.890625]]]> : tensor<1x3x2xf32>
  %2 = tfm.constant dense<[[[1.203125, 0.59375], [2.265625, -0.828125], [0.8125, -0.3125]]]> : tensor<1x3x2xf32>
  %3 = tfm.constant dense<[[[[false, false, false], [false, true, false]]]]> : tensor<1x1x2x3xi1>
  %r = tfm.attention %0, %1, %2 mask %3 empty_rows zero {num_heads = 1 : i64, num_kv_heads = 1 : i64, scale = 0.5 : f32} : (tensor<1x2x2xf32>, tensor<1x3x2xf32>, tensor<1x3x2xf32>, tensor<1x1x2x3xi1>) -> tensor<1x2x2xf32>
  %e = tfm.constant dense<[[[0.0, 0.0], [2.265625, -0.828125]]]> : tensor<1x2x2xf32>
  check.expect_close %r, %e {rtol = 1.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<1x2x2xf32>
  return
}

func.func @test_empty_rows_zero_additive() {
  %0 = tfm.constant dense<[[[1.859375, 1.703125]]]> : tensor<1x1x2xf32>
  %1 = tfm.constant dense<[[[-1.953125, -0.96875], [0.671875, 0.796875]]]> : tensor<1x2x2xf32>
  %2 = tfm.constant dense<[[[0.734375, -0.078125], [0.453125, 0.65625]]]> : tensor<1x2x2xf32>
  %3 = tfm.constant dense<0xFF800000> : tensor<1x1x1x2xf32>
  %r = tfm.attention %0, %1, %2 mask %3 empty_rows zero {num_heads = 1 : i64, num_kv_heads = 1 : i64, scale = 0.5 : f32} : (tensor<1x1x2xf32>, tensor<1x2x2xf32>, tensor<1x2x2xf32>, tensor<1x1x1x2xf32>) -> tensor<1x1x2xf32>
  %e = tfm.constant dense<[[[0.0, 0.0]]]> : tensor<1x1x2xf32>
  check.expect_close %r, %e {rtol = 1.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<1x1x2xf32>
  return
}

func.func @test_empty_rows_uniform() {
  %0 = tfm.constant dense<[[[-0.078125, 1.03125], [-2.265625, 0.640625]]]> : tensor<1x2x2xf32>
  %1 = tfm.constant dense<[[[-1.03125, 0.953125], [-0.234375, -0.890625], [0.375, -0.90625]]]> : tensor<1x3x2xf32>
  %2 = tfm.constant dense<[[[-0.90625, -1.5625], [-0.03125, 0.5], [1.015625, -0.140625]]]> : tensor<1x3x2xf32>
  %3 = tfm.constant dense<[[[[false, false, false], [false, true, false]]]]> : tensor<1x1x2x3xi1>
  %r = tfm.attention %0, %1, %2 mask %3 empty_rows uniform {num_heads = 1 : i64, num_kv_heads = 1 : i64, scale = 0.5 : f32} : (tensor<1x2x2xf32>, tensor<1x3x2xf32>, tensor<1x3x2xf32>, tensor<1x1x2x3xi1>) -> tensor<1x2x2xf32>
  %e = tfm.constant dense<[[[0.026041666, -0.40104166], [-0.03125, 0.5]]]> : tensor<1x2x2xf32>
  check.expect_close %r, %e {rtol = 1.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<1x2x2xf32>
  return
}

func.func @test_empty_rows_uniform_additive() {
  %0 = tfm.constant dense<[[[1.046875, 0.015625]]]> : tensor<1x1x2xf32>
  %1 = tfm.constant dense<[[[-0.09375, 0.578125], [1.0625, -0.34375]]]> : tensor<1x2x2xf32>
  %2 = tfm.constant dense<[[[-0.25, -0.15625], [0.078125, -0.90625]]]> : tensor<1x2x2xf32>
  %3 = tfm.constant dense<0xFF800000> : tensor<1x1x1x2xf32>
  %r = tfm.attention %0, %1, %2 mask %3 empty_rows uniform {num_heads = 1 : i64, num_kv_heads = 1 : i64, scale = 0.5 : f32} : (tensor<1x1x2xf32>, tensor<1x2x2xf32>, tensor<1x2x2xf32>, tensor<1x1x1x2xf32>) -> tensor<1x1x2xf32>
  %e = tfm.constant dense<[[[-0.0859375, -0.53125]]]> : tensor<1x1x2xf32>
  check.expect_close %r, %e {rtol = 1.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<1x1x2xf32>
  return
}

func.func @test_causal_more_queries_than_keys() {
  %0 = tfm.constant dense<[[[1.03125, -0.40625], [0.46875, -0.828125], [0.359375, 0.390625]]]> : tensor<1x3x2xf32>
  %1 = tfm.constant dense<[[[-0.421875, 2.015625], [0.375, 1.78125]]]> : tensor<1x2x2xf32>
  %2 = tfm.constant dense<[[[0.953125, -0.65625], [-0.375, 0.4375]]]> : tensor<1x2x2xf32>
  %r = tfm.attention %0, %1, %2 empty_rows uniform {num_heads = 1 : i64, num_kv_heads = 1 : i64, scale = 0.5 : f32, causal} : (tensor<1x3x2xf32>, tensor<1x2x2xf32>, tensor<1x2x2xf32>) -> tensor<1x3x2xf32>
  %e = tfm.constant dense<[[[0.2890625, -0.109375], [0.953125, -0.65625], [0.25674418, -0.08275992]]]> : tensor<1x3x2xf32>
  check.expect_close %r, %e {rtol = 1.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<1x3x2xf32>
  return
}

func.func @test_of_f16() {
  %0 = tfm.constant dense<[[[0.0625, 0.046875, -0.28125, -1.8125], [-0.21875, -2.21875, 0.375, -0.71875]]]> : tensor<1x2x4xf16>
  %1 = tfm.constant dense<[[[-0.71875, -0.21875, 0.265625, -1.4375], [-1.75, -1.0625, -2.046875, -0.96875]]]> : tensor<1x2x4xf16>
  %2 = tfm.constant dense<[[[1.59375, -1.0625, 0.65625, -1.375], [0.296875, -0.3125, -0.0625, 0.5625]]]> : tensor<1x2x4xf16>
  %3 = tfm.constant dense<[[[[0.0, -1.0]]]]> : tensor<1x1x1x2xf16>
  %r = tfm.attention %0, %1, %2 mask %3 {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32} : (tensor<1x2x4xf16>, tensor<1x2x4xf16>, tensor<1x2x4xf16>, tensor<1x1x1x2xf16>) -> tensor<1x2x4xf16>
  %e = tfm.constant dense<[[[1.2578125, -0.8681640625, 0.476806640625, -0.89111328125], [0.9296875, -0.67822265625, 0.53564453125, -1.0498046875]]]> : tensor<1x2x4xf16>
  check.expect_equal %r, %e : tensor<1x2x4xf16>
  return
}

func.func @test_of_bf16() {
  %0 = tfm.constant dense<[[[1.75, 0.1875, 0.125, -0.96875], [0.578125, -0.25, 0.828125, -0.046875]]]> : tensor<1x2x4xbf16>
  %1 = tfm.constant dense<[[[1.734375, -1.984375, -0.296875, 0.875], [-0.34375, -0.796875, -0.265625, -1.375]]]> : tensor<1x2x4xbf16>
  %2 = tfm.constant dense<[[[0.125, 2.4375, 1.140625, -1.109375], [-0.875, -0.40625, 1.0, -0.828125]]]> : tensor<1x2x4xbf16>
  %3 = tfm.constant dense<[[[[0.0, -1.0]]]]> : tensor<1x1x1x2xbf16>
  %r = tfm.attention %0, %1, %2 mask %3 {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32} : (tensor<1x2x4xbf16>, tensor<1x2x4xbf16>, tensor<1x2x4xbf16>, tensor<1x1x1x2xbf16>) -> tensor<1x2x4xbf16>
  %e = tfm.constant dense<[[[0.0625, 2.265625, 1.0703125, -0.9609375], [-0.023193359375, 2.015625, 1.1015625, -1.03125]]]> : tensor<1x2x4xbf16>
  check.expect_equal %r, %e : tensor<1x2x4xbf16>
  return
}

func.func @test_of_f64() {
  %0 = tfm.constant dense<[[[-0.6875, 0.890625, 0.859375, -0.375], [-1.125, -1.546875, -0.703125, -2.234375]]]> : tensor<1x2x4xf64>
  %1 = tfm.constant dense<[[[0.75, -0.625, 0.484375, 1.875], [1.171875, -1.15625, 0.875, 1.15625]]]> : tensor<1x2x4xf64>
  %2 = tfm.constant dense<[[[-0.75, -0.953125, -0.109375, -1.59375], [1.46875, -2.40625, -1.109375, -0.265625]]]> : tensor<1x2x4xf64>
  %3 = tfm.constant dense<[[[[0.0, -1.0]]]]> : tensor<1x1x1x2xf64>
  %r = tfm.attention %0, %1, %2 mask %3 {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32} : (tensor<1x2x4xf64>, tensor<1x2x4xf64>, tensor<1x2x4xf64>, tensor<1x1x1x2xf64>) -> tensor<1x2x4xf64>
  %e = tfm.constant dense<[[[-0.3045782342981791, -1.2448448888047137, -0.4417666636601003, -1.1522923217014291], [-0.07460491700380646, -1.395461216328493, -0.5265574366491288, -1.0396795763253759]]]> : tensor<1x2x4xf64>
  check.expect_close %r, %e {rtol = 1.0e-13 : f64, atol = 1.0e-13 : f64} : tensor<1x2x4xf64>
  return
}

func.func @test_no_queries() {
  %0 = tfm.constant dense<> : tensor<1x0x2xf32>
  %1 = tfm.constant dense<[[[-0.234375, 0.171875], [0.265625, -0.21875]]]> : tensor<1x2x2xf32>
  %2 = tfm.constant dense<[[[1.140625, -2.140625], [-0.0, -0.71875]]]> : tensor<1x2x2xf32>
  %r = tfm.attention %0, %1, %2 {num_heads = 1 : i64, num_kv_heads = 1 : i64, scale = 0.5 : f32} : (tensor<1x0x2xf32>, tensor<1x2x2xf32>, tensor<1x2x2xf32>) -> tensor<1x0x2xf32>
  %e = tfm.constant dense<> : tensor<1x0x2xf32>
  check.expect_close %r, %e {rtol = 1.0e-07 : f64, atol = 1.0e-07 : f64} : tensor<1x0x2xf32>
  return
}

// No key at all: the sum over nothing, as the decomposed graph gives.
func.func @test_no_keys() {
  %0 = tfm.constant dense<[[[0.125, 0.21875]]]> : tensor<1x1x2xf32>
  %1 = tfm.constant dense<> : tensor<1x0x2xf32>
  %2 = tfm.constant dense<> : tensor<1x0x2xf32>
  %r = tfm.attention %0, %1, %2 {num_heads = 1 : i64, num_kv_heads = 1 : i64, scale = 0.5 : f32} : (tensor<1x1x2xf32>, tensor<1x0x2xf32>, tensor<1x0x2xf32>) -> tensor<1x1x2xf32>
  %e = tfm.constant dense<[[[0.0, 0.0]]]> : tensor<1x1x2xf32>
  check.expect_equal %r, %e : tensor<1x1x2xf32>
  return
}

// The query is packed, key and value are not; two query heads share each of theirs.
func.func @test_packed_query_split_keys() {
  %0 = tfm.constant dense<[[[0.0, 0.3125, -0.28125, -0.875, -0.46875, -1.0, 0.0625, 1.34375],  [-0.5, -0.625, 0.5, 0.34375, 0.09375, -0.9375, -0.03125, 0.6875]]]> : tensor<1x2x8xf32>
  %1 = tfm.constant dense<[[[[-1.34375, -0.46875],   [-1.90625, -1.28125],   [-1.84375, -0.25]],  [[-1.28125, 0.28125],   [0.15625, -0.1875],   [-2.53125, -0.53125]]]]> : tensor<1x2x3x2xf32>
  %2 = tfm.constant dense<[[[[-0.0625, 0.125],   [-1.53125, -0.46875],   [-0.96875, -0.8125]],  [[1.0625, -0.8125],   [-0.03125, 0.875],   [-0.59375, -0.125]]]]> : tensor<1x2x3x2xf32>
  %r = tfm.attention %0, %1, %2 {num_heads = 4 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32, causal} : (tensor<1x2x8xf32>, tensor<1x2x3x2xf32>, tensor<1x2x3x2xf32>) -> tensor<1x2x8xf32>
  %e = tfm.constant dense<[[[-0.7503219246864319, -0.15305566787719727, -0.9539790749549866, -0.23538516461849213, 0.5436384677886963, -0.011970804072916508, 0.5890130996704102, -0.08197736740112305],  [-0.9485139846801758, -0.4038233458995819, -0.7886382937431335, -0.36441582441329956, 0.05422640219330788, 0.0487411804497242, 0.22222810983657837, -0.06939274072647095]]]> : tensor<1x2x8xf32>
  check.expect_close %r, %e {rtol = 1.0e-06 : f64, atol = 1.0e-06 : f64} : tensor<1x2x8xf32>
  return
}

// The other way round: the result has the query's layout.
func.func @test_split_query_packed_keys() {
  %0 = tfm.constant dense<[[[[0.125, 0.0625],   [-1.21875, 0.0625]],  [[1.34375, -1.5625],   [0.875, 0.125]]]]> : tensor<1x2x2x2xf32>
  %1 = tfm.constant dense<[[[-0.65625, 2.0, 0.75, -1.1875],  [0.0625, 0.5625, -0.1875, 0.6875],  [-0.0625, 0.65625, 1.4375, -0.6875]]]> : tensor<1x3x4xf32>
  %2 = tfm.constant dense<[[[0.21875, -0.46875, 0.125, -1.1875],  [-0.59375, -0.1875, 0.90625, 1.15625],  [-1.3125, -0.78125, 0.65625, -2.0]]]> : tensor<1x3x4xf32>
  %r = tfm.attention %0, %1, %2 {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32} : (tensor<1x2x2x2xf32>, tensor<1x3x4xf32>, tensor<1x3x4xf32>) -> tensor<1x2x2x2xf32>
  %e = tfm.constant dense<[[[[-0.5612803101539612, -0.47867539525032043],   [-0.44820326566696167, -0.4841352701187134]],  [[0.42845070362091064, -1.4533231258392334],   [0.5464550852775574, -0.9912849068641663]]]]> : tensor<1x2x2x2xf32>
  check.expect_close %r, %e {rtol = 1.0e-06 : f64, atol = 1.0e-06 : f64} : tensor<1x2x2x2xf32>
  return
}

// cap * tanh(x / cap)
func.func @test_softcap() {
  %0 = tfm.constant dense<[[[-1.40625, -0.28125, 3.75, 2.0625],  [-0.9375, -1.125, -0.75, 4.59375]]]> : tensor<1x2x4xf32>
  %1 = tfm.constant dense<[[[-1.3125, -0.9375, 1.03125, -0.375],  [-0.5625, -3.375, -0.0, -1.3125],  [3.46875, 1.96875, -0.09375, 1.96875]]]> : tensor<1x3x4xf32>
  %2 = tfm.constant dense<[[[-0.34375, 1.0625, -0.0, 0.59375],  [-1.28125, 0.34375, -1.6875, -2.03125],  [-0.3125, -0.90625, 0.15625, 2.25]]]> : tensor<1x3x4xf32>
  %r = tfm.attention %0, %1, %2 {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32, softcap = 0.75 : f32} : (tensor<1x2x4xf32>, tensor<1x3x4xf32>, tensor<1x3x4xf32>) -> tensor<1x2x4xf32>
  %e = tfm.constant dense<[[[-0.7468574643135071, 0.5326983332633972, -0.10787644982337952, 1.062106728553772],  [-0.7739279270172119, 0.5259594321250916, -0.15118469297885895, 1.327666997909546]]]> : tensor<1x2x4xf32>
  check.expect_close %r, %e {rtol = 1.0e-06 : f64, atol = 1.0e-06 : f64} : tensor<1x2x4xf32>
  return
}

// Query i stands at i + 2: it sees one key before and one after.
func.func @test_windows() {
  %0 = tfm.constant dense<[[[-0.84375, -0.625],  [0.21875, 0.5],  [-0.1875, -0.21875],  [0.6875, 0.53125]]]> : tensor<1x4x2xf32>
  %1 = tfm.constant dense<[[[-1.03125, -0.09375],  [0.03125, -1.0625],  [0.25, -0.84375],  [0.96875, 0.1875],  [0.09375, -0.59375],  [-0.125, -2.0]]]> : tensor<1x6x2xf32>
  %2 = tfm.constant dense<[[[-1.125, 0.375],  [-2.125, 0.84375],  [-1.75, 0.75],  [-0.84375, 0.78125],  [0.125, -1.53125],  [1.25, 1.4375]]]> : tensor<1x6x2xf32>
  %r = tfm.attention %0, %1, %2 {num_heads = 1 : i64, num_kv_heads = 1 : i64, scale = 0.5 : f32, window_left = 1 : i64, window_right = 1 : i64} : (tensor<1x4x2xf32>, tensor<1x6x2xf32>, tensor<1x6x2xf32>) -> tensor<1x4x2xf32>
  %e = tfm.constant dense<[[[-1.7335772514343262, 0.796804666519165],  [-0.8125564455986023, 0.0700187161564827],  [0.29622381925582886, 0.2769136130809784],  [0.5633704662322998, -0.374439001083374]]]> : tensor<1x4x2xf32>
  check.expect_close %r, %e {rtol = 1.0e-06 : f64, atol = 1.0e-06 : f64} : tensor<1x4x2xf32>
  return
}

// A sliding window of two keys.
func.func @test_causal_window() {
  %0 = tfm.constant dense<[[[-0.0625, -0.28125],  [-0.15625, -0.96875],  [1.09375, -0.53125],  [-0.0625, -0.78125]]]> : tensor<1x4x2xf32>
  %1 = tfm.constant dense<[[[-0.625, -1.28125],  [1.25, -0.15625],  [0.96875, 0.0],  [-0.6875, -0.3125],  [-0.5625, 0.0],  [-0.375, -0.3125]]]> : tensor<1x6x2xf32>
  %2 = tfm.constant dense<[[[-1.375, -0.8125],  [1.65625, -0.65625],  [-1.0625, 0.34375],  [1.40625, -1.46875],  [-0.21875, -0.625],  [-1.75, 0.75]]]> : tensor<1x6x2xf32>
  %r = tfm.attention %0, %1, %2 {num_heads = 1 : i64, num_kv_heads = 1 : i64, scale = 0.5 : f32, causal, window_left = 1 : i64} : (tensor<1x4x2xf32>, tensor<1x6x2xf32>, tensor<1x6x2xf32>) -> tensor<1x4x2xf32>
  %e = tfm.constant dense<[[[0.3058356046676636, -0.15954585373401642],  [0.3440282344818115, -0.6888909935951233],  [0.5997008085250854, -1.0499649047851562],  [-1.028812050819397, 0.10240261256694794]]]> : tensor<1x4x2xf32>
  check.expect_close %r, %e {rtol = 1.0e-06 : f64, atol = 1.0e-06 : f64} : tensor<1x4x2xf32>
  return
}

// Rows from kv_length on are not there, also for causality.
func.func @test_kv_length() {
  %0 = tfm.constant dense<[[[[0.375, -0.5625],   [-1.375, 0.9375]]]]> : tensor<1x1x2x2xf32>
  %1 = tfm.constant dense<[[[[0.96875, -0.15625],   [0.53125, 0.78125],   [0.84375, 0.90625],   [-0.46875, 1.5],   [-1.25, 0.875]]]]> : tensor<1x1x5x2xf32>
  %2 = tfm.constant dense<[[[[0.5, 0.875],   [1.875, 1.5],   [-1.15625, -1.6875],   [0.8125, -1.0],   [-0.0, 0.84375]]]]> : tensor<1x1x5x2xf32>
  %r = tfm.attention %0, %1, %2 kv_length <3> {num_heads = 1 : i64, num_kv_heads = 1 : i64, scale = 0.5 : f32, causal} : (tensor<1x1x2x2xf32>, tensor<1x1x5x2xf32>, tensor<1x1x5x2xf32>) -> tensor<1x1x2x2xf32>
  %e = tfm.constant dense<[[[[1.0698341131210327, 1.134015440940857],   [0.48213571310043335, 0.20322084426879883]]]]> : tensor<1x1x2x2xf32>
  check.expect_close %r, %e {rtol = 1.0e-06 : f64, atol = 1.0e-06 : f64} : tensor<1x1x2x2xf32>
  return
}

// bf16 operands, a mask and a result of f32: one key is seen, so the result is its value.
func.func @test_bf16_into_f32() {
  %0 = tfm.constant dense<[[[0.5, 0.25]]]> : tensor<1x1x2xbf16>
  %1 = tfm.constant dense<[[[1.0, 2.0], [0.5, -1.0]]]> : tensor<1x2x2xbf16>
  %2 = tfm.constant dense<[[[0.375, 1.5], [0.25, -3.0]]]> : tensor<1x2x2xbf16>
  %m = tfm.constant dense<[[[[0.0, 0xFF800000]]]]> : tensor<1x1x1x2xf32>
  %r = tfm.attention %0, %1, %2 mask %m {num_heads = 1 : i64, num_kv_heads = 1 : i64, scale = 0.5 : f32} : (tensor<1x1x2xbf16>, tensor<1x2x2xbf16>, tensor<1x2x2xbf16>, tensor<1x1x1x2xf32>) -> tensor<1x1x2xf32>
  %e = tfm.constant dense<[[[0.375, 1.5]]]> : tensor<1x1x2xf32>
  check.expect_equal %r, %e : tensor<1x1x2xf32>
  return
}
