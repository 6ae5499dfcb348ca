// RUN: permalloy-opt %s --apply-quantization | FileCheck %s
// RUN: permalloy-opt %s --apply-quantization --apply-precision | FileCheck %s --check-prefix=BF16
// RUN: permalloy-opt %s --check-equivalent="pipeline=apply-quantization idempotent rtol=0.02 atol=0.05" -o /dev/null
// RUN: permalloy-opt %s --apply-quantization --check-weights -o /dev/null
//
// 8 bits lose little: the function stays what it is. Codes of a weight that two layers share are made once; a tied embedding
// reads the codes of the layer; a table of its own is transposed, so that groups run along its rows.

// CHECK-LABEL: @main
// CHECK: %[[CODES:.*]] = tfm.get_weight @w.w8g16.codes : tensor<40x48x!tfm.q<s8, group 16>>
// CHECK: %[[SCALES:.*]] = tfm.get_weight @w.w8g16.scales : tensor<3x48xf16>
// CHECK: %[[W:.*]] = tfm.dequantize %[[CODES]], %[[SCALES]]
// CHECK: tfm.linear %{{.*}}, %[[W]]
// BF16-LABEL: @main
// BF16: tfm.dequantize {{.*}} -> tensor<40x48xbf16>
// BF16: tfm.linear {{.*}}(tensor<?x40xbf16>, tensor<40x48xbf16>, tensor<48xf32>) -> tensor<?x48xf32>
func.func @main(%x: tensor<?x40xf32> {tfm.dims = [#tfm.dim<n>, #tfm.dim<40>]}, %b: tensor<48xf32>) -> (tensor<?x48xf32>, tensor<?x48xf32>) {
  %w = tfm.get_weight @w : tensor<40x48xf32>
  %0 = tfm.linear %x, %w bias %b {tfm.level = "w8g16", tfm.precision = "bf16"} : (tensor<?x40xf32>, tensor<40x48xf32>, tensor<48xf32>) -> tensor<?x48xf32>
  %1 = tfm.linear %x, %w {tfm.level = "w8g16"} : (tensor<?x40xf32>, tensor<40x48xf32>) -> tensor<?x48xf32>
  return %0, %1 : tensor<?x48xf32>, tensor<?x48xf32>
}

// CHECK-LABEL: @tied
// CHECK: %[[A:.*]] = tfm.dequantize %{{.*}}, %{{.*}} zero_points %{{.*}} : (tensor<32x100x!tfm.q<u8, group 32>>, tensor<1x100xf16>, tensor<1x100xf16>)
// CHECK: tfm.gather %[[A]], %{{.*}} {axis = 1 : i64}
// CHECK: %[[B:.*]] = tfm.dequantize
// CHECK: tfm.linear %{{.*}}, %[[B]]
func.func @tied(%ids: tensor<?xi64> {tfm.dims = [#tfm.dim<n>], tfm.test_range = [0, 100]}) -> tensor<?x100xf32> {
  %t = tfm.get_weight @table : tensor<32x100xf32>
  %0 = tfm.gather %t, %ids {axis = 1 : i64} : (tensor<32x100xf32>, tensor<?xi64>) -> tensor<32x?xf32>
  %1 = tfm.transpose %0 [1, 0] : (tensor<32x?xf32>) -> tensor<?x32xf32>
  %2 = tfm.get_weight @table : tensor<32x100xf32>
  %3 = tfm.linear %1, %2 {tfm.level = "w8g32asym"} : (tensor<?x32xf32>, tensor<32x100xf32>) -> tensor<?x100xf32>
  return %3 : tensor<?x100xf32>
}

// CHECK-LABEL: @rows
// CHECK: %[[R:.*]] = tfm.dequantize {{.*}} -> tensor<32x64xf32>
// CHECK: tfm.gather %[[R]], %{{.*}} {axis = 1 : i64} : (tensor<32x64xf32>, tensor<?x3xi64>) -> tensor<32x?x3xf32>
// CHECK: tfm.transpose %{{.*}} [1, 2, 0]
func.func @rows(%ids: tensor<?x3xi64> {tfm.dims = [#tfm.dim<n>, #tfm.dim<3>], tfm.test_range = [0, 64]}) -> tensor<?x3x32xf32> {
  %t = tfm.get_weight @words : tensor<64x32xf32>
  %0 = tfm.gather %t, %ids {axis = 0 : i64, tfm.level = "w8"} : (tensor<64x32xf32>, tensor<?x3xi64>) -> tensor<?x3x32xf32>
  return %0 : tensor<?x3x32xf32>
}

// Without a mark nothing happens.
// CHECK-LABEL: @plain
// CHECK-NOT: tfm.dequantize
func.func @plain(%x: tensor<?x40xf32> {tfm.dims = [#tfm.dim<n>, #tfm.dim<40>]}) -> tensor<?x48xf32> {
  %w = tfm.get_weight @w : tensor<40x48xf32>
  %0 = tfm.linear %x, %w : (tensor<?x40xf32>, tensor<40x48xf32>) -> tensor<?x48xf32>
  return %0 : tensor<?x48xf32>
}
// CHECK-DAG: tfm.weight @words.rows.w8.codes : tensor<32x64x!tfm.q<s8, group 32>>
// CHECK-DAG: tfm.quantize_weight %{{.*}} solver "rtn"
tfm.weight @w : tensor<40x48xf32> = #tfm.seeded<1, 1.0>
tfm.weight @table : tensor<32x100xf32> = #tfm.seeded<2, 1.0>
tfm.weight @words : tensor<64x32xf32> = #tfm.seeded<3, 1.0>
