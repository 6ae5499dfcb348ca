// RUN: permalloy-opt %s --print-ptx=target=sm_80 -o /dev/null | FileCheck %s
// RUN: permalloy-opt %s --print-ptx=target=sm_90a -o /dev/null | FileCheck %s
// RUN: permalloy-opt %s --select-schedules=target=sm_80 | FileCheck %s --check-prefix=SCHEDULE

// A layer of f32 that may be rounded: tensors and panels are f32, and registers round.
// CHECK: .visible .entry may_round_0(
// CHECK-DAG: cp.async.cg.shared.global
// CHECK-DAG: ldmatrix.sync.aligned.m8n8.x4.shared.b16
// CHECK-DAG: ld.shared.v4.b32
// CHECK-DAG: cvt.rna.tf32.f32
// CHECK-DAG: mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32
// CHECK-DAG: st.global.v4.b32
// SCHEDULE: kern.kernel @may_round_0 {{.*}}form = "tensor"
kern.kernel @may_round_0 contraction attributes {symbols = ["d0"], arg_dims = [[#tfm.dim<d0>, #tfm.dim<768>], [#tfm.dim<768>, #tfm.dim<768>]]} {
^bb0(%x: tensor<?x768xf32>, %w: tensor<768x768xf32, #tfm.panels>):
  %0 = tfm.linear %x, %w {tfm.precision = "tf32"} : (tensor<?x768xf32>, tensor<768x768xf32, #tfm.panels>) -> tensor<?x768xf32>
  kern.yield %0 : tensor<?x768xf32>
}

// The same layer without permission, and one whose rows are no whole 16 bytes.
// CHECK: .visible .entry strict_1(
// CHECK-NOT: mma.sync
// CHECK-NOT: cvt.rna
// CHECK: .visible .entry uneven_2(
// CHECK-NOT: mma.sync
// SCHEDULE: kern.kernel @strict_1 {{.*}}form = "fma"
// SCHEDULE: kern.kernel @uneven_2 {{.*}}form = "fma"
kern.kernel @strict_1 contraction attributes {symbols = ["d0"], arg_dims = [[#tfm.dim<d0>, #tfm.dim<768>], [#tfm.dim<768>, #tfm.dim<768>]]} {
^bb0(%x: tensor<?x768xf32>, %w: tensor<768x768xf32, #tfm.panels>):
  %0 = tfm.linear %x, %w : (tensor<?x768xf32>, tensor<768x768xf32, #tfm.panels>) -> tensor<?x768xf32>
  kern.yield %0 : tensor<?x768xf32>
}
kern.kernel @uneven_2 contraction attributes {symbols = ["d0"], arg_dims = [[#tfm.dim<d0>, #tfm.dim<42>], [#tfm.dim<42>, #tfm.dim<768>]]} {
^bb0(%x: tensor<?x42xf32>, %w: tensor<42x768xf32, #tfm.panels>):
  %0 = tfm.linear %x, %w {tfm.precision = "tf32"} : (tensor<?x42xf32>, tensor<42x768xf32, #tfm.panels>) -> tensor<?x768xf32>
  kern.yield %0 : tensor<?x768xf32>
}
