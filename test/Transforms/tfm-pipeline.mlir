// RUN: permalloy-opt %s --tfm-pipeline --dump-pass-pipeline -o /dev/null 2>&1 | FileCheck %s --check-prefix=TEXT
// RUN: permalloy-opt %s --tfm-pipeline=raise=false --dump-pass-pipeline -o /dev/null 2>&1 | FileCheck %s --check-prefix=PLAIN
// RUN: permalloy-opt %s --tfm-pipeline | FileCheck %s
// RUN: permalloy-opt %s --check-equivalent="pipeline=tfm-pipeline sizes=batch=2,seq=5;batch=1,seq=1;batch=4,seq=2 rtol=1e-5 atol=1e-5 idempotent" -o /dev/null

// TEXT: resolve-shapes
// TEXT: unify-dims
// TEXT: fold-constants
// TEXT: raise-gather
// TEXT: simplify-indexing
// TEXT: fold-constants
// TEXT: sink-broadcasts
// TEXT: raise-layer-norm
// TEXT: raise-gelu
// TEXT: simplify-layout
// TEXT: raise-linear
// TEXT: raise-attention
// TEXT: simplify-layout
// TEXT: raise-attention
// TEXT: sink-broadcasts
// TEXT: raise-linear
// TEXT: fold-constants
// TEXT: fold-weights
// PLAIN: resolve-shapes
// PLAIN-NOT: raise

tfm.weight @q : tensor<8x8xf32> = #tfm.seeded<1, 0.5>
tfm.weight @k : tensor<8x8xf32> = #tfm.seeded<2, 0.5>
tfm.weight @v : tensor<8x8xf32> = #tfm.seeded<3, 0.5>

// Attention with a padding mask as exporters leave it: sizes at run time, a mask matrix, the guard.
// CHECK-LABEL: @main(
// CHECK-DAG: %[[Q:.*]] = tfm.linear %arg0
// CHECK-DAG: %[[K:.*]] = tfm.linear %arg0
// CHECK-DAG: %[[V:.*]] = tfm.linear %arg0
// CHECK-DAG: %[[M:.*]] = tfm.reshape %{{.*}} dims [#tfm.dim<batch>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<seq>] : (tensor<?x?xi1>) -> tensor<?x1x1x?xi1>
// CHECK: %[[A:.*]] = tfm.attention %[[Q]], %[[K]], %[[V]] mask %[[M]] empty_rows zero
// CHECK-NEXT: return %[[A]] : tensor<?x?x8xf32>
func.func @main(%x: tensor<?x?x8xf32> {tfm.dims = [#tfm.dim<batch>, #tfm.dim<seq>, #tfm.dim<8>]},
                %mask: tensor<?x?xi64> {tfm.dims = [#tfm.dim<batch>, #tfm.dim<seq>], tfm.test_range = [0, 2]}) -> tensor<?x?x?xf32> {
  %qw = tfm.get_weight @q : tensor<8x8xf32>
  %kw = tfm.get_weight @k : tensor<8x8xf32>
  %vw = tfm.get_weight @v : tensor<8x8xf32>
  %zero = tfm.constant dense<0> : tensor<i64>
  %first = tfm.constant dense<[0]> : tensor<1xi64>
  %second = tfm.constant dense<[1]> : tensor<1xi64>
  %heads = tfm.constant dense<[-1, 4]> : tensor<2xi64>
  %rest = tfm.constant dense<-1> : tensor<1xi64>
  %one = tfm.constant dense<1> : tensor<1xi64>
  %half = tfm.constant dense<0.707106781> : tensor<f32>
  %fzero = tfm.constant dense<0.0> : tensor<1xf32>
  %inf = tfm.constant dense<0xFF800000> : tensor<1xf32>
  %shape = tfm.shape_of %x : (tensor<?x?x8xf32>) -> tensor<3xi64>
  %b = tfm.gather %shape, %first {axis = 0 : i64} : (tensor<3xi64>, tensor<1xi64>) -> tensor<1xi64>
  %s = tfm.gather %shape, %second {axis = 0 : i64} : (tensor<3xi64>, tensor<1xi64>) -> tensor<1xi64>
  %split = tfm.concat %b, %s, %heads {axis = 0 : i64} : (tensor<1xi64>, tensor<1xi64>, tensor<2xi64>) -> tensor<4xi64>
  %merge = tfm.concat %b, %s, %rest {axis = 0 : i64} : (tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<3xi64>
  %row = tfm.concat %b, %one, %one, %s {axis = 0 : i64} : (tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<4xi64>
  %square = tfm.concat %b, %one, %s, %s {axis = 0 : i64} : (tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<4xi64>
  %q0 = tfm.matmul %x, %qw : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
  %k0 = tfm.matmul %x, %kw : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
  %v0 = tfm.matmul %x, %vw : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
  %q1 = tfm.reshape %q0 shape %split : (tensor<?x?x8xf32>, tensor<4xi64>) -> tensor<?x?x?x?xf32>
  %k1 = tfm.reshape %k0 shape %split : (tensor<?x?x8xf32>, tensor<4xi64>) -> tensor<?x?x?x?xf32>
  %v1 = tfm.reshape %v0 shape %split : (tensor<?x?x8xf32>, tensor<4xi64>) -> tensor<?x?x?x?xf32>
  %q2 = tfm.transpose %q1 [0, 2, 1, 3] : (tensor<?x?x?x?xf32>) -> tensor<?x?x?x?xf32>
  %k2 = tfm.transpose %k1 [0, 2, 3, 1] : (tensor<?x?x?x?xf32>) -> tensor<?x?x?x?xf32>
  %v2 = tfm.transpose %v1 [0, 2, 1, 3] : (tensor<?x?x?x?xf32>) -> tensor<?x?x?x?xf32>
  %q3 = tfm.binary mul %q2, %half : (tensor<?x?x?x?xf32>, tensor<f32>) -> tensor<?x?x?x?xf32>
  %k3 = tfm.binary mul %k2, %half : (tensor<?x?x?x?xf32>, tensor<f32>) -> tensor<?x?x?x?xf32>
  %scores = tfm.matmul %q3, %k3 : (tensor<?x?x?x?xf32>, tensor<?x?x?x?xf32>) -> tensor<?x?x?x?xf32>
  %keep = tfm.cast %mask : (tensor<?x?xi64>) -> tensor<?x?xi1>
  %keep4 = tfm.reshape %keep shape %row : (tensor<?x?xi1>, tensor<4xi64>) -> tensor<?x?x?x?xi1>
  %matrix = tfm.broadcast %keep4 shape %square : (tensor<?x?x?x?xi1>, tensor<4xi64>) -> tensor<?x?x?x?xi1>
  %bias = tfm.select %matrix, %fzero, %inf : (tensor<?x?x?x?xi1>, tensor<1xf32>, tensor<1xf32>) -> tensor<?x?x?x?xf32>
  %masked = tfm.binary add %scores, %bias : (tensor<?x?x?x?xf32>, tensor<?x?x?x?xf32>) -> tensor<?x?x?x?xf32>
  %p = tfm.softmax %masked {axis = 3 : i64} : (tensor<?x?x?x?xf32>) -> tensor<?x?x?x?xf32>
  %nan = tfm.unary isnan %p : (tensor<?x?x?x?xf32>) -> tensor<?x?x?x?xi1>
  %guarded = tfm.select %nan, %fzero, %p : (tensor<?x?x?x?xi1>, tensor<1xf32>, tensor<?x?x?x?xf32>) -> tensor<?x?x?x?xf32>
  %o = tfm.matmul %guarded, %v2 : (tensor<?x?x?x?xf32>, tensor<?x?x?x?xf32>) -> tensor<?x?x?x?xf32>
  %o1 = tfm.transpose %o [0, 2, 1, 3] : (tensor<?x?x?x?xf32>) -> tensor<?x?x?x?xf32>
  %o2 = tfm.reshape %o1 shape %merge : (tensor<?x?x?x?xf32>, tensor<3xi64>) -> tensor<?x?x?xf32>
  return %o2 : tensor<?x?x?xf32>
}
