// RUN: permalloy-opt %s --check-weights="print" -o /dev/null | FileCheck %s
//
// Stacks of matrices in panels: the streamed bytes are those of the interpreter.

tfm.weight @w : tensor<3x19x5xf32> = #tfm.seeded<1, 1.0>
tfm.weight @a : tensor<5x19xf32> = #tfm.seeded<2, 1.0>
tfm.weight @b : tensor<5x19xf32> = #tfm.seeded<3, 1.0>
// 3 matrices of 2 panels of 5 rows of 16 floats.
// CHECK: @panels: 1920 bytes
tfm.weight @panels : tensor<3x5x19xf32, #tfm.panels> {
  %0 = tfm.get_weight @w : tensor<3x19x5xf32>
  %1 = tfm.transpose %0 [0, 2, 1] : (tensor<3x19x5xf32>) -> tensor<3x5x19xf32>
  %2 = tfm.pack %1 : (tensor<3x5x19xf32>) -> tensor<3x5x19xf32, #tfm.panels>
  tfm.yield %2 : tensor<3x5x19xf32, #tfm.panels>
}
// CHECK: @joined: 1280 bytes
tfm.weight @joined : tensor<2x5x19xf32, #tfm.panels> {
  %0 = tfm.get_weight @a : tensor<5x19xf32>
  %1 = tfm.get_weight @b : tensor<5x19xf32>
  %2 = tfm.reshape %0 dims [#tfm.dim<1>, #tfm.dim<5>, #tfm.dim<19>] : (tensor<5x19xf32>) -> tensor<1x5x19xf32>
  %3 = tfm.reshape %1 dims [#tfm.dim<1>, #tfm.dim<5>, #tfm.dim<19>] : (tensor<5x19xf32>) -> tensor<1x5x19xf32>
  %4 = tfm.concat %2, %3 {axis = 0 : i64} : (tensor<1x5x19xf32>, tensor<1x5x19xf32>) -> tensor<2x5x19xf32>
  %5 = tfm.pack %4 : (tensor<2x5x19xf32>) -> tensor<2x5x19xf32, #tfm.panels>
  tfm.yield %5 : tensor<2x5x19xf32, #tfm.panels>
}
