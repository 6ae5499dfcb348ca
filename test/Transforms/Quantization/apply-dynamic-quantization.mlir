// RUN: permalloy-opt %s --apply-dynamic-quantization --cse | FileCheck %s
// RUN: permalloy-opt %s --apply-dynamic-quantization --cse --apply-dynamic-quantization | FileCheck %s
// RUN: permalloy-opt %s --apply-dynamic-quantization --cse --plan-kernels --outline-kernels --pack-weights | FileCheck %s --check-prefix=KERN

tfm.weight @w : tensor<64x32xf32> = #tfm.seeded<1, 0.02>
tfm.weight @v : tensor<64x48xf32> = #tfm.seeded<2, 0.02>
tfm.weight @b : tensor<32xf32> = #tfm.seeded<3, 0.02>
tfm.weight @g : tensor<64xf32> = #tfm.seeded<4, 1.0>

// Codes and scales of each weight; the magnitude of each column.
// CHECK: tfm.weight @w : tensor<64x32xf32>
// CHECK: tfm.weight @w.w8a8.scales : tensor<1x32xf32> {
// CHECK:   tfm.reduce absmax %{{.*}} axes [0] {keep_dims}
// CHECK: tfm.weight @w.w8a8.codes : tensor<64x32xi8> {
// CHECK:   tfm.quantize %{{.*}} {symmetric}
// CHECK: tfm.weight @v.w8a8.codes : tensor<64x48xi8>

// Two layers that read one value read the same codes; the third is no w8a8.
// CHECK-LABEL: func.func @main
// CHECK: %[[N:.*]] = tfm.layer_norm
// CHECK: %[[M:.*]] = tfm.reduce absmax %[[N]] axes [2] {keep_dims}
// CHECK: %[[T:.*]] = tfm.binary max %[[M]]
// CHECK: %[[S:.*]] = tfm.binary mul %[[T]], %{{.*}} : (tensor<?x?x1xf32>
// CHECK: %[[D:.*]] = tfm.binary div
// CHECK: %[[X:.*]] = tfm.binary mul %[[N]], %[[D]]
// CHECK: %[[Q:.*]] = tfm.quantize %[[X]] {symmetric}
// CHECK-NOT: tfm.quantize
// CHECK: %[[A:.*]] = tfm.linear %[[Q]], %{{.*}} : (tensor<?x?x64xi8>, tensor<64x32xi8>) -> tensor<?x?x32xi32>
// CHECK: %[[F:.*]] = tfm.cast %[[A]]
// CHECK: %[[R:.*]] = tfm.binary mul %[[F]], %[[S]]
// CHECK: %[[C:.*]] = tfm.binary mul %[[R]], %{{.*}} : (tensor<?x?x32xf32>, tensor<1x32xf32>)
// CHECK: %[[B:.*]] = tfm.binary add %[[C]]
// CHECK: tfm.unary gelu_erf %[[B]]
// CHECK: tfm.linear %[[Q]]
// CHECK: tfm.linear %[[N]], %{{.*}} : (tensor<?x?x64xf32>

// The norm, the magnitude, the scale and the codes are one kernel; what is behind the sums is the epilogue.
// KERN-DAG: kern.kernel @layer_norm_0 row
// KERN-DAG: kern.kernel @linear_i8_{{.*}} contraction
// KERN-LABEL: func.func @main
// KERN: %[[L:.*]]:3 = kern.launch @layer_norm_0(
// KERN: kern.launch @linear_i8_{{.*}}(%[[L]]#2, {{.*}}, %[[L]]#1
func.func @main(%x: tensor<?x?x64xf32> {tfm.dims = [#tfm.dim<batch>, #tfm.dim<seq>, #tfm.dim<64>]}) -> (tensor<?x?x32xf32>, tensor<?x?x48xf32>, tensor<?x?x32xf32>) {
  %w = tfm.get_weight @w : tensor<64x32xf32>
  %v = tfm.get_weight @v : tensor<64x48xf32>
  %b = tfm.get_weight @b : tensor<32xf32>
  %g = tfm.get_weight @g : tensor<64xf32>
  %n = tfm.layer_norm %x, %g {axis = 2 : i64, epsilon = 1.0e-12 : f32} : (tensor<?x?x64xf32>, tensor<64xf32>) -> tensor<?x?x64xf32>
  %0 = tfm.linear %n, %w bias %b activation gelu_erf {tfm.level = "w8a8o0"} : (tensor<?x?x64xf32>, tensor<64x32xf32>, tensor<32xf32>) -> tensor<?x?x32xf32>
  %1 = tfm.linear %n, %v {tfm.level = "w8a8o0"} : (tensor<?x?x64xf32>, tensor<64x48xf32>) -> tensor<?x?x48xf32>
  %2 = tfm.linear %n, %w bias %b : (tensor<?x?x64xf32>, tensor<64x32xf32>, tensor<32xf32>) -> tensor<?x?x32xf32>
  return %0, %1, %2 : tensor<?x?x32xf32>, tensor<?x?x48xf32>, tensor<?x?x32xf32>
}
