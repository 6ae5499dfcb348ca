// RUN: permalloy-opt %s --select-schedules=target=x86-64-v3 -split-input-file -verify-diagnostics

// expected-error @below {{schedule {tile_elements = "many"} does not fit x86-64-v3: 'tile_elements' is no number}}
kern.kernel @text row attributes {symbols = ["d0"], arg_dims = [[#tfm.dim<d0>, #tfm.dim<64>]], schedule = {tile_elements = "many"}} {
^bb0(%x: tensor<?x64xf32>):
  %0 = tfm.unary relu %x : (tensor<?x64xf32>) -> tensor<?x64xf32>
  kern.yield %0 : tensor<?x64xf32>
}

// -----

// expected-error @below {{'tile_element' is unknown; the parameters are tile_elements}}
kern.kernel @unknown row attributes {symbols = ["d0"], arg_dims = [[#tfm.dim<d0>, #tfm.dim<64>]], schedule = {tile_element = 64}} {
^bb0(%x: tensor<?x64xf32>):
  %0 = tfm.unary relu %x : (tensor<?x64xf32>) -> tensor<?x64xf32>
  kern.yield %0 : tensor<?x64xf32>
}

// -----

// expected-error @below {{'tile_elements' is -4, which is not within 0 and 1073741824}}
kern.kernel @negative row attributes {symbols = ["d0"], arg_dims = [[#tfm.dim<d0>, #tfm.dim<64>]], schedule = {tile_elements = -4}} {
^bb0(%x: tensor<?x64xf32>):
  %0 = tfm.unary relu %x : (tensor<?x64xf32>) -> tensor<?x64xf32>
  kern.yield %0 : tensor<?x64xf32>
}

// -----

// expected-error @below {{'block_rows' is missing; the parameters are }}
kern.kernel @missing contraction attributes {symbols = ["d0"], arg_dims = [[#tfm.dim<d0>, #tfm.dim<64>], [#tfm.dim<64>, #tfm.dim<32>]], schedule = {tile_panels = 1, tile_rows = 2, block_steps = 32, prefetch_period = 0}} {
^bb0(%x: tensor<?x64xf32>, %w: tensor<64x32xf32, #tfm.panels>):
  %0 = tfm.linear %x, %w : (tensor<?x64xf32>, tensor<64x32xf32, #tfm.panels>) -> tensor<?x32xf32>
  kern.yield %0 : tensor<?x32xf32>
}

// -----

// The tile that AVX-512 takes by default has too many accumulators for AVX2.
// expected-error @below {{does not fit x86-64-v3: a tile of tile_rows x tile_panels does not fit 16 registers}}
kern.kernel @registers contraction attributes {symbols = ["d0"], arg_dims = [[#tfm.dim<d0>, #tfm.dim<64>], [#tfm.dim<64>, #tfm.dim<32>]], schedule = {tile_panels = 2, tile_rows = 12, block_rows = 24, block_steps = 64, prefetch_period = 8}} {
^bb0(%x: tensor<?x64xf32>, %w: tensor<64x32xf32, #tfm.panels>):
  %0 = tfm.linear %x, %w : (tensor<?x64xf32>, tensor<64x32xf32, #tfm.panels>) -> tensor<?x32xf32>
  kern.yield %0 : tensor<?x32xf32>
}

// -----

// A turn of the loop over K has as many steps.
// expected-error @below {{does not fit x86-64-v3: prefetch_period must be 0, 1, 2, 4, 8 or 16}}
kern.kernel @period contraction attributes {symbols = ["d0"], arg_dims = [[#tfm.dim<d0>, #tfm.dim<64>], [#tfm.dim<64>, #tfm.dim<32>]], schedule = {tile_panels = 1, tile_rows = 6, block_rows = 12, block_steps = 64, prefetch_period = 6}} {
^bb0(%x: tensor<?x64xf32>, %w: tensor<64x32xf32, #tfm.panels>):
  %0 = tfm.linear %x, %w : (tensor<?x64xf32>, tensor<64x32xf32, #tfm.panels>) -> tensor<?x32xf32>
  kern.yield %0 : tensor<?x32xf32>
}
