// RUN: permalloy-opt %s --print-ptx=target=sm_80 -o /dev/null | FileCheck %s
// RUN: permalloy-opt %s --print-ptx=target=sm_90a -o /dev/null | FileCheck %s --check-prefix=HOPPER
// RUN: permalloy-opt %s --select-schedules=target=sm_80 | FileCheck %s --check-prefix=SCHEDULE
// RUN: not permalloy-opt %s --print-ptx=target=sm_70 2>&1 | FileCheck %s --check-prefix=UNKNOWN

// UNKNOWN: unknown GPU target 'sm_70'; supported are sm_80, sm_89, sm_90a, sm_100

// One thread per element: neighbours in a warp are neighbours in memory. The parameters are two buffers, a size and scratch.
// CHECK: .target sm_80
// CHECK: .visible .entry relu_0(
// CHECK-COUNT-2: .param .u64 .ptr
// CHECK: .maxntid 256
// CHECK: ld.global
// CHECK: st.global
// HOPPER: .target sm_90a
// SCHEDULE: kern.kernel @relu_0 {{.*}}schedule = {form = "elements"}{{.*}}tiles = #tfm.dim<d0 * 64>
kern.kernel @relu_0 row attributes {symbols = ["d0"], arg_dims = [[#tfm.dim<d0>, #tfm.dim<64>]]} {
^bb0(%x: tensor<?x64xf32>):
  %0 = tfm.unary relu %x : (tensor<?x64xf32>) -> tensor<?x64xf32>
  kern.yield %0 : tensor<?x64xf32>
}

// One thread per row, whose statistics stand in scratch of its own.
// CHECK: .visible .entry softmax_1(
// CHECK: .maxntid 64
// SCHEDULE: kern.kernel @softmax_1 {{.*}}form = "rows"{{.*}}scratch_bytes = #tfm.dim<128>{{.*}}tiles = #tfm.dim<d0>
kern.kernel @softmax_1 row attributes {symbols = ["d0"], arg_dims = [[#tfm.dim<d0>, #tfm.dim<64>]]} {
^bb0(%x: tensor<?x64xf32>):
  %0 = tfm.softmax %x {axis = 1 : i64} : (tensor<?x64xf32>) -> tensor<?x64xf32>
  kern.yield %0 : tensor<?x64xf32>
}
