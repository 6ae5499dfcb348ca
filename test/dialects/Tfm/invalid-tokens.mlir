// RUN: permalloy-opt %s -split-input-file -verify-diagnostics

func.func @f(%k: tensor<5x4xf32>) {
  // expected-error@+1 {{the metric [5, 4] must be [batch, tokens, heads * size] (token_score_c1)}}
  %0 = tfm.token_score %k to #tfm.dim<4> {num_heads = 1 : i64, protected_tokens = 1 : i64} : (tensor<5x4xf32>) -> tensor<5x4xi64>
  return
}

// -----

func.func @f(%k: tensor<1x5x4xf32>) {
  // expected-error@+1 {{3 heads do not divide [1, 5, 4] (token_score_c2)}}
  %0 = tfm.token_score %k to #tfm.dim<4> {num_heads = 3 : i64, protected_tokens = 1 : i64} : (tensor<1x5x4xf32>) -> tensor<1x5xi64>
  return
}

// -----

func.func @f(%k: tensor<1x5x4xf32>) {
  // expected-error@+1 {{protected_tokens is -1 (token_score_c3)}}
  %0 = tfm.token_score %k to #tfm.dim<4> {num_heads = 2 : i64, protected_tokens = -1 : i64} : (tensor<1x5x4xf32>) -> tensor<1x5xi64>
  return
}

// -----

func.func @f(%k: tensor<1x6x4xf32>) {
  // expected-error@+1 {{3 of 6 tokens cannot go; between 0 and 2 can (token_score_c4)}}
  %0 = tfm.token_score %k to #tfm.dim<3> {num_heads = 2 : i64, protected_tokens = 1 : i64} : (tensor<1x6x4xf32>) -> tensor<1x6xi64>
  return
}

// -----

func.func @f(%k: tensor<1x6x4xf32>) {
  // expected-error@+1 {{-1 of 6 tokens cannot go; between 0 and 2 can (token_score_c4)}}
  %0 = tfm.token_score %k to #tfm.dim<7> {num_heads = 2 : i64, protected_tokens = 1 : i64} : (tensor<1x6x4xf32>) -> tensor<1x6xi64>
  return
}

// -----

func.func @f(%x: tensor<1x6x4xf32>, %m: tensor<1x5xi64>) {
  // expected-error@+1 {{the map [1, 5] must be the first two dimensions of the input [1, 6, 4] (token_merge_c1)}}
  %0 = tfm.token_merge %x to #tfm.dim<3> by %m : (tensor<1x6x4xf32>, tensor<1x5xi64>) -> tensor<1x3x4xf32>
  return
}

// -----

func.func @f(%x: tensor<1x6x4xf32>, %m: tensor<1x6xi64>, %s: tensor<6xf32>) {
  // expected-error@+1 {{sizes [6] must be the first two dimensions of the input [1, 6, 4] (token_merge_c1)}}
  %0 = tfm.token_merge %x to #tfm.dim<3> by %m sizes %s : (tensor<1x6x4xf32>, tensor<1x6xi64>, tensor<6xf32>) -> tensor<1x3x4xf32>
  return
}

// -----

func.func @f(%x: tensor<1x6x4xf32>, %m: tensor<1x6xi64>, %s: tensor<1x6xf32>) {
  // expected-error@+1 {{a sum takes no sizes (token_merge_c2)}}
  %0 = tfm.token_merge %x to #tfm.dim<3> by %m sizes %s {sum} : (tensor<1x6x4xf32>, tensor<1x6xi64>, tensor<1x6xf32>) -> tensor<1x3x4xf32>
  return
}

// -----

func.func @f(%x: tensor<2x3x4xf32>, %m: tensor<1x6xi64>) {
  // expected-error@+1 {{the map [1, 6] must be [batch, tokens] and the input [2, 3, 4] of the same batch (token_unmerge_c1)}}
  %0 = tfm.token_unmerge %x by %m : (tensor<2x3x4xf32>, tensor<1x6xi64>) -> tensor<2x6x4xf32>
  return
}

// -----

func.func @f(%x: tensor<1x6x4xf32>, %m: tensor<1x6xi64>) {
  // expected-error@+1 {{declares result [1, 4, 4] but its operands give [1, 3, 4]}}
  %0 = tfm.token_merge %x to #tfm.dim<3> by %m : (tensor<1x6x4xf32>, tensor<1x6xi64>) -> tensor<1x4x4xf32>
  return
}
