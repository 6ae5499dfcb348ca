// RUN: permalloy-opt %s -split-input-file --plan-kernels --outline-kernels | FileCheck %s

// A reshape between kernels is a view; a producer of two kernels is stored once; a small constant moves in.
// CHECK-LABEL: func.func @view
// CHECK: %[[A:.*]] = kern.launch
// CHECK: %[[V:.*]] = kern.view %[[A]] dims [#tfm.dim<batch * seq>, #tfm.dim<32>]
// CHECK: kern.launch @linear_{{[0-9]+}}(%[[V]]
func.func @view(%x: tensor<?x?x64xf32> {tfm.dims = [#tfm.dim<batch>, #tfm.dim<seq>, #tfm.dim<64>]}) -> tensor<?x32xf32> {
  %w = tfm.get_weight @w : tensor<64x32xf32>
  %v = tfm.get_weight @v : tensor<32x32xf32>
  %c = tfm.constant dense<0.5> : tensor<f32>
  %0 = tfm.linear %x, %w : (tensor<?x?x64xf32>, tensor<64x32xf32>) -> tensor<?x?x32xf32>
  %1 = tfm.binary mul %0, %c : (tensor<?x?x32xf32>, tensor<f32>) -> tensor<?x?x32xf32>
  %2 = tfm.reshape %1 dims [#tfm.dim<batch * seq>, #tfm.dim<32>] : (tensor<?x?x32xf32>) -> tensor<?x32xf32>
  %3 = tfm.linear %2, %v : (tensor<?x32xf32>, tensor<32x32xf32>) -> tensor<?x32xf32>
  return %3 : tensor<?x32xf32>
}
tfm.weight @w : tensor<64x32xf32> = #tfm.seeded<1, 0.1>
tfm.weight @v : tensor<32x32xf32> = #tfm.seeded<2, 0.1>

// -----

// The values before and after are the same.
// RUN: permalloy-opt %s -split-input-file --check-equivalent="pipeline=func.func(plan-kernels),outline-kernels,pack-weights,func.func(plan-slots) sizes=batch=2,seq=3" -o /dev/null
// CHECK-LABEL: func.func @mask
// CHECK-COUNT-2: kern.launch
// CHECK-NOT: kern.launch
func.func @mask(%m: tensor<?x?xi64> {tfm.dims = [#tfm.dim<batch>, #tfm.dim<seq>]}, %x: tensor<?x?xf32> {tfm.dims = [#tfm.dim<batch>, #tfm.dim<seq>]}) -> (tensor<?x?xf32>, tensor<?x?xf32>) {
  %zero = tfm.constant dense<0> : tensor<i64>
  %low = tfm.constant dense<-1.0e4> : tensor<f32>
  %0 = tfm.compare eq %m, %zero : (tensor<?x?xi64>, tensor<i64>) -> tensor<?x?xi1>
  %1 = tfm.select %0, %low, %x : (tensor<?x?xi1>, tensor<f32>, tensor<?x?xf32>) -> tensor<?x?xf32>
  %2 = tfm.softmax %1 {axis = 1 : i64} : (tensor<?x?xf32>) -> tensor<?x?xf32>
  return %1, %2 : tensor<?x?xf32>, tensor<?x?xf32>
}
