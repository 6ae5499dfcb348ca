// RUN: permalloy-opt %s --plan-kernels --outline-kernels --pack-weights --select-schedules=target=x86-64-v4 | FileCheck %s
// RUN: permalloy-opt %s --check-equivalent="pipeline=func.func(plan-kernels),outline-kernels,pack-weights,func.func(plan-slots) sizes=m=3" -o /dev/null

// Blocks are part of the product's kernel, which equal layers share; nothing is packed. Blocks of one panel have rows in the lanes.
// CHECK: kern.kernel @linear_1 contraction attributes {{.*}}schedule = {block_rows = 240 : i64, {{.*}}lane_columns = 8 : i64, {{.*}}tile_panels = 1 : i64, tile_rows = 48 : i64}
// CHECK: ^bb0(%{{.*}}: tensor<2x3x16xf32>, %{{.*}}: tensor<2x3xi32>, %{{.*}}: tensor<?x6xf32>):
// CHECK: tfm.expand_blocks
// CHECK: tfm.linear {{.*}}activation relu
// Those of three panels have a tile as wide.
// CHECK: kern.kernel @linear_0 contraction attributes {{.*}}tile_panels = 3 : i64, tile_rows = 8 : i64}
// CHECK-NOT: .panels
// CHECK-LABEL: func.func @main
// CHECK: kern.launch @linear_0
// CHECK: kern.launch @linear_1
// CHECK: kern.launch @linear_1
func.func @main(%x: tensor<?x6xf32> {tfm.dims = [#tfm.dim<m>, #tfm.dim<6>]}) -> (tensor<?x6xf32>, tensor<?x20xf32>, tensor<?x20xf32>) {
  %v0 = tfm.get_weight @wide.blocks : tensor<1x2x48xf32>
  %r0 = tfm.get_weight @wide.rows : tensor<1x2xi32>
  %w0 = tfm.expand_blocks %v0, %r0 {block = array<i64: 1, 48>, shape = array<i64: 6, 6>} : (tensor<1x2x48xf32>, tensor<1x2xi32>) -> tensor<6x6xf32>
  %0 = tfm.linear %x, %w0 : (tensor<?x6xf32>, tensor<6x6xf32>) -> tensor<?x6xf32>
  %v1 = tfm.get_weight @a.blocks : tensor<2x3x16xf32>
  %r1 = tfm.get_weight @a.rows : tensor<2x3xi32>
  %w1 = tfm.expand_blocks %v1, %r1 {block = array<i64: 1, 16>, shape = array<i64: 6, 20>} : (tensor<2x3x16xf32>, tensor<2x3xi32>) -> tensor<6x20xf32>
  %1 = tfm.linear %x, %w1 activation relu : (tensor<?x6xf32>, tensor<6x20xf32>) -> tensor<?x20xf32>
  %2 = tfm.linear %0, %w1 activation relu : (tensor<?x6xf32>, tensor<6x20xf32>) -> tensor<?x20xf32>
  return %0, %1, %2 : tensor<?x6xf32>, tensor<?x20xf32>, tensor<?x20xf32>
}

tfm.weight @a : tensor<6x20xf32> = #tfm.seeded<1, 1.0>
tfm.weight @a.pruned : tensor<6x20xf32> {
  %0 = tfm.get_weight @a : tensor<6x20xf32>
  %1 = tfm.prune_weight %0 {solver = "magnitude", kept = 3 : i64, block = array<i64: 1, 16>} : (tensor<6x20xf32>) -> tensor<6x20xf32>
  tfm.yield %1 : tensor<6x20xf32>
}
tfm.weight @a.rows : tensor<2x3xi32> {
  %0 = tfm.get_weight @a.pruned : tensor<6x20xf32>
  %1 = tfm.block_rows %0 {kept = 3 : i64, block = array<i64: 1, 16>} : (tensor<6x20xf32>) -> tensor<2x3xi32>
  tfm.yield %1 : tensor<2x3xi32>
}
tfm.weight @a.blocks : tensor<2x3x16xf32> {
  %0 = tfm.get_weight @a.pruned : tensor<6x20xf32>
  %1 = tfm.get_weight @a.rows : tensor<2x3xi32>
  %2 = tfm.compact_blocks %0, %1 {block = array<i64: 1, 16>} : (tensor<6x20xf32>, tensor<2x3xi32>) -> tensor<2x3x16xf32>
  tfm.yield %2 : tensor<2x3x16xf32>
}

tfm.weight @wide : tensor<6x6xf32> = #tfm.seeded<2, 1.0>
tfm.weight @wide.pruned : tensor<6x6xf32> {
  %0 = tfm.get_weight @wide : tensor<6x6xf32>
  %1 = tfm.prune_weight %0 {solver = "magnitude", kept = 2 : i64, block = array<i64: 1, 48>} : (tensor<6x6xf32>) -> tensor<6x6xf32>
  tfm.yield %1 : tensor<6x6xf32>
}
tfm.weight @wide.rows : tensor<1x2xi32> {
  %0 = tfm.get_weight @wide.pruned : tensor<6x6xf32>
  %1 = tfm.block_rows %0 {kept = 2 : i64, block = array<i64: 1, 48>} : (tensor<6x6xf32>) -> tensor<1x2xi32>
  tfm.yield %1 : tensor<1x2xi32>
}
tfm.weight @wide.blocks : tensor<1x2x48xf32> {
  %0 = tfm.get_weight @wide.pruned : tensor<6x6xf32>
  %1 = tfm.get_weight @wide.rows : tensor<1x2xi32>
  %2 = tfm.compact_blocks %0, %1 {block = array<i64: 1, 48>} : (tensor<6x6xf32>, tensor<1x2xi32>) -> tensor<1x2x48xf32>
  tfm.yield %2 : tensor<1x2x48xf32>
}
