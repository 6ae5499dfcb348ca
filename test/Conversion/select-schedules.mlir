// RUN: permalloy-opt %s --select-schedules=target=x86-64-v3 -verify-diagnostics
// RUN: permalloy-opt %s --select-schedules=target=x86-64-v3 2>&1 | FileCheck %s

// CHECK: kern.kernel @product contraction attributes {{.*}}schedule = {{.*}}tiles =
kern.kernel @product contraction attributes {symbols = ["d0"], arg_dims = [[#tfm.dim<d0>, #tfm.dim<64>], [#tfm.dim<64>, #tfm.dim<32>]]} {
^bb0(%x: tensor<?x64xf32>, %w: tensor<64x32xf32, #tfm.panels>):
  %0 = tfm.linear %x, %w : (tensor<?x64xf32>, tensor<64x32xf32, #tfm.panels>) -> tensor<?x32xf32>
  kern.yield %0 : tensor<?x32xf32>
}

// A schedule that stands there is checked and kept, with the tiles and scratch that it needs.
// CHECK: kern.kernel @edited contraction attributes {{.*}}schedule = {block_rows = 8 : i64, block_steps = 32 : i64, prefetch_period = 0 : i64, tile_panels = 1 : i64, tile_rows = 2 : i64}, scratch_bytes = #tfm.dim<512>, symbols = ["d0"], tiles = #tfm.dim<((d0 + 7) floordiv 8) * 2>
kern.kernel @edited contraction attributes {symbols = ["d0"], arg_dims = [[#tfm.dim<d0>, #tfm.dim<64>], [#tfm.dim<64>, #tfm.dim<32>]], schedule = {tile_panels = 1, tile_rows = 2, block_rows = 8, block_steps = 32, prefetch_period = 0}} {
^bb0(%x: tensor<?x64xf32>, %w: tensor<64x32xf32, #tfm.panels>):
  %0 = tfm.linear %x, %w : (tensor<?x64xf32>, tensor<64x32xf32, #tfm.panels>) -> tensor<?x32xf32>
  kern.yield %0 : tensor<?x32xf32>
}

// What the contraction emitter cannot take is said, and computed all the same.
// CHECK: kern.kernel @odd_epilogue generic attributes
// expected-warning @below {{kernel 'odd_epilogue' takes the generic emitter, which is slow}}
kern.kernel @odd_epilogue contraction attributes {symbols = ["d0"], arg_dims = [[#tfm.dim<d0>, #tfm.dim<64>], [#tfm.dim<64>, #tfm.dim<32>]]} {
^bb0(%x: tensor<?x64xf32>, %w: tensor<64x32xf32, #tfm.panels>):
  %0 = tfm.linear %x, %w : (tensor<?x64xf32>, tensor<64x32xf32, #tfm.panels>) -> tensor<?x32xf32>
  %1 = tfm.unary sin %0 : (tensor<?x32xf32>) -> tensor<?x32xf32>
  kern.yield %1 : tensor<?x32xf32>
}
