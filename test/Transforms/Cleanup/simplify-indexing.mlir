// RUN: permalloy-opt %s --simplify-indexing --canonicalize | FileCheck %s
// RUN: permalloy-opt %s --check-equivalent="pipeline=func.func(simplify-indexing) sizes=batch=2,seq=5,n=3,b=2,c=3,past=4,s=3,total=9;batch=1,seq=1,n=1,b=1,c=1,past=0,s=1,total=2;batch=3,seq=6,n=4,b=3,c=3,past=2,s=5,total=7 rtol=0 atol=0 idempotent" -o /dev/null

// mask[b, j] as the dynamo exporter writes it.
// CHECK-LABEL: @gather_nd(
// CHECK-NEXT: %[[R:.*]] = tfm.reshape %arg0 dims [#tfm.dim<batch>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<seq>]
// CHECK-NEXT: return %[[R]]
func.func @gather_nd(%m: tensor<?x?xi1> {tfm.dims = [#tfm.dim<batch>, #tfm.dim<seq>]}) -> tensor<?x1x1x?xi1> {
  %b0 = tfm.range from #tfm.dim<0> size #tfm.dim<batch> step 1 : () -> tensor<?xi64>
  %s0 = tfm.range from #tfm.dim<0> size #tfm.dim<seq> step 1 : () -> tensor<?xi64>
  %b1 = tfm.reshape %b0 dims [#tfm.dim<batch>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<1>] : (tensor<?xi64>) -> tensor<?x1x1x1xi64>
  %s1 = tfm.reshape %s0 dims [#tfm.dim<1>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<seq>] : (tensor<?xi64>) -> tensor<1x1x1x?xi64>
  %b2 = tfm.broadcast %b1 dims [#tfm.dim<batch>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<seq>] : (tensor<?x1x1x1xi64>) -> tensor<?x1x1x?xi64>
  %s2 = tfm.broadcast %s1 dims [#tfm.dim<batch>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<seq>] : (tensor<1x1x1x?xi64>) -> tensor<?x1x1x?xi64>
  %b3 = tfm.reshape %b2 dims [#tfm.dim<batch>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<seq>, #tfm.dim<1>] : (tensor<?x1x1x?xi64>) -> tensor<?x1x1x?x1xi64>
  %s3 = tfm.reshape %s2 dims [#tfm.dim<batch>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<seq>, #tfm.dim<1>] : (tensor<?x1x1x?xi64>) -> tensor<?x1x1x?x1xi64>
  %i = tfm.concat %b3, %s3 {axis = 4 : i64} : (tensor<?x1x1x?x1xi64>, tensor<?x1x1x?x1xi64>) -> tensor<?x1x1x?x2xi64>
  %r = tfm.gather_nd %m, %i : (tensor<?x?xi1>, tensor<?x1x1x?x2xi64>) -> tensor<?x1x1x?xi1>
  return %r : tensor<?x1x1x?xi1>
}

// The same where both sizes are fixed and the indices are folded.
// CHECK-LABEL: @constant_gather_nd(
// CHECK-NEXT: %[[R:.*]] = tfm.reshape %arg0 dims [#tfm.dim<2>, #tfm.dim<1>, #tfm.dim<3>]
// CHECK-NEXT: return %[[R]]
func.func @constant_gather_nd(%m: tensor<2x3xi1>) -> tensor<2x1x3xi1> {
  %i = tfm.constant dense<[[[[0, 0], [0, 1], [0, 2]]], [[[1, 0], [1, 1], [1, 2]]]]> : tensor<2x1x3x2xi64>
  %r = tfm.gather_nd %m, %i : (tensor<2x3xi1>, tensor<2x1x3x2xi64>) -> tensor<2x1x3xi1>
  return %r : tensor<2x1x3xi1>
}

// CHECK-LABEL: @constant_gather_nd_elsewhere(
// CHECK: tfm.gather_nd
func.func @constant_gather_nd_elsewhere(%m: tensor<2x3xi1>) -> tensor<2x3xi1> {
  %i = tfm.constant dense<[[[0, 0], [0, 1], [0, 2]], [[1, 0], [1, 2], [1, 1]]]> : tensor<2x3x2xi64>
  %r = tfm.gather_nd %m, %i : (tensor<2x3xi1>, tensor<2x3x2xi64>) -> tensor<2x3xi1>
  return %r : tensor<2x3xi1>
}

// The same as the TorchScript exporter writes it: flat, at b * seq + j.
// CHECK-LABEL: @flat_gather(
// CHECK-NEXT: %[[R:.*]] = tfm.reshape %arg0 dims [#tfm.dim<batch>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<seq>, #tfm.dim<1>]
// CHECK-NEXT: return %[[R]]
func.func @flat_gather(%m: tensor<?x?xi1> {tfm.dims = [#tfm.dim<batch>, #tfm.dim<seq>]}) -> tensor<?x1x1x?x1xi1> {
  %n = tfm.dim_values [#tfm.dim<seq>] : tensor<1xi64>
  %b0 = tfm.range from #tfm.dim<0> size #tfm.dim<batch> step 1 : () -> tensor<?xi64>
  %s0 = tfm.range from #tfm.dim<0> size #tfm.dim<seq> step 1 : () -> tensor<?xi64>
  %b1 = tfm.reshape %b0 dims [#tfm.dim<batch>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<1>] : (tensor<?xi64>) -> tensor<?x1x1x1xi64>
  %s1 = tfm.reshape %s0 dims [#tfm.dim<1>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<seq>] : (tensor<?xi64>) -> tensor<1x1x1x?xi64>
  %bn = tfm.binary mul %b1, %n : (tensor<?x1x1x1xi64>, tensor<1xi64>) -> tensor<?x1x1x1xi64>
  %i = tfm.binary add %s1, %bn : (tensor<1x1x1x?xi64>, tensor<?x1x1x1xi64>) -> tensor<?x1x1x?xi64>
  %flat = tfm.reshape %m dims [#tfm.dim<batch * seq>, #tfm.dim<1>] : (tensor<?x?xi1>) -> tensor<?x1xi1>
  %r = tfm.gather %flat, %i {axis = 0 : i64} : (tensor<?x1xi1>, tensor<?x1x1x?xi64>) -> tensor<?x1x1x?x1xi1>
  return %r : tensor<?x1x1x?x1xi1>
}

// Positions 0 ... seq - 1 of a table are a slice of it; a seq of more than 6 would index outside of it.
// CHECK-LABEL: @positions(
// CHECK-SAME: tfm.dim_ranges = {seq = [0, 6]}
// CHECK: %[[S:.*]] = tfm.slice %arg1 offsets [#tfm.dim<0>, #tfm.dim<0>] sizes [#tfm.dim<seq>, #tfm.dim<4>] strides [1, 1]
// CHECK-NEXT: %[[R:.*]] = tfm.reshape %[[S]] dims [#tfm.dim<1>, #tfm.dim<seq>, #tfm.dim<4>]
// CHECK-NEXT: return %[[R]]
func.func @positions(%x: tensor<?xf32> {tfm.dims = [#tfm.dim<seq>]}, %table: tensor<6x4xf32>) -> tensor<1x?x4xf32> {
  %i = tfm.range from #tfm.dim<0> size #tfm.dim<seq> step 1 : () -> tensor<?xi64>
  %j = tfm.reshape %i dims [#tfm.dim<1>, #tfm.dim<seq>] : (tensor<?xi64>) -> tensor<1x?xi64>
  %r = tfm.gather %table, %j {axis = 0 : i64} : (tensor<6x4xf32>, tensor<1x?xi64>) -> tensor<1x?x4xf32>
  return %r : tensor<1x?x4xf32>
}

// A constant that counts: columns 1 and 2.
// CHECK-LABEL: @columns(
// CHECK: tfm.slice %arg0 offsets [#tfm.dim<0>, #tfm.dim<1>] sizes [#tfm.dim<n>, #tfm.dim<2>] strides [1, 1]
func.func @columns(%x: tensor<?x4xf32> {tfm.dims = [#tfm.dim<n>, #tfm.dim<4>]}) -> tensor<?x2xf32> {
  %i = tfm.constant dense<[1, 2]> : tensor<2xi64>
  %r = tfm.gather %x, %i {axis = 1 : i64} : (tensor<?x4xf32>, tensor<2xi64>) -> tensor<?x2xf32>
  return %r : tensor<?x2xf32>
}

// Near misses: a transposing gather, a stride of two, an index from data.
// CHECK-LABEL: @transposing(
// CHECK: tfm.gather
func.func @transposing(%x: tensor<?x?xf32> {tfm.dims = [#tfm.dim<batch>, #tfm.dim<seq>]}) -> tensor<?x?xf32> {
  %n = tfm.dim_values [#tfm.dim<seq>] : tensor<1xi64>
  %b0 = tfm.range from #tfm.dim<0> size #tfm.dim<batch> step 1 : () -> tensor<?xi64>
  %s0 = tfm.range from #tfm.dim<0> size #tfm.dim<seq> step 1 : () -> tensor<?xi64>
  %bn = tfm.binary mul %b0, %n : (tensor<?xi64>, tensor<1xi64>) -> tensor<?xi64>
  %s1 = tfm.reshape %s0 dims [#tfm.dim<seq>, #tfm.dim<1>] : (tensor<?xi64>) -> tensor<?x1xi64>
  %i = tfm.binary add %s1, %bn : (tensor<?x1xi64>, tensor<?xi64>) -> tensor<?x?xi64>
  %flat = tfm.reshape %x dims [#tfm.dim<batch * seq>] : (tensor<?x?xf32>) -> tensor<?xf32>
  %r = tfm.gather %flat, %i {axis = 0 : i64} : (tensor<?xf32>, tensor<?x?xi64>) -> tensor<?x?xf32>
  return %r : tensor<?x?xf32>
}

// CHECK-LABEL: @uneven(
// CHECK: tfm.gather
func.func @uneven(%x: tensor<?x4xf32> {tfm.dims = [#tfm.dim<n>, #tfm.dim<4>]}) -> tensor<?x2xf32> {
  %i = tfm.constant dense<[0, 2]> : tensor<2xi64>
  %r = tfm.gather %x, %i {axis = 1 : i64} : (tensor<?x4xf32>, tensor<2xi64>) -> tensor<?x2xf32>
  return %r : tensor<?x2xf32>
}

// CHECK-LABEL: @from_data(
// CHECK: tfm.gather
func.func @from_data(%x: tensor<4x3xf32>, %i: tensor<?xi64> {tfm.dims = [#tfm.dim<n>]}) -> tensor<?x3xf32> {
  %r = tfm.gather %x, %i {axis = 0 : i64} : (tensor<4x3xf32>, tensor<?xi64>) -> tensor<?x3xf32>
  return %r : tensor<?x3xf32>
}

// A decoder's mask has `total` columns, of which past + s are read: a corner, and what that assumes.
// CHECK-LABEL: @corner(
// CHECK-SAME: tfm.assume = [#tfm.at_most<<past + s>, <total>, {{.*}}>]
// CHECK: tfm.slice %arg0 offsets [#tfm.dim<0>, #tfm.dim<0>] sizes [#tfm.dim<b>, #tfm.dim<past + s>] strides [1, 1]
// CHECK-NOT: tfm.gather
// CHECK: return
func.func @corner(%m: tensor<?x?xi64> {tfm.dims = [#tfm.dim<b>, #tfm.dim<total>]}, %p: tensor<?x?xf32> {tfm.dims = [#tfm.dim<past>, #tfm.dim<s>]}) -> tensor<?x1x1x?xi64> {
  %flat = tfm.reshape %m dims [#tfm.dim<b * total>, #tfm.dim<1>] : (tensor<?x?xi64>) -> tensor<?x1xi64>
  %bi = tfm.range from <0> size <b> step 1 : () -> tensor<?xi64>
  %b4 = tfm.reshape %bi dims [#tfm.dim<b>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<1>] : (tensor<?xi64>) -> tensor<?x1x1x1xi64>
  %ki = tfm.range from <0> size <past + s> step 1 : () -> tensor<?xi64>
  %k4 = tfm.reshape %ki dims [#tfm.dim<1>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<past + s>] : (tensor<?xi64>) -> tensor<1x1x1x?xi64>
  %total = tfm.dim_values [#tfm.dim<total>] : tensor<1xi64>
  %row = tfm.binary mul %b4, %total : (tensor<?x1x1x1xi64>, tensor<1xi64>) -> tensor<?x1x1x1xi64>
  %at = tfm.binary add %k4, %row : (tensor<1x1x1x?xi64>, tensor<?x1x1x1xi64>) -> tensor<?x1x1x?xi64>
  %g = tfm.gather %flat, %at {axis = 0 : i64} : (tensor<?x1xi64>, tensor<?x1x1x?xi64>) -> tensor<?x1x1x?x1xi64>
  %r = tfm.reshape %g dims [#tfm.dim<b>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<past + s>] : (tensor<?x1x1x?x1xi64>) -> tensor<?x1x1x?xi64>
  return %r : tensor<?x1x1x?xi64>
}

// The same with index tuples, where the batch has a name of its own, too.
// CHECK-LABEL: @corner_nd(
// CHECK-SAME: tfm.assume = [#tfm.at_most<<b>, <c>, {{.*}}>, #tfm.at_most<<past + s>, <total>, {{.*}}>]
// CHECK: tfm.slice %arg0 offsets [#tfm.dim<0>, #tfm.dim<0>] sizes [#tfm.dim<b>, #tfm.dim<past + s>] strides [1, 1]
// CHECK-NOT: tfm.gather_nd
// CHECK: return
func.func @corner_nd(%m: tensor<?x?xi64> {tfm.dims = [#tfm.dim<c>, #tfm.dim<total>]}, %p: tensor<?x?x?xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<past>, #tfm.dim<s>]}) -> tensor<?x1x1x?xi64> {
  %bi = tfm.range from <0> size <b> step 1 : () -> tensor<?xi64>
  %b4 = tfm.reshape %bi dims [#tfm.dim<b>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<1>] : (tensor<?xi64>) -> tensor<?x1x1x1xi64>
  %bb = tfm.broadcast %b4 dims [#tfm.dim<b>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<past + s>] : (tensor<?x1x1x1xi64>) -> tensor<?x1x1x?xi64>
  %b5 = tfm.reshape %bb dims [#tfm.dim<b>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<past + s>, #tfm.dim<1>] : (tensor<?x1x1x?xi64>) -> tensor<?x1x1x?x1xi64>
  %ki = tfm.range from <0> size <past + s> step 1 : () -> tensor<?xi64>
  %k4 = tfm.reshape %ki dims [#tfm.dim<1>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<past + s>] : (tensor<?xi64>) -> tensor<1x1x1x?xi64>
  %kb = tfm.broadcast %k4 dims [#tfm.dim<b>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<past + s>] : (tensor<1x1x1x?xi64>) -> tensor<?x1x1x?xi64>
  %k5 = tfm.reshape %kb dims [#tfm.dim<b>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<past + s>, #tfm.dim<1>] : (tensor<?x1x1x?xi64>) -> tensor<?x1x1x?x1xi64>
  %at = tfm.concat %b5, %k5 {axis = 4 : i64} : (tensor<?x1x1x?x1xi64>, tensor<?x1x1x?x1xi64>) -> tensor<?x1x1x?x2xi64>
  %r = tfm.gather_nd %m, %at : (tensor<?x?xi64>, tensor<?x1x1x?x2xi64>) -> tensor<?x1x1x?xi64>
  return %r : tensor<?x1x1x?xi64>
}

// Near miss: the walk skips every other column.
// CHECK-LABEL: @skipping(
// CHECK: tfm.gather
func.func @skipping(%m: tensor<?x?xi64> {tfm.dims = [#tfm.dim<b>, #tfm.dim<total>]}, %p: tensor<?xf32> {tfm.dims = [#tfm.dim<s>]}) -> tensor<?x1xi64> {
  %flat = tfm.reshape %m dims [#tfm.dim<b * total>, #tfm.dim<1>] : (tensor<?x?xi64>) -> tensor<?x1xi64>
  %ki = tfm.range from <0> size <s> step 2 : () -> tensor<?xi64>
  %r = tfm.gather %flat, %ki {axis = 0 : i64} : (tensor<?x1xi64>, tensor<?xi64>) -> tensor<?x1xi64>
  return %r : tensor<?x1xi64>
}

// Near miss: a branch need not run, so its table need not have n rows.
// CHECK-LABEL: func.func private @in_branch(
// CHECK: tfm.gather
func.func private @in_branch(%t: tensor<8x4xf32>, %x: tensor<?xf32> {tfm.dims = [#tfm.dim<n>]}) -> tensor<?x4xf32> {
  %i = tfm.range from #tfm.dim<0> size #tfm.dim<n> step 1 : () -> tensor<?xi64>
  %r = tfm.gather %t, %i {axis = 0 : i64} : (tensor<8x4xf32>, tensor<?xi64>) -> tensor<?x4xf32>
  return %r : tensor<?x4xf32>
}
