// RUN: permalloy-opt %s --apply-quantization | FileCheck %s
// RUN: permalloy-opt %s --apply-quantization --check-weights -o /dev/null
// RUN: permalloy-opt %s --apply-quantization > %t.mlir
// RUN: permalloy-opt %t.mlir --check-equivalent="pipeline=func.func(plan-kernels),outline-kernels,pack-weights sizes=n=3" -o /dev/null
// RUN: permalloy-opt %s --plan-quantization="level=2:4 min-elements=64" | FileCheck %s --check-prefix=PLAN

// What is left of the weight, two bits for each kept weight of each column, and the values. Layers that share a weight share them.
// CHECK-LABEL: func.func @main
// CHECK: %[[V:.*]] = tfm.get_weight @w.2of4.values : tensor<3x20x16xf32>
// CHECK: %[[S:.*]] = tfm.get_weight @w.2of4.steps : tensor<3x2x16xi32>
// CHECK: %[[W:.*]] = tfm.expand_quads %[[V]], %[[S]] {kept = 2 : i64, shape = array<i64: 40, 40>}
// CHECK: tfm.linear %{{.*}}, %[[W]] bias
// CHECK: tfm.expand_quads
// CHECK: tfm.get_weight @v.1of4.values : tensor<2x10x16xf32>
// CHECK-NOT: tfm.level
// Of 42 steps no whole number of quads can be made.
// PLAN: tfm.linear {{.*}}tfm.level = "2:4"{{.*}}tfm.solver = "magnitude"
// PLAN: tfm.linear {{.*}}its 42 steps of K are no multiple of four
func.func @main(%x: tensor<?x40xf32> {tfm.dims = [#tfm.dim<n>, #tfm.dim<40>]}, %b: tensor<40xf32>, %y: tensor<?x42xf32> {tfm.dims = [#tfm.dim<n>, #tfm.dim<42>]}) -> (tensor<?x40xf32>, tensor<?x40xf32>, tensor<?x20xf32>, tensor<?x20xf32>) {
  %w = tfm.get_weight @w : tensor<40x40xf32>
  %0 = tfm.linear %x, %w bias %b {tfm.level = "2:4"} : (tensor<?x40xf32>, tensor<40x40xf32>, tensor<40xf32>) -> tensor<?x40xf32>
  %1 = tfm.linear %0, %w {tfm.level = "2:4"} : (tensor<?x40xf32>, tensor<40x40xf32>) -> tensor<?x40xf32>
  %v = tfm.get_weight @v : tensor<40x20xf32>
  %2 = tfm.linear %x, %v {tfm.level = "1:4", tfm.solver = "magnitude"} : (tensor<?x40xf32>, tensor<40x20xf32>) -> tensor<?x20xf32>
  %u = tfm.get_weight @u : tensor<42x20xf32>
  %3 = tfm.linear %y, %u : (tensor<?x42xf32>, tensor<42x20xf32>) -> tensor<?x20xf32>
  return %0, %1, %2, %3 : tensor<?x40xf32>, tensor<?x40xf32>, tensor<?x20xf32>, tensor<?x20xf32>
}

// CHECK: tfm.weight @w.2of4 : tensor<40x40xf32> {
// CHECK: tfm.prune_weight %{{.*}} {block = array<i64: 1, 1>, kept = 2 : i64, of = 4 : i64, solver = "magnitude"}
// CHECK-COUNT-1: tfm.weight @w.2of4.values
// CHECK-NOT: tfm.weight @w.2of4.values
tfm.weight @w : tensor<40x40xf32> = #tfm.seeded<1, 1.0>
tfm.weight @v : tensor<40x20xf32> = #tfm.seeded<2, 1.0>
tfm.weight @u : tensor<42x20xf32> = #tfm.seeded<3, 1.0>
