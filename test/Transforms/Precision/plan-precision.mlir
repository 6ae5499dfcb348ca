// RUN: permalloy-opt %s --plan-precision --mlir-print-debuginfo=false | FileCheck %s
// RUN: permalloy-opt %s --plan-precision=precision=f32 | FileCheck %s --check-prefix=F32
// RUN: permalloy-opt %s --plan-precision --plan-precision | FileCheck %s
// RUN: echo '{"plan": [{"op": "second", "kind": "linear", "level": "bf16"}]}' > %t.json
// RUN: permalloy-opt %s --plan-precision=plan=%t.json | FileCheck %s --check-prefix=PLAN
// RUN: echo '{"plan": [{"op": "third", "kind": "linear", "level": "bf16"}]}' > %t.json
// RUN: not permalloy-opt %s --plan-precision=plan=%t.json 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// RUN: echo '{"plan": [{"op": "cached", "kind": "attention", "level": "bf16"}]}' > %t.json
// RUN: not permalloy-opt %s --plan-precision=plan=%t.json 2>&1 | FileCheck %s --check-prefix=CANNOT
// RUN: echo '{"plan": [{"op": "first", "kind": "linear", "level": "int3"}]}' > %t.json
// RUN: not permalloy-opt %s --plan-precision=plan=%t.json 2>&1 | FileCheck %s --check-prefix=VALUE
// RUN: echo 'bf16' > %t.json
// RUN: not permalloy-opt %s --plan-precision=plan=%t.json 2>&1 | FileCheck %s --check-prefix=JSON
// RUN: not permalloy-opt %s --plan-precision=precision=f8 2>&1 | FileCheck %s --check-prefix=MODE

// UNKNOWN: the plan names linear "third", which the model has not; it has linear "first", linear "second", attention "cached" ...
// CANNOT: the plan wants attention "cached" in bf16, but its keys and values stand in a cache of f32; it accepts tf32 and f32
// VALUE: the plan gives "first" the level "int3": level 'int3' is unknown; there are f32, bf16, bf16x3, tf32, {{.*}}; a plan looks like {"plan":
// JSON: the plan is no JSON: {{.*}}; a plan looks like {"plan":
// MODE: precision 'f8' is unknown; there are f32, bf16 and tf32

tfm.weight @w : tensor<32x32xf32> = #tfm.seeded<1, 1.0>
tfm.weight @router : tensor<32x4xf32> = #tfm.seeded<2, 1.0>
tfm.weight @up : tensor<4x32x32xf32> = #tfm.seeded<3, 1.0>
tfm.weight @down : tensor<4x32x32xf32> = #tfm.seeded<4, 1.0>

// CHECK-LABEL: @layers
// CHECK: tfm.linear {{.*}} {tfm.precision = "bf16"}
// CHECK: tfm.linear {{.*}} {tfm.precision = "bf16"}
// CHECK: tfm.attention {{.*}}tfm.precision = "f32", tfm.precision_reason = "its keys and values stand in a cache of f32"
// F32-LABEL: @layers
// F32-COUNT-2: tfm.linear {{.*}} {tfm.precision = "f32"}
// PLAN-LABEL: @layers
// PLAN: tfm.linear {{.*}} {tfm.precision = "f32"}
// PLAN: tfm.linear {{.*}} {tfm.precision = "bf16"}
func.func @layers(%x: tensor<?x?x32xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<32>]}, %k: tensor<?x?x32xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<t>, #tfm.dim<32>]}) -> tensor<?x?x32xf32> {
  %w = tfm.get_weight @w : tensor<32x32xf32>
  %0 = tfm.linear %x, %w : (tensor<?x?x32xf32>, tensor<32x32xf32>) -> tensor<?x?x32xf32> loc("first")
  %1 = tfm.linear %0, %w : (tensor<?x?x32xf32>, tensor<32x32xf32>) -> tensor<?x?x32xf32> loc("second")
  %2 = tfm.attention %1, %k, %k {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 1.0 : f32} : (tensor<?x?x32xf32>, tensor<?x?x32xf32>, tensor<?x?x32xf32>) -> tensor<?x?x32xf32> loc("cached")
  return %2 : tensor<?x?x32xf32>
}

// The router keeps f32. A weight that is computed cannot be stored in bf16; a model of f16 stays what it is.
// CHECK-LABEL: @experts
// CHECK: tfm.linear {{.*}} "it chooses experts, and a rounded near-tie would choose others"
// CHECK: tfm.moe {{.*}}tfm.precision = "bf16"
// CHECK: tfm.linear {{.*}} "its weight is no stored tensor of over 1 KB"
// CHECK: tfm.linear {{.*}} "the model computes it in f16"
// CHECK: tfm.matmul {{.*}} "products of two activations outside of attention run in f32"
func.func @experts(%x: tensor<?x32xf32> {tfm.dims = [#tfm.dim<t>, #tfm.dim<32>]}, %v: tensor<32x32xf32>, %h: tensor<2x32xf16>, %g: tensor<32x3xf16>) -> (tensor<?x32xf32>, tensor<?x32xf32>, tensor<2x3xf16>, tensor<?x?xf32>) {
  %r = tfm.get_weight @router : tensor<32x4xf32>
  %u = tfm.get_weight @up : tensor<4x32x32xf32>
  %d = tfm.get_weight @down : tensor<4x32x32xf32>
  %l = tfm.linear %x, %r : (tensor<?x32xf32>, tensor<32x4xf32>) -> tensor<?x4xf32> loc("router")
  %0 = tfm.moe %x, %l, %u, %d activation silu {top_k = 2 : i64} : (tensor<?x32xf32>, tensor<?x4xf32>, tensor<4x32x32xf32>, tensor<4x32x32xf32>) -> tensor<?x32xf32> loc("moe")
  %1 = tfm.linear %x, %v : (tensor<?x32xf32>, tensor<32x32xf32>) -> tensor<?x32xf32> loc("computed")
  %2 = tfm.linear %h, %g : (tensor<2x32xf16>, tensor<32x3xf16>) -> tensor<2x3xf16> loc("half")
  %3 = tfm.matmul %0, %1 {transpose_b} : (tensor<?x32xf32>, tensor<?x32xf32>) -> tensor<?x?xf32> loc("product")
  return %0, %1, %2, %3 : tensor<?x32xf32>, tensor<?x32xf32>, tensor<2x3xf16>, tensor<?x?xf32>
}

// So does the router of experts that were not raised; a layer whose largest results are returned is none.
// CHECK-LABEL: @top_k
// CHECK: tfm.linear {{.*}} "it chooses experts, and a rounded near-tie would choose others"
// CHECK: tfm.linear {{.*}} {tfm.precision = "bf16"}
func.func @top_k(%x: tensor<?x32xf32> {tfm.dims = [#tfm.dim<t>, #tfm.dim<32>]}) -> (tensor<?x2xi1>, tensor<?x2xi64>) {
  %r = tfm.get_weight @router : tensor<32x4xf32>
  %w = tfm.get_weight @w : tensor<32x32xf32>
  %one = tfm.constant dense<1> : tensor<i64>
  %0 = tfm.linear %x, %r : (tensor<?x32xf32>, tensor<32x4xf32>) -> tensor<?x4xf32> loc("loose_router")
  %1 = tfm.softmax %0 {axis = 1 : i64} : (tensor<?x4xf32>) -> tensor<?x4xf32>
  %2 = tfm.top_k %1 k #tfm.dim<2> {axis = 1 : i64} : (tensor<?x4xf32>) -> tensor<?x2xi64>
  %3 = tfm.compare eq %2, %one : (tensor<?x2xi64>, tensor<i64>) -> tensor<?x2xi1>
  %4 = tfm.linear %x, %w : (tensor<?x32xf32>, tensor<32x32xf32>) -> tensor<?x32xf32> loc("head")
  %5 = tfm.top_k %4 k #tfm.dim<2> {axis = 1 : i64} : (tensor<?x32xf32>) -> tensor<?x2xi64>
  return %3, %5 : tensor<?x2xi1>, tensor<?x2xi64>
}

// What a router reads keeps f32, through attention and a residual, too; experts do not, nor what stands behind the last router. A
// plan may say otherwise.
// RUN: echo '{"plan": [{"op": "before", "kind": "linear", "level": "bf16"}, {"op": "choice", "kind": "linear", "level": "bf16"}]}' > %t.json
// RUN: permalloy-opt %s --plan-precision=plan=%t.json | FileCheck %s --check-prefix=OVERRIDE
// RUN: echo '{"plan": [{"op": "chosen", "kind": "moe", "level": "bf16x3"}]}' > %t.json
// RUN: not permalloy-opt %s --plan-precision=plan=%t.json 2>&1 | FileCheck %s --check-prefix=SPLIT
// SPLIT: the plan wants moe "chosen" in bf16x3, but that is for linear layers; it accepts bf16 and f32
// CHECK-LABEL: @before_router
// CHECK: tfm.linear {{.*}}tfm.precision = "bf16x3", {{.*}} "a layer that chooses experts reads what it makes, and a rounded near-tie would choose others"
// CHECK: tfm.attention {{.*}}tfm.precision = "f32", {{.*}} "a layer that chooses experts reads what it makes, and a rounded near-tie would choose others"
// CHECK: tfm.linear {{.*}} "it chooses experts, and a rounded near-tie would choose others"
// CHECK: tfm.moe {{.*}}tfm.precision = "bf16"
// CHECK: tfm.linear {{.*}} {tfm.precision = "bf16"}
// OVERRIDE-LABEL: @before_router
// OVERRIDE: tfm.linear {{.*}} {tfm.precision = "bf16"}
// OVERRIDE: tfm.attention {{.*}}tfm.precision = "f32"
// OVERRIDE: tfm.linear {{.*}} {tfm.precision = "bf16"}
func.func @before_router(%x: tensor<?x32xf32> {tfm.dims = [#tfm.dim<t>, #tfm.dim<32>]}) -> tensor<?x32xf32> {
  %w = tfm.get_weight @w : tensor<32x32xf32>
  %r = tfm.get_weight @router : tensor<32x4xf32>
  %u = tfm.get_weight @up : tensor<4x32x32xf32>
  %d = tfm.get_weight @down : tensor<4x32x32xf32>
  %q = tfm.linear %x, %w : (tensor<?x32xf32>, tensor<32x32xf32>) -> tensor<?x32xf32> loc("before")
  %s = tfm.reshape %q dims [#tfm.dim<1>, #tfm.dim<t>, #tfm.dim<32>] : (tensor<?x32xf32>) -> tensor<1x?x32xf32>
  %a = tfm.attention %s, %s, %s {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 1.0 : f32} : (tensor<1x?x32xf32>, tensor<1x?x32xf32>, tensor<1x?x32xf32>) -> tensor<1x?x32xf32> loc("attended")
  %f = tfm.reshape %a dims [#tfm.dim<t>, #tfm.dim<32>] : (tensor<1x?x32xf32>) -> tensor<?x32xf32>
  %h = tfm.binary add %f, %x : (tensor<?x32xf32>, tensor<?x32xf32>) -> tensor<?x32xf32>
  %l = tfm.linear %h, %r : (tensor<?x32xf32>, tensor<32x4xf32>) -> tensor<?x4xf32> loc("choice")
  %m = tfm.moe %h, %l, %u, %d activation silu {top_k = 2 : i64} : (tensor<?x32xf32>, tensor<?x4xf32>, tensor<4x32x32xf32>, tensor<4x32x32xf32>) -> tensor<?x32xf32> loc("chosen")
  %o = tfm.linear %m, %w : (tensor<?x32xf32>, tensor<32x32xf32>) -> tensor<?x32xf32> loc("behind")
  return %o : tensor<?x32xf32>
}

// A mixture that was not raised has layers in front as well: what its top_k and the router of it depend on.
// CHECK-LABEL: @before_top_k
// CHECK: tfm.linear {{.*}}tfm.precision = "bf16x3", {{.*}} "a layer that chooses experts reads what it makes, and a rounded near-tie would choose others"
// CHECK: tfm.linear {{.*}}tfm.precision = "f32", {{.*}} "it chooses experts, and a rounded near-tie would choose others"
// CHECK: tfm.linear {{.*}} {tfm.precision = "bf16"}
// CHECK: tfm.linear {{.*}} {tfm.precision = "bf16"}
func.func @before_top_k(%x: tensor<?x32xf32> {tfm.dims = [#tfm.dim<t>, #tfm.dim<32>]}) -> (tensor<?x32xf32>, tensor<?x2xi64>) {
  %w = tfm.get_weight @w : tensor<32x32xf32>
  %r = tfm.get_weight @router : tensor<32x4xf32>
  %one = tfm.constant dense<1> : tensor<i64>
  %h = tfm.linear %x, %w : (tensor<?x32xf32>, tensor<32x32xf32>) -> tensor<?x32xf32> loc("before_loose")
  %l = tfm.linear %h, %r : (tensor<?x32xf32>, tensor<32x4xf32>) -> tensor<?x4xf32> loc("loose_choice")
  %s = tfm.softmax %l {axis = 1 : i64} : (tensor<?x4xf32>) -> tensor<?x4xf32>
  %k = tfm.top_k %s k #tfm.dim<1> {axis = 1 : i64} : (tensor<?x4xf32>) -> tensor<?x1xi64>
  %e = tfm.compare eq %k, %one : (tensor<?x1xi64>, tensor<i64>) -> tensor<?x1xi1>
  %o = tfm.linear %h, %w : (tensor<?x32xf32>, tensor<32x32xf32>) -> tensor<?x32xf32> loc("loose_expert")
  %c = tfm.select %e, %o, %h : (tensor<?x1xi1>, tensor<?x32xf32>, tensor<?x32xf32>) -> tensor<?x32xf32>
  %t = tfm.linear %c, %w : (tensor<?x32xf32>, tensor<32x32xf32>) -> tensor<?x32xf32> loc("tokens")
  %p = tfm.top_k %t k #tfm.dim<2> {axis = 1 : i64} : (tensor<?x32xf32>) -> tensor<?x2xi64>
  return %c, %p : tensor<?x32xf32>, tensor<?x2xi64>
}

// What goes into a loop is read by a router in its body, and so is what goes around; what comes out is not. In front of them a
// branch.
// CHECK-LABEL: @turn
// CHECK: tfm.linear {{.*}} "it chooses experts, and a rounded near-tie would choose others"
// CHECK: tfm.moe {{.*}}tfm.precision = "bf16"
// CHECK: tfm.linear {{.*}}tfm.precision = "bf16x3"
// CHECK: tfm.linear {{.*}} {tfm.precision = "bf16"}
func.func private @turn(%i: tensor<4x32xf32>, %x: tensor<4x32xf32>, %y: tensor<4x32xf32>) -> (tensor<i1>, tensor<4x32xf32>, tensor<4x32xf32>) {
  %w = tfm.get_weight @w : tensor<32x32xf32>
  %r = tfm.get_weight @router : tensor<32x4xf32>
  %u = tfm.get_weight @up : tensor<4x32x32xf32>
  %d = tfm.get_weight @down : tensor<4x32x32xf32>
  %no = tfm.constant dense<false> : tensor<i1>
  %h = tfm.binary add %x, %y : (tensor<4x32xf32>, tensor<4x32xf32>) -> tensor<4x32xf32>
  %l = tfm.linear %h, %r : (tensor<4x32xf32>, tensor<32x4xf32>) -> tensor<4x4xf32> loc("turn_choice")
  %m = tfm.moe %h, %l, %u, %d activation silu {top_k = 2 : i64} : (tensor<4x32xf32>, tensor<4x4xf32>, tensor<4x32x32xf32>, tensor<4x32x32xf32>) -> tensor<4x32xf32> loc("turn_experts")
  %a = tfm.linear %m, %w : (tensor<4x32xf32>, tensor<32x32xf32>) -> tensor<4x32xf32> loc("around")
  %o = tfm.linear %m, %w : (tensor<4x32xf32>, tensor<32x32xf32>) -> tensor<4x32xf32> loc("aside")
  return %no, %o, %a : tensor<i1>, tensor<4x32xf32>, tensor<4x32xf32>
}
// CHECK-LABEL: @yes
// CHECK: tfm.linear {{.*}}tfm.precision = "bf16x3"
func.func private @yes(%x: tensor<4x32xf32>) -> tensor<4x32xf32> {
  %w = tfm.get_weight @w : tensor<32x32xf32>
  %0 = tfm.linear %x, %w : (tensor<4x32xf32>, tensor<32x32xf32>) -> tensor<4x32xf32> loc("in_branch")
  return %0 : tensor<4x32xf32>
}
func.func private @no(%x: tensor<4x32xf32>) -> tensor<4x32xf32> {
  return %x : tensor<4x32xf32>
}
// CHECK-LABEL: @control
// CHECK: tfm.linear {{.*}}tfm.precision = "bf16x3"
// CHECK: tfm.linear {{.*}}tfm.precision = "bf16x3"
// CHECK: tfm.linear {{.*}} {tfm.precision = "bf16"}
// CHECK: tfm.linear {{.*}} {tfm.precision = "bf16"}
func.func @control(%c: tensor<i1>, %x: tensor<4x32xf32>) -> tensor<4x32xf32> {
  %w = tfm.get_weight @w : tensor<32x32xf32>
  %0 = tfm.linear %x, %w : (tensor<4x32xf32>, tensor<32x32xf32>) -> tensor<4x32xf32> loc("into_branch")
  %1 = tfm.linear %x, %w : (tensor<4x32xf32>, tensor<32x32xf32>) -> tensor<4x32xf32> loc("captured")
  %2 = tfm.linear %x, %w : (tensor<4x32xf32>, tensor<32x32xf32>) -> tensor<4x32xf32> loc("carried_unread")
  %3 = tfm.if %c then @yes else @no captures(%0) dims [[#tfm.dim<4>, #tfm.dim<32>]] : (tensor<i1>, tensor<4x32xf32>) -> tensor<4x32xf32>
  %4:2 = tfm.while %c do @turn carried(%2, %3) captures(%1) dims [[#tfm.dim<4>, #tfm.dim<32>], [#tfm.dim<4>, #tfm.dim<32>]] : (tensor<i1>, tensor<4x32xf32>, tensor<4x32xf32>, tensor<4x32xf32>) -> (tensor<4x32xf32>, tensor<4x32xf32>)
  %5 = tfm.linear %4#1, %w : (tensor<4x32xf32>, tensor<32x32xf32>) -> tensor<4x32xf32> loc("out")
  return %5 : tensor<4x32xf32>
}

// One node may have made a router and a layer in front of a later one: what rules out more counts.
// CHECK-LABEL: @one_name
// CHECK: tfm.linear {{.*}}tfm.precision = "f32", {{.*}} "it chooses experts, and a rounded near-tie would choose others"
// CHECK: tfm.linear {{.*}}tfm.precision = "f32", {{.*}} "it chooses experts, and a rounded near-tie would choose others"
func.func @one_name(%x: tensor<?x32xf32> {tfm.dims = [#tfm.dim<t>, #tfm.dim<32>]}) -> tensor<?x32xf32> {
  %w = tfm.get_weight @w : tensor<32x32xf32>
  %r = tfm.get_weight @router : tensor<32x4xf32>
  %u = tfm.get_weight @up : tensor<4x32x32xf32>
  %d = tfm.get_weight @down : tensor<4x32x32xf32>
  %l = tfm.linear %x, %r : (tensor<?x32xf32>, tensor<32x4xf32>) -> tensor<?x4xf32> loc("shared")
  %m = tfm.moe %x, %l, %u, %d activation silu {top_k = 2 : i64} : (tensor<?x32xf32>, tensor<?x4xf32>, tensor<4x32x32xf32>, tensor<4x32x32xf32>) -> tensor<?x32xf32> loc("early")
  %h = tfm.linear %m, %w : (tensor<?x32xf32>, tensor<32x32xf32>) -> tensor<?x32xf32> loc("shared")
  %k = tfm.linear %h, %r : (tensor<?x32xf32>, tensor<32x4xf32>) -> tensor<?x4xf32> loc("late_choice")
  %o = tfm.moe %h, %k, %u, %d activation silu {top_k = 2 : i64} : (tensor<?x32xf32>, tensor<?x4xf32>, tensor<4x32x32xf32>, tensor<4x32x32xf32>) -> tensor<?x32xf32> loc("late")
  return %o : tensor<?x32xf32>
}

// Tiles take 32 elements of K at once: a layer in front of a router with another K is f32, and no plan splits it.
// RUN: echo '{"plan": [{"op": "deep", "kind": "linear", "level": "bf16x3"}]}' > %t.json
// RUN: not permalloy-opt %s --plan-precision=plan=%t.json 2>&1 | FileCheck %s --check-prefix=DEEP
// DEEP: the plan wants linear "deep" in bf16x3, but it sums 40 products, no multiple of 32; it accepts bf16, tf32 and f32
// CHECK-LABEL: @odd_depth
// CHECK: tfm.linear {{.*}}tfm.precision = "f32", {{.*}} "a layer that chooses experts reads what it makes, and a rounded near-tie would choose others"
tfm.weight @deep : tensor<40x32xf32> = #tfm.seeded<5, 1.0>
func.func @odd_depth(%x: tensor<?x40xf32> {tfm.dims = [#tfm.dim<t>, #tfm.dim<40>]}) -> tensor<?x32xf32> {
  %w = tfm.get_weight @deep : tensor<40x32xf32>
  %r = tfm.get_weight @router : tensor<32x4xf32>
  %u = tfm.get_weight @up : tensor<4x32x32xf32>
  %d = tfm.get_weight @down : tensor<4x32x32xf32>
  %h = tfm.linear %x, %w : (tensor<?x40xf32>, tensor<40x32xf32>) -> tensor<?x32xf32> loc("deep")
  %l = tfm.linear %h, %r : (tensor<?x32xf32>, tensor<32x4xf32>) -> tensor<?x4xf32> loc("deep_choice")
  %m = tfm.moe %h, %l, %u, %d activation silu {top_k = 2 : i64} : (tensor<?x32xf32>, tensor<?x4xf32>, tensor<4x32x32xf32>, tensor<4x32x32xf32>) -> tensor<?x32xf32> loc("deep_experts")
  return %m : tensor<?x32xf32>
}
