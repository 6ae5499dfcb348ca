// RUN: permalloy-opt %s --plan-precision=precision=tf32 | FileCheck %s
// RUN: permalloy-opt %s --plan-precision=precision=tf32 --plan-precision=precision=tf32 | FileCheck %s
// RUN: permalloy-opt %s --plan-precision=precision=tf32 --precision-pipeline | FileCheck %s --check-prefix=APPLY
// RUN: permalloy-opt %s --check-equivalent="pipeline=plan-precision{precision=tf32},precision-pipeline idempotent rtol=0 atol=0" -o /dev/null
// RUN: permalloy-opt %s --plan-precision=precision=tf32 --precision-pipeline --kern-pipeline | FileCheck %s --check-prefix=KERN
// RUN: permalloy-opt %s --kern-pipeline | FileCheck %s --check-prefix=STRICT
// RUN: echo '{"plan": [{"op": "first", "kind": "linear", "level": "tf32"}]}' > %t.json
// RUN: permalloy-opt %s --plan-precision=plan=%t.json | FileCheck %s --check-prefix=PLAN
// RUN: permalloy-opt %s --plan-precision=plan=%t.json --precision-pipeline --kern-pipeline | FileCheck %s --check-prefix=APART
// RUN: echo '{"plan": [{"op": "experts", "kind": "moe", "level": "tf32"}]}' > %t.json
// RUN: not permalloy-opt %s --plan-precision=plan=%t.json 2>&1 | FileCheck %s --check-prefix=EXPERTS
// RUN: echo '{"plan": [{"op": "half", "kind": "linear", "level": "tf32"}]}' > %t.json
// RUN: not permalloy-opt %s --plan-precision=plan=%t.json 2>&1 | FileCheck %s --check-prefix=HALF
// RUN: echo '{"plan": [{"op": "first", "kind": "linear", "level": "tf32+w8a8"}]}' > %t.json
// RUN: not permalloy-opt %s --plan-precision=plan=%t.json 2>&1 | FileCheck %s --check-prefix=INTEGERS
// RUN: echo '{"plan": [{"op": "first", "kind": "linear", "level": "tf32+w4g24"}]}' > %t.json
// RUN: not permalloy-opt %s --plan-precision=plan=%t.json 2>&1 | FileCheck %s --check-prefix=GROUPS
// RUN: echo '{"plan": [{"op": "short", "kind": "linear", "level": "tf32"}]}' > %t.json
// RUN: not permalloy-opt %s --plan-precision=plan=%t.json 2>&1 | FileCheck %s --check-prefix=SHORT

// A permission: no type changes, and it stays on the operation for code generation. The interpreter computes in f32.

// EXPERTS: the plan wants moe "experts" in tf32, but experts have no kernels of tf32; it accepts bf16 and f32
// HALF: the plan wants linear "half" in tf32, but the model computes it in f16; it accepts f32
// INTEGERS: level 'tf32+w8a8' is unsupported: layers of 'w8a8' multiply in their own way, not in tf32, which is 'w8a8' alone
// GROUPS: level 'tf32+w4g24' is unsupported: layers of 'w4g24' multiply in their own way, not in tf32
// SHORT: the plan wants linear "short" in tf32, but it sums 6 products, no multiple of 4; it accepts bf16 and f32
// STRICT-NOT: tfm.precision

tfm.weight @a : tensor<32x32xf32> = #tfm.seeded<1, 0.2>
tfm.weight @b : tensor<32x32xf32> = #tfm.seeded<2, 0.2>
tfm.weight @router : tensor<32x4xf32> = #tfm.seeded<3, 1.0>
tfm.weight @up : tensor<4x32x32xf32> = #tfm.seeded<4, 0.2>
tfm.weight @short : tensor<6x32xf32> = #tfm.seeded<6, 0.2>
tfm.weight @dense : tensor<48x32xf32> = #tfm.seeded<7, 0.2>
tfm.weight @codes : tensor<48x32x!tfm.q<s4, group 24>> {
  %w = tfm.get_weight @dense : tensor<48x32xf32>
  %q, %s = tfm.quantize_weight %w solver "rtn" : (tensor<48x32xf32>) -> (tensor<48x32x!tfm.q<s4, group 24>>, tensor<2x32xf16>)
  tfm.yield %q : tensor<48x32x!tfm.q<s4, group 24>>
}
tfm.weight @scales : tensor<2x32xf16> {
  %w = tfm.get_weight @dense : tensor<48x32xf32>
  %q, %s = tfm.quantize_weight %w solver "rtn" : (tensor<48x32xf32>) -> (tensor<48x32x!tfm.q<s4, group 24>>, tensor<2x32xf16>)
  tfm.yield %s : tensor<2x32xf16>
}
tfm.weight @down : tensor<4x32x32xf32> = #tfm.seeded<5, 0.2>

// Attention over a cache may be rounded, too. Two layers of one shape share a kernel, unless only one of them may round.
// CHECK-LABEL: @layers
// CHECK-COUNT-2: tfm.linear {{.*}} {tfm.precision = "tf32"} : (tensor<?x?x32xf32>, tensor<32x32xf32>) -> tensor<?x?x32xf32>
// CHECK: tfm.attention {{.*}}tfm.precision = "tf32"} : (tensor<?x?x32xf32>
// APPLY-LABEL: @layers
// APPLY-COUNT-2: tfm.linear {{.*}} {tfm.precision = "tf32"} : (tensor<?x?x32xf32>, tensor<32x32xf32>) -> tensor<?x?x32xf32>
// APPLY: tfm.attention {{.*}}tfm.precision = "tf32"} : (tensor<?x?x32xf32>
// PLAN-LABEL: @layers
// PLAN: tfm.linear {{.*}} {tfm.precision = "tf32"}
// PLAN: tfm.linear {{.*}} {tfm.precision = "f32"}
// PLAN: tfm.attention {{.*}}tfm.precision = "f32"
// KERN-DAG: tfm.linear {{.*}} {tfm.precision = "tf32"} : (tensor<?x?x32xf32>, tensor<32x32xf32, #tfm.panels>) -> tensor<?x?x32xf32>
// KERN-DAG: tfm.attention {{.*}}tfm.precision = "tf32"}
// KERN-LABEL: func.func @layers
// KERN: kern.launch @[[LAYER:linear_[0-9]+]](
// KERN: kern.launch @[[LAYER]](
// APART-LABEL: func.func @layers
// APART: kern.launch @[[LAYER:linear_[0-9]+]](
// APART-NOT: kern.launch @[[LAYER]](
// APART: return
func.func @layers(%x: tensor<?x?x32xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<32>]}, %k: tensor<?x?x32xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<t>, #tfm.dim<32>]}) -> tensor<?x?x32xf32> {
  %a = tfm.get_weight @a : tensor<32x32xf32>
  %b = tfm.get_weight @b : tensor<32x32xf32>
  %0 = tfm.linear %x, %a : (tensor<?x?x32xf32>, tensor<32x32xf32>) -> tensor<?x?x32xf32> loc("first")
  %1 = tfm.linear %0, %b : (tensor<?x?x32xf32>, tensor<32x32xf32>) -> tensor<?x?x32xf32> loc("second")
  %2 = tfm.attention %1, %k, %k {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 1.0 : f32} : (tensor<?x?x32xf32>, tensor<?x?x32xf32>, tensor<?x?x32xf32>) -> tensor<?x?x32xf32> loc("attention")
  return %2 : tensor<?x?x32xf32>
}

// What chooses experts, what that reads, experts, other types and products of two activations stay as they are.
// CHECK-LABEL: @others
// CHECK: tfm.linear {{.*}}tfm.precision = "f32", {{.*}} "a layer that chooses experts reads what it makes, and a rounded near-tie would choose others"
// CHECK: tfm.linear {{.*}}tfm.precision = "f32", {{.*}} "it chooses experts, and a rounded near-tie would choose others"
// CHECK: tfm.moe {{.*}}tfm.precision = "f32", {{.*}} "experts have no kernels of tf32"
// CHECK: tfm.linear {{.*}} {tfm.precision = "tf32"}
// CHECK: tfm.linear {{.*}}tfm.precision = "f32", {{.*}} "the model computes it in f16"
// CHECK: tfm.matmul {{.*}}tfm.precision = "f32", {{.*}} "products of two activations outside of attention run in f32"
// APPLY-LABEL: @others
// APPLY-COUNT-1: tfm.precision
// APPLY-NOT: tfm.precision
func.func @others(%x: tensor<?x32xf32> {tfm.dims = [#tfm.dim<t>, #tfm.dim<32>]}, %h: tensor<2x32xf16>, %g: tensor<32x3xf16>) -> (tensor<?x32xf32>, tensor<2x3xf16>, tensor<?x?xf32>) {
  %a = tfm.get_weight @a : tensor<32x32xf32>
  %r = tfm.get_weight @router : tensor<32x4xf32>
  %u = tfm.get_weight @up : tensor<4x32x32xf32>
  %d = tfm.get_weight @down : tensor<4x32x32xf32>
  %0 = tfm.linear %x, %a : (tensor<?x32xf32>, tensor<32x32xf32>) -> tensor<?x32xf32> loc("before")
  %l = tfm.linear %0, %r : (tensor<?x32xf32>, tensor<32x4xf32>) -> tensor<?x4xf32> loc("router")
  %1 = tfm.moe %0, %l, %u, %d activation silu {top_k = 2 : i64} : (tensor<?x32xf32>, tensor<?x4xf32>, tensor<4x32x32xf32>, tensor<4x32x32xf32>) -> tensor<?x32xf32> loc("experts")
  %2 = tfm.linear %1, %a : (tensor<?x32xf32>, tensor<32x32xf32>) -> tensor<?x32xf32> loc("behind")
  %3 = tfm.linear %h, %g : (tensor<2x32xf16>, tensor<32x3xf16>) -> tensor<2x3xf16> loc("half")
  %4 = tfm.matmul %1, %2 {transpose_b} : (tensor<?x32xf32>, tensor<?x32xf32>) -> tensor<?x?xf32> loc("product")
  return %2, %3, %4 : tensor<?x32xf32>, tensor<2x3xf16>, tensor<?x?xf32>
}

// What tensor cores have no form for: rows that are no whole 16 bytes, groups of codes beside their tiles, heads of other sizes.
// CHECK-LABEL: @unfit
// CHECK: tfm.linear {{.*}}tfm.precision = "f32", {{.*}} "it sums 6 products, no multiple of 4"
// CHECK: tfm.linear {{.*}}tfm.precision = "f32", {{.*}} "its codes have groups of 24, neither 8 nor a multiple of 16"
// CHECK: tfm.attention {{.*}}tfm.precision = "f32", {{.*}} "its heads have 6 elements, no multiple of 4"
// CHECK: tfm.attention {{.*}}tfm.precision = "f32", {{.*}} "its heads have 260 elements, more than 256"
// CHECK: tfm.attention {{.*}}tfm.precision = "tf32"
// APPLY-LABEL: @unfit
// APPLY-COUNT-1: tfm.precision
// APPLY-NOT: tfm.precision
func.func @unfit(%x: tensor<?x6xf32> {tfm.dims = [#tfm.dim<t>, #tfm.dim<6>]}, %c: tensor<?x48xf32> {tfm.dims = [#tfm.dim<t>, #tfm.dim<48>]}, %q: tensor<1x?x12xf32> {tfm.dims = [#tfm.dim<1>, #tfm.dim<t>, #tfm.dim<12>]}, %h: tensor<1x1x?x260xf32> {tfm.dims = [#tfm.dim<1>, #tfm.dim<1>, #tfm.dim<t>, #tfm.dim<260>]}) -> (tensor<?x32xf32>, tensor<?x32xf32>, tensor<1x?x12xf32>, tensor<1x1x?x260xf32>, tensor<1x?x12xf32>) {
  %w = tfm.get_weight @short : tensor<6x32xf32>
  %k = tfm.get_weight @codes : tensor<48x32x!tfm.q<s4, group 24>>
  %s = tfm.get_weight @scales : tensor<2x32xf16>
  %d = tfm.dequantize %k, %s : (tensor<48x32x!tfm.q<s4, group 24>>, tensor<2x32xf16>) -> tensor<48x32xf32>
  %0 = tfm.linear %x, %w : (tensor<?x6xf32>, tensor<6x32xf32>) -> tensor<?x32xf32> loc("short")
  %1 = tfm.linear %c, %d : (tensor<?x48xf32>, tensor<48x32xf32>) -> tensor<?x32xf32> loc("coded")
  %2 = tfm.attention %q, %q, %q {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 1.0 : f32} : (tensor<1x?x12xf32>, tensor<1x?x12xf32>, tensor<1x?x12xf32>) -> tensor<1x?x12xf32> loc("heads of 6")
  %3 = tfm.attention %h, %h, %h {num_heads = 1 : i64, num_kv_heads = 1 : i64, scale = 1.0 : f32} : (tensor<1x1x?x260xf32>, tensor<1x1x?x260xf32>, tensor<1x1x?x260xf32>) -> tensor<1x1x?x260xf32> loc("heads of 260")
  %4 = tfm.attention %q, %q, %q {num_heads = 1 : i64, num_kv_heads = 1 : i64, scale = 1.0 : f32} : (tensor<1x?x12xf32>, tensor<1x?x12xf32>, tensor<1x?x12xf32>) -> tensor<1x?x12xf32> loc("heads of 12")
  return %0, %1, %2, %3, %4 : tensor<?x32xf32>, tensor<?x32xf32>, tensor<1x?x12xf32>, tensor<1x1x?x260xf32>, tensor<1x?x12xf32>
}
