// RUN: permalloy-opt %s --select-schedules="target=sm_90a list-spaces" -o /dev/null | FileCheck %s

// Every form lists what it may be asked for.
// CHECK-LABEL: product, tensor, sm_90a
// CHECK-NEXT: block_rows: 32 64 128  (rows of A of a block)
// CHECK-NEXT: block_columns: 64 128  (
// CHECK-NEXT: block_words: 16 32  (
// CHECK-NEXT: warp_rows: 16 32 64  (
// CHECK-NEXT: warp_columns: 32 64  (
// CHECK-NEXT: stages: 2 3 4  (
// CHECK-NEXT: split_k: 1 2 {{.*}}  (
// CHECK-NEXT: skinny_panels: 1 2 4  (
// CHECK-NEXT: skinny_loads: 2 4 8  (
// CHECK-NEXT: skinny_split: 1 2 4 8 16  (
// CHECK-NEXT: {{[0-9]+}} legal schedules
kern.kernel @product contraction attributes {symbols = ["d0"], arg_dims = [[#tfm.dim<d0>, #tfm.dim<256>], [#tfm.dim<256>, #tfm.dim<64>]]} {
^bb0(%x: tensor<?x256xbf16>, %w: tensor<256x64xbf16, #tfm.panels>):
  %0 = tfm.linear %x, %w : (tensor<?x256xbf16>, tensor<256x64xbf16, #tfm.panels>) -> tensor<?x64xbf16>
  kern.yield %0 : tensor<?x64xbf16>
}

// No wider vectors than there are: rows of 20 f32 have none of 8.
// CHECK-LABEL: softmax, row, sm_90a
// CHECK-NEXT: threads_per_row: 8 16 32 64 128 256 512  (
// CHECK-NEXT: rows_per_block: 1 2 4 8 16 32  (
// CHECK-NEXT: elements: 1 4  (
// CHECK-NEXT: {{[0-9]+}} legal schedules
kern.kernel @softmax row attributes {symbols = ["d0"], arg_dims = [[#tfm.dim<d0>, #tfm.dim<20>]]} {
^bb0(%x: tensor<?x20xf32>):
  %0 = tfm.softmax %x {axis = 1 : i64} : (tensor<?x20xf32>) -> tensor<?x20xf32>
  kern.yield %0 : tensor<?x20xf32>
}
// CHECK-LABEL: relu, vector, sm_90a
// CHECK-NEXT: threads: 64 128 256 512  (
// CHECK-NEXT: elements: 1 4  (
// CHECK-NEXT: 8 legal schedules
kern.kernel @relu row attributes {symbols = ["d0"], arg_dims = [[#tfm.dim<d0>, #tfm.dim<64>]]} {
^bb0(%x: tensor<?x64xf32>):
  %0 = tfm.unary relu %x : (tensor<?x64xf32>) -> tensor<?x64xf32>
  kern.yield %0 : tensor<?x64xf32>
}
