// RUN: permalloy-opt %s --pass-pipeline="builtin.module(func.func(plan-caches))" | FileCheck %s
// RUN: permalloy-opt %s --check-equivalent="pipeline=func.func(plan-caches) sizes=seq=2,capacity=4" -o /dev/null
// A model may call one of its own dimensions `capacity`.
// CHECK-LABEL: func.func @taken
// CHECK: kern.cache 0 %arg1 least <capacity + seq> dims [#tfm.dim<2>, #tfm.dim<2>, #tfm.dim<capacity_1>, #tfm.dim<8>]
func.func @taken(%q: tensor<2x2x?x8xf32> {tfm.dims = [#tfm.dim<2>, #tfm.dim<2>, #tfm.dim<seq>, #tfm.dim<8>]},
                 %p: tensor<2x2x?x8xf32> {tfm.dims = [#tfm.dim<2>, #tfm.dim<2>, #tfm.dim<capacity>, #tfm.dim<8>]})
    -> (tensor<2x2x?x8xf32>, tensor<2x2x?x8xf32>) {
  %0 = tfm.concat %p, %q {axis = 2 : i64} : (tensor<2x2x?x8xf32>, tensor<2x2x?x8xf32>) -> tensor<2x2x?x8xf32>
  %1 = tfm.attention %q, %0, %0 {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32} : (tensor<2x2x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x2x?x8xf32>) -> tensor<2x2x?x8xf32>
  return %1, %0 : tensor<2x2x?x8xf32>, tensor<2x2x?x8xf32>
}
