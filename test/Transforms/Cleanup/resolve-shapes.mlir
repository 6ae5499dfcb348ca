// RUN: permalloy-opt %s --resolve-shapes | FileCheck %s
// RUN: permalloy-opt %s --check-equivalent="pipeline=func.func(resolve-shapes) idempotent" -o /dev/null

// Shape arithmetic of a TorchScript head split: -1 becomes 12, nothing of it is left.
// CHECK-LABEL: @split_heads(
// CHECK-SAME: -> (tensor<?x?x12x32xf32> {tfm.dims = [#tfm.dim<batch>, #tfm.dim<seq>, #tfm.dim<12>, #tfm.dim<32>]})
// CHECK-NEXT: %[[R:.*]] = tfm.reshape %{{.*}} dims [#tfm.dim<batch>, #tfm.dim<seq>, #tfm.dim<12>, #tfm.dim<32>] : (tensor<?x?x384xf32>) -> tensor<?x?x12x32xf32>
// CHECK-NEXT: return %[[R]]
func.func @split_heads(%x: tensor<?x?x384xf32> {tfm.dims = [#tfm.dim<batch>, #tfm.dim<seq>, #tfm.dim<384>]}) -> tensor<?x?x?x?xf32> {
  %zero = tfm.constant dense<0> : tensor<i64>
  %one = tfm.constant dense<1> : tensor<i64>
  %rest = tfm.constant dense<[-1, 32]> : tensor<2xi64>
  %unit = tfm.constant dense<1> : tensor<1xi64>
  %s = tfm.shape_of %x : (tensor<?x?x384xf32>) -> tensor<3xi64>
  %b = tfm.gather %s, %zero {axis = 0 : i64} : (tensor<3xi64>, tensor<i64>) -> tensor<i64>
  %q = tfm.gather %s, %one {axis = 0 : i64} : (tensor<3xi64>, tensor<i64>) -> tensor<i64>
  %b1 = tfm.reshape %b shape %unit : (tensor<i64>, tensor<1xi64>) -> tensor<1xi64>
  %q1 = tfm.reshape %q shape %unit : (tensor<i64>, tensor<1xi64>) -> tensor<1xi64>
  %shape = tfm.concat %b1, %q1, %rest {axis = 0 : i64} : (tensor<1xi64>, tensor<1xi64>, tensor<2xi64>) -> tensor<4xi64>
  %r = tfm.reshape %x shape %shape : (tensor<?x?x384xf32>, tensor<4xi64>) -> tensor<?x?x?x?xf32>
  return %r : tensor<?x?x?x?xf32>
}

// A reshape to the shape that is there already goes.
// CHECK-LABEL: @identity(
// CHECK-NEXT: return %{{.*}} : tensor<?x4xf32>
func.func @identity(%x: tensor<?x4xf32> {tfm.dims = [#tfm.dim<n>, #tfm.dim<4>]}) -> tensor<?x?xf32> {
  %s = tfm.shape_of %x : (tensor<?x4xf32>) -> tensor<2xi64>
  %r = tfm.reshape %x shape %s : (tensor<?x4xf32>, tensor<2xi64>) -> tensor<?x?xf32>
  %b = tfm.broadcast %r shape %s : (tensor<?x?xf32>, tensor<2xi64>) -> tensor<?x?xf32>
  return %b : tensor<?x?xf32>
}

// The chain of an exporter's expand: -1 means "as it is".
// CHECK-LABEL: @expand(
// CHECK-NEXT: %[[B:.*]] = tfm.broadcast %{{.*}} dims [#tfm.dim<batch>, #tfm.dim<1>, #tfm.dim<seq>, #tfm.dim<seq>]
// CHECK-NEXT: return %[[B]]
func.func @expand(%m: tensor<?x1x1x?xi1> {tfm.dims = [#tfm.dim<batch>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<seq>]}) -> tensor<?x?x?x?xi1> {
  %one = tfm.constant dense<1> : tensor<i64>
  %minus = tfm.constant dense<-1> : tensor<1xi64>
  %m1 = tfm.constant dense<-1> : tensor<i64>
  %all = tfm.shape_of %m : (tensor<?x1x1x?xi1>) -> tensor<4xi64>
  %first = tfm.constant dense<[0]> : tensor<1xi64>
  %last = tfm.constant dense<[3]> : tensor<1xi64>
  %b = tfm.gather %all, %first {axis = 0 : i64} : (tensor<4xi64>, tensor<1xi64>) -> tensor<1xi64>
  %s = tfm.gather %all, %last {axis = 0 : i64} : (tensor<4xi64>, tensor<1xi64>) -> tensor<1xi64>
  %want = tfm.concat %b, %minus, %s, %s {axis = 0 : i64} : (tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<4xi64>
  %length = tfm.shape_of %want : (tensor<4xi64>) -> tensor<1xi64>
  %ones = tfm.broadcast %one shape %length : (tensor<i64>, tensor<1xi64>) -> tensor<4xi64>
  %minuses = tfm.binary mul %ones, %m1 : (tensor<4xi64>, tensor<i64>) -> tensor<4xi64>
  %unknown = tfm.compare eq %want, %minuses : (tensor<4xi64>, tensor<4xi64>) -> tensor<4xi1>
  %shape = tfm.select %unknown, %ones, %want : (tensor<4xi1>, tensor<4xi64>, tensor<4xi64>) -> tensor<4xi64>
  %e = tfm.broadcast %m shape %shape : (tensor<?x1x1x?xi1>, tensor<4xi64>) -> tensor<?x?x?x?xi1>
  return %e : tensor<?x?x?x?xi1>
}

// Slices with operands: clamped ends, negative starts, INT64_MAX, and what is left of shape arithmetic as a value.
// CHECK-LABEL: @slices(
// CHECK-DAG: tfm.slice %{{.*}} offsets [#tfm.dim<0>, #tfm.dim<max(0, n + -2)>] sizes [#tfm.dim<8>, {{.*}}] strides [1, 1]
// CHECK-DAG: tfm.dim_values [#tfm.dim<n>] : tensor<1xi64>
func.func @slices(%x: tensor<8x?xf32> {tfm.dims = [#tfm.dim<8>, #tfm.dim<n>]}) -> (tensor<8x?xf32>, tensor<1xi64>) {
  %start = tfm.constant dense<-2> : tensor<1xi64>
  %end = tfm.constant dense<9223372036854775807> : tensor<1xi64>
  %s = tfm.slice %x starts %start ends %end axes [1] : (tensor<8x?xf32>, tensor<1xi64>, tensor<1xi64>) -> tensor<8x?xf32>
  %minus = tfm.constant dense<-1> : tensor<1xi64>
  %all = tfm.shape_of %x : (tensor<8x?xf32>) -> tensor<2xi64>
  %last = tfm.slice %all starts %minus ends %end axes [0] : (tensor<2xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<1xi64>
  return %s, %last : tensor<8x?xf32>, tensor<1xi64>
}

// Positions 0:seq of 6 added to seq rows: seq cannot be more than 6.
// CHECK-LABEL: @positions(
// CHECK-SAME: tfm.dim_ranges = {seq = [0, 6]}
// CHECK: tfm.slice %{{.*}} offsets [#tfm.dim<0>, #tfm.dim<0>] sizes [#tfm.dim<1>, #tfm.dim<seq>] strides [1, 1]
// CHECK-NOT: shape_of
func.func @positions(%ids: tensor<?x?xi64> {tfm.dims = [#tfm.dim<batch>, #tfm.dim<seq>]}) -> tensor<?x?xi64> {
  %table = tfm.constant dense<[[5, 4, 3, 2, 1, 0]]> : tensor<1x6xi64>
  %zero = tfm.constant dense<0> : tensor<1xi64>
  %one = tfm.constant dense<1> : tensor<1xi64>
  %s = tfm.shape_of %ids : (tensor<?x?xi64>) -> tensor<2xi64>
  %n = tfm.gather %s, %one {axis = 0 : i64} : (tensor<2xi64>, tensor<1xi64>) -> tensor<1xi64>
  %p = tfm.slice %table starts %zero ends %n steps %one axes [1] : (tensor<1x6xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<1x?xi64>
  %r = tfm.binary add %ids, %p : (tensor<?x?xi64>, tensor<1x?xi64>) -> tensor<?x?xi64>
  return %r : tensor<?x?xi64>
}

// Near miss: in a branch nobody would check the range, so nothing is concluded.
// CHECK-LABEL: @positions_in_branch(
// CHECK-NOT: tfm.dim_ranges
// CHECK: tfm.slice %{{.*}} sizes [#tfm.dim<1>, #tfm.dim<min(
func.func private @positions_in_branch(%ids: tensor<?x?xi64> {tfm.dims = [#tfm.dim<batch>, #tfm.dim<seq>]}) -> tensor<?x?xi64> {
  %table = tfm.constant dense<[[5, 4, 3, 2, 1, 0]]> : tensor<1x6xi64>
  %zero = tfm.constant dense<0> : tensor<1xi64>
  %one = tfm.constant dense<1> : tensor<1xi64>
  %s = tfm.shape_of %ids : (tensor<?x?xi64>) -> tensor<2xi64>
  %n = tfm.gather %s, %one {axis = 0 : i64} : (tensor<2xi64>, tensor<1xi64>) -> tensor<1xi64>
  %p = tfm.slice %table starts %zero ends %n steps %one axes [1] : (tensor<1x6xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<1x?xi64>
  %r = tfm.binary add %ids, %p : (tensor<?x?xi64>, tensor<1x?xi64>) -> tensor<?x?xi64>
  return %r : tensor<?x?xi64>
}

// Near miss: a shape that is an input of the model stays an operand.
// CHECK-LABEL: @data_dependent(
// CHECK: tfm.reshape %{{.*}} shape %{{.*}} : (tensor<?xf32>, tensor<2xi64>) -> tensor<?x?xf32>
func.func private @data_dependent(%x: tensor<?xf32> {tfm.dims = [#tfm.dim<n>]}, %s: tensor<2xi64>) -> tensor<?x?xf32> {
  %r = tfm.reshape %x shape %s : (tensor<?xf32>, tensor<2xi64>) -> tensor<?x?xf32>
  return %r : tensor<?x?xf32>
}

// A dimension that the user fixed is static everywhere.
// CHECK-LABEL: @fixed(%{{.*}}: tensor<1x?xf32> {{.*}}) -> (tensor<?x1xf32>
func.func @fixed(%x: tensor<?x?xf32> {tfm.dims = [#tfm.dim<1>, #tfm.dim<n>]}) -> tensor<?x?xf32> {
  %t = tfm.transpose %x [1, 0] : (tensor<?x?xf32>) -> tensor<?x?xf32>
  return %t : tensor<?x?xf32>
}
