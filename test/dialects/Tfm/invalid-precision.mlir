// RUN: permalloy-opt %s -split-input-file -verify-diagnostics

func.func @f(%x: tensor<2x8xf32>, %w: tensor<8x3xf32>) {
  // expected-error@+1 {{has tfm.precision "tf16"; there are "f32", "bf16", "bf16x3", "tf32"}}
  %0 = tfm.linear %x, %w {tfm.precision = "tf16"} : (tensor<2x8xf32>, tensor<8x3xf32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @f(%q: tensor<1x2x8xf32>) {
  // expected-error@+1 {{has tfm.precision 32 : i64; there are "f32", "bf16", "bf16x3", "tf32"}}
  %0 = tfm.attention %q, %q, %q {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 1.0 : f32, tfm.precision = 32 : i64} : (tensor<1x2x8xf32>, tensor<1x2x8xf32>, tensor<1x2x8xf32>) -> tensor<1x2x8xf32>
  return
}

// -----

func.func @f(%x: tensor<2x8xf32>, %w: tensor<8x3xf32>) -> tensor<2x3xf32> {
  %0 = tfm.linear %x, %w {tfm.precision = "tf32"} : (tensor<2x8xf32>, tensor<8x3xf32>) -> tensor<2x3xf32>
  return %0 : tensor<2x3xf32>
}
