// RUN: permalloy-opt %s --check-interpret -o /dev/null

// Blocks of 1 x 16: columns 0..15 keep rows 0 and 2, the two columns behind keep rows 1 and 2.
func.func @test_expand_compact() {
  %values = tfm.constant dense<[[[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0, 16.0],
                                 [-1.0, -2.0, -3.0, -4.0, -5.0, -6.0, -7.0, -8.0, -9.0, -10.0, -11.0, -12.0, -13.0, -14.0, -15.0, -16.0]],
                                [[17.0, 18.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
                                 [19.0, 20.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]]]> : tensor<2x2x16xf32>
  %rows = tfm.constant dense<[[0, 2], [1, 2]]> : tensor<2x2xi32>
  %0 = tfm.expand_blocks %values, %rows {block = array<i64: 1, 16>, shape = array<i64: 3, 18>} : (tensor<2x2x16xf32>, tensor<2x2xi32>) -> tensor<3x18xf32>
  %1 = tfm.constant dense<[[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0, 16.0, 0.0, 0.0],
                           [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 17.0, 18.0],
                           [-1.0, -2.0, -3.0, -4.0, -5.0, -6.0, -7.0, -8.0, -9.0, -10.0, -11.0, -12.0, -13.0, -14.0, -15.0, -16.0, 19.0, 20.0]]> : tensor<3x18xf32>
  check.expect_equal %0, %1 : tensor<3x18xf32>
  %2 = tfm.block_rows %0 {kept = 2 : i64, block = array<i64: 1, 16>} : (tensor<3x18xf32>) -> tensor<2x2xi32>
  check.expect_equal %2, %rows : tensor<2x2xi32>
  %3 = tfm.compact_blocks %0, %2 {block = array<i64: 1, 16>} : (tensor<3x18xf32>, tensor<2x2xi32>) -> tensor<2x2x16xf32>
  check.expect_equal %3, %values : tensor<2x2x16xf32>
  return
}

// Fewer blocks than kept are not zero: the first zero one is kept as well.
func.func @test_zero_rows() {
  %w = tfm.constant dense<[[0.0], [0.0], [5.0]]> : tensor<3x1xf32>
  %0 = tfm.block_rows %w {kept = 2 : i64, block = array<i64: 1, 16>} : (tensor<3x1xf32>) -> tensor<1x2xi32>
  %1 = tfm.constant dense<[[0, 2]]> : tensor<1x2xi32>
  check.expect_equal %0, %1 : tensor<1x2xi32>
  return
}

// Blocks of 4 x 16 hold four steps of a column together; K = 6 leaves two steps of zeros.
func.func @test_blocks_of_int8() {
  %w = tfm.constant dense<[[1, 2], [3, 4], [5, 6], [7, 8], [9, 10], [11, 12]]> : tensor<6x2xi8>
  %rows = tfm.constant dense<[[1]]> : tensor<1x1xi32>
  %0 = tfm.compact_blocks %w, %rows {block = array<i64: 4, 16>} : (tensor<6x2xi8>, tensor<1x1xi32>) -> tensor<1x1x64xi8>
  %1 = tfm.constant dense<[[[9, 11, 0, 0, 10, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                             0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]]]> : tensor<1x1x64xi8>
  check.expect_equal %0, %1 : tensor<1x1x64xi8>
  %2 = tfm.expand_blocks %0, %rows {block = array<i64: 4, 16>, shape = array<i64: 6, 2>} : (tensor<1x1x64xi8>, tensor<1x1xi32>) -> tensor<6x2xi8>
  %3 = tfm.constant dense<[[0, 0], [0, 0], [0, 0], [0, 0], [9, 10], [11, 12]]> : tensor<6x2xi8>
  check.expect_equal %2, %3 : tensor<6x2xi8>
  return
}

// Two panels side by side share their rows: the second panel of a block stands behind the first.
func.func @test_wide_blocks() {
  %w = tfm.constant dense<[[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
                           [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 2.0]]> : tensor<2x17xf32>
  %0 = tfm.block_rows %w {kept = 1 : i64, block = array<i64: 1, 32>} : (tensor<2x17xf32>) -> tensor<1x1xi32>
  %1 = tfm.compact_blocks %w, %0 {block = array<i64: 1, 32>} : (tensor<2x17xf32>, tensor<1x1xi32>) -> tensor<1x1x32xf32>
  %2 = tfm.expand_blocks %1, %0 {block = array<i64: 1, 32>, shape = array<i64: 2, 17>} : (tensor<1x1x32xf32>, tensor<1x1xi32>) -> tensor<2x17xf32>
  check.expect_equal %2, %w : tensor<2x17xf32>
  return
}

// Row 1 is the smaller one in sum of squares, though not in its largest element.
func.func @test_magnitude() {
  %w = tfm.constant dense<[[3.0, 3.0], [4.0, 0.0], [-2.0, 5.0]]> : tensor<3x2xf32>
  %0 = tfm.prune_weight %w {solver = "magnitude", kept = 2 : i64, block = array<i64: 1, 16>} : (tensor<3x2xf32>) -> tensor<3x2xf32>
  %1 = tfm.constant dense<[[3.0, 3.0], [0.0, 0.0], [-2.0, 5.0]]> : tensor<3x2xf32>
  check.expect_equal %0, %1 : tensor<3x2xf32>
  return
}

// 2:4, and of equal ones the first two.
func.func @test_two_of_four() {
  %w = tfm.constant dense<[[1.0, 1.0], [2.0, 1.0], [-3.0, 1.0], [0.5, 1.0]]> : tensor<4x2xf32>
  %0 = tfm.prune_weight %w {solver = "magnitude", kept = 2 : i64, of = 4 : i64, block = array<i64: 1, 1>} : (tensor<4x2xf32>) -> tensor<4x2xf32>
  %1 = tfm.constant dense<[[0.0, 1.0], [2.0, 1.0], [-3.0, 0.0], [0.0, 0.0]]> : tensor<4x2xf32>
  check.expect_equal %0, %1 : tensor<4x2xf32>
  return
}

// Steps 1 and 2 of the only quad of column 0 and, of equal ones, 0 and 1 of column 1: bits 01 10 from below, and 00 01.
func.func @test_quads() {
  %w = tfm.constant dense<[[1.0, 1.0], [2.0, 1.0], [-3.0, 1.0], [0.5, 1.0]]> : tensor<4x2xf32>
  %0 = tfm.prune_weight %w {solver = "magnitude", kept = 2 : i64, of = 4 : i64, block = array<i64: 1, 1>} : (tensor<4x2xf32>) -> tensor<4x2xf32>
  %1 = tfm.quad_steps %0 {kept = 2 : i64} : (tensor<4x2xf32>) -> tensor<1x1x16xi32>
  %2 = tfm.constant dense<[[[9, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]]]> : tensor<1x1x16xi32>
  check.expect_equal %1, %2 : tensor<1x1x16xi32>
  %3 = tfm.compact_quads %0, %1 {kept = 2 : i64} : (tensor<4x2xf32>, tensor<1x1x16xi32>) -> tensor<1x2x16xf32>
  %4 = tfm.constant dense<[[[2.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
                            [-3.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]]]> : tensor<1x2x16xf32>
  check.expect_equal %3, %4 : tensor<1x2x16xf32>
  %5 = tfm.expand_quads %3, %1 {kept = 2 : i64, shape = array<i64: 4, 2>} : (tensor<1x2x16xf32>, tensor<1x1x16xi32>) -> tensor<4x2xf32>
  check.expect_equal %5, %0 : tensor<4x2xf32>
  return
}

// Nothing but zeros in a quad: the first steps are kept, as values of zero. One of four: word 0 holds both quads.
func.func @test_zero_quads() {
  %w = tfm.constant dense<[[0.0], [0.0], [0.0], [0.0], [0.0], [0.0], [0.0], [7.0]]> : tensor<8x1xf32>
  %0 = tfm.quad_steps %w {kept = 1 : i64} : (tensor<8x1xf32>) -> tensor<1x1x16xi32>
  %1 = tfm.constant dense<[[[12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]]]> : tensor<1x1x16xi32>
  check.expect_equal %0, %1 : tensor<1x1x16xi32>
  %2 = tfm.compact_quads %w, %0 {kept = 1 : i64} : (tensor<8x1xf32>, tensor<1x1x16xi32>) -> tensor<1x2x16xf32>
  %3 = tfm.expand_quads %2, %0 {kept = 1 : i64, shape = array<i64: 8, 1>} : (tensor<1x2x16xf32>, tensor<1x1x16xi32>) -> tensor<8x1xf32>
  check.expect_equal %3, %w : tensor<8x1xf32>
  return
}
