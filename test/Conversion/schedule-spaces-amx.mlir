// RUN: permalloy-opt %s --select-schedules="target=sapphirerapids list-spaces" -o /dev/null | FileCheck %s
// RUN: permalloy-opt %s --select-schedules="target=sapphirerapids" | FileCheck %s --check-prefix=CHOSEN

// Queries in bf16 go through tiles of AMX: there are no register tiles to choose. In f32 there are.
// CHECK-LABEL: halves, attention, sapphirerapids
// CHECK-NEXT: block_keys: 32 64 128 256 512  (
// CHECK-NEXT: query_blocks: 1 2 4 8 16  (
// CHECK-NEXT: 25 legal schedules
// CHOSEN-LABEL: kern.kernel @halves
// CHOSEN-SAME: schedule = {block_keys = 256 : i64, query_blocks = 8 : i64}
kern.kernel @halves attention attributes {symbols = ["b", "s"], arg_dims = [[#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<128>], [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<128>], [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<128>]]} {
^bb0(%q: tensor<?x?x128xbf16>, %k: tensor<?x?x128xbf16>, %v: tensor<?x?x128xbf16>):
  %0 = tfm.attention %q, %k, %v {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.125 : f32} : (tensor<?x?x128xbf16>, tensor<?x?x128xbf16>, tensor<?x?x128xbf16>) -> tensor<?x?x128xf32>
  kern.yield %0 : tensor<?x?x128xf32>
}

// CHECK-LABEL: floats, attention, sapphirerapids
// CHECK-NEXT: tile_keys:
kern.kernel @floats attention attributes {symbols = ["b", "s"], arg_dims = [[#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<128>], [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<128>], [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<128>]]} {
^bb0(%q: tensor<?x?x128xf32>, %k: tensor<?x?x128xf32>, %v: tensor<?x?x128xf32>):
  %0 = tfm.attention %q, %k, %v {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.125 : f32} : (tensor<?x?x128xf32>, tensor<?x?x128xf32>, tensor<?x?x128xf32>) -> tensor<?x?x128xf32>
  kern.yield %0 : tensor<?x?x128xf32>
}

// Pairs of panels are taken together where the result is wide and K is one block.
// CHECK-LABEL: head, contraction, sapphirerapids
// CHECK: group_pairs: 1 16  (
// CHOSEN-LABEL: kern.kernel @head
// CHOSEN-SAME: schedule = {block_rows = 1024 : i64, block_steps = 768 : i64, epilogue_rows = 2 : i64, group_pairs = 16 : i64, prefetch = 1 : i64}
kern.kernel @head contraction attributes {symbols = ["s"], arg_dims = [[#tfm.dim<s>, #tfm.dim<768>], [#tfm.dim<768>, #tfm.dim<8192>]]} {
^bb0(%x: tensor<?x768xbf16>, %w: tensor<768x8192xbf16>):
  %0 = tfm.linear %x, %w : (tensor<?x768xbf16>, tensor<768x8192xbf16>) -> tensor<?x8192xf32>
  kern.yield %0 : tensor<?x8192xf32>
}

// CHOSEN-LABEL: kern.kernel @narrow
// CHOSEN-SAME: group_pairs = 1 : i64
kern.kernel @narrow contraction attributes {symbols = ["s"], arg_dims = [[#tfm.dim<s>, #tfm.dim<768>], [#tfm.dim<768>, #tfm.dim<8191>]]} {
^bb0(%x: tensor<?x768xbf16>, %w: tensor<768x8191xbf16>):
  %0 = tfm.linear %x, %w : (tensor<?x768xbf16>, tensor<768x8191xbf16>) -> tensor<?x8191xf32>
  kern.yield %0 : tensor<?x8191xf32>
}

// CHOSEN-LABEL: kern.kernel @deep
// CHOSEN-SAME: group_pairs = 1 : i64
kern.kernel @deep contraction attributes {symbols = ["s"], arg_dims = [[#tfm.dim<s>, #tfm.dim<1024>], [#tfm.dim<1024>, #tfm.dim<8192>]]} {
^bb0(%x: tensor<?x1024xbf16>, %w: tensor<1024x8192xbf16>):
  %0 = tfm.linear %x, %w : (tensor<?x1024xbf16>, tensor<1024x8192xbf16>) -> tensor<?x8192xf32>
  kern.yield %0 : tensor<?x8192xf32>
}

// Groups of rows are small: they have no such parameter.
// CHECK-LABEL: experts, contraction, sapphirerapids
// CHECK-NOT: group_pairs
// CHECK: legal schedules
// CHOSEN-LABEL: kern.kernel @experts
// CHOSEN-NOT: group_pairs
// CHOSEN-SAME: prefetch = 1 : i64}
kern.kernel @experts contraction attributes {symbols = ["t"], arg_dims = [[#tfm.dim<t>, #tfm.dim<512>], [#tfm.dim<2 * t + 5>], [#tfm.dim<4>, #tfm.dim<512>, #tfm.dim<8192>]]} {
^bb0(%x: tensor<?x512xbf16>, %groups: tensor<?xi64>, %w: tensor<4x512x8192xbf16>):
  %0 = tfm.grouped_linear %x, %groups, %w {gated, repeat = 2 : i64} : (tensor<?x512xbf16>, tensor<?xi64>, tensor<4x512x8192xbf16>) -> tensor<?x4096xbf16>
  kern.yield %0 : tensor<?x4096xbf16>
}
