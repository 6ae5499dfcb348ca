// RUN: permalloy-opt %s --expand-moe -verify-diagnostics

func.func @f(%x: tensor<5x4xf32>, %l: tensor<5x2xf32>, %u: tensor<2x4x6xf32>, %d: tensor<2x6x4xf32>) -> tensor<5x4xf32> {
  // expected-error@+1 {{experts whose weights 'tensor<2x4x6xf32>' are computed while running are unsupported}}
  %0 = tfm.moe %x, %l, %u, %d {top_k = 1 : i64} : (tensor<5x4xf32>, tensor<5x2xf32>, tensor<2x4x6xf32>, tensor<2x6x4xf32>) -> tensor<5x4xf32>
  return %0 : tensor<5x4xf32>
}
