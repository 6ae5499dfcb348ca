// RUN: permalloy-opt %s --check-weights="print" -o /dev/null | FileCheck %s

// Streamed and interpreted bytes of every transformation agree, alone and one on top of another.

tfm.weight @w : tensor<5x19xf32> = #tfm.seeded<1, 1.0>
tfm.weight @v : tensor<3x19xf32> = #tfm.seeded<2, 1.0>
tfm.weight @copy : tensor<5x19xf32> {
  %0 = tfm.get_weight @w : tensor<5x19xf32>
  tfm.yield %0 : tensor<5x19xf32>
}
// A copy has the hash of its original, so that the writer stores it once.
// CHECK: @w: 380 bytes, xxh3 [[HASH:[0-9a-f]{32}]]
// CHECK: @copy: 380 bytes, xxh3 [[HASH]]

tfm.weight @cast : tensor<5x19xbf16> {
  %0 = tfm.get_weight @w : tensor<5x19xf32>
  %1 = tfm.cast %0 : (tensor<5x19xf32>) -> tensor<5x19xbf16>
  tfm.yield %1 : tensor<5x19xbf16>
}
// CHECK: @cast: 190 bytes
tfm.weight @transpose : tensor<19x5xf32> {
  %0 = tfm.get_weight @w : tensor<5x19xf32>
  %1 = tfm.transpose %0 [1, 0] : (tensor<5x19xf32>) -> tensor<19x5xf32>
  tfm.yield %1 : tensor<19x5xf32>
}
tfm.weight @transpose_of_cast : tensor<19x5xbf16> {
  %0 = tfm.get_weight @cast : tensor<5x19xbf16>
  %1 = tfm.transpose %0 [1, 0] : (tensor<5x19xbf16>) -> tensor<19x5xbf16>
  tfm.yield %1 : tensor<19x5xbf16>
}
tfm.weight @permuted : tensor<19x3x5xf32> {
  %0 = tfm.get_weight @concat : tensor<15x19xf32>
  %1 = tfm.reshape %0 dims [#tfm.dim<3>, #tfm.dim<5>, #tfm.dim<19>] : (tensor<15x19xf32>) -> tensor<3x5x19xf32>
  %2 = tfm.transpose %1 [2, 0, 1] : (tensor<3x5x19xf32>) -> tensor<19x3x5xf32>
  tfm.yield %2 : tensor<19x3x5xf32>
}
tfm.weight @concat : tensor<15x19xf32> {
  %0 = tfm.get_weight @w : tensor<5x19xf32>
  %1 = tfm.get_weight @v : tensor<3x19xf32>
  %2 = tfm.concat %0, %1, %0 {axis = 0 : i64} : (tensor<5x19xf32>, tensor<3x19xf32>, tensor<5x19xf32>) -> tensor<13x19xf32>
  %3 = tfm.slice %0 offsets [#tfm.dim<4>, #tfm.dim<0>] sizes [#tfm.dim<2>, #tfm.dim<19>] strides [-3, 1] : (tensor<5x19xf32>) -> tensor<2x19xf32>
  %4 = tfm.concat %2, %3 {axis = 0 : i64} : (tensor<13x19xf32>, tensor<2x19xf32>) -> tensor<15x19xf32>
  tfm.yield %4 : tensor<15x19xf32>
}
tfm.weight @columns : tensor<5x24xf32> {
  %0 = tfm.get_weight @w : tensor<5x19xf32>
  %1 = tfm.slice %0 offsets [#tfm.dim<0>, #tfm.dim<1>] sizes [#tfm.dim<5>, #tfm.dim<5>] strides [1, 3] : (tensor<5x19xf32>) -> tensor<5x5xf32>
  %2 = tfm.concat %1, %0 {axis = 1 : i64} : (tensor<5x5xf32>, tensor<5x19xf32>) -> tensor<5x24xf32>
  tfm.yield %2 : tensor<5x24xf32>
}
tfm.weight @bounds : tensor<2x19xf32> {
  %0 = tfm.get_weight @w : tensor<5x19xf32>
  %1 = tfm.constant dense<-2> : tensor<1xi64>
  %2 = tfm.constant dense<100> : tensor<1xi64>
  %3 = tfm.slice %0 starts %1 ends %2 axes [0] : (tensor<5x19xf32>, tensor<1xi64>, tensor<1xi64>) -> tensor<2x19xf32>
  tfm.yield %3 : tensor<2x19xf32>
}
// Panels: 2 of 5 rows of 16 floats.
// CHECK: @panels: 640 bytes
tfm.weight @panels : tensor<5x19xf32, #tfm.panels> {
  %0 = tfm.get_weight @w : tensor<5x19xf32>
  %1 = tfm.pack %0 : (tensor<5x19xf32>) -> tensor<5x19xf32, #tfm.panels>
  tfm.yield %1 : tensor<5x19xf32, #tfm.panels>
}
tfm.weight @panels_of_transpose : tensor<19x5xf32, #tfm.panels> {
  %0 = tfm.get_weight @transpose : tensor<19x5xf32>
  %1 = tfm.pack %0 : (tensor<19x5xf32>) -> tensor<19x5xf32, #tfm.panels>
  tfm.yield %1 : tensor<19x5xf32, #tfm.panels>
}
// bf16: 2 panels of 3 rows of 16 pairs. f16: 2 of 5 rows of 16.
// CHECK: @panels_bf16: 384 bytes
tfm.weight @panels_bf16 : tensor<5x19xbf16, #tfm.panels> {
  %0 = tfm.get_weight @w : tensor<5x19xf32>
  %1 = tfm.cast %0 : (tensor<5x19xf32>) -> tensor<5x19xbf16>
  %2 = tfm.pack %1 : (tensor<5x19xbf16>) -> tensor<5x19xbf16, #tfm.panels>
  tfm.yield %2 : tensor<5x19xbf16, #tfm.panels>
}
// CHECK: @panels_f16: 320 bytes
tfm.weight @panels_f16 : tensor<5x19xf16, #tfm.panels> {
  %0 = tfm.get_weight @w : tensor<5x19xf32>
  %1 = tfm.cast %0 : (tensor<5x19xf32>) -> tensor<5x19xf16>
  %2 = tfm.pack %1 : (tensor<5x19xf16>) -> tensor<5x19xf16, #tfm.panels>
  tfm.yield %2 : tensor<5x19xf16, #tfm.panels>
}
// Longer than one piece.
tfm.weight @long : tensor<300x500xf16> = #tfm.seeded<3, 2.0>
tfm.weight @long_transpose : tensor<500x300xf32> {
  %0 = tfm.get_weight @long : tensor<300x500xf16>
  %1 = tfm.cast %0 : (tensor<300x500xf16>) -> tensor<300x500xf32>
  %2 = tfm.transpose %1 [1, 0] : (tensor<300x500xf32>) -> tensor<500x300xf32>
  tfm.yield %2 : tensor<500x300xf32>
}
// What does not stream is interpreted while it is small.
tfm.weight @scaled : tensor<5x19xf32> {
  %0 = tfm.get_weight @w : tensor<5x19xf32>
  %1 = tfm.constant dense<0.125> : tensor<f32>
  %2 = tfm.binary mul %0, %1 : (tensor<5x19xf32>, tensor<f32>) -> tensor<5x19xf32>
  tfm.yield %2 : tensor<5x19xf32>
}

// A pruned weight, and its blocks.
tfm.weight @pruned : tensor<5x19xf32> {
  %0 = tfm.get_weight @w : tensor<5x19xf32>
  %1 = tfm.prune_weight %0 {solver = "magnitude", kept = 3 : i64, block = array<i64: 1, 16>} : (tensor<5x19xf32>) -> tensor<5x19xf32>
  tfm.yield %1 : tensor<5x19xf32>
}
tfm.weight @rows : tensor<2x3xi32> {
  %0 = tfm.get_weight @pruned : tensor<5x19xf32>
  %1 = tfm.block_rows %0 {kept = 3 : i64, block = array<i64: 1, 16>} : (tensor<5x19xf32>) -> tensor<2x3xi32>
  tfm.yield %1 : tensor<2x3xi32>
}
tfm.weight @blocks : tensor<2x3x16xf32> {
  %0 = tfm.get_weight @pruned : tensor<5x19xf32>
  %1 = tfm.get_weight @rows : tensor<2x3xi32>
  %2 = tfm.compact_blocks %0, %1 {block = array<i64: 1, 16>} : (tensor<5x19xf32>, tensor<2x3xi32>) -> tensor<2x3x16xf32>
  tfm.yield %2 : tensor<2x3x16xf32>
}
