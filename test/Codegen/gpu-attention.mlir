// RUN: permalloy-opt %s --print-ptx=target=sm_80 -o /dev/null | FileCheck %s
// RUN: permalloy-opt %s --select-schedules=target=sm_90a | FileCheck %s --check-prefix=SCHEDULE

// bf16: queries, keys and values by cp.async, both products on tensor cores, weights in registers, values transposed on the way.
// With up to 4 queries a block takes 128 keys of a head, else 64 rows (queries of the 4 heads that share keys).
// SCHEDULE: kern.kernel @attention_0 {{.*}}few_rows = 16 : i64, form = "attention", keys = 64 : i64, split_keys = 128 : i64
// CHECK: .visible .entry attention_0(
// CHECK: .maxntid 128
// CHECK: .minnctapersm 2
// CHECK: cp.async.cg.shared.global
// CHECK: ldmatrix.sync.aligned.m8n8.x4.shared.b16
// CHECK: mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32
// CHECK: shfl.sync.bfly.b32
// CHECK: ex2.approx.ftz.f32
// CHECK: cvt.rn.bf16x2.f32
// CHECK: ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16
// CHECK: fence.acq_rel.gpu
// CHECK: atom.
kern.kernel @attention_0 attention attributes {symbols = ["b", "q", "k"], arg_dims = [
    [#tfm.dim<b>, #tfm.dim<8>, #tfm.dim<q>, #tfm.dim<128>], [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<k>, #tfm.dim<128>],
    [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<k>, #tfm.dim<128>]]} {
^bb0(%q: tensor<?x8x?x128xbf16>, %k: tensor<?x2x?x128xbf16>, %v: tensor<?x2x?x128xbf16>):
  %0 = tfm.attention %q, %k, %v {num_heads = 8 : i64, num_kv_heads = 2 : i64, scale = 0.088 : f32, causal} : (tensor<?x8x?x128xbf16>, tensor<?x2x?x128xbf16>, tensor<?x2x?x128xbf16>) -> tensor<?x8x?x128xbf16>
  kern.yield %0 : tensor<?x8x?x128xbf16>
}

// f32 by FMA; many queries only: no counters, no scratch.
// SCHEDULE: kern.kernel @attention_1 {{.*}}form = "attention_fma"{{.*}}scratch_bytes = #tfm.dim<0>{{.*}}tiles = #tfm.dim<b * 12>
// CHECK: .visible .entry attention_1(
// CHECK: cp.async.cg.shared.global
// CHECK: ld.shared.v4
// CHECK: fma.rn.f32
// CHECK-NOT: mma.sync
// CHECK-NOT: atom.
kern.kernel @attention_1 attention attributes {symbols = ["b"], arg_dims = [
    [#tfm.dim<b>, #tfm.dim<128>, #tfm.dim<768>], [#tfm.dim<b>, #tfm.dim<128>, #tfm.dim<768>],
    [#tfm.dim<b>, #tfm.dim<128>, #tfm.dim<768>]]} {
^bb0(%q: tensor<?x128x768xf32>, %k: tensor<?x128x768xf32>, %v: tensor<?x128x768xf32>):
  %0 = tfm.attention %q, %k, %v {num_heads = 12 : i64, num_kv_heads = 12 : i64, scale = 0.125 : f32} : (tensor<?x128x768xf32>, tensor<?x128x768xf32>, tensor<?x128x768xf32>) -> tensor<?x128x768xf32>
  kern.yield %0 : tensor<?x128x768xf32>
}

// Heads of 10 elements are no multiple of 16 bytes.
// SCHEDULE: kern.kernel @attention_2 {{.*}}form = "rows"
kern.kernel @attention_2 attention attributes {symbols = ["b"], arg_dims = [
    [#tfm.dim<b>, #tfm.dim<128>, #tfm.dim<40>], [#tfm.dim<b>, #tfm.dim<128>, #tfm.dim<40>],
    [#tfm.dim<b>, #tfm.dim<128>, #tfm.dim<40>]]} {
^bb0(%q: tensor<?x128x40xf32>, %k: tensor<?x128x40xf32>, %v: tensor<?x128x40xf32>):
  %0 = tfm.attention %q, %k, %v {num_heads = 4 : i64, num_kv_heads = 4 : i64, scale = 0.3 : f32} : (tensor<?x128x40xf32>, tensor<?x128x40xf32>, tensor<?x128x40xf32>) -> tensor<?x128x40xf32>
  kern.yield %0 : tensor<?x128x40xf32>
}
