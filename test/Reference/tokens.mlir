// RUN: permalloy-opt %s --check-interpret -o /dev/null
//
// Token 0 is protected; 2 and 4 are sources, 1 and 3 targets. 2 is like 3 (1.0), 4 is like 1 (0.95).

func.func @test_score() {
  %k = tfm.constant dense<[[[9.0, 9.0], [1.0, 0.0], [0.0, 1.0], [0.0, 2.0], [3.0, 1.0]]]> : tensor<1x5x2xf32>
  %none = tfm.token_score %k to #tfm.dim<5> {num_heads = 1 : i64, protected_tokens = 1 : i64} : (tensor<1x5x2xf32>) -> tensor<1x5xi64>
  %one = tfm.token_score %k to #tfm.dim<4> {num_heads = 1 : i64, protected_tokens = 1 : i64} : (tensor<1x5x2xf32>) -> tensor<1x5xi64>
  %two = tfm.token_score %k to #tfm.dim<3> {num_heads = 1 : i64, protected_tokens = 1 : i64} : (tensor<1x5x2xf32>) -> tensor<1x5xi64>
  %pruned = tfm.token_score %k to #tfm.dim<4> {num_heads = 1 : i64, protected_tokens = 1 : i64, prune} : (tensor<1x5x2xf32>) -> tensor<1x5xi64>
  %e0 = tfm.constant dense<[[0, 3, 1, 4, 2]]> : tensor<1x5xi64>
  %e1 = tfm.constant dense<[[0, 2, 3, 3, 1]]> : tensor<1x5xi64>
  %e2 = tfm.constant dense<[[0, 1, 2, 2, 1]]> : tensor<1x5xi64>
  %ep = tfm.constant dense<[[0, 2, -1, 3, 1]]> : tensor<1x5xi64>
  check.expect_equal %none, %e0 : tensor<1x5xi64>
  check.expect_equal %one, %e1 : tensor<1x5xi64>
  check.expect_equal %two, %e2 : tensor<1x5xi64>
  check.expect_equal %pruned, %ep : tensor<1x5xi64>
  return
}

// Heads are averaged: (4, 0) + (0, 2) is (4, 2) / 2. Sequences have their own maps. Nothing is protected: 0 and 2 are sources.
func.func @test_heads_and_batch() {
  %k = tfm.constant dense<[[[4.0, 0.0, 0.0, 2.0], [1.0, 0.0, 0.0, 0.0], [2.0, 1.0, 0.0, 0.0], [0.0, 0.0, 4.0, 2.0]],
                           [[1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 5.0]]]> : tensor<2x4x4xf32>
  %r = tfm.token_score %k to #tfm.dim<3> {num_heads = 2 : i64, protected_tokens = 0 : i64} : (tensor<2x4x4xf32>) -> tensor<2x4xi64>
  %e = tfm.constant dense<[[2, 1, 0, 2], [0, 1, 2, 2]]> : tensor<2x4xi64>
  check.expect_equal %r, %e : tensor<2x4xi64>
  return
}

// Equal products: the first target, the first source. Zeros and NaN are like nothing.
func.func @test_ties() {
  %k = tfm.constant dense<[[[1.0], [1.0], [1.0], [1.0]], [[0.0], [1.0], [2.0], [0.0]], [[0x7FC00000], [1.0], [-1.0], [1.0]]]> : tensor<3x4x1xf32>
  %r = tfm.token_score %k to #tfm.dim<3> {num_heads = 1 : i64, protected_tokens = 0 : i64} : (tensor<3x4x1xf32>) -> tensor<3x4xi64>
  %e = tfm.constant dense<[[1, 1, 0, 2], [0, 1, 1, 2], [0, 1, 1, 2]]> : tensor<3x4xi64>
  check.expect_equal %r, %e : tensor<3x4xi64>
  return
}

func.func @test_merge() {
  %x = tfm.constant dense<[[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]]]> : tensor<1x4x2xf32>
  %map = tfm.constant dense<[[1, 0, 1, -1]]> : tensor<1x4xi64>
  %sizes = tfm.constant dense<[[3.0, 2.0, 1.0, 9.0]]> : tensor<1x4xf32>
  %mean = tfm.token_merge %x to #tfm.dim<3> by %map : (tensor<1x4x2xf32>, tensor<1x4xi64>) -> tensor<1x3x2xf32>
  %weighted = tfm.token_merge %x to #tfm.dim<3> by %map sizes %sizes : (tensor<1x4x2xf32>, tensor<1x4xi64>, tensor<1x4xf32>) -> tensor<1x3x2xf32>
  %sums = tfm.token_merge %sizes to #tfm.dim<3> by %map {sum} : (tensor<1x4xf32>, tensor<1x4xi64>) -> tensor<1x3xf32>
  %em = tfm.constant dense<[[[3.0, 4.0], [3.0, 4.0], [0.0, 0.0]]]> : tensor<1x3x2xf32>
  %ew = tfm.constant dense<[[[3.0, 4.0], [2.0, 3.0], [0.0, 0.0]]]> : tensor<1x3x2xf32>
  %es = tfm.constant dense<[[2.0, 4.0, 0.0]]> : tensor<1x3xf32>
  check.expect_equal %mean, %em : tensor<1x3x2xf32>
  check.expect_equal %weighted, %ew : tensor<1x3x2xf32>
  check.expect_equal %sums, %es : tensor<1x3xf32>
  return
}

func.func @test_unmerge() {
  %y = tfm.constant dense<[[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]]> : tensor<2x2x2xf32>
  %map = tfm.constant dense<[[1, 0, 1], [0, -1, 1]]> : tensor<2x3xi64>
  %r = tfm.token_unmerge %y by %map : (tensor<2x2x2xf32>, tensor<2x3xi64>) -> tensor<2x3x2xf32>
  %e = tfm.constant dense<[[[3.0, 4.0], [1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [0.0, 0.0], [7.0, 8.0]]]> : tensor<2x3x2xf32>
  check.expect_equal %r, %e : tensor<2x3x2xf32>
  return
}

// What merging keeps: the sum of sizes, and of sizes times tokens.
func.func @test_merging_preserves_sums() {
  %x = tfm.constant dense<[[[1.0], [2.0], [4.0], [8.0], [16.0], [32.0]]]> : tensor<1x6x1xf32>
  %sizes = tfm.constant dense<[[1.0, 2.0, 1.0, 3.0, 1.0, 1.0]]> : tensor<1x6xf32>
  %k = tfm.constant dense<[[[1.0, 0.1], [0.2, 1.0], [1.0, 0.3], [1.0, 0.2], [0.1, 1.0], [0.9, 1.0]]]> : tensor<1x6x2xf32>
  %map = tfm.token_score %k to #tfm.dim<3> {num_heads = 1 : i64, protected_tokens = 0 : i64} : (tensor<1x6x2xf32>) -> tensor<1x6xi64>
  %y = tfm.token_merge %x to #tfm.dim<3> by %map sizes %sizes : (tensor<1x6x1xf32>, tensor<1x6xi64>, tensor<1x6xf32>) -> tensor<1x3x1xf32>
  %s = tfm.token_merge %sizes to #tfm.dim<3> by %map {sum} : (tensor<1x6xf32>, tensor<1x6xi64>) -> tensor<1x3xf32>
  %column = tfm.reshape %s dims [#tfm.dim<1>, #tfm.dim<3>, #tfm.dim<1>] : (tensor<1x3xf32>) -> tensor<1x3x1xf32>
  %weighted = tfm.binary mul %y, %column : (tensor<1x3x1xf32>, tensor<1x3x1xf32>) -> tensor<1x3x1xf32>
  %total = tfm.reduce sum %s axes [1] : (tensor<1x3xf32>) -> tensor<1xf32>
  %sum = tfm.reduce sum %weighted axes [1] : (tensor<1x3x1xf32>) -> tensor<1x1xf32>
  %nine = tfm.constant dense<[9.0]> : tensor<1xf32>
  %all = tfm.constant dense<[[81.0]]> : tensor<1x1xf32>
  check.expect_close %total, %nine {rtol = 1.0e-6 : f64} : tensor<1xf32>
  check.expect_close %sum, %all {rtol = 1.0e-6 : f64} : tensor<1x1xf32>
  return
}

// Attention to a key that stands for two is attention to both; tokens that were equal come back as they were.
func.func @test_sizes_stand_for_tokens() {
  %k = tfm.constant dense<[[[1.0, 0.5], [1.0, 0.5], [-0.5, 1.0], [0.3, -2.0]]]> : tensor<1x4x2xf32>
  %q = tfm.constant dense<[[[0.7, -0.4]]]> : tensor<1x1x2xf32>
  %map = tfm.token_score %k to #tfm.dim<3> {num_heads = 1 : i64, protected_tokens = 0 : i64} : (tensor<1x4x2xf32>) -> tensor<1x4xi64>
  %merged = tfm.token_merge %k to #tfm.dim<3> by %map : (tensor<1x4x2xf32>, tensor<1x4xi64>) -> tensor<1x3x2xf32>
  %one = tfm.constant dense<1.0> : tensor<1x4xf32>
  %sizes = tfm.token_merge %one to #tfm.dim<3> by %map {sum} : (tensor<1x4xf32>, tensor<1x4xi64>) -> tensor<1x3xf32>
  %log = tfm.unary log %sizes : (tensor<1x3xf32>) -> tensor<1x3xf32>
  %mask = tfm.reshape %log dims [#tfm.dim<1>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<3>] : (tensor<1x3xf32>) -> tensor<1x1x1x3xf32>
  %few = tfm.attention %q, %merged, %merged mask %mask {num_heads = 1 : i64, num_kv_heads = 1 : i64, scale = 1.0 : f32} : (tensor<1x1x2xf32>, tensor<1x3x2xf32>, tensor<1x3x2xf32>, tensor<1x1x1x3xf32>) -> tensor<1x1x2xf32>
  %all = tfm.attention %q, %k, %k {num_heads = 1 : i64, num_kv_heads = 1 : i64, scale = 1.0 : f32} : (tensor<1x1x2xf32>, tensor<1x4x2xf32>, tensor<1x4x2xf32>) -> tensor<1x1x2xf32>
  %back = tfm.token_unmerge %merged by %map : (tensor<1x3x2xf32>, tensor<1x4xi64>) -> tensor<1x4x2xf32>
  check.expect_close %few, %all {rtol = 1.0e-6 : f64} : tensor<1x1x2xf32>
  check.expect_equal %back, %k : tensor<1x4x2xf32>
  return
}
