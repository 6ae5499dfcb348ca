// RUN: permalloy-opt %s -split-input-file --pass-pipeline="builtin.module(func.func(plan-caches))" | FileCheck %s
// RUN: permalloy-opt %s -split-input-file --pass-pipeline="builtin.module(func.func(plan-caches,plan-caches))" | FileCheck %s

// Grouped heads, batch and lengths that vary; the values before and after are the same, with empty pasts too.
// RUN: permalloy-opt %s -split-input-file --check-equivalent="pipeline=func.func(plan-caches) sizes=batch=2,seq=1,past=5,total=6,other=5" -o /dev/null
// RUN: permalloy-opt %s -split-input-file --check-equivalent="pipeline=func.func(plan-caches) sizes=batch=1,seq=3,past=0,total=3,other=0" -o /dev/null
// RUN: permalloy-opt %s -split-input-file --check-equivalent="pipeline=func.func(plan-caches,plan-kernels),outline-kernels,func.func(plan-slots) sizes=batch=2,seq=2,past=3,total=5,other=3" -o /dev/null

// CHECK-LABEL: func.func @decode
// CHECK-DAG: %[[K:.*]] = kern.cache 0 %arg1 least <past + seq> dims [#tfm.dim<batch>, #tfm.dim<2>, #tfm.dim<capacity>, #tfm.dim<8>]
// CHECK-DAG: %[[V:.*]] = kern.cache 1 %arg2 least <past + seq>
// CHECK-DAG: %[[K1:.*]] = tfm.kv_append %[[K]] at <past>, %arg3
// CHECK-DAG: %[[V1:.*]] = tfm.kv_append %[[V]] at <past>, %arg4
// CHECK: %[[Y:.*]] = tfm.attention %arg0, %[[K1]], %[[V1]] kv_length <past + seq>
// CHECK-NOT: tfm.concat
// CHECK: return %[[Y]], %{{.*}}, %{{.*}} :
func.func @decode(%q: tensor<?x4x?x8xf32> {tfm.dims = [#tfm.dim<batch>, #tfm.dim<4>, #tfm.dim<seq>, #tfm.dim<8>]},
                  %pk: tensor<?x2x?x8xf32> {tfm.dims = [#tfm.dim<batch>, #tfm.dim<2>, #tfm.dim<past>, #tfm.dim<8>]},
                  %pv: tensor<?x2x?x8xf32> {tfm.dims = [#tfm.dim<batch>, #tfm.dim<2>, #tfm.dim<past>, #tfm.dim<8>]},
                  %k: tensor<?x2x?x8xf32> {tfm.dims = [#tfm.dim<batch>, #tfm.dim<2>, #tfm.dim<seq>, #tfm.dim<8>]},
                  %v: tensor<?x2x?x8xf32> {tfm.dims = [#tfm.dim<batch>, #tfm.dim<2>, #tfm.dim<seq>, #tfm.dim<8>]})
    -> (tensor<?x4x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) {
  %0 = tfm.concat %pk, %k {axis = 2 : i64} : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32>
  %1 = tfm.concat %pv, %v {axis = 2 : i64} : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32>
  %2 = tfm.attention %q, %0, %1 {num_heads = 4 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32, causal} : (tensor<?x4x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x4x?x8xf32>
  return %2, %0, %1 : tensor<?x4x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>
}

// -----

// The past is read elsewhere too: no cache for it, so none for the value of the same attention.
// CHECK-LABEL: func.func @read_twice
// CHECK-SAME: kern.no_cache = "it is read by more than the concat"
// CHECK-SAME: kern.no_cache = "the attention that reads it has no cache for its other half"
// CHECK-NOT: kern.cache
func.func @read_twice(%q: tensor<2x2x?x8xf32> {tfm.dims = [#tfm.dim<2>, #tfm.dim<2>, #tfm.dim<seq>, #tfm.dim<8>]},
                      %pk: tensor<2x2x?x8xf32> {tfm.dims = [#tfm.dim<2>, #tfm.dim<2>, #tfm.dim<past>, #tfm.dim<8>]},
                      %pv: tensor<2x2x?x8xf32> {tfm.dims = [#tfm.dim<2>, #tfm.dim<2>, #tfm.dim<past>, #tfm.dim<8>]})
    -> (tensor<2x2x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x2x?x8xf32>) {
  %0 = tfm.concat %pk, %q {axis = 2 : i64} : (tensor<2x2x?x8xf32>, tensor<2x2x?x8xf32>) -> tensor<2x2x?x8xf32>
  %1 = tfm.concat %pv, %q {axis = 2 : i64} : (tensor<2x2x?x8xf32>, tensor<2x2x?x8xf32>) -> tensor<2x2x?x8xf32>
  %2 = tfm.attention %q, %0, %1 {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32} : (tensor<2x2x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x2x?x8xf32>) -> tensor<2x2x?x8xf32>
  %3 = tfm.unary neg %pk : (tensor<2x2x?x8xf32>) -> tensor<2x2x?x8xf32>
  return %2, %0, %1, %3 : tensor<2x2x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x2x?x8xf32>
}

// -----

// Not read by attention; two outputs; another length than the first cache's.
// CHECK-LABEL: func.func @near_misses
// CHECK-SAME: kern.no_cache = "what it grows to is read by tfm.unary rather than as key or value of attention"
// CHECK-SAME: kern.no_cache = "what it grows to is more than one output"
// CHECK-SAME: kern.no_cache = "its dimensions [2, 2, other, 8] are not those [2, 2, past, 8] of the first cache"
// CHECK-COUNT-3: tfm.concat
func.func @near_misses(%q: tensor<2x2x?x8xf32> {tfm.dims = [#tfm.dim<2>, #tfm.dim<2>, #tfm.dim<seq>, #tfm.dim<8>]},
                       %a: tensor<2x2x?x8xf32> {tfm.dims = [#tfm.dim<2>, #tfm.dim<2>, #tfm.dim<past>, #tfm.dim<8>]},
                       %b: tensor<2x2x?x8xf32> {tfm.dims = [#tfm.dim<2>, #tfm.dim<2>, #tfm.dim<past>, #tfm.dim<8>]},
                       %c: tensor<2x2x?x8xf32> {tfm.dims = [#tfm.dim<2>, #tfm.dim<2>, #tfm.dim<past>, #tfm.dim<8>]},
                       %d: tensor<2x2x?x8xf32> {tfm.dims = [#tfm.dim<2>, #tfm.dim<2>, #tfm.dim<other>, #tfm.dim<8>]})
    -> (tensor<2x2x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x2x?x8xf32>) {
  %0 = tfm.concat %a, %q {axis = 2 : i64} : (tensor<2x2x?x8xf32>, tensor<2x2x?x8xf32>) -> tensor<2x2x?x8xf32>
  %1 = tfm.concat %b, %q {axis = 2 : i64} : (tensor<2x2x?x8xf32>, tensor<2x2x?x8xf32>) -> tensor<2x2x?x8xf32>
  %2 = tfm.concat %c, %q {axis = 2 : i64} : (tensor<2x2x?x8xf32>, tensor<2x2x?x8xf32>) -> tensor<2x2x?x8xf32>
  %3 = tfm.concat %d, %q {axis = 2 : i64} : (tensor<2x2x?x8xf32>, tensor<2x2x?x8xf32>) -> tensor<2x2x?x8xf32>
  %4 = tfm.unary neg %0 : (tensor<2x2x?x8xf32>) -> tensor<2x2x?x8xf32>
  return %0, %1, %1, %2, %3, %4 : tensor<2x2x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x2x?x8xf32>
}
