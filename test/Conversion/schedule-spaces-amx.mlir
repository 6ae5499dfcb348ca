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
