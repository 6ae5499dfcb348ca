// RUN: permalloy-opt %s --pack-weights | FileCheck %s
// RUN: permalloy-opt %s --pack-weights --pack-weights | FileCheck %s
// RUN: permalloy-opt %s --check-equivalent="pipeline=pack-weights sizes=n=3" -o /dev/null

// The kernel's weight argument is packed; nothing else of it changes.
// CHECK-LABEL: kern.kernel @linear contraction
// CHECK: ^bb0(%{{.*}}: tensor<?x24xf32>, %{{.*}}: tensor<24x20xf32, #tfm.panels>, %{{.*}}: tensor<20xf32>)
kern.kernel @linear contraction attributes {symbols = ["d0"], arg_dims = [[#tfm.dim<d0>, #tfm.dim<24>], [#tfm.dim<24>, #tfm.dim<20>], [#tfm.dim<20>]]} {
^bb0(%x: tensor<?x24xf32>, %w: tensor<24x20xf32>, %b: tensor<20xf32>):
  %0 = tfm.linear %x, %w bias %b : (tensor<?x24xf32>, tensor<24x20xf32>, tensor<20xf32>) -> tensor<?x20xf32>
  kern.yield %0 : tensor<?x20xf32>
}

// The generic emitter reads weights as they are.
// CHECK-LABEL: kern.kernel @plain generic
// CHECK: tensor<24x20xf32>)
kern.kernel @plain generic attributes {symbols = ["d0"], arg_dims = [[#tfm.dim<d0>, #tfm.dim<24>], [#tfm.dim<24>, #tfm.dim<20>]]} {
^bb0(%x: tensor<?x24xf32>, %w: tensor<24x20xf32>):
  %0 = tfm.linear %x, %w : (tensor<?x24xf32>, tensor<24x20xf32>) -> tensor<?x20xf32>
  kern.yield %0 : tensor<?x20xf32>
}

// One weight used by two launches is packed once; the plain one stays for who reads it.
// CHECK: tfm.weight @w :
// CHECK-COUNT-1: tfm.weight @w.panels
// CHECK-NOT: tfm.weight @w.panels
tfm.weight @w : tensor<24x20xf32> = #tfm.seeded<1, 0.5>
tfm.weight @b : tensor<20xf32> = #tfm.seeded<2, 0.5>

// CHECK-LABEL: func.func @main
// CHECK: %[[P:.*]] = tfm.get_weight @w.panels
// CHECK-COUNT-2: kern.launch @linear({{.*}}tensor<24x20xf32, #tfm.panels>
// CHECK: kern.launch @plain({{.*}}tensor<24x20xf32>)
func.func @main(%x: tensor<?x24xf32> {tfm.dims = [#tfm.dim<n>, #tfm.dim<24>]}) -> (tensor<?x20xf32>, tensor<?x20xf32>, tensor<?x20xf32>) {
  %w = tfm.get_weight @w : tensor<24x20xf32>
  %b = tfm.get_weight @b : tensor<20xf32>
  %0 = kern.launch @linear(%x, %w, %b) scalars [#tfm.dim<n>] : (tensor<?x24xf32>, tensor<24x20xf32>, tensor<20xf32>) -> tensor<?x20xf32>
  %1 = kern.launch @linear(%x, %w, %b) scalars [#tfm.dim<n>] : (tensor<?x24xf32>, tensor<24x20xf32>, tensor<20xf32>) -> tensor<?x20xf32>
  %2 = kern.launch @plain(%x, %w) scalars [#tfm.dim<n>] : (tensor<?x24xf32>, tensor<24x20xf32>) -> tensor<?x20xf32>
  return %0, %1, %2 : tensor<?x20xf32>, tensor<?x20xf32>, tensor<?x20xf32>
}
