// RUN: permalloy-opt %s --apply-dynamic-quantization --cse | FileCheck %s
// RUN: permalloy-opt %s --apply-dynamic-quantization --cse --plan-kernels --outline-kernels --pack-weights | FileCheck %s --check-prefix=KERN
// RUN: permalloy-opt %s --apply-dynamic-quantization --cse --check-equivalent="pipeline=kern-pipeline" -o /dev/null

tfm.weight @w : tensor<64x32xf32> = #tfm.seeded<1, 0.02>
tfm.weight @v : tensor<64x48xf32> = #tfm.seeded<2, 0.02>
tfm.weight @b : tensor<32xf32> = #tfm.seeded<3, 0.02>
tfm.weight @g : tensor<64xf32> = #tfm.seeded<4, 1.0>

// The two largest elements of a row are beyond its codes. Layers that read one value share them; another number of them is another
// set of codes.
// CHECK-LABEL: func.func @main
// CHECK: %[[N:.*]] = tfm.layer_norm
// CHECK: %[[ONE:.*]] = tfm.outlier_limit %[[N]] {count = 1 : i64}
// CHECK: %[[TWO:.*]] = tfm.outlier_limit %[[N]] {count = 2 : i64}
// CHECK: %[[M:.*]] = tfm.binary max %[[TWO]]
// CHECK: %[[S:.*]] = tfm.binary mul %[[M]], %{{.*}} : (tensor<?x?x1xf32>
// CHECK: %[[D:.*]] = tfm.binary div
// CHECK: %[[X:.*]] = tfm.binary mul %[[N]], %[[D]]
// CHECK: %[[Q:.*]] = tfm.quantize %[[X]] {symmetric}
// CHECK: %[[P:.*]] = tfm.outlier_positions %[[N]], %[[M]] {count = 2 : i64}
// CHECK: %[[T:.*]] = tfm.outlier_values %[[N]], %[[P]]
// CHECK: %[[U:.*]] = tfm.binary mul %[[T]], %[[D]]
// CHECK: %[[C:.*]] = tfm.quantize %[[U]] {symmetric} : (tensor<?x?x2xf32>)
// CHECK: %[[F:.*]] = tfm.cast %[[C]]
// CHECK: %[[E:.*]] = tfm.binary sub %[[U]], %[[F]]
// CHECK-NOT: tfm.outlier_limit
// CHECK: %[[A:.*]] = tfm.linear %[[Q]], %[[W:.*]] : (tensor<?x?x64xi8>, tensor<64x32xi8>) -> tensor<?x?x32xi32>
// CHECK: %[[G:.*]] = tfm.cast %[[A]]
// CHECK: %[[O:.*]] = tfm.outlier_linear %[[E]], %[[P]], %[[W]]
// CHECK: %[[R:.*]] = tfm.binary add %[[G]], %[[O]]
// CHECK: tfm.binary mul %[[R]], %[[S]]
// CHECK: tfm.outlier_linear %[[E]], %[[P]], %{{.*}} : {{.*}} -> tensor<?x?x48xf32>

// One kernel makes the norm, codes, scale and outliers; the product adds what they are more than their codes, and reads one packed weight.
// KERN-DAG: kern.kernel @layer_norm_0 row
// KERN-LABEL: func.func @main
// KERN: %[[L:.*]]:{{[0-9]+}} = kern.launch @layer_norm_0(
// KERN: kern.launch @linear_i8_{{.*}}(%[[L]]#{{.*}} : {{.*}}tensor<64x32xi8, #tfm.panels>
func.func @main(%x: tensor<?x?x64xf32> {tfm.dims = [#tfm.dim<batch>, #tfm.dim<seq>, #tfm.dim<64>]}) -> (tensor<?x?x32xf32>, tensor<?x?x48xf32>, tensor<?x?x32xf32>) {
  %w = tfm.get_weight @w : tensor<64x32xf32>
  %v = tfm.get_weight @v : tensor<64x48xf32>
  %b = tfm.get_weight @b : tensor<32xf32>
  %g = tfm.get_weight @g : tensor<64xf32>
  %n = tfm.layer_norm %x, %g {axis = 2 : i64, epsilon = 1.0e-12 : f32} : (tensor<?x?x64xf32>, tensor<64xf32>) -> tensor<?x?x64xf32>
  %0 = tfm.linear %n, %w bias %b activation gelu_erf {tfm.level = "w8a8"} : (tensor<?x?x64xf32>, tensor<64x32xf32>, tensor<32xf32>) -> tensor<?x?x32xf32>
  %1 = tfm.linear %n, %v {tfm.level = "w8a8o2"} : (tensor<?x?x64xf32>, tensor<64x48xf32>) -> tensor<?x?x48xf32>
  %2 = tfm.linear %n, %w bias %b {tfm.level = "w8a8o1"} : (tensor<?x?x64xf32>, tensor<64x32xf32>, tensor<32xf32>) -> tensor<?x?x32xf32>
  return %0, %1, %2 : tensor<?x?x32xf32>, tensor<?x?x48xf32>, tensor<?x?x32xf32>
}
