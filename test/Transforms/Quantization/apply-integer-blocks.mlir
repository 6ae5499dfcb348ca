// RUN: permalloy-opt %s --apply-quantization | FileCheck %s
// RUN: permalloy-opt %s --apply-quantization --check-weights -o /dev/null
// RUN: permalloy-opt %s --apply-quantization > %t.mlir
// RUN: permalloy-opt %t.mlir --check-equivalent="pipeline=func.func(plan-kernels),outline-kernels,pack-weights sizes=n=3" -o /dev/null
// RUN: permalloy-opt %t.mlir --plan-kernels --outline-kernels --pack-weights --select-schedules=target=sapphirerapids | FileCheck %s --check-prefix=KERN

// The weight is pruned, then rounded, and the product of codes walks the blocks of the codes.
// CHECK-LABEL: func.func @main
// CHECK: %[[V:.*]] = tfm.get_weight @w.block50w8a8.codes.values : tensor<3x5x64xi8>
// CHECK: %[[R:.*]] = tfm.get_weight @w.block50w8a8.codes.rows : tensor<3x5xi32>
// CHECK: %[[W:.*]] = tfm.expand_blocks %[[V]], %[[R]] {block = array<i64: 4, 16>, shape = array<i64: 40, 40>}
// CHECK: tfm.linear %{{.*}}, %[[W]] : (tensor<?x40xi8>, tensor<40x40xi8>) -> tensor<?x40xi32>
// CHECK-NOT: tfm.level
// CHECK: tfm.weight @w.block50w8a8 : tensor<40x40xf32> {
// CHECK: tfm.prune_weight %{{.*}} {block = array<i64: 4, 16>, kept = 5 : i64, solver = "magnitude"}
// CHECK: tfm.quantize %{{.*}} {symmetric} : (tensor<40x40xf32>)
// CHECK: tfm.compact_blocks %{{.*}}, %{{.*}} {block = array<i64: 4, 16>}
// CHECK: tfm.block_rows %{{.*}} {block = array<i64: 4, 16>, kept = 5 : i64}
// Nothing is packed, and no tile unit multiplies.
// KERN: kern.kernel @{{.*}} contraction attributes {{.*}}schedule = {block_rows = 240 : i64, {{.*}}lane_columns = 8 : i64
// KERN: tfm.linear {{.*}}tensor<40x40xi8>) -> tensor<?x40xi32>
// KERN-NOT: .panels
func.func @main(%x: tensor<?x40xf32> {tfm.dims = [#tfm.dim<n>, #tfm.dim<40>]}, %b: tensor<40xf32>) -> (tensor<?x40xf32>, tensor<?x40xf32>) {
  %w = tfm.get_weight @w : tensor<40x40xf32>
  %0 = tfm.linear %x, %w bias %b activation gelu_erf {tfm.level = "block50w8a8"} : (tensor<?x40xf32>, tensor<40x40xf32>, tensor<40xf32>) -> tensor<?x40xf32>
  %1 = tfm.linear %0, %w {tfm.level = "block50w8a8"} : (tensor<?x40xf32>, tensor<40x40xf32>) -> tensor<?x40xf32>
  return %0, %1 : tensor<?x40xf32>, tensor<?x40xf32>
}
tfm.weight @w : tensor<40x40xf32> = #tfm.seeded<1, 1.0>
