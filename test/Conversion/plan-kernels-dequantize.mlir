// RUN: permalloy-opt %s --kern-pipeline | FileCheck %s
// RUN: permalloy-opt %s --check-equivalent="pipeline=kern-pipeline" -o /dev/null
//
// A weight that stands as codes is decoded in each kernel that reads it; codes and scales are packed, once. A codebook is no part of
// the panels.

// CHECK-DAG: kern.kernel @linear_w4_{{[0-9]+}} contraction
// CHECK-DAG: tensor<64x48x!tfm.q<s4, group 32>, #tfm.panels>, %{{[a-z0-9]+}}: tensor<2x48xf16, #tfm.panels>
// CHECK-DAG: tensor<64x48x!tfm.q<u4, group 64>, #tfm.panels>
// CHECK-DAG: tfm.weight @codes.panels
// CHECK-DAG: tfm.weight @scales.panels
// CHECK-DAG: tfm.weight @indices.panels
// CHECK-NOT: tfm.weight @table.panels
func.func @main(%x: tensor<?x64xf32> {tfm.dims = [#tfm.dim<n>, #tfm.dim<64>]}, %ids: tensor<?xi64> {tfm.dims = [#tfm.dim<n>]}) -> (tensor<?x48xf32>, tensor<64x?xf32>, tensor<?x48xf32>) {
  %c = tfm.get_weight @codes : tensor<64x48x!tfm.q<s4, group 32>>
  %s = tfm.get_weight @scales : tensor<2x48xf16>
  %w = tfm.dequantize %c, %s : (tensor<64x48x!tfm.q<s4, group 32>>, tensor<2x48xf16>) -> tensor<64x48xf32>
  %0 = tfm.linear %x, %w : (tensor<?x64xf32>, tensor<64x48xf32>) -> tensor<?x48xf32>
  %1 = tfm.gather %w, %ids {axis = 1 : i64} : (tensor<64x48xf32>, tensor<?xi64>) -> tensor<64x?xf32>
  %i = tfm.get_weight @indices : tensor<64x48x!tfm.q<u4, group 64>>
  %k = tfm.get_weight @columns : tensor<1x48xf32>
  %t = tfm.get_weight @table : tensor<16xf32>
  %v = tfm.dequantize %i, %k codebook %t : (tensor<64x48x!tfm.q<u4, group 64>>, tensor<1x48xf32>, tensor<16xf32>) -> tensor<64x48xf32>
  %2 = tfm.linear %x, %v : (tensor<?x64xf32>, tensor<64x48xf32>) -> tensor<?x48xf32>
  return %0, %1, %2 : tensor<?x48xf32>, tensor<64x?xf32>, tensor<?x48xf32>
}
tfm.weight @w : tensor<64x48xf32> = #tfm.seeded<1, 0.5>
tfm.weight @table : tensor<16xf32> = #tfm.seeded<2, 1.0>
tfm.weight @codes : tensor<64x48x!tfm.q<s4, group 32>> {
  %0 = tfm.get_weight @w : tensor<64x48xf32>
  %1, %2 = tfm.quantize_weight %0 solver "rtn" : (tensor<64x48xf32>) -> (tensor<64x48x!tfm.q<s4, group 32>>, tensor<2x48xf16>)
  tfm.yield %1 : tensor<64x48x!tfm.q<s4, group 32>>
}
tfm.weight @scales : tensor<2x48xf16> {
  %0 = tfm.get_weight @w : tensor<64x48xf32>
  %1, %2 = tfm.quantize_weight %0 solver "rtn" : (tensor<64x48xf32>) -> (tensor<64x48x!tfm.q<s4, group 32>>, tensor<2x48xf16>)
  tfm.yield %2 : tensor<2x48xf16>
}
tfm.weight @indices : tensor<64x48x!tfm.q<u4, group 64>> {
  %0 = tfm.get_weight @w : tensor<64x48xf32>
  %t = tfm.get_weight @table : tensor<16xf32>
  %1, %2 = tfm.quantize_weight %0 codebook %t solver "rtn" : (tensor<64x48xf32>, tensor<16xf32>) -> (tensor<64x48x!tfm.q<u4, group 64>>, tensor<1x48xf32>)
  tfm.yield %1 : tensor<64x48x!tfm.q<u4, group 64>>
}
tfm.weight @columns : tensor<1x48xf32> {
  %0 = tfm.get_weight @w : tensor<64x48xf32>
  %t = tfm.get_weight @table : tensor<16xf32>
  %1, %2 = tfm.quantize_weight %0 codebook %t solver "rtn" : (tensor<64x48xf32>, tensor<16xf32>) -> (tensor<64x48x!tfm.q<u4, group 64>>, tensor<1x48xf32>)
  tfm.yield %2 : tensor<1x48xf32>
}
