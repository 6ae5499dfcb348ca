// RUN: permalloy-opt %s --check-weights -split-input-file -verify-diagnostics -o /dev/null

tfm.weight @w : tensor<1x2048xf32> = #tfm.seeded<1, 1.0>
tfm.weight @too_large : tensor<16384x2048xf32> {
  %0 = tfm.get_weight @w : tensor<1x2048xf32>
  // expected-error@+1 {{over 134225920 bytes of weights is unsupported: only get_weight, cast, transpose, reshape, slice, concat, pack and unpack_bits are streamed}}
  %1 = tfm.broadcast %0 dims [#tfm.dim<16384>, #tfm.dim<2048>] : (tensor<1x2048xf32>) -> tensor<16384x2048xf32>
  tfm.yield %1 : tensor<16384x2048xf32>
}

// -----

// expected-error@+1 {{refers to itself}}
tfm.weight @circle : tensor<2xf32> {
  %0 = tfm.get_weight @circle : tensor<2xf32>
  tfm.yield %0 : tensor<2xf32>
}

// -----

// expected-error@+1 {{of type 'tensor<2xf32>' needs 8 bytes, not 12}}
tfm.weight @wrong_size : tensor<2xf32> = #tfm.file<"/dev/null", 0, 12, "">

// -----

// expected-error@+1 {{ends at byte 8 but "/dev/null" has 0}}
tfm.weight @short_file : tensor<2xf32> = #tfm.file<"/dev/null", 0, 8, "">
