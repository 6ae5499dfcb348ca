// RUN: permalloy-opt %s --print-ptx=target=sm_80 -o /dev/null | FileCheck %s
// RUN: permalloy-opt %s --print-ptx=target=sm_90a -o /dev/null | FileCheck %s --check-prefix=HOPPER
// RUN: permalloy-opt %s --select-schedules=target=sm_80 | FileCheck %s --check-prefix=SCHEDULE
// RUN: not permalloy-opt %s --print-ptx=target=sm_70 2>&1 | FileCheck %s --check-prefix=UNKNOWN

// UNKNOWN: unknown GPU target 'sm_70'; supported are sm_80, sm_89, sm_90a, sm_100

// Four elements a thread: neighbours in a warp are neighbours in memory. The parameters are two buffers, a size and scratch.
// CHECK: .target sm_80
// CHECK: .visible .entry relu_0(
// CHECK-COUNT-2: .param .u64 .ptr .align 16
// CHECK: .maxntid 256
// CHECK: ld.global.v4
// CHECK: st.global.v4
// HOPPER: .target sm_90a
// SCHEDULE: kern.kernel @relu_0 {{.*}}schedule = {elements = 4 : i64, form = "vector", threads = 256 : i64}{{.*}}tiles = #tfm.dim<
kern.kernel @relu_0 row attributes {symbols = ["d0"], arg_dims = [[#tfm.dim<d0>, #tfm.dim<64>]]} {
^bb0(%x: tensor<?x64xf32>):
  %0 = tfm.unary relu %x : (tensor<?x64xf32>) -> tensor<?x64xf32>
  kern.yield %0 : tensor<?x64xf32>
}

// 16 threads a row.
// CHECK: .visible .entry softmax_1(
// CHECK: .maxntid 128
// CHECK: ld.global.v4
// CHECK-COUNT-8: shfl.sync.bfly
// CHECK: st.global.v4
// SCHEDULE: kern.kernel @softmax_1 {{.*}}schedule = {elements = 4 : i64, form = "row", rows_per_block = 8 : i64, threads_per_row = 16 : i64}, scratch_bytes = #tfm.dim<0>, {{.*}}tiles = #tfm.dim<(d0 + 7) floordiv 8>
kern.kernel @softmax_1 row attributes {symbols = ["d0"], arg_dims = [[#tfm.dim<d0>, #tfm.dim<64>]]} {
^bb0(%x: tensor<?x64xf32>):
  %0 = tfm.softmax %x {axis = 1 : i64} : (tensor<?x64xf32>) -> tensor<?x64xf32>
  kern.yield %0 : tensor<?x64xf32>
}

// The mean of tokens: 32 neighbours and 8 depths a block.
// CHECK: .visible .entry mean_2(
// CHECK: bar.sync
// SCHEDULE: kern.kernel @mean_2 {{.*}}schedule = {columns = 32 : i64, depth = 8 : i64, form = "fold"}
kern.kernel @mean_2 generic attributes {symbols = ["d0"], arg_dims = [[#tfm.dim<d0>, #tfm.dim<64>]]} {
^bb0(%x: tensor<?x64xf32>):
  %0 = tfm.reduce mean %x axes [0] : (tensor<?x64xf32>) -> tensor<64xf32>
  kern.yield %0 : tensor<64xf32>
}

// argmax.
// CHECK: .visible .entry best_3(
// SCHEDULE: kern.kernel @best_3 {{.*}}schedule = {form = "select", threads = 256 : i64}
kern.kernel @best_3 generic attributes {symbols = ["d0"], arg_dims = [[#tfm.dim<d0>, #tfm.dim<32000>]]} {
^bb0(%x: tensor<?x32000xf32>):
  %0 = tfm.top_k %x k #tfm.dim<1> {axis = 1 : i64} : (tensor<?x32000xf32>) -> tensor<?x1xi64>
  kern.yield %0 : tensor<?x1xi64>
}

// The experts of tokens, and their groups.
// CHECK: .visible .entry route_4(
// CHECK: vote.sync.ballot
// SCHEDULE: kern.kernel @route_4 {{.*}}schedule = {form = "route"}
kern.kernel @route_4 route attributes {symbols = ["d0"], arg_dims = [[#tfm.dim<d0>, #tfm.dim<8>]]} {
^bb0(%x: tensor<?x8xf32>):
  %0 = tfm.top_k %x k #tfm.dim<2> {axis = 1 : i64} : (tensor<?x8xf32>) -> tensor<?x2xi64>
  %1 = tfm.moe_weights %x, %0 {normalize} : (tensor<?x8xf32>, tensor<?x2xi64>) -> tensor<?x2xf32>
  %2 = tfm.group_by %0 {groups = 8 : i64} : (tensor<?x2xi64>) -> tensor<?xi64>
  kern.yield %1, %2 : tensor<?x2xf32>, tensor<?xi64>
}

// Merged tokens: a block for each position.
// CHECK: .visible .entry merge_5(
// CHECK: vote.sync.ballot
// CHECK: st.global.v4
// SCHEDULE: kern.kernel @merge_5 {{.*}}schedule = {form = "tokens"}
kern.kernel @merge_5 tokens attributes {symbols = ["d0"], arg_dims = [[#tfm.dim<d0>, #tfm.dim<197>, #tfm.dim<768>], [#tfm.dim<d0>, #tfm.dim<197>]]} {
^bb0(%x: tensor<?x197x768xf32>, %m: tensor<?x197xi64>):
  %0 = tfm.token_merge %x to #tfm.dim<181> by %m : (tensor<?x197x768xf32>, tensor<?x197xi64>) -> tensor<?x181x768xf32>
  kern.yield %0 : tensor<?x181x768xf32>
}

// A layer of a decoder in codes of 4 bits on tensor cores; few columns, so blocks share K. Results leave 128 bits at a time.
// CHECK: .visible .entry linear_6(
// CHECK-DAG: .maxntid 128
// CHECK-DAG: cp.async.cg.shared.global
// CHECK-DAG: ldmatrix.sync.aligned.m8n8.x4.shared.b16
// CHECK-DAG: ld.shared.v4.b32
// CHECK-DAG: cvt.rn.bf16x2.f32
// CHECK-DAG: mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32
// CHECK-DAG: atom.global.inc.u32
// CHECK-DAG: st.global.v4.b32
// SCHEDULE: kern.kernel @linear_6 {{.*}}schedule = {block_columns = 64 : i64, block_rows = 64 : i64, block_words = 16 : i64, form = "tensor", {{.*}}split_k = 4 : i64, stages = 4 : i64
kern.kernel @linear_6 contraction attributes {symbols = ["d0"], arg_dims = [[#tfm.dim<768>, #tfm.dim<768>], [#tfm.dim<12>, #tfm.dim<768>], [#tfm.dim<d0>, #tfm.dim<768>], [#tfm.dim<d0>, #tfm.dim<768>]]} {
^bb0(%c: tensor<768x768x!tfm.q<s4, group 64>, #tfm.panels>, %s: tensor<12x768xf16, #tfm.panels>, %x: tensor<?x768xbf16>, %r: tensor<?x768xf32>):
  %w = tfm.dequantize %c, %s : (tensor<768x768x!tfm.q<s4, group 64>, #tfm.panels>, tensor<12x768xf16, #tfm.panels>) -> tensor<768x768xbf16>
  %0 = tfm.linear %x, %w : (tensor<?x768xbf16>, tensor<768x768xbf16>) -> tensor<?x768xf32>
  %1 = tfm.binary add %0, %r : (tensor<?x768xf32>, tensor<?x768xf32>) -> tensor<?x768xf32>
  kern.yield %1 : tensor<?x768xf32>
}
