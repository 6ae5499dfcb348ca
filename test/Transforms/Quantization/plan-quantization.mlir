// RUN: permalloy-opt %s --plan-quantization="level=w4g32 min-elements=64" | FileCheck %s
// RUN: permalloy-opt %s --plan-quantization="level=w4g32,head=w4g32 min-elements=64" | FileCheck %s --check-prefix=HEAD
// RUN: permalloy-opt %s --plan-quantization="level=w4g32,head=f32 min-elements=64" | FileCheck %s --check-prefix=KEPT
// RUN: permalloy-opt %s --plan-quantization="level=w4auto min-elements=64" | FileCheck %s
// RUN: permalloy-opt %s --plan-quantization="level=w8" | FileCheck %s --check-prefix=SMALL
// RUN: permalloy-opt %s --plan-quantization="level=w4g32 min-elements=64" --apply-quantization --apply-precision | FileCheck %s --check-prefix=APPLY
// RUN: echo '{"plan": [{"op": "first", "kind": "linear", "level": "bf16+w4g16asym", "solver": "absmax"}, {"op": "words", "kind": "gather", "level": "w8"}]}' > %t.json
// RUN: permalloy-opt %s --plan-precision=plan=%t.json | FileCheck %s --check-prefix=PLAN
// RUN: not permalloy-opt %s --plan-quantization=level=int4 2>&1 | FileCheck %s --check-prefix=LEVEL
// RUN: not permalloy-opt %s --plan-quantization="level=w4g32,tail=w8" 2>&1 | FileCheck %s --check-prefix=TAIL
// RUN: not permalloy-opt %s --plan-quantization="level=w8 solver=magic" 2>&1 | FileCheck %s --check-prefix=SOLVER
// RUN: echo '{"plan": [{"op": "computed", "kind": "linear", "level": "w8"}]}' > %t.json
// RUN: not permalloy-opt %s --plan-precision=plan=%t.json 2>&1 | FileCheck %s --check-prefix=CANNOT
// RUN: echo '{"plan": [{"op": "first", "kind": "linear", "level": "w8", "solver": "magic"}]}' > %t.json
// RUN: not permalloy-opt %s --plan-precision=plan=%t.json 2>&1 | FileCheck %s --check-prefix=CANNOT-SOLVER

// LEVEL: 'int4' names no format of weights; there are wB, wBgG, wBgGasym
// TAIL: 'tail=w8' is not understood; behind a format may stand head=LEVEL
// SOLVER: there is no solver 'magic'; there are absmax
// CANNOT: the plan wants linear "computed" in w8, but its weight is no stored matrix
// CANNOT-SOLVER: the plan wants linear "first" in w8, but there is no solver 'magic'

tfm.weight @words : tensor<100x32xf32> = #tfm.seeded<1, 1.0>
tfm.weight @positions : tensor<100x32xf32> = #tfm.seeded<2, 1.0>
tfm.weight @w : tensor<32x32xf32> = #tfm.seeded<3, 1.0>
tfm.weight @tiny : tensor<32x1xf32> = #tfm.seeded<4, 1.0>
tfm.weight @out : tensor<32x100xf32> = #tfm.seeded<5, 1.0>

// A table by position, a weight that is computed, one that is small stay; so does what the level says of the head.
// CHECK-LABEL: @main
// CHECK: tfm.gather {{.*}}tfm.level = "w4g32", tfm.solver = "rtn"
// CHECK: tfm.gather {{.*}}tfm.precision_reason = "its table is of positions"
// CHECK: tfm.linear {{.*}}tfm.level = "w4g32", tfm.precision = "f32", tfm.solver = "rtn"
// CHECK: tfm.linear {{.*}}tfm.precision_reason = "its weight is no stored matrix"
// CHECK: tfm.linear {{.*}}tfm.precision_reason = "its weight has fewer than 64 elements"
// CHECK: tfm.linear {{.*}}tfm.level = "w8"
// HEAD: tfm.linear {{.*}}tensor<32x100xf32>{{.*}}
// HEAD-NOT: tfm.level = "w8"
// KEPT: tfm.linear {{.*}}tfm.precision_reason = "the head stays f32"
// SMALL-NOT: tfm.level
// PLAN: tfm.gather {{.*}}tfm.level = "w8", tfm.solver = "rtn"
// PLAN: tfm.linear {{.*}}tfm.level = "w4g16asym", tfm.precision = "bf16", tfm.solver = "absmax"
// Nothing of the plan is left.
// APPLY-LABEL: @main
// APPLY-NOT: tfm.level
// APPLY-NOT: tfm.precision
// APPLY: tfm.dequantize {{.*}}tensor<32x100x!tfm.q<s4, group 32>>, tensor<1x100xf16>) -> tensor<32x100xf32>
func.func @main(%ids: tensor<?xi64> {tfm.name = "ids", tfm.dims = [#tfm.dim<n>], tfm.test_range = [0, 100]}, %p: tensor<?xi64> {tfm.name = "position_ids", tfm.dims = [#tfm.dim<n>], tfm.test_range = [0, 100]}, %v: tensor<32x32xf32>) -> (tensor<?x100xf32>, tensor<?x1xf32>) {
  %words = tfm.get_weight @words : tensor<100x32xf32>
  %positions = tfm.get_weight @positions : tensor<100x32xf32>
  %w = tfm.get_weight @w : tensor<32x32xf32>
  %tiny = tfm.get_weight @tiny : tensor<32x1xf32>
  %out = tfm.get_weight @out : tensor<32x100xf32>
  %0 = tfm.gather %words, %ids {axis = 0 : i64} : (tensor<100x32xf32>, tensor<?xi64>) -> tensor<?x32xf32> loc("words")
  %1 = tfm.gather %positions, %p {axis = 0 : i64} : (tensor<100x32xf32>, tensor<?xi64>) -> tensor<?x32xf32> loc("positions")
  %2 = tfm.binary add %0, %1 : (tensor<?x32xf32>, tensor<?x32xf32>) -> tensor<?x32xf32>
  %3 = tfm.linear %2, %w : (tensor<?x32xf32>, tensor<32x32xf32>) -> tensor<?x32xf32> loc("first")
  %4 = tfm.linear %3, %v : (tensor<?x32xf32>, tensor<32x32xf32>) -> tensor<?x32xf32> loc("computed")
  %5 = tfm.linear %4, %tiny : (tensor<?x32xf32>, tensor<32x1xf32>) -> tensor<?x1xf32> loc("tiny")
  %6 = tfm.linear %4, %out : (tensor<?x32xf32>, tensor<32x100xf32>) -> tensor<?x100xf32> loc("head")
  return %6, %5 : tensor<?x100xf32>, tensor<?x1xf32>
}
