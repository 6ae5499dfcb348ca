// RUN: permalloy-opt %s -split-input-file -verify-diagnostics

func.func @f(%w: tensor<8xf32>) {
  // expected-error@+1 {{the weight must be static and of rank 2, not [8] (prune_weight_c1)}}
  %0 = tfm.prune_weight %w {solver = "magnitude", kept = 2 : i64, block = array<i64: 1, 16>} : (tensor<8xf32>) -> tensor<8xf32>
  return
}

// -----

func.func @f(%w: tensor<8x32xf32>) {
  // expected-error@+1 {{a block has two positive sides, not [0, 16] (prune_weight_c2)}}
  %0 = tfm.prune_weight %w {solver = "magnitude", kept = 2 : i64, block = array<i64: 0, 16>} : (tensor<8x32xf32>) -> tensor<8x32xf32>
  return
}

// -----

func.func @f(%w: tensor<8x32xf32>) {
  // expected-error@+1 {{9 block rows are kept of 8 (prune_weight_c3)}}
  %0 = tfm.prune_weight %w {solver = "magnitude", kept = 9 : i64, block = array<i64: 1, 16>} : (tensor<8x32xf32>) -> tensor<8x32xf32>
  return
}

// -----

func.func @f(%w: tensor<8x32xf32>) {
  // expected-error@+1 {{of = 3 does not divide 8 block rows (prune_weight_c3)}}
  %0 = tfm.prune_weight %w {solver = "magnitude", kept = 2 : i64, of = 3 : i64, block = array<i64: 1, 1>} : (tensor<8x32xf32>) -> tensor<8x32xf32>
  return
}

// -----

func.func @f(%w: tensor<8x32xf32>, %h: tensor<8x4xf32>) {
  // expected-error@+1 {{gram [8, 4] of a weight of 8 rows (prune_weight_c4)}}
  %0 = tfm.prune_weight %w gram %h {solver = "magnitude", kept = 2 : i64, block = array<i64: 1, 16>} : (tensor<8x32xf32>, tensor<8x4xf32>) -> tensor<8x32xf32>
  return
}

// -----

func.func @f(%w: tensor<8x32xf32>) {
  // expected-error@+1 {{blocks are 8 columns wide, which is no multiple of 16 (block_rows_c2)}}
  %0 = tfm.block_rows %w {kept = 2 : i64, block = array<i64: 1, 8>} : (tensor<8x32xf32>) -> tensor<4x2xi32>
  return
}

// -----

func.func @f(%w: tensor<8x32xf32>, %rows: tensor<3x2xi32>) {
  // expected-error@+1 {{rows [3, 2] must be [2, kept] (compact_blocks_c3)}}
  %0 = tfm.compact_blocks %w, %rows {block = array<i64: 1, 16>} : (tensor<8x32xf32>, tensor<3x2xi32>) -> tensor<2x2x16xf32>
  return
}

// -----

func.func @f(%values: tensor<2x3x16xf32>, %rows: tensor<2x2xi32>) {
  // expected-error@+1 {{values [2, 3, 16] and rows [2, 2] must be [2, kept, 16] and [2, kept] (expand_blocks_c3)}}
  %0 = tfm.expand_blocks %values, %rows {block = array<i64: 1, 16>, shape = array<i64: 8, 32>} : (tensor<2x3x16xf32>, tensor<2x2xi32>) -> tensor<8x32xf32>
  return
}

// -----

func.func @f(%values: tensor<2x9x16xf32>, %rows: tensor<2x9xi32>) {
  // expected-error@+1 {{9 block rows are kept of 8 (expand_blocks_c3)}}
  %0 = tfm.expand_blocks %values, %rows {block = array<i64: 1, 16>, shape = array<i64: 8, 32>} : (tensor<2x9x16xf32>, tensor<2x9xi32>) -> tensor<8x32xf32>
  return
}

// -----

func.func @f(%values: tensor<2x2x16xf32>, %rows: tensor<2x2xi32>) {
  // expected-error@+1 {{declares result [8, 31] but its operands give [8, 32]}}
  %0 = tfm.expand_blocks %values, %rows {block = array<i64: 1, 16>, shape = array<i64: 8, 32>} : (tensor<2x2x16xf32>, tensor<2x2xi32>) -> tensor<8x31xf32>
  return
}

// -----

func.func @f(%w: tensor<6x32xf32>) {
  // expected-error@+1 {{K = 6 is no multiple of 4 (quad_steps_c2)}}
  %0 = tfm.quad_steps %w {kept = 2 : i64} : (tensor<6x32xf32>) -> tensor<2x1x16xi32>
  return
}

// -----

func.func @f(%w: tensor<8x32xf32>) {
  // expected-error@+1 {{3 of each four steps are kept, not 1 or 2 (quad_steps_c3)}}
  %0 = tfm.quad_steps %w {kept = 3 : i64} : (tensor<8x32xf32>) -> tensor<2x1x16xi32>
  return
}

// -----

func.func @f(%w: tensor<8x32xf32>, %steps: tensor<2x2x16xi32>) {
  // expected-error@+1 {{steps [2, 2, 16] must be [2, 1, 16] (compact_quads_c2)}}
  %0 = tfm.compact_quads %w, %steps {kept = 2 : i64} : (tensor<8x32xf32>, tensor<2x2x16xi32>) -> tensor<2x4x16xf32>
  return
}

// -----

func.func @f(%values: tensor<2x8x16xf32>, %steps: tensor<2x1x16xi32>) {
  // expected-error@+1 {{values [2, 8, 16] and steps [2, 1, 16] must be [2, 4, 16] and [2, 1, 16] (expand_quads_c3)}}
  %0 = tfm.expand_quads %values, %steps {kept = 2 : i64, shape = array<i64: 8, 32>} : (tensor<2x8x16xf32>, tensor<2x1x16xi32>) -> tensor<8x32xf32>
  return
}
