// RUN: permalloy-opt %s --name-data-sizes --resolve-shapes | FileCheck %s
// RUN: permalloy-opt %s --check-equivalent="pipeline=func.func(name-data-sizes,resolve-shapes,canonicalize,cse) idempotent" -o /dev/null

// CHECK-LABEL: func.func @positions
// CHECK: %[[GROUPS:.*]] = tfm.group_by %{{.*}} {groups = 2 : i64}
// CHECK: %[[COUNT:.*]] = tfm.slice %[[GROUPS]] offsets [#tfm.dim<1>] sizes [#tfm.dim<1>]
// CHECK: tfm.bind_size "data:positions.0" = %[[COUNT]]
// CHECK: tfm.slice %[[GROUPS]] offsets [#tfm.dim<3>] sizes [#tfm.dim<"data:positions.0">]
// CHECK-NOT: tfm.non_zero
// What comes behind is an expression over the symbol.
// CHECK: tfm.reshape %{{.*}} dims [#tfm.dim<"data:positions.0" * 2>]
func.func @positions(%x: tensor<?x3xi1> {tfm.dims = [#tfm.dim<n>, #tfm.dim<3>]}) -> tensor<?xi64> {
  %0 = tfm.non_zero %x : (tensor<?x3xi1>) -> tensor<2x?xi64>
  %2 = tfm.constant dense<-1> : tensor<1xi64>
  %3 = tfm.reshape %0 shape %2 : (tensor<2x?xi64>, tensor<1xi64>) -> tensor<?xi64>
  return %3 : tensor<?xi64>
}

// CHECK-LABEL: func.func @floats
// CHECK: tfm.compare eq
// CHECK: tfm.bind_size
func.func @floats(%x: tensor<?x2x2xf32> {tfm.dims = [#tfm.dim<n>, #tfm.dim<2>, #tfm.dim<2>]}) -> tensor<3x?xi64> {
  %r = tfm.unary relu %x : (tensor<?x2x2xf32>) -> tensor<?x2x2xf32>
  %0 = tfm.non_zero %r : (tensor<?x2x2xf32>) -> tensor<3x?xi64>
  return %0 : tensor<3x?xi64>
}

// CHECK-LABEL: func.func @range
// CHECK: tfm.bind_size "data:range.0"
// CHECK: tfm.range from <0> size <"data:range.0"> step 1
func.func @range(%start: tensor<i32>, %limit: tensor<i32>) -> tensor<?xi32> {
  %step = tfm.constant dense<2> : tensor<i32>
  %0 = tfm.range %start, %limit, %step : (tensor<i32>, tensor<i32>, tensor<i32>) -> tensor<?xi32>
  return %0 : tensor<?xi32>
}

// A size that follows from the inputs needs no symbol.
// CHECK-LABEL: func.func @known
// CHECK-NOT: tfm.bind_size
func.func @known(%x: tensor<?xf32> {tfm.dims = [#tfm.dim<n>]}) -> tensor<?xi64> {
  %zero = tfm.constant dense<0> : tensor<i64>
  %one = tfm.constant dense<1> : tensor<i64>
  %n = tfm.shape_of %x : (tensor<?xf32>) -> tensor<1xi64>
  %m = tfm.reshape %n dims [] : (tensor<1xi64>) -> tensor<i64>
  %0 = tfm.range %zero, %m, %one : (tensor<i64>, tensor<i64>, tensor<i64>) -> tensor<?xi64>
  return %0 : tensor<?xi64>
}

// CHECK-LABEL: func.func @best
// CHECK: tfm.bind_size "data:best.0" = %arg1
// CHECK: tfm.top_k %arg0 k <"data:best.0"> {axis = 0 : i64}
func.func @best(%x: tensor<?xf32> {tfm.dims = [#tfm.dim<n>]}, %k: tensor<1xi64> {tfm.test_range = [0, 3]}) -> tensor<?xi64> {
  %0 = tfm.top_k %x count %k {axis = 0 : i64} : (tensor<?xf32>, tensor<1xi64>) -> tensor<?xi64>
  return %0 : tensor<?xi64>
}
