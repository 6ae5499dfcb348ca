// RUN: permalloy-opt %s --apply-quantization | FileCheck %s
// RUN: permalloy-opt %s --apply-quantization --check-weights -o /dev/null
// RUN: permalloy-opt %s --apply-quantization > %t.mlir
// RUN: permalloy-opt %t.mlir --check-equivalent="pipeline=func.func(plan-kernels),outline-kernels,pack-weights sizes=n=3" -o /dev/null

// The pruned weight, the numbers of the steps that stay in each panel, and their values. Layers that share a weight share them.
// CHECK-LABEL: func.func @main
// CHECK: %[[V:.*]] = tfm.get_weight @w.block50.values : tensor<3x20x16xf32>
// CHECK: %[[R:.*]] = tfm.get_weight @w.block50.rows : tensor<3x20xi32>
// CHECK: %[[W:.*]] = tfm.expand_blocks %[[V]], %[[R]] {block = array<i64: 1, 16>, shape = array<i64: 40, 40>}
// CHECK: tfm.linear %{{.*}}, %[[W]] bias
// CHECK: tfm.expand_blocks
// A solver that is named, blocks of two panels.
// CHECK: tfm.get_weight @v.block25x32.values : tensor<1x10x32xf32>
// CHECK-NOT: tfm.level
func.func @main(%x: tensor<?x40xf32> {tfm.dims = [#tfm.dim<n>, #tfm.dim<40>]}, %b: tensor<40xf32>) -> (tensor<?x40xf32>, tensor<?x40xf32>, tensor<?x20xf32>) {
  %w = tfm.get_weight @w : tensor<40x40xf32>
  %0 = tfm.linear %x, %w bias %b {tfm.level = "block50"} : (tensor<?x40xf32>, tensor<40x40xf32>, tensor<40xf32>) -> tensor<?x40xf32>
  %1 = tfm.linear %0, %w {tfm.level = "block50"} : (tensor<?x40xf32>, tensor<40x40xf32>) -> tensor<?x40xf32>
  %v = tfm.get_weight @v : tensor<40x20xf32>
  %2 = tfm.linear %x, %v {tfm.level = "block25x32", tfm.solver = "magnitude"} : (tensor<?x40xf32>, tensor<40x20xf32>) -> tensor<?x20xf32>
  return %0, %1, %2 : tensor<?x40xf32>, tensor<?x40xf32>, tensor<?x20xf32>
}

// CHECK: tfm.weight @w.block50 : tensor<40x40xf32> {
// CHECK: tfm.prune_weight %{{.*}} {block = array<i64: 1, 16>, kept = 20 : i64, solver = "magnitude"}
// CHECK-COUNT-1: tfm.weight @w.block50.values
// CHECK-NOT: tfm.weight @w.block50.values
tfm.weight @w : tensor<40x40xf32> = #tfm.seeded<1, 1.0>
tfm.weight @v : tensor<40x20xf32> = #tfm.seeded<2, 1.0>
