// RUN: permalloy-opt %s -split-input-file -verify-diagnostics --check-equivalent="pipeline=canonicalize sizes=n=3"

// An index out of range is found before any pipeline.
func.func @out_of_range(%x: tensor<2xf32>, %i: tensor<?xi64> {tfm.dims = [#tfm.dim<n>], tfm.test_range = [7, 8]}) -> tensor<?xf32> { // expected-remark {{while interpreting it}}
  // expected-error@+1 {{index 7 is outside of a dimension of 2}}
  %0 = tfm.gather %x, %i {axis = 0 : i64} : (tensor<2xf32>, tensor<?xi64>) -> tensor<?xf32>
  return %0 : tensor<?xf32>
}

// -----

// expected-error@+1 {{dimension 0 of input #0 has no size: the argument has no tfm.dims}}
func.func @unnamed(%x: tensor<?xf32>) -> tensor<?xf32> {
  return %x : tensor<?xf32>
}

// -----

func.func @wrong_dims(%x: tensor<?xf32> {tfm.dims = [#tfm.dim<n>]}) -> tensor<?x2xf32> { // expected-remark {{while interpreting it}}
  // expected-error@+1 {{cannot reshape [3] to [3, 2]}}
  %0 = tfm.reshape %x dims [#tfm.dim<n>, #tfm.dim<2>] : (tensor<?xf32>) -> tensor<?x2xf32>
  return %0 : tensor<?x2xf32>
}
