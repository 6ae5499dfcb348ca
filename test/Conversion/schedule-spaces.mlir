// RUN: permalloy-opt %s --select-schedules="target=x86-64-v3 list-spaces" -o /dev/null | FileCheck %s

// CHECK-LABEL: product, contraction, x86-64-v3
// CHECK-NEXT: tile_panels: 1 2  (packed panels of 16 columns side by side in the register tile)
// CHECK-NEXT: tile_rows: 1 2 {{.*}}  (rows of A in the register tile)
// CHECK-NEXT: block_rows:
// CHECK-NEXT: block_steps: 64  (
// CHECK-NEXT: prefetch_period: 0 2 4 8 16  (
// CHECK-NEXT: {{[0-9]+}} legal schedules
kern.kernel @product contraction attributes {symbols = ["d0"], arg_dims = [[#tfm.dim<d0>, #tfm.dim<64>], [#tfm.dim<64>, #tfm.dim<32>]]} {
^bb0(%x: tensor<?x64xf32>, %w: tensor<64x32xf32, #tfm.panels>):
  %0 = tfm.linear %x, %w : (tensor<?x64xf32>, tensor<64x32xf32, #tfm.panels>) -> tensor<?x32xf32>
  kern.yield %0 : tensor<?x32xf32>
}

// CHECK-LABEL: relu, row, x86-64-v3
// CHECK-NEXT: tile_elements: 256 1024 4096 16384 65536  (
// CHECK-NEXT: 5 legal schedules
kern.kernel @relu row attributes {symbols = ["d0"], arg_dims = [[#tfm.dim<d0>, #tfm.dim<64>]]} {
^bb0(%x: tensor<?x64xf32>):
  %0 = tfm.unary relu %x : (tensor<?x64xf32>) -> tensor<?x64xf32>
  kern.yield %0 : tensor<?x64xf32>
}
