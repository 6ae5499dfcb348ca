// RUN: permalloy-opt %s --plan-quantization="level=block50 min-elements=64" | FileCheck %s
// RUN: permalloy-opt %s --plan-quantization="level=block90 min-elements=64" | FileCheck %s --check-prefix=MOST
// RUN: not permalloy-opt %s --plan-quantization="level=block0" 2>&1 | FileCheck %s --check-prefix=BAD
// BAD: 'block0' names no format of weights; there are {{.*}}blockP, blockPxC, blockPw8a8
// RUN: permalloy-opt %s --plan-quantization="level=block50w8a8 min-elements=64" | FileCheck %s --check-prefix=CODES
// RUN: permalloy-opt %s --plan-quantization="level=block90w8a8 min-elements=64" | FileCheck %s --check-prefix=MOSTCODES
// RUN: not permalloy-opt %s --plan-quantization="level=block50x32w8a8" 2>&1 | FileCheck %s --check-prefix=WIDECODES
// WIDECODES: 'block50x32w8a8' names no format of weights

// CHECK: tfm.gather {{.*}}tfm.precision_reason = "its table is read by rows; blocks are left out of layers only"
// CHECK: tfm.linear {{.*}}tfm.level = "block50"{{.*}}tfm.solver = "magnitude"
// What is kept would take as long as all.
// MOST: tfm.linear {{.*}}tfm.precision_reason = "90% of the blocks take longer than all of a dense weight; at most 80% are faster"
// Layers whose blocks would be slower are in codes of 8 bits as a whole, and so are those that give logits.
// CODES: tfm.gather {{.*}}tfm.precision_reason = "its table is read by rows; blocks are left out of layers only"
// CODES: tfm.linear {{.*}}tfm.level = "block50w8a8"{{.*}}tfm.solver = "magnitude"
// CODES: tfm.linear {{.*}}tfm.level = "block50w8a8"
// CODES: tfm.linear {{.*}}its 42 steps of K are no multiple of four
// CODES: tfm.linear {{.*}}tfm.level = "w8a8"
// MOSTCODES: tfm.linear {{.*}}tfm.level = "w8a8"{{.*}}tfm.precision_reason = "90% of the blocks take longer than all of a dense weight; at most 80% are faster"{{.*}}tfm.solver = "rtn"
func.func @main(%ids: tensor<?xi64> {tfm.dims = [#tfm.dim<n>], tfm.name = "input_ids"}) -> tensor<?x40xf32> {
  %t = tfm.get_weight @t : tensor<20x40xf32>
  %0 = tfm.gather %t, %ids {axis = 0 : i64} : (tensor<20x40xf32>, tensor<?xi64>) -> tensor<?x40xf32>
  %w = tfm.get_weight @w : tensor<40x40xf32>
  %1 = tfm.linear %0, %w : (tensor<?x40xf32>, tensor<40x40xf32>) -> tensor<?x40xf32>
  %u = tfm.get_weight @u : tensor<40x42xf32>
  %v = tfm.get_weight @v : tensor<42x40xf32>
  %2 = tfm.linear %1, %u : (tensor<?x40xf32>, tensor<40x42xf32>) -> tensor<?x42xf32>
  %3 = tfm.linear %2, %v : (tensor<?x42xf32>, tensor<42x40xf32>) -> tensor<?x40xf32>
  %4 = tfm.linear %3, %w : (tensor<?x40xf32>, tensor<40x40xf32>) -> tensor<?x40xf32>
  return %4 : tensor<?x40xf32>
}
tfm.weight @t : tensor<20x40xf32> = #tfm.seeded<1, 1.0>
tfm.weight @w : tensor<40x40xf32> = #tfm.seeded<2, 1.0>
tfm.weight @u : tensor<40x42xf32> = #tfm.seeded<3, 1.0>
tfm.weight @v : tensor<42x40xf32> = #tfm.seeded<4, 1.0>
