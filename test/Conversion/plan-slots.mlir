// RUN: permalloy-opt %s --plan-slots | FileCheck %s
// RUN: permalloy-opt %s --plan-slots --plan-slots | FileCheck %s

kern.kernel @relu row attributes {symbols = ["d0"], arg_dims = [[#tfm.dim<d0>]]} {
^bb0(%x: tensor<?xf32>):
  %0 = tfm.unary relu %x : (tensor<?xf32>) -> tensor<?xf32>
  kern.yield %0 : tensor<?xf32>
}
kern.kernel @add row attributes {symbols = ["d0"], arg_dims = [[#tfm.dim<d0>], [#tfm.dim<d0>]]} {
^bb0(%x: tensor<?xf32>, %y: tensor<?xf32>):
  %0 = tfm.binary add %x, %y : (tensor<?xf32>, tensor<?xf32>) -> tensor<?xf32>
  kern.yield %0 : tensor<?xf32>
}
kern.kernel @double row attributes {symbols = ["d0"], arg_dims = [[#tfm.dim<d0>]]} {
^bb0(%x: tensor<?xf32>):
  %0 = tfm.concat %x, %x {axis = 0 : i64} : (tensor<?xf32>, tensor<?xf32>) -> tensor<?xf32>
  kern.yield %0 : tensor<?xf32>
}

// Two slots serve a chain: a value's slot is free after its last reader, but not for that reader's own result.
// CHECK-LABEL: func.func @chain
// CHECK-SAME: kern.slots = [#tfm.dim<n * 4>, #tfm.dim<n * 4>]
// CHECK: slots [0]
// CHECK: slots [1]
// CHECK: slots [0]
// CHECK: slots [-1]
func.func @chain(%x: tensor<?xf32> {tfm.dims = [#tfm.dim<n>]}) -> tensor<?xf32> {
  %0 = kern.launch @relu(%x) scalars [#tfm.dim<n>] : (tensor<?xf32>) -> tensor<?xf32>
  %1 = kern.launch @relu(%0) scalars [#tfm.dim<n>] : (tensor<?xf32>) -> tensor<?xf32>
  %2 = kern.launch @relu(%1) scalars [#tfm.dim<n>] : (tensor<?xf32>) -> tensor<?xf32>
  %3 = kern.launch @relu(%2) scalars [#tfm.dim<n>] : (tensor<?xf32>) -> tensor<?xf32>
  return %3 : tensor<?xf32>
}

// A value that lives on keeps its slot: the residual is read again after two launches.
// CHECK-LABEL: func.func @residual
// CHECK-SAME: kern.slots = [#tfm.dim<n * 4>, #tfm.dim<n * 4>, #tfm.dim<n * 4>]
// CHECK: slots [0]
// CHECK: slots [1]
// CHECK: slots [2]
// CHECK: slots [-1]
func.func @residual(%x: tensor<?xf32> {tfm.dims = [#tfm.dim<n>]}) -> tensor<?xf32> {
  %0 = kern.launch @relu(%x) scalars [#tfm.dim<n>] : (tensor<?xf32>) -> tensor<?xf32>
  %1 = kern.launch @relu(%0) scalars [#tfm.dim<n>] : (tensor<?xf32>) -> tensor<?xf32>
  %2 = kern.launch @relu(%1) scalars [#tfm.dim<n>] : (tensor<?xf32>) -> tensor<?xf32>
  %3 = kern.launch @add(%2, %0) scalars [#tfm.dim<n>] : (tensor<?xf32>, tensor<?xf32>) -> tensor<?xf32>
  return %3 : tensor<?xf32>
}

// A free slot grows when its size is at most the new one for every n; sizes over other names are not comparable.
// CHECK-LABEL: func.func @sizes
// CHECK-SAME: kern.slots = [#tfm.dim<n * 8>, #tfm.dim<n * 4>, #tfm.dim<m * 4>]
// CHECK: slots [0]
// CHECK: slots [1]
// CHECK: slots [0]
// CHECK: slots [2]
func.func @sizes(%x: tensor<?xf32> {tfm.dims = [#tfm.dim<n>]}, %y: tensor<?xf32> {tfm.dims = [#tfm.dim<m>]}) -> (tensor<?xf32>, tensor<?xf32>) {
  %0 = kern.launch @relu(%x) scalars [#tfm.dim<n>] : (tensor<?xf32>) -> tensor<?xf32>
  %1 = kern.launch @relu(%0) scalars [#tfm.dim<n>] : (tensor<?xf32>) -> tensor<?xf32>
  %2 = kern.launch @double(%1) scalars [#tfm.dim<n>] : (tensor<?xf32>) -> tensor<?xf32>
  %3 = kern.launch @relu(%y) scalars [#tfm.dim<m>] : (tensor<?xf32>) -> tensor<?xf32>
  %4 = kern.launch @relu(%2) scalars [#tfm.dim<2 * n>] : (tensor<?xf32>) -> tensor<?xf32>
  %5 = kern.launch @relu(%3) scalars [#tfm.dim<m>] : (tensor<?xf32>) -> tensor<?xf32>
  return %4, %5 : tensor<?xf32>, tensor<?xf32>
}

// A view shows its input's bytes, so it keeps the slot alive and an output stays an output.
// CHECK-LABEL: func.func @view
// CHECK-SAME: kern.slots = []
// CHECK: slots [-1]
func.func @view(%x: tensor<?xf32> {tfm.dims = [#tfm.dim<2 * n>]}) -> tensor<?x2xf32> {
  %0 = kern.launch @relu(%x) scalars [#tfm.dim<2 * n>] : (tensor<?xf32>) -> tensor<?xf32>
  %1 = kern.view %0 dims [#tfm.dim<n>, #tfm.dim<2>] : tensor<?xf32> to tensor<?x2xf32>
  return %1 : tensor<?x2xf32>
}
