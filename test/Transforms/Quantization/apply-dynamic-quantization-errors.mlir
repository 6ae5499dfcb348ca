// RUN: permalloy-opt %s --apply-dynamic-quantization -verify-diagnostics

func.func @main(%x: tensor<?x64xf32> {tfm.dims = [#tfm.dim<seq>, #tfm.dim<64>]}, %w: tensor<64x32xf32> {tfm.dims = [#tfm.dim<64>, #tfm.dim<32>]}) -> tensor<?x32xf32> {
  // expected-error@+1 {{cannot be w8a8: its weight is computed while running}}
  %0 = tfm.linear %x, %w {tfm.level = "w8a8"} : (tensor<?x64xf32>, tensor<64x32xf32>) -> tensor<?x32xf32>
  return %0 : tensor<?x32xf32>
}
