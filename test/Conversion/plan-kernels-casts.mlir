// RUN: permalloy-opt %s --plan-kernels | FileCheck %s
// RUN: permalloy-opt %s --check-equivalent="pipeline=kern-pipeline rtol=1e-2 atol=1e-2" -o /dev/null
// RUN: permalloy-opt %s --kern-pipeline | FileCheck %s --check-prefix=KERN

// KERN-DAG: kern.kernel @layer_norm_{{[0-9]+}} row
// KERN-DAG: kern.kernel @linear_bf16_{{[0-9]+}} contraction
// KERN-DAG: kern.kernel @{{[a-z]+}}_0 row

// Two functions of one value share a kernel, which takes in what makes it.
// CHECK-LABEL: @siblings
// CHECK: tfm.binary mul {{.*}} {kern.group = 0 : i64}
// CHECK: tfm.unary cos {{.*}} {kern.group = 0 : i64}
// CHECK: tfm.unary sin {{.*}} {kern.group = 0 : i64}
func.func @siblings(%x: tensor<?x32xf32> {tfm.dims = [#tfm.dim<seq>, #tfm.dim<32>]}) -> (tensor<?x32xf32>, tensor<?x32xf32>) {
  %0 = tfm.binary mul %x, %x : (tensor<?x32xf32>, tensor<?x32xf32>) -> tensor<?x32xf32>
  %1 = tfm.unary cos %0 : (tensor<?x32xf32>) -> tensor<?x32xf32>
  %2 = tfm.unary sin %0 : (tensor<?x32xf32>) -> tensor<?x32xf32>
  return %1, %2 : tensor<?x32xf32>, tensor<?x32xf32>
}

// A value that is wanted in two types is stored in both by the kernel that makes it, also behind a product; one that is stored
// narrow is widened by the epilogue that reads it.
// CHECK-LABEL: @casts
// CHECK: tfm.layer_norm {{.*}}kern.group = 0 : i64
// CHECK: tfm.cast {{.*}} {kern.group = 0 : i64}
// CHECK: tfm.cast {{.*}} {kern.group = 1 : i64}
// CHECK: tfm.linear {{.*}} {kern.group = 1 : i64}
// CHECK: tfm.binary add {{.*}} {kern.group = 1 : i64}
// CHECK: tfm.cast {{.*}} {kern.group = 1 : i64}
func.func @casts(%x: tensor<?x32xf32> {tfm.dims = [#tfm.dim<seq>, #tfm.dim<32>]}, %y: tensor<?x32xbf16> {tfm.dims = [#tfm.dim<seq>, #tfm.dim<32>]}, %g: tensor<32xf32>) -> (tensor<?x32xf32>, tensor<?x32xf32>, tensor<?x32xbf16>) {
  %w = tfm.get_weight @narrow : tensor<32x32xbf16>
  %0 = tfm.layer_norm %x, %g {axis = 1 : i64, epsilon = 1.0e-5 : f32} : (tensor<?x32xf32>, tensor<32xf32>) -> tensor<?x32xf32>
  %1 = tfm.cast %0 : (tensor<?x32xf32>) -> tensor<?x32xbf16>
  %2 = tfm.cast %y : (tensor<?x32xbf16>) -> tensor<?x32xf32>
  %3 = tfm.linear %1, %w : (tensor<?x32xbf16>, tensor<32x32xbf16>) -> tensor<?x32xf32>
  %4 = tfm.binary add %3, %2 : (tensor<?x32xf32>, tensor<?x32xf32>) -> tensor<?x32xf32>
  %5 = tfm.cast %4 : (tensor<?x32xf32>) -> tensor<?x32xbf16>
  return %0, %4, %5 : tensor<?x32xf32>, tensor<?x32xf32>, tensor<?x32xbf16>
}

tfm.weight @narrow : tensor<32x32xbf16> = #tfm.seeded<9, 1.0>
