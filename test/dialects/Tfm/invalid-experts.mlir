// RUN: permalloy-opt %s -split-input-file -verify-diagnostics

func.func @f(%x: tensor<5x4xf32>, %l: tensor<6x2xf32>, %u: tensor<2x4x6xf32>, %d: tensor<2x6x4xf32>) {
  // expected-error@+1 {{input [5, 4] and logits [6, 2] must agree but for the last dimension (moe_c1)}}
  %0 = tfm.moe %x, %l, %u, %d {top_k = 1 : i64} : (tensor<5x4xf32>, tensor<6x2xf32>, tensor<2x4x6xf32>, tensor<2x6x4xf32>) -> tensor<5x4xf32>
  return
}

// -----

func.func @f(%x: tensor<5x4xf32>, %l: tensor<5x2xf32>, %u: tensor<2x4x6xf32>, %d: tensor<2x6x4xf32>) {
  // expected-error@+1 {{up [2, 4, 6] and down [2, 6, 4] do not fit input [5, 4] and 2 experts, gated (moe_c2)}}
  %0 = tfm.moe %x, %l, %u, %d {top_k = 1 : i64, gated} : (tensor<5x4xf32>, tensor<5x2xf32>, tensor<2x4x6xf32>, tensor<2x6x4xf32>) -> tensor<5x4xf32>
  return
}

// -----

func.func @f(%x: tensor<5x4xf32>, %l: tensor<5x2xf32>, %u: tensor<2x4x6xf32>, %d: tensor<2x6x4xf32>, %b: tensor<6xf32>) {
  // expected-error@+1 {{the bias must be [2, 6], not [6] (moe_c2)}}
  %0 = tfm.moe %x, %l, %u, %d up_bias %b {top_k = 1 : i64} : (tensor<5x4xf32>, tensor<5x2xf32>, tensor<2x4x6xf32>, tensor<2x6x4xf32>, tensor<6xf32>) -> tensor<5x4xf32>
  return
}

// -----

func.func @f(%x: tensor<5x4xf32>, %l: tensor<5x2xf32>, %u: tensor<2x4x6xf32>, %d: tensor<2x6x4xf32>) {
  // expected-error@+1 {{top_k is 3 of 2 experts (moe_c3)}}
  %0 = tfm.moe %x, %l, %u, %d {top_k = 3 : i64} : (tensor<5x4xf32>, tensor<5x2xf32>, tensor<2x4x6xf32>, tensor<2x6x4xf32>) -> tensor<5x4xf32>
  return
}

// -----

func.func @f(%x: tensor<5x4xf32>, %l: tensor<5x2xf32>, %u: tensor<2x4x6xf16>, %d: tensor<2x6x4xf32>) {
  // expected-error@+1 {{mixes element types 'f32' and 'f16' (moe_c4)}}
  %0 = tfm.moe %x, %l, %u, %d {top_k = 1 : i64} : (tensor<5x4xf32>, tensor<5x2xf32>, tensor<2x4x6xf16>, tensor<2x6x4xf32>) -> tensor<5x4xf32>
  return
}

// -----

func.func @f(%l: tensor<5x2xf32>, %e: tensor<4x2xi64>) {
  // expected-error@+1 {{logits [5, 2] and experts [4, 2] must have rank 2 and agree in tokens (moe_weights_c1)}}
  %0 = tfm.moe_weights %l, %e : (tensor<5x2xf32>, tensor<4x2xi64>) -> tensor<4x2xf32>
  return
}

// -----

func.func @f(%e: tensor<4x2xi64>) {
  // expected-error@+1 {{groups must be positive, not 0 (group_by_c1)}}
  %0 = tfm.group_by %e {groups = 0 : i64} : (tensor<4x2xi64>) -> tensor<9xi64>
  return
}

// -----

func.func @f(%x: tensor<5x4xf32>, %g: tensor<13xi64>, %w: tensor<2x3x6xf32>) {
  // expected-error@+1 {{input [5, 4], groups [13] and weight [2, 3, 6] do not fit (grouped_linear_c1)}}
  %0 = tfm.grouped_linear %x, %g, %w {repeat = 2 : i64} : (tensor<5x4xf32>, tensor<13xi64>, tensor<2x3x6xf32>) -> tensor<10x6xf32>
  return
}

// -----

func.func @f(%x: tensor<5x4xf32>, %g: tensor<13xi64>, %w: tensor<2x4x6xf32>, %b: tensor<6xf32>) {
  // expected-error@+1 {{the bias must be [2, 6], not [6] (grouped_linear_c2)}}
  %0 = tfm.grouped_linear %x, %g, %w bias %b {repeat = 2 : i64} : (tensor<5x4xf32>, tensor<13xi64>, tensor<2x4x6xf32>, tensor<6xf32>) -> tensor<10x6xf32>
  return
}

// -----

func.func @f(%x: tensor<5x4xf32>, %g: tensor<13xi64>, %w: tensor<2x4x5xf32>) {
  // expected-error@+1 {{a gated product of 5 columns has no halves (grouped_linear_c3)}}
  %0 = tfm.grouped_linear %x, %g, %w {repeat = 2 : i64, gated} : (tensor<5x4xf32>, tensor<13xi64>, tensor<2x4x5xf32>) -> tensor<10x2xf32>
  return
}

// -----

func.func @f(%x: tensor<5x4xf32>, %g: tensor<8xi64>, %w: tensor<2x4x6xf32>) {
  // expected-error@+1 {{repeats each row 0 times (grouped_linear_c4)}}
  %0 = tfm.grouped_linear %x, %g, %w {repeat = 0 : i64} : (tensor<5x4xf32>, tensor<8xi64>, tensor<2x4x6xf32>) -> tensor<0x6xf32>
  return
}
