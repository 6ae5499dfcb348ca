// RUN: permalloy-opt %s --check-interpret -split-input-file -verify-diagnostics -o /dev/null

// What only values can show is an error at the operation.

func.func @test_gather_out_of_range() {
  %0 = tfm.constant dense<[1.0, 2.0]> : tensor<2xf32>
  %1 = tfm.constant dense<[0, -3]> : tensor<2xi64>
  // expected-error@+1 {{index -3 is outside of a dimension of 2}}
  %2 = tfm.gather %0, %1 {axis = 0 : i64} : (tensor<2xf32>, tensor<2xi64>) -> tensor<2xf32>
  check.expect_equal %2, %0 : tensor<2xf32>
  return
}

// -----

func.func @test_gather_nd_out_of_range() {
  %0 = tfm.constant dense<[1.0, 2.0]> : tensor<2xf32>
  %1 = tfm.constant dense<[[0], [2]]> : tensor<2x1xi64>
  // expected-error@+1 {{index 2 is outside of a dimension of 2}}
  %2 = tfm.gather_nd %0, %1 : (tensor<2xf32>, tensor<2x1xi64>) -> tensor<2xf32>
  check.expect_equal %2, %0 : tensor<2xf32>
  return
}

// -----

func.func @test_endless_range() {
  %0 = tfm.constant dense<1.0> : tensor<f32>
  %1 = tfm.constant dense<0.0> : tensor<f32>
  // expected-error@+1 {{range from 1 to 1 with a step of 0 has no end}}
  %2 = tfm.range %0, %0, %1 : (tensor<f32>, tensor<f32>, tensor<f32>) -> tensor<?xf32>
  check.expect_equal %2, %2 : tensor<?xf32>
  return
}

// -----

func.func @test_modulo_by_zero() {
  %0 = tfm.constant dense<[4, 2]> : tensor<2xi32>
  %1 = tfm.constant dense<[3, 0]> : tensor<2xi32>
  // expected-error@+1 {{integer division of 2 by zero}}
  %2 = tfm.binary mod %0, %1 : (tensor<2xi32>, tensor<2xi32>) -> tensor<2xi32>
  check.expect_equal %2, %0 : tensor<2xi32>
  return
}

// -----

func.func @test_symbol_without_value() {
  %0 = tfm.constant dense<[1.0, 2.0]> : tensor<2xf32>
  // expected-error@+1 {{dimension 'n' of n has no value here}}
  %1 = tfm.broadcast %0 dims [#tfm.dim<n>, #tfm.dim<2>] : (tensor<2xf32>) -> tensor<?x2xf32>
  check.expect_equal %1, %1 : tensor<?x2xf32>
  return
}

// -----

func.func @test_resolved_slice_leaves() {
  %0 = tfm.constant dense<[1.0, 2.0]> : tensor<2xf32>
  // expected-error@+1 {{slice of 2 elements from 1 in steps of 1 leaves dimension 0 of [2]}}
  %1 = tfm.slice %0 offsets [#tfm.dim<1>] sizes [#tfm.dim<2>] strides [1] : (tensor<2xf32>) -> tensor<2xf32>
  check.expect_equal %1, %0 : tensor<2xf32>
  return
}

// -----

func.func @test_mean_of_no_integers() {
  %0 = tfm.constant dense<> : tensor<0xi64>
  // expected-error@+1 {{mean of no integers}}
  %1 = tfm.reduce mean %0 axes [0] : (tensor<0xi64>) -> tensor<i64>
  check.expect_equal %1, %1 : tensor<i64>
  return
}

// -----

// expected-error@+1 {{cannot read "/nowhere/model.onnx": No such file or directory}}
tfm.weight @w : tensor<2xf32> = #tfm.file<"/nowhere/model.onnx", 0, 8, "">
func.func @test_missing_file() {
  %0 = tfm.get_weight @w : tensor<2xf32>
  check.expect_equal %0, %0 : tensor<2xf32>
  return
}

// -----

func.func @test_unknown_operation() {
  // expected-error@+1 {{the interpreter does not know builtin.unrealized_conversion_cast}}
  %0 = builtin.unrealized_conversion_cast to tensor<2xf32>
  check.expect_equal %0, %0 : tensor<2xf32>
  return
}

// -----

kern.kernel @k row attributes {symbols = ["d0"], arg_dims = [[#tfm.dim<d0>]]} {
^bb0(%x: tensor<?xf32>):
  %0 = tfm.unary relu %x : (tensor<?xf32>) -> tensor<?xf32>
  kern.yield %0 : tensor<?xf32>
}
func.func @test_launch_with_a_wrong_scalar() {
  %0 = tfm.constant dense<[1.0, 2.0]> : tensor<2xf32>
  %1 = tfm.broadcast %0 dims [#tfm.dim<2>] : (tensor<2xf32>) -> tensor<?xf32>
  // expected-error@+1 {{argument 0 of kernel k: dimension d0 is 3 but the input of shape [2] has 2}}
  %2 = kern.launch @k(%1) scalars [#tfm.dim<3>] : (tensor<?xf32>) -> tensor<?xf32>
  check.expect_equal %2, %1 : tensor<?xf32>
  return
}

// -----

func.func @test_merge_out_of_range() {
  %x = tfm.constant dense<[[1.0, 2.0]]> : tensor<1x2xf32>
  %map = tfm.constant dense<[[0, 1]]> : tensor<1x2xi64>
  // expected-error@+1 {{the map sends a token to 1 of 1}}
  %r = tfm.token_merge %x to #tfm.dim<1> by %map : (tensor<1x2xf32>, tensor<1x2xi64>) -> tensor<1x1xf32>
  check.expect_equal %r, %r : tensor<1x1xf32>
  return
}

// -----

func.func @test_unmerge_out_of_range() {
  %y = tfm.constant dense<[[1.0, 2.0]]> : tensor<1x2xf32>
  %map = tfm.constant dense<[[-2]]> : tensor<1x1xi64>
  // expected-error@+1 {{the map sends a token to -2 of 2}}
  %r = tfm.token_unmerge %y by %map : (tensor<1x2xf32>, tensor<1x1xi64>) -> tensor<1x1xf32>
  check.expect_equal %r, %r : tensor<1x1xf32>
  return
}
