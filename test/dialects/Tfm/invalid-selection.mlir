// RUN: permalloy-opt %s -split-input-file -verify-diagnostics

func.func @f(%x: tensor<2x8xf32>) {
  // expected-error@+1 {{axis 2 is outside of rank 2 (top_k_c1)}}
  %0 = tfm.top_k %x k #tfm.dim<2> {axis = 2 : i64} : (tensor<2x8xf32>) -> tensor<2x2xi64>
  return
}

// -----

func.func @f(%x: tensor<2x8xf32>) {
  // expected-error@+1 {{needs either a count operand or k (top_k_c2)}}
  %0 = tfm.top_k %x {axis = 1 : i64} : (tensor<2x8xf32>) -> tensor<2x2xi64>
  return
}

// -----

func.func @f(%x: tensor<2x8xf32>) {
  // expected-error@+1 {{k is 9 but the dimension has 8 elements (top_k_c3)}}
  %0 = tfm.top_k %x k #tfm.dim<9> {axis = 1 : i64} : (tensor<2x8xf32>) -> tensor<2x9xi64>
  return
}

// -----

func.func @f(%x: tensor<2x8xi1>) {
  // expected-error@+1 {{does not order elements 'i1' (top_k_c4)}}
  %0 = tfm.top_k %x k #tfm.dim<2> {axis = 1 : i64} : (tensor<2x8xi1>) -> tensor<2x2xi64>
  return
}

// -----

func.func @f(%x: tensor<2x8xi1>) {
  // expected-error@+1 {{declares result [3, ?] but its operands give [2, ?]}}
  %0 = tfm.non_zero %x : (tensor<2x8xi1>) -> tensor<3x?xi64>
  return
}

// -----

func.func @f(%x: tensor<4xi1>, %i: tensor<2x1xi64>, %u: tensor<2xi1>) {
  // expected-error@+1 {{add does not take elements 'i1' and 'i1' (scatter_c1)}}
  %0 = tfm.scatter add %x, %i, %u : (tensor<4xi1>, tensor<2x1xi64>, tensor<2xi1>) -> tensor<4xi1>
  return
}

// -----

func.func @f(%x: tensor<4xf32>, %i: tensor<2x2xi64>, %u: tensor<2xf32>) {
  // expected-error@+1 {{index tuples of length 2 do not fit rank 1 (scatter_c2)}}
  %0 = tfm.scatter none %x, %i, %u : (tensor<4xf32>, tensor<2x2xi64>, tensor<2xf32>) -> tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4x3xf32>, %i: tensor<2x1xi64>, %u: tensor<2x4xf32>) {
  // expected-error@+1 {{updates must be [2, 3], not [2, 4] (scatter_c3)}}
  %0 = tfm.scatter none %x, %i, %u : (tensor<4x3xf32>, tensor<2x1xi64>, tensor<2x4xf32>) -> tensor<4x3xf32>
  return
}

// -----

func.func @f(%x: tensor<4x3xf32>, %i: tensor<2x1xi64>, %u: tensor<2x3xf32>) {
  // expected-error@+1 {{indices [2, 1] and updates [2, 3] must have one shape, of the rank of [4, 3] (scatter_c4)}}
  %0 = tfm.scatter none %x, %i, %u {axis = 0 : i64} : (tensor<4x3xf32>, tensor<2x1xi64>, tensor<2x3xf32>) -> tensor<4x3xf32>
  return
}
