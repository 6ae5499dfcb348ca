// RUN: permalloy-opt %s --plan-quantization="level=block50 min-elements=64" | FileCheck %s
// RUN: permalloy-opt %s --plan-quantization="level=block90 min-elements=64" | FileCheck %s --check-prefix=MOST
// RUN: not permalloy-opt %s --plan-quantization="level=block0" 2>&1 | FileCheck %s --check-prefix=BAD
// BAD: 'block0' names no format of weights; there are {{.*}}blockP, blockPxC

// CHECK: tfm.gather {{.*}}tfm.precision_reason = "its table is read by rows; blocks are left out of layers only"
// CHECK: tfm.linear {{.*}}tfm.level = "block50"{{.*}}tfm.solver = "magnitude"
// What is kept would take as long as all.
// MOST: tfm.linear {{.*}}tfm.precision_reason = "90% of the blocks take longer than all of a dense weight; at most 80% are faster"
func.func @main(%ids: tensor<?xi64> {tfm.dims = [#tfm.dim<n>], tfm.name = "input_ids"}) -> tensor<?x40xf32> {
  %t = tfm.get_weight @t : tensor<20x40xf32>
  %0 = tfm.gather %t, %ids {axis = 0 : i64} : (tensor<20x40xf32>, tensor<?xi64>) -> tensor<?x40xf32>
  %w = tfm.get_weight @w : tensor<40x40xf32>
  %1 = tfm.linear %0, %w : (tensor<?x40xf32>, tensor<40x40xf32>) -> tensor<?x40xf32>
  %2 = tfm.linear %1, %w : (tensor<?x40xf32>, tensor<40x40xf32>) -> tensor<?x40xf32>
  return %2 : tensor<?x40xf32>
}
tfm.weight @t : tensor<20x40xf32> = #tfm.seeded<1, 1.0>
tfm.weight @w : tensor<40x40xf32> = #tfm.seeded<2, 1.0>
