// RUN: permalloy-opt %s --plan-precision --precision-pipeline | FileCheck %s
// RUN: permalloy-opt %s --check-equivalent="pipeline=plan-precision,precision-pipeline idempotent rtol=2e-2 atol=4e-2" -o /dev/null
// RUN: permalloy-opt %s --plan-precision --precision-pipeline --check-equivalent="pipeline=kern-pipeline rtol=2e-2 atol=2e-2" -o /dev/null
// RUN: permalloy-opt %s --plan-precision --precision-pipeline --kern-pipeline | FileCheck %s --check-prefix=KERN
// RUN: permalloy-opt %s --plan-precision=precision=f32 --precision-pipeline | FileCheck %s --check-prefix=F32

// F32-NOT: bf16

tfm.weight @a : tensor<32x32xf32> = #tfm.seeded<1, 0.2>
tfm.weight @b : tensor<32x32xf32> = #tfm.seeded<2, 0.2>
tfm.weight @c : tensor<32x32xf32> = #tfm.seeded<3, 0.2>
tfm.weight @table : tensor<32x40xf32> = #tfm.seeded<4, 1.0>
tfm.weight @scale : tensor<32xf32> = #tfm.seeded<5, 1.0>

// Weights are cast once, when the artifact is written.
// CHECK: tfm.weight @a_cast : tensor<32x32xbf16> {

// A norm that is also the residual is stored in both types, by one kernel; the layers read one cast; results stay f32.
// CHECK-LABEL: @norm_and_residual
// CHECK: %[[N:.*]] = tfm.rms_norm
// CHECK: %[[C:.*]] = tfm.cast %[[N]] : (tensor<?x32xf32>) -> tensor<?x32xbf16>
// CHECK: tfm.linear %[[C]], {{.*}} -> tensor<?x32xf32>
// CHECK-NEXT: tfm.binary add %{{.*}}, %[[N]]
// CHECK-NEXT: return
func.func @norm_and_residual(%x: tensor<?x32xf32> {tfm.dims = [#tfm.dim<s>, #tfm.dim<32>]}) -> tensor<?x32xf32> {
  %g = tfm.get_weight @scale : tensor<32xf32>
  %a = tfm.get_weight @a : tensor<32x32xf32>
  %n = tfm.rms_norm %x, %g {axis = 1 : i64, epsilon = 1.0e-5 : f32} : (tensor<?x32xf32>, tensor<32xf32>) -> tensor<?x32xf32>
  %0 = tfm.linear %n, %a : (tensor<?x32xf32>, tensor<32x32xf32>) -> tensor<?x32xf32>
  %1 = tfm.binary add %0, %n : (tensor<?x32xf32>, tensor<?x32xf32>) -> tensor<?x32xf32>
  return %1 : tensor<?x32xf32>
}

// KERN: kern.kernel @rms_norm_{{[0-9]+}} row
// KERN: kern.yield {{.*}} : tensor<?x32xf32>, tensor<?x32xbf16>

// Queries, keys and values are rounded by the layers that make them, the rotation works on bf16, attention rounds its result.
// Keys and values that are results, too, hold what attention saw, which reads them where the layers wrote them.
// CHECK-LABEL: @attention
// CHECK: %[[Q:.*]] = tfm.linear {{.*}} -> tensor<?x?x32xbf16>
// CHECK: %[[R:.*]] = tfm.rotary %[[Q]], {{.*}} : (tensor<?x?x32xbf16>, tensor<1x?x8xf32>, tensor<1x?x8xf32>) -> tensor<?x?x32xbf16>
// CHECK: %[[K:.*]] = tfm.linear {{.*}} -> tensor<?x?x32xbf16>
// CHECK: %[[V:.*]] = tfm.linear {{.*}} -> tensor<?x?x32xbf16>
// CHECK: %[[A:.*]] = tfm.attention %[[R]], %[[K]], %[[V]] {{.*}} -> tensor<?x?x32xbf16>
// CHECK: tfm.linear %[[A]], {{.*}} -> tensor<?x?x32xf32>
// CHECK: return {{.*}} : tensor<?x?x32xf32>, tensor<?x2x?x16xf32>
func.func @attention(%x: tensor<?x?x32xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<32>]}, %t: tensor<1x?x8xf32> {tfm.dims = [#tfm.dim<1>, #tfm.dim<s>, #tfm.dim<8>]}) -> (tensor<?x?x32xf32>, tensor<?x2x?x16xf32>) {
  %a = tfm.get_weight @a : tensor<32x32xf32>
  %b = tfm.get_weight @b : tensor<32x32xf32>
  %c = tfm.get_weight @c : tensor<32x32xf32>
  %q = tfm.linear %x, %a : (tensor<?x?x32xf32>, tensor<32x32xf32>) -> tensor<?x?x32xf32>
  %r = tfm.rotary %q, %t, %t {num_heads = 2 : i64} : (tensor<?x?x32xf32>, tensor<1x?x8xf32>, tensor<1x?x8xf32>) -> tensor<?x?x32xf32>
  %k = tfm.linear %x, %b : (tensor<?x?x32xf32>, tensor<32x32xf32>) -> tensor<?x?x32xf32>
  %k4 = tfm.reshape %k dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<16>] : (tensor<?x?x32xf32>) -> tensor<?x?x2x16xf32>
  %kt = tfm.transpose %k4 [0, 2, 1, 3] : (tensor<?x?x2x16xf32>) -> tensor<?x2x?x16xf32>
  %v = tfm.linear %x, %c : (tensor<?x?x32xf32>, tensor<32x32xf32>) -> tensor<?x?x32xf32>
  %v4 = tfm.reshape %v dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<16>] : (tensor<?x?x32xf32>) -> tensor<?x?x2x16xf32>
  %vt = tfm.transpose %v4 [0, 2, 1, 3] : (tensor<?x?x2x16xf32>) -> tensor<?x2x?x16xf32>
  %0 = tfm.attention %r, %kt, %vt {causal, num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.25 : f32} : (tensor<?x?x32xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32>) -> tensor<?x?x32xf32>
  %1 = tfm.linear %0, %a : (tensor<?x?x32xf32>, tensor<32x32xf32>) -> tensor<?x?x32xf32>
  return %1, %kt : tensor<?x?x32xf32>, tensor<?x2x?x16xf32>
}

// Over a cache attention reads f32, and rounds its result for the layer behind it.
// CHECK-LABEL: @cached
// CHECK: tfm.linear {{.*}} -> tensor<?x?x32xf32>
// CHECK: tfm.attention {{.*}} : (tensor<?x?x32xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32>) -> tensor<?x?x32xbf16>
func.func @cached(%x: tensor<?x?x32xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<32>]}, %past: tensor<?x2x?x16xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<p>, #tfm.dim<16>]}) -> tensor<?x?x32xf32> {
  %a = tfm.get_weight @a : tensor<32x32xf32>
  %q = tfm.linear %x, %a : (tensor<?x?x32xf32>, tensor<32x32xf32>) -> tensor<?x?x32xf32>
  %0 = tfm.attention %q, %past, %past {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.25 : f32} : (tensor<?x?x32xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32>) -> tensor<?x?x32xf32>
  %1 = tfm.linear %0, %a : (tensor<?x?x32xf32>, tensor<32x32xf32>) -> tensor<?x?x32xf32>
  return %1 : tensor<?x?x32xf32>
}

// Both halves of a gated layer are rounded before their product, which the epilogue of one of them computes and rounds.
// CHECK-LABEL: @gated
// CHECK: tfm.linear {{.*}} activation silu {{.*}} -> tensor<?x32xbf16>
// CHECK: tfm.linear {{.*}} -> tensor<?x32xbf16>
// CHECK: %[[P:.*]] = tfm.binary mul
// CHECK: tfm.cast %[[P]] : (tensor<?x32xf32>) -> tensor<?x32xbf16>
func.func @gated(%x: tensor<?x32xf32> {tfm.dims = [#tfm.dim<s>, #tfm.dim<32>]}) -> tensor<?x32xf32> {
  %a = tfm.get_weight @a : tensor<32x32xf32>
  %b = tfm.get_weight @b : tensor<32x32xf32>
  %c = tfm.get_weight @c : tensor<32x32xf32>
  %g = tfm.linear %x, %a activation silu : (tensor<?x32xf32>, tensor<32x32xf32>) -> tensor<?x32xf32>
  %u = tfm.linear %x, %b : (tensor<?x32xf32>, tensor<32x32xf32>) -> tensor<?x32xf32>
  %p = tfm.binary mul %g, %u : (tensor<?x32xf32>, tensor<?x32xf32>) -> tensor<?x32xf32>
  %d = tfm.linear %p, %c : (tensor<?x32xf32>, tensor<32x32xf32>) -> tensor<?x32xf32>
  return %d : tensor<?x32xf32>
}

// A tied embedding is gathered from the layer's weight.
// CHECK-LABEL: @tied
// CHECK: %[[W:.*]] = tfm.get_weight @table_cast : tensor<32x40xbf16>
// CHECK: tfm.gather %[[W]], {{.*}} : (tensor<32x40xbf16>, tensor<?xi64>) -> tensor<32x?xbf16>
// CHECK: tfm.linear {{.*}}, %[[W]] : (tensor<?x32xbf16>, tensor<32x40xbf16>) -> tensor<?x40xf32>
func.func @tied(%ids: tensor<?xi64> {tfm.dims = [#tfm.dim<s>], tfm.test_range = [0, 40]}) -> tensor<?x40xf32> {
  %w = tfm.get_weight @table : tensor<32x40xf32>
  %0 = tfm.gather %w, %ids {axis = 1 : i64} : (tensor<32x40xf32>, tensor<?xi64>) -> tensor<32x?xf32>
  %1 = tfm.transpose %0 [1, 0] : (tensor<32x?xf32>) -> tensor<?x32xf32>
  %2 = tfm.linear %1, %w : (tensor<?x32xf32>, tensor<32x40xf32>) -> tensor<?x40xf32>
  return %2 : tensor<?x40xf32>
}

// A result of the model stays what f32 gives, also where something else reads it rounded.
// CHECK-LABEL: @moved_result
// CHECK: %[[L:.*]] = tfm.linear {{.*}} -> tensor<?x32xf32>
// CHECK: %[[M:.*]] = tfm.reshape %[[L]] {{.*}} : (tensor<?x32xf32>) -> tensor<?x4x8xf32>
// CHECK: tfm.binary mul %[[L]]
// CHECK: return %[[M]]
func.func @moved_result(%x: tensor<?x32xf32> {tfm.dims = [#tfm.dim<s>, #tfm.dim<32>]}, %g: tensor<?x32xf32> {tfm.dims = [#tfm.dim<s>, #tfm.dim<32>]}) -> (tensor<?x4x8xf32>, tensor<?x32xf32>) {
  %a = tfm.get_weight @a : tensor<32x32xf32>
  %0 = tfm.linear %x, %a : (tensor<?x32xf32>, tensor<32x32xf32>) -> tensor<?x32xf32>
  %1 = tfm.reshape %0 dims [#tfm.dim<s>, #tfm.dim<4>, #tfm.dim<8>] : (tensor<?x32xf32>) -> tensor<?x4x8xf32>
  %2 = tfm.binary mul %0, %g : (tensor<?x32xf32>, tensor<?x32xf32>) -> tensor<?x32xf32>
  %3 = tfm.linear %2, %a : (tensor<?x32xf32>, tensor<32x32xf32>) -> tensor<?x32xf32>
  return %1, %3 : tensor<?x4x8xf32>, tensor<?x32xf32>
}

// Layers in front of a router keep their operands, and say up to their kernel that they may be split; nothing else does.
// RUN: permalloy-opt %s --plan-precision --precision-pipeline --kern-pipeline | FileCheck %s --check-prefix=SPLIT
// SPLIT-COUNT-1: tfm.linear {{.*}} {tfm.precision = "bf16x3"} : (tensor<?x32xf32>, tensor<32x32xf32{{.*}}) -> tensor<?x32xf32>
// SPLIT-NOT: tfm.precision
tfm.weight @router : tensor<32x4xf32> = #tfm.seeded<6, 1.0>
tfm.weight @up : tensor<4x32x32xf32> = #tfm.seeded<7, 0.2>
tfm.weight @down : tensor<4x32x32xf32> = #tfm.seeded<8, 0.2>
func.func @before_router(%x: tensor<?x32xf32> {tfm.dims = [#tfm.dim<t>, #tfm.dim<32>]}) -> tensor<?x32xf32> {
  %w = tfm.get_weight @a : tensor<32x32xf32>
  %r = tfm.get_weight @router : tensor<32x4xf32>
  %u = tfm.get_weight @up : tensor<4x32x32xf32>
  %d = tfm.get_weight @down : tensor<4x32x32xf32>
  %h = tfm.linear %x, %w : (tensor<?x32xf32>, tensor<32x32xf32>) -> tensor<?x32xf32>
  %l = tfm.linear %h, %r : (tensor<?x32xf32>, tensor<32x4xf32>) -> tensor<?x4xf32>
  %m = tfm.moe %h, %l, %u, %d activation silu {top_k = 2 : i64} : (tensor<?x32xf32>, tensor<?x4xf32>, tensor<4x32x32xf32>, tensor<4x32x32xf32>) -> tensor<?x32xf32>
  return %m : tensor<?x32xf32>
}
