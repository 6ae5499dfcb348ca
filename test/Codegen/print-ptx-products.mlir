// RUN: permalloy-opt %s --print-ptx=target=sm_80 -o /dev/null | FileCheck %s
// RUN: permalloy-opt %s --print-ptx=target=sm_90a -o /dev/null | FileCheck %s
// RUN: permalloy-opt %s --select-schedules=target=sm_80 | FileCheck %s --check-prefix=SCHEDULE

// Products without tensor cores. Few rows read the weight 16 bytes a thread and add up by shuffles; more come by asynchronous copies.
// CHECK: .visible .entry floats(
// CHECK: ld.global.nc.v4.b32
// CHECK: shfl.sync.bfly
// CHECK: cp.async.cg.shared.global
// CHECK: ld.shared.v4
// CHECK: fma.rn.f32
// SCHEDULE: kern.kernel @floats {{.*}}block_columns = 64{{.*}}form = "fma"{{.*}}skinny_panels = 1{{.*}}
kern.kernel @floats contraction attributes {symbols = ["s"], arg_dims = [[#tfm.dim<s>, #tfm.dim<256>], [#tfm.dim<256>, #tfm.dim<64>]]} {
^bb0(%x: tensor<?x256xf32>, %w: tensor<256x64xf32, #tfm.panels>):
  %0 = tfm.linear %x, %w : (tensor<?x256xf32>, tensor<256x64xf32, #tfm.panels>) -> tensor<?x64xf32>
  kern.yield %0 : tensor<?x64xf32>
}

// One row: blocks share K, the last one adds up.
// CHECK: .visible .entry row(
// CHECK: ld.global.nc.v4.b32
// CHECK: fence.acq_rel.gpu
// CHECK: atom.{{.*}}inc
// CHECK-NOT: cp.async
// SCHEDULE: kern.kernel @row {{.*}}form = "fma"{{.*}}skinny_split = 16
// CHECK: .visible .entry codes(
kern.kernel @row contraction attributes {symbols = [], arg_dims = [[#tfm.dim<1>, #tfm.dim<4096>], [#tfm.dim<4096>, #tfm.dim<256>]]} {
^bb0(%x: tensor<1x4096xf32>, %w: tensor<4096x256xf32, #tfm.panels>):
  %0 = tfm.linear %x, %w : (tensor<1x4096xf32>, tensor<4096x256xf32, #tfm.panels>) -> tensor<1x256xf32>
  kern.yield %0 : tensor<1x256xf32>
}

// Codes of 4 bits become f32 without conversions.
// CHECK-NOT: cvt.rn.f32
// CHECK: .visible .entry blocks(
// SCHEDULE: kern.kernel @codes {{.*}}form = "fma"
kern.kernel @codes contraction attributes {symbols = [], arg_dims = [[#tfm.dim<1>, #tfm.dim<256>], [#tfm.dim<256>, #tfm.dim<64>], [#tfm.dim<4>, #tfm.dim<64>]]} {
^bb0(%x: tensor<1x256xf32>, %c: tensor<256x64x!tfm.q<s4, group 64>, #tfm.panels>, %s: tensor<4x64xf16, #tfm.panels>):
  %w = tfm.dequantize %c, %s : (tensor<256x64x!tfm.q<s4, group 64>, #tfm.panels>, tensor<4x64xf16, #tfm.panels>) -> tensor<256x64xf32>
  %0 = tfm.linear %x, %w : (tensor<1x256xf32>, tensor<256x64xf32>) -> tensor<1x64xf32>
  kern.yield %0 : tensor<1x64xf32>
}

// Kept blocks of many rows: a warp walks the list of its panel.
// SCHEDULE: kern.kernel @blocks {{.*}}block_rows = 128{{.*}}form = "fma"
kern.kernel @blocks contraction attributes {symbols = ["s"], arg_dims = [[#tfm.dim<s>, #tfm.dim<64>], [#tfm.dim<4>, #tfm.dim<32>, #tfm.dim<16>], [#tfm.dim<4>, #tfm.dim<32>]]} {
^bb0(%x: tensor<?x64xf32>, %v: tensor<4x32x16xf32>, %i: tensor<4x32xi32>):
  %w = tfm.expand_blocks %v, %i {block = array<i64: 1, 16>, shape = array<i64: 64, 64>} : (tensor<4x32x16xf32>, tensor<4x32xi32>) -> tensor<64x64xf32>
  %0 = tfm.linear %x, %w : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  kern.yield %0 : tensor<?x64xf32>
}

// CHECK: .visible .entry experts(
// SCHEDULE: kern.kernel @experts {{.*}}form = "experts"
kern.kernel @experts contraction attributes {symbols = ["t"], arg_dims = [[#tfm.dim<t>, #tfm.dim<64>], [#tfm.dim<2 * t + 9>], [#tfm.dim<8>, #tfm.dim<64>, #tfm.dim<64>]]} {
^bb0(%x: tensor<?x64xf32>, %g: tensor<?xi64>, %w: tensor<8x64x64xf32, #tfm.panels>):
  %0 = tfm.grouped_linear %x, %g, %w activation silu {gated, repeat = 2 : i64} : (tensor<?x64xf32>, tensor<?xi64>, tensor<8x64x64xf32, #tfm.panels>) -> tensor<?x32xf32>
  kern.yield %0 : tensor<?x32xf32>
}

// Two activations, the second by its rows, of a length that is not known: chunks of 16 bytes, tensor cores, no panel.
// CHECK: .visible .entry scores(
// CHECK: cp.async.cg.shared.global
// CHECK: ldmatrix.sync.aligned.m8n8.x4.shared.b16
// CHECK: mma.sync.aligned.m16n8k16
// CHECK: .visible .entry mixed(
// SCHEDULE: kern.kernel @scores {{.*}}block_words = 16{{.*}}form = "matmul"
kern.kernel @scores generic attributes {symbols = ["b", "s", "t"], arg_dims = [[#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<64>], [#tfm.dim<1>, #tfm.dim<t>, #tfm.dim<64>]]} {
^bb0(%q: tensor<?x?x64xbf16>, %k: tensor<1x?x64xbf16>):
  %0 = tfm.matmul %q, %k {transpose_b} : (tensor<?x?x64xbf16>, tensor<1x?x64xbf16>) -> tensor<?x?x?xbf16>
  kern.yield %0 : tensor<?x?x?xbf16>
}

// Rows that may end anywhere, in f32.
// CHECK: ld.global.b32
// CHECK: ld.shared.v4
// CHECK: fma.rn.f32
// CHECK: st.global.v4
// SCHEDULE: kern.kernel @mixed {{.*}}form = "matmul_fma"
kern.kernel @mixed generic attributes {symbols = ["b", "s", "t"], arg_dims = [[#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<t>], [#tfm.dim<b>, #tfm.dim<t>, #tfm.dim<64>]]} {
^bb0(%p: tensor<?x?x?xf32>, %v: tensor<?x?x64xf32>):
  %0 = tfm.matmul %p, %v : (tensor<?x?x?xf32>, tensor<?x?x64xf32>) -> tensor<?x?x64xf32>
  kern.yield %0 : tensor<?x?x64xf32>
}
