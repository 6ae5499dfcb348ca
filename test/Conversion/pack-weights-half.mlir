// RUN: permalloy-opt %s --pack-weights | FileCheck %s
// RUN: permalloy-opt %s --check-equivalent="pipeline=pack-weights sizes=n=3" -o /dev/null

// Weights keep their type in panels; K = 25 of bf16 is padded to pairs.
// CHECK-LABEL: kern.kernel @pairs contraction
// CHECK: ^bb0(%{{.*}}: tensor<?x25xbf16>, %{{.*}}: tensor<25x20xbf16, #tfm.panels>)
kern.kernel @pairs contraction attributes {symbols = ["d0"], arg_dims = [[#tfm.dim<d0>, #tfm.dim<25>], [#tfm.dim<25>, #tfm.dim<20>]]} {
^bb0(%x: tensor<?x25xbf16>, %w: tensor<25x20xbf16>):
  %0 = tfm.linear %x, %w : (tensor<?x25xbf16>, tensor<25x20xbf16>) -> tensor<?x20xbf16>
  kern.yield %0 : tensor<?x20xbf16>
}
// CHECK-LABEL: kern.kernel @halves contraction
// CHECK: ^bb0(%{{.*}}: tensor<?x25xf16>, %{{.*}}: tensor<25x20xf16, #tfm.panels>)
kern.kernel @halves contraction attributes {symbols = ["d0"], arg_dims = [[#tfm.dim<d0>, #tfm.dim<25>], [#tfm.dim<25>, #tfm.dim<20>]]} {
^bb0(%x: tensor<?x25xf16>, %w: tensor<25x20xf16>):
  %0 = tfm.linear %x, %w : (tensor<?x25xf16>, tensor<25x20xf16>) -> tensor<?x20xf16>
  kern.yield %0 : tensor<?x20xf16>
}
// CHECK: tfm.weight @w.panels : tensor<25x20xbf16, #tfm.panels>
// CHECK: tfm.weight @v.panels : tensor<25x20xf16, #tfm.panels>
tfm.weight @w : tensor<25x20xbf16> = #tfm.seeded<1, 0.5>
tfm.weight @v : tensor<25x20xf16> = #tfm.seeded<2, 0.5>

func.func @main(%x: tensor<?x25xbf16> {tfm.dims = [#tfm.dim<n>, #tfm.dim<25>]}, %y: tensor<?x25xf16> {tfm.dims = [#tfm.dim<n>, #tfm.dim<25>]}) -> (tensor<?x20xbf16>, tensor<?x20xf16>) {
  %w = tfm.get_weight @w : tensor<25x20xbf16>
  %v = tfm.get_weight @v : tensor<25x20xf16>
  %0 = kern.launch @pairs(%x, %w) scalars [#tfm.dim<n>] : (tensor<?x25xbf16>, tensor<25x20xbf16>) -> tensor<?x20xbf16>
  %1 = kern.launch @halves(%y, %v) scalars [#tfm.dim<n>] : (tensor<?x25xf16>, tensor<25x20xf16>) -> tensor<?x20xf16>
  return %0, %1 : tensor<?x20xbf16>, tensor<?x20xf16>
}
