// RUN: permalloy-opt %s --check-interpret -split-input-file -verify-diagnostics -o /dev/null

func.func @test_block_rows_that_descend() {
  %values = tfm.constant dense<1.0> : tensor<1x2x16xf32>
  %rows = tfm.constant dense<[[2, 1]]> : tensor<1x2xi32>
  // expected-error@+1 {{block rows must ascend and lie below 3; the one at 1 of slab 0 is 1}}
  %0 = tfm.expand_blocks %values, %rows {block = array<i64: 1, 16>, shape = array<i64: 3, 16>} : (tensor<1x2x16xf32>, tensor<1x2xi32>) -> tensor<3x16xf32>
  check.expect_equal %0, %0 : tensor<3x16xf32>
  return
}

// -----

func.func @test_too_few_blocks_kept() {
  %w = tfm.constant dense<1.0> : tensor<3x16xf32>
  // expected-error@+1 {{3 blocks of slab 0 are not zero, but 2 are kept}}
  %0 = tfm.block_rows %w {kept = 2 : i64, block = array<i64: 1, 16>} : (tensor<3x16xf32>) -> tensor<1x2xi32>
  check.expect_equal %0, %0 : tensor<1x2xi32>
  return
}

// -----

func.func @test_unknown_solver() {
  %w = tfm.constant dense<1.0> : tensor<3x16xf32>
  // expected-error@+1 {{no solver 'guess'; there are}}
  %0 = tfm.prune_weight %w {solver = "guess", kept = 2 : i64, block = array<i64: 1, 16>} : (tensor<3x16xf32>) -> tensor<3x16xf32>
  check.expect_equal %0, %0 : tensor<3x16xf32>
  return
}

// -----

func.func @test_too_many_in_a_quad() {
  %w = tfm.constant dense<1.0> : tensor<4x1xf32>
  // expected-error@+1 {{4 weights of quad 0 of column 0 are not zero, but 2 are kept}}
  %0 = tfm.quad_steps %w {kept = 2 : i64} : (tensor<4x1xf32>) -> tensor<1x1x16xi32>
  check.expect_equal %0, %0 : tensor<1x1x16xi32>
  return
}

// -----

func.func @test_quads_that_descend() {
  %values = tfm.constant dense<1.0> : tensor<1x2x16xf32>
  %steps = tfm.constant dense<0> : tensor<1x1x16xi32>
  // expected-error@+1 {{the steps of a quad must ascend; those of quad 0 of column 0 do not}}
  %0 = tfm.expand_quads %values, %steps {kept = 2 : i64, shape = array<i64: 4, 1>} : (tensor<1x2x16xf32>, tensor<1x1x16xi32>) -> tensor<4x1xf32>
  check.expect_equal %0, %0 : tensor<4x1xf32>
  return
}
